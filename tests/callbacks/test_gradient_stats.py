"""`GradientStats`: its figures are those of training."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import keras_gradwatch as kgw
from tests.support.fits import everything_after_fit, recurrent, subclassed
from tests.support.marks import pairs
from tests.support.steps import KINDS

MODES = [
    {},
    {"run_eagerly": True},
    {"jit_compile": True},
    {"steps_per_execution": 3},
]


def words(**compiled):
    """A model with an embedding, whose gradient is a few rows of a table."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            layers.Embedding(50, 4, name="table"),
            layers.Flatten(),
            layers.Dense(8, "relu", name="hidden"),
            layers.Dense(3, name="scores"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, **compiled)
    rng = np.random.default_rng(0)
    return model, rng.integers(0, 20, (32, 6)), rng.integers(0, 3, 32)


def by_hand(model, x, y):
    """The gradients of a tape, as plain NumPy arrays."""
    with tf.GradientTape() as tape:
        loss = model.loss(y, model(x, training=True))
    weights = [v.value for v in model.trainable_variables]
    return [tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, weights)]


class Moves(keras.callbacks.Callback):
    """How far each step moves each weight, by its path."""

    def on_train_begin(self, logs=None):
        self.seen = []

    def on_train_batch_begin(self, batch, logs=None):
        self.before = [v.numpy() for v in self.model.trainable_variables]

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(
            {
                v.path: np.linalg.norm(v.numpy() - old)
                / max(1e-30, np.linalg.norm(old))
                for v, old in zip(
                    self.model.trainable_variables, self.before, strict=True
                )
            }
        )


@pytest.mark.basic
@pytest.mark.parametrize("compiled", MODES[:2], ids=str)
def test_the_figures_are_those_of_a_tape_by_hand(compiled):
    model, x, y = words(**compiled)
    expected = by_hand(model, x, y)
    stats = kgw.GradientStats(verbose=0)
    model.fit(x, y, batch_size=32, shuffle=False, verbose=0, callbacks=[stats])
    (reading,) = stats.readings
    assert [v.path for v in reading.variables] == [
        v.path for v in model.trainable_variables
    ]
    for found, gradient in zip(reading.variables, expected, strict=True):
        wide = np.abs(gradient.astype(np.float64))
        size = np.linalg.norm(wide)
        assert np.float32(found.norm) == np.float32(size)
        assert found.mean_size == pytest.approx(wide.mean(), rel=1e-6)
        assert found.largest == wide.max()
        assert found.zeros == pytest.approx(np.mean(gradient == 0), abs=1e-12)
        if gradient.ndim > 1:
            idle = np.mean(~np.any(gradient, axis=0))
            assert found.idle_units == pytest.approx(idle, abs=1e-12)
    assert reading.variables[0].zeros > 0.5  # the words that were not there
    whole = np.sqrt(sum(v.norm**2 for v in reading.variables))
    assert reading.global_norm == pytest.approx(whole)
    assert reading.loss == pytest.approx(stats.model.history.history["loss"][0], 1e-6)


@pytest.mark.parametrize("compiled", MODES, ids=str)
def test_the_update_is_that_of_the_optimizer(compiled):
    model, x, y = words(**compiled)
    stats, moves = kgw.GradientStats(check_freq=1, verbose=0), Moves()
    model.fit(x, y, batch_size=8, epochs=1, verbose=0, callbacks=[stats, moves])
    assert [r.step for r in stats.readings] == (
        [0, 3] if "steps_per_execution" in compiled else [0, 1, 2, 3]
    )
    for k, (reading, seen) in enumerate(zip(stats.readings, moves.seen, strict=True)):
        steps = [3, 1][k] if "steps_per_execution" in compiled else 1
        for variable in reading.variables:
            ratio = seen[variable.path] / steps
            if k:  # from biases of zero any step is infinite
                assert variable.update_ratio == pytest.approx(ratio, rel=1e-4)


def test_each_loss_of_a_training_step_has_its_own_figures():
    build, compile_, _ = KINDS["gan"]
    keras.utils.set_random_seed(0)
    model = build(False)
    compile_(model)
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    model.fit(x, batch_size=8, epochs=1, verbose=0, callbacks=[stats])
    targets = {v.target for v in stats.readings[0].variables}
    assert len(targets) == 2 == len(stats.readings[0].losses)
    assert all(v.norm > 0 for v in stats.readings[0].variables)


def test_a_scaled_loss_is_read_as_it_is():
    found = {}
    for scaled in (False, True):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
        optimizer = keras.optimizers.SGD(0.1)
        if scaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        model.compile(optimizer, "mse")
        stats = kgw.GradientStats(verbose=0)
        x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
        model.fit(x, x[:, :3], epochs=1, verbose=0, callbacks=[stats])
        (found[scaled],) = stats.readings
    assert found[True].loss_scale > 1
    assert found[True].loss == pytest.approx(found[False].loss)
    assert found[True].global_norm == pytest.approx(found[False].global_norm)


@pytest.mark.parametrize(("compiled", "build"), pairs(MODES, [subclassed, recurrent]))
def test_training_is_bitwise_untouched(build, compiled, tmp_path):
    stats = kgw.GradientStats(tmp_path, check_freq=2, verbose=0)
    without = everything_after_fit(build, compiled, {}, [])
    with_stats = everything_after_fit(build, compiled, {}, [stats])
    assert len(stats.readings) >= 3
    assert stats.alerts == []
    for name, values in without.items():
        np.testing.assert_equal(with_stats[name], values, err_msg=name)


def test_other_weights_may_train_in_the_next_fit():
    model, x, y = words()
    stats = kgw.GradientStats(verbose=0)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[stats])
    assert len(stats.readings[0].variables) == 5
    model.get_layer("table").trainable = False
    model.compile("sgd", model.loss)
    model.fit(x, y, verbose=0, callbacks=[stats])
    found = {v.layer.rpartition("/")[2] for v in stats.readings[0].variables}
    assert found == {"hidden", "scores"}


def test_a_reading_that_breaks_lets_training_go_on():
    class Fails(layers.Layer):
        calls = 0

        def call(self, x):
            Fails.calls += 1
            if Fails.calls > 2:  # the model's own graph is traced by then
                raise OSError("no more")
            return x

    model = keras.Sequential([keras.Input((4,)), Fails(), layers.Dense(2)])
    model.compile("sgd", "mse")
    x = np.ones((8, 4), "float32")
    model.fit(x, x[:, :2], verbose=0)
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    with pytest.warns(kgw.GradwatchWarning, match=r"gradient reading .* no more"):
        model.fit(x, x[:, :2], verbose=0, callbacks=[stats])
    assert stats.readings == []


def test_what_tensorboard_gets(tmp_path):
    model, x, y = words()
    stats = kgw.GradientStats(tmp_path, scalars="all", check_freq=2, verbose=0)
    check = kgw.GradientCheck(tmp_path, warmup_steps=1, check_freq=2, verbose=0)
    tensorboard = keras.callbacks.TensorBoard(tmp_path, update_freq=3)
    used = [stats, check, tensorboard]
    model.fit(x, y, batch_size=8, verbose=0, epochs=2, callbacks=used)
    # Both write into one file: TensorBoard would lose part of two at once.
    (file,) = (tmp_path / "gradwatch").iterdir()
    events = EventAccumulator(str(file), size_guidance={"tensors": 0}).Reload()
    for name, figure in (
        ("~GradCheck/global_norm", lambda r: r.global_norm),
        ("~GradCheck/update_ratio", lambda r: r.update_ratio),
        ("~GradCheck_norm/sequential/table/embeddings", lambda r: r.variables[0].norm),
        (
            "~GradCheck_zeros/sequential/table/embeddings",
            lambda r: r.variables[0].zeros,
        ),
    ):
        found = [
            (e.step, tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(name)
        ]
        assert [step for step, _ in found] == [0, 2, 4, 6]
        expected = [figure(reading) for reading in stats.readings]
        np.testing.assert_allclose([v for _, v in found], expected, rtol=1e-6)
    series = events.Tensors("~GradCheck_histograms/sequential/table/embeddings")
    for event, reading in zip(series, stats.readings, strict=True):
        left, right, counts = tf.make_ndarray(event.tensor_proto).T
        assert counts.sum() == 50 * 4
        assert np.all(left < right)
        # Rows that were not looked up are zeros.
        zero = np.flatnonzero((left <= 0) & (right >= 0))
        assert counts[zero].sum() >= 200 * reading.variables[0].zeros
    assert [r.step for r in kgw.read_reports(tmp_path)] == [1, 3, 5, 7]
    assert [r.step for r in check.reports] == [1, 3, 5, 7]


def test_a_line_for_each_reading(capsys):
    model, x, y = words()
    stats = kgw.GradientStats(verbose=2)
    model.fit(x, y, batch_size=32, verbose=0, callbacks=[stats])
    assert "Gradients at step 0: global norm" in capsys.readouterr().out
    table = str(stats.readings[0])
    assert "sequential/hidden/kernel" in table
    assert "update / weight" in table


def test_what_can_not_be_read_is_said_once_a_fit(rng):
    calls = itertools.count()  # of which nothing is put back

    class Foreign(layers.Layer):
        def call(self, x, training=False):
            next(calls)
            y = tf.numpy_function(np.tanh, [x], x.dtype)
            return x + tf.ensure_shape(y, x.shape)

    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), Foreign(), layers.Dense(3)]
    )
    model.compile("sgd", "mse", jit_compile=False)
    stats = kgw.GradientStats(check_freq=1)
    x, y = rng.normal(size=(12, 4)), rng.normal(size=(12, 3))
    for _ in range(2):
        with pytest.warns(kgw.GradwatchWarning) as told:
            model.fit(x, y, batch_size=3, verbose=0, callbacks=[stats])
        assert len([w for w in told if "Python code" in str(w.message)]) == 1
    assert not stats.readings
    before = next(calls)
    with pytest.warns(kgw.GradwatchWarning):
        model.fit(x, y, batch_size=3, verbose=0, callbacks=[stats])
    assert next(calls) - before == 2  # one trace for four readings
