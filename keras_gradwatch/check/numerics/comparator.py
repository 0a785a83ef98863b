"""Comparing slopes along any directions, at one step or at many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.differences import (
    LADDER,
    Slope,
    close_look,
    first_look,
)
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import DIRECTION_FLOOR, judge
from keras_gradwatch.check.numerics.loss_at_point import Problem, analytic_slope
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.units import unit_of


@dataclass(frozen=True, eq=False)
class Comparator:
    """What all comparisons of a loss at one point have in common.

    For another point, or with other noise, `dataclasses.replace` makes another.

    Args:
        problem: The loss and its analytic gradient.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        rng: Source of randomness.
    """

    problem: Problem
    noise: Sequence[Noise]
    tolerance: float
    rng: np.random.Generator

    def at_one_step(
        self, directions: Sequence[Direction], steps: Sequence[float]
    ) -> list[SlopeComparison]:
        """Judges each direction by one pair of losses.

        Args:
            directions: What to compare.
            steps: How far to move along each.
        """
        losses = self._both_sides(directions, [np.array([step]) for step in steps])
        found = []
        for direction, step, (plus, minus) in zip(
            directions, steps, losses, strict=True
        ):
            noise, unit = (
                self.noise[direction.variable],
                unit_of(self.problem, direction),
            )
            slope = first_look(step, unit, plus[0], minus[0], noise)
            found.append(self.judged(direction, slope))
        return found

    def at_all_steps(
        self, directions: Sequence[Direction], units: Sequence[float] | None = None
    ) -> list[SlopeComparison]:
        """Judges each direction by differences at all steps of the ladder.

        Args:
            directions: What to compare.
            units: The unit of the steps along each; what `unit_of` says if None.
        """
        problem = self.problem
        units = units or [unit_of(problem, d) for d in directions]
        ladders = [LADDER * unit for unit in units]
        losses = self._both_sides(directions, ladders)
        found = []
        for direction, steps, (plus, minus) in zip(
            directions, ladders, losses, strict=True
        ):
            noise = self.noise[direction.variable]
            slope = close_look(steps, plus, minus, problem.base, noise)
            found.append(self.judged(direction, slope))
        return found

    def judged(
        self,
        direction: Direction,
        slope: Slope,
        known: tuple[float, float] | None = None,
        among: int = 1,
    ) -> SlopeComparison:
        """A slope along a direction of one variable, beside what its gradient says.

        Args:
            direction: The direction.
            slope: The numerical slope.
            known: The analytic slope and the norm of the gradient, if they are known.
            among: How many variables were moved at once.
        """
        analytic, norm = known or self._known(direction)
        floor = DIRECTION_FLOOR * norm
        # Errors of the entries add up at random along a direction.
        moved = 1 if direction.is_coordinate else np.count_nonzero(direction.signs)
        roundoff = float(self.problem.roundoff * np.sqrt(moved))
        found = judge(analytic, slope, self.tolerance, floor, roundoff)
        return SlopeComparison(
            direction, analytic, slope, found, floor, roundoff, among
        )

    def _known(self, direction: Direction) -> tuple[float, float]:
        """The analytic slope and, along a direction, the norm of the gradient."""
        gradient = self.problem.gradients[direction.variable]
        if gradient is None or direction.is_coordinate:
            return analytic_slope(self.problem, direction), 0.0
        return analytic_slope(self.problem, direction), direction.norm(gradient)

    def _both_sides(
        self, directions: Sequence[Direction], ladders: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Losses at plus and minus each step: a pair of arrays a direction."""
        perturbations = [
            (direction, sign * float(step))
            for direction, steps in zip(directions, ladders, strict=True)
            for step in steps
            for sign in (1, -1)
        ]
        losses = self.problem.losses(perturbations) if perturbations else np.empty(0)
        ends = np.cumsum([2 * len(steps) for steps in ladders])[:-1]
        blocks = np.split(losses, ends) if ladders else []
        return [(block[::2], block[1::2]) for block in blocks]
