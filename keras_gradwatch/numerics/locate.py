"""Where a direction fails: bisection to one wrong entry."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.numerics.directions import Direction
from keras_gradwatch.numerics.examine import Item, Problem


def bisect(problem: Problem, item: Item) -> int | None:
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
