"""Comparing an analytic gradient with differences of the loss.

Cost follows suspicion. Each coordinate and direction first gets one pair of
losses; what agrees is done. Only the rest gets a close look at many steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.differences import COARSE
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import (
    MATCH,
    MISMATCH,
    NOISY,
    NONFINITE,
    ZERO,
)
from keras_gradwatch.check.numerics.loss_at_point import analytic_slope
from keras_gradwatch.check.numerics.units import SMALL, size_of, small_entries, unit_of

# Other steps to try where the first tells too little, as multiples of it: smaller
# ones, which pass over fewer kinks, or larger ones, which stand out of the noise.
_FINER, _COARSER = (0.1, 0.01), (10.0, 100.0)
# The range of first steps, in units of each variable's scale. Below, round-off of a
# float64 loss alone costs digits; above, the bend of the loss does.
_SMALLEST, _LARGEST = 5e-7, 3e-2
# A direction moves every entry at once, and kinks are nearer: below this step, it gets
# a tenth of it.
_KINKS_ARE_NEARER = 1e-4


def first_looks(
    comparator: Comparator, directions: Sequence[Direction]
) -> tuple[list[SlopeComparison], list[int]]:
    """Judges each direction by one pair of losses.

    Args:
        comparator: What compares.
        directions: What to compare.

    Returns:
        A tuple `(items, unclear)`: a comparison for each direction, and positions of
        those that ask for another look.
    """
    steps = [_first_step(comparator, d) for d in directions]
    items = comparator.at_one_step(directions, steps)
    return items, [i for i, item in enumerate(items) if _needs_close_look(item)]


def look_again(
    comparator: Comparator,
    items: Sequence[SlopeComparison],
    unclear: Sequence[int],
    affordable: float = np.inf,
) -> tuple[list[SlopeComparison], list[int]]:
    """Tries two other steps where the first was unclear: for a kink nearby, or noise.

    Args:
        comparator: What compares.
        items: What `first_looks` returned.
        unclear: Positions of the items to look at.
        affordable: How many pairs of losses to spend on those that are lost in noise.

    Returns:
        What `first_looks` returns, with those that are clear by now.
    """
    items, unclear = list(items), list(unclear)
    waiting = [i for i in unclear if np.isfinite(items[i].analytic)]
    for finer, coarser in zip(_FINER, _COARSER, strict=True):
        steps: dict[int, float] = {}
        for i in waiting:
            item = items[i]
            # From the first step on, which an unclear item keeps.
            step = item.slope.step * (coarser if item.is_faint else finer)
            largest = _LARGEST * unit_of(comparator.problem, item.direction)
            if item.is_faint and (affordable < 1 or step > largest):
                continue
            affordable -= item.is_faint
            steps[i] = step
        directions = [items[i].direction for i in steps]
        found = comparator.at_one_step(directions, list(steps.values()))
        for i, item in zip(steps, found, strict=True):
            is_clear = _settles(item, items[i])
            if is_clear:
                unclear.remove(i)
            # Or something is off, and was lost in noise.
            if is_clear or (items[i].is_faint and not item.is_faint):
                items[i] = item
                waiting.remove(i)
    return items, unclear


def second_looks(
    comparator: Comparator,
    items: Sequence[SlopeComparison],
    unclear: Sequence[int],
    affordable: float = np.inf,
) -> tuple[list[SlopeComparison], list[SlopeComparison]]:
    """Looks closely at what was unclear at first, at what looks wrong before all.

    Args:
        comparator: What compares.
        items: What `look_again` returned.
        unclear: Positions of the items to look at.
        affordable: How many close looks to spend.

    Returns:
        A tuple `(items, left_out)`, in the same order: those that are clear by
        now, and those for which there was no close look left.
    """
    order = sorted(unclear, key=lambda i: items[i].word != MISMATCH)
    looked_at = order[: int(min(len(order), affordable))]
    close = comparator.at_all_steps([items[i].direction for i in looked_at])
    found = dict(zip(looked_at, close, strict=True))
    left = set(unclear) - set(looked_at)
    clear = [found.get(i, item) for i, item in enumerate(items) if i not in left]
    return _among_small_entries(comparator, clear), [items[i] for i in sorted(left)]


def _among_small_entries(
    comparator: Comparator, items: Sequence[SlopeComparison]
) -> list[SlopeComparison]:
    """Looks with steps of their own at entries too small for the usual ones.

    What such steps prove to be right is right; all else stays as it is. A direction
    is taken apart, if its small entries are what is off.
    """
    found = []
    for item in items:
        parts = _parts(comparator, item) if _may_be_small(comparator, item) else []
        units = [size_of(comparator.problem, parts[0])] if parts else []
        units += [unit_of(comparator.problem, d) for d in parts[1:]]
        closer = comparator.at_all_steps(parts, units)
        right = bool(closer) and closer[0].word == MATCH
        found += closer if right and closer[-1].word != MISMATCH else [item]
    return found


def _may_be_small(comparator: Comparator, item: SlopeComparison) -> bool:
    """Whether an item is not known to be right, and moves entries that are small."""
    if item.word in (MATCH, ZERO) or not np.isfinite(item.analytic):
        return False
    if item.word == NOISY and not item.direction.is_coordinate:
        return False  # most directions have some such entry
    unit = unit_of(comparator.problem, item.direction)
    return bool(0 < size_of(comparator.problem, item.direction) < SMALL * unit)


def _parts(comparator: Comparator, item: SlopeComparison) -> list[Direction]:
    """The small entries of a direction and the others; none if others are off."""
    whole, problem = item.direction, comparator.problem
    if whole.is_coordinate:
        return [whole]
    k = whole.variable
    small = small_entries(problem, k, unit_of(problem, whole))
    parts = [Direction(k, signs=whole.signs * mask) for mask in (small, ~small)]
    parts = [part for part in parts if part.signs.any()]
    if not np.isfinite(item.slope.numerical) or len(parts) == 1:
        return parts
    [first] = comparator.at_one_step(parts[:1], [item.slope.step])
    # By chance the deviation of a part is less than half of the whole, or more.
    return parts if 2 * abs(first.deviation) >= abs(item.deviation) else []


def _needs_close_look(item: SlopeComparison) -> bool:
    """Whether one pair of losses tells too little."""
    if not item.direction.is_coordinate:
        return item.word != MATCH or item.deviates
    if item.word != ZERO:
        return item.word != MATCH
    # Lost in round-off here, but not at a larger step?
    return abs(item.analytic) * COARSE > 4 * item.slope.unit_roundoff


def _settles(item: SlopeComparison, before: SlopeComparison) -> bool:
    """Whether another step makes clear what was unclear before.

    What was off must not be lost in the noise of smaller steps.
    """
    if before.word == NONFINITE:
        return not _needs_close_look(item)
    told = before.is_faint or 4 * item.slope.error_bar <= abs(before.deviation)
    return told and not _needs_close_look(item)


def _first_step(comparator: Comparator, direction: Direction) -> float:
    """About 1e-6 in float64: small enough to miss most kinks.

    Under noise more, but not more than a slope of the expected size needs.
    """
    problem, noise = comparator.problem, comparator.noise[direction.variable]
    scale = unit_of(problem, direction)
    if not np.isfinite(noise.floor):
        return 1e-6 * scale
    expected = scale * abs(analytic_slope(problem, direction))
    # 1e-6 at a noise of 1e-15, the step that was measured best in float64. The power
    # is between 1/3, best on smooth ground, and 1/2, which misses more kinks.
    step = noise.share**0.4
    if expected:  # round-off is then a hundredth of the tolerance
        step = min(step, 100 * noise.floor / (comparator.tolerance * expected))
    step = float(np.clip(step, _SMALLEST, _LARGEST))
    if not direction.is_coordinate and step < _KINKS_ARE_NEARER:
        step /= 10
    return step * scale
