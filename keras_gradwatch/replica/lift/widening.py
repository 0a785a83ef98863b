"""Float types, and what of a graph's attributes becomes wider."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

DOUBLE = tf.float64.as_datatype_enum
# Casts to them and back pass the gradient straight through, as those to half precision.
FLOAT8 = (
    tf.dtypes.experimental.float8_e4m3fn,
    tf.dtypes.experimental.float8_e5m2,
)
_WIDER = {
    tf.float32.as_datatype_enum: DOUBLE,
    tf.float16.as_datatype_enum: DOUBLE,
    tf.bfloat16.as_datatype_enum: DOUBLE,
    tf.complex64.as_datatype_enum: tf.complex128.as_datatype_enum,
    **{dtype.as_datatype_enum: DOUBLE for dtype in FLOAT8},
}
_HALF = {tf.float16.as_datatype_enum, tf.bfloat16.as_datatype_enum}


def wide(dtype: int) -> int:
    """The type that stands for a type, both as TensorFlow numbers them."""
    return _WIDER.get(dtype, dtype)


def is_narrow(dtype: int) -> bool:
    """Whether a type is a float or complex type that gets wider."""
    return dtype in _WIDER


class Widening:
    """What becomes of the types of a graph.

    Args:
        is_active: Whether they get wider; else they stay.
    """

    def __init__(self, is_active: bool = True):
        self.is_active = is_active

    def dtype(self, dtype: int) -> int:
        """What stands for a type."""
        return wide(dtype) if self.is_active else dtype

    def attribute(self, value: Any) -> Any:
        """A copy of an attribute, an `AttrValue`, with its types and numbers wide."""
        new = type(value)()
        new.CopyFrom(value)
        if not self.is_active:
            return new
        kind = value.WhichOneof("value")
        if kind == "type":
            new.type = wide(value.type)
        elif kind == "list" and value.list.type:
            del new.list.type[:]
            new.list.type.extend(map(wide, value.list.type))
        elif kind == "tensor" and is_narrow(value.tensor.dtype):
            array = tf.make_ndarray(value.tensor)
            dtype = tf.as_dtype(wide(value.tensor.dtype))
            array = array.astype(dtype.as_numpy_dtype)
            new.tensor.CopyFrom(tf.make_tensor_proto(array, dtype, array.shape))
        return new


def types_in(value: Any) -> list[int]:
    """The types that an attribute names."""
    return [value.type] if value.type else list(value.list.type)


def was_rounded(value: Any) -> bool:
    """Whether a constant was rounded to half precision when it was traced.

    Integers and powers of two are exact in every type.
    """
    if value.tensor.dtype not in _HALF:
        return False
    array = tf.make_ndarray(value.tensor).astype(np.float64)
    mantissa = np.abs(np.frexp(array)[0])
    exact = (array == np.round(array)) | (mantissa == 0.5) | ~np.isfinite(array)
    return not exact.all()


def mark(attributes: dict[str, Any], name: str, flags: Iterable[bool]) -> None:
    """Makes doubles of the handles among the types of an attribute.

    Args:
        attributes: The attributes of a node, which are changed.
        name: Name of that one.
        flags: For each of its types, whether it is a handle whose value is given.
    """
    for k, flag in enumerate(flags):
        if flag:
            attributes[name].list.type[k] = DOUBLE
