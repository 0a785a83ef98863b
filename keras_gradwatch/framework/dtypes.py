"""Floating-point types, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

# From coarse to fine.
PRECISIONS = ("bfloat16", "float16", "float32", "float64")


def lowest(dtypes: Iterable[str]) -> str:
    """The coarsest of some float types; float64 if there is none among them.

    Args:
        dtypes: Their names; others are left out.
    """
    found = set(dtypes)
    return next((name for name in PRECISIONS if name in found), PRECISIONS[-1])


def is_float(dtype: Any) -> bool:
    """Whether a dtype, given by any name, is a real floating-point one."""
    try:
        return tf.as_dtype(dtype).is_floating
    except TypeError:
        return False
