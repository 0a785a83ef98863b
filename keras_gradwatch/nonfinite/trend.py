"""How the loss and the size of the weights went in the last few steps.

Of every step that is watched, two numbers; what `GradientStats` reads of a few steps,
for each variable, is a `GradientReading`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

# How many readings before a failure are told: as many as fit on a line.
_READINGS = 6


class Trend:
    """Keeps the last few readings."""

    def __init__(self) -> None:
        self._losses: deque[tuple[int, Mapping[str, float]]] = deque(maxlen=_READINGS)
        self._sizes: deque[tuple[int, float]] = deque(maxlen=_READINGS)

    def note_losses(self, step: int, losses: Mapping[str, float]) -> None:
        """Takes in what a step logged, if that was anything.

        Args:
            step: Optimizer iterations before it.
            losses: The losses by name.
        """
        if losses:
            self._losses.append((step, losses))

    def note_size(self, step: int, size: float) -> None:
        """Takes in how large the weights are.

        Args:
            step: Optimizer iterations done.
            size: Their root mean square.
        """
        self._sizes.append((step, size))

    def forget(self, step: int) -> None:
        """Takes back what was told of a step, and of those after it.

        Args:
            step: Optimizer iterations before it.
        """
        while self._losses and self._losses[-1][0] >= step:
            self._losses.pop()
        while self._sizes and self._sizes[-1][0] > step:
            self._sizes.pop()

    def losses(self, name: str) -> tuple[tuple[int, float], ...]:
        """Pairs of a step and a loss.

        Args:
            name: Which of several; the first where there is none of that name.
        """
        return tuple(
            (step, losses[name] if name in losses else next(iter(losses.values())))
            for step, losses in self._losses
        )

    def sizes(self) -> tuple[tuple[int, float], ...]:
        """Pairs of a step and the size of the weights after it."""
        return tuple(self._sizes)
