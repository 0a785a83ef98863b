"""Gradients that are symmetric by convention, and those that are so by mistake."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.conclusion import conclude
from keras_gradwatch.findings.verdicts import FAIL, PASS
from tests.support import comparing
from tests.support.problems import ArrayProblem

N = 4
A = np.random.default_rng(0).standard_normal((N, N))


def lower_triangle(x):
    return np.tril(x) + np.swapaxes(np.tril(x, -1), -1, -2)


def problem_of(reads, start, spoil=lambda g: g):
    """A loss of a matrix of which `reads` makes what it is computed from."""

    def loss(arrays):
        return float(np.sum(A * np.tanh(reads(arrays[0]))) + 1)

    def gradients(arrays):
        slope = A / np.cosh(reads(arrays[0])) ** 2
        return [spoil((slope + slope.T) / 2)]

    return ArrayProblem(loss, [start], gradients)


def compared(problem, past=None):
    found, past = comparing.compared(problem, 1000, past)
    return found, conclude(problem.gradients[0], found.of(0), 1e-3).verdict, past


SYMMETRIC = (A + A.T) / 2


def test_of_one_triangle_symmetric_changes_decide_and_are_remembered():
    problem = problem_of(lower_triangle, SYMMETRIC)
    found, verdict, past = compared(problem)
    assert verdict == PASS
    assert set(found.symmetric) == {0}
    found, verdict, _ = compared(problem, past)
    assert verdict == PASS
    assert set(found.symmetric) == {0}
    assert problem.evaluations <= 4


@pytest.mark.parametrize("factor", [0.5, -1.0, 1.02])
def test_a_mistake_shows_along_symmetric_changes_too(factor):
    problem = problem_of(lower_triangle, SYMMETRIC, lambda g: factor * g)
    found, verdict, _ = compared(problem)
    assert verdict == FAIL
    assert not found.symmetric


@pytest.mark.parametrize("start", [np.eye(N), SYMMETRIC, np.ones((N, N))])
def test_a_loss_that_reads_all_is_not_excused_by_a_symmetric_gradient(start):
    _, verdict, _ = compared(problem_of(lambda x: x, start))
    assert verdict == FAIL


def test_nor_is_a_matrix_that_is_not_symmetric():
    _, verdict, _ = compared(problem_of(lower_triangle, np.tril(A)))
    assert verdict == FAIL
