"""Shortcuts give what the plain evaluation gives, on every kind of model."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.check.evaluation import shortcuts, tracing
from keras_gradwatch.check.evaluation.dataflow import Cut, Dataflow
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.evaluation.shortcuts import Shortcuts, partitions
from keras_gradwatch.check.numerics.directions import Direction, Sweep, draw_signs
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from tests.support.kinds import KINDS, LOW_PRECISION
from tests.support.models import half

# Most losses are the same to the last bit. Where sums go on across a cut, TensorFlow's
# own optimiser of graphs may add them up in another order.
SAME = 1e-14
# So many probes pay for graphs that cost nothing to trace.
MANY = 80


class Case:
    """A model's losses, by the plain graph and by shortcuts that are made at once."""

    def __init__(self, model, x, y):
        batch = batches.from_arrays(x, y)
        replica = Replica(model, "freeze", Steps(model).objectives("freeze", batch)[0])
        states = replica.states()
        self.graphs = Evaluator(replica).graphs_for(states, batch)
        values = [tf.cast(v, tf.float64) for v in replica.values()]
        self.arguments = values, states, batch
        self.sizes = [int(tf.size(v)) for v in values]
        self.plain = Shortcuts(self.graphs.lifted, self.graphs.losses)
        self.shortcuts = self.priced(0.0)

    def priced(self, price):
        return Shortcuts(self.graphs.lifted, self.graphs.losses, price, SAME)

    def alone(self, rng):
        """Probes of each weight alone, in no order."""
        signs = [draw_signs(size, rng) for size in self.sizes]
        probes = [
            (direction, step)
            for k, size in enumerate(self.sizes)
            for n in range(max(3, MANY // 3 // len(self.sizes)))
            for direction, step in (
                (Direction(k, signs=signs[k]), 1e-3 * (n + 1)),
                (Direction(k, signs=signs[k]), -1e-3 * (n + 1)),
                (Direction(k, entry=n % size), 1e-2),
            )
        ]
        return [probes[i] for i in rng.permutation(len(probes))]

    def sweep(self, rng):
        parts = [
            Direction(k, signs=draw_signs(n, rng)) for k, n in enumerate(self.sizes)
        ]
        return Sweep(tuple(parts), tuple(rng.uniform(0.1, 1, len(parts))))

    def losses(self, probes, prepared=True):
        """What comes of probes: by shortcuts, and plainly."""
        plain = self.plain.losses(self.arguments, probes)
        self.shortcuts.losses(self.arguments, probes[:1])  # how long does one take?
        if prepared:
            self.shortcuts.prepare(self.arguments, probes)
        return self.shortcuts.losses(self.arguments, probes), plain

    @property
    def made(self):
        """The routes for some of the weights."""
        return [route for route in self.shortcuts.routes if route.weights is not None]


def assert_same(found, plain, tolerance=SAME):
    np.testing.assert_allclose(found, plain, rtol=tolerance, atol=0)


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_the_same_as_the_plain_evaluation(name, rng):
    case = Case(*KINDS[name](rng))
    found, plain = case.losses([*case.alone(rng), (case.sweep(rng), 1e-3)])
    exactly = name in LOW_PRECISION
    assert_same(found, plain, 0.0 if exactly else SAME)
    assert len(set(found)) > len(case.sizes)
    covered = sorted(k for route in case.made for k in route.weights)
    assert covered == list(range(len(case.sizes)))


class Counting(keras.Layer):
    """Changes something, and reads it."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0, trainable=False)

    def call(self, x):
        self.calls.assign_add(1)
        return x + tf.cast(self.calls > 0, x.dtype)


def stacked(rng, *middle, frozen=0, width=8):
    front = [layers.Dense(width, "tanh") for _ in range(max(1, frozen))]
    for layer in front[:frozen]:
        layer.trainable = False
    model = keras.Sequential(
        [keras.Input((4,)), *front, *middle, layers.Dense(4, "tanh"), layers.Dense(2)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    return model, rng.normal(size=(6, 4)), rng.normal(size=(6, 2))


def test_what_a_model_counts_is_left_alone_and_in_no_way(rng):
    counting = Counting()
    case = Case(*stacked(rng, counting))
    before = int(counting.calls)
    found, plain = case.losses(case.alone(rng))
    assert case.made
    assert_same(found, plain)
    assert int(counting.calls) == before


def test_what_is_frozen_in_front_is_computed_once_for_sweeps_too(rng):
    case = Case(*stacked(rng, frozen=4, width=300))
    sweep = case.sweep(rng)
    probes = [(sweep, 1e-3 * n) for n in range(9)]
    found, plain = case.losses(probes)
    assert_same(found, plain)
    (route,) = case.made
    assert sorted(route.weights) == list(range(len(case.sizes)))
    assert route.share < 0.5


def test_it_pays_or_it_is_not_done(rng):
    case = Case(*stacked(rng))
    few = case.alone(rng)[:3]
    found, plain = case.losses(few)
    assert not case.made
    assert_same(found, plain)


def test_graphs_that_cost_more_than_they_save_are_not_made(rng):
    case = Case(*stacked(rng))
    case.shortcuts = case.priced(1e9)
    case.losses(case.alone(rng))
    assert not case.made


class Once:
    """Raises an error the first time that it is called."""

    def __init__(self, error):
        self.errors = [error]

    def __call__(self, *arguments):
        if self.errors:
            raise self.errors.pop()
        return Dataflow(*arguments)


def test_an_error_while_it_is_made_leaves_the_plain_way(rng, monkeypatch):
    case = Case(*stacked(rng))
    monkeypatch.setattr(shortcuts, "Dataflow", Once(ValueError("no")))
    found, plain = case.losses(case.alone(rng))
    assert not case.made
    assert_same(found, plain)
    case.losses(case.alone(rng))  # once is enough
    assert not case.made


def test_ctrl_c_while_it_is_made_gets_through_and_does_no_harm(rng, monkeypatch):
    case = Case(*stacked(rng))
    monkeypatch.setattr(shortcuts, "Dataflow", Once(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        case.losses(case.alone(rng))
    assert not case.made
    found, plain = case.losses(case.alone(rng))
    assert case.made
    assert_same(found, plain)


def test_a_shortcut_that_gives_something_else_is_not_used(rng, monkeypatch):
    case = Case(*stacked(rng))
    right = Cut.finish

    def wrong(*arguments):
        return right(*arguments) + 1e-6

    monkeypatch.setattr(Cut, "finish", wrong)
    found, plain = case.losses(case.alone(rng))
    assert not case.made
    assert_same(found, plain)


def test_a_check_by_shortcuts_sees_what_it_has_to_see(rng, monkeypatch):
    used = []

    class Eager(Shortcuts):
        """Makes shortcuts as soon as they save anything."""

        def __init__(self, lifted, plain, price, tolerance):
            super().__init__(lifted, plain, 0.0, tolerance)

        def losses(self, *arguments):
            used.append(len(self.routes) > 1)
            return super().losses(*arguments)

    monkeypatch.setattr(tracing, "Shortcuts", Eager)
    check = functools.partial(kgw.check_gradients, samples=5)
    healthy = check(*stacked(rng))
    assert healthy.verdict == "PASS", str(healthy)
    assert any(used)
    used.clear()
    model, x, y = stacked(rng, layers.Lambda(half))
    wrong = check(model, x, y)
    assert any(used)
    first = {v.path for v in model.layers[0].trainable_variables}
    assert {v.path for v in wrong.failures} == first, str(wrong)


def test_the_cheapest_partitions(rng):
    count = 6
    prices = rng.uniform(size=(count, count + 1))
    found = partitions(prices, count)
    assert len(found) == count
    for parts, (mean, edges) in enumerate(found, start=1):
        ways = [
            list(itertools.pairwise([0, *cuts, count]))
            for cuts in itertools.combinations(range(1, count), parts - 1)
        ]
        assert edges in ways
        totals = [sum((j - i) * prices[i, j] for i, j in way) for way in ways]
        assert min(totals) == pytest.approx(totals[ways.index(edges)])
        assert min(totals) == pytest.approx(mean * count)
