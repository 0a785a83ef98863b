"""What the checks of one loss have seen so far, so that the next sees other things."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.judgement import MATCH, MISMATCH, ZERO
from keras_gradwatch.check.numerics.noise import Noise

_SEEN = (MATCH, MISMATCH, ZERO)


class History:
    """Earlier checks of one loss.

    Args:
        sizes: Number of entries of each variable.

    Attributes:
        looks: How often each variable was looked at alone.
    """

    def __init__(self, sizes: Sequence[int]):
        self.sizes = list(sizes)
        self.looks = [0] * len(sizes)
        self._whole = [False] * len(sizes)
        self._entries: list[set[int]] = [set() for _ in sizes]
        self._noise: tuple[Noise, float] | None = None  # and where it was measured

    def add(self, items: Iterable[SlopeComparison]) -> None:
        """Takes note of the comparisons of a check."""
        alone = set()
        for item in items:
            k = item.direction.variable
            if item.among == 1:
                alone.add(k)
            if item.word not in _SEEN:
                continue
            if item.direction.entry is not None:
                self._entries[k].add(item.direction.entry)
            else:
                self._whole[k] = True
        for k in alone:
            self.looks[k] += 1

    def coverage(self, variable: int) -> float:
        """Share of the entries of a variable that any check has compared."""
        if self._whole[variable]:
            return 1.0
        return self.entries(variable) / max(1, self.sizes[variable])

    def entries(self, variable: int) -> int:
        """How many entries of a variable were compared singly."""
        return len(self._entries[variable])

    def least_seen(
        self, variables: Iterable[int], rng: np.random.Generator
    ) -> list[int]:
        """Variables in the order in which they are due, ties in random order."""
        order = [int(k) for k in rng.permutation(list(variables))]
        return sorted(order, key=lambda k: self.looks[k])

    def remember(self, noise: Noise, base: float) -> None:
        """Keeps how noisy the loss was at a value."""
        if base and np.isfinite(noise.floor):
            self._noise = noise, base

    def noise(self, base: float) -> Noise | None:
        """About how noisy the loss is at this value, if that was ever measured.

        With the root of the value, between two cases: the rounding of the value
        itself, and that of what cancels out in it, which stays as it is.
        """
        if self._noise is None:
            return None
        noise, measured = self._noise
        floor = float(noise.at(measured)) * np.sqrt(abs(base / measured))
        floor = max(floor, 2 * np.finfo(np.float64).eps * abs(base))
        return Noise(floor, floor / abs(base) if base else noise.share)
