"""How much of the training time checks may take."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from keras_gradwatch.check.budget import Budget


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
    # In training steps: what a check takes at least, until one has been timed (screens
    # were measured to take 3.1 to 5.1, see docs/cost.md); and what it may take, for a
    # longer pause would be felt (chosen, not measured).
    FEWEST, MOST = 6, 20
    # Seconds in a fit for closer looks at what may be wrong: one pause that a user puts
    # up with to learn of a wrong gradient. Chosen, not measured.
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

    def affords_a_closer_look(self) -> bool:
        """Whether there is time for a check that something odd gives rise to."""
        return self._extra > 0 or self.affords_a_check()

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
