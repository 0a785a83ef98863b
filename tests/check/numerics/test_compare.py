"""A whole comparison under a budget: what is looked at, and what is left."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.judgement import MATCH
from tests.support.comparing import alone, compared, wrong
from tests.support.problems import ArrayProblem, among_kinks, network


def test_with_time_enough_all_are_looked_at_alone():
    found, past = compared(network(12))
    assert alone(found) == set(range(12))
    assert not found.pending
    assert not wrong(found)
    assert past.looks == [1] * 12


def test_without_time_there_is_the_screen():
    found, _ = compared(network(12), pairs=0)
    assert not alone(found)
    assert {i.direction.variable for i in found.items} == set(range(12))
    assert not found.pending


def test_what_is_left_goes_to_those_seen_least():
    problem, past = network(40), None
    _, past = compared(problem, pairs=0)
    seen = []
    for seed in range(12):
        found, past = compared(problem, pairs=50, past=past, seed=seed)
        seen.append(alone(found))
        assert problem.evaluations <= 100
    assert max(past.looks) - min(past.looks) <= 1
    assert all(seen)
    assert set.union(*seen[:10]) == set(range(40))


def test_an_entry_lost_in_noise_is_not_worth_a_close_look_under_a_budget():
    """The gradients of most entries are too small for this noise."""
    problem = network(12, spread=4, noise=1e-9)
    _, past = compared(problem, pairs=0)
    for seed in range(12):
        found, past = compared(problem, pairs=30, past=past, seed=seed)
        assert problem.evaluations <= 70
        assert not wrong(found)
        assert not found.pending
    # Compared they were, but those that a sweep proves: others are due the next time.
    looks = [count for count in past.looks if count]
    assert max(looks) - min(looks) <= 2
    never = {k for k, count in enumerate(past.looks) if not count}
    assert never <= {i.direction.variable for i in found.items if i.word == MATCH}


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_what_larger_steps_show_to_be_wrong_is_found_under_a_budget(factor):
    """A small gradient, which is lost in noise at the first step."""
    found_in_time = 0
    for seed in range(10):
        usual = network(12, seed=seed)
        size = 10 ** np.random.default_rng(seed).uniform(-5, -3)
        start = [a.copy() for a in usual.arrays]

        def shrunk(arrays, size=size, start=start):
            return [
                start[k] + size * (x - start[k]) if k == 3 else x
                for k, x in enumerate(arrays)
            ]

        def loss(arrays, usual=usual, shrunk=shrunk):
            return usual.loss(shrunk(arrays))

        def gradients(arrays, usual=usual, shrunk=shrunk, size=size):
            found = usual.of(shrunk(arrays))
            return [factor * size * g if k == 3 else g for k, g in enumerate(found)]

        problem = ArrayProblem(loss, start, gradients, noise=1e-9, seed=seed)
        past = None
        for turn in range(12):
            found, past = compared(problem, 30, past, seed=100 * seed + turn)
            assert wrong(found) <= {3}
            if wrong(found):
                found_in_time += 1
                break
    assert found_in_time == 10


@pytest.mark.parametrize("factor", [0.0, 0.9, -1.0])
def test_one_wrong_variable_is_found_whatever_the_budget(factor):
    problem = network(40, lambda k, g: factor * g if k == 17 else g)
    found, _ = compared(problem, pairs=150)
    assert wrong(found) == {17}
    assert not found.pending


def test_of_many_wrong_at_least_one_is_found_and_the_others_are_pending():
    problem = network(40, lambda k, g: -g if k < 30 else g)
    found, past = compared(problem, pairs=0)
    assert len(wrong(found)) == 1
    assert wrong(found) | found.pending >= set(range(30))
    more, _ = compared(problem, pairs=0, past=past)
    assert len(wrong(more)) == 2
    assert wrong(more) > wrong(found)


def test_suspicion_gets_extra_time():
    problem = network(12, lambda k, g: -g if k < 5 else g)
    found, _ = compared(problem, pairs=5, extra=10**5)
    assert wrong(found) == set(range(5))
    assert not found.pending


def test_kinks_that_a_sweep_passes_over_are_no_reason_to_look_at_everything():
    prices = []
    for seed in range(10):
        problem = among_kinks(seed=seed)
        _, past = compared(problem, pairs=0)
        found, _ = compared(problem, pairs=5, past=past, seed=seed, extra=10**4)
        assert not wrong(found)
        assert not found.pending
        prices.append(problem.evaluations)
    # Of all variables one by one it would be 14 losses of each.
    assert max(prices) <= 14 * 60 / 2


def test_noise_of_the_past_does_not_make_a_mismatch():
    problem = network(12)
    _, past = compared(problem)
    noisy = network(12, noise=1e-9)
    for seed in range(5):
        found, past = compared(noisy, pairs=60, past=past, seed=seed)
        assert not wrong(found)
