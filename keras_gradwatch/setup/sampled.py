"""Some examples of whatever `fit` takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework import batch as batches

# For figures of the data: a class of one in a hundred is then missed by chance once in
# 30,000 times.
MANY = 1024
# For runs of the model: enough for statistics of a batch, and for half of it.
FEW = 16
# Batches of a stream that are taken at most: each may be slow to make.
_BATCHES = 16


def sampled(x: Any, y: Any, sample_weight: Any) -> Any:
    """Up to `MANY` examples, as one batch such as `train_step` is handed.

    Of arrays, examples from all over; of what gives batches, the first ones.

    Args:
        x: Arrays, or a `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator.
        y: Targets, None for what gives batches.
        sample_weight: Weights, None likewise.

    Raises:
        InvalidArgumentError: If that is no data.
    """
    stream = _stream(x)
    if stream is None:
        parts = [
            part.to_numpy() if hasattr(part, "to_numpy") else part
            for part in (x, y, sample_weight)
        ]
        if not any(map(_is_graph, tf.nest.flatten(parts))):
            parts = list(map(_thinned, parts))
        return batches.from_arrays(*parts)
    if y is not None or sample_weight is not None:
        raise InvalidArgumentError(
            "Arguments `y` and `sample_weight` must be None where `x` gives batches: "
            f"they hold them. Received: x of type {type(x).__name__}, with them"
        )
    found, seen = [], 0
    for batch in stream:
        parts = keras.utils.unpack_x_y_sample_weight(batch)
        found.append(batches.from_arrays(*parts))
        seen += batches.batch_size(found[-1]) or MANY
        if seen >= MANY or len(found) == _BATCHES:
            break
    if not found:
        raise InvalidArgumentError(
            f"Argument `x` must give at least one batch. Received: x={x!r:.80}"
        )
    return _joined(found)


def rows(batch: Any, index: Sequence[int]) -> Any:
    """Some of the examples of a batch.

    Args:
        batch: Nested tensors of as many examples.
        index: Which.
    """
    return tf.nest.map_structure(
        lambda leaf: None if leaf is None else tf.gather(leaf, list(index)), batch
    )


def few(batch: Any) -> Any:
    """`FEW` examples of a batch, from all over; all where they can't be told apart.

    Args:
        batch: Nested tensors.
    """
    count = batches.batch_size(batch)
    if count is None or count <= FEW:
        return batch
    return rows(batch, np.linspace(0, count - 1, FEW).astype(int).tolist())


def _stream(x) -> Iterator | None:
    if isinstance(x, tf.data.Dataset):
        return iter(x)
    if isinstance(x, keras.utils.PyDataset):
        most = _BATCHES if x.num_batches is None else min(x.num_batches, _BATCHES)
        return (x[k] for k in range(most))
    return x if hasattr(x, "__next__") else None


def _is_graph(leaf):
    """Whether a tensor is square: what connects the examples, perhaps."""
    shape = tuple(getattr(leaf, "shape", ()))
    return isinstance(leaf, tf.SparseTensor) or (
        len(shape) == 2 and shape[0] == shape[1]
    )


def _thinned(value):
    """Arrays cut to `MANY` examples, before anything is copied."""

    def cut(leaf):
        shape = getattr(leaf, "shape", None)
        if not shape or (shape[0] or 0) <= MANY:
            return leaf
        index = np.linspace(0, shape[0] - 1, MANY).astype(int)
        return leaf[index] if isinstance(leaf, np.ndarray) else tf.gather(leaf, index)

    return None if value is None else tf.nest.map_structure(cut, value)


def _joined(found):
    """All batches as one; the first where they are not alike."""
    shapes = [
        [(x.shape[1:], x.dtype) for x in tf.nest.flatten(b) if x is not None]
        for b in found
        if batches.batch_size(b, ragged=False) is not None
    ]
    if len(shapes) < len(found) or any(s != shapes[0] for s in shapes):
        return found[0]
    return tf.nest.map_structure(
        lambda *leaves: None if leaves[0] is None else tf.concat(leaves, 0)[:MANY],
        *found,
    )
