"""A loss of several variables at one point, as the numerics ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from keras_gradwatch.check.numerics.directions import Direction, Sweep

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


def analytic_slope(problem, direction):
    gradient = problem.gradients[direction.variable]
    return 0.0 if gradient is None else direction.slope(gradient)
