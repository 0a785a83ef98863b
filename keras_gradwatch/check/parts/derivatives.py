"""First and second derivatives of what a `Harness` calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.replica.recorder import Call, Recording
from keras_gradwatch.replica.replica import Replica, watch


class FirstOrder(Replica):
    """The replica of a harness, for one of its losses.

    Args:
        model: The live `Harness`.
        dropout: `"bypass"` or `"freeze"`, as for `Replica`.
        objective: What to evaluate.
        number: Which of the losses: its place among `Harness.wanted`.
        is_alone: Whether the others are left out of the trace, and not only counted as
            nothing.
    """

    # What TensorFlow has to know to compare with.
    _derivative = "gradient"

    def __init__(self, model, dropout, objective, number, is_alone=False):
        super().__init__(model, dropout, objective)
        self.number, self._is_alone = number, is_alone

    def states(self, read: Callable = read_variable) -> list[tf.Tensor]:
        return self.states_under(1.0, 1.0, read)

    def states_under(
        self, first: float, second: float, read: Callable = read_variable
    ) -> list[tf.Tensor]:
        """What `states` returns, under another upstream gradient.

        Args:
            first: A factor for one half of it.
            second: A factor for the other half.
            read: As for `states`.
        """
        factors = self.model.factors(self.number, first, second)

        def read_factors(variable):
            if variable is self.model.halves:
                return tf.constant(factors)
            return read(variable)

        return super().states(read_factors)

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

    def _default_loss(self, values, batch, replay):
        with self.model.alone(self.number if self._is_alone else None):
            return super()._default_loss(values, batch, replay)

    def unreplayable(self, error: Exception) -> UncheckableError:
        return UncheckableError(
            f"{self.model.name!r} runs by itself, but could not be differentiated in "
            "the check. "
            f"Received: {type(error).__name__}: {_in_short(error)}"
        )


class SecondOrder(FirstOrder):
    """The slope of the loss along a fixed random direction, as a loss of its own.

    Its gradient is the second derivative of the loss times that direction: one
    that mixes all entries of all variables. The slope is what the backward pass
    returns, so it depends on the upstream gradients too: these are variables as well.

    Args:
        model: The live `Harness`.
        dropout: `"bypass"` or `"freeze"`, as for `Replica`.
        objective: What to evaluate; upstream gradients come last in its variables.
        number: As for `FirstOrder`.
        seed: Seed of the direction.
        is_alone: As for `FirstOrder`.
    """

    _derivative = "second derivative"

    def __init__(self, model, dropout, objective, number, seed, is_alone=False):
        super().__init__(model, dropout, objective, number, is_alone)
        rng = np.random.default_rng([seed, 2])
        count = len(self.weights) - len(model.upstream)
        self._along = [
            rng.choice([-1.0, 1.0], w.shape) * rng.uniform(0.5, 1.5, w.shape)
            for w in self.weights[:count]
        ]

    def _default_loss(self, values, batch, replay):
        moved = values[: len(self._along)]
        with tf.GradientTape() as tape:
            watch(tape, moved)
            loss = super()._default_loss(values, batch, replay)
        try:
            gradients = tape.gradient(loss, moved)
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
