"""The word for one comparison, and whether it has teeth."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics import judgement
from keras_gradwatch.check.numerics.differences import Slope


def slope(numerical, bar, **options):
    return Slope(numerical, bar, 1e-6, unit_roundoff=1e-16, **options)


@pytest.mark.parametrize(
    ("analytic", "seen", "word"),
    [
        (1.0, slope(1.0, 1e-9), judgement.MATCH),
        (1.001, slope(1.0, 1e-9), judgement.MATCH),
        (1.003, slope(1.0, 1e-9), judgement.MISMATCH),
        (-1.0, slope(1.0, 1e-9), judgement.MISMATCH),
        (0.0, slope(1.0, 1e-9), judgement.MISMATCH),
        (1.0, slope(0.0, 1e-9), judgement.MISMATCH),
        (1.003, slope(1.0, 2e-3), judgement.NOISY),
        (1.0, slope(1.0, 1e-2), judgement.NOISY),
        (0.0, slope(0.0, 0.0), judgement.ZERO),
        (1e-9, slope(-1e-9, 1e-8), judgement.ZERO),
        (1.0, slope(np.nan, np.inf), judgement.NONFINITE),
        (np.nan, slope(1.0, 1e-9), judgement.NONFINITE),
        (5.0, slope(1.0, 1e-9, jump=True), judgement.JUMP),
        (1e-12, slope(0.5e-12, 1e-20), judgement.MISMATCH),
        (1e30, slope(1e30, 1e20), judgement.MATCH),
    ],
)
def test_the_word(analytic, seen, word):
    assert judgement.judge(analytic, seen, 1e-3).word == word


@pytest.mark.parametrize(
    ("analytic", "word"),
    [
        (0.5, judgement.MATCH),
        (0.0, judgement.KINK),
        (1.0, judgement.KINK),
        (2.0, judgement.MISMATCH),
    ],
)
def test_at_a_kink_any_slope_between_is_right(analytic, word):
    at_kink = slope(
        0.5,
        1e-9,
        kink=True,
        left=np.zeros(3),
        right=np.ones(3),
        roundoff=np.full(3, 1e-9),
    )
    assert judgement.judge(analytic, at_kink, 1e-3).word == word


def test_a_deviation_that_only_the_largest_steps_show_is_noisy():
    seen = Slope(1.0, 1e-9, 1e-1, unit_roundoff=1e-2)
    assert judgement.judge(0.5, seen, 1e-3).word == judgement.NOISY


def test_the_relative_error_is_that_of_the_seed():
    assert judgement.relative_error(1.0, 3.0) == 0.5
    assert judgement.relative_error(0.0, 0.0) == 0.0
    assert judgement.relative_error(1.0, -1.0) == 1.0
    assert judgement.relative_error(0.0, 1.0, floor=3.0) == 0.25


def test_the_resolution_is_what_could_have_been_seen():
    assert judgement.judge(1.0, slope(1.0, 1e-2), 1e-3).resolution == 5e-3
    assert judgement.judge(0.0, slope(0.0, 0.0), 1e-3).resolution == 1.0


def test_teeth_are_proven_by_spoiling():
    assert judgement.has_teeth(1.0, slope(1.0, 1e-6), 1e-3)
    assert not judgement.has_teeth(1.0, slope(1.0, 5e-3), 1e-3)
    assert not judgement.has_teeth(0.0, slope(0.0, 0.0), 1e-3)
    # Next to a large gradient, a small slope says nothing.
    assert not judgement.has_teeth(1e-3, slope(1e-3, 1e-9), 1e-3, floor=1.0)
    noisy = Slope(1.0, 1e-9, 1e-1, unit_roundoff=1e-2)
    assert not judgement.has_teeth(1.0, noisy, 1e-3)


def test_what_round_off_of_the_gradient_explains_is_zero():
    # A bias before batch normalisation, at a perfect fit: the loss does not move.
    still = Slope(0.0, 1e-24, 1e-1)
    assert judgement.judge(1e-16, still, 1e-3).word != judgement.ZERO
    assert judgement.judge(1e-16, still, 1e-3, roundoff=1e-14).word == judgement.ZERO
    assert judgement.judge(1e-3, still, 1e-3, roundoff=1e-14).word != judgement.ZERO
