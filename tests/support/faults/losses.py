"""Wrong gradients of losses: everything is upstream of them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tests.support.faults.library import compiled, fault, with_backward
from tests.support.models import normal


def _model(loss, rng, outputs=3):
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, "tanh", name="below")(inputs)
    model = compiled(inputs, keras.layers.Dense(outputs, name="above")(hidden), loss)
    return model, normal(rng, 12, 6)


def _classes(name, forward, backward):
    """Registers a loss of one-hot labels and logits."""

    @fault(name, "below", "above")
    def build(wrong, rng):
        def loss(y_true, y_pred):
            op = with_backward(
                lambda z: forward(y_true, z),
                lambda dy, z: backward(dy, y_true, z),
                wrong,
            )
            return op(y_pred)

        model, x = _model(loss, rng)
        return model, x, np.eye(3, dtype="float32")[rng.integers(0, 3, 12)]


def _values(name, forward, backward):
    """Registers a loss of three real targets."""

    @fault(name, "below", "above")
    def build(wrong, rng):
        def loss(y_true, y_pred):
            op = with_backward(
                lambda z: forward(y_true, z),
                lambda dy, z: backward(dy, y_true, z),
                wrong,
            )
            return op(y_pred)

        model, x = _model(loss, rng)
        return model, x, 2 * normal(rng, 12, 3)


def _cross_entropy(y, z):
    return tf.nn.softmax_cross_entropy_with_logits(y, z)


def _smooth(y):
    return 0.8 * y + 0.2 / 3


def _softmax_minus(y, z):
    return tf.nn.softmax(z) - y


def _huber(y, z):
    r = tf.abs(y - z)
    return tf.reduce_sum(tf.where(r < 1, r * r / 2, r - 0.5), -1)


_classes(
    "cross entropy without subtracting the one-hot",
    _cross_entropy,
    lambda dy, y, z: dy[:, None] * tf.nn.softmax(z),
)
_classes(
    "cross entropy with the probability of the class only",
    _cross_entropy,
    lambda dy, y, z: dy[:, None] * _softmax_minus(y, z) * y,
)
_classes(
    "cross entropy with the wrong sign for one class",
    _cross_entropy,
    lambda dy, y, z: (
        dy[:, None] * _softmax_minus(y, z) * tf.constant([1, -1, 1], z.dtype)
    ),
)
_classes(
    "label smoothing ignored",
    lambda y, z: _cross_entropy(_smooth(y), z),
    lambda dy, y, z: dy[:, None] * _softmax_minus(y, z),
)
_classes(
    "batch mean without 1 / n",
    lambda y, z: tf.reduce_mean(_cross_entropy(y, z)),
    lambda dy, y, z: dy * _softmax_minus(y, z),
)
_classes(
    "focal loss with cross entropy's gradient",
    lambda y, z: _cross_entropy(y, z) * (1 - tf.reduce_sum(y * tf.nn.softmax(z), -1)),
    lambda dy, y, z: dy[:, None] * _softmax_minus(y, z),
)
_classes(
    "class weights ignored",
    lambda y, z: (
        _cross_entropy(y, z) * tf.linalg.matvec(y, tf.constant([1, 2, 5], z.dtype))
    ),
    lambda dy, y, z: dy[:, None] * _softmax_minus(y, z),
)
_values(
    "squared error without the factor 2",
    lambda y, z: tf.reduce_mean((y - z) ** 2, -1),
    lambda dy, y, z: dy[:, None] * (z - y) / 3,
)
_values(
    "squared error with the signs swapped",
    lambda y, z: tf.reduce_mean((y - z) ** 2, -1),
    lambda dy, y, z: dy[:, None] * (y - z) * 2 / 3,
)
_values(
    "Huber loss with the square's gradient",
    _huber,
    lambda dy, y, z: dy[:, None] * (z - y),
)
_values(
    "absolute error with a blunt sign",
    lambda y, z: tf.reduce_sum(tf.abs(y - z), -1),
    lambda dy, y, z: dy[:, None] * tf.tanh(4 * (z - y)),
)
_values(
    "log-cosh with the identity's gradient",
    lambda y, z: tf.reduce_sum(tf.math.log(tf.cosh(y - z)), -1),
    lambda dy, y, z: dy[:, None] * (z - y),
)
_values(
    "gradient of the largest error only",
    lambda y, z: tf.reduce_sum((y - z) ** 2, -1),
    lambda dy, y, z: (
        2
        * dy[:, None]
        * (z - y)
        * tf.cast(
            tf.abs(z - y) == tf.reduce_max(tf.abs(z - y), -1, keepdims=True), z.dtype
        )
    ),
)


@fault("sample weights ignored", "below", "above")
def _(wrong, rng):
    def loss(y_true, y_pred):
        y, weight = y_true[:, :3], y_true[:, 3]
        op = with_backward(
            lambda z: weight * tf.reduce_sum((y - z) ** 2, -1),
            lambda dy, z: dy[:, None] * 2 * (z - y),
            wrong,
        )
        return op(y_pred)

    model, x = _model(loss, rng)
    weights = rng.uniform(0.2, 3, (12, 1)).astype("float32")
    return model, x, np.concatenate([normal(rng, 12, 3), weights], 1)


@fault("incoming weights ignored", "below", "above")
def _(wrong, rng):
    def loss(y_true, y_pred):
        op = with_backward(
            lambda z: tf.reduce_mean((y_true - z) ** 2, -1),
            lambda dy, z: 2 / 36 * (z - y_true),
            wrong,
        )
        return op(y_pred)

    model, x = _model(loss, rng)
    weights = rng.uniform(0.2, 3, 12).astype("float32")
    return model, x, normal(rng, 12, 3), weights
