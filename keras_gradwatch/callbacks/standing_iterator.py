"""A standing iterator through which drawn batches are handed on."""

from __future__ import annotations

import weakref
from typing import Any

import keras
import tensorflow as tf

# What no fit holds any more is dropped.
_CHANNELS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def standing(model: keras.Model, iterator: Any, batches: list) -> Any:
    """An iterator over batches, of the type of their source, made only once.

    Making an iterator takes longer than a training step of a small model. This
    one stands for as long as it is not left half read, or ended.

    Args:
        model: Whose training it serves.
        iterator: The `tf.data.Iterator` that the batches were drawn from.
        batches: As many as the model takes steps per execution, or fewer at the end
            of the data.

    Returns:
        A `tf.data.Iterator`; at its end after the batches.
    """
    channel = _CHANNELS.get(model)
    steps = model.steps_per_execution
    if channel is None or not channel.serves(iterator, steps):
        channel = _CHANNELS[model] = _Channel(iterator, steps)
    return channel.filled_with(batches)


def forget(model: keras.Model) -> None:
    """Lets go of what was made for a model."""
    _CHANNELS.pop(model, None)


class _Channel:
    """A queue, and an iterator that reads what is in it and never waits.

    The elements of the iterator are declared as those of the source are, the
    unknown sizes included: Keras then runs the very graph that it runs without.
    """

    def __init__(self, iterator, capacity: int):
        self._spec, self._capacity = iterator.element_spec, capacity
        self._parts = tf.nest.flatten(self._spec, expand_composites=True)
        self._queue = tf.queue.FIFOQueue(capacity, [part.dtype for part in self._parts])
        self._used_to_the_end = False
        self._iterator = iter(self._dataset())

    def serves(self, iterator, capacity) -> bool:
        """Whether it hands on as many batches of the same kind, once more."""
        return (
            not self._used_to_the_end
            and self._capacity == capacity
            and self._spec == iterator.element_spec
            and int(self._queue.size()) == 0
        )

    def filled_with(self, batches):
        for batch in batches:
            leaves = tf.nest.flatten(batch, expand_composites=True)
            self._queue.enqueue([leaf for leaf in leaves if leaf is not None])
        # Where there are fewer, the reader looks for more.
        self._used_to_the_end = len(batches) < self._capacity
        return self._iterator

    def _dataset(self):
        # A waiting read would hang a reader that asks for more than there is.
        # Not `Dataset.counter`: TensorFlow keeps the graph of each one for good.
        dataset = tf.data.Dataset.range(tf.int64.max)
        dataset = dataset.take_while(lambda _: self._queue.size() > 0).map(self._next)
        options = tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.apply_default_optimizations = False
        options.experimental_optimization.inject_prefetch = False
        variant = tf.data.experimental.to_variant(dataset.with_options(options))
        return tf.data.experimental.from_variant(variant, self._spec)

    def _next(self, _):
        parts = self._queue.dequeue()
        parts = parts if isinstance(parts, list | tuple) else [parts]
        for part, declared in zip(parts, self._parts, strict=True):
            part.set_shape(declared.shape)
        return tf.nest.pack_sequence_as(self._spec, parts, expand_composites=True)
