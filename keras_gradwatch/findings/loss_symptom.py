"""What may be wrong with a loss: data, no words.

`sentences` says each of them in English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keras_gradwatch.findings.alert import (
    DIVERGING,
    FLAT,
    OSCILLATING,
    OVERFITTING,
    SPIKE,
    STALLED,
)


@dataclass(frozen=True)
class LossSymptom:
    """Base class of all symptoms of a loss.

    Attributes:
        kind: Of the `Alert` that it leads to.

    Args:
        loss: Name of the loss, as it is logged.
        ago: For how many steps it has been so.
        value: The figure that is held against a threshold.
        threshold: That threshold.
    """

    kind: ClassVar[str]
    loss: str
    ago: int
    value: float
    threshold: float

    @property
    def before(self) -> float | None:
        """What the loss was before it rose; None if it did not."""
        return None


@dataclass(frozen=True)
class Spike(LossSymptom):
    """The loss of a few batches was far above all others, and came back.

    Args:
        level: Median of the losses before.
        highest: The largest of them.
        steps: For how long.
        number: How many of these there were in this training, with this one.
    """

    kind: ClassVar[str] = SPIKE
    level: float
    highest: float
    steps: int
    number: int

    @property
    def before(self) -> float:
        """What the loss was before it rose."""
        return self.level


@dataclass(frozen=True)
class BlowUp(LossSymptom):
    """The loss grew from step to step, beyond all bounds.

    Args:
        first: The loss where it began to grow.
        steps: Number of steps in which it grew.
        is_lost: Whether it is NaN or infinite now.
    """

    kind: ClassVar[str] = DIVERGING
    first: float
    steps: int
    is_lost: bool = False

    @property
    def before(self) -> float:
        """What the loss was before it rose."""
        return self.first


@dataclass(frozen=True)
class Rise(LossSymptom):
    """The level of the loss rose for good: by Page's test, and by much.

    Args:
        best: The lowest level before.
        start: The level of the first batches.
    """

    kind: ClassVar[str] = DIVERGING
    best: float
    start: float

    @property
    def before(self) -> float:
        """What the loss was before it rose."""
        return self.best


@dataclass(frozen=True)
class Stalled(LossSymptom):
    """The loss stays where it is, and parts of the model get no gradient.

    Args:
        layers: Paths of these layers.
        share: Share of their units without any, of the first of them.
    """

    kind: ClassVar[str] = STALLED
    layers: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Overshooting(LossSymptom):
    """The loss does not fall, though each step changes that of its batch by much.

    Args:
        looks: How many steps were looked at.
    """

    kind: ClassVar[str] = OSCILLATING
    looks: int


@dataclass(frozen=True)
class Uninformed(LossSymptom):
    """The loss does not fall, and is as large with the targets of other examples.

    Args:
        start: The level of the first batches.
        swapped: The loss with swapped targets.
        own: The loss of the same batches with their own.
    """

    kind: ClassVar[str] = FLAT
    start: float
    swapped: float
    own: float


@dataclass(frozen=True)
class Parted(LossSymptom):
    """The validation loss has risen while that of training fell.

    Args:
        best: The lowest validation loss.
        epoch: Its epoch.
        trained_then: The training loss of that epoch.
        trained_now: That of the last one.
    """

    kind: ClassVar[str] = OVERFITTING
    best: float
    epoch: int
    trained_then: float
    trained_now: float
