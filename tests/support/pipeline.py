"""One whole check of a NumPy problem, as `compare` does it for a model."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.bisection import locate
from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.conclusion import conclude
from keras_gradwatch.check.numerics.confirm import confirm
from keras_gradwatch.check.numerics.directions import (
    Direction,
    draw_coordinates,
    draw_signs,
)
from keras_gradwatch.check.numerics.looks import first_looks, look_again, second_looks
from keras_gradwatch.check.numerics.loss_at_point import is_still
from keras_gradwatch.check.numerics.noise_measurement import noise_of
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
    comparator = Comparator(problem, noise, tolerance, rng)
    items = confirm(comparator, examine(comparator, drawn))
    items = items + locate(comparator, items)
    answers = []
    for k, gradient in enumerate(problem.gradients):
        own = [i for i in items if i.direction.variable == k]
        pattern = find_pattern(comparator, k, problem.arrays[k].shape, own)
        is_zero = is_still(problem, k)
        answers.append((conclude(gradient, own, tolerance, pattern, is_zero), own))
    return answers


def examine(comparator, directions):
    """Compares along each direction: a first look at all, others at suspects."""
    items, unclear = first_looks(comparator, directions)
    items, unclear = look_again(comparator, items, unclear)
    return second_looks(comparator, items, unclear)[0]


def separable(shape, spoil=lambda g: g, seed=0, **options):
    """`sum(a tanh(w))`, with a gradient to be spoilt, at any point alike."""
    rng = np.random.default_rng(seed)
    a, w = rng.standard_normal((2, *shape))

    def loss(arrays):
        return float(np.sum(a * np.tanh(arrays[0])))

    def gradients(arrays):
        return [spoil(a / np.cosh(arrays[0]) ** 2)]

    return ArrayProblem(loss, [w], gradients, seed=seed, **options)
