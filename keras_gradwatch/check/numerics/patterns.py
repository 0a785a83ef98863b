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
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
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
    probe = _Probe(problem, variable, worst)
    return _of_the_whole(probe, gradient.reshape(shape), rng) or _of_a_part(
        probe, gradient.reshape(shape), wrong, rng
    )


class _Probe:
    """Slopes along any direction of one variable, at a step known to be good."""

    def __init__(self, problem: Problem, variable: int, item: SlopeComparison):
        self.problem, self.variable = problem, variable
        self.step, self.slack = item.slope.step, 4 * item.slope.error_bar
        self.size = problem.sizes[variable]

    def slopes(self, signs):
        pairs = [
            (Direction(self.variable, signs=s), step)
            for s in signs
            for step in (self.step, -self.step)
        ]
        plus, minus = self.problem.losses(pairs).reshape(-1, 2).T
        return (plus - minus) / (2 * self.step)

    def draw(self, rng, mask=None):
        signs = [draw_signs(self.size, rng) for _ in range(FINGERPRINTS)]
        return np.stack(signs if mask is None else [s * mask for s in signs])


def _of_the_whole(probe, gradient, rng):
    """A change of the whole gradient that explains every fingerprint."""
    signs = probe.draw(rng)
    numerical = probe.slopes(signs)
    if not np.all(np.isfinite(numerical)):
        return None

    def fits(candidate):
        allowed = FIT * np.linalg.norm(candidate) + probe.slack
        return np.all(np.abs(signs @ candidate.ravel() - numerical) <= allowed)

    analytic = signs @ gradient.ravel()
    factor = (
        float(analytic @ numerical / (analytic @ analytic)) if analytic.any() else 0
    )
    if factor and abs(factor - 1) > NO_CHANGE and fits(factor * gradient):
        if abs(factor + 1) < FIT:
            return Pattern(SIGN)
        return Pattern(SCALED, factor=1 / factor)
    swapped = []
    if gradient.ndim > 1 and gradient.shape[-1] == gradient.shape[-2]:
        swapped.append(np.swapaxes(gradient, -1, -2))
    if gradient.ndim == 2:
        swapped.append(gradient.reshape(gradient.shape[::-1]).T)
    if any(fits(candidate) for candidate in swapped):
        return Pattern(TRANSPOSED)
    for axis, length in enumerate(gradient.shape):
        if length > 1 and fits(np.flip(gradient, axis)):
            return Pattern(REVERSED, axis=axis)
    return None


def _of_a_part(probe, gradient, wrong, rng):
    """The one entry, or the one slice along an axis, that is wrong alone."""
    entries = [i for i in wrong if i.direction.is_coordinate]
    if not entries or gradient.size == 1:
        return None
    named = max(entries, key=lambda i: abs(i.deviation))
    index = np.unravel_index(named.direction.entry, gradient.shape)
    parts = [(index, Pattern(ENTRY, index=tuple(int(i) for i in index)))]
    for axis, position in enumerate(index):
        if gradient.ndim > 1 and gradient.shape[axis] > 1:
            where = (slice(None),) * axis + (position,)
            parts.append((where, Pattern(SLICE, axis=axis, index=int(position))))
    for where, pattern in parts:
        rest = np.ones(gradient.shape, dtype=np.int8)
        rest[where] = 0
        signs = probe.draw(rng, rest.ravel())
        off = np.abs(probe.slopes(signs) - signs @ gradient.ravel())
        if np.all(off <= 0.1 * abs(named.deviation) + probe.slack):
            return pattern
    return None
