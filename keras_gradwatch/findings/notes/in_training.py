"""What goes wrong in the precision of training, or after the tape.

What of it is severe, who makes the note knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_gradwatch.findings.handed import Handed
from keras_gradwatch.findings.notes.note import SEVERE, Note


@dataclass(frozen=True)
class TrainingLossNotFinite(Note):
    """In the precision of training the loss is not finite, in float64 it is.

    Args:
        dtype: The precision of training.
        loss: The loss in it.
        exact: The loss in float64.
    """

    dtype: str
    loss: float
    exact: float


@dataclass(frozen=True)
class LossNotScaled(Note):
    """An optimizer divides by a loss scale, but the loss was not scaled.

    Args:
        optimizer: Name of the optimizer on the model.
    """

    severity: str = field(default=SEVERE, kw_only=True)
    optimizer: str


@dataclass(frozen=True)
class ScaledInVain(Note):
    """A loss is scaled for an optimizer that is handed no gradient: another one is.

    Args:
        optimizer: Name of that optimizer on the model.
        other: Name of one that is handed gradients, and divides by no scale.
    """

    severity: str = field(default=SEVERE, kw_only=True)
    optimizer: str
    other: str


@dataclass(frozen=True)
class Underflow(Note):
    """Entries are zero in the precision of training, and not in float64.

    Args:
        dtype: The precision of training.
        share: Share of the entries, of the worst variable, from 0 to 1.
        labels: Of the variables, the worst first.
        loss_scale: By what the loss is scaled, None if it is not.
    """

    dtype: str
    share: float
    labels: tuple[str, ...]
    loss_scale: float | None


@dataclass(frozen=True)
class Overflow(Note):
    """Entries are not finite in the precision of training, and are in float64.

    Args:
        dtype: The precision of training.
        share: Share of the entries, of the worst variable, from 0 to 1.
        labels: Of the variables, the worst first.
        is_scaled: Whether the loss is scaled: the optimizer then skips the step.
    """

    dtype: str
    share: float
    labels: tuple[str, ...]
    is_scaled: bool


@dataclass(frozen=True)
class RoundedOff(Note):
    """Rounding in the precision of training spoils gradients.

    Args:
        dtype: The precision of training.
        error: Relative error of the worst variable.
        labels: Of the variables, the worst first.
    """

    dtype: str
    error: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class HandedOn(Note):
    """Optimizers are handed something else than the gradient.

    Args:
        labels: Of the variables.
        handed: What their optimizers get.
    """

    labels: tuple[str, ...]
    handed: Handed


@dataclass(frozen=True)
class AssignedAndRead(Note):
    """What a step assigns to a variable is read again: no gradient flows through that.

    Args:
        layers: Where it is read.
    """

    layers: tuple[str, ...]


@dataclass(frozen=True)
class FlawedOperation(Note):
    """On the way from wrong variables to the loss, TensorFlow's own gradient is flawed.

    Args:
        operation: Its name, a key of `intentions.FLAWS`.
        layers: Whose operation it is.
    """

    operation: str
    layers: tuple[str, ...]
