"""Whether the learning rate was raised of late."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

# A rate that was raised by so much, as by a restart or a warm-up, is reason enough for
# a loss to rise.
_RAISED = 1.5
# Of late: so many looks back, so many steps apart. An odd distance, lest each falls on
# the same place of a cycle.
_DISTANCE, _LOOKS = 61, 24
# Of a rate that no schedule tells, so many are kept.
_KEPT = 6


class Rates:
    """Knows the learning rates of the last steps.

    Args:
        now: Gives the present one, None if it can't be told.
        before: Gives that of some steps ago, where a schedule tells it; None where
            none does. It may be slow: it is only asked when something is odd.
    """

    def __init__(
        self,
        now: Callable[[], float | None],
        before: Callable[[int], float | None] | None = None,
    ):
        self._now, self._before = now, before
        self._kept: deque[float] = deque(maxlen=_KEPT)

    def note(self) -> None:
        """Keeps the present one, if nobody else does."""
        rate = None if self._before else self._now()
        if rate is not None:
            self._kept.append(rate)

    def are_raised(self) -> bool:
        """Whether the present one is far above the lowest of late."""
        if self._before:
            earlier = [self._before(_DISTANCE * k) for k in range(1, _LOOKS)]
            known = [rate for rate in earlier if rate is not None]
        else:
            known = list(self._kept)
        rate = self._now()
        if rate is None or not known:
            return False
        self._kept.append(rate)
        return rate > _RAISED * min(known)
