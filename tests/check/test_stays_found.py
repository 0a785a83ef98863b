"""In one fit, what failed once is FAIL at each check until it is shown to be right."""

from __future__ import annotations

import warnings

import keras
import pytest

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.small_models import halved

layers = keras.layers


def fitted(depth, rng, **options):
    h = start = keras.Input((6,))
    for _ in range(depth):
        h = h + layers.Dense(6, "tanh")(layers.Lambda(halved)(h))
    model = keras.Model(start, layers.Dense(3)(h))
    model.compile("adam", "mse")
    check = kgw.GradientCheck(warmup_steps=1, check_freq=3, verbose=0, **options)
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", kgw.GradientMismatchWarning)
        model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[check])
    return check.reports


def failed(report):
    return {v.path for v in report.variables if v.verdict == "FAIL"}


@pytest.mark.parametrize("budget", first([None, 60.0]))
def test_a_mistake_does_not_fade(budget, rng):
    before: set[str] = set()
    for report in fitted(4, rng, time_budget=budget):
        assert report.verdict == "FAIL"
        assert failed(report) >= before
        before = failed(report)
    # All before the last of the mistakes; the layer that holds it is right.
    assert len(before) <= 6


def test_what_failed_is_cheap_to_show_again(rng):
    first, *others = fitted(4, rng, time_budget=60.0)
    assert max(r.evaluations for r in others) <= first.evaluations / 3
    assert all(failed(r) == failed(first) for r in others)
