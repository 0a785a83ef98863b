"""Names that users chose, made fit to be printed: one line, no tricks."""

from __future__ import annotations

import unicodedata

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
