"""What optimizers make of gradients, on copies of them.

All that runs a step again ends where an optimizer would begin, and notes what that was
handed. Here it goes on.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.nonfinite.watch import counter_of
from keras_gradwatch.replica.recorder import Update


def updated(
    updates: list[Update], values: dict[int, tf.Tensor]
) -> dict[int, tf.Tensor]:
    """The values of weights and of what optimizers keep, after updates.

    Args:
        updates: What optimizers are handed.
        values: Values before, by the id of the Keras variable.

    Raises:
        LookupError: If it is not known what an optimizer kept before.
    """
    values = dict(values)
    with internals.same_global_state():
        for update in updates:
            _apply(update, values)
    return values


def _apply(update, values):
    live = update.optimizer
    trainable = internals.tracked_by(live) or list(update.variables)
    copies = [keras.Variable(_value(v, values), dtype=v.dtype) for v in trainable]
    by_id = dict(zip(map(id, trainable), copies, strict=True))
    copy = type(live).from_config(live.get_config())
    copy.build(copies)
    counter = counter_of(live)
    for own, original in zip(copy.variables, live.variables, strict=True):
        if id(original) in values:
            own.assign(values[id(original)])
        elif not len(original.shape):
            own.assign(read_variable(original))
        elif counter is None or int(values.get(id(counter), 1)):
            raise LookupError(original.path)
        # Before its first step it holds what it begins with.
    copy.apply(list(update.gradients), [by_id[id(v)] for v in update.variables])
    for variable, new in zip(trainable, copies, strict=True):
        values[id(variable)] = tf.convert_to_tensor(new.value)
    for own, original in zip(copy.variables, live.variables, strict=True):
        values[id(original)] = tf.convert_to_tensor(own.value)


def _value(variable, values):
    known = values.get(id(variable))
    return read_variable(variable) if known is None else known
