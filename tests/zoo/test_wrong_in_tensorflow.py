"""The evidence for what the zoo leaves out: TensorFlow itself differentiates wrongly.

If one of these tests fails, TensorFlow has been mended: give the layers that
`layer_table.AT_INPUT` names their place between weights, and the functions of
`functions/wrong.py` theirs among the others.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.functions.wrong import WRONG, WRONG_SECOND


def _relative_error(function, x, delta=1e-3):
    [tape], [differences] = tf.test.compute_gradient(function, [x], delta=delta)
    scale = np.linalg.norm(tape) + np.linalg.norm(differences)
    return np.linalg.norm(tape - differences) / scale


def _as_one(function):
    """All outputs in one vector."""

    def flat(x):
        outputs = tf.nest.flatten(function(x))
        return tf.concat([tf.reshape(y, [-1]) for y in outputs], 0)

    return flat


def _slope(function):
    """The gradient, as TensorFlow returns it, of a weighted sum of the outputs."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = _as_one(function)(x)
            y = tf.reduce_sum(y * tf.range(1, tf.size(y, y.dtype) + 1, dtype=y.dtype))
        return tape.gradient(y, x)

    return gradient


@pytest.mark.parametrize("name", WRONG)
def test_jacobian_of_tensorflow_and_differences(name, rng):
    function, [make] = WRONG[name]
    x = tf.constant(make(rng))
    assert _relative_error(_as_one(function), x, delta=1e-5) > 0.1


@pytest.mark.parametrize("name", WRONG_SECOND)
def test_jacobian_of_the_gradient(name, rng):
    function, [make] = WRONG_SECOND[name]
    x = tf.constant(make(rng))
    assert _relative_error(_as_one(function), x, delta=1e-5) < 1e-6
    assert _relative_error(_slope(function), x, delta=1e-5) > 0.1


@pytest.mark.parametrize(
    "transform",
    [
        pytest.param([1.0, 0, 0.3, 0, 1, 0.6, 0, 0], id="shift"),
        pytest.param([1.3, 0, 0, 0, 1.3, 0, 0, 0], id="zoom"),
        pytest.param([0.96, -0.28, 0.5, 0.28, 0.96, 0.2, 0, 0], id="rotation"),
        pytest.param([1.0, 0.3, 0, 0, 1, 0, 0, 0], id="shear"),
    ],
)
def test_gradient_of_a_warp_is_another_warp(transform, rng):
    def warp(x):
        return keras.ops.image.affine_transform(
            x, tf.constant([transform], tf.float64), fill_mode="reflect"
        )

    x = tf.constant(rng.random((1, 6, 6, 1)), tf.float64)
    assert _relative_error(warp, x) > 0.1
