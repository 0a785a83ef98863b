"""How far a loss value itself may be off: its noise, measured."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from math import factorial

import numpy as np

from keras_gradwatch.check.numerics.directions import Direction, draw_signs, norm_of
from keras_gradwatch.check.numerics.loss_at_point import Problem, analytic_slope
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.units import small_entries, unit_of

# Measured noise is a standard deviation; a bound is this many of them: 1 in 16,000
# values of Gaussian noise lies beyond.
NOISE_FACTOR = 4.0
# Points of the noise measurement, in units of the variable's scale: close
# together, and on one side of the point, so that a kink there is not crossed. A second
# difference, f'' * 1e-20, is far below the rounding of a float64, 2e-16.
NOISE_SPACING = 1e-10
NOISE_POINTS = np.arange(1.0, 9.0)
# As many different values of eight tell noise from a plateau: more than half of the
# points. A trade, not measured.
_FEWEST_VALUES = 5
# Where the loss is not finite or raises, the points go to the other side, then nearer,
# as multiples of the last spacing.
_RETREATS = (-1.0, -1e-3, -1.0)


def noise_of(
    problem: Problem,
    variables: Sequence[int],
    rng: np.random.Generator,
    spacing: float = NOISE_SPACING,
) -> Noise:
    """A bound on the error of one loss value, measured along some variables.

    Where the loss does not change although it should, the points are moved
    apart: somewhere inside they were rounded to one value.

    Args:
        problem: The loss.
        variables: Along which variables to move, a random direction of each.
        rng: Source of randomness.
        spacing: Distance of the points, in units of the variable's scale; in
            low precision well above its rounding.
    """
    directions = {k: _draw(problem, k, rng) for k in variables}
    units = {k: unit_of(problem, direction) for k, direction in directions.items()}
    found: list[Noise] = []
    precise = spacing == NOISE_SPACING
    widest = spacing * (1e5 if precise else 100)
    spacings = dict.fromkeys(variables, spacing)
    retreats = {k: list(_RETREATS) for k in variables}
    while spacings:
        perturbations = [
            (directions[k], float(point * spacing * units[k]))
            for k, spacing in spacings.items()
            for point in NOISE_POINTS
        ]
        rows = problem.losses(perturbations).reshape(len(spacings), -1)
        for (k, spacing), row in zip(list(spacings.items()), rows, strict=True):
            del spacings[k]
            if not np.all(np.isfinite(row)):
                if retreats[k]:
                    spacings[k] = retreats[k].pop(0) * spacing
                continue
            flat = len(np.unique(row)) < _FEWEST_VALUES if precise else np.ptp(row) == 0
            reach = abs(spacing) * units[k] * np.ptp(NOISE_POINTS)
            moves = not precise or _should_move(problem, directions[k], reach)
            if flat and moves and abs(spacing) < widest:
                spacings[k] = 10 * spacing
            elif precise and np.ptp(row) == 0:
                found.append(Noise(2 * np.finfo(np.float64).eps * abs(float(row[0]))))
            else:
                found.append(measure_noise(row))
    return functools.reduce(operator.or_, found, Noise(0.0 if found else np.inf))


def _draw(problem: Problem, variable: int, rng: np.random.Generator) -> Direction:
    """A random direction of a variable, past entries that ask for smaller steps."""
    direction = Direction(variable, signs=draw_signs(problem.sizes[variable], rng))
    usual = ~small_entries(problem, variable, unit_of(problem, direction))
    if usual.all() or not usual.any():
        return direction
    return Direction(variable, signs=direction.signs * usual)


def _should_move(problem: Problem, direction: Direction, reach: float) -> bool:
    """Whether, by the gradient, the loss differs between points so far apart."""
    change = abs(analytic_slope(problem, direction)) * reach
    return bool(change > 4 * np.finfo(np.float64).eps * abs(problem.base))


def measure_noise(values: np.ndarray) -> Noise:
    """A bound on the error of a loss, from values at equally spaced points.

    High differences of a smooth function vanish; what stays is noise (ECnoise:
    Moré and Wild, Estimating computational noise, 2011). At least the rounding
    of the result itself, in the precision that all values have.

    Args:
        values: Losses at equally spaced points, close together, at least 6.

    Returns:
        The bound. Infinite if a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(values)):
        return Noise(np.inf)
    largest = float(np.max(np.abs(values)))
    rounding = 2 * _rounding(values)
    floor = max(NOISE_FACTOR * float(np.median(levels(values)[1:])), rounding * largest)
    return Noise(floor, max(rounding, floor / largest) if largest else rounding)


def levels(values: np.ndarray) -> list[float]:
    """The noise of values at equally spaced points, by each order of differences.

    Args:
        values: Finite, at least 3.
    """
    differences, found = values, []
    for k in range(1, len(values) - 1):
        differences = np.diff(differences)
        gamma = factorial(k) ** 2 / factorial(2 * k)
        rms = norm_of(differences) / len(differences) ** 0.5
        found.append(float(np.sqrt(gamma)) * rms)
    return found


def _rounding(values: np.ndarray) -> float:
    """Relative distance of neighbouring numbers, in the precision of the values.

    Read off the last binary digit that any of them uses: 2^-23 in float32, and 2^-7,
    that of bfloat16, at most.
    """
    digits = np.bitwise_or.reduce(np.int64(2.0**53 * np.abs(np.frexp(values)[0])))
    last = float(digits & -digits) if digits else 1.0
    return min(last, 2.0**45) * 2.0**-52
