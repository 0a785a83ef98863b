"""What else a reader of a report should know: data, no words.

`sentences` says each of them in English.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keras_gradwatch.findings.handed import Handed
from keras_gradwatch.findings.place import Place

# How bad it is: something keeps weights from learning as they should, and nobody
# declared it; something was not seen, or less sharply; good to know.
SEVERE, LIMIT, HINT = "severe", "limit", "hint"
SEVERITIES = (SEVERE, LIMIT, HINT)


@dataclass(frozen=True)
class Note:
    """Base class of all notes.

    Args:
        severity: One of `SEVERITIES`. Some notes are severe or not, by what they say.
    """

    severity: str = field(default=HINT, kw_only=True)


# Where to look.


@dataclass(frozen=True)
class Look(Note):
    """Base class of what bounds a mistake.

    Args:
        places: The layers to look at.
    """

    places: tuple[Place, ...]


@dataclass(frozen=True)
class LookHere(Look):
    """Each of these operations is wrong by itself, on the values of training."""


@dataclass(frozen=True)
class LookAtOwnWeights(Look):
    """Only the layer's own weights are wrong; what lies before it is right."""


@dataclass(frozen=True)
class LookBetween(Look):
    """The mistake lies between two layers.

    Args:
        wrong: Name of the layer whose gradient is wrong.
        right: Name of the first one after it whose gradient is right.
    """

    wrong: str
    right: str


@dataclass(frozen=True)
class LookToTheLoss(Look):
    """No layer after the wrong one is known to be right.

    Args:
        wrong: Name of the layer whose gradient is wrong.
    """

    wrong: str


@dataclass(frozen=True)
class LookAtThese(Look):
    """All that can be said are the layers; no loss follows them."""


# What was not seen, or less sharply.


@dataclass(frozen=True)
class LowPrecision(Note):
    """The loss goes through less than float64.

    Args:
        dtype: The precision.
        layers: The layers that compute in it.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    dtype: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class SymmetricOnly(Note):
    """Variables were compared along changes that keep them symmetric.

    Args:
        labels: Of the variables.
    """

    labels: tuple[str, ...]


@dataclass(frozen=True)
class RaisedNearby(Note):
    """What is differentiated raises at points that differences would move to.

    Args:
        text: What it raised, in a line.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    text: str


@dataclass(frozen=True)
class Stairs(Note):
    """The loss is rounded inside, although all of it is float64 by its types.

    Args:
        height: How far that moves the loss, as a share of it.
        operation: The type of the operation that rounds; empty if it can't be told.
        layer: The layer that it belongs to; empty if it can't be told.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    height: float
    operation: str = ""
    layer: str = ""


@dataclass(frozen=True)
class RoundedConstants(Note):
    """A backward pass computes with constants that its code rounded to half precision.

    Args:
        layers: The layers whose gradient it is.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Refusal(Note):
    """Base class of why a loss, or the whole check, could not be looked at.

    Args:
        target: Name of the loss; empty for a single one, or for all.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    target: str

    def of(self, target: str) -> Refusal:
        """The same of another loss."""
        return replace(self, target=target)


@dataclass(frozen=True)
class Refused(Refusal):
    """Something is in the way.

    Args:
        text: Why, in the words of what refused it.
    """

    text: str


@dataclass(frozen=True)
class LossNotFinite(Refusal):
    """The loss is NaN or infinite at the very point.

    Args:
        loss: Its value.
    """

    loss: float


@dataclass(frozen=True)
class LossNotRepeatable(Refusal):
    """The loss is another one each time.

    Args:
        once: Its value.
        again: Its value at the same weights, the next time.
    """

    once: float
    again: float


@dataclass(frozen=True)
class HandedUnseen(Refusal):
    """Optimizers are handed something that no recorded gradient is.

    Args:
        paths: Of the variables.
    """

    paths: tuple[str, ...]


@dataclass(frozen=True)
class TrainingUnseen(Note):
    """The step in the precision of training could not be run.

    Args:
        error: What it raised.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    error: str


@dataclass(frozen=True)
class LeftOut(Note):
    """The training step takes no gradient for some trainable variables.

    Args:
        paths: Of these variables.
    """

    severity: str = field(default=LIMIT, kw_only=True)
    paths: tuple[str, ...]


@dataclass(frozen=True)
class NotDifferentiated(Note):
    """Arguments or outputs that have no derivative, such as integers.

    Args:
        paths: Where they stand.
        kinds: What each of them is, such as `"int32"`.
    """

    paths: tuple[str, ...]
    kinds: tuple[str, ...]


# What goes wrong in the precision of training, or after the tape. What of it is severe,
# who makes the note knows.


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


# On `expected`: the list must not rot.


@dataclass(frozen=True)
class ExpectedMatchesNothing(Note):
    """A pattern of `expected` is the path of no variable.

    Args:
        pattern: The pattern.
    """

    pattern: str


@dataclass(frozen=True)
class ExpectedIsRight(Note):
    """A pattern of `expected` matches only variables that are right by now.

    Args:
        pattern: The pattern.
    """

    pattern: str


# Of a report of an earlier version.


@dataclass(frozen=True)
class Said(Note):
    """A note in words.

    Args:
        text: One sentence or a few.
    """

    text: str


NOTES = (
    LookHere,
    LookAtOwnWeights,
    LookBetween,
    LookToTheLoss,
    LookAtThese,
    LowPrecision,
    RaisedNearby,
    SymmetricOnly,
    Stairs,
    RoundedConstants,
    Refused,
    LossNotFinite,
    LossNotRepeatable,
    HandedUnseen,
    TrainingUnseen,
    LeftOut,
    NotDifferentiated,
    TrainingLossNotFinite,
    LossNotScaled,
    ScaledInVain,
    Underflow,
    Overflow,
    RoundedOff,
    HandedOn,
    AssignedAndRead,
    FlawedOperation,
    ExpectedMatchesNothing,
    ExpectedIsRight,
    Said,
)
