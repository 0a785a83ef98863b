"""Believing a mismatch, or blaming the point at which it was found.

At an exact tie or kink, automatic differentiation may return a slope that no
difference can confirm. A mismatch is believed only if it is also there at a
nearby point, or if the loss is smooth where it was found. No more than
`COARSE_POINTS` points are looked at, so it ends.
"""

from __future__ import annotations

from collections.abc import Sequence
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
# Along how many other directions of a variable to look for a kink: where two of them
# cancel out along every second direction, all miss it in 2^-6 = 1.6 % of cases.
KINK_DIRECTIONS = 6
# The one-sided slopes of a kink that explains a deviation differ by more than this
# share of it. Below are gaps that round-off makes: `eigh` at equal eigenvalues showed
# 6e-8 of a deviation of 0.5. Two slopes that happen to be so alike are as good as one.
EXPLAINS = 1e-5


def confirm(
    comparator: Comparator, items: Sequence[SlopeComparison]
) -> list[SlopeComparison]:
    """Looks again at each mismatch, at nearby points.

    What is a mismatch there too is one. What is not was the work of the point
    itself: of an exact tie or kink, if the loss has one there along this variable;
    on smooth ground it is a gradient that is wrong just at this point.

    At an edge, where the loss is finite on one side alone, a mismatch counts only if
    it is there at a point nearby, too: what the tape gives at the edge is no slope of
    that side.

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
        elsewhere = finite_nearby(comparator.problem)
        if elsewhere is None:
            gone |= {i for i in wrong if items[i].slope.edge}
            continue
        there = replace(comparator, problem=elsewhere)
        again = there.at_all_steps([items[i].direction for i in wrong])
        for i, item in zip(wrong, again, strict=True):
            if item.word == NONFINITE and not items[i].slope.edge:
                continue
            turned = item.share * items[i].share < 0 and not items[i].is_fine
            if item.word != MISMATCH or turned:
                gone.add(i)
    if not gone:
        return items
    fine = [i for i in gone if items[i].is_fine and not items[i].slope.edge]
    gone -= set(fine) - _at_kinks(comparator, fine, items)
    for i in gone:
        word = NONFINITE if items[i].slope.edge else KINK
        items[i] = replace(items[i], judgement=replace(items[i].judgement, word=word))
    return items


def finite_nearby(problem: Problem) -> Problem | None:
    """A nearby point whose loss is finite, or None."""
    for _ in range(3):
        elsewhere = problem.nearby()
        if elsewhere is not None and np.isfinite(elsewhere.base):
            return elsewhere
    return None


def _at_kinks(
    comparator: Comparator, wrong: Sequence[int], items: Sequence[SlopeComparison]
) -> set[int]:
    """Those of the wrong items that a kink of their own variable may explain.

    Whatever tie made an item wrong, moving its variable passes through it, though
    perhaps not along every direction. A kink that moving another variable meets is
    no excuse: along this one the loss is smooth.
    """
    off: dict[int, float] = {}  # what is to be explained, the least of each variable
    for i in wrong:
        k, size = items[i].direction.variable, abs(items[i].deviation)
        off[k] = min(size, off.get(k, size))
    kinked = {i.direction.variable for i in items if _explains(i, off)}
    for _ in range(KINK_DIRECTIONS):
        # Of a single entry there is but one direction.
        sizes = comparator.problem.sizes
        rest = [k for k in off if k not in kinked and sizes[k] > 1]
        directions = [
            Direction(k, signs=draw_signs(sizes[k], comparator.rng)) for k in rest
        ]
        found = comparator.at_all_steps(directions)
        kinked |= {i.direction.variable for i in found if _explains(i, off)}
    return {i for i in wrong if items[i].direction.variable in kinked}


def _explains(item: SlopeComparison, off: dict[int, float]) -> bool:
    """Whether the loss is so far from smooth here as to explain a deviation."""
    if item.direction.variable not in off:
        return False
    return item.slope.jump or item.slope.gap > EXPLAINS * off[item.direction.variable]
