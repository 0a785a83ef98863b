"""Losses in NumPy with known derivatives, as `Problem`s."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.loss_at_point import NEARBY
from keras_gradwatch.check.numerics.noise_measurement import noise_of


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
        self.peaks = [0.0 if g is None else peak(g) for g in self.gradients]
        self.values = [a.ravel() for a in self.arrays]
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
        self.peaks = [peak(g) for g in self.gradients]
        self.values = list(self.points[:, None])
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


def peak(gradient):
    """The largest finite entry, in size."""
    return float(np.max(np.abs(gradient), initial=0.0, where=np.isfinite(gradient)))


def scale_of(array):
    """Typical size of the entries, 1 where all are zero: as the replica has it."""
    size = float(np.sqrt(np.mean(array**2)))
    return size if size > 0 else 1.0


def network(count, spoil=None, *, seed=0, spread=0.0, kinks=0.0, **options):
    """A loss of many variables of many sizes, each of which bends it.

    Args:
        count: How many variables.
        spoil: `spoil(k, gradient)` returns what to take for the gradient.
        seed: Seed of the numbers.
        spread: Gradients differ in size by up to 10 to this power.
        kinks: Weight of a kink near each entry.
        **options: Of `ArrayProblem`.
    """
    rng = np.random.default_rng(seed)
    shapes = [[(30, 20), (20,), (1,), (3, 3, 4)][k % 4] for k in range(count)]
    a = [rng.standard_normal(s) for s in shapes]
    w = [rng.standard_normal(s) * 10 ** rng.uniform(-2, 0) for s in shapes]
    d = [
        10 ** rng.uniform(-8, -1, s) * rng.choice([-1, 1], s) + x
        for s, x in zip(shapes, w, strict=True)
    ]
    size = 10 ** rng.uniform(-spread, 0, count)

    def loss(arrays):
        total = 1.0
        for k, x in enumerate(arrays):
            bent = np.tanh(x) + kinks * np.maximum(x - d[k], 0)
            total += size[k] * float(np.sum(a[k] * bent)) / np.sqrt(x.size)
        return total + 0.01 * total**2

    def gradients(arrays):
        total, parts = 1.0, []
        for k, x in enumerate(arrays):
            bent = np.tanh(x) + kinks * np.maximum(x - d[k], 0)
            total += size[k] * float(np.sum(a[k] * bent)) / np.sqrt(x.size)
            slope = 1 / np.cosh(x) ** 2 + kinks * (x > d[k])
            parts.append(size[k] * a[k] * slope / np.sqrt(x.size))
        parts = [(1 + 0.02 * total) * p for p in parts]
        return [spoil(k, p) if spoil else p for k, p in enumerate(parts)]

    return ArrayProblem(loss, w, gradients, seed=seed, **options)


def among_kinks(spoil=lambda k, gradient: gradient, *, seed):
    """Kinks so near that the usual step passes over some of them."""
    rng = np.random.default_rng(seed)
    smooth = network(60, seed=seed)
    start, parts = smooth.arrays, []
    for x, scale in zip(start, smooth.scales, strict=True):
        away = 10 ** rng.uniform(-7, -5.5, x.shape) * rng.choice([-1, 1], x.shape)
        bend = 0.02 * rng.standard_normal(x.shape) / np.sqrt(x.size)
        parts.append((bend, x + scale * away))

    def loss(arrays):
        bent = zip(arrays, parts, strict=True)
        kinks = [float(np.sum(b * np.maximum(x - at, 0))) for x, (b, at) in bent]
        return smooth.loss(arrays) + sum(kinks)

    def gradients(arrays):
        found = zip(smooth.of(arrays), arrays, parts, strict=True)
        return [spoil(k, g + b * (x > at)) for k, (g, x, (b, at)) in enumerate(found)]

    return ArrayProblem(loss, start, gradients, noise=1e-14, seed=seed)


def without_influence(problem, dead, spoil):
    """The same loss, in which some variables do nothing."""
    inside, of, start = problem.loss, problem.of, [a.copy() for a in problem.arrays]

    def held(arrays):
        return [start[k] if k in dead else x for k, x in enumerate(arrays)]

    return ArrayProblem(
        lambda arrays: inside(held(arrays)),
        start,
        lambda arrays: [spoil(k, g) for k, g in enumerate(of(held(arrays)))],
    )


def at(index, factor):
    def spoil(gradient):
        gradient = gradient.copy()
        gradient[index] *= factor
        return gradient

    return spoil
