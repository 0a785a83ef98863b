"""What a course of numbers leads to, healthy or sick, in plain arithmetic."""

import math

import numpy as np
import pytest

from keras_gradwatch.losses.course import Course
from keras_gradwatch.losses.own_loss import OwnLoss
from keras_gradwatch.losses.page_test import PageTest
from keras_gradwatch.losses.plateau import Look, diagnose
from keras_gradwatch.losses.rates import Rates
from keras_gradwatch.losses.validation import Parting
from tests.support.marks import first

COUNT = 20_000


def fall(count=COUNT, start=2.3, end=0.4, time=2000.0):
    return end + (start - end) * np.exp(-np.arange(count) / time)


def nothing():
    return None


def course_of(values, is_alone=True):
    course, found = Course("loss", Rates(nothing), is_alone), []
    for value in map(float, values):
        found += course.lose() if not math.isfinite(value) else course.hear(value)
    return course, found


def kinds(values, **options):
    return [symptom.kind for symptom in course_of(values, **options)[1]]


NOISES = {
    "none": lambda rng, n: np.zeros(n),
    "normal": lambda rng, n: rng.normal(size=n),
    "of single examples": lambda rng, n: rng.exponential(3, n) - 3,
    "with heavy tails": lambda rng, n: rng.standard_t(3, n),
    "rare": lambda rng, n: 3.0 * (rng.random(n) < 0.05),
    "that lasts": lambda rng, n: (
        np.convolve(rng.normal(size=n), np.ones(20), "same") / 4
    ),
    "periodic": lambda rng, n: np.sin(np.arange(n) / 10),
}


@pytest.mark.parametrize("seed", first(range(3)))
@pytest.mark.parametrize("size", [0.02, 0.4])
@pytest.mark.parametrize("name", NOISES)
def test_a_loss_that_falls_in_noise_is_healthy(name, size, seed):
    noise = NOISES[name](np.random.default_rng(seed), COUNT)
    assert kinds(np.abs(fall() * (1 + size * noise))) == []
    assert kinds(fall() - 5 + size * noise) == []  # below zero


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("end", [0.4, 0.0])
def test_the_unit_of_a_loss_does_not_matter(scale, end, rng):
    values = fall(end=end) * (1 + 0.2 * rng.normal(size=COUNT))
    spoilt = values.copy()
    spoilt[15_000] = 2000.0
    assert kinds(scale * values) == []
    assert kinds(scale * spoilt) == ["spike"]


def test_constants_are_healthy():
    for value in (0.0, 1e-30, 1.0, -1.0, 1e30):
        assert kinds(np.full(3000, value)) == []


def test_a_spike_is_told_when_it_has_come_back(rng):
    values = fall() * (1 + 0.1 * rng.normal(size=COUNT))
    values[9000:9010] = 50.0
    _, (spike,) = course_of(values)
    assert (spike.kind, spike.value, spike.steps) == ("spike", 50.0, 10)
    assert spike.level < 0.5 < spike.threshold < 50.0
    assert kinds(values[:9010]) == []  # it may yet stay


def test_many_spikes_are_told_of_seldom(rng):
    values = fall() * (1 + 0.1 * rng.normal(size=COUNT))
    values[1000::300] = 50.0
    _, found = course_of(values)
    assert [spike.number for spike in found] == [1, 10]


def test_a_rise_is_told_of_once_and_since_when(rng):
    values = fall() * (1 + 0.1 * rng.normal(size=COUNT))
    values[12_000:] += 3.0
    course, (rise,) = course_of(values)
    assert rise.kind == "diverging"
    assert kinds(values[:12_000]) == []
    # 32 values at least, and not many more: since then it is known.
    assert len(kinds(values[:12_040])) == 1
    assert 32 <= rise.ago <= 40
    assert rise.best == pytest.approx(0.4, rel=0.2)
    assert course.best > 3.0


def test_what_is_lost_of_what_was_learned_decides(rng):
    noise = 1 + 0.05 * rng.normal(size=COUNT)
    for share, told in ((0.2, []), (0.9, ["diverging"])):
        values = fall() * noise
        values[12_000:] += share * 1.9
        assert kinds(values) == told


def test_a_learning_rate_that_was_raised_explains_a_rise(rng):
    values = fall(time=500.0) * (1 + 0.05 * rng.normal(size=COUNT))
    rates = np.full(COUNT, 1e-3)
    values[12_000:14_000] += 1.8
    rates[12_000:14_000] = 1e-1
    for is_scheduled in (False, True):
        assert told(values, rates, is_scheduled) == []
        assert told(values, np.full(COUNT, 1e-1), is_scheduled) == ["diverging"]
        # Not one to far above where it began.
        assert told(values + 20 * (rates > 1e-2), rates, is_scheduled) == ["diverging"]


def told(values, rates, is_scheduled):
    step = 0
    known = Rates(lambda: rates[step])
    if is_scheduled:
        known = Rates(lambda: rates[step], lambda ago: rates[max(step - ago, 0)])
    course, found = Course("loss", known, True), []
    for step, value in enumerate(values):  # noqa: B007
        found += course.hear(float(value))
    return [symptom.kind for symptom in found]


@pytest.mark.parametrize("factor", [1.9, 5.0, 1e3])
def test_what_grows_beyond_all_bounds(factor):
    with np.errstate(over="ignore"):
        values = np.float32(factor) ** np.arange(200, dtype=np.float32)
    _, (found,) = course_of(values)
    assert found.kind == "diverging"
    assert found.first == 1.0


def test_what_becomes_nan_at_once_is_left_to_others():
    assert kinds([1.0, 0.9, 0.95, math.nan, math.nan]) == []
    assert kinds([*fall(500), math.inf]) == []


def test_losses_that_play_against_one_another_may_rise(rng):
    values = (3 - fall()) * (1 + 0.2 * rng.normal(size=COUNT))
    assert kinds(values, is_alone=False) == []
    assert not course_of(values, is_alone=False)[0].wants_look
    values[5000] = 100.0
    assert kinds(values, is_alone=False) == ["spike"]


def test_a_plateau_is_looked_at_and_a_fall_is_not(rng):
    noise = 1 + 0.1 * rng.normal(size=COUNT)
    assert course_of(1.4 * noise[:1100])[0].wants_look
    assert not course_of(fall(1100, time=400.0) * noise[:1100])[0].wants_look
    assert not course_of(1.4 * noise[:1000])[0].wants_look


def look(own=1.0, swapped=1.0, after=1.0, dead=()):
    return Look(own, swapped, after, dead)


DEAD = (("hidden", 1.0),)


@pytest.mark.parametrize(
    ("start", "looks", "kind"),
    [
        (1.0, [look(1 + k / 100, 1.0, 0.99 + k / 100) for k in range(4)], "flat"),
        (1.0, [look(swapped=1.4, after=0.99)] * 4, None),
        (1.0, [look(swapped=None, after=0.99)] * 4, None),
        (1.0, [look(after=0.99)] * 4, None),  # no target makes a difference
        (9.0, [look(1 + k / 100, 1.0, 0.99) for k in range(4)], None),
        (1.0, [look(after=0.4), look(after=1.7)] * 2, "oscillating"),
        (9.0, [look(swapped=2.0, after=1.6)] * 4, None),
        (1.0, [look(dead=DEAD)] * 4, "stalled"),
        (1.0, [look(swapped=2.0, dead=DEAD)] * 3 + [look(swapped=2.0)], None),
        (99.0, [look(swapped=2.0, dead=DEAD)] * 4, None),
        (1.0, [look(after=math.nan)] * 4, None),
        (1.0, [look(after=5.0)] * 3, None),  # too few
    ],
)
def test_what_a_plateau_means(start, looks, kind):
    found = diagnose("loss", start, 1.0, 1000, looks)
    assert (found and found.kind) == kind


def hear_all(trained, valued):
    parting = Parting()
    pairs = enumerate(zip(trained, valued, strict=True))
    found = [parting.hear(k, float(a), float(b)) for k, (a, b) in pairs]
    return [one for one in found if one is not None]


def test_validation_that_parts_from_training_is_told_once(rng):
    epochs = np.arange(60)
    trained = np.exp(-epochs / 10)
    valued = 0.5 + 0.5 * np.exp(-epochs / 5) + 0.03 * np.maximum(epochs - 15, 0)
    (found,) = hear_all(trained, valued)
    assert found.epoch == 15
    assert found.trained_now < found.trained_then
    noise = 1 + 0.05 * rng.normal(size=60)
    assert hear_all(trained, (0.5 + trained) * noise) == []
    assert hear_all(trained[::-1], valued) == []  # both rise: that is no overfitting
    assert hear_all(trained, np.full(60, math.nan)) == []


@pytest.mark.parametrize("sizes", [[4] * 50, [4] * 49 + [1], [3, 9, 1, 4, 7] * 10])
def test_a_running_mean_is_taken_apart(sizes, rng):
    own, losses = OwnLoss(), rng.normal(size=len(sizes))
    for _ in range(2):
        own.begin()
        for k in range(len(sizes)):
            weight = sum(sizes[: k + 1])
            mean = float(np.float32(np.dot(losses[: k + 1], sizes[: k + 1]) / weight))
            value, error = own.take(mean, weight)
            assert abs(value - losses[k]) <= error


def test_what_rounding_leaves_of_a_small_loss_after_large_ones(rng):
    """An epoch that begins at a million and ends near nothing."""
    own, course = OwnLoss(), Course("loss", Rates(nothing), True)
    total, found = 0.0, []
    losses = np.concatenate([1e6 * np.exp(-np.arange(100) / 5), np.full(5000, 1e-3)])
    for k, loss in enumerate(losses, 1):
        total += loss
        value, error = own.take(float(np.float32(total / k)), k)
        found += course.hear(value, error=error)
    assert found == []


def test_page_finds_a_small_rise_late_and_a_large_one_soon(rng):
    delays = []
    for height in (0.0, 1.5, 2.0, 100.0):
        test = PageTest(32.0, most=1.0)
        test.expect(0.0, 1.0)
        heard = (test.hear(height + value) for value in 0.3 * rng.normal(size=5000))
        delays.append(next((k for k, is_due in enumerate(heard, 1) if is_due), None))
    assert delays[0] is None
    assert delays[1] > delays[2] > 32 == delays[3]
