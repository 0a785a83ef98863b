"""Losses in NumPy with known derivatives, as `Problem`s."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.loss_at_point import NEARBY
from keras_gradwatch.check.numerics.noise import noise_of


class ArrayProblem:
    """A loss of a list of arrays.

    Args:
        loss: `loss(arrays) -> float`.
        arrays: The point.
        gradients: Analytic gradients, an array (or None) each, or a function
            of the arrays that returns them.
        noise: Standard deviation of noise to add to each loss.
        dtype: Precision to round each loss to.
        seed: Seed of the noise and of the nearby points.
    """

    roundoff = 0.0
    is_precise = True

    def __init__(self, loss, arrays, gradients, *, noise=0.0, dtype=np.float64, seed=0):
        self.loss = loss
        self.arrays = [np.asarray(a, dtype=np.float64) for a in arrays]
        self.of = gradients if callable(gradients) else lambda arrays: gradients
        self.options = {"noise": noise, "dtype": dtype}
        self.rng = np.random.default_rng(seed)
        self.gradients = [
            None if g is None else np.asarray(g, dtype=np.float64).ravel()
            for g in self.of(self.arrays)
        ]
        self.sizes = [a.size for a in self.arrays]
        self.scales = [scale_of(a) for a in self.arrays]
        self.evaluations = 0
        self.base = self.level = self.value(self.arrays)

    def value(self, arrays):
        self.evaluations += 1
        noise = self.options["noise"]
        value = self.loss(arrays) + (noise * self.rng.standard_normal() if noise else 0)
        return float(self.options["dtype"](value))

    def losses(self, probes):
        values = []
        for probe, size in probes:
            moved = list(self.arrays)
            for direction, step in probe.moves(size):
                array = moved[direction.variable].copy()
                if direction.is_coordinate:
                    array.flat[direction.entry] += step
                else:
                    array += step * direction.signs.reshape(array.shape)
                moved[direction.variable] = array
            values.append(self.value(moved))
        return np.array(values)

    def noise(self, variables):
        few = sorted({0, len(self.sizes) - 1})
        noise = noise_of(self, few, np.random.default_rng(0))
        return [noise] * len(self.sizes)

    def assert_repeatable(self):
        pass

    def nearby(self):
        moved = [
            a + NEARBY * scale * self.rng.standard_normal(a.shape)
            for a, scale in zip(self.arrays, self.scales, strict=True)
        ]
        seed = self.rng.integers(2**31)
        return ArrayProblem(self.loss, moved, self.of, **self.options, seed=seed)


class ScalarsProblem:
    """Thousands of scalar losses at once, one for each variable.

    Moving variable `k` to `x` gives `offset + f(x, k) - f(point[k], k)`, as if
    the loss were the sum of all, at the price of one call of `f`.

    Args:
        f: `f(x, k) -> values`, for arrays of points and of variables.
        derivative: `derivative(x, k) -> analytic gradients`.
        points: Value of each variable, shape `(n,)`.
        offset: The loss at the point.
        noise: Standard deviation of noise to add to each loss.
        dtype: Precision to round each loss to.
        seed: Seed of the noise and of the nearby points.
    """

    roundoff = 0.0
    is_precise = True

    def __init__(
        self,
        f,
        derivative,
        points,
        *,
        offset=1.0,
        noise=0.0,
        dtype=np.float64,
        seed=0,
    ):
        self.f, self.derivative = f, derivative
        self.points = np.asarray(points, dtype=np.float64)
        self.options = {"offset": offset, "noise": noise, "dtype": dtype}
        self.rng = np.random.default_rng(seed)
        everyone = np.arange(len(self.points))
        with np.errstate(all="ignore"):
            gradients = derivative(self.points, everyone)
            self.still = f(self.points, everyone)
        self.gradients = [np.array([float(g)]) for g in gradients]
        self.sizes = [1] * len(self.points)
        self.scales = [1.0] * len(self.points)
        self.evaluations = 0
        self.base = self.level = float(dtype(offset))

    def losses(self, probes):
        self.evaluations += len(probes)
        k = np.array([d.variable for d, _ in probes], dtype=int)
        sign = np.array([1 if d.is_coordinate else d.signs[0] for d, _ in probes])
        x = self.points[k] + sign * np.array([step for _, step in probes])
        with np.errstate(all="ignore"):
            values = self.options["offset"] + (self.f(x, k) - self.still[k])
        noise = self.options["noise"]
        if noise:
            values = values + noise * self.rng.standard_normal(len(values))
        return values.astype(self.options["dtype"]).astype(np.float64)

    def nearby(self):
        moved = self.points + NEARBY * self.rng.standard_normal(self.points.shape)
        seed = self.rng.integers(2**31)
        return ScalarsProblem(self.f, self.derivative, moved, **self.options, seed=seed)


def scale_of(array):
    """Typical size of the entries, 1 where all are zero: as the replica has it."""
    size = float(np.sqrt(np.mean(array**2)))
    return size if size > 0 else 1.0
