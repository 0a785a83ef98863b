"""What the reason of a FAIL says: the words are a contract."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.findings.sentences import because
from keras_gradwatch.findings.verdicts import FAIL
from tests.support.pipeline import check, separable
from tests.support.problems import at

SEEDS = range(5)


def reason(shape, spoil, seed):
    [(answer, _)] = check(separable(shape, spoil, seed=seed), seed)
    assert answer.verdict == FAIL
    return because(answer.cause)


@pytest.mark.parametrize("shape", [(), (7,), (8, 8), (3, 3, 4, 6)])
@pytest.mark.parametrize("seed", SEEDS)
def test_changes_of_the_whole_gradient(shape, seed):
    assert (
        reason(shape, lambda g: 0.5 * g, seed)
        == "The gradient is 0.5 times what differences give."
    )
    assert reason(shape, lambda g: 3 * g, seed).startswith(
        "The gradient is 3 times what differences give."
    )
    assert reason(shape, lambda g: -g, seed).startswith(
        "The gradient has the wrong sign: it gives a slope of "
    )
    assert reason(shape, lambda g: 0 * g, seed).startswith(
        "The gradient is zero everywhere, but the loss depends on it: it gives a "
        "slope of 0 where differences give "
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_one_entry(seed):
    def spoil(gradient):
        gradient = gradient.copy()
        gradient[3, 7] = 2.0
        return gradient

    assert reason((8, 9), spoil, seed).startswith(
        "Only entry [3, 7] is wrong: it has a slope of 2 where differences give "
    )


@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_row_column_or_slice(factor, seed):
    start = "is wrong. There the gradient gives a slope of "
    cases = {
        "Only row 5 (axis 0) ": ((16, 12), np.s_[5]),
        "Only column 7 (axis 1) ": ((16, 12), np.s_[:, 7]),
        "Only slice 2 (axis 3) ": ((3, 3, 4, 6), np.s_[..., 2]),
    }
    for words, (shape, index) in cases.items():
        assert reason(shape, at(index, factor), seed).startswith(words + start)


@pytest.mark.parametrize("seed", SEEDS)
def test_transposed(seed):
    def reshaped(gradient):
        return gradient.T.reshape(gradient.shape)

    for shape, spoil in (
        ((8, 8), np.transpose),
        ((6, 9), reshaped),
        ((3, 5, 5), lambda g: np.swapaxes(g, -1, -2)),
    ):
        assert reason(shape, spoil, seed) == (
            "The gradient is transposed: with its last two axes swapped it agrees "
            "with differences."
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_reversed(seed):
    for axis in (0, 1):
        assert reason((9, 8), lambda g, a=axis: np.flip(g, a), seed) == (
            f"The gradient is reversed along axis {axis}: flipped back it agrees "
            "with differences."
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_pattern_both_slopes_are_said(seed):
    other = np.random.default_rng(99).standard_normal((8, 9))
    words = reason((8, 9), lambda g: g + other, seed)
    assert words.startswith("The gradient gives a slope of ")
    assert " where differences give " in words
    assert " +- " in words
