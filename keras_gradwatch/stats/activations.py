"""Figures of what layers put out, computed where it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.reading import LayerStats
from keras_gradwatch.replica.layer_outputs import RECTIFYING, SATURATING, Output

# How near to an end of its range, as a share of it, what saturates is: there the slope
# of a tanh is 2 % of its largest, that of a sigmoid 4 %.
_END = 0.01
# Entries of a layer that are looked at: those of the first examples. It costs a few
# percent of what making them does.
_ENTRIES = 2**16
# Figures of a layer.
COLUMNS = 5


def figures(output: Output, tensor: tf.Tensor) -> tf.Tensor:
    """Mean, scale, share of silent units, of saturated entries, and of units in rows.

    Args:
        output: The output.
        tensor: Its value.
    """
    some = _first(tensor)
    wide = tf.cast(some, tf.float32)
    nan = tf.constant(np.nan, tf.float32)
    silent = saturated = nan
    rows = list(range(wide.shape.rank - 1))
    if output.operation in RECTIFYING:
        busy = tf.reduce_any(wide > 0, axis=rows)
        silent = 1 - tf.reduce_mean(tf.cast(busy, tf.float32))
    if output.operation in SATURATING:
        low, high = SATURATING[output.operation]
        near = _END * (high - low)
        at_end = tf.logical_or(wide < low + near, wide > high - near)
        saturated = tf.reduce_mean(tf.cast(at_end, tf.float32))
    scale = tf.sqrt(tf.reduce_mean(tf.square(wide)))
    count = tf.cast(tf.reduce_prod(tf.shape(wide)[:-1]), tf.float32)
    return tf.stack([tf.reduce_mean(wide), scale, silent, saturated, count])


def stats(outputs: Sequence[Output], rows: np.ndarray) -> tuple[LayerStats, ...]:
    """The figures as data.

    Args:
        outputs: The outputs.
        rows: What `figures` gave of each.
    """
    return tuple(
        LayerStats(
            layer=output.layer,
            operation=output.operation,
            mean=mean,
            scale=scale,
            silent_units=None if np.isnan(silent) else silent,
            saturated=None if np.isnan(saturated) else saturated,
            count=int(count),
            has_kernel=output.has_kernel,
            is_last=output.is_last,
            may_saturate=output.may_saturate,
        )
        for output, (mean, scale, silent, saturated, count) in zip(
            outputs, rows.tolist(), strict=True
        )
    )


def _first(tensor: tf.Tensor) -> tf.Tensor:
    """The first examples, as many as are looked at."""
    size = tensor.shape[1:].num_elements()
    if not size:
        return tensor
    return tensor[: max(2, _ENTRIES // size)]
