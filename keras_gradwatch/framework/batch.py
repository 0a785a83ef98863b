"""One batch of data, as the replica takes it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework.dtypes import is_float


def from_arrays(x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Any, ...]:
    """Turns arrays, tensors, and dicts and lists of them, into a batch.

    Floats first take Keras' default float type, as in `fit`, so that a check
    sees the numbers that training sees.

    Returns:
        Nested tensors, in the structure that `fit` hands to `train_step`.

    Raises:
        InvalidArgumentError: If something is no array, or lengths differ.
    """
    if x is None:
        raise InvalidArgumentError(
            "Argument `x` must be the input data of one batch. Received: x=None"
        )
    if isinstance(x, tf.data.Dataset) or (
        hasattr(x, "__getitem__") and hasattr(x, "num_batches")
    ):
        raise InvalidArgumentError(
            "Argument `x` must be one batch of arrays or tensors, not a dataset. "
            "Pass a batch of it: `x, y = next(iter(dataset))`. "
            f"Received: x={x!r}"
        )
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    batch = tuple(
        tf.nest.map_structure(
            lambda leaf, name=name: _tensor(leaf, name), _plain(value)
        )
        for name, value in named.items()
    )
    lengths = {
        name: {
            int(leaf.shape[0]) for leaf in tf.nest.flatten(part) if _has_length(leaf)
        }
        for name, part in zip(named, batch, strict=True)
    }
    distinct = set().union(*lengths.values())
    if len(distinct) > 1 or 0 in distinct:
        raise InvalidArgumentError(
            "All of `x`, `y` and `sample_weight` must hold the same number of "
            f"examples, at least one. Received lengths: {lengths}"
        )
    return keras.utils.pack_x_y_sample_weight(*batch)


def from_live(data: Any, strategy: tf.distribute.Strategy, device: int = 0) -> Any:
    """Turns what the training step is about to be handed into a batch.

    Args:
        data: What the iterator of `fit` yields.
        strategy: The model's `tf.distribute` strategy.
        device: Of a batch that is split over several devices, whose part to take:
            the first one here has the number 0.
    """

    def local(leaf):
        if isinstance(leaf, tf.distribute.DistributedValues):
            leaf = strategy.experimental_local_results(leaf)[device]
        return _live_tensor(leaf)

    return tf.nest.map_structure(local, data)


def count_of_parts(data: Any, strategy: tf.distribute.Strategy) -> int:
    """Over how many devices here a batch of `fit` is split."""
    counts = [
        len(strategy.experimental_local_results(leaf))
        for leaf in tf.nest.flatten(data)
        if isinstance(leaf, tf.distribute.DistributedValues)
    ]
    return max(counts, default=1)


def as_double(batch: Any) -> Any:
    """Casts the floats of a batch to float64; integers and strings stay."""
    return tf.nest.map_structure(
        lambda leaf: (
            leaf
            if leaf is None or not is_float(leaf.dtype)
            else tf.cast(leaf, tf.float64)
        ),
        batch,
    )


def signature(batch: Any) -> tuple[Any, ...]:
    """Shapes and dtypes: what two batches share if one graph serves both."""
    leaves = tf.nest.flatten(batch)
    return tuple(
        (str(getattr(x, "shape", "")), str(getattr(x, "dtype", x))) for x in leaves
    )


def of_any_size(batch: Any) -> Any:
    """A batch as nested specs, in which it may have any number of examples.

    The batch itself, if not all of it are tensors of as many examples.
    """
    if batch_size(batch, ragged=False) is None:
        return batch
    return tf.nest.map_structure(
        lambda leaf: (
            None if leaf is None else tf.TensorSpec([None, *leaf.shape[1:]], leaf.dtype)
        ),
        batch,
    )


def signature_of_any_size(batch: Any) -> tuple[Any, ...]:
    """What two batches share if one graph for any number of examples serves both."""
    return signature(of_any_size(batch))


def _plain(value):
    """Takes tables of pandas and the like as arrays."""
    return value.to_numpy() if hasattr(value, "to_numpy") else value


def _tensor(leaf, name):
    if leaf is None:
        return None
    if isinstance(leaf, tf.SparseTensor | tf.RaggedTensor):
        return leaf
    if isinstance(leaf, int | float | str | bytes):
        raise InvalidArgumentError(
            f"Argument `{name}` must hold arrays or tensors, or dicts and lists of "
            "them, whose first axis is the batch; a list of numbers is taken as a "
            f"list of inputs, so make it an array. Received: {leaf!r} in `{name}`"
        )
    try:
        tensor = tf.convert_to_tensor(leaf)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(
            f"Argument `{name}` must hold arrays or tensors, or dicts and lists of "
            f"them. Received: {leaf!r} of type {type(leaf).__name__}"
        ) from error
    if tensor.shape.rank == 0:
        raise InvalidArgumentError(
            f"Argument `{name}` must hold arrays whose first axis is the batch. "
            f"Received: a scalar, {np.asarray(tensor)!r}"
        )
    floats = is_float(tensor.dtype) or (
        tensor.dtype.is_bool and name == "sample_weight"
    )
    return tf.cast(tensor, keras.config.floatx()) if floats else tensor


def _live_tensor(leaf):
    if isinstance(leaf, tf.experimental.Optional):
        return None
    return tf.convert_to_tensor(leaf) if isinstance(leaf, np.ndarray) else leaf


def _has_length(leaf):
    shape: Any = getattr(leaf, "shape", None)
    return bool(shape) and shape[0] is not None


def batch_size(batch: Any, *, ragged: bool = True) -> int | None:
    """How many examples a batch has.

    Args:
        batch: Nested tensors.
        ragged: Whether it may have ragged tensors among them.

    Returns:
        The length of the first axis; None if that is not the same everywhere, or if
        something is no such tensor.
    """
    kinds = (tf.Tensor, tf.RaggedTensor) if ragged else (tf.Tensor,)
    leaves = [leaf for leaf in tf.nest.flatten(batch) if leaf is not None]
    if not all(isinstance(leaf, kinds) and leaf.shape.rank for leaf in leaves):
        return None
    sizes = {leaf.shape[0] for leaf in leaves}
    return sizes.pop() if len(sizes) == 1 else None
