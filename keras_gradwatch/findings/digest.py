"""The short form of a report: what a grid of verdicts and a headline need."""

from __future__ import annotations

import json
import math
import statistics
import sys
from dataclasses import dataclass

from keras_gradwatch.check.localisation import pointed_at
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, PASS, VERDICTS

FORMAT = 1
# How far the ratios of analytic to numerical slopes may differ and be one factor.
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
        how: How its gradient is wrong, in a few words. Empty unless it fails.
    """

    path: str
    target: str
    verdict: str
    relative_error: float | None
    how: str = ""

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
        reason: Why nothing was compared, if nothing was.
        tolerance: Largest relative error that counts as a match.
        look_at: The layers to look at first. Empty if that is not known.
        variables: A `VariableDigest` for each variable, in the order of the model.
    """

    step: int
    verdict: str
    reason: str
    tolerance: float
    look_at: str
    variables: tuple[VariableDigest, ...]

    def to_json(self) -> str:
        """The digest as JSON, without repeating the names of the fields."""
        rows = [
            (v.path, v.target, v.verdict, v.relative_error, v.how)
            for v in self.variables
        ]
        head = (self.step, self.verdict, self.reason, self.tolerance, self.look_at)
        return json.dumps([FORMAT, *head, rows])

    @classmethod
    def from_json(cls, text: str | bytes) -> Digest:
        """Gets a digest back from `to_json()`.

        Raises:
            ValueError: If `text` is not a digest of a known format.
        """
        data = json.loads(text)
        if not isinstance(data, list) or data[:1] != [FORMAT]:
            raise ValueError(
                f"Expected a digest of format {FORMAT}. Received: text={text[:80]!r}"
            )
        _, *head, rows = data
        return cls(*head, tuple(_variable(*row) for row in rows))

    def __post_init__(self):
        # It may come from a damaged file, and one bad digest must not hide the others.
        figures = [self.step, self.tolerance]
        figures += [v.relative_error or 0.0 for v in self.variables]
        words = [self.reason, self.look_at]
        words += [w for v in self.variables for w in (v.path, v.target, v.how)]
        verdicts = {self.verdict, *(v.verdict for v in self.variables)}
        if not (
            all(isinstance(f, int | float) and math.isfinite(f) for f in figures)
            and all(isinstance(w, str) for w in words)
            and verdicts <= set(VERDICTS)
            and self.tolerance > 0
        ):
            raise ValueError(f"Expected the digest of a report. Received: {self!r:.80}")


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
            how_wrong(v) if v.verdict == FAIL else "",
        )
        for v in report.variables
    )
    look_at = next(filter(None, map(pointed_at, report.notes)), "")
    return Digest(
        report.step,
        report.verdict,
        report.reason,
        report.tolerance,
        look_at,
        variables,
    )


def how_wrong(variable: VariableReport) -> str:
    """How a wrong gradient is wrong, to end the sentence "The gradient is ...".

    Empty where the relative error says all there is to say.

    Args:
        variable: A `VariableReport` whose verdict is FAIL.
    """
    # These are known of the whole gradient, and comparisons need not show them.
    if "are NaN or infinite" in variable.reason:
        return "not finite"
    if "returned no gradient (None)" in variable.reason:
        return "missing"
    if variable.overflowed:
        return "not finite in the precision of training"
    compared = [*variable.coordinates, *variable.directions]
    wrong = [c for c in compared if c.word == "mismatch" and _is_ratio(c)]
    if not wrong:
        return ""
    if all(c.analytic == 0 for c in wrong):
        return "zero"
    ratios = [c.analytic / c.numerical for c in wrong]
    factor = statistics.median(ratios)
    if len(ratios) < 2 or any(
        abs(ratio - factor) > _SAME_FACTOR * abs(factor) for ratio in ratios
    ):
        return ""
    return _by_a_factor(factor)


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


def _variable(path, target, verdict, relative_error, how):
    path, target, verdict, how = map(sys.intern, (path, target, verdict, how))
    return VariableDigest(path, target, verdict, relative_error, how)


def _is_ratio(comparison):
    a, n = comparison.analytic, comparison.numerical
    return bool(a is not None and n and math.isfinite(a) and math.isfinite(n))


def _by_a_factor(factor):
    size = abs(factor)
    if abs(size - 1) <= _SAME_FACTOR:
        return "of the wrong sign" if factor < 0 else ""
    side = "large" if size > 1 else "small"
    words = f"too {side} by a factor of {max(size, 1 / size):.3g}"
    return f"of the wrong sign and {words}" if factor < 0 else words


def _rounded(value):
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.2g}")
