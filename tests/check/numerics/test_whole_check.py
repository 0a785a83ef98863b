"""A whole check of one variable: which verdict, and where the mistake is."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.judgement import MISMATCH, ZERO
from keras_gradwatch.findings import verdicts
from keras_gradwatch.findings.sentences import because
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS, UNUSED
from tests.support.marks import first
from tests.support.pipeline import check, separable
from tests.support.problems import ArrayProblem, at

SEEDS = range(5)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (64, 64), (3, 3, 8, 4)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_healthy_variable_passes(shape, seed):
    [(answer, items)] = check(separable(shape, seed=seed), seed)
    assert answer.verdict == PASS
    assert answer.relative_error < 1e-4
    assert answer.resolution < 1e-3
    assert any(i.has_teeth(1e-3) for i in items)


@pytest.mark.parametrize("factor", [0.5, 1.003, -1.0, 0.0])
@pytest.mark.parametrize("shape", [(), (7,), (64, 64)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_factor_fails(shape, factor, seed):
    problem = separable(shape, lambda g: factor * g, seed=seed)
    [(answer, _)] = check(problem, seed)
    assert answer.verdict == FAIL
    assert (
        answer.relative_error
        == pytest.approx(abs(1 - factor) / (1 + abs(factor)), rel=0.2)
        or factor == -1
    )


def spoilt_entry(size, seed):
    """An entry whose derivative is of the usual size."""
    gradient = np.abs(separable((size,), seed=seed).gradients[0])
    return int(np.argsort(gradient)[int(0.8 * size)])


def named(items):
    wrong = [i.direction for i in items if i.word == MISMATCH]
    return {d.entry for d in wrong if d.is_coordinate}


@pytest.mark.parametrize("factor", [0.0, -1.0, 3.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_wrong_entry_in_a_kernel_is_named(factor, seed):
    entry = spoilt_entry(64 * 64, seed)
    problem = separable((64 * 64,), at(entry, factor), seed=seed)
    [(answer, items)] = check(problem, seed)
    assert answer.verdict == FAIL
    assert named(items) == {entry}
    assert problem.evaluations < 300


@pytest.mark.parametrize("seed", first([0, 1]))
def test_one_wrong_entry_in_a_million_is_named(seed):
    entry = spoilt_entry(10**6, seed)
    problem = separable((10**6,), at(entry, -1.0), seed=seed)
    [(answer, items)] = check(problem, seed)
    assert answer.verdict == FAIL
    assert named(items) == {entry}


@pytest.mark.parametrize("index", [np.s_[3], np.s_[:, 5]])
@pytest.mark.parametrize("factor", [0.0, 0.5, -1.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_one_wrong_row_or_column_fails(index, factor, seed):
    [(answer, _)] = check(separable((64, 64), at(index, factor), seed=seed), seed)
    assert answer.verdict == FAIL


@pytest.mark.parametrize("seed", SEEDS)
def test_a_transposed_gradient_fails(seed):
    [(answer, _)] = check(separable((8, 8), np.transpose, seed=seed), seed)
    assert answer.verdict == FAIL


def one(loss, gradient, w, **options):
    problem = ArrayProblem(lambda arrays: loss(arrays[0]), [w], gradient, **options)
    [(answer, items)] = check(problem)
    return answer, items


def test_no_gradient_of_a_used_variable_fails():
    answer, _ = one(np.sum, lambda arrays: [None], np.ones(3))
    assert answer.verdict == FAIL
    assert "None" in because(answer.cause)


def test_no_gradient_of_an_unused_variable_is_unused():
    answer, _ = one(lambda w: 3.0, lambda arrays: [None], np.ones(3))
    assert answer.verdict == UNUSED


def test_a_gradient_that_is_not_finite_fails():
    for value in (np.nan, np.inf):
        gradient = np.array([1.0, value, 1.0])
        answer, _ = one(np.sum, lambda arrays, g=gradient: [g], np.ones(3))
        assert answer.verdict == FAIL
        assert "1 of 3" in because(answer.cause)


def test_a_variable_without_influence_is_zero():
    answer, items = one(lambda w: 3.0, lambda arrays: [np.zeros(3)], np.ones(3))
    assert answer.verdict == verdicts.ZERO
    assert {i.word for i in items} == {ZERO}


def test_round_off_instead_of_zero_is_zero():
    """As a bias before batch normalisation has."""
    gradient = np.array([3e-17, -2e-17, 5e-17])
    answer, _ = one(lambda w: 3.0, lambda arrays: [gradient], np.ones(3))
    assert answer.verdict == verdicts.ZERO


def test_a_loss_drowned_in_noise_is_inconclusive():
    for factor in (1.0, 0.5):
        problem = separable((8,), lambda g, f=factor: f * g, noise=10.0)
        [(answer, _)] = check(problem)
        assert answer.verdict == INCONCLUSIVE


def test_nothing_compared_is_inconclusive():
    [(answer, items)] = check(separable((8,)), samples=0, directions=0)
    assert answer.verdict == INCONCLUSIVE
    assert not items


@pytest.mark.parametrize("seed", SEEDS)
def test_in_float32_half_a_gradient_fails_and_a_whole_one_does_not(seed):
    for factor, allowed in ((1.0, {PASS, INCONCLUSIVE}), (0.5, {FAIL})):
        problem = separable(
            (64,), lambda g, f=factor: f * g, seed=seed, dtype=np.float32
        )
        [(answer, _)] = check(problem, seed, spacing=1e-5)
        assert answer.verdict in allowed


@pytest.mark.parametrize("scale", [1e30, 1e9, 1e-10, 1e-30])
def test_the_size_of_the_loss_does_not_matter(scale):
    a = np.random.default_rng(0).standard_normal(16)

    def loss(w):
        return float(scale * np.sum(a * np.sin(w)))

    for factor, verdict in ((1.0, PASS), (0.5, FAIL)):
        answer, _ = one(
            loss, lambda arrays, f=factor: [f * scale * a * np.cos(arrays[0])], a
        )
        assert answer.verdict == verdict


def test_a_healthy_check_costs_two_losses_for_each_comparison():
    problem = separable((64, 64))
    [(_, items)] = check(problem)
    assert problem.evaluations == 1 + 8 + 2 * len(items)
