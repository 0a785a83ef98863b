"""First and second derivatives of what a `Harness` calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.replica.recorder import Call, Recording
from keras_gradwatch.replica.replica import Replica, watch


class FirstOrder(Replica):
    """The replica of a harness."""

    # What TensorFlow has to know to compare with.
    _derivative = "gradient"

    def differentiated(
        self, values: Sequence[Any], states: Sequence[tf.Tensor], batch: Any
    ) -> Call:
        try:
            return super().differentiated(values, states, batch)
        except LookupError as error:  # of TensorFlow's registry of gradients
            raise UncheckableError(_no_gradient(self._derivative, error)) from error

    def recorded_step(
        self, values: Sequence[tf.Variable], states: Sequence[tf.Tensor], batch: Any
    ) -> Recording:
        # What a harness trains with is what it differentiates: no more is asked for.
        return Recording([self.differentiated(values, states, batch)])

    def unreplayable(self, error: Exception) -> UncheckableError:
        return UncheckableError(
            f"{self.model.name!r} runs by itself, but could not be differentiated in "
            "the check. "
            f"Received: {type(error).__name__}: {_in_short(error)}"
        )


class SecondOrder(FirstOrder):
    """The slope of the loss along a fixed random direction, as a loss of its own.

    Its gradient is the second derivative of the loss times that direction: one
    that mixes all entries of all variables.

    Args:
        model: The live `Harness`.
        dropout: `"bypass"` or `"freeze"`, as for `Replica`.
        objective: What to evaluate.
        seed: Seed of the direction.
    """

    _derivative = "second derivative"

    def __init__(self, model, dropout, objective, seed):
        super().__init__(model, dropout, objective)
        rng = np.random.default_rng([seed, 2])
        self._along = [
            rng.choice([-1.0, 1.0], w.shape) * rng.uniform(0.5, 1.5, w.shape)
            for w in self.weights
        ]

    def _default_loss(self, values, batch, replay):
        with tf.GradientTape() as tape:
            watch(tape, values)
            loss = super()._default_loss(values, batch, replay)
        try:
            gradients = tape.gradient(loss, values)
        except LookupError as error:
            raise UncheckableError(_no_gradient("gradient", error)) from error
        return tf.add_n(
            [
                tf.zeros((), tf.float64),
                *(
                    _along(gradient, tf.constant(direction))
                    for gradient, direction in zip(gradients, self._along, strict=True)
                    if gradient is not None
                ),
            ]
        )


def _along(gradient, direction):
    if isinstance(gradient, tf.IndexedSlices):
        direction = tf.gather(direction, gradient.indices)
        gradient = gradient.values
    return tf.reduce_sum(tf.cast(gradient, tf.float64) * direction)


def _no_gradient(what, error):
    return f"TensorFlow has no {what} here to compare with: {error}"


def _in_short(error):
    """Without where in the graph it arose: of that a report can't make a line."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("File ")]
    return " ".join(lines[:1] + lines[-2:] if len(lines) > 3 else lines)
