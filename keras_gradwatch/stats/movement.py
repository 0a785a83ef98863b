"""Weights that do not move, or by so little that training will never end."""

from __future__ import annotations

import math
from collections.abc import Iterator

from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.findings.symptom import SmallSteps, StillWeights
from keras_gradwatch.stats.sighting import Case

# A step that is this share of the weights: 100 million make one of their size, and
# float32 keeps less than a sixth of it. Over the healthy trainings of the tests the
# smallest was 2.5e-7, where all was learnt; here it counts from the beginning only.
SMALLEST = 1e-8
# Steps that it is seen over, at least: a warm-up begins with a rate of zero, a loss
# scale too high skips the first steps, and accumulated gradients wait.
_STEPS = 100
# A gradient that is so much smaller than all together moves nothing in float32, as it
# should be.
_SHARE = 1e-3


class Movement:
    """Follows how far weights move, from the first reading of a fit on.

    Args:
        limit: The share of their size that a step has to move them by, at least. 0 if
            nothing is to be told.
    """

    def __init__(self, limit: float):
        self._limit = limit
        self._first: GradientReading | None = None
        self._largest = 0.0
        # Of variables that were never seen to move, by path.
        self._still: dict[str, float] = {}

    def cases(self, reading: GradientReading) -> Iterator[Case]:
        """Takes a reading in, and says what of the weights has not moved so far.

        Args:
            reading: The newest reading.
        """
        norms = {v.path: v.weight_norm for v in reading.variables}
        if self._first is None:
            self._first = reading
            self._still = {p: n for p, n in norms.items() if n is not None}
        first = self._first
        moved = {v.path for v in reading.variables if v.update_norm}
        # Between two readings it may have moved where no reading sees it, as where
        # gradients are accumulated.
        self._still = {
            path: norm
            for path, norm in self._still.items()
            if path not in moved and norms.get(path) == norm
        }
        steps = reading.step - first.step
        self._largest = max(self._largest, reading.update_ratio or 0.0)
        if steps < _STEPS or not self._limit:
            return
        # Where a loss has no gradient, nothing has to move.
        if not math.isfinite(self._largest) or not reading.global_norm:
            return
        way = max(self._largest, _way(first, reading) / steps)
        if way < self._limit:
            yield Case(SmallSteps("all weights", way, steps), self._limit, rank=-way)
            return
        for v in reading.variables:
            share = v.norm / reading.global_norm
            if v.path in self._still and share >= _SHARE:
                yield Case(StillWeights(v.path, 0.0, steps), 0.0, rank=share)


def _way(first: GradientReading, last: GradientReading) -> float:
    """How far the norms of weights are from what they were, as a share of them."""
    before = {v.path: v.weight_norm or 0.0 for v in first.variables}
    after = {v.path: v.weight_norm or 0.0 for v in last.variables}
    gone = math.hypot(*(after.get(p, n) - n for p, n in before.items()))
    return gone / (math.hypot(*before.values()) or 1.0)
