"""The short form of a report: what a grid of verdicts and a headline need."""

from __future__ import annotations

import functools
import json
import math
import statistics
import sys
from dataclasses import dataclass, field
from typing import Any

from keras_gradwatch.findings import causes, encoding, sentences
from keras_gradwatch.findings.manner import (
    FACTOR,
    IN_WORDS,
    MISSING,
    NONFINITE,
    NONFINITE_IN_TRAINING,
    ZERO,
    Manner,
)
from keras_gradwatch.findings.place import Line, Place
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, PASS, VERDICTS

FORMAT = 4
# How far the ratios of analytic to numerical slopes may differ and be one factor: ten
# times the tolerance by default, so that errors that pass elsewhere don't hide it.
_SAME_FACTOR = 0.01
# How much smaller an error is than a millionth of the tolerance tells nobody anything.
_LOWEST_MARGIN = -6.0


# Thousands of checks of hundreds of variables may be held at a time: slots, and
# each string only once.
@dataclass(frozen=True, slots=True)
class VariableDigest:
    """One variable in one check.

    Args:
        path: Path of the variable.
        target: As in `VariableReport`.
        verdict: Its verdict.
        relative_error: As in `VariableReport`, two digits; None if not finite.
        manner: How its gradient is wrong. None unless it fails, or if the relative
            error says all there is to say.
        shape: Its shape. None in old digests.
    """

    path: str
    target: str
    verdict: str
    relative_error: float | None
    manner: Manner | None = None
    # Not told by the first: they must equal what is made of their reports today.
    shape: tuple[int, ...] | None = field(default=None, compare=False)

    @property
    def how(self) -> str:
        """How its gradient is wrong, in a few words. Empty unless that is known."""
        return sentences.manner(self.manner)

    @property
    def label(self) -> str:
        """The path, with the target where there are several."""
        return f"{self.path} ({self.target})" if self.target else self.path


@dataclass(frozen=True)
class Digest:
    """One check.

    Args:
        step: Optimizer iterations done when the check ran.
        verdict: Verdict of the report.
        reason: Why nothing was compared, if nothing was: a sentence, to be shown.
        tolerance: Largest relative error that counts as a match.
        places: The layers to look at first. Empty if that is not known.
        variables: A `VariableDigest` for each variable, in the order of the model.
        look_in_words: The same as `places`, of a digest of an earlier version.
        warning: What keeps weights from learning besides: a sentence, or empty.
        loss: As in `GradientReport`.
        epoch: The epoch of the check, the first is 0. None if nobody told.
    """

    step: int
    verdict: str
    reason: str
    tolerance: float
    places: tuple[Place, ...]
    variables: tuple[VariableDigest, ...]
    look_in_words: str = ""
    warning: str = ""
    # Not told by the first, as above.
    loss: float | None = field(default=None, compare=False)
    epoch: int | None = field(default=None, compare=False)

    @property
    def look_at(self) -> str:
        """The layers to look at first, in words. Empty if that is not known."""
        return sentences.places(self.places) or self.look_in_words

    def to_json(self) -> str:
        """The digest as JSON, without repeating the names of the fields."""
        rows = [
            (v.path, v.target, v.verdict, v.relative_error, _packed(v.manner), v.shape)
            for v in self.variables
        ]
        places = [_packed_place(place) for place in self.places]
        head = (self.step, self.verdict, self.reason, self.tolerance, places)
        more = (self.warning, encoding.encode(self.loss), self.epoch)
        return json.dumps([FORMAT, *head, rows, *more])

    @classmethod
    def from_json(cls, text: str | bytes) -> Digest:
        """Gets a digest back from `to_json()`.

        Raises:
            ValueError: If `text` is not a digest of a known format.
        """
        data = json.loads(text)
        known = data[0] if isinstance(data, list) and data else None
        encoding.assert_known(known, text, "a digest", (FORMAT, 3, 2, 1))
        _, step, verdict, reason, tolerance, look, rows, *more = data
        places: tuple[Place, ...] = ()
        in_words = ""
        if known == 1:  # it has words where there are data by now
            in_words = look
            rows = [(*row[:4], row[4] and (IN_WORDS, None, row[4])) for row in rows]
        else:
            places = tuple(_place(*place) for place in look)
        variables = tuple(_variable(*row) for row in rows)
        head = (step, verdict, reason, tolerance, places, variables)
        return cls(*head, in_words, *_more(*more))

    def __post_init__(self):
        # It may come from a damaged file, and one bad digest must not hide the others.
        if not (
            type(self.step) is int
            and self.verdict in VERDICTS
            and _is_figure(self.tolerance)
            and self.tolerance > 0
            and type(self.loss) in _FIGURES
            and type(self.epoch) in (int, type(None))
            and {type(word) for word in self._words()} == {str}
            and {v.verdict for v in self.variables} <= set(VERDICTS)
            and all(_is_figure(v.relative_error or 0.0) for v in self.variables)
            and {type(v.relative_error) for v in self.variables} <= _FIGURES
        ):
            raise ValueError(f"Expected the digest of a report. Received: {self!r:.80}")

    def _words(self):
        yield from (self.reason, self.look_in_words, self.warning)
        for place in self.places:
            yield from (place.name, place.kind)
            if place.line is not None:
                yield from (place.line.file, place.line.function)
        for variable in self.variables:
            yield from (variable.path, variable.target)


_FIGURES = {float, int, type(None)}


def _is_figure(value: Any) -> bool:
    return type(value) in (float, int) and math.isfinite(value)


def digest(report: GradientReport) -> Digest:
    """The short form of a report.

    Args:
        report: A `GradientReport`.
    """
    variables = tuple(
        VariableDigest(
            v.path,
            v.target,
            v.verdict,
            _rounded(v.relative_error),
            manner_of(v) if v.verdict == FAIL else None,
            v.shape,
        )
        for v in report.variables
    )
    return Digest(
        report.step,
        report.verdict,
        report.reason,
        report.tolerance,
        tuple(Place(p.name, p.kind, p.line) for p in report.places),
        variables,
        warning=report.warning,
        loss=report.loss,
    )


def manner_of(variable: VariableReport) -> Manner | None:
    """How a wrong gradient is wrong; None if the relative error says it all.

    Args:
        variable: A `VariableReport` whose verdict is FAIL.
    """
    # These are known of the whole gradient, and comparisons need not show them.
    if isinstance(variable.cause, causes.NonFiniteGradient):
        return Manner(NONFINITE)
    if isinstance(variable.cause, causes.MissingGradient):
        return Manner(MISSING)
    if variable.overflowed:
        return Manner(NONFINITE_IN_TRAINING)
    compared = (*variable.coordinates, *variable.directions)
    ratios = [r for c in compared if (r := _ratio(c)) is not None]
    if not ratios:
        return None
    return Manner(ZERO) if not any(ratios) else _one_factor(ratios)


def _ratio(comparison):
    """Analytic to numerical slope of a mismatch; None if there is none."""
    a, n = comparison.analytic, comparison.numerical
    if comparison.word != "mismatch" or a is None or not n:
        return None
    return a / n if math.isfinite(a) and math.isfinite(n) else None


def _one_factor(ratios):
    factor = statistics.median(ratios)
    apart = max(abs(ratio - factor) for ratio in ratios)
    if len(ratios) < 2 or apart > _SAME_FACTOR * abs(factor):
        return None
    size = abs(factor)
    if abs(size - 1) <= _SAME_FACTOR:
        return Manner(FACTOR, -1.0) if factor < 0 else None
    # Three digits of what is shown, so that equal mistakes are equal.
    size = float(f"{size:.3g}") if size > 1 else 1 / float(f"{1 / size:.3g}")
    return Manner(FACTOR, math.copysign(size, factor))


def margin(report: GradientReport) -> float | None:
    """log10(relative error / tolerance) of the worst variable, -6 at least.

    Above zero exactly where the check fails. None if nothing was compared.

    Args:
        report: A `GradientReport`.
    """
    margins = [
        _margin(v, report.tolerance)
        for v in report.variables
        if v.verdict in (PASS, FAIL)
    ]
    return max(margins, default=None)


def _margin(variable, tolerance):
    error = variable.relative_error
    if variable.verdict == FAIL:
        # Nothing to compare with is as wrong as can be.
        known = error is not None and math.isfinite(error)
        return max(0.01, math.log10((error if known else 1.0) / tolerance))
    return min(0.0, max(_LOWEST_MARGIN, math.log10((error or 1e-300) / tolerance)))


def _more(warning="", loss=None, epoch=None):
    return warning, float(loss) if isinstance(loss, str) else loss, epoch


def _packed(manner):
    return manner and (manner.kind, manner.factor)


def _variable(path, target, verdict, relative_error, manner, shape=None):
    path, target, verdict = map(sys.intern, (path, target, verdict))
    manner = _manner(*manner) if manner else None
    shape = None if shape is None else _shape(tuple(shape))
    return VariableDigest(path, target, verdict, relative_error, manner, shape)


@functools.lru_cache(maxsize=10_000)
def _shape(shape):
    if not all(type(size) is int for size in shape):
        raise ValueError(f"Expected a shape. Received: {shape!r:.80}")
    return shape


@functools.cache  # a few serve thousands of rows
def _manner(kind, factor, text=""):
    return Manner(kind, factor, text)


def _rounded(value):
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.2g}")


def _packed_place(place: Place) -> tuple:
    line = place.line
    code = () if line is None else (line.file, line.number, line.function)
    return (place.name, place.kind, *code)


def _place(name: str, kind: str, *code: Any) -> Place:
    return Place(name, kind, Line(*code) if code else None)
