"""Slopes, their error bars, and the noise of a loss."""

from __future__ import annotations

import numpy as np
import pytest

from keras_gradwatch.check.numerics.differences import (
    LADDER,
    Slope,
    close_look,
    first_look,
)
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.noise_measurement import measure_noise

TINY = Noise(4e-16, 4e-16)


def look(f, noise=TINY):
    return close_look(LADDER, f(LADDER), f(-LADDER), float(f(np.zeros(1))[0]), noise)


@pytest.mark.parametrize(
    ("f", "derivative"),
    [
        (lambda t: 1 + 3 * t, 3),
        (lambda t: np.exp(t), 1),
        (lambda t: np.sin(1e3 * t), 1e3),
        (lambda t: 1 + t**2, 0),
        (lambda t: 5 + 0 * t, 0),
        (lambda t: np.tanh(t / 1e-4), 1e4),
    ],
)
def test_on_smooth_ground_the_error_bar_holds(f, derivative):
    slope = look(f)
    assert not slope.kink
    assert not slope.jump
    assert slope.error_bar <= 1e-5 * max(1, abs(derivative))
    assert abs(slope.numerical - derivative) <= slope.error_bar


def test_noise_widens_the_error_bar_enough(rng):
    for level in (1e-12, 1e-8, 1e-4):

        def f(t, level=level):
            return np.exp(t) + level * rng.standard_normal(t.shape)

        for _ in range(100):
            slope = look(f, Noise(4 * level))
            assert abs(slope.numerical - 1) <= slope.error_bar


def test_a_kink_and_its_two_slopes_are_seen():
    slope = look(lambda t: np.where(t > 0, 3 * t, -t))
    assert slope.kink
    assert (slope.left[-1], slope.right[-1]) == pytest.approx((-1, 3))
    assert slope.allows(-1)
    assert slope.allows(2.9)
    assert not slope.allows(3.1)


def test_a_jump_is_seen():
    assert look(lambda t: np.where(t > 0, 1.0, 0.0) + t).jump


def test_what_is_not_finite_is_left_out():
    slope = look(lambda t: np.where(np.abs(t) < 1e-2, 2 * t, np.nan))
    assert slope.numerical == pytest.approx(2)
    assert np.isnan(look(lambda t: np.where(t == 0, 1.0, np.nan)).numerical)


def test_a_first_look_is_a_plain_difference():
    slope = first_look(0.5, 2.0, 4.0, 1.0, Noise(0.25))
    assert slope.numerical == 3.0
    assert slope.error_bar == 0.5
    assert slope.unit_roundoff == 0.125


def test_a_deviation_is_shown_by_steps_that_are_large_enough():
    slope = Slope(1.0, 0.0, 1.0, unit_roundoff=1e-6)
    assert slope.shows(2.0, 1e-2)
    assert not slope.shows(2.0, 1e-6)
    assert not slope.shows(1.0, 1e-2)


def test_measured_noise_bounds_the_noise(rng):
    points = np.arange(1.0, 9.0) * 1e-10
    for level in (1e-14, 1e-8, 1e-2):
        found = [
            measure_noise(1 + points + level * rng.standard_normal(8)).floor / level
            for _ in range(300)
        ]
        # Eight points: at worst a bit low, which the agreement of steps makes up for.
        assert np.quantile(found, 0.01) > 0.4
        assert 2.5 < np.median(found) < 4.5
        assert np.quantile(found, 0.99) < 12


def test_noise_is_at_least_the_rounding_of_the_values():
    values = 1 + np.pi * 1e-3 * np.arange(8)
    assert measure_noise(values).floor >= 2.0**-52
    single = measure_noise(values.astype(np.float32))
    assert 2.0**-23 <= single.floor <= 1e-5
    assert measure_noise(np.full(8, np.float32(0.7))).floor >= 0.7 * 2.0**-23


def test_noise_of_what_is_not_finite_is_infinite():
    assert measure_noise(np.r_[np.ones(7), np.nan]).floor == np.inf


def test_noise_grows_with_the_loss_and_unites_by_the_worse():
    noise = Noise(1e-3, 0.0) | Noise(1e-6, 0.1)
    assert noise == Noise(1e-3, 0.1)
    assert noise.at(1e-9) == 1e-3
    assert noise.at(1.0, -5.0) == 0.5
