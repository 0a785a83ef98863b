"""Many variables moved at once, on every kind of model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.numerics.directions import Direction, Sweep, draw_signs
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import WholeModel
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from tests.support.kinds import KINDS, LOW_PRECISION, WITHOUT_INFLUENCE


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_sweep_is_the_plain_loss_at_the_moved_weights(name, rng):
    model, x, y = KINDS[name](rng)
    batch = batches.from_arrays(x, y)
    replica = Replica(model, "bypass", Steps(model).objectives("bypass", batch)[0])
    evaluator, states = Evaluator(replica), replica.states()
    values = [tf.cast(v, tf.float64) for v in replica.values()]
    sizes = [int(tf.size(v)) for v in values]
    parts = [Direction(k, signs=draw_signs(n, rng)) for k, n in enumerate(sizes)]
    lengths = rng.uniform(0.1, 1, len(parts))
    sweep, step = Sweep(tuple(parts), tuple(lengths)), 1e-2
    entry = Direction(len(parts) - 1, entry=sizes[-1] - 1)
    probes = [(sweep, step), (entry, step), (parts[0], -step), (sweep, 0.0)]
    found = evaluator.losses(values, states, batch, probes)
    plain = []
    for probe, size in probes:
        moved = [np.array(v) for v in values]
        for direction, by in probe.moves(size):
            flat = moved[direction.variable].reshape(-1)
            if direction.is_coordinate:
                flat[direction.entry] += by
            else:
                flat += by * direction.signs
        point = [tf.constant(value) for value in moved]
        plain.append(evaluator.gradient(point, states, batch)[0])
    precise = name not in LOW_PRECISION
    np.testing.assert_allclose(found, plain, rtol=1e-12 if precise else 1e-5)
    assert len(set(found)) > 1


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in KINDS if name not in LOW_PRECISION])
def test_the_screen_alone_proves_most_of_a_healthy_model(name, rng):
    model, x, y = KINDS[name](rng)
    report = kgw.check_gradients(model, x, y, time_budget=1e-9)
    assert report.verdict == "PASS", str(report)
    without = WITHOUT_INFLUENCE.get(name, ())
    weighty = [v for v in report.variables if v.verdict != "UNUSED"]
    weighty = [v for v in weighty if not v.path.endswith(without or "\n")]
    proven = [v for v in weighty if v.verdict == "PASS"]
    assert len(proven) >= 0.7 * len(weighty), str(report)


def test_a_later_screen_is_as_cheap_for_many_variables_as_for_few(rng):
    losses = set()
    for depth in (1, 12):
        layers = keras.layers
        stack = [layers.Dense(8, "tanh") for _ in range(depth)]
        model = keras.Sequential([keras.Input((5,)), *stack, layers.Dense(3)])
        model.compile("sgd", "mse")
        batch = batches.from_arrays(rng.normal(size=(9, 5)), rng.normal(size=(9, 3)))
        settings = Settings(time_budget=1e-9)
        checker = GradientChecker(WholeModel(model, settings.dropout), settings)
        checker.check(batch)
        report = checker.check(batch).report
        assert report.passed
        losses.add(report.evaluations)
    assert losses == {4}
