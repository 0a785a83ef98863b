"""Which operations are wrong, by what each adds to the error of the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Directions, of all wrong weights at once. What is round-off passes for steady in one
# of them with a chance of about 0.2, so in four together with one of 2e-3.
DIRECTIONS = 4
# Steps, in units of a weight's scale: in float64 round-off of a slope is then about
# 1e-11 of it, and its truncation 1e-10, both far below what is asked about.
_STEPS = (1e-5, 3e-6)
SIGNED_STEPS = tuple(sign * step for step in _STEPS for sign in (1.0, -1.0))
# How far a share may be from the same at the other step, as a part of it: truncation
# and round-off change by a factor of 3 or more, a kink on the way by any.
_STEADY = 0.3
# Slopes to both sides of a kink are apart by twice the share that it fakes.
_SMOOTH = 0.5
# A share that matters: as a part of what goes through the operation (the default
# tolerance is ten times that), or of all shares. Healthy operations came to 1e-8.
_OF_ITS_OWN, _OF_ALL = 1e-4, 0.05
# Less than this, of what goes through the largest operation, is round-off.
_NOTHING = 1e-9


def slopes_of(changes: np.ndarray) -> np.ndarray:
    """Changes, a row for each of `SIGNED_STEPS` of each direction, as slopes.

    Returns:
        An array of the shape `(directions, steps, 2, groups)`, forward and backward.
    """
    rows = changes.reshape(-1, len(SIGNED_STEPS), changes.shape[-1])
    slopes = rows / np.array(SIGNED_STEPS)[:, None]
    return slopes.reshape(len(rows), len(_STEPS), 2, -1)


def guilty(handed: np.ndarray, returned: np.ndarray) -> Sequence[int]:
    """The groups of operations whose backward pass is wrong.

    Args:
        handed: What outputs say of the slope, as `slopes_of` returned it.
        returned: What inputs say of it, the same.

    Returns:
        Their positions. Those that make something that is not finite out of what is
        finite, if there are any: all else then says nothing.
    """
    finite = np.isfinite(handed).all((0, 1, 2))
    known = finite & np.isfinite(returned).all((0, 1, 2))
    if (finite & ~known).any():
        return [int(k) for k in np.flatnonzero(finite & ~known)]
    handed, returned = (np.where(known, a, 0.0) for a in (handed, returned))
    share = handed - returned
    centred = share.mean(2)
    size = _norm(centred[:, -1])
    through = _norm(handed[:, -1].mean(1)) + _norm(returned[:, -1].mean(1))
    steady = _norm(centred[:, 0] - centred[:, -1]) <= _STEADY * size
    smooth = _norm(share[:, -1, 0] - share[:, -1, 1]) <= _SMOOTH * size
    matters = (size > _OF_ITS_OWN * through) | (size > _OF_ALL * size.sum())
    matters &= size > _NOTHING * through.max(initial=0.0)
    return [int(k) for k in np.flatnonzero(steady & smooth & matters)]


def _norm(rows: np.ndarray) -> np.ndarray:
    unit = np.max(np.abs(rows), 0)
    unit[unit == 0] = 1.0
    return unit * np.sqrt(((rows / unit) ** 2).sum(0))
