"""The whole comparison: screen, look, look closely, confirm, locate, explain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_gradwatch.check.numerics import judgement as words
from keras_gradwatch.check.numerics.bisection import locate
from keras_gradwatch.check.numerics.comparison import Item
from keras_gradwatch.check.numerics.confirm import confirm
from keras_gradwatch.check.numerics.differences import LADDER
from keras_gradwatch.check.numerics.directions import (
    Direction,
    draw_coordinates,
    draw_signs,
)
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.looks import first_looks, look_again, second_looks
from keras_gradwatch.check.numerics.patterns import find_pattern
from keras_gradwatch.check.numerics.screen import Screened, screen
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.text import counted

# What a wrong comparison costs until it is believed, in pairs of losses: a close
# look here and one nearby, and a search for the entry.
SUSPICION = 50
SEARCH = 40
# Share of the time left that first looks may take: what they find may ask for more.
FIRST = 0.8


@dataclass(frozen=True)
class Plan:
    """How much to compare.

    Args:
        samples: How many entries of each variable to compare singly.
        directions: How many random directions of each variable to compare.
        tolerance: Largest relative error that still is a match.
    """

    samples: int
    directions: int
    tolerance: float


@dataclass
class Found:
    """What a comparison found.

    Args:
        items: All comparisons.
        patterns: What the mistake of a variable looks like, where that is known.
        pending: Variables whose group is off in the screen, or that looked wrong
            at first sight, and that were not looked at closely.
    """

    items: list[Item]
    patterns: dict[int, Pattern | None] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)

    def of(self, variable: int) -> list[Item]:
        """The comparisons of one variable."""
        return [i for i in self.items if i.direction.variable == variable]


def compare(
    problem,
    shapes: Sequence[Sequence[int]],
    plan: Plan,
    past: History,
    clock,
    rng,
    tell: Callable[..., None] = lambda doing, variables=None: None,
) -> Found:
    """Compares the gradients of all variables, as far as the time allows.

    All variables are screened in any case, and at least one that the screen
    suspects is looked at alone. What time is left goes to the variables that were
    looked at least so far.

    Args:
        problem: The loss and its analytic gradient.
        shapes: Shape of each variable.
        plan: How much to compare at most.
        past: Earlier checks of this loss; takes note of this one.
        clock: `clock.pairs()` tells how many pairs of losses the time left is good
            for, `clock.usual_pairs()` how many without what `clock.suspect()` adds,
            which is called where the screen is off.
        rng: Source of randomness.
        tell: Called with what comes next, in a few words, and of how many variables
            one by one.

    Returns:
        What was `Found`.
    """
    tell("screening all variables at once")
    drawn = Draws(problem, plan, rng)
    screened, roomy = _screen(problem, plan, past, clock, drawn.count(), rng)
    affordable, spare = FIRST * clock.pairs(), FIRST * clock.usual_pairs()
    if roomy:
        affordable = math.inf
    directions = _choose(drawn, screened, past, affordable, spare, rng)
    found = Found(list(screened.items), pending=set(screened.suspects))
    if directions:
        _look_alone(problem, shapes, directions, plan, past, clock, rng, found, tell)
    past.add(found.items)
    return found


class Draws:
    """What to compare of each variable: directions first, then entries.

    Drawn when it is asked for: of large variables that takes its time.
    """

    def __init__(self, problem, plan: Plan, rng):
        self._problem, self._plan, self._rng = problem, plan, rng
        self._drawn: dict[int, list[Direction]] = {}

    def __len__(self) -> int:
        return len(self._problem.sizes)

    def __getitem__(self, variable: int) -> list[Direction]:
        if variable not in self._drawn:
            self._drawn[variable] = self._draw(variable)
        return self._drawn[variable]

    def count(self) -> int:
        """How many directions and entries there are of all variables."""
        return sum(
            self._directions(size) + min(self._plan.samples, size)
            for size in self._problem.sizes
        )

    def _directions(self, size):
        return self._plan.directions if size > 1 or not self._plan.samples else 0

    def _draw(self, variable):
        gradient, rng = self._problem.gradients[variable], self._rng
        size = self._problem.sizes[variable]
        known = np.zeros(size) if gradient is None else gradient
        signs = [draw_signs(size, rng) for _ in range(self._directions(size))]
        entries = rng.permutation(draw_coordinates(known, self._plan.samples, rng))
        return [
            *(Direction(variable, signs=s) for s in signs),
            *(Direction(variable, entry=int(entry)) for entry in entries),
        ]


def _screen(problem, plan, past, clock, count, rng) -> tuple[Screened, bool]:
    """The screen, and whether there is time for all else.

    With noise as it is remembered; where that is off, measured, and groups are halved,
    unless there is time to look at each variable anyway.
    """
    everyone = list(range(len(problem.sizes)))
    roomy = count <= clock.pairs()
    if not problem.is_precise:  # noise asks for steps that cross too many kinks
        return Screened([], [], everyone), roomy
    noise = past.noise(problem.level)
    if noise is None:
        noise = _measured(problem, past, everyone)[0]
    screened = screen(problem, noise, plan.tolerance, rng, 0)
    if roomy or not screened.suspects:
        return screened, roomy
    # Once more: by chance a sweep may pass over kinks that others don't.
    noise = _measured(problem, past, everyone)[0]
    screened = screen(problem, noise, plan.tolerance, rng, 0)
    if not screened.suspects:
        return screened, False
    clock.suspect()
    return screen(problem, noise, plan.tolerance, rng, clock.pairs() / 2), False


def _measured(problem, past, variables):
    problem.assert_repeatable()
    noise = problem.noise(variables)
    if problem.is_precise:
        past.remember(noise[0], problem.level)
    return noise


def _choose(drawn, screened, past, affordable, spare, rng) -> list[Direction]:
    """What to look at alone: suspects first, then what is due.

    Args:
        drawn: What there is to compare.
        screened: What the screen found.
        past: The checks so far.
        affordable: Pairs of losses in all.
        spare: How many of them what is due may take, at most.
        rng: Source of randomness.
    """
    everyone = range(len(drawn))
    if affordable == math.inf:
        return [d for k in everyone for d in drawn[k]]
    suspects = sorted(screened.suspects, key=lambda k: past.looks[k])
    many = max(1, int(affordable // SUSPICION))
    suspects = suspects[:many]
    rounds = [
        drawn[k][position]
        for position in range(max((len(drawn[k]) for k in suspects), default=0))
        for k in suspects
        if position < len(drawn[k])
    ]
    chosen = rounds[: max(2, many)]  # one alone may miss what is off, by chance
    left = min(spare, affordable - SUSPICION * len(chosen))
    due = past.least_seen(set(screened.unproven), rng)
    rest = set(everyone) - set(screened.suspects) - set(due)
    for k in [*due, *past.least_seen(rest, rng)]:
        if left < 1:
            break
        chosen += drawn[k][: int(left)]
        left -= len(drawn[k])
    if not chosen and not screened.items:  # there was no screen
        chosen = drawn[past.least_seen(everyone, rng)[0]][:1]
    return chosen


def _look_alone(problem, shapes, directions, plan, past, clock, rng, found, tell):
    """Looks at variables one by one, and adds to what was found."""
    tolerance = plan.tolerance
    variables = sorted({d.variable for d in directions})
    noise = past.noise(problem.level)
    noise = noise and [noise] * len(problem.sizes)
    fresh = noise is None or bool(found.pending) or clock.pairs() == math.inf
    if fresh:
        tell("measuring the noise of the loss")
        noise = _measured(problem, past, variables)
    tell(f"comparing {counted(len(variables), 'variable')}", len(variables))
    items, unclear = first_looks(problem, directions, noise, tolerance)
    items, unclear = look_again(
        problem, items, unclear, noise, tolerance, clock.pairs()
    )
    # At least one close look, unless all that is unclear is merely faint.
    least = not all(items[i].is_faint for i in unclear)
    closely = max(least, clock.pairs() / (3 * len(LADDER)))
    if closely >= 1 and unclear and not fresh:
        noise = _measured(problem, past, variables)  # not by a noise of the past
    left_out: list[Item] = []
    if unclear:
        suspects = len({items[i].direction.variable for i in unclear})
        tell(f"looking closely at {counted(suspects, 'variable')}", suspects)
        items, left_out = second_looks(
            problem, items, unclear, noise, tolerance, closely
        )
    wrong = {i.direction.variable for i in items if i.word == words.MISMATCH}
    if wrong:
        several = counted(len(wrong), "variable")
        tell(f"looking at what is wrong with {several}", len(wrong))
    items = confirm(problem, items, noise, tolerance, rng)
    searches = max(1, clock.pairs() / SEARCH)
    items += locate(problem, items, noise, tolerance, rng, searches)
    found.pending -= {i.direction.variable for i in items}
    # Lost in noise, and not worth a close look: they were compared all the same.
    items += [item for item in left_out if item.is_faint]
    found.items[:0] = items
    known = {i.direction.variable for i in items if i.word == words.MISMATCH}
    found.pending |= {
        i.direction.variable for i in left_out if i.word == words.MISMATCH
    } - known
    for k in variables:
        own = [i for i in items if i.direction.variable == k]
        if any(i.word == words.MISMATCH for i in own) and (
            not found.patterns or clock.pairs() > 0
        ):
            found.patterns[k] = find_pattern(problem, k, shapes[k], own, rng)
