"""Scalar losses by the thousand, with derivatives that are known.

`FAMILIES` maps a name to `build(rng, n)`, which returns `(f, derivative,
points)`: what automatic differentiation would give is `derivative`, which at a
kink is one of the one-sided slopes.
"""

from __future__ import annotations

import numpy as np

FAMILIES = {}


def family(function):
    FAMILIES[function.__name__] = function
    return function


def log_uniform(rng, low, high, shape):
    return 10 ** rng.uniform(low, high, shape)


def either_side(rng, low, high, shape):
    return log_uniform(rng, low, high, shape) * rng.choice([-1, 1], shape)


def relu(x):
    return np.maximum(x, 0)


def on(x):
    return (x > 0).astype(float)


@family
def quadratic(rng, n):
    a, b = rng.standard_normal((2, n))
    return (
        lambda x, k: a[k] * x * x + b[k] * x,
        lambda x, k: 2 * a[k] * x + b[k],
        rng.standard_normal(n),
    )


@family
def tanh(rng, n):
    a = rng.standard_normal(n)
    return (
        lambda x, k: np.tanh(3 * x + a[k]),
        lambda x, k: 3 / np.cosh(3 * x + a[k]) ** 2,
        rng.standard_normal(n),
    )


@family
def exponential(rng, n):
    return (
        lambda x, k: np.exp(2 * x),
        lambda x, k: 2 * np.exp(2 * x),
        rng.standard_normal(n),
    )


@family
def oscillating(rng, n):
    a = rng.uniform(0, 6, n)
    return (
        lambda x, k: np.sin(1e4 * x + a[k]),
        lambda x, k: 1e4 * np.cos(1e4 * x + a[k]),
        rng.standard_normal(n),
    )


@family
def rippled(rng, n):
    a, b = rng.standard_normal((2, n))
    return (
        lambda x, k: b[k] * x + 1e-4 * np.sin(1e4 * x + a[k]),
        lambda x, k: b[k] + np.cos(1e4 * x + a[k]),
        rng.standard_normal(n),
    )


@family
def kink_in_the_middle(rng, n):
    a, b = rng.standard_normal((2, n))
    return (
        lambda x, k: a[k] * x + b[k] * relu(x),
        lambda x, k: a[k] + b[k] * on(x),
        np.zeros(n),
    )


@family
def kink_off_the_middle(rng, n):
    a, b = rng.standard_normal((2, n))
    d = either_side(rng, -12, -3, n)
    return (
        lambda x, k: a[k] * x + b[k] * relu(x - d[k]),
        lambda x, k: a[k] + b[k] * on(x - d[k]),
        np.zeros(n),
    )


@family
def absolute_value(rng, n):
    d = either_side(rng, -12, -3, n)
    return (
        lambda x, k: np.abs(x - d[k]),
        lambda x, k: np.sign(x - d[k]),
        np.zeros(n),
    )


@family
def opposing_kinks_at_a_tie(rng, n):
    a, b = rng.standard_normal((2, n))
    return (
        lambda x, k: a[k] * relu(x) - b[k] * relu(-x),
        lambda x, k: a[k] * on(x) + b[k] * on(-x),
        np.zeros(n),
    )


@family
def dead_zone(rng, n):
    d = log_uniform(rng, -7.9, -3, n)
    return (
        lambda x, k: relu(x - d[k]) - relu(-x - d[k]),
        lambda x, k: on(x - d[k]) + on(-x - d[k]),
        np.zeros(n),
    )


@family
def clip(rng, n):
    d = log_uniform(rng, -7.9, -3, n)
    return (
        lambda x, k: np.clip(x, -d[k], d[k]),
        lambda x, k: on(d[k] - np.abs(x)),
        np.zeros(n),
    )


@family
def leaky_chain(rng, n):
    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    return (
        lambda x, k: leaky(leaky(leaky(x))),
        lambda x, k: np.where(x > 0, 1.0, 0.2**3),
        np.zeros(n),
    )


@family
def many_kinks_near(rng, n):
    d, c = either_side(rng, -12, 0, (n, 40)), rng.standard_normal((n, 40))
    return (
        lambda x, k: x + np.sum(c[k] * relu(x[:, None] - d[k]), axis=1),
        lambda x, k: 1 + np.sum(c[k] * on(x[:, None] - d[k]), axis=1),
        np.zeros(n),
    )


@family
def many_kinks_everywhere(rng, n):
    d, c = rng.uniform(-1, 1, (n, 200)), rng.standard_normal((n, 200)) / 14
    return (
        lambda x, k: np.sum(c[k] * relu(x[:, None] - d[k]), axis=1),
        lambda x, k: np.sum(c[k] * on(x[:, None] - d[k]), axis=1),
        np.zeros(n),
    )


@family
def jump_in_the_middle(rng, n):
    a, b = rng.standard_normal((2, n))
    return lambda x, k: b[k] * x + a[k] * on(x), lambda x, k: b[k] + 0 * x, np.zeros(n)


@family
def jump_off_the_middle(rng, n):
    a, b = log_uniform(rng, -14, 0, n), rng.standard_normal(n)
    d = either_side(rng, -12, -3, n)
    return (
        lambda x, k: b[k] * x + a[k] * on(x - d[k]),
        lambda x, k: b[k] + 0 * x,
        np.zeros(n),
    )


@family
def exactly_zero(rng, n):
    return lambda x, k: 0 * x, lambda x, k: 0 * x, rng.standard_normal(n)


@family
def small_gradients(rng, n):
    a, b = log_uniform(rng, -14, 0, n), rng.standard_normal(n)
    return (
        lambda x, k: a[k] * (b[k] * x + x * x),
        lambda x, k: a[k] * (b[k] + 2 * x),
        rng.standard_normal(n),
    )


@family
def steep_steps(rng, n):
    a, b = log_uniform(rng, -7, 0, n), rng.standard_normal(n)
    return (
        lambda x, k: a[k] * np.tanh(x / a[k] + b[k]),
        lambda x, k: 1 / np.cosh(np.clip(x / a[k] + b[k], -300, 300)) ** 2,
        np.zeros(n),
    )


@family
def cube_root(rng, n):
    d = either_side(rng, -8, -1, n)
    return (
        lambda x, k: np.cbrt(x - d[k]),
        lambda x, k: np.abs(x - d[k]) ** (-2 / 3) / 3,
        np.zeros(n),
    )


@family
def rounded_corner(rng, n):
    d = log_uniform(rng, -7, -1, n)
    return (
        lambda x, k: np.sqrt(x * x + d[k] ** 2),
        lambda x, k: x / np.sqrt(x * x + d[k] ** 2),
        d / 3,
    )


@family
def square_root_near_zero(rng, n):
    d = log_uniform(rng, -8, -1, n)
    return (
        lambda x, k: np.sqrt(x + d[k]),
        lambda x, k: 0.5 / np.sqrt(np.maximum(x + d[k], 1e-300)),
        np.zeros(n),
    )


@family
def logarithm_near_zero(rng, n):
    d = log_uniform(rng, -8, -1, n)
    return (
        lambda x, k: np.log(x + d[k]),
        lambda x, k: 1 / (x + d[k]),
        np.zeros(n),
    )


@family
def not_finite_nearby(rng, n):
    d = log_uniform(rng, -16, -9, n)
    return (
        lambda x, k: np.sqrt(x + d[k]),
        lambda x, k: 0.5 / np.sqrt(np.maximum(x + d[k], 1e-300)),
        np.zeros(n),
    )


@family
def perfect_fit(rng, n):
    inputs, points = rng.standard_normal((n, 20)), rng.standard_normal(n)
    targets = inputs * (1.1 * points[:, None])

    def residual(x, k):
        return inputs[k] * x[:, None] * 1.1 - targets[k]

    return (
        lambda x, k: np.mean(residual(x, k) ** 2, axis=1),
        lambda x, k: np.mean(2.2 * residual(x, k) * inputs[k], axis=1),
        points,
    )
