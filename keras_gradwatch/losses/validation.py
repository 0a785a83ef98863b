"""Whether the validation loss parts from that of training."""

from __future__ import annotations

import math
from statistics import median

from keras_gradwatch.findings.loss_symptom import Parted

# Epochs since the best one, of which the last `_LAST` are all above it by the share
# `_RISE` of it and by so many times the usual change from epoch to epoch: what is
# called overfitting by anybody, not the few percent of every long training.
_SINCE, _LAST = 5, 3
_RISE, _NOISE = 0.2, 3.0
# The share by which the training loss fell meanwhile.
_FELL = 0.02


class Parting:
    """Listens to the losses of epochs; speaks once in a training."""

    def __init__(self) -> None:
        self._valued: list[float] = []
        self._trained: list[float] = []
        self._epochs: list[int] = []
        self._is_told = False

    def hear(self, epoch: int, trained: float, valued: float) -> Parted | None:
        """Takes an epoch in.

        Args:
            epoch: Its number.
            trained: Mean training loss.
            valued: Validation loss.
        """
        if not (math.isfinite(trained) and math.isfinite(valued)):
            return None
        self._epochs.append(epoch)
        self._trained.append(trained)
        self._valued.append(valued)
        best = min(range(len(self._valued)), key=lambda k: self._valued[k])
        since = len(self._valued) - 1 - best
        if self._is_told or since < _SINCE:
            return None
        changes = [abs(a - b) for a, b in zip(self._valued, self._valued[1:])]  # noqa: B905
        lowest, then = self._valued[best], self._trained[best]
        limit = lowest + max(_RISE * abs(lowest), _NOISE * median(changes))
        has_fallen = trained < then - _FELL * abs(then)
        if not has_fallen or min(self._valued[-_LAST:]) <= limit:
            return None
        self._is_told = True
        return Parted(
            "val_loss",
            0,
            valued,
            limit,
            best=lowest,
            epoch=self._epochs[best],
            trained_then=then,
            trained_now=trained,
        )
