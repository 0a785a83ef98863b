"""A batch that is left out leaves nothing behind: all is as if it was not there."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support import skips
from tests.support.skips import OwnStep, adam, arrays, everything, half, stack

LONG = pytest.mark.long
WAYS = [
    # name, model, compiled, fit, optimizer, bad batches
    ("graph", stack, {}, arrays, adam, [3]),
    ("first of all", stack, {}, arrays, adam, [0]),
    ("eager", stack, {"run_eagerly": True}, arrays, adam, [3]),
    ("at once", stack, {"steps_per_execution": 3}, arrays, adam, [1, 2, 6]),
    ("loss scale", half, {}, arrays, skips.scaling, [0, 4]),
    ("own step", OwnStep, {}, arrays, adam, [0, 3]),
    ("generator", stack, {}, skips.generator, adam, [3, 4]),
    ("last of all", stack, {}, arrays, adam, [6]),
    ("several", stack, {}, arrays, skips.sgd, [2, 3, 5]),
    ("mixed precision", half, {}, arrays, adam, [3]),
    ("compiled", stack, {"jit_compile": True}, arrays, adam, [0, 3]),
    ("all but one", stack, {}, arrays, adam, [0, 1, 2, 4, 5, 6]),
    ("eager, first", stack, {"run_eagerly": True}, arrays, adam, [0, 1]),
    ("at once, all of them", stack, {"steps_per_execution": 2}, arrays, adam, [2, 3]),
    ("at once, many", stack, {"steps_per_execution": 4}, arrays, adam, [0, 1, 4, 5]),
    ("own step, eager", OwnStep, {"run_eagerly": True}, arrays, adam, [3]),
    ("accumulation", stack, {}, arrays, skips.accumulating, [0, 3]),
    ("averages", stack, {}, arrays, skips.averaging, [0, 3]),
    ("pipeline", stack, {}, skips.pipeline, adam, [1, 6]),
    ("unknown length", stack, {}, skips.of_unknown_length, adam, [1]),
    ("validation", stack, {}, skips.validated, adam, [1, 6]),
    (
        "generator, at once",
        stack,
        {"steps_per_execution": 2},
        skips.generator,
        adam,
        [3],
    ),
]
# Without a graph, and where the batch is among others; all others are siblings.
SHORT = ("eager", "at once", "loss scale")


@pytest.mark.parametrize(
    ("build", "compiled", "fit", "optimizer", "bad"),
    [
        pytest.param(*way, id=name, marks=[] if name in SHORT else [LONG])
        for name, *way in WAYS
    ],
)
def test_all_is_as_if_it_had_not_been_in_the_data(build, compiled, fit, optimizer, bad):
    with_them, found = everything(build, compiled, fit, bad, False, optimizer)
    without, _ = everything(build, compiled, fit, bad, True, optimizer)
    assert len(found) >= len(bad)
    assert all(finding.left_out for finding in found)
    assert not any("Not put back" in note for f in found for note in f.notes)
    assert np.isfinite(with_them["history"]["loss"]).all()
    assert with_them.keys() == without.keys()
    for name, values in without.items():
        np.testing.assert_equal(with_them[name], values, err_msg=name)


def test_it_is_told_each_time(capsys, tmp_path):
    keras.utils.set_random_seed(1)
    told, model = [], stack()
    model.compile("adam", "mse", jit_compile=False)
    locator = kgw.NonFiniteLocator(
        tmp_path, on_failure="skip", on_finding=told.append, log_metrics=True
    )
    with pytest.warns(kgw.NonFiniteWarning, match="undone and its batch left out"):
        history = arrays(model, *skips.data([2, 5], False), [locator]).history
    assert told == locator.findings
    assert [f.step for f in told] == [2, 4, 7, 9]
    assert [f.examples for f in told] == [(1,)] * 4
    assert told[1].outcome.endswith("2 of at most 10 in this epoch")
    assert history["left_out"] == history["nonfinite"] == [2, 4]
    assert capsys.readouterr().out.splitlines() == [f.headline for f in told]
    alerts = kgw.read_alerts(tmp_path)
    assert [a.step for a in alerts] == [2, 4, 7, 9]
    assert all("its batch left out" in a.message for a in alerts)
    # Each is saved, with the weights before it.
    saved = [kgw.load_failure(f.saved) for f in told]
    assert all(np.isnan(s.batch[0][1, 2]) for s in saved)
    assert all(np.isfinite(w).all() for s in saved for w in s.weights)


def test_one_more_than_max_skips_ends_training():
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    locator = kgw.NonFiniteLocator(on_failure="skip", max_skips=2, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning) as told:
        history = arrays(model, *skips.data([1, 3, 5], False), [locator]).history
    assert "more than 2 such batches" in str(told[-1].message)
    assert [f.left_out for f in locator.findings] == [True, True, False]
    assert model.stop_training
    assert int(model.optimizer.iterations) == 3
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert len(history["loss"]) == 1
    assert np.isfinite(history["loss"]).all()


def test_each_epoch_is_counted_by_itself():
    model = stack()
    model.compile("sgd", "mse", jit_compile=False)
    locator = kgw.NonFiniteLocator(on_failure="skip", max_skips=1, verbose=0)
    with pytest.warns(kgw.NonFiniteWarning):
        arrays(model, *skips.data([3], False), [locator], epochs=3)
    assert [f.left_out for f in locator.findings] == [True] * 3
    assert int(model.optimizer.iterations) == 18


def test_an_epoch_without_a_good_batch_ends_training():
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    before = model.get_weights()
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    x, y = skips.data([0, 1, 2], False, count=3)
    with pytest.warns(kgw.NonFiniteWarning) as told:
        history = arrays(model, x, y, [locator]).history
    assert "all 3 batches of the epoch" in str(told[-1].message)
    assert np.isnan(history["loss"]).tolist() == [True]  # not zero
    np.testing.assert_equal(model.get_weights(), before)


def test_what_the_weights_were_before_is_not_the_batchs_fault():
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    model.layers[0].kernel.assign(np.full((4, 6), np.nan))
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="was not left out, and training end"):
        arrays(model, *skips.data([], False), [locator])
    assert not locator.finding.left_out
    assert model.stop_training


def test_a_backup_is_kept_where_training_ends(tmp_path):
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    locator = kgw.NonFiniteLocator(on_failure="skip", max_skips=1, verbose=0)
    with (
        pytest.warns(kgw.NonFiniteWarning),
        pytest.raises(kgw.NonFiniteError, match="more than 1 such batch,"),
    ):
        arrays(model, *skips.data([1, 3], False), [locator, backup])
    assert all(np.isfinite(w).all() for w in model.get_weights())


@LONG
def test_a_loss_scale_that_is_too_large_is_no_bad_batch():
    """`LossScaleOptimizer` leaves steps out by itself, and lowers its scale."""

    def too_large():
        return keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(1e-2), initial_scale=2.0**24
        )

    left, found = everything(half, {}, arrays, [], False, too_large)
    alone, _ = everything(half, {}, arrays, [], True, too_large)
    assert found == []
    np.testing.assert_equal(left, alone)
    assert any(np.array_equal(v, 2.0**24) for v in left["variables"]) is False


class Course(keras.callbacks.Callback):
    """What callbacks get to see of each batch."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(logs["loss"])


def test_other_callbacks_see_nothing_of_it(tmp_path):
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    path = str(tmp_path / "{epoch}-{batch}.weights.h5")
    course, watch = Course(), kgw.LossWatch(on_failure="raise")
    stats = kgw.GradientStats(check_freq=2, verbose=0)
    gradients = kgw.GradientCheck(warmup_steps=0, check_freq=4, verbose=0)
    others = [
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.EarlyStopping("loss", patience=9),
        keras.callbacks.ModelCheckpoint(path, save_freq=1, save_weights_only=True),
        course,
        watch,
        stats,
        gradients,
    ]
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with pytest.warns((kgw.NonFiniteWarning, kgw.GradientAlertWarning)):
        arrays(model, *skips.data([0, 4], False), [*others, locator], epochs=3)
    assert len(locator.findings) == 6
    assert np.isfinite(course.losses).all()
    assert watch.alerts == []
    assert len(course.losses) == 21
    assert int(model.optimizer.iterations) == 15
    assert {r.verdict for r in gradients.reports} <= {"PASS", "INCONCLUSIVE"}
    for file in tmp_path.glob("*.h5"):
        model.load_weights(file)
        assert all(np.isfinite(w).all() for w in model.get_weights())


class Strange(keras.Model):
    """Draws and counts where nobody can put it back."""

    def __init__(self):
        super().__init__()
        self.out = layers.Dense(1)
        counter = tf.Variable(0.0, trainable=False, name="hidden_one")
        self.count = lambda: counter.assign_add(1.0)
        self.out.build((None, 4))
        self.built = True

    def call(self, x, training=None):
        self.count()
        return self.out(x + tf.random.normal(tf.shape(x), stddev=0.1))


def test_what_can_not_be_put_back_is_named():
    model = Strange()
    model.compile("sgd", "mse", jit_compile=False)
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match="Not put back: the streams of"):
        arrays(model, *skips.data([2], False), [locator], epochs=1)
    (note,) = [n for n in locator.finding.notes if n.startswith("Not put back")]
    assert "RandomStandardNormal of TensorFlow" in note
    assert "hidden_one" in note


def test_a_loop_of_train_on_batch():
    model = stack()
    model.compile("adam", "mse", jit_compile=False)
    x, y = skips.data([1], False)
    callbacks = keras.callbacks.CallbackList(
        [kgw.NonFiniteLocator(on_failure="skip", verbose=0)], model=model
    )

    def loop():
        callbacks.on_train_begin()
        for k in range(3):
            callbacks.on_train_batch_begin(k)
            yield model.train_on_batch(x[k], y[k])
            callbacks.on_train_batch_end(k)
        callbacks.on_train_end()

    with pytest.warns(kgw.NonFiniteWarning, match="left out"):
        logs = list(loop())
    # The loop is told what became of its batch, and goes on with weights from before.
    assert np.isnan(logs[1]).any()
    assert np.isfinite([logs[0], logs[2]]).all()
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"check_freq": 2}, "`check_freq` must be an integer that is 1 with"),
        ({"max_skips": 0}, "Argument `max_skips` must be an integer, 1 or more"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(kgw.InvalidArgumentError, match=message):
        kgw.NonFiniteLocator(on_failure="skip", **options)


def test_a_healthy_training_is_untouched():
    """Bitwise, and without a word."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_it, found = everything(stack, {}, arrays, [], False, adam)
    without, _ = everything(stack, {}, arrays, [], True, adam)
    assert found == []
    np.testing.assert_equal(with_it, without)


class Counting(keras.layers.Layer):
    """Counts its calls by itself, and draws from a stream of everybody's."""

    def __init__(self):
        super().__init__()
        self.calls, self.seen = 0, []

    def call(self, x):
        self.calls += 1
        self.seen.append(float(np.random.rand()))  # noqa: NPY002
        return x


CALLS = []


class OnceOnly(keras.layers.Layer):
    """Gives a NaN in its fifth call, and never again."""

    def call(self, x):
        CALLS.append(1)
        return x * float("nan") if len(CALLS) == 5 else x


@LONG
def test_what_does_not_come_again_step_by_step_is_no_bad_batch():
    CALLS.clear()
    model = keras.Sequential([keras.Input((4,)), OnceOnly(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True, steps_per_execution=3)
    begun = len(CALLS)
    CALLS.extend([1] * (2 - begun))  # the third of the first three steps
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with pytest.warns(kgw.GradwatchWarning, match="all was finite: no batch was left"):
        arrays(model, *skips.data([], False), [locator], epochs=1)
    assert locator.findings == []
    assert int(model.optimizer.iterations) == skips.COUNT
    assert all(np.isfinite(w).all() for w in model.get_weights())


@LONG
def test_attributes_of_a_step_that_runs_as_python_are_put_back():
    model = keras.Sequential([keras.Input((4,)), Counting(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    counting = model.layers[0]
    begun = counting.calls
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with pytest.warns(kgw.NonFiniteWarning, match=r"Not put back: .*numpy.random"):
        arrays(model, *skips.data([2], False), [locator], epochs=1)
    assert counting.calls - begun == skips.COUNT - 1
    assert len(counting.seen) == counting.calls


DEVICES = """
import keras, numpy as np, tensorflow as tf, warnings
from keras import layers

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
import keras_gradwatch as kgw
from tests.support import skips


def left(bad, left_out):
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = skips.stack()
        model.compile("adam", "mse", metrics=["mae"], jit_compile=False)
    locator = kgw.NonFiniteLocator(on_failure="skip", verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = skips.arrays(
            model, *skips.data(bad, left_out), [] if left_out else [locator]
        )
    parts = [
        part.numpy()
        for v in [*model.variables, *model.optimizer.variables]
        for part in strategy.experimental_local_results(v._value)
    ]
    return (parts, history.history), len(locator.findings)


with_them, found = left([0, 3, 6], False)
np.testing.assert_equal(with_them, left([0, 3, 6], True)[0])
print(found)
"""


@LONG
def test_on_two_devices_each_copy_is_put_back():
    done = subprocess.run(
        [sys.executable, "-c", DEVICES],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    assert done.stdout.split() == ["6"], done.stderr[-2000:]
