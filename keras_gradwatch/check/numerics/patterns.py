"""What a wrong gradient looks like: scaled, flipped, transposed, one column.

Random directions are fingerprints. If the true gradient is `T(analytic)`, then
`T(analytic).u` equals the slope along every direction `u`; a few directions are
enough to tell one such `T` from another. The candidates are few and fixed, so the
search ends; all of the whole gradient are tried on the same losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import Direction, draw_signs, norm_of
from keras_gradwatch.check.numerics.judgement import MISMATCH
from keras_gradwatch.check.numerics.loss_at_point import Problem
from keras_gradwatch.findings.pattern import (
    ENTRY,
    REVERSED,
    SCALED,
    SIGN,
    SLICE,
    TRANSPOSED,
    ZERO,
    Pattern,
)

# An unrelated `T` fits one within `FIT` by chance in about 0.6 % of draws (a Gaussian
# of the same norm on either side), and so four in about 1e-9.
FINGERPRINTS = 4
# How well a fingerprint must fit, as a share of the norm of the gradient.
FIT = 1e-2
# The same for a factor, as a share of what it changes.
EXPLAINS = 0.1
# A factor as close to one as this is no explanation: the relative error that it makes,
# 0.75e-3, is below the default tolerance.
NO_CHANGE = 1.5e-3


def find_pattern(
    comparator: Comparator,
    variable: int,
    shape: Sequence[int],
    items: Sequence[SlopeComparison],
) -> Pattern | None:
    """Looks for a pattern in the mistake of one variable.

    Args:
        comparator: What compares.
        variable: Position of the variable.
        shape: Its shape.
        items: Its comparisons.

    Returns:
        The `Pattern`, or None if there is none or nothing is wrong. Costs 8 to
        about 30 losses.
    """
    problem, rng = comparator.problem, comparator.rng
    gradient = problem.gradients[variable]
    wrong = [i for i in items if i.word == MISMATCH]
    if not wrong or gradient is None or not np.all(np.isfinite(gradient)):
        return None
    if not np.any(gradient):
        return Pattern(ZERO)
    worst = max(wrong, key=lambda i: abs(i.deviation))
    fingerprints = _Fingerprints(problem, variable, worst)
    return _of_the_whole(fingerprints, gradient.reshape(shape), rng) or _of_a_part(
        fingerprints, gradient.reshape(shape), wrong, rng
    )


def still_fits(
    pattern: Pattern,
    gradient: np.ndarray | None,
    shape: Sequence[int],
    item: SlopeComparison,
) -> bool:
    """Whether a pattern that was found before explains a mismatch of now.

    Args:
        pattern: The pattern.
        gradient: Flat analytic gradient.
        shape: Shape of the variable.
        item: The mismatch.
    """
    if gradient is None or not np.all(np.isfinite(gradient)):
        return False
    if pattern.kind == ZERO:
        return not np.any(gradient)
    gradient = gradient.reshape(shape)
    if pattern.kind in (ENTRY, SLICE):
        if item.direction.entry is None:
            return False
        index = np.unravel_index(item.direction.entry, shape)
        if pattern.axis is None:  # of one entry
            return tuple(map(int, index)) == pattern.index
        return int(index[pattern.axis]) == pattern.index
    candidates = [-gradient]
    if pattern.kind == SCALED:
        candidates = [gradient / pattern.factor]
    elif pattern.kind == TRANSPOSED:
        candidates = _transposed(gradient)
    elif pattern.kind == REVERSED:
        candidates = [np.flip(gradient, pattern.axis)]
    slack = FIT * norm_of(gradient.ravel()) + 4 * item.slope.error_bar
    slopes = [item.direction.slope(c.ravel()) for c in candidates]
    return any(abs(slope - item.slope.numerical) <= slack for slope in slopes)


class _Fingerprints:
    """Slopes along random directions of one variable, at a step known to be good."""

    def __init__(self, problem: Problem, variable: int, item: SlopeComparison):
        self.problem, self.variable = problem, variable
        self.step, self.slack = item.slope.step, 4 * item.slope.error_bar
        self.size = problem.sizes[variable]

    def slopes(self, signs: np.ndarray) -> np.ndarray:
        """The slope along each direction, a row of signs."""
        pairs = [
            (Direction(self.variable, signs=s), step)
            for s in signs
            for step in (self.step, -self.step)
        ]
        plus, minus = self.problem.losses(pairs).reshape(-1, 2).T
        return (plus - minus) / (2 * self.step)

    def draw(
        self, rng: np.random.Generator, mask: np.ndarray | None = None
    ) -> np.ndarray:
        """As many directions as are enough, rows of signs; zero outside of the mask."""
        signs = [draw_signs(self.size, rng) for _ in range(FINGERPRINTS)]
        return np.stack(signs if mask is None else [s * mask for s in signs])


def _of_the_whole(
    fingerprints: _Fingerprints, gradient: np.ndarray, rng: np.random.Generator
) -> Pattern | None:
    """A change of the whole gradient that explains every fingerprint."""
    signs = fingerprints.draw(rng)
    numerical = fingerprints.slopes(signs)
    if not np.all(np.isfinite(numerical)):
        return None

    def fits(candidate: np.ndarray, share: float = FIT) -> bool:
        allowed = share * norm_of(candidate.ravel()) + fingerprints.slack
        off = np.abs(signs @ candidate.ravel() - numerical)
        return bool(np.all(off <= allowed))

    analytic = signs @ gradient.ravel()
    unit, factor = np.max(np.abs(analytic)), 0.0
    if unit:
        own = analytic / unit
        factor = float(own @ (numerical / unit) / (own @ own))
    change = abs(factor - 1)
    share = min(FIT, EXPLAINS * change)
    if factor and change > NO_CHANGE and fits(factor * gradient, share):
        if abs(factor + 1) < FIT:
            return Pattern(SIGN)
        return Pattern(SCALED, factor=1 / factor)
    if any(fits(candidate) for candidate in _transposed(gradient)):
        return Pattern(TRANSPOSED)
    for axis, length in enumerate(gradient.shape):
        if length > 1 and fits(np.flip(gradient, axis)):
            return Pattern(REVERSED, axis=axis)
    return None


def _transposed(gradient: np.ndarray) -> list[np.ndarray]:
    """The gradient with its last two axes swapped, in either sense."""
    swapped = []
    if gradient.ndim > 1 and gradient.shape[-1] == gradient.shape[-2]:
        swapped.append(np.swapaxes(gradient, -1, -2))
    if gradient.ndim == 2:
        swapped.append(gradient.reshape(gradient.shape[::-1]).T)
    return swapped


def _of_a_part(
    fingerprints: _Fingerprints,
    gradient: np.ndarray,
    wrong: Sequence[SlopeComparison],
    rng: np.random.Generator,
) -> Pattern | None:
    """The one entry, or the one slice along an axis, that is wrong alone."""
    entries = [i for i in wrong if i.direction.is_coordinate]
    named = max(entries, key=lambda i: abs(i.deviation), default=None)
    if named is None or named.direction.entry is None or gradient.size == 1:
        return None
    index = np.unravel_index(named.direction.entry, gradient.shape)
    parts: list[tuple[tuple, Pattern]]
    parts = [(index, Pattern(ENTRY, index=tuple(int(i) for i in index)))]
    for axis, position in enumerate(index):
        if gradient.ndim > 1 and gradient.shape[axis] > 1:
            where = (slice(None),) * axis + (position,)
            parts.append((where, Pattern(SLICE, axis=axis, index=int(position))))
    for where, pattern in parts:
        rest = np.ones(gradient.shape, dtype=np.int8)
        rest[where] = 0
        signs = fingerprints.draw(rng, rest.ravel())
        off = np.abs(fingerprints.slopes(signs) - signs @ gradient.ravel())
        if np.all(off <= 0.1 * abs(named.deviation) + fingerprints.slack):
            return pattern
    return None
