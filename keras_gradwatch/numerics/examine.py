"""Comparing an analytic gradient with differences of the loss.

Cost follows suspicion. Each coordinate and direction first gets one pair of
losses; what agrees is done. Only the rest gets a close look at many steps. A
mismatch is believed only if it is also there at a nearby point, or if the loss
is smooth where it was found: at an exact tie or kink, automatic
differentiation may return a slope that no difference can confirm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from keras_gradwatch.numerics import words
from keras_gradwatch.numerics.directions import Direction, draw_signs
from keras_gradwatch.numerics.slopes import (
    LADDER,
    Slope,
    close_look,
    first_look,
    measure_noise,
)
from keras_gradwatch.numerics.words import Judgement, judge, relative_error

# Points of the noise measurement, in units of the variable's scale: close
# together, and on one side of the point, so that a kink there is not crossed.
NOISE_SPACING = 1e-10
NOISE_POINTS = np.arange(1.0, 9.0)
# How far away the nearby point is, relative to each variable's scale.
NEARBY = 1e-3


class Problem(Protocol):
    """A loss of several variables at one point.

    Attributes:
        base: The loss at the point.
        gradients: Analytic gradient of each variable, flat float64 arrays;
            None where there is none.
        sizes: Number of entries of each variable.
        scales: Typical size of the entries of each variable.
    """

    base: float
    gradients: Sequence[np.ndarray | None]
    sizes: Sequence[int]
    scales: Sequence[float]

    def losses(self, probes: Sequence[tuple[Direction, float]]) -> np.ndarray:
        """Losses with one variable moved by `step` along a direction each."""

    def nearby(self) -> Problem:
        """The same loss at a random point `NEARBY` this one."""


@dataclass(frozen=True, eq=False)
class Item:
    """One direction, the two slopes along it, and the word for them."""

    direction: Direction
    analytic: float
    slope: Slope
    judgement: Judgement
    floor: float

    @property
    def word(self) -> str:
        return self.judgement.word

    @property
    def deviation(self) -> float:
        return self.slope.numerical - self.analytic

    def has_teeth(self, tolerance: float) -> bool:
        return words.has_teeth(self.analytic, self.slope, tolerance, self.floor)


def noise_of(
    problem: Problem, variables: Sequence[int], rng, spacing: float = NOISE_SPACING
) -> float:
    """A bound on the error of one loss value, measured along some variables."""
    probes = []
    for variable in variables:
        direction = Direction(variable, signs=draw_signs(problem.sizes[variable], rng))
        step = spacing * problem.scales[variable]
        probes += [(direction, float(k * step)) for k in NOISE_POINTS]
    values = problem.losses(probes).reshape(len(variables), -1)
    return max(measure_noise(row) for row in values)


def examine(
    problem: Problem,
    directions: Sequence[Direction],
    noise: Sequence[float],
    tolerance: float,
) -> list[Item]:
    """Judges each direction: a first look at all, a close look at suspects.

    Args:
        problem: The loss and its analytic gradient.
        directions: What to compare.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.

    Returns:
        An `Item` for each direction, in the same order.
    """
    steps = [_first_step(problem, d, noise[d.variable]) for d in directions]
    losses = _both_sides(problem, directions, [[step] for step in steps])
    items = []
    for direction, step, (plus, minus) in zip(directions, steps, losses, strict=True):
        slope = first_look(step, plus[0], minus[0], noise[direction.variable])
        items.append(_judged(problem, direction, slope, tolerance))
    suspects = [i for i, item in enumerate(items) if _needs_close_look(item, problem)]
    for i, item in zip(
        suspects,
        look_closely(problem, [directions[i] for i in suspects], noise, tolerance),
        strict=True,
    ):
        items[i] = item
    return items


def look_closely(problem, directions, noise, tolerance) -> list[Item]:
    """Judges each direction by differences at all steps of the ladder."""
    ladders = [LADDER * problem.scales[d.variable] for d in directions]
    losses = _both_sides(problem, directions, ladders)
    items = []
    for direction, steps, (plus, minus) in zip(
        directions, ladders, losses, strict=True
    ):
        slope = close_look(steps, plus, minus, problem.base, noise[direction.variable])
        items.append(_judged(problem, direction, slope, tolerance))
    return items


def confirm(problem, items, noise, tolerance, rng) -> list[Item]:
    """Looks again at each mismatch, at a nearby point.

    What is still a mismatch there is one. What is not was the work of the
    point itself: of an exact tie or kink, if the loss has one there; on smooth
    ground it is a gradient that is wrong just at this point.
    """
    wrong = [i for i, item in enumerate(items) if item.word == words.MISMATCH]
    if not wrong:
        return items
    elsewhere = problem.nearby()
    if not np.isfinite(elsewhere.base):
        return items
    again = look_closely(
        elsewhere, [items[i].direction for i in wrong], noise, tolerance
    )
    gone = [
        i
        for i, item in zip(wrong, again, strict=True)
        if item.word not in (words.MISMATCH, words.NONFINITE)
    ]
    if not gone or not _has_kink(problem, noise, tolerance, rng):
        return items
    items = list(items)
    for i in gone:
        judgement = replace(items[i].judgement, word=words.KINK)
        items[i] = replace(items[i], judgement=judgement)
    return items


def deviates(item: Item, problem: Problem) -> bool:
    """Whether a direction is off by more than its error bar can explain.

    Finer than the tolerance: one wrong entry among many is a small part of the
    whole gradient, and still wrong.
    """
    if not np.isfinite(item.slope.numerical) or item.slope.jump or item.slope.kink:
        return False
    scale = max(abs(item.analytic), item.floor) + abs(item.slope.numerical)
    share = 0.05 / np.sqrt(problem.sizes[item.direction.variable])
    return abs(item.deviation) > share * scale + 2 * item.slope.error_bar


def _has_kink(problem, noise, tolerance, rng):
    """Whether the loss has a kink at the point along any random direction."""
    directions = [
        Direction(variable, signs=draw_signs(size, rng))
        for variable, size in enumerate(problem.sizes)
        for _ in range(2)
    ]
    items = look_closely(problem, directions, noise, tolerance)
    return any(item.slope.kink or item.slope.jump for item in items)


def _needs_close_look(item, problem):
    if item.direction.is_coordinate:
        return item.word not in (words.MATCH, words.ZERO)
    return item.word != words.MATCH or deviates(item, problem)


def _judged(problem, direction, slope, tolerance):
    gradient = problem.gradients[direction.variable]
    if gradient is None:
        analytic = floor = 0.0
    else:
        analytic, floor = direction.slope(gradient), 0.0
        if not direction.is_coordinate:
            floor = words.DIRECTION_FLOOR * direction.norm(gradient)
    judgement = judge(analytic, slope, tolerance, floor)
    return Item(direction, analytic, slope, judgement, floor)


def _first_step(problem, direction, noise):
    """About 1e-6 in float64: small enough to miss most kinks."""
    relative = noise / max(abs(problem.base), np.finfo(np.float64).tiny)
    step = float(np.clip(relative**0.4, 1e-7, 3e-2)) if np.isfinite(relative) else 1e-6
    if not direction.is_coordinate and step < 1e-4:
        step /= 10  # moves every entry at once: kinks are nearer
    return step * problem.scales[direction.variable]


def _both_sides(problem, directions, ladders):
    """Losses at plus and minus each step: a pair of arrays a direction."""
    probes = [
        (direction, sign * float(step))
        for direction, steps in zip(directions, ladders, strict=True)
        for step in steps
        for sign in (1, -1)
    ]
    values = problem.losses(probes) if probes else np.empty(0)
    pairs, start = [], 0
    for steps in ladders:
        block = values[start : start + 2 * len(steps)].reshape(-1, 2)
        pairs.append((block[:, 0], block[:, 1]))
        start += 2 * len(steps)
    return pairs


__all__ = [
    "Item",
    "Problem",
    "confirm",
    "deviates",
    "examine",
    "look_closely",
    "noise_of",
    "relative_error",
]
