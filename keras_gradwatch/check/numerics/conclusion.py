"""From the words of all comparisons to the verdict of one variable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics import judgement
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.findings import causes
from keras_gradwatch.findings.causes import Cause
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, UNUSED, ZERO


@dataclass(frozen=True)
class Conclusion:
    """A verdict, why, and the figures behind it.

    Args:
        verdict: `"PASS"`, `"ZERO"`, `"FAIL"`, `"INCONCLUSIVE"` or `"UNUSED"`.
        cause: Why; None where a PASS says it all.
        relative_error: `|a - n| / (|a| + |n|)`, norms over all that was compared.
            None if nothing was.
        error_bar: The part of it that errors of the differences may explain.
        resolution: The smallest relative error that could have been seen.
    """

    verdict: str
    cause: Cause | None
    relative_error: float | None
    error_bar: float | None
    resolution: float | None


def conclude(
    gradient: np.ndarray | None,
    items: Sequence[SlopeComparison],
    tolerance: float,
    pattern: Pattern | None = None,
    is_zero: bool = False,
) -> Conclusion:
    """The verdict of one variable whose loss is finite.

    PASS needs proof: a comparison that agreed and that would have failed had
    the gradient been spoilt.

    Args:
        gradient: Analytic gradient, in any shape, None if the tape returned None.
        items: The comparisons of the variable.
        tolerance: Largest relative error that still is a match.
        pattern: What the mistake looks like, if there is one and it is known.
        is_zero: Whether the gradient is zero, up to round-off.
    """
    verdict, cause = _verdict(gradient, items, tolerance, pattern, is_zero)
    error, bar = _seed_ratio(items)
    return Conclusion(verdict, cause, error, bar, _resolution(items))


def _verdict(
    gradient: np.ndarray | None,
    items: Sequence[SlopeComparison],
    tolerance: float,
    pattern: Pattern | None,
    is_zero: bool,
) -> tuple[str, Cause | None]:
    if gradient is not None and not np.all(np.isfinite(gradient)):
        return FAIL, _not_finite(gradient)
    wrong = [i for i in items if i.word == judgement.MISMATCH]
    if wrong and gradient is None:
        return FAIL, causes.MissingGradient()
    if wrong:
        return FAIL, _mismatch(wrong, pattern)
    if not items:
        return INCONCLUSIVE, causes.NotCompared()
    if gradient is None:
        if all(i.word == judgement.ZERO and i.slope.numerical == 0 for i in items):
            return UNUSED, causes.NoInfluence()
        return INCONCLUSIVE, causes.Untold()
    proof = [i for i in items if i.word == judgement.MATCH and i.has_teeth(tolerance)]
    if is_zero and all(i.word == judgement.ZERO for i in items):
        return ZERO, causes.TrulyZero()
    if not proof:
        return INCONCLUSIVE, _why_inconclusive(items)
    if any(not i.direction.is_coordinate for i in proof):
        return PASS, None
    seen = coverage(items, gradient.size)
    return PASS, None if seen == 1 else causes.Partial(seen)


def _not_finite(gradient: np.ndarray) -> Cause:
    bad = np.argwhere(~np.isfinite(gradient))
    first = tuple(int(i) for i in bad[0])
    return causes.NonFiniteGradient(len(bad), gradient.size, first)


def _mismatch(wrong: Sequence[SlopeComparison], pattern: Pattern | None) -> Cause:
    """The mismatch with the largest deviation, an entry if there is one."""
    entries = [i for i in wrong if i.direction.is_coordinate]
    worst = max(entries or wrong, key=lambda i: abs(i.deviation))
    slope = worst.slope
    return causes.Mismatch(worst.analytic, slope.numerical, slope.error_bar, pattern)


def _resolution(items: Sequence[SlopeComparison]) -> float | None:
    """That of what agreed; of all that was compared, if nothing did."""
    known = [
        (i.word, i.judgement.resolution)
        for i in items
        if i.judgement.resolution is not None
    ]
    agreed = [seen for word, seen in known if word == judgement.MATCH]
    return min(agreed or [seen for _, seen in known], default=None)


def coverage(items: Sequence[SlopeComparison], size: int) -> float:
    """Share of a variable's entries that could be compared, from 0 to 1.

    Args:
        items: The comparisons of the variable.
        size: Its number of entries.
    """
    seen = [
        i
        for i in items
        if i.word in (judgement.MATCH, judgement.MISMATCH, judgement.ZERO)
    ]
    if any(not i.direction.is_coordinate for i in seen):
        return 1.0
    return len({i.direction.entry for i in seen}) / max(1, size)


def _why_inconclusive(items: Sequence[SlopeComparison]) -> Cause:
    counts = Counter(i.word for i in items)
    # What is zero tells least; of the rest, what was seen most often.
    common = max(counts, key=lambda word: (word != judgement.ZERO, counts[word]))
    return _WHY.get(common, causes.NothingCompared)()


_WHY: dict[str, type[Cause]] = {
    judgement.KINK: causes.AtKink,
    judgement.JUMP: causes.AtJump,
    judgement.NOISY: causes.TooNoisy,
    judgement.ZERO: causes.TooNoisy,
    judgement.NONFINITE: causes.NonFiniteNearby,
    judgement.MATCH: causes.TooSmall,
}


def _seed_ratio(
    items: Sequence[SlopeComparison],
) -> tuple[float | None, float | None]:
    """`|a - n| / (|a| + |n|)` over what was compared, and its error bar."""
    compared = [i for i in items if i.word in (judgement.MATCH, judgement.MISMATCH)]
    if not compared:
        return None, None
    analytic = np.array([i.analytic for i in compared])
    numerical = np.array([i.slope.numerical for i in compared])
    bars = np.array([i.slope.error_bar for i in compared])
    scale = np.linalg.norm(analytic) + np.linalg.norm(numerical)
    error = np.linalg.norm(analytic - numerical) / scale
    return float(error), float(np.linalg.norm(bars) / scale)
