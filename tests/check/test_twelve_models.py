"""Twelve kinds of models: right after some training, wrong with a fault inside."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from tests.support.models import MODELS

MARKS = {
    "dense": pytest.mark.basic,
    "conv_batch_norm": pytest.mark.basic,
    "lstm": (pytest.mark.basic, pytest.mark.long),
    "mobilenet_v2": pytest.mark.slow,
}
OTHERS = pytest.mark.long

every_model = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=MARKS.get(name, OTHERS)) for name in MODELS]
)


def trained(name, wrong, seed=0):
    """An example after a little training, and its last batch."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    example = MODELS[name](wrong, np.random.default_rng(seed))
    x, y, size = example.x, example.y, example.batch_size
    example.model.fit(x, y, batch_size=size, epochs=2, shuffle=False, verbose=0)
    start = (len(tf.nest.flatten(y)[0]) - 1) // size * size
    return example, tf.nest.map_structure(lambda leaf: leaf[start:], (x, y))


def test_there_are_twelve():
    assert len(MODELS) == 12


@every_model
def test_a_healthy_model_passes(name):
    example, batch = trained(name, wrong=False)
    report = kgw.check_gradients(example.model, *batch, **example.options)
    assert report.verdict == "PASS", str(report)
    for v in report.variables:
        verdict = "PASS" if example.has_influence(v.path) else "ZERO"
        assert v.verdict == verdict, str(report)
        assert v.coverage == 1


@every_model
def test_a_fault_fails_upstream_and_nowhere_else(name):
    example, batch = trained(name, wrong=True)
    report = kgw.check_gradients(example.model, *batch, **example.options)
    upstream = {
        v.path
        for v in report.variables
        if example.is_upstream(v.path) and example.has_influence(v.path)
    }
    assert upstream
    assert {v.path for v in report.failures} == upstream, str(report)
    for v in report.variables:
        if v.path not in upstream:
            verdict = "PASS" if example.has_influence(v.path) else "ZERO"
            assert v.verdict == verdict, str(report)


@pytest.mark.basic
def test_assert_gradients_tells_the_two_apart():
    example, batch = trained("dense", wrong=False)
    assert kgw.assert_gradients(example.model, *batch).passed
    example, batch = trained("dense", wrong=True)
    with pytest.raises(kgw.GradientMismatchError, match="first/kernel"):
        kgw.assert_gradients(example.model, *batch)


def test_the_ragged_batch_is_smaller_than_the_others():
    example, (x, _) = trained("ragged_last_batch", wrong=False)
    assert len(x) == 4
    assert len(example.x) % example.batch_size == 4
