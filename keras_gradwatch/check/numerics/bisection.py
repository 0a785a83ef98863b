"""Where a direction fails: bisection to one wrong entry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.confirm import confirm
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import MISMATCH
from keras_gradwatch.check.numerics.loss_at_point import Problem


def locate(
    comparator: Comparator,
    items: Sequence[SlopeComparison],
    affordable: float = np.inf,
) -> list[SlopeComparison]:
    """Looks for a wrong entry in each variable in which only directions are off.

    Args:
        comparator: What compares.
        items: What was compared so far, of all variables.
        affordable: In how many variables to look.

    Returns:
        A comparison for each entry that was found, to be added to `items`.
    """
    problem, entries = comparator.problem, []
    for variable in range(len(problem.sizes)):
        own = [i for i in items if i.direction.variable == variable]
        if any(i.direction.is_coordinate and i.word == MISMATCH for i in own):
            continue
        off = [i for i in own if not i.direction.is_coordinate and i.deviates]
        if off and affordable >= 1:
            affordable -= 1
            entry = bisect(problem, max(off, key=lambda i: abs(i.deviation)))
            if entry is not None:
                entries.append(Direction(variable, entry=entry))
    return confirm(comparator, comparator.at_all_steps(entries))


def bisect(problem: Problem, item: SlopeComparison) -> int | None:
    """Finds an entry to blame for the deviation along a direction.

    Halves the set of moved entries, and goes on with the half that deviates
    more: two losses for each halving, `2 log2(n)` in all.

    Args:
        problem: The loss and its analytic gradient.
        item: A direction that deviates.

    Returns:
        Flat index of the entry, or None if the deviation sinks into the error
        bar on the way, for it is then spread over many entries.
    """
    variable, step = item.direction.variable, item.slope.step
    gradient = problem.gradients[variable]
    if gradient is None:
        gradient = np.zeros(problem.sizes[variable])
    signs = item.direction.signs
    entries, deviation = np.flatnonzero(signs), item.deviation
    while len(entries) > 1:
        half = entries[: len(entries) // 2]
        part = np.zeros_like(signs)
        part[half] = signs[half]
        direction = Direction(variable, signs=part)
        plus, minus = problem.losses([(direction, step), (direction, -step)])
        of_half = (plus - minus) / (2 * step) - direction.slope(gradient)
        if not np.isfinite(of_half):
            return None
        if abs(of_half) >= abs(deviation - of_half):
            entries, deviation = half, of_half
        else:
            entries, deviation = entries[len(half) :], deviation - of_half
        if abs(deviation) <= item.slope.error_bar:
            return None
    return int(entries[0])
