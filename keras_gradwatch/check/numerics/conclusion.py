"""From the words of all comparisons to the verdict of one variable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_gradwatch.check.numerics import judgement
from keras_gradwatch.check.numerics.beyond import Beyond
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import norm_of
from keras_gradwatch.findings import causes
from keras_gradwatch.findings.causes import Cause
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    UNUSED,
    ZERO,
)


@dataclass(frozen=True)
class Conclusion:
    """A verdict, why, and the figures behind it.

    Args:
        verdict: One of `findings.verdicts.VERDICTS`, but for `"EXPECTED"`.
        cause: Why; None where a PASS says it all.
        relative_error: `|a - n| / (|a| + |n|)`, norms over all that was compared;
            where that hides what failed, of the worst mismatch. None if nothing was
            compared, or if what failed is not finite.
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
    beyond: Beyond | None = None,
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
        beyond: What was found away from the point, where nothing shows there.
    """
    verdict, cause = _verdict(gradient, items, tolerance, pattern, is_zero)
    error, bar = _seed_ratio(items)
    if beyond is not None:
        verdict, cause = _with_beyond(verdict, cause, items, tolerance, beyond)
        if verdict in (FAIL, PASS):
            items = beyond.items
            error, bar = _seed_ratio(items)
    if verdict == FAIL:
        error, bar = _what_decided(cause, items, error, bar, tolerance)
    return Conclusion(verdict, cause, error, bar, _resolution(items))


def _with_beyond(
    verdict: str,
    cause: Cause | None,
    items: Sequence[SlopeComparison],
    tolerance: float,
    beyond: Beyond,
) -> tuple[str, Cause | None]:
    """The verdict of a variable of which nothing shows at the point."""
    if not beyond.items:  # nowhere near is the loss finite
        return (
            (INCONCLUSIVE, causes.ZeroSoFar()) if verdict == ZERO else (verdict, cause)
        )
    there, why = _verdict(
        beyond.gradient, beyond.items, tolerance, beyond.pattern, beyond.is_zero
    )
    words = {i.word for i in items}
    at = next((_AT[word] for word in _AT if word in words), causes.AT_ZERO)
    if there == FAIL:
        return FAIL, replace(why, at=at) if isinstance(why, causes.Mismatch) else why
    if there == PASS:
        error, _ = _seed_ratio(beyond.items)
        verdict = ZERO if at == causes.AT_ZERO else PASS
        return verdict, causes.RightNearby(at, error or 0.0)
    if not beyond.is_settled:
        if beyond.is_zero and beyond.moves is None:
            return INCONCLUSIVE, causes.ZeroSoFar()
        return INCONCLUSIVE, why if verdict in (ZERO, UNUSED) else cause
    is_missing = beyond.gradient is None
    if beyond.moves:
        return BLOCKED, causes.Blocked("", is_missing=is_missing)
    if is_missing:
        return UNUSED, causes.NoInfluence()
    return ZERO, causes.TrulyZero()


_AT = {judgement.KINK: causes.AT_KINK, judgement.JUMP: causes.AT_JUMP}


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
    proof = [i for i in items if i.proves(tolerance)]
    if is_zero and all(i.word == judgement.ZERO for i in items):
        return ZERO, causes.TrulyZero()
    if not proof:
        return INCONCLUSIVE, _why_inconclusive(items)
    if any(not i.direction.is_coordinate for i in proof):
        return PASS, None
    lost = [i for i in items if i.direction.is_coordinate and i.word in _LOST]
    if _norm(lost) > _norm(proof):  # most of what was asked
        return INCONCLUSIVE, _why_inconclusive(lost)
    seen = coverage(items, gradient.size)
    return PASS, None if seen == 1 else causes.Partial(seen)


# What noise, or the end of where the loss is finite, left untold.
_LOST = (judgement.NOISY, judgement.NONFINITE)


def _norm(items: Sequence[SlopeComparison]) -> float:
    return norm_of(np.array([i.analytic for i in items]))


def _what_decided(
    cause: Cause | None,
    items: Sequence[SlopeComparison],
    error: float | None,
    bar: float | None,
    tolerance: float,
) -> tuple[float | None, float | None]:
    """The figures of a failure: one below the tolerance would hide what failed.

    Of entries that are not finite there are none; and what is wrong may be a small
    part of all that was compared.
    """
    if isinstance(cause, causes.NonFiniteGradient):
        return None, None
    if error is not None and error > tolerance:
        return error, bar
    wrong = [i for i in items if i.word == judgement.MISMATCH]
    worst = max(wrong, key=lambda i: i.judgement.relative_error or 0.0, default=None)
    if worst is None:
        return error, bar
    return worst.judgement.relative_error, worst.judgement.resolution


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
    scale = norm_of(analytic) + norm_of(numerical)
    return norm_of(analytic - numerical) / scale, norm_of(bars) / scale
