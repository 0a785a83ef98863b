"""The table of a report, for a console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    rows = sorted(variables, key=lambda v: VERDICTS.index(v.verdict))
    # How far training, in its own precision, is from the exact gradient.
    training = f"in {training_dtype}" if training_dtype else ""
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


def _shorten(text: str, room: int) -> str:
    text = plain(text)
    return text if len(text) <= room else f"{text[: room - 1]}\u2026"


def number(value: float | None) -> str:
    """A relative error in few digits, a dash if there is none."""
    return "-" if value is None else f"{value:.1e}"
