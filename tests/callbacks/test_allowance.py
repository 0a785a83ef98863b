"""What checks may cost: a share of the time that training takes."""

from __future__ import annotations

import math

import keras
import pytest

import keras_gradwatch as kgw
from keras_gradwatch.callbacks import gradient_check
from keras_gradwatch.callbacks.allowance import Allowance
from keras_gradwatch.check.budget import Budget, Clock
from tests.support.small_models import small_model


class Run:
    """A fit on a clock of its own."""

    def __init__(self):
        self.time = 0.0
        self.allowance = Allowance(now=lambda: self.time)
        self.checking = 0.0
        self.checks = 0

    def train(self, steps, seconds=1.0):
        for _ in range(steps):
            self.time += seconds
            self.allowance.count_steps()

    def check(self, seconds, closely=0.0):
        self.time += seconds
        self.checking += seconds
        self.checks += 1
        self.allowance.spend(seconds, closely)

    def epochs(self, count, steps, screen):
        """Trains, with a check when it is affordable, as long as it may be."""
        for _ in range(count * steps):
            self.train(1)
            if self.allowance.affords_a_check():
                self.check(max(screen, self.allowance.budget().seconds))

    @property
    def share(self):
        return self.checking / (self.time - self.checking)


def test_the_first_check_is_always_affordable():
    run = Run()
    assert run.allowance.affords_a_check()
    assert run.allowance.budget().seconds == 0
    run.train(100)
    assert run.allowance.budget().seconds == pytest.approx(100 * Allowance.SHARE)


@pytest.mark.parametrize("screen", [0.5, 6.0, 100.0])
@pytest.mark.parametrize("tracing", [0.0, 10.0, 50.0])
def test_the_whole_stays_within_the_share(screen, tracing):
    run = Run()
    run.train(10)
    run.check(tracing + screen)
    run.epochs(50, 200, screen)
    assert run.share < 1.01 * Allowance.SHARE
    assert run.checks > 2


def test_checks_that_take_longer_than_they_should_are_fewer():
    run = Run()
    run.train(10)
    run.check(20.0)
    for _ in range(50 * 200):
        run.train(1)
        if run.allowance.affords_a_check():
            run.check(1.6 * max(3.0, run.allowance.budget().seconds))
    assert run.share < 1.01 * Allowance.SHARE
    assert run.checks > 30


def test_checks_go_on_while_tracing_is_paid_off():
    run = Run()
    run.train(100)
    run.check(100.0)
    run.train(100)
    assert not run.allowance.affords_a_check()
    run.train(250)
    assert run.allowance.affords_a_check()
    assert run.allowance.budget().seconds == pytest.approx(350 * Allowance.SHARE / 2)


def test_a_check_is_no_long_pause_however_long_training_took():
    run = Run()
    run.train(10_000, seconds=0.1)
    assert run.allowance.budget().seconds == pytest.approx(20 * 0.1)


def test_a_closer_look_is_not_held_against_the_checks_to_come():
    run = Run()
    run.train(100)
    assert run.allowance.budget().extra == Allowance.EXTRA
    run.check(24.0, closely=20.0)
    assert run.allowance.budget().extra == Allowance.EXTRA - 20
    run.train(60)
    left = 160 * Allowance.SHARE - 4.0  # what was no closer look
    assert run.allowance.budget().seconds == pytest.approx(left)
    run.check(50.0, closely=50.0)
    assert run.allowance.budget().extra == 0


def test_a_clock_counts_pairs_and_stretches_on_suspicion():
    clock = Clock(Budget(), 0.0, lambda: 1.0)
    assert clock.pairs() == math.inf
    clock = Clock(Budget(0.0, extra=100.0), 0.0, lambda: 1.0)
    assert clock.pairs() == 0
    clock.suspect()
    assert 45 < clock.pairs() <= 50
    clock.suspect()
    assert 45 < clock.pairs() <= 50


@pytest.fixture
def data(rng):
    return rng.normal(size=(24, 4)).astype("float32"), rng.integers(0, 3, 24)


def test_all_steps_of_a_call_are_counted(data, monkeypatch):
    counted = []

    class Counting(Allowance):
        def count_steps(self, steps=1):
            counted.append(steps)
            super().count_steps(steps)

    monkeypatch.setattr(gradient_check, "Allowance", Counting)
    model = small_model()
    model.compile("sgd", model.loss, steps_per_execution=3)
    check = kgw.GradientCheck(warmup_steps=0, verbose=0)
    model.fit(*data, batch_size=4, verbose=0, callbacks=[check])
    assert counted == [3, 3]


def test_keras_need_not_wait_for_each_step():
    """It does for callbacks that have this hook, and reads all metrics for it."""
    hook = kgw.GradientCheck.on_train_batch_end
    assert hook is keras.callbacks.Callback.on_train_batch_end


def test_epochs_without_a_check_are_counted_and_said(data, monkeypatch, capsys):
    monkeypatch.setattr(Allowance, "affords_a_check", lambda self: not self._checks)
    check = kgw.GradientCheck(warmup_steps=0)
    small_model().fit(*data, batch_size=6, epochs=3, verbose=0, callbacks=[check])
    assert [r.step for r in check.reports] == [0]
    assert "In 2 epochs no gradient check was made" in capsys.readouterr().out


def test_a_check_that_waits_comes_later_in_the_epoch(data, monkeypatch):
    asked = []

    class Strict(Allowance):
        def affords_a_check(self):
            asked.append(self)
            return len(asked) > 2

    monkeypatch.setattr(gradient_check, "Allowance", Strict)
    check = kgw.GradientCheck(warmup_steps=0, verbose=0)
    small_model().fit(*data, batch_size=3, epochs=2, verbose=0, callbacks=[check])
    assert [r.step for r in check.reports] == [2, 8]


def test_what_was_asked_for_by_the_step_is_not_put_off(data, monkeypatch):
    monkeypatch.setattr(Allowance, "affords_a_check", lambda self: False)
    monkeypatch.setattr(Allowance, "budget", lambda self: Budget(0.0))
    check = kgw.GradientCheck(warmup_steps=0, check_freq=2, verbose=0)
    small_model().fit(*data, batch_size=3, verbose=0, callbacks=[check])
    assert [r.step for r in check.reports] == [0, 2, 4, 6]
    assert all(r.passed for r in check.reports)


def test_what_an_alert_asks_for_is_a_closer_look():
    run = Run()
    run.train(10)
    run.check(5.0)
    run.train(10)
    assert not run.allowance.affords_a_check()
    # Of its own seconds: those of the checks to come stay as they are.
    before = run.allowance.budget().seconds
    while run.allowance.affords_a_closer_look():
        run.check(4.0, closely=4.0)
    assert run.checks == 1 + 8
    assert run.allowance.budget().extra == 0
    assert run.allowance.budget().seconds == pytest.approx(before)
    # Once they are spent, it waits as any check.
    run.train(5000)
    assert run.allowance.affords_a_closer_look()
