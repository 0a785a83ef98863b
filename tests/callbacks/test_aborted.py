"""Training that is broken off: nothing of the check stays behind."""

import copy
import gc
import itertools
import os
import pickle
import signal
import threading
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from keras_gradwatch.check.progress import Progress
from tests.support.marks import first, pairs
from tests.support.small_models import small_model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 4)).astype("float32")
    return x, rng.integers(0, 3, 24)


class BreakOff(keras.callbacks.Callback):
    """Ends training with an error before its second step."""

    def __init__(self, error=ZeroDivisionError):
        super().__init__()
        self.error = error

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 1:
            raise self.error


def broken_off(model, data, *checks, error=ZeroDivisionError):
    with pytest.raises(error):
        model.fit(*data, batch_size=6, verbose=0, callbacks=[*checks, BreakOff(error)])


def each_step(**arguments):
    return kgw.GradientCheck(
        **{"warmup_steps": 0, "check_freq": 1, "verbose": 0, **arguments}
    )


@pytest.mark.parametrize(
    ("error", "count"), pairs([ZeroDivisionError, KeyboardInterrupt], [1, 2])
)
def test_the_model_can_be_saved_cloned_and_pickled(data, tmp_path, error, count):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    checks = [each_step(seed=k) for k in range(count)]
    broken_off(model, data, *checks, error=error)
    model.save(tmp_path / "model.keras")
    copies = [
        keras.models.load_model(tmp_path / "model.keras"),
        keras.models.clone_model(model),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ]
    for other in copies:
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(other(data[0]), model(data[0]))
    model.export(tmp_path / "exported", verbose=False)


@pytest.mark.parametrize("count", first([1, 2]))
def test_the_models_own_function_comes_back(data, count):
    model = small_model()
    model.make_train_function()
    own = model.train_function
    checks = [each_step(seed=k) for k in range(count)]
    broken_off(model, data, *checks)
    model.train_on_batch(*data)
    assert model.train_function is own
    broken_off(model, data, *checks)
    model.fit(*data, batch_size=6, verbose=0)
    assert model.train_function is own
    broken_off(model, data, *checks)
    for check in checks:  # used for another model
        small_model().fit(*data, batch_size=6, verbose=0, callbacks=[check])
    assert model.train_function is own
    broken_off(model, data, *checks)
    del check
    checks.clear()
    gc.collect()
    assert model.train_function is own


@pytest.mark.parametrize("count", first([1, 2]))
def test_a_fit_without_the_check_is_not_checked(data, count):
    model, checks = small_model(), [each_step(seed=k) for k in range(count)]
    broken_off(model, data, *checks)
    done = [len(check.reports) for check in checks]
    model.fit(*data, batch_size=6, verbose=0)
    assert [len(check.reports) for check in checks] == done


def test_what_is_left_does_not_keep_the_callback_alive(data):
    model, check = small_model(), each_step()
    broken_off(model, data, check)
    gone = weakref.ref(check)
    del check
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("count", first([1, 2]))
def test_the_next_fit_is_checked_and_writes_on(data, tmp_path, count):
    model = small_model()
    checks = [each_step(log_dir=tmp_path / f"{k}") for k in range(count)]
    broken_off(model, data, *checks)
    model.fit(*data, batch_size=6, verbose=0, callbacks=checks)
    for k, check in enumerate(checks):
        assert [r.step for r in check.reports] == [0, 1, 2, 3, 4]
        assert {r.verdict for r in check.reports} == {"PASS"}
        assert kgw.read_reports(tmp_path / f"{k}") == check.reports


def test_files_and_threads_go_with_the_callback(data, tmp_path):
    def ours():
        gc.collect()
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        targets = [os.readlink(link) for link in links if os.path.lexists(link)]
        return [target for target in targets if str(tmp_path) in target]

    model, check = small_model(), each_step(log_dir=tmp_path)
    broken_off(model, data, check)
    assert len(ours()) == 1
    del check
    assert ours() == []


@pytest.mark.parametrize("broken", first([True, False]))
def test_the_callback_itself_can_be_copied(data, tmp_path, broken):
    check = each_step(log_dir=tmp_path / "one")
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if broken:
        broken_off(model, data, check)
    else:
        model.fit(*data, batch_size=6, verbose=0, callbacks=[check])
    for other in (pickle.loads(pickle.dumps(check)), copy.deepcopy(check)):
        assert other.reports == check.reports
        fresh = small_model()
        fresh.fit(*data, batch_size=6, verbose=0, callbacks=[other])
        assert len(other.reports) == len(check.reports) + 4


class CtrlC(layers.Layer):
    """Presses Ctrl-C when it is called for the given time."""

    # A number in their place would be put back: a check leaves no trace of its calls.
    calls, at, needs_values = itertools.count(1), None, False

    def call(self, x):
        if next(CtrlC.calls) == CtrlC.at:
            signal.raise_signal(signal.SIGINT)
        return x if not CtrlC.needs_values or float(x[0, 0]) < 1e9 else -x


class OwnStep(keras.Sequential):
    """A training step of its own."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = keras.ops.mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class CountFromHere(keras.callbacks.Callback):
    """Counts from the first check on, so that this is what is interrupted."""

    def on_train_batch_begin(self, batch, logs=None):
        CtrlC.calls = itertools.count(1)


def everything_that_is_changed(model):
    """What a check may change while the model's code is replayed."""
    things = {
        "gradient": tf.GradientTape.gradient,
        "enter": tf.GradientTape.__enter__,
        "apply": "apply" in model.optimizer.__dict__,
        "graphs": tf.config.functions_run_eagerly(),
        "tracebacks": keras.config.is_traceback_filtering_enabled(),
    }
    for name in ("normal", "uniform", "truncated_normal"):
        things[name] = getattr(keras.random, name)
    for layer in model.layers:
        things[layer.name] = (
            layer.dtype_policy.name,
            layer.__dict__.get("rate"),
            [v.dtype for v in layer.variables],
        )
    return things


@pytest.mark.parametrize(
    ("kind", "way"),
    pairs([keras.Sequential, OwnStep], ["graph", "eager", "eager that needs values"]),
)
def test_ctrl_c_in_the_middle_of_a_check(rng, kind, way, monkeypatch):
    monkeypatch.setattr(Progress, "AFTER", 0.0)  # it tells what it does
    # In the background of a shell, Ctrl-C is ignored from the start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    x, y = rng.normal(size=(24, 4)), rng.normal(size=(24, 3))
    needs_values = way == "eager that needs values"
    monkeypatch.setattr(CtrlC, "at", None)
    monkeypatch.setattr(CtrlC, "needs_values", False)  # not where it is built
    model = kind(
        [
            keras.Input((4,)),
            layers.Dense(4, activation="tanh"),
            CtrlC(),
            layers.Dropout(0.5),
            layers.Dense(3),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=way != "graph")
    CtrlC.needs_values = needs_values
    model.fit(x, y, batch_size=6, verbose=0)
    before = everything_that_is_changed(model)
    weights = model.get_weights()
    # While it traces, which it does once, and later on where it has to run the code.
    for at in (1, 2, 3, 20) if needs_values else (1,):
        CtrlC.at = at
        callbacks = [CountFromHere(), each_step(verbose=1, time_budget=60)]
        with pytest.raises(KeyboardInterrupt):
            model.fit(x, y, batch_size=6, verbose=0, callbacks=callbacks)
        assert callbacks[1].reports == []
        assert everything_that_is_changed(model) == before
        assert not [t for t in threading.enumerate() if "Gradient" in t.name]
        np.testing.assert_equal(model.get_weights(), weights)
    CtrlC.at = None
    check = each_step()
    model.fit(x, y, batch_size=6, verbose=0, callbacks=[check])
    assert len(check.reports) == 4
    # Of code that is run for each loss, there is time for a few variables a check.
    compared = [v.verdict for r in check.reports for v in r.variables if v.coverage]
    assert set(compared) == {"PASS"}
