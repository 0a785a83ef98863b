"""One comparison of an analytic slope with a numerical one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics import judgement as words
from keras_gradwatch.check.numerics.differences import (
    FINE,
    Slope,
)
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import Judgement, judge
from keras_gradwatch.check.numerics.loss_at_point import Problem, analytic_slope


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
        known = (analytic_slope(problem, direction), norm)
    analytic, floor = known[0], words.DIRECTION_FLOOR * known[1]
    # Errors of the entries add up at random along a direction.
    moved = 1 if direction.is_coordinate else np.count_nonzero(direction.signs)
    roundoff = problem.roundoff * np.sqrt(moved)
    judgement = judge(analytic, slope, tolerance, floor, roundoff)
    return Item(direction, analytic, slope, judgement, floor, roundoff)
