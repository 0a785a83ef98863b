"""A long check tells what it does; a short one does not; neither touches training."""

import dataclasses
import re
import sys
import threading
import time

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.check import problem
from keras_gradwatch.check.progress import Progress
from tests.support.small_models import Halved


class Slow(layers.Layer):
    """Takes its time with each loss: it needs values, so that there is no graph."""

    seconds = 0.01

    def call(self, x):
        time.sleep(self.seconds)
        return x if float(keras.ops.sum(x)) < 1e9 else -x

    def compute_output_shape(self, shape):
        return shape


def slow_model(wrong=False):
    keras.utils.set_random_seed(0)
    stack = [layers.Dense(4, "tanh"), *([Halved()] if wrong else ()), Slow()]
    model = keras.Sequential([keras.Input((3,)), *stack, layers.Dense(2)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


@pytest.fixture
def data(rng):
    return rng.normal(size=(24, 3)), rng.normal(size=(24, 2))


@pytest.fixture
def _at_once(monkeypatch):
    monkeypatch.setattr(Progress, "AFTER", 0.0)
    monkeypatch.setattr(Progress, "EVERY", 0.005)


def fitted(data, verbose, *callbacks, wrong=False):
    model = slow_model(wrong)
    model.fit(*data, batch_size=12, verbose=verbose, callbacks=callbacks)
    return model


def check(**arguments):
    defaults = {"warmup_steps": 1, "time_budget": 100, "samples": 1}
    return kgw.GradientCheck(**defaults | arguments)


def lines(capsys):
    """What stands on the console in the end, without colours."""
    text = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)
    return [re.sub(r".*[\r\b]", "", line).rstrip() for line in text.split("\n")]


@pytest.mark.usefixtures("_at_once")
def test_what_is_done_is_told_between_two_lines_of_the_bar_of_keras(data, capsys):
    model = fitted(data, 1, check())
    found = lines(capsys)
    ours = [k for k, line in enumerate(found) if line.startswith("Gradient check at")]
    doing = [found[k].removeprefix("Gradient check at step 1: ") for k in ours]
    assert doing[:-1] == [
        "tracing",
        "measuring the noise of the loss",
        "comparing 4 variables",
        "taking the step in the precision of training",
    ]
    assert doing[-1].startswith("PASS. 4 PASS of 4 variables")
    # A bar of our own ends its line; that of Keras goes on after it.
    compared = found[ours[2] + 1 : ours[3]]
    assert len(compared) == 1
    assert re.match(r"[1-4]/4 ━+ .*/variable", compared[0])
    assert re.match(r"2/2 ━+ .*- loss:", found[ours[-1] + 1])
    assert not any("Gradient" in line for line in found[: ours[0]])
    # And training is the same.
    np.testing.assert_equal(model.get_weights(), fitted(data, 0).get_weights())


@pytest.mark.usefixtures("_at_once")
def test_what_is_wrong_is_looked_at_in_the_open(data, capsys):
    with pytest.warns(kgw.GradientMismatchWarning):
        fitted(data, 2, check(directions=0), wrong=True)
    told = "\n".join(lines(capsys))
    assert "looking closely at 2 variables\n" in told
    assert "looking at what is wrong with 2 variables\n" in told
    assert "━" not in told  # nor does `fit(verbose=2)` draw bars


def test_a_short_check_says_only_what_it_found(data, capsys):
    fitted(data, 0, check())
    found = [line for line in lines(capsys) if line]
    assert len(found) == 1
    assert "PASS" in found[0]


@pytest.mark.usefixtures("_at_once")
def test_who_asks_for_silence_has_it(data, capsys):
    fitted(data, 0, check(verbose=0))
    keras.config.disable_interactive_logging()
    try:
        fitted(data, 0, check())
    finally:
        keras.config.enable_interactive_logging()
    told = capsys.readouterr().out
    assert told.count("Gradient check") == 1  # the last one's headline


@pytest.mark.usefixtures("_at_once")
def test_a_console_that_is_gone_harms_nothing(monkeypatch):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        flush = write

    seen = threading.Event()
    with Progress("A check") as progress:
        monkeypatch.setattr(sys, "stdout", Gone())
        progress.stage("tracing")
        seen.wait(0.1)
        monkeypatch.undo()
    assert not [t for t in threading.enumerate() if t.name == "A check"]


def test_losses_in_many_calls_are_the_same(data, monkeypatch):
    model = slow_model()
    model.run_eagerly = False
    first, again = [], []
    for reports, seconds in ((first, 1e6), (again, 0.0)):
        monkeypatch.setattr(problem, "_CALL", seconds)
        reports.append(kgw.check_gradients(model, *data))
    (one,), (other,) = first, again
    assert one == dataclasses.replace(other, seconds=one.seconds)
