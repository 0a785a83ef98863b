"""Pieces of a line: names that users chose, fit to be printed; lists; numbers."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# They reorder the text around them, so that a name could hide what it says.
_REORDERING = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


def plain(text: str, room: int | None = None) -> str:
    """One line of visible characters; control characters are spelled out.

    Args:
        text: Any text.
        room: How many characters there is room for. No limit if None.
    """
    line = "".join(map(_visible, " ".join(text.split())))
    if room is None or len(line) <= room:
        return line
    # Both ends: paths differ at the end, and begin alike.
    head = (room - 1) // 3
    return f"{line[:head]}\u2026{line[head + 1 - room :]}"


def _visible(character):
    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs"):
        return character.encode("unicode_escape").decode("ascii")
    return character


def counted(count: int, noun: str) -> str:
    """A number of things, such as `"1 variable"` or `"12 variables"`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], shown: int = 3) -> str:
    """The first of some names, and how many more there are.

    Args:
        names: The names.
        shown: How many to show.

    Returns:
        A list such as `"a"`, `"a and b"` or `"a, b, c and 4 more"`.
    """
    parts = list(names[:shown])
    if not parts:
        return ""
    if len(names) > shown:
        parts.append(f"{len(names) - shown} more")
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def some_of(names: Sequence[object], shown: int) -> str:
    """The first of some names or numbers, and dots for the rest: `"a, b, ..."`.

    Args:
        names: The names.
        shown: How many to show.
    """
    rest = [] if len(names) <= shown else ["..."]
    return ", ".join([*map(str, names[:shown]), *rest])


def first_of(names: Sequence[str]) -> str:
    """The first of some names, and how many more: `"a"` or `"a (and 2 more)"`."""
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"{names[0]}{more}"


def and_others(names: Sequence[str], shown: int) -> str:
    """The first of some names, and whether there are more: `"a, b and others"`.

    Args:
        names: The names.
        shown: How many to show.
    """
    return ", ".join(names[:shown]) + (" and others" if len(names) > shown else "")


def share_of(share: float) -> str:
    """A share in percent, such as `"12%"` or `"less than 1%"`."""
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"
