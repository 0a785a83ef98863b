"""Wrong backward passes of convolutions, pooling and normalisation."""

from __future__ import annotations

import keras
import tensorflow as tf

from tests.support.faults.library import (
    Op,
    WeightedOp,
    compiled,
    fault,
    with_backward,
)
from tests.support.models import normal


def _sandwich(middle, rng, *, examples=4, activation="tanh"):
    """Conv2D "below", something in the middle, Dense "above"."""
    inputs = keras.Input((6, 6, 2))
    hidden = keras.layers.Conv2D(3, 3, activation=activation, name="below")(inputs)
    for layer in middle if isinstance(middle, list) else [middle]:
        hidden = layer(hidden)
    outputs = keras.layers.Dense(2, name="above")(keras.layers.Flatten()(hidden))
    model = compiled(inputs, outputs)
    return model, normal(rng, examples, 6, 6, 2), normal(rng, examples, 2)


def _conv(x, kernel):
    return tf.nn.conv2d(x, kernel, 1, "SAME")


def _convolution(name, *upstream, of_input=None, of_kernel=None):
    """Registers a convolution "middle" with one of its gradients changed."""

    def backward(dy, x, kernel):
        used = of_input(kernel) if of_input else kernel
        dx = tf.nn.conv2d_transpose(dy, used, tf.shape(x), 1, "SAME")
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            y = _conv(x, kernel)
        dk = tape.gradient(y, kernel, dy)
        return dx, of_kernel(dk) if of_kernel else dk

    @fault(name, *upstream)
    def build(wrong, rng):
        op = with_backward(_conv, backward, wrong)
        return _sandwich(WeightedOp(op, {"kernel": (3, 3, 3, 3)}, name="middle"), rng)


_convolution(
    "convolution: kernel flipped on the way back",
    "below",
    of_input=lambda k: tf.reverse(k, [0, 1]),
)
_convolution(
    "convolution: channels transposed on the way back",
    "below",
    of_input=lambda k: tf.transpose(k, [0, 1, 3, 2]),
)
_convolution(
    "convolution: kernel gradient flipped",
    "middle",
    of_kernel=lambda g: tf.reverse(g, [0, 1]),
)
_convolution(
    "convolution: kernel gradient shifted by one",
    "middle",
    of_kernel=lambda g: tf.roll(g, 1, 1),
)
_convolution(
    "convolution: kernel gradient of one channel missing",
    "middle",
    of_kernel=lambda g: g * tf.constant([1.0, 1.0, 0.0], g.dtype),
)


def _max_pool(x):
    return tf.nn.max_pool2d(x, 2, 2, "VALID")


def _to_the_first(dy, x):
    """Routes the gradient to the upper left corner of each window."""
    corner = tf.stack([dy, *[tf.zeros_like(dy)] * 3], -1)
    corner = tf.transpose(corner, [0, 3, 1, 2, 4])
    return tf.nn.depth_to_space(
        tf.concat([tf.transpose(corner[..., k], [0, 2, 3, 1]) for k in range(4)], -1), 2
    )


def _to_all(dy, x):
    return tf.repeat(tf.repeat(dy, 2, 1), 2, 2)


def _up(x):
    return tf.repeat(tf.repeat(x, 2, 1), 2, 2)


def _between(name, forward, backward, **options):
    @fault(name, "below")
    def build(wrong, rng):
        return _sandwich(Op(with_backward(forward, backward, wrong)), rng, **options)


_between("max pooling to the wrong place", _max_pool, _to_the_first)
_between("max pooling to every place", _max_pool, _to_all)
_between(
    "average pooling without 1 / n",
    lambda x: tf.nn.avg_pool2d(x, 2, 2, "VALID"),
    _to_all,
)
_between(
    "global pooling averaged over the wrong count",
    lambda x: tf.reduce_mean(x, [1, 2]),
    lambda dy, x: tf.zeros_like(x) + dy[:, None, None, :] / 12,
)
_between("upsampling not summed", _up, lambda dy, x: dy[:, ::2, ::2])
_between("upsampling averaged", _up, lambda dy, x: tf.nn.avg_pool2d(dy, 2, 2, "VALID"))
_between(
    "padding: gradient cut at the wrong end",
    lambda x: tf.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]]),
    lambda dy, x: dy[:, :-1, :-1],
)
_between(
    "reshape back in another order",
    lambda x: tf.reshape(x, [-1, 48]),
    lambda dy, x: tf.transpose(tf.reshape(dy, [-1, 4, 4, 3]), [0, 2, 1, 3]),
)


class _BatchNorm(keras.layers.Layer):
    """Batch normalisation whose moments may be detached."""

    def __init__(self, mean_detached, variance_detached, **kwargs):
        super().__init__(**kwargs)
        self.detached = mean_detached, variance_detached

    def call(self, x):
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        mean_detached, variance_detached = self.detached
        if mean_detached:
            mean = tf.stop_gradient(mean)
        if variance_detached:
            variance = tf.stop_gradient(variance)
        return (x - mean) * tf.math.rsqrt(variance + 1e-3)


@fault("batch norm with detached moments", "below")
def _(wrong, rng):
    return _sandwich([_BatchNorm(wrong, wrong), Op(tf.tanh)], rng)


@fault("batch norm with a detached variance", "below")
def _(wrong, rng):
    return _sandwich([_BatchNorm(False, wrong), Op(tf.tanh)], rng)


@fault("batch norm with a detached mean", "below")
def _(wrong, rng):
    return _sandwich([_BatchNorm(wrong, False), Op(tf.tanh)], rng)
