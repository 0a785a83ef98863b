"""A report as a small table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable

from keras_gradwatch.findings.colours import BADGES
from keras_gradwatch.findings.table import number
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import VERDICTS

_CELL = "padding: 1px 10px; text-align: left; white-space: pre-wrap"
# Characters of a name; a longer one would push the figures out of sight.
_ROOM = 80


def to_html(
    verdict: str,
    headline: str,
    variables: Iterable[VariableReport],
    notes: Iterable[str],
) -> str:
    """The headline and a row for each variable, failures first.

    Args:
        verdict: The verdict of the report.
        headline: Its finding in one line.
        variables: Its `VariableReport`s.
        notes: What else a reader should know, a sentence or a few each.

    Returns:
        HTML without scripts, whatever the names hold.
    """
    rows = sorted(variables, key=lambda v: VERDICTS.index(v.verdict))
    below = "".join(f"<div>{_text(note)}</div>" for note in notes)
    # The class keeps notebooks from reading dollars in a name as mathematics.
    return (
        f'<div class="tex2jax_ignore"><div>'
        f"{_badge(verdict)} {_text(headline)}</div>"
        f"<table>{_row('th', 'verdict', 'variable', 'rel. error', 'compared', 'why')}"
        f"{''.join(map(_variable, rows))}</table>{below}</div>"
    )


def _variable(found: VariableReport) -> str:
    return _row(
        "td",
        _badge(found.verdict),
        f"<bdi>{_text(plain(found.label, _ROOM))}</bdi>",
        number(found.relative_error),
        f"{found.coverage:.0%}",
        _text(found.reason),
    )


def _row(tag: str, *cells: str) -> str:
    inside = "".join(f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"


def _badge(verdict: str) -> str:
    back, front = BADGES[verdict]
    style = f"padding: 0 6px; border-radius: 3px; background: {back}; color: {front}"
    return f'<b style="{style}">{verdict}</b>'


def _text(text: str) -> str:
    return html.escape(plain(text))
