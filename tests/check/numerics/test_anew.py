"""What failed stays found: proven anew, first, by one direction."""

from __future__ import annotations

import pytest

from keras_gradwatch.check.numerics.judgement import MATCH, MISMATCH
from tests.check.numerics.test_compare import alone, compared, wrong
from tests.support.problems import network

WRONG = set(range(5))


def spoilt(factor=-1.0, **options):
    return network(12, lambda k, g: factor * g if k in WRONG else g, seed=1, **options)


@pytest.fixture(scope="module")
def known():
    """A check that had time for everything, and what it leaves behind."""
    found, past = compared(spoilt())
    assert wrong(found) == WRONG
    return past


def test_one_direction_each_proves_it_anew(known):
    problem = spoilt()
    found, _ = compared(problem, 20, known, seed=1)
    assert wrong(found) == WRONG
    assert not found.known
    assert not found.pending
    # Two losses each, four to screen the others, and what time is left.
    assert {len(found.of(k)) for k in WRONG} == {1}
    assert problem.evaluations <= 40


def test_what_it_looks_like_is_not_searched_for_again(known):
    found, _ = compared(spoilt(), 20, known, seed=2)
    assert all(found.patterns[k].kind == "sign" for k in WRONG)
    found, _ = compared(spoilt(0.5), 200, known, seed=2)
    assert all(found.patterns[k].kind == "scaled" for k in WRONG)


def test_without_time_one_is_proven_and_none_forgotten(known):
    for seed in range(6):
        problem = spoilt()
        found, past = compared(problem, 0, known, seed=seed)
        assert wrong(found) | found.known == WRONG
        assert wrong(found)
        assert problem.evaluations <= 30
        assert {i.direction.variable for i in found.items if i.word == MATCH} == set(
            range(12)
        ) - WRONG
    assert set(past.failed) == WRONG


@pytest.mark.parametrize("pairs", [0, 10, 1000])
def test_what_is_right_by_now_is_right(pairs):
    found, past = compared(spoilt())
    for seed in range(6):
        found, past = compared(network(12, seed=1), pairs, past, seed=seed)
        assert not wrong(found)
    assert not found.known
    assert not past.failed


def test_an_entry_is_proven_anew_along_itself():
    def spoil(k, gradient):
        if k == 4:
            gradient = gradient.copy()
            gradient.flat[7] *= -1
        return gradient

    problem = network(12, spoil, seed=1)
    found, past = compared(problem)
    assert wrong(found) == {4}
    found, _ = compared(network(12, spoil, seed=1), 20, past, seed=1)
    [item] = [i for i in found.items if i.word == MISMATCH]
    assert item.direction.entry == 7


def test_what_the_last_check_had_no_time_for_comes_first():
    problem = network(40, lambda k, g: -g if k < 30 else g, seed=1)
    found, past = compared(problem, pairs=0)
    for seed in range(3):
        before = set(past.pending)
        found, past = compared(problem, 0, past, seed=seed)
        new = alone(found) - set(past.failed) | (wrong(found) & before)
        assert new
        assert new <= before


def test_noise_does_not_make_it_unknown(known):
    problem = spoilt(noise=1.0)
    past = known
    found, _ = compared(problem, 1000, past, seed=3)
    assert wrong(found) | found.known == WRONG
