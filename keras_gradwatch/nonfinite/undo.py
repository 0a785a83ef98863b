"""Undoing a step: all that it wrote is as it was before."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework import operations
from keras_gradwatch.framework.isolation import kept_attributes, raw_variables
from keras_gradwatch.framework.model import states_of
from keras_gradwatch.framework.optimizers import optimizers
from keras_gradwatch.nonfinite.kept import Kept
from keras_gradwatch.nonfinite.watch import of_optimizers

logger = logging.getLogger("keras_gradwatch")


def undo(model: keras.Model, kept: Kept, values: dict[int, tf.Tensor]) -> list[str]:
    """Puts back what a step wrote to variables.

    What was made in the step, as slots of optimizers and metrics are in the first one,
    gets what it began with.

    Args:
        model: The model.
        kept: What keeps its variables.
        values: Their values before the step.

    Returns:
        Paths of variables that were made in the step and are left as they are.
    """
    left = _as_at_birth(model, born(model, kept))
    kept.put_back(values)
    return [getattr(v, "path", v.name) for v in left]


def born(model: keras.Model, kept: Kept) -> list[Any]:
    """The variables of a model that were made after it was looked at.

    Args:
        model: The model.
        kept: What keeps those that were there.
    """
    known = {id(v) for v in kept.variables}
    weights = model.trainable_variables
    raw = raw_variables(internals.all_layers(model))
    raw += operations.state_of_global_generator()
    present = [*weights, *states_of(model, weights), *of_optimizers(model), *raw]
    return [v for v in present if id(v) not in known]


def metrics_now(model: keras.Model) -> list[tuple[Any, tf.Tensor]]:
    """What the metrics of a model hold: pairs of a variable and its value."""
    return [(v, tf.identity(v.value)) for v in model.metrics_variables]


def _as_at_birth(model, those) -> list[Any]:
    """Gives new variables what they began with; those of which that is not known."""
    left = {id(v): v for v in those}
    for metric in model.metrics:
        own = {id(v) for v in metric.variables}
        if own & set(left):
            metric.reset_state()
            left = {key: v for key, v in left.items() if key not in own}
    for _, optimizer in optimizers(model):
        for variable, value in _at_birth(optimizer, left):
            variable.assign(value)
            del left[id(variable)]
    return list(left.values())


def _at_birth(optimizer, wanted: Iterable[int]):
    """Pairs of a variable of an optimizer, and what it holds before the first step."""
    pairs = [v for v in optimizer.variables if id(v) in wanted]
    trained = internals.tracked_by(optimizer)
    if not pairs or not trained:
        return []
    try:
        with internals.same_global_state():
            copy = type(optimizer).from_config(optimizer.get_config())
            copy.build([keras.Variable(tf.zeros(v.shape, v.dtype)) for v in trained])
        both = list(zip(optimizer.variables, copy.variables, strict=True))
    except Exception:  # an optimizer of the user's own that can't be made anew
        logger.debug("%s can't be made anew.", optimizer.name, exc_info=True)
        return []
    return [(v, tf.identity(own.value)) for v, own in both if id(v) in wanted]


class AsPython:
    """What a step that runs as Python may change besides variables.

    The attributes of layers are put back. Streams that belong to the data as much as to
    the step are not: whether they went on is told.

    Args:
        model: The model, before the step.
    """

    def __init__(self, model: keras.Model):
        self._put_back = kept_attributes(internals.all_layers(model))
        self._streams = _streams()

    def undo(self) -> list[str]:
        """Puts the attributes back; names of the streams that went on."""
        self._put_back()
        before, now = self._streams, _streams()
        return [name for name in now if now[name] != before[name]]


def _streams() -> dict[str, object]:
    state: Any = np.random.get_state()  # noqa: NPY002
    _, keys, *rest = state
    return {
        "random": random.getstate(),
        "numpy.random": (keys.tobytes(), *rest),
        "tf.random": operations.eager_stream(),
    }
