"""Mistakes that only part of a model, of a batch or of a mode sees."""

from __future__ import annotations

import keras
import tensorflow as tf

from tests.support.faults.library import (
    Op,
    compiled,
    fault,
    sandwich,
    with_backward,
)
from tests.support.models import normal


def _half(wrong):
    return with_backward(tf.identity, lambda dy, x: 0.5 * dy, wrong)


def _dense(units, name):
    return keras.layers.Dense(units, "tanh", name=name)


def _single(inputs, outputs, rng):
    return compiled(inputs, outputs), normal(rng, 12, 6), normal(rng, 12, 2)


@fault("in the second of two heads", "trunk", "second")
def _(wrong, rng):
    inputs = keras.Input((6,))
    trunk = _dense(8, "trunk")(inputs)
    first = keras.layers.Dense(2, name="one")(_dense(4, "first")(trunk))
    second = Op(_half(wrong))(_dense(4, "second")(trunk))
    second = keras.layers.Dense(2, name="two")(second)
    model = compiled(inputs, [first, second], ["mse", "mse"], loss_weights=[1.0, 0.1])
    return model, normal(rng, 12, 6), [normal(rng, 12, 2), normal(rng, 12, 2)]


@fault("in the second of two heads, the trunk cut off", "trunk")
def _(wrong, rng):
    inputs = keras.Input((6,))
    trunk = _dense(8, "trunk")(inputs)
    first = keras.layers.Dense(2, name="one")(trunk)
    cut = Op(tf.stop_gradient if wrong else tf.identity)(trunk)
    second = keras.layers.Dense(2, name="two")(cut)
    model = compiled(inputs, [first, second], ["mse", "mse"])
    return model, normal(rng, 12, 6), [normal(rng, 12, 2), normal(rng, 12, 2)]


@fault("in one of two inputs", "right")
def _(wrong, rng):
    left, right = keras.Input((6,)), keras.Input((6,))
    beside = Op(_half(wrong))(_dense(4, "right")(right))
    both = keras.layers.Concatenate()([_dense(4, "left")(left), beside])
    model = compiled([left, right], keras.layers.Dense(2, name="above")(both))
    return model, [normal(rng, 12, 6), normal(rng, 12, 6)], normal(rng, 12, 2)


@fault("in a nested model", "below", "lower")
def _(wrong, rng):
    inner = keras.Sequential(
        [keras.Input((8,)), _dense(8, "lower"), Op(_half(wrong)), _dense(8, "upper")],
        name="inner",
    )
    inputs = keras.Input((6,))
    hidden = inner(_dense(8, "below")(inputs))
    return _single(inputs, keras.layers.Dense(2, name="above")(hidden), rng)


@fault("in training only", "below")
def _(wrong, rng):
    half = _half(wrong)

    class InTraining(keras.layers.Layer):
        def call(self, x, training=False):
            return half(x) if training else x

    return sandwich(InTraining(), rng)


@fault("residual branch detached", "below", "branch")
def _(wrong, rng):
    inputs = keras.Input((6,))
    below = _dense(8, "below")(inputs)
    branch = _dense(8, "branch")(below)
    branch = Op(tf.stop_gradient if wrong else tf.identity)(branch)
    both = keras.layers.Add()([below, branch])
    return _single(inputs, keras.layers.Dense(2, name="above")(both), rng)


@fault("skip connection without a gradient", "below")
def _(wrong, rng):
    inputs = keras.Input((6,))
    below = _dense(8, "below")(inputs)
    skip = Op(tf.stop_gradient if wrong else tf.identity)(below)
    both = keras.layers.Add()([skip, _dense(8, "branch")(below)])
    return _single(inputs, keras.layers.Dense(2, name="above")(both), rng)


@fault("shared layer: the second use does not count", "shared", "below")
def _(wrong, rng):
    inputs = keras.Input((6,))
    shared = _dense(8, "shared")
    once = shared(_dense(8, "below")(inputs))
    twice = shared(Op(tf.stop_gradient if wrong else tf.identity)(once))
    return _single(inputs, keras.layers.Dense(2, name="above")(twice), rng)


@fault("gate's gradient forgotten", "gate", "below")
def _(wrong, rng):
    inputs = keras.Input((6,))
    below = _dense(8, "below")(inputs)
    gate = keras.layers.Dense(8, "sigmoid", name="gate")(below)
    product = with_backward(
        lambda a, b: a * b, lambda dy, a, b: (dy * b, tf.zeros_like(dy)), wrong
    )
    gated = Op(product)(_dense(8, "value")(below), gate)
    return _single(inputs, keras.layers.Dense(2, name="above")(gated), rng)


@fault("quotient without the denominator's gradient", "below", "under")
def _(wrong, rng):
    inputs = keras.Input((6,))
    below = _dense(8, "below")(inputs)
    under = keras.layers.Dense(8, "softplus", name="under")(below)
    quotient = with_backward(
        lambda a, b: a / (1 + b), lambda dy, a, b: (dy / (1 + b), 0 * dy), wrong
    )
    ratio = Op(quotient)(_dense(8, "over")(below), under)
    return _single(inputs, keras.layers.Dense(2, name="above")(ratio), rng)


@fault("concatenation split at the wrong place", "left", "right")
def _(wrong, rng):
    inputs = keras.Input((6,))
    join = with_backward(
        lambda a, b: tf.concat([a, b], -1),
        lambda dy, a, b: (dy[:, 4:], dy[:, :4]),
        wrong,
    )
    both = Op(join)(_dense(4, "left")(inputs), _dense(4, "right")(inputs))
    return _single(inputs, keras.layers.Dense(2, name="above")(both), rng)


@fault("average of two branches without the half", "left", "right")
def _(wrong, rng):
    inputs = keras.Input((6,))
    mean = with_backward(lambda a, b: (a + b) / 2, lambda dy, a, b: (dy, dy), wrong)
    both = Op(mean)(_dense(8, "left")(inputs), _dense(8, "right")(inputs))
    return _single(inputs, keras.layers.Dense(2, name="above")(both), rng)


@fault("mixture of experts: the router detached", "router")
def _(wrong, rng):
    inputs = keras.Input((6,))
    router = keras.layers.Dense(2, "softmax", name="router")(inputs)
    router = Op(tf.stop_gradient if wrong else tf.identity)(router)
    mix = Op(lambda a, b, r: a * r[:, :1] + b * r[:, 1:])
    mixed = mix(_dense(8, "one")(inputs), _dense(8, "two")(inputs), router)
    return _single(inputs, keras.layers.Dense(2, name="above")(mixed), rng)


@fault("two faults, one above the other", "below", "middle")
def _(wrong, rng):
    inputs = keras.Input((6,))
    below = Op(with_backward(tf.identity, lambda dy, x: 2.0 * dy, wrong))(
        _dense(8, "below")(inputs)
    )
    middle = Op(with_backward(tf.identity, lambda dy, x: 3.0 * dy, wrong))(
        _dense(8, "middle")(below)
    )
    return _single(inputs, keras.layers.Dense(2, name="above")(middle), rng)
