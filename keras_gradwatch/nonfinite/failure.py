"""A step that failed: what was seen after it, and what a replay of it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf


@dataclass(frozen=True)
class Seen:
    """What is not finite after a step.

    Args:
        losses: Those that were logged and are not finite, by their names.
        variables: The watched Keras variables that are not finite.
    """

    losses: Mapping[str, float] = field(default_factory=dict)
    variables: Sequence[keras.Variable] = ()

    @property
    def is_well(self) -> bool:
        """Whether all is finite."""
        return not self.losses and not self.variables


@dataclass(frozen=True)
class Failure:
    """A step after which something was not finite.

    Args:
        step: Optimizer iterations before it.
        seen: What was seen after it.
        values: What the variables held before, by the id of the Keras variable.
        batches: What its steps were handed; one, unless `steps_per_execution`.
        watched: The variables that were finite after the step before.
        history: Pairs of a step and the loss logged after it.
        growth: Pairs of a step and the root mean square of all weights after it.
        rate: The learning rate, None if there is none.
        check_freq: At every how many steps it was looked.
        device: Whose part of the batch this is, 0 for the first.
        devices: Over how many devices here the batch was split.
        number: Which of `batches` it was, 0 for the first; None if there is only one,
            or it is not known.
    """

    step: int
    seen: Seen
    values: Mapping[int, tf.Tensor] = field(default_factory=dict)
    batches: Sequence[Any] = ()
    watched: Sequence[keras.Variable] = ()
    history: tuple[tuple[int, float], ...] = ()
    growth: tuple[tuple[int, float], ...] = ()
    rate: float | None = None
    check_freq: int = 1
    device: int = 0
    devices: int = 1
    number: int | None = None
