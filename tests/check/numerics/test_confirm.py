"""What excuses a mismatch: a kink of its own variable, and nothing less."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.findings.verdicts import FAIL
from tests.support.pipeline import check
from tests.support.problems import ArrayProblem

SEEDS = range(3)


def gate_and_bias(gradient_of_gate):
    """A smooth gate at zero, beside a bias that is at the kink of its penalty."""

    def loss(arrays):
        gate, bias = arrays
        opened = np.where(gate == 0, 1, np.expm1(gate) / np.where(gate == 0, 1, gate))
        return float(np.sum([1.0, -2.0, 3.0] * opened) + np.sum(np.abs(bias)))

    def gradients(arrays):
        gate, bias = arrays
        right = [1.0, -2.0, 3.0] * (0.5 + gate / 3)
        at_zero = np.where(gate == 0, gradient_of_gate * right, right)
        return [at_zero, np.sign(bias)]

    return ArrayProblem(loss, [np.zeros(3), np.zeros(4)], gradients)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kink_of_another_variable_is_no_excuse(seed):
    (gate, _), (bias, _) = check(gate_and_bias(0.0), seed)
    assert gate.verdict == FAIL
    assert bias.verdict != FAIL
    (gate, _), _ = check(gate_and_bias(1.0), seed)
    assert gate.verdict != FAIL


@pytest.mark.parametrize("seed", SEEDS)
def test_kinks_that_cancel_out_along_a_direction_are_one(seed):
    """relu(a) - relu(-b): smooth where both move alike, and the tape gives 0."""

    def loss(arrays):
        [w] = arrays
        return float(np.maximum(w[0], 0) - np.maximum(-w[1], 0) + 1)

    def gradients(arrays):
        [w] = arrays
        return [np.array([float(w[0] > 0), float(w[1] < 0)])]

    [(answer, _)] = check(ArrayProblem(loss, [np.zeros(2)], gradients), seed)
    assert answer.verdict != FAIL


@pytest.mark.parametrize("seed", range(8))
def test_round_off_that_looks_like_a_kink_excuses_nothing(seed):
    """As `eigh` at equal eigenvalues: exact at the point, less so around it."""
    rng = np.random.default_rng(seed)

    def loss(arrays):
        [w] = arrays
        rough = 4e-16 * rng.standard_normal() * np.any(np.abs(w) > 1e-8)
        return float(np.sum(np.sin(w)) + 1 + rough)

    def gradients(arrays):
        [w] = arrays
        return [np.where(w == 0, 0.0, np.cos(w))]

    [(answer, _)] = check(ArrayProblem(loss, [np.zeros(3)], gradients), seed)
    assert answer.verdict == FAIL
