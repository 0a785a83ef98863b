"""How long a check may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Seconds for one check.

    Args:
        seconds: For all of it but tracing. The screen is made in any case.
        extra: For a closer look, on top of what is left then, where the screen is
            off.
    """

    seconds: float = math.inf
    extra: float = 0.0

    def __truediv__(self, parts: int) -> Budget:
        return Budget(self.seconds / parts, self.extra / parts)

    def without(self, seconds: float) -> Budget:
        """What is left if so many seconds are needed for something else."""
        return Budget(max(0.0, self.seconds - seconds), self.extra)


class Clock:
    """What is left of a budget, in pairs of losses.

    Args:
        budget: The `Budget`, or what of it is for one loss.
        started: When the check began, of `time.perf_counter()`.
        price: Tells how many seconds one loss takes.
    """

    def __init__(self, budget: Budget, started: float, price: Callable[[], float]):
        self._ends = self._usual = started + budget.seconds
        self._extra = budget.extra
        self._price = price
        self._suspected: float | None = None

    def pairs(self) -> float:
        """How many pairs of losses the time left is good for."""
        return self._pairs_until(self._ends)

    def usual_pairs(self) -> float:
        """The same without what a closer look may take on top."""
        return self._pairs_until(self._usual)

    def suspect(self) -> None:
        """Tells that something may be wrong: time for a closer look."""
        if self._suspected is None:
            self._suspected = time.perf_counter()
            self._ends = max(self._ends, self._suspected) + self._extra

    def close_seconds(self) -> float:
        """How long the closer look has taken by now, 0 if there was none."""
        began = self._suspected
        return 0.0 if began is None else time.perf_counter() - began

    def _pairs_until(self, end):
        left = end - time.perf_counter()
        return max(0.0, left / (2 * self._price()))


class Allowance:
    """What checks may cost in one fit: a share of the time that training takes.

    Tracing, which comes first and costs a lot at once, is paid off at half that
    rate, and the other half goes on with checks. So the whole is within the share
    once a fit is `2 / SHARE` times as long as tracing takes.

    Args:
        now: A clock, in seconds.
    """

    # Below the 5 % that is promised: not all that a check costs is timed. It leaves the
    # caches cold: of a small model, 15 ms of a check cost 3 ms in the next few steps.
    SHARE = 0.035
    # In training steps: what a check takes at least, until one has been timed; and
    # what it may take, for a longer pause would be felt.
    FEWEST, MOST = 6, 20
    # Seconds in a fit for closer looks at what may be wrong.
    EXTRA = 30.0

    def __init__(self, now: Callable[[], float] = time.perf_counter):
        self._now = now
        self._began = now()
        self._checking = 0.0
        self._charged = 0.0
        self._extra = self.EXTRA
        self._steps = 0
        self._first = 0.0, 0.0  # training time before the first check, and its price
        self._over = 0.0  # what the last one took beyond its budget
        self._least: float | None = None
        self._checks = 0

    def count_steps(self, steps: int = 1) -> None:
        """Tells that training steps are done."""
        self._steps += steps

    def affords_a_check(self) -> bool:
        """Whether it is time for a check. The first always is."""
        return not self._checks or self._granted() >= self._cheapest()

    def budget(self) -> Budget:
        """What the next check may take."""
        seconds = min(self._granted() - self._over, self.MOST * self._step_seconds())
        return Budget(max(0.0, seconds), self._extra)

    def spend(self, seconds: float, closely: float = 0.0) -> None:
        """Tells what a check took.

        Args:
            seconds: How long it took.
            closely: How long of it something was looked at that is wrong: that is
                not held against the checks to come.
        """
        if not closely and self._checks:  # the first traces, too
            self._over = max(0.0, seconds - self._granted(besides=seconds))
            # The least of late: a busy machine takes longer.
            self._least = min(seconds, 1.2 * (self._least or math.inf))
        self._extra = max(0.0, self._extra - closely)
        self._checking += seconds
        self._charged += seconds - closely
        if not self._checks:
            self._first = self._trained(), self._charged
        self._checks += 1

    def _trained(self):
        return self._now() - self._began - self._checking

    def _granted(self, besides=0.0):
        trained = self._trained() - besides
        before, price = self._first
        paying_off = self.SHARE / 2 * (trained - before) - (self._charged - price)
        return max(self.SHARE * trained - self._charged, paying_off)

    def _cheapest(self):
        if self._least is not None:
            return self._least
        return self.FEWEST * self._step_seconds()

    def _step_seconds(self):
        return self._trained() / max(1, self._steps)
