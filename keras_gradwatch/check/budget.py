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
