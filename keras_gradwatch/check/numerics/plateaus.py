"""Rounding inside a loss whose values look precise.

An operation may take float64 and compute in float32: the loss is then a staircase. In
steps smaller than its stairs it is smooth to the last digit, with another slope; in
larger ones its noise is the height of a stair, however large they are. Kinks are told
from stairs by that: what they do to differences grows with the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import MISMATCH
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.noise_measurement import (
    NOISE_FACTOR,
    NOISE_POINTS,
    levels,
)

# In units of a variable's scale: a step that is larger than the stairs of float32,
# 6e-8, in all that a variable is a thousandth of.
_LARGE = 1e-3
# Where the slope in such a step is another one by so much of what is off, there may be
# stairs. A mistake on smooth ground stays put: see `sweeping.STAYS`.
_CHANGES = 0.1
# A noise of a share above this is no rounding of float64, 1e-16: it was seen on the
# edge of a stair or two, and may be too small. A guess between 1e-16 and 6e-8.
_ROUGH = 1e-12
# Spacings of the points, in the same units. Below, stairs of float32 are seldom
# crossed; above, third differences of the smooth part show.
_SPACINGS = 10.0 ** np.arange(-8.0, -2.0)
# Noise that stays within a factor of 4 over so many decades is that of stairs: what
# kinks do grows tenfold in each.
_DECADES, _STAYS = 3, 4.0
# How far above the noise that is known it must be; and along how many variables to look
# for it, 48 losses each. Chosen, not measured.
_CLEAR, _MOST = 30.0, 4


def with_stairs(
    comparator: Comparator, items: Sequence[SlopeComparison], unclear: Sequence[int]
) -> tuple[Comparator, float, list[int]]:
    """Looks for stairs in the loss where small and large steps tell different slopes.

    And where noise that was measured in small steps is more than float64 has.

    Args:
        comparator: What compares.
        items: What was compared so far.
        unclear: Positions of the items that ask for a closer look.

    Returns:
        A comparator whose noise is that of the stairs, how high they are, and positions
        of the items to compare anew: 0 and none if there are no stairs.
    """
    problem = comparator.problem
    off = [i for i in unclear if _is_off(items[i])]
    directions = [items[i].direction for i in off]
    steps = [_LARGE * problem.scales[d.variable] for d in directions]
    changed = [
        i
        for i, there in zip(off, comparator.at_one_step(directions, steps), strict=True)
        if comparator.noise[items[i].direction.variable].share > _ROUGH
        or abs(there.slope.numerical - items[i].slope.numerical)
        > _CHANGES * abs(items[i].deviation)
    ]
    found = [_stairs(comparator, items[i].direction) for i in _spread(changed)]
    height = max(found, default=0.0)
    if not height:
        return comparator, 0.0, []
    noise = list(comparator.noise)
    for k in {items[i].direction.variable for i in changed}:
        noise[k] = noise[k] | Noise(height, height / max(abs(problem.level), height))
    return replace(comparator, noise=noise), height / NOISE_FACTOR, changed


def _is_off(item: SlopeComparison) -> bool:
    return item.word == MISMATCH or (not item.direction.is_coordinate and item.deviates)


def _spread(positions: Sequence[int]) -> list[int]:
    """A few of them, from the first to the last."""
    chosen = np.linspace(0, len(positions) - 1, min(len(positions), _MOST))
    return [positions[int(k)] for k in chosen]


def _stairs(comparator: Comparator, direction: Direction) -> float:
    """A bound on the error of a loss by stairs along a direction; 0 without any."""
    problem, k = comparator.problem, direction.variable
    perturbations = [
        (direction, float(point * spacing * problem.scales[k]))
        for spacing in _SPACINGS
        for point in NOISE_POINTS
    ]
    rows = problem.losses(perturbations).reshape(len(_SPACINGS), -1)
    if not np.isfinite(rows).all():
        return 0.0
    # Of smooth ground, third differences and higher ones are gone at these spacings.
    sizes = [NOISE_FACTOR * float(np.median(levels(row)[2:])) for row in rows]
    least = _CLEAR * float(comparator.noise[k].at(comparator.problem.level))
    for first in range(len(sizes) - _DECADES + 1):
        some = sizes[first : first + _DECADES]
        if min(some) > least and max(some) <= _STAYS * min(some):
            return max(some)
    return 0.0
