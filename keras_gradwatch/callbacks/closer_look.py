"""A closer look at a few steps of a training whose loss stays where it is."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import assert_ready
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.losses.plateau import LOOKS, Look, dead_layers
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.stats.gauge import Gauge


class CloserLook:
    """Runs steps on a copy, as `GradientStats` does, to see what they do to the loss.

    Args:
        model: The live model, which is left as it is.

    Attributes:
        looks: What was seen so far.
    """

    def __init__(self, model: keras.Model):
        self.looks: list[Look] = []
        self._model, self._asked = model, 0
        self._gauge: Gauge | None = None
        self._unfinished: tuple[Any, GradientReading, float | None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether enough was seen."""
        return len(self.looks) >= LOOKS

    @property
    def is_hopeless(self) -> bool:
        """Whether steps are made that can't be looked at, as in a loop by hand."""
        return self._asked > 4 * LOOKS

    def before(self, data: Any) -> None:
        """Looks at a step before it is made.

        Args:
            data: Its batch.
        """
        with ONE_AT_A_TIME, outside_strategies():
            if self._gauge is None:
                assert_ready(self._model)
                steps = Steps.shared(self._model)
                found = steps.objectives("bypass", data)
                self._gauge = Gauge(steps, "bypass", found, histograms=False)
            reading, other = self._read(data), _swapped(data)
            loss = None if other is None else self._read(other).loss
            self._unfinished = data, reading, loss

    def after(self) -> None:
        """Looks again, after the step."""
        self._asked += 1
        if self._unfinished is None:
            return
        (data, reading, swapped), self._unfinished = self._unfinished, None
        after = None
        if self._model.steps_per_execution == 1:
            with ONE_AT_A_TIME, outside_strategies():
                after = self._read(data).loss
        self.looks.append(Look(reading.loss, swapped, after, dead_layers(reading)))

    def _read(self, data) -> GradientReading:
        assert self._gauge is not None
        return self._gauge.gradients(iterations(self._model), data)


def _swapped(data):
    """The batch with each target at another example; None if that changes nothing."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    leaves = tf.nest.flatten(y)
    if y is None or not all(isinstance(leaf, tf.Tensor) for leaf in leaves):
        return None
    half = min((leaf.shape[0] if leaf.shape.rank else 0) for leaf in leaves) // 2
    if not half:
        return None
    other = tf.nest.map_structure(lambda leaf: tf.roll(leaf, half, axis=0), y)
    pairs = zip(leaves, tf.nest.flatten(other), strict=True)
    if all(bool(tf.reduce_all(a == b)) for a, b in pairs):
        return None
    return keras.utils.pack_x_y_sample_weight(x, other, weight)
