"""The table of a report, for a console and for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keras_gradwatch.findings import html
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, VERDICTS

# Columns that most consoles have.
_WIDTH = 100


def table(variables: Sequence[VariableReport], training_dtype: str) -> Iterator[str]:
    """The lines of the table, failures first; none where there is no variable.

    Args:
        variables: The `VariableReport`s.
        training_dtype: The precision of training, for the column of its errors. No
            such column if empty.
    """
    if not variables:
        return
    rows = _ordered(variables)
    training = _training(training_dtype)
    # Beside a name stand 36 characters, and 13 with that column; the rest is air.
    room = _WIDTH - 45 - 13
    paths = [_shorten(v.label, room) for v in rows]
    width = max(len("variable"), *map(len, paths))
    header = f"{'verdict':<12}  {'variable':<{width}}  {'rel. error':>10}  "
    yield f"{header}{'compared':>8}  {training:>11}".rstrip()
    for v, path in zip(rows, paths, strict=True):
        line = (
            f"{v.verdict:<12}  {path:<{width}}  "
            f"{number(v.relative_error):>10}  {v.coverage:>8.0%}"
        )
        yield f"{line}  {number(v.training_error):>11}" if training else line
        if v.reason and v.verdict != FAIL:
            yield f"{'':<12}  {_shorten(v.reason, _WIDTH - 14)}"


def html_table(
    variables: Sequence[VariableReport], training_dtype: str
) -> tuple[list[str], list[list[str]]]:
    """The same for a notebook: the columns, and the cells of each row.

    Args:
        variables: The `VariableReport`s.
        training_dtype: As of `table`.
    """
    training = _training(training_dtype)
    columns = ["verdict", "variable", "rel. error", "compared", training, "why"]
    rows = [
        [
            html.badge(v.verdict),
            html.name(v.label),
            number(v.relative_error),
            f"{v.coverage:.0%}",
            number(v.training_error),
            html.text(v.reason),
        ]
        for v in _ordered(variables)
    ]
    if not training:
        columns, rows = _without(columns, 4), [_without(row, 4) for row in rows]
    return columns, rows


def _without(cells, at):
    return [*cells[:at], *cells[at + 1 :]]


def _ordered(variables):
    return sorted(variables, key=lambda v: VERDICTS.index(v.verdict))


def _training(dtype):
    """The column that says how far training is from the exact gradient."""
    return f"in {dtype}" if dtype else ""


def _shorten(text: str, room: int) -> str:
    text = plain(text)
    return text if len(text) <= room else f"{text[: room - 1]}\u2026"


def number(value: float | None) -> str:
    """A relative error in few digits, a dash if there is none."""
    return "-" if value is None else f"{value:.1e}"
