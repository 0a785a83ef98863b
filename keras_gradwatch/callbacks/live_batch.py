"""The batch that the next training step is about to take."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import tensorflow as tf


def show_next_batch(model, look: Callable) -> Callable[[], None]:
    """Shows the next batch to `look`, before the model trains on it.

    `fit` looks its training function up on the model at each step, just after
    the callbacks' `on_train_batch_begin`. For one call it finds ours, which
    draws the batches of that call, shows the first, and hands them all on. The
    own function of the model is back in its place before anything else runs.

    Args:
        model: A model in the middle of `fit`.
        look: Called with what the training step will be handed.

    Returns:
        A function that takes back what was not used.
    """
    train_function = model.train_function
    this_fit = model.history

    def once(iterator):
        model.train_function = train_function
        if model.history is not this_fit:  # left behind by a fit that was aborted
            return train_function(iterator)
        batches = list(itertools.islice(iterator, model.steps_per_execution))
        if not batches:
            return train_function(iterator)  # exhausted: let it say so itself
        look(batches[0])
        return train_function(_again(iterator, batches))

    def undo():
        if model.train_function is once:
            model.train_function = train_function

    model.train_function = once
    return undo


def _again(iterator, batches):
    """An iterator over drawn batches that is of the same type as their source.

    Its elements are declared as those of the source are, the unknown sizes
    included: Keras then runs the very graph that it runs without us.
    """
    if not isinstance(iterator, tf.data.Iterator):
        return iter(batches)
    dataset = tf.data.Dataset.from_tensors(batches[0])
    for batch in batches[1:]:
        dataset = dataset.concatenate(tf.data.Dataset.from_tensors(batch))
    variant = tf.data.experimental.to_variant(dataset)
    return iter(tf.data.experimental.from_variant(variant, iterator.element_spec))
