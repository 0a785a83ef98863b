"""A backward pass by itself: an operation as a problem of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.budget import Budget, Clock
from keras_gradwatch.check.numerics.compare import compare
from keras_gradwatch.check.numerics.directions import Direction, Perturbation, scale_of
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.loss_at_point import NEARBY
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.noise_measurement import noise_of
from keras_gradwatch.check.numerics.plan import Plan
from keras_gradwatch.findings.pattern import UNSCALED, Pattern
from keras_gradwatch.framework.graphs import view
from keras_gradwatch.replica.lift.alone import Alone

# As much as tells a row from an entry: a mistake is known already.
_PLAN = Plan(samples=4, directions=2, tolerance=1e-3)
# Round-off of a gradient that cancels out, as for a whole loss in float64.
_ROUNDOFF = 1e-13
# How well what is handed twice must agree with what is handed once, as a share.
_SAME = 1e-9


def pattern_of(alone: Alone) -> Pattern | None:
    """What the mistake of a backward pass looks like, None if it looks like nothing.

    Args:
        alone: The operation.
    """
    if all(tf.is_tensor(x) and x.dtype == tf.float64 for x in alone.inputs):
        if _ignores_upstream(alone):
            return Pattern(UNSCALED)
        rng = np.random.default_rng(0)
        problem = _Operation(alone, alone.inputs, rng)
        shapes = [tuple(x.shape) for x in alone.inputs]
        clock = Clock(Budget(), time.perf_counter(), lambda: 1.0)
        found = compare(problem, shapes, _PLAN, History(problem.sizes), clock, rng)
        return next((p for p in found.patterns.values() if p is not None), None)
    return None


def _ignores_upstream(alone):
    """Whether a backward pass does not care how much it is handed."""
    once, twice = (alone.gradients(alone.inputs, times) for times in (1.0, 2.0))
    return any(np.any(g) for g in map(view, once)) and all(
        np.allclose(a, b, rtol=_SAME, atol=0)
        for a, b in zip(map(view, once), map(view, twice), strict=True)
    )


class _Operation:
    """An operation's outputs, weighted as training weights them: a `Problem`.

    Args:
        alone: The operation.
        inputs: Where to look at it.
        rng: Source of randomness.
    """

    is_precise = True

    def __init__(self, alone: Alone, inputs: Sequence[tf.Tensor], rng):
        self._alone, self._inputs, self._rng = alone, list(inputs), rng
        arrays = list(map(view, self._inputs))
        self.sizes = [a.size for a in arrays]
        self.scales = [scale_of(a) for a in arrays]
        self.gradients = [view(g).ravel() for g in alone.gradients(inputs)]
        self.peaks = [float(np.max(np.abs(g), initial=0.0)) for g in self.gradients]
        self.values = [a.ravel() for a in arrays]
        self.roundoff = _ROUNDOFF * max(self.peaks)
        self.base = self.level = float(self.losses([(Direction(0, entry=0), 0.0)])[0])

    def losses(self, perturbations: Sequence[Perturbation], /) -> np.ndarray:
        return np.array([self._moved(*one) for one in perturbations])

    def _moved(self, way, size):
        point = list(self._inputs)
        for direction, step in way.moves(size):
            k = direction.variable
            array = view(point[k]).copy()
            if direction.entry is None:
                array += step * direction.signs.reshape(array.shape)
            else:
                array.flat[direction.entry] += step
            point[k] = tf.constant(array)
        return float(self._alone.output(point))

    def noise(self, variables: Sequence[int], /) -> list[Noise]:
        few = sorted({0, len(self.sizes) - 1})
        return [noise_of(self, few, self._rng)] * len(self.sizes)

    def assert_repeatable(self) -> None:
        """It is: nothing is drawn."""

    def nearby(self) -> _Operation:
        moved = [
            x + NEARBY * scale * self._rng.standard_normal(x.shape)
            for x, scale in zip(self._inputs, self.scales, strict=True)
        ]
        return _Operation(self._alone, moved, self._rng)
