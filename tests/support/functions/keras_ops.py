"""Functions of `keras.ops`."""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from tests.support.functions.arguments import (
    M,
    V,
    between,
    constant,
    definite,
    inside,
    integers,
    lower,
    normal,
    regular,
    spread,
)

ops = keras.ops
_part = functools.partial


def _symmetric(function):
    """Takes the symmetric part first: such functions read one triangle only."""
    return lambda matrix: function((matrix + tf.linalg.adjoint(matrix)) / 2)


FUNCTIONS = {
    "keras.ops.average": (ops.average, [normal(*M)]),
    "keras.ops.clip": (lambda x: ops.clip(x, -0.5, 0.5), [normal(*M)]),
    "keras.ops.correlate": (ops.correlate, [normal(5), normal(3)]),
    "keras.ops.cross": (ops.cross, [normal(2, 3), normal(2, 3)]),
    "keras.ops.det": (ops.det, [regular(3)]),
    "keras.ops.diagonal": (ops.diagonal, [normal(3, 3)]),
    "keras.ops.diff": (ops.diff, [normal(*M)]),
    "keras.ops.dot_product_attention": (
        ops.dot_product_attention,
        [normal(1, 3, 2, 2)] * 3,
    ),
    "keras.ops.eigh": (_symmetric(lambda a: ops.eigh(a)[0]), [definite(3)]),
    "keras.ops.erfinv": (ops.erfinv, [inside(*V)]),
    "keras.ops.glu": (ops.glu, [normal(*M)]),
    "keras.ops.image.affine_transform": (
        lambda x: ops.image.affine_transform(
            x, tf.constant([[1.0, 0, 0.3, 0, 1, 0.6, 0, 0]], x.dtype)
        ),
        [normal(1, 5, 5, 1)],
    ),
    "keras.ops.image.gaussian_blur": (ops.image.gaussian_blur, [normal(1, 4, 4, 1)]),
    "keras.ops.image.map_coordinates": (
        lambda x, at: ops.image.map_coordinates(x, at, order=1),
        [normal(4, 4), between(0.6, 2.4, 2, 5)],
    ),
    "keras.ops.image.rgb_to_hsv": (
        ops.image.rgb_to_hsv,
        [between(0.1, 0.9, 1, 2, 2, 3)],
    ),
    "keras.ops.inner": (ops.inner, [normal(4), normal(4)]),
    "keras.ops.linspace": (
        lambda a, b: ops.linspace(a, b, 5),
        [normal(), normal()],
    ),
    "keras.ops.inv": (ops.inv, [regular(3)]),
    "keras.ops.istft": (
        lambda re, im: ops.istft((re, im), 8, 4, 8),
        [normal(3, 5), normal(3, 5)],
    ),
    "keras.ops.outer": (ops.outer, [normal(3), normal(4)]),
    "keras.ops.layer_normalization": (
        ops.layer_normalization,
        [normal(*M), normal(4), normal(4)],
    ),
    "keras.ops.logaddexp": (ops.logaddexp, [normal(*V), normal(*V)]),
    "keras.ops.lu_factor": (lambda a: ops.lu_factor(a)[0], [regular(3)]),
    "keras.ops.matmul": (ops.matmul, [normal(3, 4), normal(4, 2)]),
    "keras.ops.moments": (_part(ops.moments, axes=[0]), [normal(*M)]),
    "keras.ops.normalize": (ops.normalize, [normal(*M)]),
    "keras.ops.pad": (
        _part(ops.pad, pad_width=((1, 1), (0, 1)), mode="reflect"),
        [normal(*M)],
    ),
    "keras.ops.psnr": (
        _part(ops.psnr, max_val=1.0),
        [between(0, 1, *M), between(0, 1, *M)],
    ),
    "keras.ops.quantile": (_part(ops.quantile, q=0.3), [spread(5)]),
    "keras.ops.rfft": (ops.rfft, [normal(2, 6)]),
    "keras.ops.rms_normalization": (ops.rms_normalization, [normal(*M), normal(4)]),
    "keras.ops.roll": (_part(ops.roll, shift=1), [normal(*M)]),
    "keras.ops.scatter_update": (
        lambda x, u: ops.scatter_update(x, np.array([[0], [2]]), u),
        [normal(4), normal(2)],
    ),
    "keras.ops.segment_max": (
        _part(ops.segment_max, num_segments=2),
        [spread(4), constant(np.array([0, 0, 1, 1]))],
    ),
    "keras.ops.segment_sum": (
        _part(ops.segment_sum, num_segments=2),
        [normal(4), constant(np.array([0, 0, 1, 1]))],
    ),
    "keras.ops.slogdet": (lambda a: ops.slogdet(a)[1], [regular(3)]),
    "keras.ops.solve": (ops.solve, [regular(3), normal(3, 2)]),
    "keras.ops.solve_triangular": (
        _part(ops.solve_triangular, lower=True),
        [lower(3), normal(3, 2)],
    ),
    "keras.ops.svd": (_part(ops.svd, compute_uv=False), [normal(4, 3)]),
    "keras.ops.take_along_axis": (
        lambda x, i: ops.take_along_axis(x, i, axis=1),
        [normal(*M), integers(4, 3, 2)],
    ),
    "keras.ops.tril": (ops.tril, [normal(3, 3)]),
    "keras.ops.vdot": (ops.vdot, [normal(4), normal(4)]),
    "keras.ops.where": (
        lambda a, b: ops.where(a > 0, a, b),
        [normal(*V), normal(*V)],
    ),
    "keras.ops.while_loop": (
        lambda x: ops.while_loop(
            lambda i, y: i < 3, lambda i, y: (i + 1, ops.sin(y) * 1.1), (0, x)
        )[1],
        [normal(*V)],
    ),
    "keras.ops.scan": (
        lambda x: ops.scan(lambda c, y: (c * y, c + y), x[0], x)[1],
        [normal(4)],
    ),
    "keras.ops.fori_loop": (
        lambda x: ops.fori_loop(0, 3, lambda i, y: y * y * 0.5, x),
        [normal(*V)],
    ),
}
