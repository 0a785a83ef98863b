"""What `expected` declares and is not so: the list must not rot."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings.notes.note import Note


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
