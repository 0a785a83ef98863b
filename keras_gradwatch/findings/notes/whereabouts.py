"""Where a mistake lies."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings.notes.note import Note
from keras_gradwatch.findings.place import Place


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
