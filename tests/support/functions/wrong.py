"""Functions whose derivative TensorFlow gets wrong, and those that have none.

tests/zoo/test_wrong_in_tensorflow.py holds the evidence for the former.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tests.support.functions.arguments import M, between, constant, normal

ops = keras.ops

_ZERO = [constant(np.array([2.0, 3.0, 0.0]))]
_LABELS = between(0.2, 1, *M)(np.random.default_rng(0))


def _logarithm(x):
    """That of a symmetric matrix."""
    w, v = tf.linalg.eigh((x + tf.transpose(x)) / 2)
    return tf.matmul(v * tf.math.log(w), v, transpose_b=True)


# The gradient itself is wrong.
WRONG = {
    # tensorflow#119430
    "tf.math.cumprod, of a zero": (tf.math.cumprod, _ZERO),
    "keras.ops.cumprod, of a zero": (ops.cumprod, _ZERO),
    # It has none, and says None.
    "tf.image.hsv_to_rgb": (tf.image.hsv_to_rgb, [between(0.1, 0.9, 2, 2, 3)]),
    "keras.ops.image.hsv_to_rgb": (
        ops.image.hsv_to_rgb,
        [between(0.1, 0.9, 1, 2, 2, 3)],
    ),
    # tensorflow#56961, tensorflow#7397: what is overwritten gets a gradient, too.
    "tf.tensor_scatter_nd_update, an index twice": (
        lambda x: tf.tensor_scatter_nd_update(tf.zeros(4, x.dtype), [[0], [0], [2]], x),
        [normal(3)],
    ),
    "tf.dynamic_stitch, an index twice": (
        lambda x: tf.dynamic_stitch([[0, 1], [0, 2]], [x[:2], x[2:]]),
        [normal(4)],
    ),
    # Vectors of equal eigenvalues turn with any change.
    "tf.linalg.eigh, equal eigenvalues": (_logarithm, [constant(2 * np.eye(3))]),
    # It takes the sum of the labels for 1, as the documentation demands.
    "tf.nn.softmax_cross_entropy_with_logits, any labels": (
        lambda logits: tf.nn.softmax_cross_entropy_with_logits(_LABELS, logits),
        [normal(*M)],
    ),
    # The gradient of a warp is the inverse warp, not the adjoint.
    "keras.ops.image.affine_transform, reflected": (
        lambda images: ops.image.affine_transform(
            images,
            tf.constant([[0.96, -0.28, 0.5, 0.28, 0.96, 0.2, 0, 0]], images.dtype),
            fill_mode="reflect",
        ),
        [between(0, 1, 1, 5, 5, 1)],
    ),
}


def _moments(x):
    return tf.nn.moments(x, [0])


def _batch_norm(x):
    mean, variance = tf.nn.moments(x, [0])
    return tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)


# The gradient is right, and the derivative of it wrong.
WRONG_SECOND = {
    # The variance is computed with `stop_gradient(mean)`: that does not change the
    # gradient, whose part by the mean is zero, but it changes the gradient of that.
    "tf.nn.moments": (_moments, [normal(*M)]),
    "tf.nn.batch_normalization, of a batch": (_batch_norm, [normal(*M)]),
    "keras.ops.moments": (lambda x: ops.moments(x, axes=[0]), [normal(*M)]),
    "keras.ops.layer_normalization": (ops.layer_normalization, [normal(*M)]),
    # What the gradient for the logits owes to the labels is left out.
    "tf.nn.softmax_cross_entropy_with_logits": (
        lambda x: tf.nn.softmax_cross_entropy_with_logits(tf.nn.softmax(x), 2 * x),
        [normal(*M)],
    ),
    # Its gradient goes through cumprod.
    "tf.math.reduce_prod, of a zero": (tf.math.reduce_prod, _ZERO),
}

# Piecewise constant, so that all differences are zero.
FLAT = {
    "keras.ops.trunc",
    "tf.math.ceil",
    "tf.math.floor",
    "tf.math.round",
    "tf.math.sign",
}

# TensorFlow has no gradient for them, and raises.
NO_GRADIENT = {
    "keras.ops.lu_factor",
    "tf.image.adjust_contrast",
    "tf.image.adjust_hue",
    "tf.image.adjust_saturation",
    "tf.image.resize, area",
    "tf.linalg.logm",
    "tf.linalg.lu",
}

# Nor is there a second derivative of these.
NO_SECOND = {
    "keras.ops.inner",
    "keras.ops.softsign",
    "tf.image.crop_and_resize",
    "tf.image.resize, bicubic",
    "tf.math.igamma",
    "tf.math.igammac",
    "tf.math.softsign",
    "tf.nn.dilation2d",
    "tf.nn.fractional_avg_pool",
}
