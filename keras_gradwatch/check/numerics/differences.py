"""Numerical slopes of a loss along a direction, each with an error bar."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from keras_gradwatch.check.numerics.noise import Noise

# Steps of a close look, in units of the variable's scale: 17 half decades, from where
# the bend of a loss shows to where only kinks nearer than 1e-9 are passed over.
LADDER = 10.0 ** np.arange(-1.0, -9.1, -0.5)
# In the same units: a deviation seen at the first is no work of kinks nearby; one
# not even seen at the second says nothing of the derivative.
FINE = 1e-8
COARSE = 1e-2
# One-sided slopes that differ by a kink differ alike at the next larger step, and not
# by less than this share: what round-off makes of them grows by sqrt(10) to the next
# smaller step. In between, in logarithms.
STAYS = 0.56


@dataclass(frozen=True, eq=False)
class Slope:
    """What differences say about the derivative along one direction.

    Args:
        numerical: The derivative, NaN where nothing finite was seen.
        error_bar: How far `numerical` may be off: round-off plus truncation.
        step: The step that gave it, in the units of the weights.
        kink: The one-sided derivatives differ, however small the step.
        jump: The loss itself is discontinuous at the point.
        gap: By how much the one-sided derivatives differ at a kink, 0 without one.
        left: One-sided slopes from below, at this step and all smaller ones.
        right: One-sided slopes from above, at the same steps.
        roundoff: How far round-off may move a centred slope at these steps.
        edge: The loss was seen on one side of the point alone.
        unit_roundoff: The same at a step of 1, in units of the variable's
            scale.
    """

    numerical: float
    error_bar: float
    step: float
    kink: bool = False
    jump: bool = False
    gap: float = 0.0
    left: np.ndarray = field(default_factory=lambda: np.empty(0))
    right: np.ndarray = field(default_factory=lambda: np.empty(0))
    roundoff: np.ndarray = field(default_factory=lambda: np.empty(0))
    unit_roundoff: float = np.inf
    edge: bool = False

    def allows(self, analytic: float) -> bool:
        """Whether `analytic` lies between the one-sided slopes of small steps.

        At a kink the derivative is anything between them. Asked of the two
        smallest steps whose round-off is small against the deviation.
        """
        if not len(self.roundoff):  # of a quick look
            return False
        telling = np.flatnonzero(4 * self.roundoff <= abs(analytic - self.numerical))
        if self.kink and not len(telling):  # noise hides what either side is
            return abs(analytic - self.numerical) <= 2 * self.error_bar
        last = telling[-2:]
        sides, slack = (
            np.stack([self.left, self.right])[:, last],
            2 * self.roundoff[last],
        )
        inside = (sides.min(axis=0) - slack <= analytic) & (
            analytic <= sides.max(axis=0) + slack
        )
        return bool(np.any(inside))

    def shows(self, analytic: float, step: float) -> bool:
        """Whether a deviation from `analytic` is clear of round-off at a step.

        Args:
            analytic: Slope that the analytic gradient implies.
            step: Step of the difference, in units of the variable's scale.
        """
        return 4 * self.unit_roundoff <= step * abs(analytic - self.numerical)


def first_look(
    step: float, scale: float, plus: float, minus: float, noise: Noise
) -> Slope:
    """The slope from a single pair of losses; the bar holds round-off only."""
    error = float(noise.at(plus, minus))
    slope = float((plus - minus) / (2 * step))
    return Slope(slope, error / step, step, unit_roundoff=error / scale)


def close_look(
    steps: np.ndarray, plus: np.ndarray, minus: np.ndarray, base: float, noise: Noise
) -> Slope:
    """The slope from many steps, and what kind of point this is.

    A centred difference is off by round-off, `noise / h`, and by truncation,
    which falls with h^2 on smooth ground. Truncation at one step is read off
    the change from the next larger one. The step with the smallest bar wins.
    (Numerical Recipes, section 5.7; Shi et al., Adaptive finite-difference
    interval estimation for noisy derivative-free optimization, 2021.)

    Args:
        steps: Steps, largest first, in the ratio of `LADDER`, shape `(n,)`.
        plus: Losses at `+step`, shape `(n,)`.
        minus: Losses at `-step`, shape `(n,)`.
        base: Loss at the point itself.
        noise: A bound on the error of one loss value.

    Returns:
        The `Slope`.
    """
    scale = steps[0] / LADDER[0]
    finite = np.isfinite(plus) & np.isfinite(minus)
    if np.count_nonzero(finite) < 3:
        return _one_sided(steps, plus, minus, base, noise)
    steps, plus, minus = steps[finite], plus[finite], minus[finite]
    errors = noise.at(plus, minus, np.full(len(steps), base))
    roundoff = errors / steps
    central = (plus - minus) / (2 * steps)
    bars = roundoff + _truncation(central, steps, roundoff)
    best = int(np.argmin(bars))
    gap = _gap(plus - 2 * base + minus, steps, errors, best)
    return Slope(
        float(central[best]),
        float(bars[best]),
        float(steps[best]),
        kink=gap > 0,
        jump=_is_jump(plus - minus, steps, errors),
        gap=gap,
        left=(base - minus[best:]) / steps[best:],
        right=(plus[best:] - base) / steps[best:],
        roundoff=roundoff[best:],
        unit_roundoff=float(noise.at(base) / scale),
    )


def _one_sided(
    steps: np.ndarray, plus: np.ndarray, minus: np.ndarray, base: float, noise: Noise
) -> Slope:
    """The slope at the edge of where the loss is finite, from that side alone.

    Two forward differences D, at steps h and k < h, make a slope whose error falls as
    fast as that of a centred one: `(h D(k) - k D(h)) / (h - k)` is off by a sixth of
    h k times the third derivative. With steps in the ratio of `LADDER`, round-off adds
    up to at most 4 errors over k.
    """
    scale = steps[0] / LADDER[0]
    values, sign = max((plus, 1), (minus, -1), key=lambda s: np.isfinite(s[0]).sum())
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    if len(steps) < 4 or not np.isfinite(base):  # an estimate needs two changes
        return Slope(np.nan, np.inf, np.nan)
    errors = noise.at(values, np.full(len(steps), base))
    forward = sign * (values - base) / steps
    h, k = steps[:-1], steps[1:]
    slopes = (h * forward[1:] - k * forward[:-1]) / (h - k)
    roundoff = 4 * np.maximum(errors[:-1], errors[1:]) / k
    bars = roundoff + _truncation(slopes, k, roundoff)
    best = int(np.argmin(bars))
    return Slope(
        float(slopes[best]),
        float(bars[best]),
        float(k[best]),
        unit_roundoff=float(4 * noise.at(base) / scale),
        edge=True,
    )


def _truncation(
    central: np.ndarray, steps: np.ndarray, roundoff: np.ndarray
) -> np.ndarray:
    """How far each centred difference may be from the limit, round-off apart."""
    change = np.abs(np.diff(central))  # change[j]: from step j to step j + 1
    allowed = roundoff[1:] + roundoff[:-1]
    bars = np.full(len(steps), np.inf)
    bars[1:] = change
    # Where the changes fall as h^2 does, Richardson's estimate holds; where they
    # don't fall at all, there is no limit in sight. From one half decade to the next
    # h^2 falls by 10; a fall by 3, a bit less than that of h, sqrt(10), is enough.
    ratio = (steps[:-1] / steps[1:]) ** 2
    for j in range(2, len(steps)):
        if change[j - 2] >= 0.3 * ratio[j - 1] * change[j - 1]:
            bars[j] = 2 * change[j - 1] / (ratio[j - 1] - 1)
        elif change[j - 1] > max(0.8 * change[j - 2], allowed[j - 1]):
            bars[j] = np.inf
    # All smaller steps must agree within round-off.
    apart = np.abs(central[:, None] - central) - (roundoff[:, None] + roundoff)
    return bars + np.max(np.triu(np.maximum(0.0, apart)), axis=1)


def _is_jump(difference: np.ndarray, steps: np.ndarray, errors: np.ndarray) -> bool:
    """Whether f(x+h) - f(x-h) stays put while h shrinks.

    The bound is halfway between shrinking as h does and staying put. A difference is
    off by at most 2 errors: 8 leave a factor of 4.
    """
    last, before = abs(difference[-1]), abs(difference[-2])
    shrinks_to = 0.5 * (1 + steps[-1] / steps[-2])
    return bool(last > 8 * errors[-1] and last > shrinks_to * before)


def _gap(second: np.ndarray, steps: np.ndarray, errors: np.ndarray, best: int) -> float:
    """By how much the one-sided slopes differ for good; 0 if they don't.

    On smooth ground they differ by `f'' h`, which shrinks with the step; what
    round-off makes of them grows; at a kink the difference stays. Looked for at the
    smallest step that shows it, and at the best step: a kink much nearer than that
    bends its slope too. The upper bound is that of `_is_jump`; a second difference is
    off by at most 4 errors: 8 leave a factor of 2.
    """
    gap = np.abs(second) / steps
    clear = np.abs(second) > 8 * errors
    shown = np.flatnonzero(clear)
    for j in (*shown[-1:], *shown[shown == best]):
        if not j or not clear[j - 1] or gap[j - 1] < STAYS * gap[j]:
            continue
        if gap[j] > 0.5 * (1 + steps[j] / steps[j - 1]) * gap[j - 1]:
            return float(gap[j])
    return 0.0
