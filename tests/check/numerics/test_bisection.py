"""Bisection names a wrong entry in O(log n) losses."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.bisection import bisect
from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
from keras_gradwatch.check.numerics.noise_measurement import noise_of
from tests.support.pipeline import separable
from tests.support.problems import at


def bisected(problem, rng):
    size = problem.sizes[0]
    noise = [noise_of(problem, [0], rng)]
    direction = Direction(0, signs=draw_signs(size, rng))
    [item] = Comparator(problem, noise, 1e-3, rng).at_all_steps([direction])
    problem.evaluations = 0
    return bisect(problem, item)


@pytest.mark.parametrize("size", [2, 3, 100, 4096])
def test_the_wrong_entry_is_found(size, rng):
    for _ in range(10):
        entry = int(rng.integers(size))
        problem = separable((size,), at(entry, -1.0), seed=int(rng.integers(1000)))
        assert bisected(problem, rng) == entry
        assert problem.evaluations <= 2 * np.ceil(np.log2(size))


def test_one_of_several_wrong_entries_is_found(rng):
    wrong = [3, 50, 77]
    problem = separable((100,), at(wrong, -1.0))
    assert bisected(problem, rng) in wrong


def test_a_healthy_gradient_has_nothing_to_find(rng):
    assert bisected(separable((100,)), rng) is None


def test_no_gradient_counts_as_zero(rng):
    problem = separable((100,))
    problem.gradients = [None]
    assert bisected(problem, rng) is not None
