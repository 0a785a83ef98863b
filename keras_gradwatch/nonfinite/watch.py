"""Seeing at once that a variable is no longer finite, for little.

A `Watch` runs no step: it reads the live variables between steps. Only what it finds
odd is run again, see `locate`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.devices import local_value, local_variable
from keras_gradwatch.framework.dtypes import is_float
from keras_gradwatch.framework.model import states_of
from keras_gradwatch.framework.optimizers import optimizers
from keras_gradwatch.nonfinite.kept import Kept, reader

# Up to how many variables, and entries, a call of a graph is not worth its while.
_FEW, _SMALL = 24, 300_000


class Keep(enum.Enum):
    """What of a model is kept while a step runs."""

    WEIGHTS = "weights, states and metrics: what a replay needs"
    SLOTS = "what optimizers keep for each entry, too: for a replay of several steps"
    ALL = "all that a step may write, on each device: the step can be undone"


class Watch:
    """Keeps the values of a model's variables, and measures their sizes.

    The size of a variable is half its sum of squares: one pass over it, and not finite
    if any entry is not.

    Args:
        model: A model whose weights exist.
        keep: What is kept.

    Attributes:
        kept: The variables whose values are kept.
        weights: The trainable Keras variables.
        watched: The Keras variables whose size is measured: all float weights of
            the model, and slots of optimizers where a gradient may hide in them.
    """

    def __init__(self, model: keras.Model, keep: Keep = Keep.WEIGHTS):
        self.weights = list(model.trainable_variables)
        states = states_of(model, self.weights)
        own = {id(v) for v in model.weights}
        floats = [v for v in [*self.weights, *states] if id(v) in own]
        self.watched = [v for v in floats if is_float(v.dtype)]
        self.watched += slots_that_tell(model)
        self._counters = _counters(model)
        others = {
            Keep.WEIGHTS: lambda: self._counters,
            Keep.SLOTS: lambda: [*slots_of(model), *self._counters],
            Keep.ALL: lambda: of_optimizers(model),
        }[keep]()
        self.kept = Kept(
            model, [*self.weights, *states, *others], all_parts=keep is Keep.ALL
        )
        watched = [local_variable(internals.raw_value(v)) for v in self.watched]
        self._measure = _meter(watched)
        self._known_bad: set[int] = set()
        trained = {id(v) for v in self.weights}
        self._trained = [k for k, v in enumerate(self.watched) if id(v) in trained]
        self._entries = sum(int(np.prod(v.shape)) for v in self.weights)

    def step(self, values: dict[int, tf.Tensor]) -> int:
        """Steps that the optimizer has taken; of several optimizers, the most.

        Args:
            values: What `kept.copy` returned.
        """
        return max((int(values[id(v)]) for v in self._counters), default=0)

    def sizes(self) -> np.ndarray:
        """Half the sum of squares of each of `watched`."""
        return self._measure()

    def scale(self, sizes: np.ndarray) -> float:
        """Root mean square of all trainable weights.

        Args:
            sizes: What `sizes` returned.
        """
        total = 2 * np.sum(sizes[self._trained], dtype=np.float64)
        return float(np.sqrt(total / max(self._entries, 1)))

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

    def is_of(self, model: keras.Model) -> bool:
        """Whether it still knows all that there is to watch."""
        weights = {id(v) for v in self.weights}
        known = {id(v) for v in [*self.watched, *self.kept.variables]}
        return weights == {id(v) for v in model.trainable_variables} and all(
            id(v) in known for v in [*slots_that_tell(model), *_counters(model)]
        )


def slots_of(model: keras.Model) -> list:
    """What the optimizers of a model keep for each entry of its weights."""
    return _slots(optimizer for _, optimizer in optimizers(model))


def of_optimizers(model: keras.Model) -> list:
    """All variables of the optimizers of a model, counters and scales too."""
    found = (v for _, optimizer in optimizers(model) for v in optimizer.variables)
    return list({id(v): v for v in found}.values())


def slots_that_tell(model: keras.Model, of_keras: bool = False) -> list:
    """The slots in which a gradient that is not finite may show before a weight.

    With most optimizers of Keras it is in the weight after the same step.

    Args:
        model: The model.
        of_keras: Whether to leave optimizers of other makers out.
    """
    those = [optimizer for _, optimizer in optimizers(model)]
    return _slots(
        o for o in those if _may_hide(o) and (_is_of_keras(o) or not of_keras)
    )


def counter_of(optimizer: keras.Optimizer) -> Any:
    """The variable that counts an optimizer's steps, None if it has none.

    While gradients are accumulated its `iterations` are no variable.
    """
    if isinstance(optimizer.iterations, keras.Variable):
        return optimizer.iterations
    named = (v for v in optimizer.variables if v.path.endswith("iteration"))
    return next(named, None)


def _may_hide(optimizer):
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    # Lion takes the sign of what is infinite.
    is_lion = isinstance(inner, keras.optimizers.Lion)
    accumulates = bool(inner.gradient_accumulation_steps)
    return is_lion or accumulates or not _is_of_keras(optimizer)


def _is_of_keras(optimizer):
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return type(inner).__module__.startswith("keras.")


def _slots(those):
    found = {id(v): v for optimizer in those for v in optimizer.variables}
    return [v for v in found.values() if len(v.shape) and is_float(v.dtype)]


def _counters(model):
    found = [counter_of(optimizer) for _, optimizer in optimizers(model)]
    return [counter for counter in found if counter is not None]


def _is_finite(variable):
    value = local_value(internals.raw_value(variable))
    return bool(tf.reduce_all(tf.math.is_finite(value)))


def _meter(variables):
    """What measures variables: with NumPy where a graph takes longer."""
    entries = sum(int(np.prod(v.shape)) for v in variables)
    on_cpu = all("GPU" not in v.device for v in variables)
    if len(variables) <= _FEW and entries <= _SMALL and on_cpu:
        read = reader(variables)
        return lambda: np.array([_size_here(v.numpy()) for v in read()])
    compiled = _compiled(lambda: tf.stack([_size(v) for v in variables]))
    return lambda: compiled().numpy()


def _size_here(value):
    if value.dtype not in (np.float32, np.float64):
        value = value.astype(np.float32)
    return np.vdot(value, value) / 2


def _size(variable):
    value = tf.convert_to_tensor(variable)
    if value.dtype in (tf.float16, tf.bfloat16):
        value = tf.cast(value, tf.float32)
    return tf.cast(tf.nn.l2_loss(value), tf.float32)


def _compiled(function):
    return tf.function(function, autograph=False).get_concrete_function()
