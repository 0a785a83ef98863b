"""One whole check of a NumPy problem, as `checks.py` does it for a model."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.bisection import locate
from keras_gradwatch.check.numerics.conclusion import conclude
from keras_gradwatch.check.numerics.confirm import confirm
from keras_gradwatch.check.numerics.directions import (
    Direction,
    draw_coordinates,
    draw_signs,
)
from keras_gradwatch.check.numerics.looks import examine
from keras_gradwatch.check.numerics.noise import noise_of
from keras_gradwatch.check.numerics.patterns import find_pattern
from tests.support.problems import ArrayProblem


def check(problem, seed=0, samples=5, directions=2, tolerance=1e-3, spacing=1e-10):
    """Returns a list of `(conclusion, items)`, one for each variable."""
    rng = np.random.default_rng(seed)
    drawn = []
    for k, (gradient, size) in enumerate(
        zip(problem.gradients, problem.sizes, strict=True)
    ):
        drawn += [Direction(k, signs=draw_signs(size, rng)) for _ in range(directions)]
        known = np.zeros(size) if gradient is None else gradient
        entries = draw_coordinates(known, samples, rng)
        drawn += [Direction(k, entry=int(entry)) for entry in entries]
    everyone = range(len(problem.sizes))
    noise = [noise_of(problem, [k], rng, spacing) for k in everyone]
    items = examine(problem, drawn, noise, tolerance)
    items = confirm(problem, items, noise, tolerance, rng)
    items = items + locate(problem, items, noise, tolerance, rng)
    answers = []
    for k, gradient in enumerate(problem.gradients):
        own = [i for i in items if i.direction.variable == k]
        pattern = find_pattern(problem, k, problem.arrays[k].shape, own, rng)
        answers.append((conclude(gradient, own, tolerance, pattern), own))
    return answers


def separable(shape, spoil=lambda g: g, seed=0, **options):
    """`sum(a tanh(w))`, with a gradient to be spoilt, at any point alike."""
    rng = np.random.default_rng(seed)
    a, w = rng.standard_normal((2, *shape))

    def loss(arrays):
        return float(np.sum(a * np.tanh(arrays[0])))

    def gradients(arrays):
        return [spoil(a / np.cosh(arrays[0]) ** 2)]

    return ArrayProblem(loss, [w], gradients, seed=seed, **options)
