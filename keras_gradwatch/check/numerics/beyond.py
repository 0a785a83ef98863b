"""Where nothing shows at the point: a look far away, and one a thousandth away.

A slope of zero may be the truth, the work of something that has no derivative, or a
coincidence of the point, and so may a kink or jump just there. Two looks tell. A
variable that is moved far changes the loss, or it has no influence at all. And a
thousandth away, with all weights moved, another factor is no longer zero, and ties are
left behind: there gradient and differences are compared as anywhere else.

Only variables of which nothing else is known are looked at, all in one sweep where they
are clean; what was found zero there, too, is remembered for the checks that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.confirm import confirm, finite_nearby
from keras_gradwatch.check.numerics.directions import Direction, Sweep, draw_signs
from keras_gradwatch.check.numerics.judgement import (
    JUMP,
    KINK,
    MISMATCH,
    NOISY,
    ZERO,
)
from keras_gradwatch.check.numerics.looks import first_looks, look_again, second_looks
from keras_gradwatch.check.numerics.loss_at_point import Problem, is_still
from keras_gradwatch.check.numerics.patterns import find_pattern
from keras_gradwatch.check.numerics.screen import screen
from keras_gradwatch.findings.pattern import Pattern

# How far a variable is moved, in units of its scale, to either side: past the next step
# of a staircase of its own size, past what other weights hold against it, and past
# steps that are large against it.
FAR = (3.0, 30.0, 1000.0)
# What a variable without influence adds cancels out up to its rounding, which grows
# with it, or with its square within a variance: so many times the noise, times that
# square. For 1000 and a noise of 1e-15 that is 1e-7 of the loss.
SLACK = 100.0
# Directions of each variable that the sweeps a thousandth away leave open. Two, as
# `check_gradients` takes: by chance, one may have no slope.
DIRECTIONS = 2


@dataclass(frozen=True)
class Beyond:
    """What was found of one variable away from the point.

    Args:
        moves: Whether the loss changes if it is moved far; None if not looked at.
        gradient: Its gradient a thousandth away, flat; None if the tape returned None.
        is_zero: Whether that is zero, up to round-off.
        items: What was compared there; empty if nothing was.
        pattern: What a mistake that shows there looks like, if that is known.
    """

    moves: bool | None
    gradient: np.ndarray | None
    is_zero: bool
    items: tuple[SlopeComparison, ...]
    pattern: Pattern | None = None

    @property
    def is_settled(self) -> bool:
        """Whether there, too, all is zero: to look again would tell no more."""
        still = bool(self.items) and all(i.word == ZERO for i in self.items)
        return self.moves is not None and self.is_zero and still


def is_open(
    problem: Problem,
    variable: int,
    items: Sequence[SlopeComparison],
    tolerance: float,
) -> bool:
    """Whether the comparisons of a variable leave open what is true of it.

    Args:
        problem: The loss and its analytic gradient.
        variable: Position of the variable.
        items: Its comparisons.
        tolerance: Largest relative error that still is a match.
    """
    gradient = problem.gradients[variable]
    if not items or (gradient is not None and not np.all(np.isfinite(gradient))):
        return False
    words = {i.word for i in items}
    if MISMATCH in words:
        return False
    if any(i.proves(tolerance) for i in items):
        return False
    return bool(words & {KINK, JUMP}) or is_still(problem, variable)


def look_beyond(
    comparator: Comparator,
    variables: Sequence[int],
    shapes: Sequence[Sequence[int]],
    affordable: float = np.inf,
) -> dict[int, Beyond]:
    """Looks away from the point at variables that are open.

    Args:
        comparator: What compares.
        variables: Which of them.
        shapes: Shape of each variable.
        affordable: Pairs of losses to spend on what is not clean in a sweep over all.

    Returns:
        What was found of each.
    """
    problem = comparator.problem
    elsewhere = finite_nearby(problem)
    items: dict[int, list[SlopeComparison]] = {k: [] for k in variables}
    there = None if elsewhere is None else replace(comparator, problem=elsewhere)
    if there is not None:
        for item in _compared(there, variables, affordable):
            items[item.direction.variable].append(item)
    still = [
        k
        for k in variables
        if is_still(problem, k) and all(i.word in (ZERO, NOISY, JUMP) for i in items[k])
    ]
    moving = _moving(comparator, still, affordable)
    found = {}
    for k in variables:
        wrong = any(i.word == MISMATCH for i in items[k])
        found[k] = Beyond(
            moves=moving.get(k),
            gradient=None if there is None else there.problem.gradients[k],
            is_zero=there is not None and is_still(there.problem, k),
            items=tuple(items[k]),
            pattern=find_pattern(there, k, shapes[k], items[k])
            if wrong and there
            else None,
        )
    return found


def _compared(
    there: Comparator, variables: Sequence[int], affordable: float
) -> list[SlopeComparison]:
    """Comparisons at the other point: in sweeps first, then one by one."""
    items: list[SlopeComparison] = []
    rest = list(variables)
    if there.problem.is_precise:
        screened = screen(there, affordable / 2, among=variables)
        items = screened.items
        rest = [*screened.suspects, *screened.unproven]
    # Two directions of each at least of one, whatever the time.
    many = max(1, int(min(affordable, len(variables) * DIRECTIONS) // DIRECTIONS))
    sizes = there.problem.sizes
    directions = [
        Direction(k, signs=draw_signs(sizes[k], there.rng))
        for k in rest[:many]
        for _ in range(DIRECTIONS)
    ]
    alone, unclear = first_looks(there, directions)
    alone, unclear = look_again(there, alone, unclear, affordable)
    alone, _ = second_looks(there, alone, unclear)
    return [*items, *confirm(there, alone)]


def _moving(
    comparator: Comparator, variables: Sequence[int], affordable: float
) -> dict[int, bool]:
    """Whether each of some variables changes the loss if it is moved far.

    All at once first; a group that does is halved, while that is affordable.
    """
    found: dict[int, bool] = {}
    groups = [list(variables)] if variables else []
    spent = 0
    while groups:
        group = groups.pop()
        if spent > max(affordable, 2 * len(FAR)):
            continue
        spent += len(FAR)
        if not _changes(comparator, group):
            found |= dict.fromkeys(group, False)
        elif len(group) == 1:
            found[group[0]] = True
        else:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return found


def _changes(comparator: Comparator, group: Sequence[int]) -> bool:
    """Whether the loss changes if some variables are moved far, all at once."""
    problem = comparator.problem
    parts = [
        Direction(k, signs=draw_signs(problem.sizes[k], comparator.rng)) for k in group
    ]
    sweep = Sweep(tuple(parts), tuple(float(problem.scales[k]) for k in group))
    steps = np.array([sign * far for far in FAR for sign in (1, -1)])
    losses = problem.losses([(sweep, float(step)) for step in steps])
    noise = max(float(comparator.noise[k].at(problem.base)) for k in group)
    if not np.isfinite(noise):
        return False
    allowed = SLACK * steps**2 * noise
    # What is not finite there has changed, too.
    return bool(np.any(~(np.abs(losses - problem.base) <= allowed)))
