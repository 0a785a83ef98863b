"""Callbacks in company: backups, consoles that are gone, log directories elsewhere."""

import io
import os
import sys
import uuid
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.callbacks.console import say
from tests.support.marks import first
from tests.support.small_models import small_model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(24, 4)).astype("float32")
    return x, rng.integers(0, 3, 24)


def fit(model, data, *callbacks, **arguments):
    options = {"batch_size": 12, "verbose": 0, **arguments}
    return model.fit(*data, callbacks=list(callbacks), **options)


class Spoil(keras.callbacks.Callback):
    """Makes the weights infinite before an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            kernel = self.model.layers[-1].kernel
            kernel.assign(np.full(kernel.shape, np.inf, "float32"))


@pytest.mark.parametrize("save_freq", first(["epoch", 1]))
@pytest.mark.parametrize("is_first", first([True, False]))
def test_a_backup_outlives_a_nan_and_is_finite(data, tmp_path, save_freq, is_first):
    model, folder = small_model(), tmp_path / "backup"
    backup = keras.callbacks.BackupAndRestore(str(folder), save_freq=save_freq)
    locator = kgw.NonFiniteLocator(verbose=0)
    callbacks = [Spoil(2), *([locator, backup] if is_first else [backup, locator])]
    with pytest.raises(kgw.NonFiniteError, match="inf"):
        fit(model, data, *callbacks, epochs=4)
    assert locator.finding.step == 4
    # The next `fit` goes on from there.
    again = small_model()
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            seen.append((epoch, all(np.isfinite(w).all() for w in again.get_weights())))

    fit(again, data, backup, Look(), kgw.NonFiniteLocator(verbose=0), epochs=4)
    assert seen[-2:] == [(2, True), (3, True)]
    # That one ended well, and without a trace.
    assert not folder.exists()


def test_a_backup_of_an_earlier_fit_is_none_of_this_one(data, tmp_path):
    model = small_model()
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    fit(model, data, backup)
    with pytest.warns(kgw.NonFiniteWarning):
        fit(model, data, Spoil(0), kgw.NonFiniteLocator(verbose=0), epochs=3)
    assert model.stop_training
    assert backup.model is model


@pytest.mark.long
def test_a_backup_outlives_a_wrong_gradient_that_ends_training(data, tmp_path):
    folder = tmp_path / "backup"
    backup = keras.callbacks.BackupAndRestore(str(folder))
    check = kgw.GradientCheck(warmup_steps=2, on_failure="stop", verbose=0)
    with pytest.raises(kgw.GradientMismatchError):
        fit(small_model(wrong=True), data, backup, check, epochs=3)
    assert os.listdir(folder)


class Gone(io.StringIO):
    """A pipe whose reader has left."""

    def write(self, text):
        raise BrokenPipeError(32, "Broken pipe")


def closed():
    file = io.StringIO()
    file.close()
    return file


CONSOLES = {
    "nobody reads": Gone,
    "closed": closed,
    "none": lambda: None,
    "full": lambda: open("/dev/full", "w", buffering=1),  # noqa: SIM115
}


@pytest.mark.parametrize("name", first(CONSOLES))
def test_a_fit_goes_on_whatever_becomes_of_the_console(data, monkeypatch, name):
    model = small_model()
    check = kgw.GradientCheck(warmup_steps=0, verbose=2)
    stats = kgw.GradientStats(check_freq=1, verbose=2)
    locator = kgw.NonFiniteLocator()
    console = CONSOLES[name]()
    monkeypatch.setattr(sys, "stdout", console)
    with pytest.warns(kgw.GradwatchWarning):
        fit(model, data, Spoil(1), check, stats, locator, epochs=3)
    monkeypatch.undo()
    assert locator.finding
    assert len(stats.readings) == 3
    assert [r.verdict for r in check.reports][:1] == ["PASS"]
    assert int(model.optimizer.iterations) == 3
    if name == "full":
        with pytest.raises(OSError, match="No space"):
            console.close()


def ascii_only():
    return io.TextIOWrapper(io.BytesIO(), "ascii")


@pytest.mark.parametrize("console", [closed, Gone, ascii_only])
def test_a_warning_that_can_not_be_shown_ends_no_fit(data, monkeypatch, console):
    check, file, seen = kgw.GradientCheck(warmup_steps=9, verbose=0), console(), []

    def show(message, *_):
        seen.append(str(message))
        file.write(f"\u5c42 {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        fit(small_model(), data, check)
    assert len(seen) == 1
    assert "No gradient check ran" in seen[0]


def test_a_warning_made_an_error_is_raised(data):
    check = kgw.GradientCheck(warmup_steps=9, verbose=0)
    with pytest.raises(kgw.GradwatchWarning, match="No gradient check ran"):
        fit(small_model(), data, check)


def test_what_a_console_has_no_characters_for(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", console)
    say("schicht_\u5c42")
    monkeypatch.undo()
    console.flush()
    assert console.buffer.getvalue() == b"schicht_\\u5c42\n"


def test_a_log_dir_on_another_file_system(data):
    log_dir = f"ram://{uuid.uuid4().hex}"
    model = small_model()
    check = kgw.GradientCheck(log_dir, warmup_steps=0, verbose=0)
    locator = kgw.NonFiniteLocator(log_dir, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        fit(model, data, Spoil(1), check, locator, epochs=2)
    assert tf.io.gfile.listdir(log_dir) == ["gradwatch", "nonfinite"]
    assert kgw.read_reports(log_dir) == check.reports
    alert, story = kgw.read_alerts(f"{log_dir}/")
    assert alert.step == locator.finding.step == 2
    assert str(story) == str(check.incidents[0])
    assert locator.finding.saved == f"{log_dir}/nonfinite/step_000002"
    saved = kgw.load_failure(locator.finding.saved)
    assert np.isinf(saved.weights[-2]).all()
    assert not os.path.exists("ram:")


@pytest.mark.parametrize(
    "make",
    first([kgw.GradientCheck, kgw.GradientStats, kgw.NonFiniteLocator]),
)
@pytest.mark.parametrize("address", ["nowhere://logs", "a file"])
def test_what_can_not_be_written_to_is_said_before_training(
    data, tmp_path, make, address
):
    (tmp_path / "a file").write_text("")
    log_dir = address if "://" in address else tmp_path / address
    model = small_model()
    before = model.get_weights()
    callback = make(log_dir, verbose=0)
    with pytest.raises(kgw.InvalidArgumentError, match="`log_dir` must be a directory"):
        fit(model, data, callback)
    np.testing.assert_equal(model.get_weights(), before)
    with pytest.raises(kgw.InvalidArgumentError, match="Received: log_dir="):
        fit(model, data, callback)
