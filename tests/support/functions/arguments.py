"""What makes arguments for functions, from a `numpy.random.Generator`."""

from __future__ import annotations

import numpy as np

# Shapes of a vector and of a matrix.
V, M = (5,), (3, 4)


def normal(*shape):
    """Standard normal numbers."""
    return lambda rng: rng.normal(size=shape)


def between(low, high, *shape):
    """Numbers from `low` to `high`."""
    return lambda rng: rng.uniform(low, high, shape)


def positive(*shape):
    """Numbers from 0.5 to 2."""
    return between(0.5, 2.0, *shape)


def inside(*shape):
    """Numbers from -0.9 to 0.9."""
    return between(-0.9, 0.9, *shape)


def integers(high, *shape):
    """Integers from 0 to below `high`, int32."""
    return lambda rng: rng.integers(0, high, shape).astype("int32")


def spread(*shape):
    """Numbers with gaps of 0.1 at least between them, in random order."""

    def make(rng):
        size = int(np.prod(shape))
        return (rng.permutation(size) - size / 2 + rng.uniform(0.2, 0.8)).reshape(
            shape
        ) / 5

    return make


def complex_normal(*shape):
    """Complex numbers, both parts standard normal."""
    return lambda rng: rng.normal(size=shape) + 1j * rng.normal(size=shape)


def regular(n, *batch):
    """Matrices far from singular."""
    return lambda rng: rng.normal(size=(*batch, n, n)) + 3 * np.eye(n)


def definite(n, *batch):
    """Symmetric positive definite matrices."""

    def make(rng):
        a = rng.normal(size=(*batch, n, n))
        return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)

    return make


def lower(n):
    """Lower triangular matrices far from singular."""
    return lambda rng: np.tril(rng.normal(size=(n, n))) + 3 * np.eye(n)


def constant(value):
    """Always the same."""
    return lambda rng: value


def single(make):
    """The same numbers in float32."""
    return lambda rng: make(rng).astype("float32")
