"""Seeing at once that a variable is no longer finite, for little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.replica import keras_internals as internals
from keras_gradwatch.replica.devices import local_value, local_variable
from keras_gradwatch.replica.optimizers import optimizers
from keras_gradwatch.replica.precision import is_float
from keras_gradwatch.replica.replica import states_of


class Watch:
    """Keeps the values of a model's variables, and measures their sizes.

    A copy costs nothing by itself: a tensor that was read shares its memory with
    the variable until the variable is written. The size of a variable is half its
    sum of squares: one pass over it, and not finite if any entry is not.

    Args:
        model: A model whose weights exist.
        with_slots: Whether the values of optimizers are kept too.

    Attributes:
        weights: The trainable Keras variables.
        watched: The Keras variables whose size is measured: all float weights of
            the model, then what optimizers keep of each entry of a weight.
    """

    def __init__(self, model, with_slots: bool = False):
        self.weights = list(model.trainable_variables)
        states = states_of(model, self.weights)
        slots = slots_of(model)
        own = {id(v) for v in model.weights}
        floats = [v for v in [*self.weights, *states] if id(v) in own]
        self.watched = [v for v in [*floats, *slots] if is_float(v.dtype)]
        self._kept = [*self.weights, *states, *(slots if with_slots else ())]
        kept = [local_variable(internals.raw_value(v)) for v in self._kept]
        watched = [local_variable(internals.raw_value(v)) for v in self.watched]
        self._copy = _compiled(lambda: [tf.identity(v) for v in kept])
        self._measure = _compiled(lambda: tf.stack([_size(v) for v in watched]))
        self._known_bad: set[int] = set()
        self.model = model

    def copy(self) -> dict[int, tf.Tensor]:
        """The present values, by the id of the Keras variable."""
        return dict(zip(map(id, self._kept), self._copy(), strict=True))

    def sizes(self) -> np.ndarray:
        """Half the sum of squares of each of `watched`."""
        return self._measure().numpy()

    def not_finite(self, sizes: np.ndarray) -> list:
        """The watched variables that are not finite, but for those that never were.

        Args:
            sizes: What `sizes` returned just now.
        """
        return [
            self.watched[k]
            for k in np.flatnonzero(~np.isfinite(sizes))
            if k not in self._known_bad and not _is_finite(self.watched[k])
        ]

    def expected(self) -> list:
        """The watched variables that ought to be finite."""
        return [v for k, v in enumerate(self.watched) if k not in self._known_bad]

    def accept(self, variables: Sequence) -> None:
        """Takes it that these variables are not finite on purpose."""
        wanted = {id(v) for v in variables}
        self._known_bad |= {k for k, v in enumerate(self.watched) if id(v) in wanted}

    def is_of(self, model) -> bool:
        """Whether it still knows all that there is to watch."""
        now = [*map(id, model.trainable_variables), *map(id, slots_of(model))]
        known = {id(v) for v in [*self.weights, *self.watched]}
        return set(map(id, self.weights)) == set(
            map(id, model.trainable_variables)
        ) and known.issuperset(now)


def slots_of(model) -> list:
    """What the optimizers of a model keep for each entry of its weights."""
    found = [v for _, optimizer in optimizers(model) for v in optimizer.variables]
    return [
        v
        for v in {id(v): v for v in found}.values()
        if len(v.shape) and is_float(v.dtype)
    ]


def rms_of_weights(watch: Watch, sizes: np.ndarray) -> float:
    """Root mean square of all trainable weights."""
    count = sum(int(np.prod(v.shape)) for v in watch.weights)
    trainable = {id(v) for v in watch.weights}
    wanted = [k for k, v in enumerate(watch.watched) if id(v) in trainable]
    total = 2 * np.sum(sizes[wanted], dtype=np.float64)
    return float(np.sqrt(total / max(count, 1)))


def _is_finite(variable):
    value = local_value(internals.raw_value(variable))
    return bool(tf.reduce_all(tf.math.is_finite(value)))


def _size(variable):
    value = tf.convert_to_tensor(variable)
    if value.dtype in (tf.float16, tf.bfloat16):
        value = tf.cast(value, tf.float32)
    return tf.cast(tf.nn.l2_loss(value), tf.float32)


def _compiled(function):
    return tf.function(function, autograph=False)
