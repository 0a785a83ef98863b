"""What may be wrong with gradients in one reading: data, no words.

`sentences` says each of them in English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keras_gradwatch.findings.alert import (
    DEAD,
    EXPLODING,
    NONFINITE,
    RULE,
    SATURATED,
    SCALE,
    STILL,
    VANISHING,
)


@dataclass(frozen=True)
class Symptom:
    """Base class of all symptoms.

    Attributes:
        kind: Of the `Alert` that it leads to.

    Args:
        where: Path of the layer or label of the variable.
        value: The figure that is held against a threshold.
    """

    kind: ClassVar[str]
    where: str
    value: float


@dataclass(frozen=True)
class SmallGradient(Symptom):
    """The gradient of a layer is a small share of the largest one.

    Args:
        largest: Path of the layer with the largest.
        underflows: Whether it is so small that some of it may have underflowed.
    """

    kind: ClassVar[str] = VANISHING
    largest: str
    underflows: bool = False


@dataclass(frozen=True)
class LargeGradient(Symptom):
    """Norms of gradient and weights, multiplied, are many times the loss.

    Args:
        loss: Size of the loss.
        norm: Norm of the gradient of the layer.
    """

    kind: ClassVar[str] = EXPLODING
    loss: float
    norm: float


@dataclass(frozen=True)
class LargeUpdate(Symptom):
    """A step moves the weights by many times their own size.

    Args:
        path: Path of the variable that moves most.
    """

    kind: ClassVar[str] = EXPLODING
    path: str


@dataclass(frozen=True)
class LostWeights(Symptom):
    """Finite gradients made weights NaN or infinite.

    Args:
        norm: Norm of all gradients.
    """

    kind: ClassVar[str] = EXPLODING
    norm: float


@dataclass(frozen=True)
class NonFiniteEntries(Symptom):
    """So many entries of a gradient, `value`, are NaN or infinite."""

    kind: ClassVar[str] = NONFINITE


@dataclass(frozen=True)
class OvergrownEntries(Symptom):
    """The same, after gradients had grown.

    Args:
        first: Norm of all gradients in the first reading.
        last: The same in the last one that was finite.
    """

    kind: ClassVar[str] = EXPLODING
    first: float
    last: float


@dataclass(frozen=True)
class NoGradient(Symptom):
    """All gradients of a layer are exactly zero.

    Args:
        may_underflow: Whether the layer computes in float16, and nothing is scaled.
    """

    kind: ClassVar[str] = DEAD
    may_underflow: bool = False


@dataclass(frozen=True)
class IdleUnits(Symptom):
    """The share `value` of the units of a layer gets a gradient of exactly zero.

    Args:
        may_underflow: Whether the layer computes in float16, and nothing is scaled.
    """

    kind: ClassVar[str] = DEAD
    may_underflow: bool = False


@dataclass(frozen=True)
class UnderflowingGradient(Symptom):
    """The share `value` of the units of a layer in float16 gets none.

    And what others get is so small that more of it may be lost.

    Args:
        peak: The largest entry of these gradients, as scaled.
        scale: By what the loss is scaled.
    """

    kind: ClassVar[str] = DEAD
    peak: float
    scale: float


@dataclass(frozen=True)
class SaturatedUnits(Symptom):
    """The share `value` of what a hidden layer puts out is at an end of its range."""

    kind: ClassVar[str] = SATURATED


@dataclass(frozen=True)
class SmallSteps(Symptom):
    """Steps move all weights by `value` times their size at most.

    Args:
        steps: For how many steps.
    """

    kind: ClassVar[str] = STILL
    steps: int


@dataclass(frozen=True)
class StillWeights(Symptom):
    """A variable has a gradient, and was never seen to move; others do.

    Args:
        steps: For how many steps.
    """

    kind: ClassVar[str] = STILL
    steps: int


@dataclass(frozen=True)
class FadingScale(Symptom):
    """What a layer puts out is `value` times as large as what the first one does.

    Args:
        first: Path of the first layer.
    """

    kind: ClassVar[str] = SCALE
    first: str


@dataclass(frozen=True)
class SwellingScale(Symptom):
    """The same, where it is far larger.

    Args:
        first: Path of the first layer.
    """

    kind: ClassVar[str] = SCALE
    first: str


@dataclass(frozen=True)
class BrokenRule(Symptom):
    """A rule of the user's own does not hold: `where` is its name, `value` is NaN.

    Args:
        message: What the rule says.
    """

    kind: ClassVar[str] = RULE
    message: str


SYMPTOMS = (
    SmallGradient,
    LargeGradient,
    LargeUpdate,
    LostWeights,
    NonFiniteEntries,
    OvergrownEntries,
    NoGradient,
    IdleUnits,
    UnderflowingGradient,
    SaturatedUnits,
    SmallSteps,
    StillWeights,
    FadingScale,
    SwellingScale,
)
