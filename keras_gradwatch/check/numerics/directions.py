"""Along what to differentiate: single coordinates and random directions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# Squares below it, 1e-150 squared, lose digits, or vanish.
_LEAST = 1e-300


@dataclass(frozen=True, eq=False)
class Direction:
    """A way to move one variable: along one entry, or along many at once.

    Args:
        variable: Position of the variable in the list of checked variables.
        entry: Flat index of the entry to move, for a coordinate.
        signs: int8 array of -1, 0 and +1, one for each entry of the variable,
            for a direction. Zero leaves an entry where it is. Empty for a coordinate.
    """

    variable: int
    entry: int | None = None
    signs: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))

    @property
    def is_coordinate(self) -> bool:
        """Whether this moves one entry."""
        return self.entry is not None

    def moves(self, step: float) -> list[tuple[Direction, float]]:
        """What moves, and how far, at a step along this direction."""
        return [(self, step)]

    def slope(self, gradient: np.ndarray) -> float:
        """The derivative along this direction that a flat gradient implies."""
        if self.entry is not None:
            return float(gradient[self.entry])
        # Not by BLAS: its threads wait for those of TensorFlow.
        return float(np.einsum("i,i->", self.signs, gradient))

    def norm(self, gradient: np.ndarray) -> float:
        """Norm of a flat gradient over the entries that this one moves."""
        if self.entry is not None:
            return abs(float(gradient[self.entry]))
        return norm_of(gradient[self.signs != 0])


def norm_of(gradient: np.ndarray) -> float:
    """Norm of a flat array, summed in float64; not by BLAS (see `Direction.slope`)."""
    square = float(np.einsum("i,i->", gradient, gradient, dtype=np.float64))
    if _LEAST < square < np.inf:
        return square**0.5
    peak = float(np.max(np.abs(gradient), initial=0.0))
    # What is there has a norm, although its square has no number.
    return peak * norm_of(gradient / peak) if 0 < peak < np.inf else square**0.5


@dataclass(frozen=True, eq=False)
class Sweep:
    """A way to move several variables at once.

    Args:
        parts: A direction in each of the variables.
        lengths: How far each of them moves at a step of 1.
    """

    parts: tuple[Direction, ...]
    lengths: tuple[float, ...]

    def moves(self, step: float) -> list[tuple[Direction, float]]:
        """What moves, and how far, at a step along this sweep."""
        pairs = zip(self.parts, self.lengths, strict=True)
        return [(part, step * length) for part, length in pairs]


# A direction or sweep, and a signed step along it.
Perturbation = tuple[Direction | Sweep, float]


def draw_coordinates(
    gradient: np.ndarray, samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws distinct flat indices, half uniformly, half by gradient size.

    A uniform draw sees every entry alike, but in a sparse gradient it sees
    mostly zeros; a draw in proportion to |gradient| looks where there is
    something to see.

    Args:
        gradient: Flat analytic gradient, shape `(size,)`.
        samples: How many to draw. All entries if there are no more than that.
        rng: Source of randomness.

    Returns:
        Sorted int64 array of distinct indices.
    """
    size = gradient.size
    if samples >= size:
        return np.arange(size)
    # What is not finite comes first: its arrival time is zero.
    weights = np.where(np.isfinite(gradient), np.abs(gradient), np.inf)
    chosen = _draw_weighted(weights, samples // 2, rng)
    uniform = np.ones(size)
    uniform[chosen] = 0.0
    rest = _draw_weighted(uniform, samples - len(chosen), rng)
    return np.sort(np.concatenate([chosen, rest]))


def draw_signs(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a random direction: +1 or -1 for each entry, shape `(size,)`.

    For such a `u` and an error vector `e` of the gradient, `e.u` has the mean
    square `|e|^2`: one slope along `u` estimates the error over all entries.
    """
    return rng.integers(0, 2, size, dtype=np.int8) * np.int8(2) - np.int8(1)


def _draw_weighted(
    weights: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws distinct indices with probability in proportion to weights > 0."""
    candidates = np.flatnonzero(weights)
    if len(candidates) <= count:
        return candidates
    # Exponential races (Efraimidis and Spirakis, 2006): the smallest arrival
    # times are a weighted draw without replacement, in one pass.
    arrival = rng.exponential(size=len(candidates)) / weights[candidates]
    if not count:
        return np.empty(0, dtype=np.int64)
    return candidates[np.argpartition(arrival, count)[:count]]


def scale_of(value: np.ndarray) -> float:
    """Typical size of the entries of a weight: the unit of its steps."""
    rms = norm_of(value.ravel()) / np.sqrt(value.size) if value.size else 0.0
    return max(rms, 1e-2) if rms and np.isfinite(rms) else 1.0
