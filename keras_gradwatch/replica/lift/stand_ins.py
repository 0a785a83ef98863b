"""Operations that have no kernel in double, made of others that have one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_D = tf.float64
_IMAGES = tf.TensorSpec([None] * 4, _D)
_VOLUMES = tf.TensorSpec([None] * 5, _D)


def stand_in(name: str, attributes: Any) -> Any:
    """A concrete function in float64 that does what an operation does.

    Args:
        name: Name of the operation.
        attributes: Its attributes, each an `AttrValue`.

    Returns:
        A function of the inputs of the operation, None where there is none.
    """
    found = _pooling(name, attributes) or _resizing(name, attributes)
    if found is None:
        return None
    function, specs = found
    return tf.function(function, autograph=False).get_concrete_function(*specs)


def _pooling(name, attributes):
    kinds = ("MaxPool3D", "AvgPool3D", "MaxPool3DGrad", "AvgPool3DGrad")
    if name not in kinds or attributes["data_format"].s != b"NDHWC":
        return None
    pool = tf.nn.max_pool2d if name.startswith("Max") else tf.nn.avg_pool2d

    def forward(x):
        return _pool_in_two(x, attributes, pool)

    if not name.endswith("Grad"):
        return forward, [_VOLUMES]
    if pool is tf.nn.max_pool2d:

        def of_maxima(x, y, upstream):
            return _pulled_back(lambda x: _chosen(x, y, attributes), x, upstream)

        return of_maxima, [_VOLUMES] * 3
    return (
        lambda shape, upstream: _pulled_back(forward, tf.zeros(shape, _D), upstream)
    ), [tf.TensorSpec([5], tf.int32), _VOLUMES]


def _pool_in_two(x, attributes, pool):
    """Over height and width first, then over depth: maxima and means both allow it.

    With padding, too: the share of a window that is there is a product over the axes.
    """
    _, depth, height, width, _ = attributes["ksize"].list.i
    _, along_depth, along_height, along_width, _ = attributes["strides"].list.i
    padding = attributes["padding"].s.decode()
    s = tf.shape(x)
    flat = tf.reshape(x, [s[0] * s[1], s[2], s[3], s[4]])
    flat = pool(flat, [height, width], [along_height, along_width], padding)
    t = tf.shape(flat)
    deep = tf.reshape(flat, [s[0], s[1], t[1] * t[2], s[4]])
    deep = pool(deep, [depth, 1], [along_depth, 1], padding)
    return tf.reshape(deep, [s[0], tf.shape(deep)[1], t[1], t[2], s[4]])


def _chosen(x, y, attributes):
    """The entries of `x` that are the maxima `y`, summed up where several are.

    Each of them gets all that comes back: so the operation has it, where pooling in
    two dimensions lets one of them have it alone.
    """
    window, strides = attributes["ksize"].list.i[1:4], attributes["strides"].list.i[1:4]
    counts = tf.shape(y)[1:4]
    spans = (counts - 1) * strides + 1
    if attributes["padding"].s == b"SAME":
        missing = tf.maximum(spans - 1 + window - tf.shape(x)[1:4], 0)
        around = tf.stack([missing // 2, missing - missing // 2], axis=1)
        around = tf.pad(around, [[1, 1], [0, 0]])
        x = tf.pad(x, around, constant_values=-math.inf)
    found = tf.zeros_like(y)
    for offset in itertools.product(*map(range, window)):
        begin, end = (
            tf.constant([0, *offset, 0]),
            tf.concat([[0], offset + spans, [0]], 0),
        )
        part = tf.strided_slice(
            x, begin, end, [1, *strides, 1], begin_mask=17, end_mask=17
        )
        found += tf.where(part == y, part, tf.zeros_like(part))
    return found


def _resizing(name, attributes):
    if not name.startswith(("ResizeBilinear", "ResizeBicubic")):
        return None
    op = name.removesuffix("Grad")
    options = {
        "align_corners": attributes["align_corners"].b,
        "half_pixel_centers": attributes["half_pixel_centers"].b,
    }

    def forward(images, size):
        return _resize(op, images, size, options)

    if op == name:
        return forward, [_IMAGES, tf.TensorSpec([2], tf.int32)]

    def backward(upstream, images):
        size = tf.shape(upstream)[1:3]
        return _pulled_back(lambda x: forward(x, size), images, upstream)

    return backward, [_IMAGES, _IMAGES]


def _resize(op, images, size, options):
    """A linear map along either axis, its weights asked of the operation itself."""
    run = getattr(tf.raw_ops, op)

    def weights(before, after):
        unit = tf.eye(before, dtype=tf.float32)[None, :, None, :]
        found = run(images=unit, size=tf.stack([after, 1]), **options)
        return tf.cast(found[0, :, 0, :], _D)

    s = tf.shape(images)
    down, across = weights(s[1], size[0]), weights(s[2], size[1])
    return tf.einsum("ph,nhwc,qw->npqc", down, images, across)


def _pulled_back(function: Callable, x: Any, upstream: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, output_gradients=upstream)
