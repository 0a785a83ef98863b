"""Functions of `tf.math` and their like."""

from __future__ import annotations

import functools

import keras
import numpy as np
import tensorflow as tf

from tests.support.functions.arguments import (
    M,
    V,
    between,
    complex_normal,
    constant,
    inside,
    integers,
    normal,
    positive,
    spread,
)

ops = keras.ops
_part = functools.partial


# Functions of one array, by what they are given.
_UNARY = {
    normal: {
        tf.math: "abs asinh atan ceil cos cosh cumsum erf exp expm1 floor "
        "log_sigmoid negative reduce_euclidean_norm reduce_logsumexp reduce_mean "
        "reduce_std reduce_sum reduce_variance round sigmoid sign sin sinh softplus "
        "softsign square tan tanh erfc reduce_prod bessel_i0e bessel_i1e "
        "cumulative_logsumexp l2_normalize",
        tf.nn: "elu gelu leaky_relu log_softmax relu relu6 selu silu softmax",
        ops: "arctan arcsinh celu elu exp2 flip gelu hard_sigmoid hard_silu "
        "hard_tanh log_sigmoid logsumexp mean nan_to_num norm ravel "
        "relu6 sigmoid sinc softmax softplus softsign sparse_plus squareplus std sum "
        "tanh_shrink transpose trunc var hard_shrink soft_shrink "
        "cumsum",
    },
    positive: {
        tf.math: "digamma lgamma log log1p reciprocal rsqrt sqrt reduce_prod cumprod "
        "bessel_i0 bessel_i1",
        tf.math.special: "bessel_j0 bessel_j1 bessel_k0 bessel_k1 bessel_k0e "
        "bessel_k1e bessel_y0 bessel_y1 dawsn expint fresnel_cos fresnel_sin spence",
        ops: "cbrt cumprod log10 log2 prod rsqrt",
    },
    inside: {
        tf.math: "acos asin atanh erfinv",
        ops: "arccos arcsin arctanh",
    },
    spread: {
        tf.math: "reduce_max reduce_min",
        tf: "sort",
        ops: "amax median sparsemax sort",
    },
}


_LABELS = {
    tf: "tf",
    tf.math: "tf.math",
    tf.math.special: "tf.math.special",
    tf.nn: "tf.nn",
    ops: "keras.ops",
}

# Not in the oldest Keras that is supported.
_LATE = {"sinc"}

FUNCTIONS = {
    f"{_LABELS[module]}.{name}": (getattr(module, name), [make(*M)])
    for make, modules in _UNARY.items()
    for module, names in modules.items()
    for name in names.split()
    if hasattr(module, name) or name not in _LATE
}

FUNCTIONS |= {
    "tf.math.add": (tf.math.add, [normal(*M), normal(4)]),
    "tf.math.atan2": (tf.math.atan2, [normal(*V), normal(*V)]),
    "tf.math.betainc": (
        lambda x: tf.math.betainc(tf.constant(2.0, x.dtype), 1.5, x),
        [between(0.2, 0.8, *V)],
    ),
    "tf.math.divide": (tf.math.divide, [normal(*M), positive(4)]),
    "tf.math.divide_no_nan": (tf.math.divide_no_nan, [normal(*M), positive(4)]),
    "tf.math.floormod": (tf.math.floormod, [normal(*V), positive(*V)]),
    "tf.math.igamma": (tf.math.igamma, [positive(*V), positive(*V)]),
    "tf.math.igammac": (tf.math.igammac, [positive(*V), positive(*V)]),
    "tf.math.lbeta": (tf.math.lbeta, [positive(*M)]),
    "tf.math.maximum": (tf.math.maximum, [normal(*V), normal(*V)]),
    "tf.math.minimum": (tf.math.minimum, [normal(*V), normal(*V)]),
    "tf.math.mod": (tf.math.mod, [normal(*V), positive(*V)]),
    "tf.math.multiply": (tf.math.multiply, [normal(*M), normal(3, 1)]),
    "tf.math.multiply_no_nan": (tf.math.multiply_no_nan, [normal(*V), positive(*V)]),
    "tf.math.ndtri": (tf.math.ndtri, [between(0.1, 0.9, *V)]),
    "tf.math.polygamma": (_part(tf.math.polygamma, np.float64(2)), [positive(*V)]),
    "tf.math.polyval": (lambda c, x: tf.math.polyval([c, c, x], x), [normal(3)] * 2),
    "tf.math.pow": (tf.math.pow, [positive(*M), normal(4)]),
    "tf.math.scalar_mul": (tf.math.scalar_mul, [normal(), normal(*V)]),
    "tf.math.segment_max": (
        tf.math.segment_max,
        [spread(5, 2), constant(np.array([0, 0, 1, 1, 1]))],
    ),
    "tf.math.segment_mean": (
        tf.math.segment_mean,
        [normal(5, 2), constant(np.array([0, 0, 1, 1, 1]))],
    ),
    "tf.math.segment_prod": (
        tf.math.segment_prod,
        [normal(5, 2), constant(np.array([0, 0, 1, 1, 1]))],
    ),
    "tf.math.segment_sum": (
        tf.math.segment_sum,
        [normal(5, 2), constant(np.array([0, 0, 1, 1, 1]))],
    ),
    "tf.math.unsorted_segment_mean": (
        _part(tf.math.unsorted_segment_mean, num_segments=3),
        [normal(5, 2), integers(3, 5)],
    ),
    "tf.math.unsorted_segment_sqrt_n": (
        _part(tf.math.unsorted_segment_sqrt_n, num_segments=3),
        [normal(5, 2), integers(3, 5)],
    ),
    "tf.math.squared_difference": (
        tf.math.squared_difference,
        [normal(*M), normal(4)],
    ),
    "tf.math.subtract": (tf.math.subtract, [normal(*M), normal(4)]),
    "tf.math.top_k": (_part(tf.math.top_k, k=2), [spread(*M)]),
    "tf.math.xdivy": (tf.math.xdivy, [normal(*V), positive(*V)]),
    "tf.math.xlog1py": (tf.math.xlog1py, [normal(*V), positive(*V)]),
    "tf.math.xlogy": (tf.math.xlogy, [normal(*V), positive(*V)]),
    "tf.math.zeta": (
        lambda q: tf.math.zeta(tf.constant(2.5, q.dtype), q),
        [positive(*V)],
    ),
    "tf.math.angle": (tf.math.angle, [complex_normal(*V)]),
    "tf.math.conj": (tf.math.conj, [complex_normal(*V)]),
    "tf.math.imag": (tf.math.imag, [complex_normal(*V)]),
    "tf.abs, complex": (tf.abs, [complex_normal(*V)]),
    "tf.exp, complex": (tf.exp, [complex_normal(*V)]),
}
