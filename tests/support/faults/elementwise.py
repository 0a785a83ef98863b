"""Wrong derivatives of functions between two dense layers."""

from __future__ import annotations

import tensorflow as tf

from tests.support.faults.library import (
    MISTAKES,
    Mistake,
    fault,
    sandwich,
    with_backward,
)


def _between(name, forward, backward, **options):
    """Registers a sandwich whose middle has a wrong backward pass."""
    usual = {k: v for k, v in options.items() if k in ("activation", "spread")}
    MISTAKES[name] = Mistake(forward, backward, **usual)

    @fault(name, "below")
    def build(wrong, rng):
        return sandwich(with_backward(forward, backward, wrong), rng, **options)


def _first(like, axis):
    """1 for the first example (axis 0) or unit (axis 1), else 0."""
    shape = [1, 1]
    shape[axis] = -1
    hot = tf.one_hot(0, tf.shape(like)[axis], dtype=like.dtype)
    return tf.reshape(hot, shape)


def _where(condition, dy, factor):
    return tf.where(condition, factor * dy, dy)


def _rms_norm(x):
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-3)


def _layer_norm(x):
    return _rms_norm(x - tf.reduce_mean(x, -1, keepdims=True))


def _layer_norm_without_mean(dy, x):
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    scale = tf.math.rsqrt(variance + 1e-3)
    y = (x - mean) * scale
    return scale * (dy - y * tf.reduce_mean(dy * y, -1, keepdims=True))


def _rms_norm_detached(dy, x):
    return dy * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + 1e-3)


_between("ignores dy", tf.identity, lambda dy, x: tf.ones_like(x))
_between("scaled by 1.003", tf.identity, lambda dy, x: 1.003 * dy)
_between("scaled by 0.5", tf.identity, lambda dy, x: 0.5 * dy)
_between("scaled by 2", tf.identity, lambda dy, x: 2.0 * dy)
_between("negated", tf.identity, lambda dy, x: -dy)
_between("zeroed", tf.identity, lambda dy, x: tf.zeros_like(dy))
_between("wrong for negative inputs", tf.identity, lambda dy, x: _where(x < 0, dy, 0.9))
_between(
    "wrong in the tail",
    tf.identity,
    lambda dy, x: _where(tf.abs(x) > 2, dy, 0.5),
    activation=None,
    spread=1.25,
    examples=24,
)
_between("one example dropped", tf.identity, lambda dy, x: dy * (1 - _first(x, 0)))
_between(
    "one of 16 units scaled by 0.9",
    tf.identity,
    lambda dy, x: dy * (1 - 0.1 * _first(x, 1)),
    units=16,
)
_between(
    "one of 32 units dropped",
    tf.identity,
    lambda dy, x: dy * (1 - _first(x, 1)),
    units=32,
)
_between(
    "averaged over the batch",
    tf.identity,
    lambda dy, x: tf.zeros_like(dy) + tf.reduce_mean(dy, 0),
)
_between(
    "GELU's gradient taken as ReLU's",
    lambda x: tf.nn.gelu(x),
    lambda dy, x: _where(x < 0, dy, 0.0),
    activation=None,
)
_between(
    "GELU's gradient by its sigmoid approximation",
    lambda x: tf.nn.gelu(x),
    lambda dy, x: dy * tf.sigmoid(1.702 * x),
    activation=None,
)
_between(
    "sigmoid's gradient without 1 - y",
    tf.sigmoid,
    lambda dy, x: dy * tf.sigmoid(x),
    activation=None,
)
_between(
    "tanh's gradient without the square",
    tf.tanh,
    lambda dy, x: dy * (1 - tf.tanh(x)),
    activation=None,
)
_between(
    "swish's gradient without its second term",
    tf.nn.silu,
    lambda dy, x: dy * tf.sigmoid(x),
    activation=None,
)
_between(
    "leaky ReLU with another slope",
    lambda x: tf.nn.leaky_relu(x, 0.2),
    lambda dy, x: _where(x < 0, dy, 0.3),
    activation=None,
)
_between("square without the factor 2", tf.square, lambda dy, x: dy * x)
_between(
    "clip that leaks",
    lambda x: tf.clip_by_value(x, -1.0, 1.0),
    lambda dy, x: dy,
    activation=None,
    spread=1.25,
)
_between(
    "clip with one side open",
    lambda x: tf.clip_by_value(x, -1.0, 1.0),
    lambda dy, x: _where(x > 1, dy, 0.0),
    activation=None,
    spread=1.25,
)
_between(
    "exponential's gradient with a cap",
    tf.exp,
    lambda dy, x: dy * tf.exp(tf.minimum(x, tf.cast(1.0, x.dtype))),
    activation=None,
)
_between(
    "shift by one, backward in the same sense",
    lambda x: tf.roll(x, 1, 1),
    lambda dy, x: tf.roll(dy, 1, 1),
)
_between(
    "flip forgotten on the way back", lambda x: tf.reverse(x, [1]), lambda dy, x: dy
)
_between(
    "softmax with the diagonal only",
    tf.nn.softmax,
    lambda dy, x: dy * tf.nn.softmax(x) * (1 - tf.nn.softmax(x)),
)
_between(
    "centring not centred",
    lambda x: x - tf.reduce_mean(x, -1, keepdims=True),
    lambda dy, x: dy,
)
_between("layer norm without the mean term", _layer_norm, _layer_norm_without_mean)
_between("RMS norm with a detached norm", _rms_norm, _rms_norm_detached)
_between("sorted, but not sorted back", lambda x: tf.sort(x, -1), lambda dy, x: dy)


@fault("straight-through rounding, not declared", "below", twin=None)
def _(wrong, rng):
    op = with_backward(lambda x: tf.round(4 * x) / 4, lambda dy, x: dy, wrong)
    return sandwich(op, rng)


@fault("sign with a hard-tanh gradient, not declared", "below", twin=None)
def _(wrong, rng):
    op = with_backward(tf.sign, lambda dy, x: _where(tf.abs(x) > 1, dy, 0.0), wrong)
    return sandwich(op, rng)


@fault("gradient reversal, not declared", "below")
def _(wrong, rng):
    return sandwich(with_backward(tf.identity, lambda dy, x: -0.1 * dy, wrong), rng)


@fault("stop_gradient left in", "below")
def _(wrong, rng):
    return sandwich(tf.stop_gradient if wrong else tf.identity, rng)
