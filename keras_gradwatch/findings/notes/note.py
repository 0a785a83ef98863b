"""What all notes have in common."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass(frozen=True)
class Said(Note):
    """A note in words, of a report of an earlier version.

    Args:
        text: One sentence or a few.
    """

    text: str
