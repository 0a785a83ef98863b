"""Floating-point types, by name."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# From coarse to fine.
PRECISIONS = ("bfloat16", "float16", "float32", "float64")


def is_float(dtype: Any) -> bool:
    """Whether a dtype, given by any name, is a real floating-point one."""
    try:
        return tf.as_dtype(dtype).is_floating
    except TypeError:
        return False
