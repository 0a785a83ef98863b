"""Comparing an analytic gradient with differences of the loss.

Cost follows suspicion. Each coordinate and direction first gets one pair of
losses; what agrees is done. Only the rest gets a close look at many steps.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keras_gradwatch.numerics import words
from keras_gradwatch.numerics.directions import Direction, Sweep, draw_signs
from keras_gradwatch.numerics.slopes import (
    COARSE,
    FINE,
    LADDER,
    Noise,
    Slope,
    close_look,
    first_look,
    measure_noise,
)
from keras_gradwatch.numerics.words import Judgement, judge

# Points of the noise measurement, in units of the variable's scale: close
# together, and on one side of the point, so that a kink there is not crossed.
NOISE_SPACING = 1e-10
NOISE_POINTS = np.arange(1.0, 9.0)
# As many different values tell noise from a plateau.
_FEWEST_VALUES = 5
# Other steps to try where the first tells too little, as multiples of it: smaller
# ones, which pass over fewer kinks, or larger ones, which stand out of the noise.
_FINER, _COARSER = (0.1, 0.01), (10.0, 100.0)
# The range of first steps, in units of each variable's scale.
_SMALLEST, _LARGEST = 5e-7, 3e-2
# How far away the nearby point is, relative to each variable's scale.
NEARBY = 1e-3


class Problem(Protocol):
    """A loss of several variables at one point.

    Attributes:
        base: The loss at the point.
        level: About the same; at no price.
        gradients: Analytic gradient of each variable, flat float64 arrays;
            None where there is none.
        sizes: Number of entries of each variable.
        scales: Typical size of the entries of each variable.
        roundoff: How far round-off may move an entry of the gradients.
    """

    base: float
    level: float
    gradients: Sequence[np.ndarray | None]
    sizes: Sequence[int]
    scales: Sequence[float]
    roundoff: float

    def losses(self, probes: Sequence[tuple[Direction | Sweep, float]]) -> np.ndarray:
        """Losses with one variable or several moved by a step, for each probe."""

    def nearby(self) -> Problem:
        """The same loss at a random point `NEARBY` this one."""


@dataclass(frozen=True, eq=False)
class Item:
    """One direction, the two slopes along it, and the word for them.

    Where several variables were moved at once, `among` is their number, and the
    numerical slope is what is left of the whole if all others are right.
    """

    direction: Direction
    analytic: float
    slope: Slope
    judgement: Judgement
    floor: float
    roundoff: float = 0.0
    among: int = 1

    @property
    def word(self) -> str:
        return self.judgement.word

    @property
    def deviation(self) -> float:
        return self.slope.numerical - self.analytic

    @property
    def share(self) -> float:
        """The deviation relative to the numerical slope, with its sign."""
        return self.deviation * np.sign(self.slope.numerical)

    @property
    def is_fine(self) -> bool:
        """Whether the deviation is no work of kinks that steps pass over."""
        sharp = 100 * self.slope.error_bar <= abs(self.deviation)
        return sharp and self.slope.shows(self.analytic, FINE)

    @property
    def is_faint(self) -> bool:
        """Whether the slope is lost in noise: nothing known speaks against it."""
        return self.word in (words.NOISY, words.ZERO)

    def has_teeth(self, tolerance: float) -> bool:
        return words.has_teeth(
            self.analytic, self.slope, tolerance, self.floor, self.roundoff
        )


def noise_of(
    problem: Problem, variables: Sequence[int], rng, spacing: float = NOISE_SPACING
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
    directions = {
        k: Direction(k, signs=draw_signs(problem.sizes[k], rng)) for k in variables
    }
    found, waiting = [], list(variables)
    precise = spacing == NOISE_SPACING
    widest = spacing * (1e5 if precise else 100)
    while waiting:
        probes = [
            (directions[k], float(point * spacing * problem.scales[k]))
            for k in waiting
            for point in NOISE_POINTS
        ]
        still = []
        rows = problem.losses(probes).reshape(len(waiting), -1)
        for k, row in zip(waiting, rows, strict=True):
            flat = len(np.unique(row)) < _FEWEST_VALUES if precise else np.ptp(row) == 0
            moves = not precise or _should_move(problem, directions[k], spacing)
            if flat and moves and spacing < widest:
                still.append(k)
            elif precise and np.ptp(row) == 0:
                found.append(Noise(2 * np.finfo(np.float64).eps * abs(float(row[0]))))
            else:
                found.append(measure_noise(row))
        waiting, spacing = still, 10 * spacing
    finite = [noise for noise in found if np.isfinite(noise.floor)]
    return functools.reduce(operator.or_, finite, Noise(0.0 if finite else np.inf))


def examine(
    problem: Problem,
    directions: Sequence[Direction],
    noise: Sequence[Noise],
    tolerance: float,
    affordable: float = np.inf,
) -> list[Item]:
    """Judges each direction: a first look at all, others at suspects.

    Args:
        problem: The loss and its analytic gradient.
        directions: What to compare.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many close looks to spend.

    Returns:
        An `Item` for each direction, in the same order, but for those that
        stayed unclear.
    """
    items, unclear = first_looks(problem, directions, noise, tolerance)
    items, unclear = look_again(problem, items, unclear, noise, tolerance)
    return second_looks(problem, items, unclear, noise, tolerance, affordable)[0]


def first_looks(problem, directions, noise, tolerance) -> tuple[list[Item], list[int]]:
    """Judges each direction by one pair of losses.

    Returns:
        A tuple `(items, unclear)`: an `Item` for each direction, and positions of
        those that ask for another look.
    """
    steps = [_first_step(problem, d, noise[d.variable], tolerance) for d in directions]
    items = _looks(problem, directions, steps, noise, tolerance)
    unclear = [i for i, item in enumerate(items) if _needs_close_look(item, problem)]
    return items, unclear


def look_again(
    problem, items, unclear, noise, tolerance, affordable=np.inf
) -> tuple[list[Item], list[int]]:
    """Tries two other steps where the first was unclear: for a kink nearby, or noise.

    Args:
        problem: The loss and its analytic gradient.
        items: What `first_looks` returned.
        unclear: Positions of the items to look at.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many pairs of losses to spend on those that are lost in noise.

    Returns:
        What `first_looks` returns, with those that are clear by now.
    """
    items, unclear = list(items), list(unclear)
    waiting = [i for i in unclear if items[i].word != words.NONFINITE]
    for finer, coarser in zip(_FINER, _COARSER, strict=True):
        steps = {}
        for i in waiting:
            item = items[i]
            scale = problem.scales[item.direction.variable]
            # From the first step on, which an unclear item keeps.
            step = item.slope.step * (coarser if item.is_faint else finer)
            if item.is_faint and (affordable < 1 or step > _LARGEST * scale):
                continue
            affordable -= item.is_faint
            steps[i] = step
        directions = [items[i].direction for i in steps]
        found = _looks(problem, directions, list(steps.values()), noise, tolerance)
        for i, item in zip(steps, found, strict=True):
            before = items[i]
            # What was off must not be lost in the noise of smaller steps.
            told = before.is_faint or 4 * item.slope.error_bar <= abs(before.deviation)
            if told and not _needs_close_look(item, problem):
                items[i] = item
                unclear.remove(i)
                waiting.remove(i)
            elif before.is_faint and not item.is_faint:
                items[i] = item  # something is off, and was lost in noise
                waiting.remove(i)
    return items, unclear


def _looks(problem, directions, steps, noise, tolerance) -> list[Item]:
    """Judges each direction by the difference at one step."""
    losses = _both_sides(problem, directions, [[step] for step in steps])
    items = []
    for direction, step, (plus, minus) in zip(directions, steps, losses, strict=True):
        k = direction.variable
        slope = first_look(step, problem.scales[k], plus[0], minus[0], noise[k])
        items.append(judged(problem, direction, slope, tolerance))
    return items


def second_looks(
    problem, items, unclear, noise, tolerance, affordable=np.inf
) -> tuple[list[Item], list[Item]]:
    """Looks closely at what was unclear at first, at what looks wrong before all.

    Args:
        problem: The loss and its analytic gradient.
        items: What `first_looks` or `look_again` returned.
        unclear: Positions of the items to look at.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many close looks to spend.

    Returns:
        A tuple `(items, left_out)`, in the same order: those that are clear by
        now, and those for which there was no close look left.
    """
    order = sorted(unclear, key=lambda i: items[i].word != words.MISMATCH)
    looked_at = order[: int(min(len(order), affordable))]
    directions = [items[i].direction for i in looked_at]
    close = look_closely(problem, directions, noise, tolerance)
    found = dict(zip(looked_at, close, strict=True))
    left = set(unclear) - set(looked_at)
    clear = [found.get(i, item) for i, item in enumerate(items) if i not in left]
    return clear, [items[i] for i in sorted(left)]


def look_closely(problem, directions, noise, tolerance) -> list[Item]:
    """Judges each direction by differences at all steps of the ladder."""
    ladders = [LADDER * problem.scales[d.variable] for d in directions]
    losses = _both_sides(problem, directions, ladders)
    items = []
    for direction, steps, (plus, minus) in zip(
        directions, ladders, losses, strict=True
    ):
        slope = close_look(steps, plus, minus, problem.base, noise[direction.variable])
        items.append(judged(problem, direction, slope, tolerance))
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


def _should_move(problem, direction, spacing):
    """Whether, by the gradient, the points of a measurement differ in the loss."""
    scale = problem.scales[direction.variable]
    reach = spacing * scale * (NOISE_POINTS[-1] - NOISE_POINTS[0])
    change = abs(_analytic(problem, direction)) * reach
    return change > 4 * np.finfo(np.float64).eps * abs(problem.base)


def _needs_close_look(item, problem):
    if item.direction.is_coordinate:
        if item.word != words.ZERO:
            return item.word != words.MATCH
        # Lost in round-off here, but not at a larger step?
        return abs(item.analytic) * COARSE > 4 * item.slope.unit_roundoff
    return item.word != words.MATCH or deviates(item, problem)


def _analytic(problem, direction):
    gradient = problem.gradients[direction.variable]
    return 0.0 if gradient is None else direction.slope(gradient)


def judged(problem, direction, slope, tolerance, known=None) -> Item:
    """A slope along a direction of one variable, beside what its gradient says.

    Args:
        problem: The loss and its analytic gradient.
        direction: The direction.
        slope: The numerical slope.
        tolerance: Largest relative error that still is a match.
        known: The analytic slope and the norm of the gradient, if they are known.
    """
    gradient = problem.gradients[direction.variable]
    if known is None:
        norm = 0.0
        if gradient is not None and not direction.is_coordinate:
            norm = direction.norm(gradient)
        known = (_analytic(problem, direction), norm)
    analytic, floor = known[0], words.DIRECTION_FLOOR * known[1]
    # Errors of the entries add up at random along a direction.
    moved = 1 if direction.is_coordinate else np.count_nonzero(direction.signs)
    roundoff = problem.roundoff * np.sqrt(moved)
    judgement = judge(analytic, slope, tolerance, floor, roundoff)
    return Item(direction, analytic, slope, judgement, floor, roundoff)


def _first_step(problem, direction, noise, tolerance):
    """About 1e-6 in float64: small enough to miss most kinks.

    Under noise more, but not more than a slope of the expected size needs.
    """
    scale = problem.scales[direction.variable]
    if not np.isfinite(noise.floor):
        return 1e-6 * scale
    expected = scale * abs(_analytic(problem, direction))
    step = noise.share**0.4
    if expected:
        step = min(step, 100 * noise.floor / (tolerance * expected))
    step = float(np.clip(step, _SMALLEST, _LARGEST))
    if not direction.is_coordinate and step < 1e-4:
        step /= 10  # moves every entry at once: kinks are nearer
    return step * scale


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
