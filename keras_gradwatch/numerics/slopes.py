"""Numerical slopes of a loss along a direction, each with an error bar."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np

# Steps of a close look, in units of the variable's scale.
LADDER = 10.0 ** np.arange(-1.0, -9.1, -0.5)
# Measured noise is a standard deviation; a bound is this many of them.
NOISE_FACTOR = 4.0


@dataclass(frozen=True)
class Slope:
    """What differences say about the derivative along one direction.

    Args:
        numerical: The derivative, NaN where nothing finite was seen.
        error_bar: How far `numerical` may be off: round-off plus truncation.
        step: The step that gave it, in the units of the weights.
        left: One-sided derivative from below, where `kink`.
        right: One-sided derivative from above, where `kink`.
        kink: The one-sided derivatives differ, however small the step.
        jump: The loss itself is discontinuous at the point.
    """

    numerical: float
    error_bar: float
    step: float
    left: float = np.nan
    right: float = np.nan
    kink: bool = False
    jump: bool = False


def first_look(step, plus, minus, noise) -> Slope:
    """The slope from a single pair of losses; the bar holds round-off only."""
    numerical = (plus - minus) / (2 * step)
    return Slope(float(numerical), noise / step, step)


def close_look(steps, plus, minus, base, noise) -> Slope:
    """The slope from many steps, and what kind of point this is.

    A centred difference is off by round-off, `noise / h`, and by truncation,
    which falls with h^2 on smooth ground. Truncation at one step is read off
    the change from the next larger one. The step with the smallest bar wins.
    (Numerical Recipes, section 5.7; Shi et al., Adaptive finite-difference
    interval estimation for noisy derivative-free optimization, 2021.)

    Args:
        steps: Steps, largest first, shape `(n,)`.
        plus: Losses at `+step`, shape `(n,)`.
        minus: Losses at `-step`, shape `(n,)`.
        base: Loss at the point itself.
        noise: A bound on the error of one loss value.

    Returns:
        The `Slope`.
    """
    finite = np.isfinite(plus) & np.isfinite(minus)
    steps, plus, minus = steps[finite], plus[finite], minus[finite]
    if len(steps) < 3:
        return Slope(np.nan, np.inf, np.nan)
    central = (plus - minus) / (2 * steps)
    bars = noise / steps + _truncation(central, steps, noise)
    best = int(np.argmin(bars))
    if _is_jump(plus - minus, steps, noise):
        return Slope(
            float(central[best]), float(bars[best]), float(steps[best]), jump=True
        )
    corner = _find_kink(plus - 2 * base + minus, steps, noise, best)
    if corner is None:
        return Slope(float(central[best]), float(bars[best]), float(steps[best]))
    return Slope(
        float(central[corner]),
        float(4 * noise / steps[corner]),
        float(steps[corner]),
        left=float((base - minus[corner]) / steps[corner]),
        right=float((plus[corner] - base) / steps[corner]),
        kink=True,
    )


def measure_noise(values: np.ndarray) -> float:
    """A bound on the error of a loss, from values at equally spaced points.

    High differences of a smooth function vanish; what stays is noise (ECnoise:
    Moré and Wild, Estimating computational noise, 2011). At least the rounding
    of the result itself.

    Args:
        values: Losses at equally spaced points, close together, at least 6.

    Returns:
        The bound, in the units of the loss. Infinite if a value is not finite.
    """
    if not np.all(np.isfinite(values)):
        return np.inf
    differences, levels = np.asarray(values, dtype=np.float64), []
    for k in range(1, len(values) - 1):
        differences = np.diff(differences)
        gamma = factorial(k) ** 2 / factorial(2 * k)
        levels.append(np.sqrt(gamma * np.mean(differences**2)))
    rounding = np.finfo(np.float64).eps * np.max(np.abs(values))
    return float(max(NOISE_FACTOR * np.median(levels[1:]), 2 * rounding))


def _truncation(central, steps, noise):
    """How far each centred difference may be from the limit, round-off apart."""
    change = np.abs(np.diff(central))  # change[j]: from step j to step j + 1
    bars = np.full(len(steps), np.inf)
    bars[1:] = change
    # Where the changes fall as h^2 does, Richardson's estimate holds.
    ratio = (steps[:-1] / steps[1:]) ** 2
    for j in range(2, len(steps)):
        if change[j - 2] >= 0.3 * ratio[j - 1] * change[j - 1]:
            bars[j] = 2 * change[j - 1] / (ratio[j - 1] - 1)
    # The next smaller step must agree within its own round-off.
    allowed = noise / steps[1:] + noise / steps[:-1]
    bars[:-1] += np.maximum(0.0, change - allowed)
    return bars


def _is_jump(difference, steps, noise):
    """Whether f(x+h) - f(x-h) stays put while h shrinks."""
    last, before = abs(difference[-1]), abs(difference[-2])
    shrinks_to = 0.5 * (1 + steps[-1] / steps[-2])
    return last > 8 * noise and last > shrinks_to * before


def _find_kink(second, steps, noise, best):
    """A step at which the one-sided slopes differ for good, or None.

    On smooth ground they differ by `f'' h`, which shrinks with the step; at a
    kink the difference stays. Looked for at the smallest step that shows it,
    and at the best step: a kink much nearer than that bends its slope too.
    """
    gap = np.abs(second) / steps
    clear = np.flatnonzero(gap > 8 * noise / steps)
    for j in (*clear[-1:], *(clear[clear == best])):
        if j and gap[j] > 0.5 * (1 + steps[j] / steps[j - 1]) * gap[j - 1]:
            return int(j)
    return None
