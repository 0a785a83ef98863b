"""A loss of several variables at one point, as the numerics ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from keras_gradwatch.check.numerics.directions import Direction, Perturbation
from keras_gradwatch.check.numerics.noise import Noise

# How far away the nearby point is, relative to each variable's scale: beyond the steps
# of first looks (1e-6), so that ties and kinks at the point are left behind, and near
# enough for it to be the same loss. Chosen, not measured.
NEARBY = 1e-3
# A slope that changes the loss by less than this share of it, at a step of the size of
# the weights, is round-off: in float64 450 roundings, in float32 84. Chosen, not
# measured: biases before batch normalisation are at 1e-17 to 1e-15.
_STILL, _STILL_IN_LOW = 1e-13, 1e-5


class Problem(Protocol):
    """A loss of several variables at one point.

    Attributes:
        base: The loss at the point.
        level: About the same; at no price.
        gradients: Analytic gradient of each variable, flat float64 arrays;
            None where there is none.
        peaks: The largest finite entry of each gradient, in size; 0 of none.
        values: The point, a flat array each.
        sizes: Number of entries of each variable.
        scales: Typical size of the entries of each variable.
        roundoff: How far round-off may move an entry of the gradients.
        is_precise: Whether all of the loss is computed in float64.
    """

    @property
    def base(self) -> float: ...
    @property
    def level(self) -> float: ...
    @property
    def gradients(self) -> Sequence[np.ndarray | None]: ...
    @property
    def peaks(self) -> Sequence[float]: ...
    @property
    def values(self) -> Sequence[np.ndarray]: ...
    @property
    def sizes(self) -> Sequence[int]: ...
    @property
    def scales(self) -> Sequence[float]: ...
    @property
    def roundoff(self) -> float: ...
    @property
    def is_precise(self) -> bool: ...

    def losses(self, perturbations: Sequence[Perturbation], /) -> np.ndarray:
        """Losses with one variable or several moved, for each perturbation."""

    def noise(self, variables: Sequence[int], /) -> list[Noise]:
        """A bound on the error of a loss value, for each variable.

        Of those that it is not asked for, it may be infinite.
        """

    def assert_repeatable(self) -> None:
        """Raises an `UncheckableError` if the loss is not the same each time."""

    def nearby(self) -> Problem | None:
        """The same loss at a random point `NEARBY` this one; None if it has none."""


def analytic_slope(problem: Problem, direction: Direction) -> float:
    """The slope along a direction that the gradient implies; 0 without a gradient."""
    gradient = problem.gradients[direction.variable]
    return 0.0 if gradient is None else direction.slope(gradient)


def is_still(problem: Problem, variable: int) -> bool:
    """Whether a gradient is None, or zero: exactly, or up to round-off.

    Args:
        problem: The loss and its analytic gradient.
        variable: Position of the variable.
    """
    gradient = problem.gradients[variable]
    if gradient is None or not np.any(gradient):
        return True
    share = _STILL if problem.is_precise else _STILL_IN_LOW
    least = share * abs(problem.level) / problem.scales[variable]
    return bool(np.max(np.abs(gradient)) <= max(problem.roundoff, least))
