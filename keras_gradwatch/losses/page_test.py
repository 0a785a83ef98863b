"""Page's test: whether a level has risen, and since when."""

from __future__ import annotations

import math


class PageTest:
    """Adds up by how much each value is above what may be, and never below zero.

    E. S. Page, "Continuous inspection schemes", Biometrika 41 (1954), 100-115; known as
    CUSUM. Each value adds `(value - level) / allowance - 1`, at most `most`. While the
    level stays, the sum is pulled down and stays near zero; once it has risen by more
    than the allowance it grows, however small the rise beyond it. The last time that
    the sum was zero is the likeliest time of the change. The clip makes one wild value
    worth no more than `most`: to reach the limit takes `limit / most` values at least.

    Args:
        limit: The sum that is an alarm.
        most: What one value may add.
    """

    def __init__(self, limit: float, most: float):
        self._limit, self._most = limit, most
        self._level = math.inf
        self._allowance = 1.0
        self._sum = 0.0
        self.length = 0
        """Values since the sum was last zero."""

    def expect(self, level: float, allowance: float) -> None:
        """Sets what is held against: a level, and by how much it may be exceeded."""
        self._level, self._allowance = level, allowance
        self._sum, self.length = 0.0, 0

    def hear(self, value: float) -> bool:
        """Takes a value in; whether the sum is at the limit."""
        excess = (value - self._level) / self._allowance - 1.0
        total = self._sum + (excess if excess < self._most else self._most)
        if total <= 0.0:
            self._sum, self.length = 0.0, 0
            return False
        self._sum = total
        self.length += 1
        return total >= self._limit
