"""The screen: many variables in a few sweeps, none wrong that stays unseen."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.judgement import MATCH, ZERO
from keras_gradwatch.check.numerics.noise_measurement import noise_of
from keras_gradwatch.check.numerics.screen import screen
from tests.support.marks import first
from tests.support.problems import (
    ArrayProblem,
    among_kinks,
    network,
    without_influence,
)

SEEDS = first(range(5), 2)
TOLERANCE = 1e-3


def screened(problem, seed=0, **options):
    rng = np.random.default_rng(seed)
    noise = noise_of(problem, [0, len(problem.sizes) - 1], rng)
    problem.evaluations = 0
    return screen(comparator(problem, noise, rng), **options)


def comparator(problem, noise, rng):
    return Comparator(problem, [noise] * len(problem.sizes), TOLERANCE, rng)


def proven(found):
    return {
        i.direction.variable
        for i in found.items
        if i.word == MATCH and i.has_teeth(TOLERANCE)
    }


@pytest.mark.parametrize("count", [1, 4, 50, 200])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_screen_proves_every_variable_at_the_same_price(count, seed):
    problem = network(count, seed=seed)
    found = screened(problem, seed)
    assert not found.suspects
    assert proven(found) | set(found.unproven) == set(range(count))
    assert len(found.unproven) <= 0.02 * count + 1
    assert problem.evaluations <= 8


@pytest.mark.parametrize("spread", [3, 6, 9])
@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_of_very_different_sizes(spread, seed):
    problem = network(60, seed=seed, spread=spread)
    found = screened(problem, seed)
    assert not found.suspects
    sizes = [
        np.linalg.norm(g) * s
        for g, s in zip(problem.gradients, problem.scales, strict=True)
    ]
    visible = {k for k, size in enumerate(sizes) if size > 1e-6}
    assert len(visible - proven(found)) <= 2
    assert problem.evaluations <= 24


def with_faint_ones(factor, seed, bend=1.0):
    """Two variables that count, and six of which next to nothing depends."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(0.5, 1.0, size=20) for _ in range(8)]
    shares = [1.0, 1.0, *[3e-8] * 6]
    pairs = list(zip(shares, arrays, strict=True))
    gradients = [share * bend * np.cos(bend * a) for share, a in pairs]
    gradients[5] = factor * gradients[5]
    return ArrayProblem(
        lambda arrays: sum(
            share * np.sum(np.sin(bend * a))
            for share, a in zip(shares, arrays, strict=True)
        ),
        arrays,
        gradients,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_faint_gradients_are_proven_by_large_steps(seed):
    problem = with_faint_ones(1.0, seed)
    found = screened(problem, seed)
    assert proven(found) == set(range(8))
    assert not found.unproven
    assert problem.evaluations <= 10


@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_wrong_among_faint_gradients_is_not_proven(factor, seed):
    found = screened(with_faint_ones(factor, seed), seed)
    assert 5 not in proven(found)
    assert 5 in [*found.suspects, *found.unproven]


def test_where_the_loss_bends_on_the_way_nothing_is_held_against_faint_gradients():
    found = screened(with_faint_ones(1.0, 0, bend=30.0))
    assert not found.suspects


@pytest.mark.parametrize("factor", [1.01, 0.97, -1.0, 0.0, 2.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_slightly_wrong_among_200_is_singled_out(factor, seed):
    wrong = int(np.random.default_rng(seed).integers(200))
    problem = network(200, lambda k, g: factor * g if k == wrong else g, seed=seed)
    found = screened(problem, seed)
    assert found.suspects == [wrong]
    assert wrong not in proven(found)
    assert problem.evaluations <= 150


@pytest.mark.parametrize("kinks", [0.0, 0.5])
@pytest.mark.parametrize("factor", [1.01, 0.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_small_gradient_is_not_drowned_by_large_ones(factor, kinks, seed):
    def spoil(k, gradient):
        return factor * gradient if k == smallest else gradient

    smallest = -1
    healthy = network(60, spoil, seed=seed, spread=3, kinks=kinks)
    smallest = int(
        np.argmin(
            [
                np.linalg.norm(g) * s
                for g, s in zip(healthy.gradients, healthy.scales, strict=True)
            ]
        )
    )
    found = screened(network(60, spoil, seed=seed, spread=3, kinks=kinks), seed)
    assert found.suspects == [smallest]


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("factor", [1.05, 0.5, 0.0, -1.0])
def test_many_wrong_variables_are_all_suspects(factor, share):
    # As a mistake in one layer has it: everything before it is wrong.
    last = share * 100
    problem = network(100, lambda k, g: factor * g if k < last else g)
    found = screened(problem)
    assert set(found.suspects) == set(range(int(last)))


@pytest.mark.parametrize("seed", first(range(30), 10))
def test_two_mistakes_do_not_cancel_out(seed):
    """Two scalars with twice their gradient: in one sign of two they would."""
    problem = ArrayProblem(
        lambda w: float(w[0][0] + w[1][0]),
        [np.ones(1), np.ones(1)],
        [np.full(1, 2.0), np.full(1, 2.0)],
    )
    assert set(screened(problem, seed).suspects) == {0, 1}


@pytest.mark.parametrize("seed", SEEDS)
def test_one_wrong_entry_is_seen(seed):
    def spoil(k, gradient):
        if k == 8:
            gradient = gradient.copy()
            gradient.flat[77] += np.sqrt(np.mean(gradient**2))
        return gradient

    assert screened(network(100, spoil, seed=seed), seed).suspects == [8]


@pytest.mark.parametrize("seed", SEEDS)
def test_kinks_nearby_do_no_harm(seed):
    problem = network(60, seed=seed, kinks=0.5)
    found = screened(problem, seed)
    # An entry at 1e-8 from its kink is too near for any sweep.
    assert len(found.suspects) <= 2
    assert len(proven(found)) >= 50


def test_kinks_around_the_usual_step_ask_for_a_smaller_one():
    prices = []
    for seed in range(10):
        problem = among_kinks(seed=seed)
        found = screened(problem, seed)
        assert len(found.suspects) <= 1
        assert len(proven(found)) >= 58
        prices.append(problem.evaluations)
    assert np.median(prices) <= 12


@pytest.mark.parametrize("factor", [1.02, 0.0, -1.0])
def test_what_is_wrong_among_kinks_is_suspect(factor):
    for seed in range(10):
        problem = among_kinks(lambda k, g: factor * g if k == 20 else g, seed=seed)
        assert 20 in screened(problem, seed).suspects


@pytest.mark.parametrize("count", [4, 8, 120])
def test_variables_without_influence_come_along_at_no_price(count):
    def spoil(k, gradient):
        return 1e-19 * gradient if k % 2 else gradient

    idle = set(range(1, count, 2))
    problem = without_influence(network(count), idle, spoil)
    found = screened(problem)
    assert not found.suspects
    assert idle == {i.direction.variable for i in found.items if i.word == ZERO}
    assert proven(found) | idle == set(range(count))
    assert problem.evaluations == 4


@pytest.mark.parametrize("count", [8, 120])
def test_zero_gradients_are_neither_proof_nor_suspicion(count):
    """A third None, a third zero, a third zero up to round-off; none matters."""

    def spoil(k, gradient):
        return [gradient, None, np.zeros_like(gradient), 1e-19 * gradient][k % 4]

    problem = network(count, seed=1)
    problem = without_influence(problem, [k for k in range(count) if k % 4], spoil)
    found = screened(problem)
    assert not found.suspects
    assert not {k for k in proven(found) if k % 4}
    zero = {i.direction.variable for i in found.items if i.word == ZERO}
    assert zero == {k for k in range(count) if k % 4}
    assert problem.evaluations <= 12


@pytest.mark.parametrize("gradient", [None, np.zeros(3)])
def test_a_loss_that_is_exactly_zero_all_around(gradient):
    problem = ArrayProblem(lambda arrays: 0.0, [np.ones(3)], [gradient])
    found = screen(
        comparator(problem, noise_of(problem, [0], problem.rng), problem.rng)
    )
    assert {item.word for item in found.items} == {ZERO}
    assert not found.suspects


@pytest.mark.parametrize("claim", ["none", "zero", "round-off"])
@pytest.mark.parametrize("size", [1.0, 1e-4, 1e-8])
def test_a_gradient_that_is_zero_although_the_loss_moves(claim, size):
    def spoil(k, gradient):
        nothing = {"none": None, "zero": 0 * gradient, "round-off": 1e-19 * gradient}
        return nothing[claim] if k in (5, 17, 18) else gradient

    problem = network(40, spoil)
    for k in (5, 17, 18):
        problem.arrays[k] *= size
        problem.scales[k] *= size
    problem = ArrayProblem(problem.loss, problem.arrays, problem.of)
    assert set(screened(problem).suspects) == {5, 17, 18}


def test_a_gradient_that_is_not_finite_is_left_to_the_verdict():
    def spoil(k, gradient):
        return np.full_like(gradient, np.nan) if k == 3 else gradient

    found = screened(network(40, spoil))
    assert not found.suspects
    assert 3 not in proven(found)
    assert len(proven(found)) >= 38


@pytest.mark.parametrize("noise", [1e-14, 1e-12, 1e-8, 1e-3])
@pytest.mark.parametrize("seed", SEEDS)
def test_under_noise_nothing_healthy_is_suspect(noise, seed):
    found = screened(network(60, seed=seed, noise=noise), seed)
    assert not found.suspects


@pytest.mark.parametrize("noise", [1e-14, 1e-12, 1e-8, 1e-3])
@pytest.mark.parametrize("factor", [1.02, 0.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_under_noise_nothing_wrong_is_proven(noise, factor, seed):
    def spoil(k, gradient):
        return factor * gradient if k == 20 else gradient

    found = screened(network(60, spoil, seed=seed, noise=noise), seed)
    assert 20 not in proven(found)


def test_without_budget_for_halving_the_whole_group_is_suspect():
    problem = network(40, lambda k, g: -g if k == 7 else g)
    found = screened(problem, affordable=0)
    assert set(found.suspects) == set(range(40))
    assert problem.evaluations <= 8
    found = screened(network(40, lambda k, g: -g if k == 7 else g), affordable=8)
    assert 7 in found.suspects
    assert 1 < len(found.suspects) < 40


def test_a_loss_that_is_nowhere_finite_but_at_the_point():
    problem = network(8)
    inside = problem.loss
    start = [a.copy() for a in problem.arrays]

    def loss(arrays):
        same = all(np.array_equal(a, b) for a, b in zip(arrays, start, strict=True))
        return inside(arrays) if same else np.nan

    problem.loss = loss
    found = screen(
        comparator(
            problem,
            noise_of(network(8), [0], np.random.default_rng(0)),
            np.random.default_rng(0),
        ),
    )
    assert set(found.suspects) == set(range(8))
