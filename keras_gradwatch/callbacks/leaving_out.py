"""Batches that are left out of a training: how many, and what stands for their logs."""

from __future__ import annotations

from typing import Any

from keras_gradwatch.nonfinite.session import AmongSeveral


class LeavingOut:
    """Keeps count of the batches of an epoch that are left out.

    Args:
        most: How many may be.

    Attributes:
        most: The same.
        count: How many were, in the present epoch.
        logs: What the last step of the epoch that was not undone returned.
        spoilt: What metrics held after the last step that was undone, while none of the
            epoch was not: pairs of a variable and its value.
        among: Of several steps that were undone, which are taken one by one: what was
            seen after them. None once one of them was found.
    """

    def __init__(self, most: int):
        self.most = most
        self.count = 0
        self.logs: Any = None
        self.spoilt: list[tuple[Any, Any]] = []
        self.among: AmongSeveral | None = None
        self._owed = 0

    def begin_epoch(self) -> None:
        """Tells that an epoch begins."""
        self.count, self.logs, self.spoilt = 0, None, []

    def took(self, logs: Any) -> None:
        """Tells that a step was taken.

        Args:
            logs: What it returned.
        """
        self.logs, self.spoilt = logs, []

    def leave_out(self) -> bool:
        """Counts a batch; whether training goes on."""
        self.count += 1
        self._owed += 1
        return self.count <= self.most

    def is_owed(self, steps: int) -> bool:
        """Whether the data is at its end because batches were left out.

        Keras asks for as many batches as the data has. So there is a call without one
        for each that another took the place of.

        Args:
            steps: How many batches a call takes.
        """
        if self._owed <= 0 or self.logs is None:
            return False
        self._owed -= steps
        return True
