"""How far to move: the unit of steps along a direction."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.loss_at_point import Problem

# A step of one unit changes the loss by at most so many times its own value, if the
# gradient is right: no smooth loss needs more, and 1/x at 1e-12 is smooth only in
# steps that are small against 1e-12. Of usual weights, of size 0.01 and more, hardly
# a gradient is so large. A power of ten, not measured.
REACH = 10.0
# An entry that is smaller than this share of the unit may need steps of its own: no
# first step is larger than 3e-2 of the unit, most are near 1e-6 of it.
SMALL = 1e-3


def unit_of(problem: Problem, direction: Direction) -> float:
    """The unit of the steps along a direction.

    It is the typical size of the variable's entries, unless that would carry the loss
    far away from its value: then it follows the size of the entries that are moved,
    the smallest of them, for those bend the loss first.

    Args:
        problem: The loss.
        direction: Along what to move.
    """
    k = direction.variable
    scale, gradient = problem.scales[k], problem.gradients[k]
    if gradient is None or not gradient.size or not problem.level:
        return scale
    entry = direction.entry
    peak = abs(gradient[entry]) if entry is not None else problem.peaks[k]
    reach = REACH * abs(problem.level) / peak if peak else np.inf
    if not reach < scale:  # NaN goes that way, too
        return scale
    return float(min(scale, max(reach, size_of(problem, direction) or scale)))


def size_of(problem: Problem, direction: Direction) -> float:
    """The size of the smallest entry that is moved, zeros apart; 0 if all are zero."""
    values = problem.values[direction.variable]
    if direction.entry is not None:
        return abs(float(values[direction.entry]))
    sizes = np.abs(values[(direction.signs != 0) & (values != 0)])
    return float(np.min(sizes, initial=np.inf)) if sizes.size else 0.0


def units_of(problem: Problem, variable: int) -> np.ndarray:
    """The unit of each entry of a variable: what `unit_of` says of its coordinate."""
    scale, gradient = problem.scales[variable], problem.gradients[variable]
    units = np.full(problem.sizes[variable], scale)
    most = scale * problem.peaks[variable]
    if gradient is None or not 0 < REACH * abs(problem.level) < most:
        return units
    values = np.abs(problem.values[variable])
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = REACH * abs(problem.level) / np.abs(gradient)
    own = np.minimum(scale, np.maximum(reach, values))
    return np.where((values > 0) & (reach < scale), own, units)


def small_entries(problem: Problem, variable: int, unit: float) -> np.ndarray:
    """Which entries, zeros apart, are small against a unit: a mask."""
    values = np.abs(problem.values[variable])
    return (values > 0) & (values < SMALL * unit)
