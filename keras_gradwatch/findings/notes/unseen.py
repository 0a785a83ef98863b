"""What was not seen, or less sharply."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from keras_gradwatch.findings.notes.note import LIMIT, Note


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
