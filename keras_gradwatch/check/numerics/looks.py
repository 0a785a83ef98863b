"""Comparing an analytic gradient with differences of the loss.

Cost follows suspicion. Each coordinate and direction first gets one pair of
losses; what agrees is done. Only the rest gets a close look at many steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_gradwatch.check.numerics import judgement as words
from keras_gradwatch.check.numerics.comparison import Item, deviates, judged
from keras_gradwatch.check.numerics.differences import (
    COARSE,
    LADDER,
    close_look,
    first_look,
)
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.loss_at_point import Problem, analytic_slope
from keras_gradwatch.check.numerics.noise import Noise

# Other steps to try where the first tells too little, as multiples of it: smaller
# ones, which pass over fewer kinks, or larger ones, which stand out of the noise.
_FINER, _COARSER = (0.1, 0.01), (10.0, 100.0)
# The range of first steps, in units of each variable's scale.
_SMALLEST, _LARGEST = 5e-7, 3e-2


def examine(
    problem: Problem,
    directions: Sequence[Direction],
    noise: Sequence[Noise],
    tolerance: float,
    affordable: float = np.inf,
) -> list[Item]:
    """Judges each direction: a first look at all, others at suspects.

    Args:
        problem: The loss and its analytic gradient.
        directions: What to compare.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many close looks to spend.

    Returns:
        An `Item` for each direction, in the same order, but for those that
        stayed unclear.
    """
    items, unclear = first_looks(problem, directions, noise, tolerance)
    items, unclear = look_again(problem, items, unclear, noise, tolerance)
    return second_looks(problem, items, unclear, noise, tolerance, affordable)[0]


def first_looks(problem, directions, noise, tolerance) -> tuple[list[Item], list[int]]:
    """Judges each direction by one pair of losses.

    Returns:
        A tuple `(items, unclear)`: an `Item` for each direction, and positions of
        those that ask for another look.
    """
    steps = [_first_step(problem, d, noise[d.variable], tolerance) for d in directions]
    items = _looks(problem, directions, steps, noise, tolerance)
    unclear = [i for i, item in enumerate(items) if _needs_close_look(item, problem)]
    return items, unclear


def look_again(
    problem, items, unclear, noise, tolerance, affordable=np.inf
) -> tuple[list[Item], list[int]]:
    """Tries two other steps where the first was unclear: for a kink nearby, or noise.

    Args:
        problem: The loss and its analytic gradient.
        items: What `first_looks` returned.
        unclear: Positions of the items to look at.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many pairs of losses to spend on those that are lost in noise.

    Returns:
        What `first_looks` returns, with those that are clear by now.
    """
    items, unclear = list(items), list(unclear)
    waiting = [i for i in unclear if items[i].word != words.NONFINITE]
    for finer, coarser in zip(_FINER, _COARSER, strict=True):
        steps = {}
        for i in waiting:
            item = items[i]
            scale = problem.scales[item.direction.variable]
            # From the first step on, which an unclear item keeps.
            step = item.slope.step * (coarser if item.is_faint else finer)
            if item.is_faint and (affordable < 1 or step > _LARGEST * scale):
                continue
            affordable -= item.is_faint
            steps[i] = step
        directions = [items[i].direction for i in steps]
        found = _looks(problem, directions, list(steps.values()), noise, tolerance)
        for i, item in zip(steps, found, strict=True):
            before = items[i]
            # What was off must not be lost in the noise of smaller steps.
            told = before.is_faint or 4 * item.slope.error_bar <= abs(before.deviation)
            if told and not _needs_close_look(item, problem):
                items[i] = item
                unclear.remove(i)
                waiting.remove(i)
            elif before.is_faint and not item.is_faint:
                items[i] = item  # something is off, and was lost in noise
                waiting.remove(i)
    return items, unclear


def _looks(problem, directions, steps, noise, tolerance) -> list[Item]:
    """Judges each direction by the difference at one step."""
    losses = _both_sides(problem, directions, [[step] for step in steps])
    items = []
    for direction, step, (plus, minus) in zip(directions, steps, losses, strict=True):
        k = direction.variable
        slope = first_look(step, problem.scales[k], plus[0], minus[0], noise[k])
        items.append(judged(problem, direction, slope, tolerance))
    return items


def second_looks(
    problem, items, unclear, noise, tolerance, affordable=np.inf
) -> tuple[list[Item], list[Item]]:
    """Looks closely at what was unclear at first, at what looks wrong before all.

    Args:
        problem: The loss and its analytic gradient.
        items: What `first_looks` or `look_again` returned.
        unclear: Positions of the items to look at.
        noise: Bound on the error of a loss value, for each variable.
        tolerance: Largest relative error that still is a match.
        affordable: How many close looks to spend.

    Returns:
        A tuple `(items, left_out)`, in the same order: those that are clear by
        now, and those for which there was no close look left.
    """
    order = sorted(unclear, key=lambda i: items[i].word != words.MISMATCH)
    looked_at = order[: int(min(len(order), affordable))]
    directions = [items[i].direction for i in looked_at]
    close = look_closely(problem, directions, noise, tolerance)
    found = dict(zip(looked_at, close, strict=True))
    left = set(unclear) - set(looked_at)
    clear = [found.get(i, item) for i, item in enumerate(items) if i not in left]
    return clear, [items[i] for i in sorted(left)]


def look_closely(problem, directions, noise, tolerance) -> list[Item]:
    """Judges each direction by differences at all steps of the ladder."""
    ladders = [LADDER * problem.scales[d.variable] for d in directions]
    losses = _both_sides(problem, directions, ladders)
    items = []
    for direction, steps, (plus, minus) in zip(
        directions, ladders, losses, strict=True
    ):
        slope = close_look(steps, plus, minus, problem.base, noise[direction.variable])
        items.append(judged(problem, direction, slope, tolerance))
    return items


def _needs_close_look(item, problem):
    if item.direction.is_coordinate:
        if item.word != words.ZERO:
            return item.word != words.MATCH
        # Lost in round-off here, but not at a larger step?
        return abs(item.analytic) * COARSE > 4 * item.slope.unit_roundoff
    return item.word != words.MATCH or deviates(item, problem)


def _first_step(problem, direction, noise, tolerance):
    """About 1e-6 in float64: small enough to miss most kinks.

    Under noise more, but not more than a slope of the expected size needs.
    """
    scale = problem.scales[direction.variable]
    if not np.isfinite(noise.floor):
        return 1e-6 * scale
    expected = scale * abs(analytic_slope(problem, direction))
    step = noise.share**0.4
    if expected:
        step = min(step, 100 * noise.floor / (tolerance * expected))
    step = float(np.clip(step, _SMALLEST, _LARGEST))
    if not direction.is_coordinate and step < 1e-4:
        step /= 10  # moves every entry at once: kinks are nearer
    return step * scale


def _both_sides(problem, directions, ladders):
    """Losses at plus and minus each step: a pair of arrays a direction."""
    probes = [
        (direction, sign * float(step))
        for direction, steps in zip(directions, ladders, strict=True)
        for step in steps
        for sign in (1, -1)
    ]
    values = problem.losses(probes) if probes else np.empty(0)
    pairs, start = [], 0
    for steps in ladders:
        block = values[start : start + 2 * len(steps)].reshape(-1, 2)
        pairs.append((block[:, 0], block[:, 1]))
        start += 2 * len(steps)
    return pairs
