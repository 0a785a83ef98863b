"""Believing a mismatch, or blaming the point at which it was found.

At an exact tie or kink, automatic differentiation may return a slope that no
difference can confirm. A mismatch is believed only if it is also there at a
nearby point, or if the loss is smooth where it was found. No more than
`COARSE_POINTS` points are looked at, so it ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
from keras_gradwatch.check.numerics.judgement import KINK, MISMATCH, NONFINITE
from keras_gradwatch.check.numerics.loss_at_point import Problem

# How many nearby points must show a mismatch that only large steps show: by chance
# all have its sign in 2^-6 = 1.6 % of cases.
COARSE_POINTS = 6
# Along how many variables to look for a kink: a bound on the price, 2 close looks each,
# with the suspects among them. A trade, not measured.
KINK_VARIABLES = 16


def confirm(
    comparator: Comparator, items: Sequence[SlopeComparison]
) -> list[SlopeComparison]:
    """Looks again at each mismatch, at nearby points.

    What is a mismatch there too is one. What is not was the work of the point
    itself: of an exact tie or kink, if the loss has one there; on smooth ground
    it is a gradient that is wrong just at this point.

    Where noise allows only large steps, what the loss does in between stays
    unseen. A mismatch must then have the same sign at several points.

    Args:
        comparator: What compares.
        items: What was compared so far.

    Returns:
        The same, in the same order; of a mismatch that is none, the word is changed.
    """
    items = list(items)
    wrong = [i for i, item in enumerate(items) if item.word == MISMATCH]
    if not wrong:
        return items
    coarse = any(not items[i].is_fine for i in wrong)
    gone: set[int] = set()
    for _ in range(COARSE_POINTS if coarse else 1):
        elsewhere = _finite_nearby(comparator.problem)
        if elsewhere is None:
            continue
        there = replace(comparator, problem=elsewhere)
        again = there.at_all_steps([items[i].direction for i in wrong])
        for i, item in zip(wrong, again, strict=True):
            if item.word == NONFINITE:
                continue
            turned = item.share * items[i].share < 0 and not items[i].is_fine
            if item.word != MISMATCH or turned:
                gone.add(i)
    if not gone:
        return items
    fine = [i for i in gone if items[i].is_fine]
    if fine and not _has_kink(comparator, fine, items):
        gone -= set(fine)
    for i in gone:
        at_kink = replace(items[i].judgement, word=KINK)
        items[i] = replace(items[i], judgement=at_kink)
    return items


def _finite_nearby(problem: Problem) -> Problem | None:
    """A nearby point whose loss is finite, or None."""
    for _ in range(3):
        elsewhere = problem.nearby()
        if np.isfinite(elsewhere.base):
            return elsewhere
    return None


def _has_kink(
    comparator: Comparator, wrong: Iterable[int], items: Sequence[SlopeComparison]
) -> bool:
    """Whether the loss has a kink at the point along any random direction.

    Looked for along the variables of the wrong items first: whatever tie made
    them wrong, moving them passes through it.
    """
    if any(item.slope.kink or item.slope.jump for item in items):
        return True
    sizes = comparator.problem.sizes
    first = [items[i].direction.variable for i in wrong]
    order = list(dict.fromkeys([*first, *range(len(sizes))]))
    directions = [
        Direction(k, signs=draw_signs(sizes[k], comparator.rng))
        for k in order[:KINK_VARIABLES]
        for _ in range(2)
    ]
    found = comparator.at_all_steps(directions)
    return any(item.slope.kink or item.slope.jump for item in found)
