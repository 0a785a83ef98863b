"""From the words of all comparisons to the verdict of one variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics import judgement as words
from keras_gradwatch.check.numerics.comparison import Item
from keras_gradwatch.check.numerics.explain import explain
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, UNUSED


@dataclass(frozen=True)
class Conclusion:
    """A verdict, why, and the figures behind it."""

    verdict: str
    reason: str
    relative_error: float | None
    error_bar: float | None
    resolution: float | None


def conclude(
    gradient: np.ndarray | None,
    items: Sequence[Item],
    tolerance: float,
    pattern: Pattern | None = None,
) -> Conclusion:
    """The verdict of one variable whose loss is finite.

    PASS needs proof: a comparison that agreed and that would have failed had
    the gradient been spoilt.

    Args:
        gradient: Analytic gradient, in any shape, None if the tape returned None.
        items: The comparisons of the variable.
        tolerance: Largest relative error that still is a match.
        pattern: What the mistake looks like, if there is one and it is known.
    """
    error, bar = _seed_ratio(items)
    resolution = min(
        (i.judgement.resolution for i in items if i.word == words.MATCH),
        default=min(
            (
                i.judgement.resolution
                for i in items
                if i.judgement.resolution is not None
            ),
            default=None,
        ),
    )

    def answer(verdict, reason=""):
        return Conclusion(verdict, reason, error, bar, resolution)

    if gradient is not None and not np.all(np.isfinite(gradient)):
        bad = np.argwhere(~np.isfinite(gradient))
        return answer(
            FAIL,
            f"{len(bad)} of {gradient.size} entries of the gradient are NaN or "
            f"infinite, the first of them {bad[0].tolist()}, while the loss is finite.",
        )
    wrong = [i for i in items if i.word == words.MISMATCH]
    if wrong and gradient is None:
        return answer(
            FAIL, "The tape returned no gradient (None), but the loss depends on it."
        )
    if wrong:
        entries = [i for i in wrong if i.direction.is_coordinate]
        worst = max(entries or wrong, key=lambda i: abs(i.deviation))
        return answer(FAIL, explain(worst, pattern))
    if not items:
        return answer(INCONCLUSIVE, "Not compared in this check.")
    if gradient is None:
        if all(i.word == words.ZERO and i.slope.numerical == 0 for i in items):
            return answer(UNUSED, "No gradient, and the loss does not depend on it.")
        return answer(
            INCONCLUSIVE,
            "The tape returned no gradient (None), and differences can't tell whether "
            "the loss depends on it.",
        )
    proof = [i for i in items if i.word == words.MATCH and i.has_teeth(tolerance)]
    if not proof:
        return answer(INCONCLUSIVE, _why_inconclusive(items, gradient))
    if any(not i.direction.is_coordinate for i in proof):
        return answer(PASS)
    seen = coverage(items, gradient.size)
    entries = f"Only {seen:.1%} of its entries could be compared."
    return answer(PASS, "" if seen == 1 else entries)


def coverage(items: Sequence[Item], size: int) -> float:
    """Share of a variable's entries that could be compared, from 0 to 1.

    Args:
        items: The comparisons of the variable.
        size: Its number of entries.
    """
    seen = [i for i in items if i.word in (words.MATCH, words.MISMATCH, words.ZERO)]
    if any(not i.direction.is_coordinate for i in seen):
        return 1.0
    return len({i.direction.entry for i in seen}) / max(1, size)


def _why_inconclusive(items, gradient):
    counts = {
        word: sum(i.word == word for i in items) for word in {i.word for i in items}
    }
    if set(counts) == {words.ZERO}:
        if not np.any(gradient) and all(i.slope.numerical == 0 for i in items):
            return (
                "The gradient is zero everywhere, and so are all differences: dead "
                "(saturated or switched-off units), or without influence here."
            )
        return (
            "The gradient is zero up to round-off, and so are all differences: such a "
            "weight has no influence here, as a bias before batch normalisation."
        )
    common = max(counts, key=lambda word: (word != words.ZERO, counts[word]))
    return {
        words.KINK: "The loss has a kink just here, where a gradient may have many "
        "values: differences can't tell whether this one is right.",
        words.JUMP: "The loss is discontinuous here: differences give no derivative.",
        words.NOISY: "Too noisy: the error bar of the differences is larger than the "
        "tolerance.",
        words.NONFINITE: "The loss is not finite nearby: no difference can be formed.",
        words.MATCH: "What agreed is too small to have shown an error.",
    }.get(common, "Nothing could be compared.")


def _seed_ratio(items):
    """`|a - n| / (|a| + |n|)` over what was compared, and its error bar."""
    compared = [i for i in items if i.word in (words.MATCH, words.MISMATCH)]
    if not compared:
        return None, None
    analytic = np.array([i.analytic for i in compared])
    numerical = np.array([i.slope.numerical for i in compared])
    bars = np.array([i.slope.error_bar for i in compared])
    scale = np.linalg.norm(analytic) + np.linalg.norm(numerical)
    error = np.linalg.norm(analytic - numerical) / scale
    return float(error), float(np.linalg.norm(bars) / scale)
