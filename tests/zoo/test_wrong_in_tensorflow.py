"""The evidence for what the zoo leaves out: TensorFlow itself differentiates wrongly.

If one of these tests fails, TensorFlow has been mended: give the layers that
`layer_table.AT_INPUT` names their place between weights.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf


def _relative_error(function, x):
    [tape], [differences] = tf.test.compute_gradient(function, [x], delta=1e-3)
    scale = np.linalg.norm(tape) + np.linalg.norm(differences)
    return np.linalg.norm(tape - differences) / scale


def test_hsv_to_rgb_has_no_gradient(rng):
    x = tf.constant(rng.random((1, 2, 2, 3)), tf.float64)
    assert _relative_error(tf.image.hsv_to_rgb, x) > 0.99


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
