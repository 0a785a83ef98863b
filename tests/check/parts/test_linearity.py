"""A backward pass has to be linear in its upstream gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.parts import X, verdicts


def sine(change):
    """`sin(x)`, whose backward pass does something to its upstream."""
    return tf.custom_gradient(lambda x: (tf.sin(x), lambda dy: change(dy) * tf.cos(x)))


WRONG = {
    "clipped": lambda dy: tf.clip_by_value(dy, -2.0, 2.0),
    "small ones dropped": lambda dy: tf.where(tf.abs(dy) < 1e-3, 0 * dy, dy),
    "nothing where half is zero": lambda dy: tf.where(
        tf.reduce_any(tf.equal(dy, 0)), 0 * dy, dy
    ),
    "something where it is zero": lambda dy: tf.where(tf.equal(dy, 0), 1 + 0 * dy, dy),
    "clipped by its norm": lambda dy: tf.clip_by_norm(dy, 50.0),
    "not a number where it is zero": lambda dy: dy * dy / dy,
    "saturated": lambda dy: tf.where(tf.abs(dy) > 3, 3 * tf.tanh(dy), dy),
}
RIGHT = {
    "as it is": lambda dy: dy,
    "clipped in vain": lambda dy: tf.clip_by_value(dy, -1e30, 1e30),
    "there and back": lambda dy: (
        tf.math.cumsum(tf.cumsum(dy, 1), 1, reverse=True)
        - tf.math.cumsum(tf.cumsum(dy, 1), 1, reverse=True)
        + dy
    ),
}


@pytest.mark.parametrize("what", first(WRONG, 4))
def test_a_backward_pass_that_is_not(what):
    report = kgw.check_function(sine(WRONG[what]), X)
    assert verdicts(report) == {"x": "FAIL"}, str(report)
    assert "not linear in its upstream" in report.variables[0].reason
    error = report.variables[0].relative_error
    assert error is None or error > 1e-3  # as large as what decided
    assert "not linear" in str(report)


@pytest.mark.parametrize("what", first(RIGHT))
def test_a_backward_pass_that_is(what):
    assert kgw.check_function(sine(RIGHT[what]), X).passed


def test_in_layers_and_losses():
    clipped = sine(WRONG["clipped"])
    layer = keras.Sequential([layers.Dense(3, name="d"), layers.Activation(clipped)])
    report = kgw.check_layer(layer, X)
    assert {v.verdict for v in report.variables} == {"FAIL"}

    def loss(y_true, y_pred):
        return tf.reduce_mean(clipped(y_pred) - y_true, -1)

    assert verdicts(kgw.check_loss(loss, X, X)) == {"y_pred": "FAIL"}


def test_where_it_is_meant_it_can_be_declared():
    report = kgw.check_function(sine(WRONG["clipped"]), X, expected=("x",))
    assert verdicts(report) == {"x": "EXPECTED"}


def test_entries_that_cancel_out_are_no_mistake():
    assert not kgw.check_layer(layers.BatchNormalization(), 1e3 + X).failures
    assert not kgw.check_function(lambda x: x - tf.reduce_mean(x) - x, X).failures
    with_floor = kgw.check_function(lambda x: tf.floor(x) + x - x, X)
    assert not with_floor.failures


def test_what_is_too_large_for_a_larger_upstream_is_no_mistake():
    x = np.linspace(0.1, 0.9, 6)
    assert kgw.check_function(lambda x: 1e305 * tf.sin(x), x).passed


def test_half_precision_overflows_rightly():
    x = np.linspace(0.1, 0.9, 6, dtype="float16")
    assert kgw.check_function(lambda x: 300 * tf.sin(x), x).passed
