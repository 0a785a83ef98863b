"""What to compare of each variable, as far as the time allows."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from keras_gradwatch.check.numerics.directions import (
    Direction,
    draw_coordinates,
    draw_signs,
)
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.loss_at_point import Problem
from keras_gradwatch.check.numerics.screen import Screened

# What a wrong comparison costs until it is believed, in pairs of losses: a close look
# here and one nearby, 17 pairs each, and a margin.
SUSPICION = 50


class Clock(Protocol):
    """What tells how many pairs of losses there is time for."""

    def pairs(self) -> float:
        """How many the time left is good for."""

    def usual_pairs(self) -> float:
        """How many without what `suspect()` adds."""

    def suspect(self) -> None:
        """Is called where the screen is off: a suspicion may take more time."""


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


class Draws:
    """What to compare of each variable: directions first, then entries.

    Drawn when it is asked for: of large variables that takes its time.

    Args:
        problem: The loss and its analytic gradient.
        plan: How much to draw.
        rng: Source of randomness.
    """

    def __init__(self, problem: Problem, plan: Plan, rng: np.random.Generator):
        self._problem, self._plan, self._rng = problem, plan, rng
        self._drawn: dict[int, list[Direction]] = {}

    def __len__(self) -> int:
        return len(self._problem.sizes)

    def __getitem__(self, variable: int) -> list[Direction]:
        if variable not in self._drawn:
            self._drawn[variable] = self._draw(variable)
        return self._drawn[variable]

    def count(self) -> int:
        """How many directions and entries there are of all variables; draws none."""
        return sum(
            self._directions(size) + min(self._plan.samples, size)
            for size in self._problem.sizes
        )

    def _directions(self, size: int) -> int:
        return self._plan.directions if size > 1 or not self._plan.samples else 0

    def _draw(self, variable: int) -> list[Direction]:
        gradient, rng = self._problem.gradients[variable], self._rng
        size = self._problem.sizes[variable]
        known = np.zeros(size) if gradient is None else gradient
        signs = [draw_signs(size, rng) for _ in range(self._directions(size))]
        entries = rng.permutation(draw_coordinates(known, self._plan.samples, rng))
        return [
            *(Direction(variable, signs=s) for s in signs),
            *(Direction(variable, entry=int(entry)) for entry in entries),
        ]


def choose(
    drawn: Draws,
    screened: Screened,
    past: History,
    affordable: float,
    spare: float,
    rng: np.random.Generator,
    settled: Collection[int] = (),
) -> list[Direction]:
    """What to look at alone: suspects first, then what is due.

    Args:
        drawn: What there is to compare.
        screened: What the screen found.
        past: The checks so far.
        affordable: Pairs of losses in all.
        spare: How many of them what is due may take, at most.
        rng: Source of randomness.
        settled: Variables that were looked at already.
    """
    everyone = [k for k in range(len(drawn)) if k not in settled]
    if affordable == math.inf:
        return [d for k in everyone for d in drawn[k]]
    many = max(1, int(affordable // SUSPICION))
    # What the last check had no time for comes first.
    suspects = sorted(
        screened.suspects, key=lambda k: (k not in past.pending, past.looks[k])
    )[:many]
    # At least two: one alone may miss what is off, by chance.
    chosen = _in_turns(drawn, suspects)[: max(2, many)]
    left = min(spare, affordable - SUSPICION * len(chosen))
    due = past.least_seen(set(screened.unproven), rng)
    rest = set(everyone) - set(screened.suspects) - set(due)
    for k in [*due, *past.least_seen(rest, rng)]:
        if left < 1:
            break
        chosen += drawn[k][: int(left)]
        left -= len(drawn[k])
    if not chosen and everyone and not screened.items:  # there was no screen
        chosen = drawn[past.least_seen(everyone, rng)[0]][:1]
    return chosen


def _in_turns(drawn: Draws, variables: Sequence[int]) -> list[Direction]:
    """The first of each variable, then the second of each, and so on."""
    longest = max((len(drawn[k]) for k in variables), default=0)
    return [
        drawn[k][position]
        for position in range(longest)
        for k in variables
        if position < len(drawn[k])
    ]
