"""A report as a small table for notebooks."""

from __future__ import annotations

import html

from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import (
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    UNUSED,
    VERDICTS,
)

# Background and text; the verdict stands there in letters as well.
_COLOURS = {
    FAIL: ("#c62828", "#ffffff"),
    EXPECTED: ("#e9e4fb", "#5b3fc4"),
    INCONCLUSIVE: ("#fdf1d0", "#8a5a00"),
    UNUSED: ("#eceff2", "#57606a"),
    PASS: ("#e3f3e6", "#1a7f37"),
}
_CELL = "padding: 1px 10px; text-align: left; white-space: pre-wrap"
_ROOM = 80


def to_html(report: GradientReport) -> str:
    """The headline and a row for each variable, failures first.

    Args:
        report: A `GradientReport`.
    """
    rows = sorted(report.variables, key=lambda v: VERDICTS.index(v.verdict))
    notes = "".join(f"<div>{_text(note)}</div>" for note in report.notes)
    # The class keeps notebooks from reading dollars in a name as mathematics.
    return (
        f'<div class="tex2jax_ignore"><div>'
        f"{_badge(report.verdict)} {_text(report.headline)}</div>"
        f"<table>{_row('th', 'verdict', 'variable', 'rel. error', 'compared', 'why')}"
        f"{''.join(map(_variable, rows))}</table>{notes}</div>"
    )


def _variable(found):
    error = found.relative_error
    return _row(
        "td",
        _badge(found.verdict),
        f"<bdi>{_text(plain(found.label, _ROOM))}</bdi>",
        "-" if error is None else f"{error:.1e}",
        f"{found.coverage:.0%}",
        _text(found.reason),
    )


def _row(tag, *cells):
    inside = "".join(f'<{tag} style="{_CELL}">{cell}</{tag}>' for cell in cells)
    return f"<tr>{inside}</tr>"


def _badge(verdict):
    back, front = _COLOURS[verdict]
    style = f"padding: 0 6px; border-radius: 3px; background: {back}; color: {front}"
    return f'<b style="{style}">{verdict}</b>'


def _text(text):
    return html.escape(plain(text))
