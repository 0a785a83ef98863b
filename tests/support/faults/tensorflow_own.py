"""Gradients that TensorFlow itself gets wrong, or NaN where the loss is finite."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tests.support.faults.library import (
    Op,
    WeightedOp,
    compiled,
    fault,
    sandwich,
)
from tests.support.models import normal


def _cumprod(x):
    return tf.math.cumprod(x, axis=-1)


def _cumprod_by_hand(x):
    parts = [x[..., :1]]
    for k in range(1, x.shape[-1]):
        parts.append(parts[-1] * x[..., k : k + 1])
    return tf.concat(parts, -1)


@fault("cumprod, a zero in the data", "shift")
def _(wrong, rng):
    # tensorflow#119430. The zeros meet a bias that is zero at the start.
    inputs = keras.Input((3,))
    op = _cumprod if wrong else _cumprod_by_hand
    shifted = WeightedOp(lambda x, b: x + b, {"bias": np.zeros(3)}, name="shift")(
        inputs
    )
    outputs = keras.layers.Dense(2, name="above")(Op(op)(shifted))
    x = normal(rng, 8, 3) + 2
    x[rng.permutation(8)[:3], rng.permutation(3)] = 0
    return compiled(inputs, outputs), x, normal(rng, 8, 2)


@fault("cumprod, a weight that is zero", "scale")
def _(wrong, rng):
    inputs = keras.Input((3,))
    op = _cumprod if wrong else _cumprod_by_hand
    scaled = WeightedOp(
        lambda x, w: x * op(w), {"factors": [2.0, 0.0, 3.0]}, name="scale"
    )(inputs)
    outputs = keras.layers.Dense(2, name="above")(scaled)
    return compiled(inputs, outputs), normal(rng, 8, 3), normal(rng, 8, 2)


@fault("NaN: where and pow", "below")
def _(wrong, rng):
    # tensorflow#38349: the branch not taken has an infinite slope.
    def op(x):
        inside = x if wrong else tf.where(x > 0, x, tf.ones_like(x))
        return tf.where(x > 0, inside**0.5, tf.zeros_like(x))

    return sandwich(op, rng, activation="relu")


@fault("NaN: select of an exponential that overflows", "below")
def _(wrong, rng):
    # tensorflow#2540
    def op(x):
        x = 4000 * x
        inside = x if wrong else tf.minimum(x, tf.zeros_like(x))
        return tf.where(x > 0, x / 4000, tf.exp(inside))

    return sandwich(op, rng)


@fault("NaN: norm of a difference that is zero", "below/kernel", "below/bias")
def _(wrong, rng):
    # keras#9097: a siamese net that is shown a pair of equal examples.
    def distance(a, b):
        squares = tf.reduce_sum((a - b) ** 2, -1, keepdims=True)
        return tf.sqrt(squares if wrong else squares + 1e-3)

    left, right = keras.Input((4,)), keras.Input((4,))
    below = keras.layers.Dense(5, "tanh", name="below")
    far = Op(distance)(below(left), below(right))
    outputs = keras.layers.Dense(1, name="above")(far)
    pair = normal(rng, 6, 4), normal(rng, 6, 4)
    pair[1][2] = pair[0][2]
    return compiled([left, right], outputs), list(pair), normal(rng, 6, 1)


@fault("NaN: tf.norm at zero", "below")
def _(wrong, rng):
    # tensorflow#12071: an example of zeros, and biases that are still zero.
    def op(x):
        if wrong:
            return x + tf.norm(x, axis=-1, keepdims=True)
        return x + tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True) + 1e-3)

    model, x, y = sandwich(op, rng)
    x[0] = 0
    return model, x, y


@fault("NaN: power by the logarithm, at zero", "power")
def _(wrong, rng):
    # tensorflow#27684: 0 * -inf in the gradient of a trainable exponent.
    def power(x, p):
        return tf.exp(p * tf.math.log(x)) if wrong else tf.pow(x, p)

    inputs = keras.Input((4,))
    powers = WeightedOp(power, {"exponent": np.full(4, 1.5)}, name="power")(inputs)
    outputs = keras.layers.Dense(2, name="above")(powers)
    x = np.maximum(normal(rng, 8, 4), 0)
    return compiled(inputs, outputs), x, normal(rng, 8, 2)


@fault("NaN: logarithm under a mask", "below")
def _(wrong, rng):
    def op(x):
        positive = x > 0.1
        inside = x if wrong else tf.where(positive, x, tf.ones_like(x))
        return tf.where(positive, tf.math.log(inside), tf.zeros_like(x))

    return sandwich(op, rng, activation="relu")
