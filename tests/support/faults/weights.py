"""Wrong gradients of the weights of a layer, rather than of its input."""

from __future__ import annotations

import keras
import tensorflow as tf

from tests.support.faults.library import (
    WeightedOp,
    compiled,
    fault,
    sandwich,
    with_backward,
)
from tests.support.models import normal


def _dense(x, kernel):
    return x @ kernel


def _dense_backward(of_input, of_kernel):
    """A dense layer's backward pass with changes to its two gradients."""

    def backward(dy, x, kernel):
        return (
            of_input(tf.matmul(dy, kernel, transpose_b=True)),
            of_kernel(tf.matmul(x, dy, transpose_a=True)),
        )

    return backward


def _same(gradient):
    return gradient


def _masked(gradient, row=None, column=None, factor=0.0):
    """A gradient with a row, a column or an entry multiplied by a factor."""
    rows, columns = gradient.shape
    hot = tf.ones_like(gradient)
    if row is not None:
        hot *= tf.one_hot(row, rows, dtype=gradient.dtype)[:, None]
    if column is not None:
        hot *= tf.one_hot(column, columns, dtype=gradient.dtype)[None, :]
    return gradient * (1 + (factor - 1) * hot)


def _in_kernel(name, change, size=8):
    """Registers a dense layer "middle" whose kernel gradient is changed."""

    @fault(name, "middle")
    def build(wrong, rng):
        op = with_backward(_dense, _dense_backward(_same, change), wrong)
        middle = WeightedOp(op, {"kernel": (size, size)}, name="middle")
        return sandwich(middle, rng, units=size)


_in_kernel("kernel gradient transposed", tf.transpose)
_in_kernel("kernel gradient halved", lambda g: g / 2)
_in_kernel("kernel gradient divided by the batch size", lambda g: g / 12)
_in_kernel("one column of the kernel gradient zero", lambda g: _masked(g, column=3))
_in_kernel("one row of the kernel gradient negated", lambda g: _masked(g, 2, None, -1))
_in_kernel("last row of the kernel gradient missing", lambda g: _masked(g, row=7))
_in_kernel("kernel gradient rounded to two decimals", lambda g: tf.round(100 * g) / 100)
_in_kernel("kernel gradient clipped", lambda g: tf.clip_by_norm(g, 0.01))
_in_kernel("one entry of 64 x 64 negated", lambda g: _masked(g, 5, 7, -1), size=64)
_in_kernel("one entry of 64 x 64 doubled", lambda g: _masked(g, 40, 21, 2), size=64)
_in_kernel("one row of 64 x 64 zero", lambda g: _masked(g, row=63), size=64)


@fault("one entry of 64 x 64 off by the typical size", "middle")
def _(wrong, rng):
    def off(g):
        typical = tf.sqrt(tf.reduce_mean(g * g))
        return (
            g
            + typical
            * tf.one_hot(11, 64, dtype=g.dtype)
            * tf.one_hot(33, 64, dtype=g.dtype)[:, None]
        )

    op = with_backward(_dense, _dense_backward(_same, off), wrong)
    middle = WeightedOp(op, {"kernel": (64, 64)}, name="middle")
    return sandwich(middle, rng, units=64)


@fault("input gradient with the kernel not transposed", "below")
def _(wrong, rng):
    def backward(dy, x, kernel):
        return tf.matmul(dy, kernel), tf.matmul(x, dy, transpose_a=True)

    op = with_backward(_dense, backward, wrong)
    return sandwich(WeightedOp(op, {"kernel": (8, 8)}, name="middle"), rng)


def _bias(name, backward):
    @fault(name, "middle")
    def build(wrong, rng):
        op = with_backward(
            lambda x, bias: x + bias, lambda dy, x, bias: (dy, backward(dy)), wrong
        )
        middle = WeightedOp(op, {"bias": (8,)}, name="middle")
        return sandwich(middle, rng, examples=8)


_bias("bias gradient summed over the wrong axis", lambda dy: tf.reduce_sum(dy, 1))
_bias("bias gradient averaged instead of summed", lambda dy: tf.reduce_mean(dy, 0))
_bias("bias gradient of the first example only", lambda dy: dy[0])


@fault("scale's gradient forgets the input", "middle")
def _(wrong, rng):
    op = with_backward(
        lambda x, scale: x * scale,
        lambda dy, x, scale: (dy * scale, tf.reduce_sum(dy, 0)),
        wrong,
    )
    return sandwich(WeightedOp(op, {"scale": (8,)}, name="middle"), rng)


class _Variables(keras.layers.Layer):
    """A dense layer whose custom gradient gets its kernel as a variable."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 8), name="kernel")

    def call(self, x):
        @tf.custom_gradient
        def op(x):
            kernel = tf.convert_to_tensor(self.kernel)

            def backward(dy, variables=None):
                of_input = tf.matmul(dy, kernel, transpose_b=True)
                if not variables:
                    return of_input
                of_kernel = tf.matmul(x, dy, transpose_a=True)
                return of_input, [self.factor(of_kernel) for _ in variables]

            return x @ kernel, backward

        return op(x)


def _variables(name, factor):
    @fault(name, "middle")
    def build(wrong, rng):
        return sandwich(_Variables(factor if wrong else _same, name="middle"), rng)


_variables("gradient of `variables` dropped", lambda g: None)
_variables("gradient of `variables` zero", tf.zeros_like)
_variables("gradient of `variables` scaled", lambda g: 1.1 * g)


class _Norm(keras.regularizers.Regularizer):
    """0.1 times the sum of squares, with or without the factor 2."""

    def __init__(self, wrong):
        self.penalty = with_backward(
            lambda w: 0.1 * tf.reduce_sum(w * w), lambda dy, w: dy * 0.1 * w, wrong
        )

    def __call__(self, x):
        return self.penalty(tf.convert_to_tensor(x))


def _regularized(wrong, rng, **which):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, "tanh", name="below")(inputs)
    hidden = keras.layers.Dense(
        8, "tanh", name="middle", **{name: _Norm(wrong) for name in which}
    )(hidden)
    outputs = keras.layers.Dense(3, name="above")(hidden)
    return compiled(inputs, outputs), normal(rng, 12, 6), normal(rng, 12, 3)


@fault("regulariser without the factor 2", "middle/kernel")
def _(wrong, rng):
    return _regularized(wrong, rng, kernel_regularizer=True)


@fault("activity regulariser without the factor 2", "below", "middle")
def _(wrong, rng):
    return _regularized(wrong, rng, activity_regularizer=True)


@fault("added loss without the factor 2", "below")
def _(wrong, rng):
    class Added(keras.layers.Layer):
        def call(self, x):
            self.add_loss(_Norm(wrong)(x))
            return x

    return sandwich(Added(), rng)
