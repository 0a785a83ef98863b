"""The table of a report, for a console."""

from __future__ import annotations

from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import FAIL, VERDICTS

_WIDTH = 100


def table(variables, training_dtype):
    if not variables:
        return
    rows = sorted(variables, key=lambda v: VERDICTS.index(v.verdict))
    # How far training, in its own precision, is from the exact gradient.
    training = f"in {training_dtype}" if training_dtype else ""
    room = _WIDTH - 45 - 13
    paths = [_shorten(v.label, room) for v in rows]
    width = max(len("variable"), *map(len, paths))
    header = f"{'verdict':<12}  {'variable':<{width}}  {'rel. error':>10}  "
    yield f"{header}{'compared':>8}  {training:>11}".rstrip()
    for v, path in zip(rows, paths, strict=True):
        line = (
            f"{v.verdict:<12}  {path:<{width}}  "
            f"{figure(v.relative_error):>10}  {v.coverage:>8.0%}"
        )
        yield f"{line}  {figure(v.training_error):>11}" if training else line
        if v.reason and v.verdict != FAIL:
            yield f"{'':<12}  {_shorten(v.reason, _WIDTH - 14)}"


def _shorten(text, room):
    text = plain(text)
    return text if len(text) <= room else f"{text[: room - 1]}\u2026"


def figure(value):
    return "-" if value is None else f"{value:.1e}"
