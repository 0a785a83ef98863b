"""Training with the callback is bitwise training without it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.fits import (
    digits,
    everything_after_fit,
    recurrent,
    subclassed,
    two_outputs,
)
from tests.support.marks import first

MODELS = (digits, subclassed, recurrent, two_outputs)
# How to compile, how to fit, what becomes of dropout.
WAYS = {
    "graph": ({}, {}, "bypass"),
    "freeze": ({}, {}, "freeze"),
    "jit": ({"jit_compile": True}, {}, "bypass"),
    "eager": ({"run_eagerly": True}, {}, "bypass"),
    "steps": ({"steps_per_execution": 3}, {}, "bypass"),
    "ragged": ({}, {"validation_split": 0.25}, "bypass"),
}
# Each way once and each model once; of the other pairs each second is long, or slow.
LONG, SLOW = pytest.mark.long, pytest.mark.slow
SHORT = {
    ("graph", digits),
    ("freeze", recurrent),
    ("jit", subclassed),
    ("eager", two_outputs),
    ("steps", subclassed),
    ("ragged", two_outputs),
}


@pytest.mark.parametrize(
    ("way", "build"),
    [
        pytest.param(
            way,
            build,
            marks=[] if (way, build) in SHORT else (LONG, SLOW)[(i + j) % 2],
            id=f"{way}-{build.__name__}",
        )
        for i, way in enumerate(WAYS)
        for j, build in enumerate(MODELS)
    ],
)
def test_training_is_bitwise_untouched(way, build):
    compiled, fitted, dropout = WAYS[way]
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, dropout=dropout, verbose=0)
    without = everything_after_fit(build, compiled, fitted, [])
    with_check = everything_after_fit(build, compiled, fitted, [check])
    assert len(check.reports) >= 3
    assert {r.verdict for r in check.reports} == {"PASS"}
    assert without.keys() == with_check.keys()
    for name, values in without.items():
        np.testing.assert_equal(with_check[name], values, err_msg=name)


class Unseeded(layers.Layer):
    """Draws from TensorFlow's own stream."""

    def call(self, x, training=False):
        return x + tf.random.normal(tf.shape(x), dtype=x.dtype) if training else x


def unseeded(rng):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), Unseeded()])
    x = rng.normal(size=(40, 4)).astype("float32")
    return model, x, rng.integers(0, 3, 40)


@pytest.mark.parametrize("eagerly", first([True, False]))
def test_a_check_does_not_move_the_stream_of_tensorflow(eagerly):
    compiled = {"run_eagerly": eagerly, "jit_compile": False}
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, verbose=0)
    without = everything_after_fit(unseeded, compiled, {}, [])
    with_check = everything_after_fit(unseeded, compiled, {}, [check])
    assert {r.verdict for r in check.reports} == {"PASS"}
    np.testing.assert_equal(with_check, without)
