"""Believing a mismatch, or blaming the point at which it was found.

At an exact tie or kink, automatic differentiation may return a slope that no
difference can confirm. A mismatch is believed only if it is also there at a
nearby point, or if the loss is smooth where it was found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics import judgement as words
from keras_gradwatch.check.numerics.comparison import Item
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
from keras_gradwatch.check.numerics.looks import look_closely

# How many nearby points must show a mismatch that only large steps show.
COARSE_POINTS = 6
# Along how many variables to look for a kink.
KINK_VARIABLES = 16


def confirm(problem, items, noise, tolerance, rng) -> list[Item]:
    """Looks again at each mismatch, at nearby points.

    What is a mismatch there too is one. What is not was the work of the point
    itself: of an exact tie or kink, if the loss has one there; on smooth ground
    it is a gradient that is wrong just at this point.

    Where noise allows only large steps, what the loss does in between stays
    unseen. A mismatch must then have the same sign at several points.
    """
    wrong = [i for i, item in enumerate(items) if item.word == words.MISMATCH]
    if not wrong:
        return items
    coarse = any(not items[i].is_fine for i in wrong)
    gone: set[int] = set()
    for _ in range(COARSE_POINTS if coarse else 1):
        elsewhere = _finite_nearby(problem)
        if elsewhere is None:
            continue
        directions = [items[i].direction for i in wrong]
        again = look_closely(elsewhere, directions, noise, tolerance)
        for i, item in zip(wrong, again, strict=True):
            if item.word == words.NONFINITE:
                continue
            turned = item.share * items[i].share < 0 and not items[i].is_fine
            if item.word != words.MISMATCH or turned:
                gone.add(i)
    if not gone:
        return items
    fine = [i for i in gone if items[i].is_fine]
    if fine and not _has_kink(problem, fine, items, noise, tolerance, rng):
        gone -= set(fine)
    items = list(items)
    for i in gone:
        judgement = replace(items[i].judgement, word=words.KINK)
        items[i] = replace(items[i], judgement=judgement)
    return items


def _finite_nearby(problem):
    """A nearby point whose loss is finite, or None."""
    for _ in range(3):
        elsewhere = problem.nearby()
        if np.isfinite(elsewhere.base):
            return elsewhere
    return None


def _has_kink(problem, wrong, items, noise, tolerance, rng):
    """Whether the loss has a kink at the point along any random direction.

    Looked for along the variables of the wrong items first: whatever tie made
    them wrong, moving them passes through it.
    """
    if any(item.slope.kink or item.slope.jump for item in items):
        return True
    first = [items[i].direction.variable for i in wrong]
    order = list(dict.fromkeys([*first, *range(len(problem.sizes))]))[:KINK_VARIABLES]
    directions = [
        Direction(k, signs=draw_signs(problem.sizes[k], rng))
        for k in order
        for _ in range(2)
    ]
    found = look_closely(problem, directions, noise, tolerance)
    return any(item.slope.kink or item.slope.jump for item in found)
