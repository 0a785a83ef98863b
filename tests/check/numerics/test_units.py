"""Steps follow the size of the entries."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.units import unit_of, units_of
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS
from tests.support.pipeline import check
from tests.support.problems import ArrayProblem, network

POINT = np.array([0.7, 1.3, 2.1, 0.9])
WIDE = np.array([1e-12, 1.0, 1e6, 3e-5, 0.2])
FUNCTIONS = {
    "1/x": (lambda x: 1 / x, lambda x: -1 / x**2),
    "log": (np.log, lambda x: 1 / x),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "square": (np.square, lambda x: 2 * x),
    "abs": (np.abs, np.sign),
    # The small entries matter little to the value, and a lot to the slope.
    "faint log": (lambda x: 1 + x + 1e-20 * np.log(x), lambda x: 1 + 1e-20 / x),
}


def problem_of(name, x, factor: float | np.ndarray = 1.0):
    f, slope = FUNCTIONS[name]

    def loss(arrays):
        with np.errstate(invalid="ignore"):
            return float(np.sum(f(arrays[0]) * np.linspace(1, 2, x.size)))

    def gradients(arrays):
        with np.errstate(invalid="ignore"):
            return [factor * slope(arrays[0]) * np.linspace(1, 2, x.size)]

    problem = ArrayProblem(loss, [x], gradients)
    problem.scales = [max(problem.scales[0], 1e-2)]  # as the replica has it
    return problem


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("1/x", 1e-12 * POINT),
        ("1/x", 1e12 * POINT),
        ("1/x", WIDE),
        ("log", 1e-30 * POINT),
        ("log", WIDE),
        ("sqrt", 1e-20 * POINT),
        ("sqrt", WIDE),
        ("square", 1e-9 * POINT),
        ("square", 1e9 * POINT),
        ("abs", WIDE),
        ("faint log", WIDE),
    ],
)
def test_entries_of_any_size(name, x):
    [(answer, _)] = check(problem_of(name, x))
    assert answer.verdict == PASS
    if name != "faint log":
        [(answer, _)] = check(problem_of(name, x, 0.5))
        assert answer.verdict == FAIL


def test_an_entry_that_is_most_of_the_gradient_is_compared_or_missed():
    x = np.array([1e-12, 1e-6, 1.0, 1e6])
    [(answer, _)] = check(problem_of("sqrt", x))
    assert (answer.verdict, answer.cause) == (PASS, None)
    [(answer, _)] = check(problem_of("sqrt", x, np.array([0.5, 1.0, 1.0, 1.0])))
    assert answer.verdict in (FAIL, INCONCLUSIVE)


def test_usual_weights_keep_the_unit_of_their_variable():
    problem = network(8)
    for k, scale in enumerate(problem.scales):
        ones = Direction(k, signs=np.ones(problem.sizes[k], np.int8))
        assert unit_of(problem, ones) == unit_of(problem, Direction(k, entry=0))
        assert unit_of(problem, ones) == scale
        assert np.all(units_of(problem, k) == scale)
