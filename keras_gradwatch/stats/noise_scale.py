"""The noise scale of the gradient, from a part of the batch and the batch.

S. McCandlish et al., 2018, "An empirical model of large-batch training"
(arXiv:1812.06162), appendix A.1: of the gradient of B examples the squared norm is
`|G|^2 + tr(S) / B` on average, with G the true gradient and S the covariance of those
of single examples. Two sizes tell both, without bias; their ratio `tr(S) / |G|^2` is
the size of batch from which on larger ones pay less and less.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from keras_gradwatch.findings.reading import GradientReading, NoiseScale

# Estimates that are averaged: each is far off by itself, and the gradient changes while
# a model learns. The paper has moving averages of its own choice, too.
_KEPT = 16
_FEWEST = 4
# Of every so many readings one reads the part: it costs a quarter of a step and more.
EVERY = 4


class NoiseScales:
    """Collects estimates, reading by reading."""

    def __init__(self) -> None:
        self._estimates: deque[tuple[float, float]] = deque(maxlen=_KEPT)

    def hear(self, reading: GradientReading) -> NoiseScale | None:
        """Takes a reading in.

        Args:
            reading: The newest `GradientReading`.

        Returns:
            The noise scale by now, with its error. None as long as it can't be told.
        """
        if reading.part is None:
            return None
        count, of, size = reading.part
        small, large = size**2, reading.global_norm**2
        noise = (small - large) / (1 / count - 1 / of)
        signal = (of * large - count * small) / (of - count)
        if np.isfinite(noise) and np.isfinite(signal):
            self._estimates.append((noise, signal))
        return self._told()

    def _told(self) -> NoiseScale | None:
        found = np.array(self._estimates)
        if len(found) < _FEWEST:
            return None
        noise, signal = found.mean(0)
        if noise <= 0 or signal <= 0:
            return None
        # The jackknife: of a ratio of means that is what each of them moves it by.
        others = (found.sum(0) - found) / (len(found) - 1)
        if np.any(others <= 0):
            return None
        ratios = others[:, 0] / others[:, 1]
        spread = np.sum((ratios - ratios.mean()) ** 2)
        error = float(np.sqrt(spread * (len(found) - 1) / len(found)))
        return NoiseScale(float(noise / signal), error, len(found))
