"""From an analytic and a numerical slope to one word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics.differences import COARSE, Slope

MATCH = "match"
MISMATCH = "mismatch"
KINK = "kink"
JUMP = "jump"
NOISY = "noisy"
ZERO = "zero"
NONFINITE = "nonfinite"

# The smallest |a.u| that a relative error of a direction is measured against,
# as a share of |a|: by chance a.u can be close to zero. For a Gaussian a.u about 8 %
# of the draws fall below it.
DIRECTION_FLOOR = 0.1


@dataclass(frozen=True)
class Judgement:
    """The word for one comparison, and the relative error behind it."""

    word: str
    relative_error: float | None
    resolution: float | None


def relative_error(analytic: float, numerical: float, floor: float = 0.0) -> float:
    """`|a - n| / (|a| + |n|)` between 0 and 1, and 0 where both are zero."""
    scale = max(abs(analytic), floor) + abs(numerical)
    return 0.0 if scale == 0 else min(1.0, abs(analytic - numerical) / scale)


def judge(
    analytic: float,
    slope: Slope,
    tolerance: float,
    floor: float = 0.0,
    roundoff: float = 0.0,
) -> Judgement:
    """Compares an analytic slope with a numerical one.

    `mismatch` needs a difference that is beyond the tolerance even at the near
    end of the error bar, and that is there at all smaller steps too. `match`
    needs an error bar within the tolerance.

    Args:
        analytic: Slope that the analytic gradient implies.
        slope: Numerical slope.
        tolerance: Largest relative error that still is a match.
        floor: Size below which `analytic` is not taken as its own measure.
        roundoff: How far `analytic` itself may be off.

    Returns:
        A `Judgement`; `resolution` is the smallest relative error that this
        comparison could have seen.
    """
    if not np.isfinite(analytic) or not np.isfinite(slope.numerical):
        return Judgement(NONFINITE, None, None)
    numerical, bar = slope.numerical, slope.error_bar
    scale = max(abs(analytic), floor) + abs(numerical)
    error = relative_error(analytic, numerical, floor)
    resolution = min(1.0, bar / scale) if scale else 1.0
    if slope.jump:
        return Judgement(JUMP, error, resolution)
    if abs(analytic) <= max(bar, roundoff) and abs(numerical) <= bar:
        # At the tip of a V both are zero, and neither is the slope of either side.
        return Judgement(KINK if slope.kink else ZERO, error, resolution)
    difference = abs(analytic - numerical)
    if difference > tolerance * scale + roundoff + (0 if slope.kink else 2 * bar):
        if slope.shows(analytic, COARSE) and not slope.allows(analytic):
            return Judgement(MISMATCH, error, resolution)
        return Judgement(KINK if slope.kink else NOISY, error, resolution)
    if difference <= tolerance * scale and bar <= tolerance * scale:
        return Judgement(MATCH, error, resolution)
    return Judgement(NOISY, error, resolution)


def has_teeth(
    analytic: float,
    slope: Slope,
    tolerance: float,
    floor: float = 0.0,
    roundoff: float = 0.0,
) -> bool:
    """Whether this comparison would have caught a spoilt analytic slope.

    The same judgement is passed on the slope times 1.01 (or four tolerances
    off, where that is more), negated, and zeroed: each must be a mismatch. The
    agreement itself bounds the truncation error that a quick look can't see.
    """
    bar = slope.error_bar + abs(analytic - slope.numerical)
    seen = Slope(slope.numerical, bar, slope.step, unit_roundoff=slope.unit_roundoff)
    stretch = 1 + max(0.01, 4 * tolerance)
    return all(
        judge(spoilt, seen, tolerance, floor, roundoff).word == MISMATCH
        for spoilt in (stretch * analytic, -analytic, 0.0)
    )
