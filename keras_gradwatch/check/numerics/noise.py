"""How far a loss value itself may be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Noise:
    """A bound on the error of a loss value.

    Where the loss is the small rest of a cancellation, as at a perfect fit, its
    error grows with its value; elsewhere it is the same all around.

    Args:
        floor: The bound for values as small as those that were measured.
        share: The bound for larger values, as a share of the value.
    """

    floor: float
    share: float = 0.0

    def at(self, *values: np.typing.ArrayLike) -> np.ndarray:
        """The bound for losses of these values."""
        return np.maximum(
            self.floor, self.share * np.max(np.abs(np.asarray(values)), axis=0)
        )

    def __or__(self, other: Noise) -> Noise:
        return Noise(max(self.floor, other.floor), max(self.share, other.share))
