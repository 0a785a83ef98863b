"""Which entries and directions are drawn."""

from __future__ import annotations

import numpy as np

from keras_gradwatch.check.numerics.directions import (
    Direction,
    draw_coordinates,
    draw_signs,
)


def test_drawn_entries_are_distinct_sorted_and_as_many_as_asked_for(rng):
    for size in (6, 10, 1000):
        for samples in range(6):
            drawn = draw_coordinates(rng.standard_normal(size), samples, rng)
            assert len(drawn) == samples
            assert np.all(np.diff(drawn) > 0)
            assert np.all((drawn >= 0) & (drawn < size))


def test_a_small_variable_is_drawn_whole(rng):
    for size in range(6):
        drawn = draw_coordinates(np.zeros(size), 5, rng)
        np.testing.assert_array_equal(drawn, np.arange(size))


def test_half_of_the_draw_looks_where_the_gradient_is(rng):
    gradient = np.zeros(10_000)
    gradient[[17, 42, 99]] = 1e-9
    for _ in range(50):
        drawn = set(draw_coordinates(gradient, 6, rng))
        assert {17, 42, 99} <= drawn
        assert len(drawn) == 6


def test_half_of_the_draw_is_uniform(rng):
    gradient = np.zeros(100)
    gradient[:50] = 1.0
    drawn = np.concatenate([draw_coordinates(gradient, 4, rng) for _ in range(500)])
    share = np.mean(drawn >= 50)
    assert 0.2 < share < 0.3  # half of the uniform half


def test_an_entry_of_a_large_gradient_is_drawn_more_often(rng):
    gradient = np.r_[np.ones(99), 99.0]
    often = sum(99 in draw_coordinates(gradient, 2, rng) for _ in range(400))
    assert 170 < often < 250


def test_what_is_not_finite_does_not_disturb_the_draw(rng):
    gradient = np.full(20, np.nan)
    gradient[3] = np.inf
    assert len(set(draw_coordinates(gradient, 5, rng))) == 5


def test_the_same_seed_draws_the_same():
    gradient = np.arange(100.0)
    first, second = (
        draw_coordinates(gradient, 5, np.random.default_rng(3)) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    a, b = (draw_signs(50, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_signs_are_fair_and_estimate_the_norm(rng):
    error = rng.standard_normal(200)
    signs = [draw_signs(200, rng) for _ in range(2000)]
    assert set(np.unique(signs)) == {-1, 1}
    estimate = np.mean([(s @ error) ** 2 for s in signs])
    np.testing.assert_allclose(estimate, error @ error, rtol=0.15)


def test_the_slope_and_norm_of_a_gradient_along_a_direction():
    gradient = np.array([1.0, -2.0, 4.0])
    entry = Direction(0, entry=1)
    assert entry.is_coordinate
    assert (entry.slope(gradient), entry.norm(gradient)) == (-2.0, 2.0)
    part = Direction(0, signs=np.array([1, 0, -1], dtype=np.int8))
    assert not part.is_coordinate
    assert part.slope(gradient) == -3.0
    assert part.norm(gradient) == np.sqrt(17)
