"""What was found as small tables for notebooks: HTML without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from keras_gradwatch.findings.colours import BADGES
from keras_gradwatch.findings.text import plain

_CELL = "padding: 1px 10px; text-align: left; white-space: pre-wrap"
# Characters of a name; a longer one would push the figures out of sight.
_ROOM = 80


def page(
    headline: str,
    above: Iterable[str] = (),
    header: Sequence[str] = (),
    rows: Iterable[Sequence[str]] = (),
    below: Iterable[str] = (),
) -> str:
    """A headline, lines, a table and more lines.

    Args:
        headline: HTML of the first line.
        above: Plain lines above the table.
        header: The columns, plain.
        rows: The cells of each row, HTML.
        below: Plain lines below the table.
    """
    body = "".join(_row("td", cells) for cells in rows)
    table = f"<table>{_row('th', map(text, header))}{body}</table>" if body else ""
    lines = (f"<div>{line}</div>" for line in (headline, *map(text, above)))
    rest = (f"<div>{text(line)}</div>" for line in below)
    # The class keeps notebooks from reading dollars in a name as mathematics.
    return f'<div class="tex2jax_ignore">{"".join((*lines, table, *rest))}</div>'


def text(found: object) -> str:
    """Any text, as it is.

    Args:
        found: What to show.
    """
    return html.escape(plain(str(found)))


def name(found: str) -> str:
    """The name of a variable or layer, apart from the text around it.

    Args:
        found: The name, whatever it holds.
    """
    return f"<bdi>{text(plain(found, _ROOM))}</bdi>"


def badge(verdict: str, word: str = "") -> str:
    """A verdict in its colours.

    Args:
        verdict: One of `verdicts.VERDICTS`.
        word: What is to stand there instead of it, if anything.
    """
    back, front = BADGES[verdict]
    style = f"padding: 0 6px; border-radius: 3px; background: {back}; color: {front}"
    return f'<b style="{style}">{word or verdict}</b>'


def _row(tag: str, cells: Iterable[str]) -> str:
    inside = "".join(f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"
