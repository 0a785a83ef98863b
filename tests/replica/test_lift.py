"""What is hard to compute in float64 is, and right: loss, gradient, verdicts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from tests.support.lifted_models import (
    DRAWN,
    IN_FLOAT32,
    LIFTED,
    OWN_PRECISION,
    SLOPES,
    fault,
    numbers,
    upstream,
)
from tests.support.marks import some

STEP = 1e-6


def dtype_of(name):
    return "float32" if name in IN_FLOAT32 else "float64"


@pytest.mark.parametrize("name", some(LIFTED, 2))
def test_every_variable_is_told_and_the_loss_is_the_models_own(name, rng):
    model, x, y = LIFTED[name](rng)
    report = kgw.check_gradients(model, x, y, dropout="freeze")
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.dtype == dtype_of(name)
    if name not in DRAWN:
        own = model.train_on_batch(x, y)
        assert report.loss == pytest.approx(own, rel=OWN_PRECISION.get(name, 1e-6))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in LIFTED if name not in IN_FLOAT32])
def test_the_gradient_is_the_slope_of_the_lifted_loss(name, rng):
    model, x, y = LIFTED[name](rng)
    batch = batches.from_arrays(x, y)
    replica = Replica(model, "freeze", Steps(model).objectives("freeze", batch)[0])
    evaluator, states = Evaluator(replica), replica.states()
    assert evaluator.graphs_for(states, batch).lifted is not None
    values = [tf.cast(v, tf.float64) for v in replica.values()]
    _, gradients = evaluator.gradient(values, states, batch)
    probes = [
        (Direction(k, entry=n), step)
        for k, value in enumerate(values)
        for n in range(int(tf.size(value)))
        for step in (STEP, -STEP)
    ]
    losses = evaluator.losses(values, states, batch, probes)
    slopes = (losses[::2] - losses[1::2]) / (2 * STEP)
    gradient = np.concatenate([g.ravel() for g in gradients])
    off = np.max(np.abs(gradient - slopes)) / np.max(np.abs(gradient))
    assert off < SLOPES.get(name, 2e-9)


@pytest.mark.long
@pytest.mark.parametrize("name", LIFTED)
def test_a_fault_is_found_in_all_that_is_upstream_and_nowhere_else(name, rng):
    model, x, y = LIFTED[name](rng, fault())
    report = kgw.check_gradients(model, x, y, samples=2, directions=1)
    assert {v.path for v in report.failures} == upstream(model), str(report)
    assert report.dtype == dtype_of(name)


def test_a_gradient_that_tensorflow_has_wrong_is_not_mended(rng):
    """Of equal entries, each is handed all that comes back to a maximum."""
    same = layers.UpSampling3D(2), layers.MaxPooling3D(2), layers.Flatten()
    first = layers.Dense(8, "tanh"), layers.Reshape((2, 2, 2, 1))
    model = keras.Sequential([keras.Input((4,)), *first, *same, layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    report = kgw.check_gradients(model, numbers(rng, 6, 4), numbers(rng, 6, 2))
    assert {v.path for v in report.failures} == {v.path for v in first[0].variables}
