"""`LossWatch`: what it hears, where it tells, and that training stays untouched."""

import copy
import io
import logging
import pickle
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.fits import everything_after_fit, on_a_line, recurrent, subclassed
from tests.support.marks import first

STEPS, SIZE = 120, 4


def linear(rate=1e-3, loss="mse", **compiled):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="line")])
    model.compile(keras.optimizers.SGD(rate), loss, **compiled)
    return model


def data(steps=STEPS, bad=()):
    return on_a_line(steps, SIZE, bad)


def fit(watch, model=None, *, bad=(100,), epochs=1, steps=STEPS, **options):
    """With a bad batch, which is a spike."""
    model = model or linear(1e-5)
    options = {"batch_size": SIZE, "shuffle": False, "verbose": 0, **options}
    extra = options.pop("callbacks", [])
    model.fit(*data(steps, bad), epochs=epochs, callbacks=[watch, *extra], **options)
    return watch


def quiet(**options):
    return kgw.LossWatch(verbose=0, **options)


def spiked(watch, *arguments, **options):
    with pytest.warns(kgw.LossAlertWarning, match="Loss spike at step"):
        return fit(watch, *arguments, **options)


@pytest.mark.basic
def test_what_an_alert_says():
    watch = spiked(kgw.LossWatch())
    (alert,) = watch.alerts
    assert (alert.kind, alert.where) == ("spike", ("loss",))
    assert (alert.since, alert.step) == (101, 103)
    assert alert.value == pytest.approx(1e6, rel=0.05)
    assert alert.value > alert.threshold
    assert "came back" in alert.message
    assert "Look at the data of that batch" in alert.message
    assert str(alert).startswith("Loss spike at step")


def test_a_healthy_training_is_left_in_peace(capsys):
    watch = fit(kgw.LossWatch(), bad=())
    assert watch.alerts == []
    assert capsys.readouterr().out == ""


class Truth(keras.callbacks.Callback):
    """The loss of each batch of a line, before its step."""

    def __init__(self, x, y, size):
        super().__init__()
        self.x, self.y, self.size, self.seen = x, y, size, []

    def on_train_batch_begin(self, batch, logs=None):
        rows = slice(batch * self.size, (batch + 1) * self.size)
        kernel, bias = (w.astype("float64") for w in self.model.get_weights())
        guess = self.x[rows] @ kernel + bias
        self.seen.append(np.mean((guess - self.y[rows]) ** 2))


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("size", [4, 7, 16])
@pytest.mark.parametrize("validation", [False, True])
def test_the_loss_of_a_batch_is_recovered(size, validation, is_async):
    """From the mean over the epoch, whose last batch is smaller with `size=7`."""
    x, y = data(32)
    watch, truth = quiet(log_metrics=True), Truth(x, y, size)
    waits = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    model = linear(1e-2)
    heard = []

    class Hear(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            heard.append((logs["loss_level"], logs["loss_noise"]))

    held = {"validation_data": (x + 3, y)} if validation else {}
    extra = [truth, Hear(), *([] if is_async else [waits])]
    options = {"batch_size": size, "shuffle": False, "verbose": 0, **held}
    model.fit(x, y, epochs=4, callbacks=[watch, *extra], **options)
    blocks = len(truth.seen) // 32
    block = truth.seen[32 * blocks - 32 : 32 * blocks]
    level = np.median(block)
    assert heard[-1][0] == pytest.approx(level, rel=1e-4)
    deviation = 1.4826 * np.median(np.abs(block - level))
    assert heard[-1][1] == pytest.approx(deviation, rel=1e-3)


WAYS = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "several": {"steps_per_execution": 5},
    "compiled": {"jit_compile": True},
}


@pytest.mark.parametrize("way", first(WAYS, 3))
def test_ways_to_train(way):
    model = linear(1e-5, **WAYS[way])
    steps, bad = (480, 402) if way == "several" else (STEPS, 100)
    watch = spiked(quiet(), model, bad=(bad,), steps=steps)
    (alert,) = watch.alerts
    assert 0 < alert.since - bad <= model.steps_per_execution
    assert alert.step - bad <= 8 * model.steps_per_execution


def test_the_end_of_an_epoch_is_no_jump():
    """The running mean begins anew, far below where it was."""
    model = linear(0.2)
    watch = fit(quiet(), model, bad=(), epochs=6, steps=40)
    assert watch.alerts == []


def by_hand(model, watch, x, y):
    watch.set_model(model)
    for batch in range(STEPS):
        watch.on_train_batch_begin(batch)
        rows = slice(SIZE * batch, SIZE * batch + SIZE)
        logs = model.train_on_batch(x[rows], y[rows], return_dict=True)
        watch.on_train_batch_end(batch, logs)
    return watch


def test_a_loop_of_ones_own():
    x, y = data(bad=(100,))
    with pytest.warns(kgw.LossAlertWarning):
        watch = by_hand(linear(1e-5), quiet(), x, y)
    assert [alert.kind for alert in watch.alerts] == ["spike"]
    assert watch.alerts[0].value == pytest.approx(1e6, rel=0.05)


def test_a_second_fit_begins_anew():
    watch, model = spiked(quiet()), linear(1e-5)
    spiked(watch, model)
    assert [alert.kind for alert in watch.alerts] == ["spike", "spike"]
    fit(watch, model, bad=(), epochs=1)
    assert len(watch.alerts) == 2


def test_a_resumed_fit_counts_on():
    model = linear(1e-5)
    fit(quiet(), model, bad=())
    watch = spiked(quiet(), model, initial_epoch=1, epochs=2)
    assert (watch.alerts[0].since, watch.alerts[0].step) == (221, 223)


def test_two_at_once_find_the_same():
    one, other = quiet(), quiet()
    spiked(one, callbacks=[other])
    assert one.alerts == other.alerts


def test_nan_is_left_to_the_locator():
    x, y = data()
    y[-SIZE:] = np.nan
    watch = quiet()
    linear(1e-5).fit(x, y, batch_size=SIZE, epochs=2, verbose=0, callbacks=[watch])
    assert watch.alerts == []


class Two(keras.Model):
    """Logs two losses, each as it is, and none of them as "loss"."""

    def __init__(self):
        super().__init__()
        self.line = layers.Dense(1)

    def train_step(self, batch):
        x, y = batch
        loss = tf.reduce_mean((self.line(x) - y) ** 2)
        return {"a_loss": loss, "b_loss": -loss, "accuracy": 0.0}


def test_several_losses():
    model = Two()
    model.compile(keras.optimizers.SGD(0.0))
    watch = spiked(quiet(), model)
    assert [alert.where for alert in watch.alerts] == [("a_loss",)]
    watch = quiet(losses=["b_loss"])
    fit(watch, model)
    assert watch.alerts == []


def test_where_it_tells(tmp_path, capsys, caplog):
    told = []
    watch = kgw.LossWatch(tmp_path, on_finding=told.append)
    with caplog.at_level(logging.INFO, "keras_gradwatch"):
        spiked(watch)
    assert told == watch.alerts == kgw.read_alerts(tmp_path)
    text = str(watch.alerts[0])
    assert capsys.readouterr() == ("", "")  # the warning says it
    assert [record.getMessage() for record in caplog.records] == [text]
    assert caplog.records[0].levelno == logging.WARNING


def test_a_line_for_each_epoch(capsys):
    fit(kgw.LossWatch(verbose=2), bad=(), epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(re.fullmatch(r"loss: [\d.]+ \+- [\d.]+, 0 alerts\.", k) for k in lines)


def test_it_stops_or_raises_as_asked():
    model = linear(1e-5)
    spiked(quiet(on_failure="stop"), model)
    assert int(model.optimizer.iterations) == 104
    model = linear(1e-5)
    with pytest.raises(kgw.LossAlertError, match="Loss spike") as caught:
        fit(quiet(on_failure="raise"), model)
    assert int(model.optimizer.iterations) == 103
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.alert == caught.value.alert


def test_a_backup_outlives_it(tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"), save_freq=50)
    with pytest.raises(kgw.LossAlertError):
        fit(quiet(on_failure="stop"), callbacks=[backup])
    assert (tmp_path / "backup").exists()


def test_what_is_ignored():
    assert fit(quiet(ignore=["spike"])).alerts == []


def test_figures_in_the_logs(tmp_path):
    path = tmp_path / "log.csv"
    history = linear().fit(
        *data(),
        batch_size=SIZE,
        epochs=2,
        verbose=0,
        callbacks=[quiet(log_metrics=True), keras.callbacks.CSVLogger(path)],
    )
    assert set(history.history) == {"loss", "loss_level", "loss_noise", "loss_alerts"}
    assert path.read_text().startswith("epoch,loss,loss_alerts,loss_level,loss_noise")
    assert history.history["loss_alerts"] == [0, 0]
    assert history.history["loss_level"][0] == pytest.approx(4.0, rel=0.9)


@pytest.mark.parametrize("compiled", first([{"steps_per_execution": 2}, {}]), ids=str)
@pytest.mark.parametrize("build", first([subclassed, recurrent]))
def test_training_is_bitwise_untouched(build, compiled, tmp_path):
    without = everything_after_fit(build, compiled, {}, [])
    watched = everything_after_fit(build, compiled, {}, [kgw.LossWatch(tmp_path)])
    for name, values in without.items():
        np.testing.assert_equal(watched[name], values, err_msg=name)


def test_a_closer_look_leaves_training_untouched():
    found = {}
    for watch in (quiet(), None):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(1)
        never = keras.initializers.Constant(-9)
        hidden = layers.Dense(4, "relu", bias_initializer=never)
        model = keras.Sequential([keras.Input((3,)), hidden, layers.Dropout(0.5)])
        model.add(layers.Dense(1))
        model.compile(keras.optimizers.SGD(1e-3), "mse")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", kgw.LossAlertWarning)
            callbacks = [watch] if watch else []
            model.fit(*data(1100), batch_size=SIZE, verbose=0, callbacks=callbacks)
        if watch:
            (alert,) = watch.alerts
            assert alert.kind == "stalled"
            assert "zero for 100% of the units of 'sequential/dense'" in alert.message
        random = keras.random.uniform(()).numpy(), tf.random.uniform(()).numpy()
        found[watch is None] = [*model.get_weights(), *random]
    np.testing.assert_equal(found[True], found[False])


def test_it_can_be_copied_after_a_fit_that_was_aborted():
    def interrupt(batch, logs):
        if batch == 50:
            raise KeyboardInterrupt

    watch = quiet()
    abort = keras.callbacks.LambdaCallback(on_train_batch_begin=interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(watch, callbacks=[abort])
    watch.set_model(None)
    for again in (copy.deepcopy(watch), pickle.loads(pickle.dumps(watch))):
        assert again.alerts == []
        spiked(again)
        assert len(again.alerts) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": "loss"}, "`losses` must be a sequence of names"),
        ({"losses": []}, "Received: losses=\\[\\]"),
        ({"ignore": ["spikes"]}, "Received: ignore=\\['spikes'\\]"),
        ({"on_failure": "shout"}, "Received: on_failure='shout'"),
        ({"on_finding": 3}, "Received: on_finding=3"),
        ({"log_metrics": "yes"}, "Received: log_metrics='yes'"),
        ({"verbose": 3}, "Received: verbose=3"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(kgw.InvalidArgumentError, match=message):
        kgw.LossWatch(**arguments)


def test_what_can_not_be_written_to_is_said_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    model = linear()
    with pytest.raises(kgw.InvalidArgumentError, match="`log_dir` must be a directory"):
        fit(kgw.LossWatch(tmp_path / "file"), model)
    assert int(model.optimizer.iterations) == 0


def test_a_console_that_is_gone(monkeypatch):
    gone = io.StringIO()
    gone.close()
    monkeypatch.setattr("sys.stdout", gone)
    assert len(spiked(kgw.LossWatch(verbose=2)).alerts) == 1
