"""Where something that is not finite was seen, and something finite instead of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from keras_gradwatch.findings.place import Line

IN, OUT = "in", "out"


@dataclass(eq=False)
class Visit:
    """One call of a layer, an operation or a loss.

    Attributes:
        thing: What was called.
        number: Which call of it this is, 0 for the first.
        order: How many calls of anything began before.
        parent: The call in whose code it was made, None in that of the step.
        before: The last call that ended in the same code before it.
        inputs: The float tensors that went in.
        outputs: Those that came out, where that is known.
        arrived: The gradients that came to its outputs.
    """

    thing: Any
    number: int
    order: int
    parent: Visit | None = None
    before: Visit | None = None
    inputs: list[tf.Tensor] = field(default_factory=list)
    outputs: list[tf.Tensor] = field(default_factory=list)
    arrived: list[tf.Tensor] = field(default_factory=list)


@dataclass(eq=False)
class Mark:
    """Where something that is not finite was seen.

    Attributes:
        key: The same in each run of the same step.
        visit: At which call; None where the code of the step went on after all.
        side: `"in"` or `"out"`.
        is_backward: Whether it is the gradient of the value there.
        value: What was seen.
        operation: What gave it, as `"Log"` or `"gradient of Sqrt"`; empty if that is
            not known.
        line: Its line in the user's code, if there is one.
        variable: The weight that alone it was made of, as a regulariser makes it.
    """

    key: tuple
    visit: Visit | None
    side: str
    is_backward: bool
    value: tf.Tensor
    operation: str = ""
    line: Line | None = None
    variable: Any = None


def is_finite(value: Any) -> bool:
    """Whether all entries of a float tensor are finite."""
    return bool(tf.reduce_all(tf.math.is_finite(value)))


def fixed(clean: Any, key: Any, value: Any) -> Any:
    """Something finite instead of a value, if it is to be cleaned.

    Args:
        clean: None for nothing, `"all"`, or a set of keys.
        key: The key of the value.
        value: A tensor.
    """
    if clean == "all" or (clean and key in clean):
        return _finite(value)
    return value


def _finite(value):
    """A tensor with the mean of its finite entries in the place of the others."""
    if value.dtype.is_complex:
        return tf.complex(_finite(tf.math.real(value)), _finite(tf.math.imag(value)))
    good = tf.math.is_finite(value)
    flat = tf.reshape(tf.stop_gradient(value), [-1])
    some = tf.boolean_mask(flat, tf.reshape(good, [-1]))
    count = tf.maximum(tf.size(some), 1)
    mean = tf.reduce_sum(tf.cast(some, tf.float64) / tf.cast(count, tf.float64))
    return tf.where(good, value, tf.cast(mean, value.dtype))
