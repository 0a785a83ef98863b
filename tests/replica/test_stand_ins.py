"""What stands in for an operation without a double kernel does the same."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_gradwatch.replica.lift.stand_ins import stand_in
from tests.support.marks import pairs, some

# Of float32, for sums of a few products of numbers of size one.
ROUNDING = 2e-6

POOLS = list(
    itertools.product(
        ("VALID", "SAME"),
        ((1, 1, 1), (2, 2, 2), (2, 3, 1), (3, 2, 4)),
        ((1, 1, 1), (2, 1, 3), (2, 2, 2)),
    )
)
OPTIONS = [(False, False), (True, False), (False, True)]
SIZES = [(3, 4), (5, 7), (11, 2), (1, 1), (4, 5)]


def numbers(rng, *shape):
    """Float32 numbers, so that both kinds of arithmetic begin with the same."""
    return rng.normal(size=shape).astype("float32")


def both(name, inputs, **options):
    """What the operation makes of some inputs, and what its stand-in does."""
    own, noted = getattr(tf.raw_ops, name), []

    @tf.function(autograph=False)
    def run(*inputs):
        found = own(**dict(zip(names_of(name), inputs, strict=True)), **options)
        noted.append(found.op.node_def)
        return found

    found = run(*map(tf.constant, inputs))
    (node,) = noted
    wide = [
        tf.cast(x, tf.float64) if np.asarray(x).dtype.kind == "f" else x for x in inputs
    ]
    return found.numpy(), stand_in(name, node.attr)(*map(tf.constant, wide))


def names_of(name):
    return {
        "MaxPool3D": ("input",),
        "AvgPool3D": ("input",),
        "MaxPool3DGrad": ("orig_input", "orig_output", "grad"),
        "AvgPool3DGrad": ("orig_input_shape", "grad"),
        "ResizeBilinear": ("images", "size"),
        "ResizeBicubic": ("images", "size"),
        "ResizeBilinearGrad": ("grads", "original_image"),
        "ResizeBicubicGrad": ("grads", "original_image"),
    }[name]


def assert_same(found, stand):
    assert stand.dtype == tf.float64
    np.testing.assert_allclose(stand.numpy(), found, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("kind", ["Max", "Avg"])
@pytest.mark.parametrize("pool", some(POOLS, 5))
def test_pooling_in_three_dimensions(kind, pool, rng):
    padding, window, strides = pool
    x = numbers(rng, 2, 5, 6, 7, 3)
    options = {
        "ksize": [1, *window, 1],
        "strides": [1, *strides, 1],
        "padding": padding,
    }
    found, stand = both(f"{kind}Pool3D", [x], **options)
    assert_same(found, stand)
    upstream = numbers(rng, *found.shape)
    given = [x, found, upstream] if kind == "Max" else [np.array(x.shape), upstream]
    if kind == "Avg":
        given[0] = given[0].astype("int32")
    assert_same(*both(f"{kind}Pool3DGrad", given, **options))


@pytest.mark.parametrize("kind", ["Bilinear", "Bicubic"])
@pytest.mark.parametrize(("size", "corners_and_centers"), pairs(SIZES, OPTIONS))
def test_resizing(kind, size, corners_and_centers, rng):
    align_corners, half_pixel_centers = corners_and_centers
    x = numbers(rng, 2, 4, 5, 3)
    options = {
        "align_corners": align_corners,
        "half_pixel_centers": half_pixel_centers,
    }
    found, stand = both(f"Resize{kind}", [x, np.array(size, "int32")], **options)
    assert_same(found, stand)
    upstream = numbers(rng, *found.shape)
    assert_same(*both(f"Resize{kind}Grad", [upstream, x], **options))


@pytest.mark.parametrize("kind", ["Max", "Avg"])
def test_a_gradient_of_equal_entries_goes_where_training_sends_it(kind, rng):
    x = rng.integers(0, 3, (1, 4, 4, 4, 2)).astype("float32")
    options = {"ksize": [1, 2, 2, 2, 1], "strides": [1, 2, 2, 2, 1], "padding": "VALID"}
    found, _ = both(f"{kind}Pool3D", [x], **options)
    upstream = numbers(rng, *found.shape)
    given = [x, found, upstream] if kind == "Max" else [np.array(x.shape), upstream]
    if kind == "Avg":
        given[0] = given[0].astype("int32")
    assert_same(*both(f"{kind}Pool3DGrad", given, **options))


def test_there_is_none_for_what_has_a_kernel_or_another_layout():
    @tf.function(autograph=False)
    def run(x):
        return tf.tanh(x)

    node = run.get_concrete_function(tf.zeros([2])).graph.get_operations()[1].node_def
    assert stand_in("Tanh", node.attr) is None
    layout = tf.compat.v1.NodeDef()
    layout.attr["data_format"].s = b"NCDHW"
    assert stand_in("MaxPool3D", layout.attr) is None
