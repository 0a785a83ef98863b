"""The model's own code is traced once a fit, whoever looks, and refused once."""

import os
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw


class Calls:
    """Counts calls in a file: all that code can reach in memory is put back."""

    def __init__(self, path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)

    def count(self):
        os.write(self._file, b"x")

    def taken(self):
        """How many there were since it was last asked."""
        size = os.fstat(self._file).st_size
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return size


@pytest.fixture
def calls(tmp_path):
    return Calls(tmp_path / "calls")


class Counted(layers.Layer):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def call(self, x):
        self.calls.count()
        return x


def stack(calls, *more, **compiled):
    own = [layers.Dense(5, "tanh"), Counted(calls), *more, layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *own])
    model.compile("sgd", "mse", **compiled)
    return model


def half(calls):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return stack(calls)
    finally:
        keras.config.set_dtype_policy("float32")


class TwoPlayers(keras.Model):
    """Each has a tape and an optimizer of its own; the second one is counted."""

    def __init__(self, calls):
        super().__init__()
        self.maker = keras.Sequential([keras.Input((4,)), layers.Dense(4, "tanh")])
        self.judge = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
        self.counted, self.built = Counted(calls), True

    def compile(self):
        super().compile(optimizer=None)
        self.of_maker, self.of_judge = (keras.optimizers.SGD() for _ in range(2))

    def call(self, x):
        return self.judge(self.maker(x))

    def train_step(self, data):
        x, _ = data
        made = self.maker(x)
        with tf.GradientTape() as tape:
            told = self.judge(x) ** 2 - self.judge(made)
            loss = tf.reduce_mean(told)
        own = self.judge.trainable_variables
        self.of_judge.apply(tape.gradient(loss, own), own)
        with tf.GradientTape() as tape:
            fooled = -tf.reduce_mean(self.counted(self.judge(self.maker(x))))
        own = self.maker.trainable_variables
        self.of_maker.apply(tape.gradient(fooled, own), own)
        return {"loss": loss, "fooled": fooled}


def players(calls):
    model = TwoPlayers(calls)
    model.compile()
    return model


def look(model, *names, **options):
    """A fit of three epochs; the last batch of each is short."""
    made = {
        "check": lambda: kgw.GradientCheck(warmup_steps=1, check_freq=1, verbose=0),
        "stats": lambda: kgw.GradientStats(check_freq=1, verbose=0),
    }
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 2))
    callbacks = [made[name]() for name in names]
    fit = {"batch_size": 32, "epochs": 3, "verbose": 0, **options}
    model.fit(x.astype("float32"), y.astype("float32"), callbacks=callbacks, **fit)
    return callbacks


# Mixed precision is lifted from float32, and read as it is.
@pytest.mark.parametrize(
    ("build", "names", "traces"),
    [
        (stack, ("check", "stats"), 1),
        (players, ("check", "stats"), 1),
        (half, ("check", "stats"), 2),
        pytest.param(stack, ("check",), 1, marks=pytest.mark.long),
        pytest.param(stack, ("stats",), 1, marks=pytest.mark.long),
        pytest.param(players, ("check",), 1, marks=pytest.mark.long),
        pytest.param(players, ("stats",), 1, marks=pytest.mark.long),
        pytest.param(half, ("stats",), 1, marks=pytest.mark.long),
    ],
)
def test_all_that_look_at_a_fit_share_a_trace(build, names, traces, calls):
    model = build(calls)
    look(model)
    own = calls.taken()
    for callback in look(model, *names):
        found = callback.reports if hasattr(callback, "reports") else callback.readings
        assert len(found) >= 5
        for report in found if hasattr(callback, "reports") else ():
            assert (report.verdict, len(report.variables)) == ("PASS", 4), str(report)
    # Of the second fit, which keeps the graph that Keras has.
    assert calls.taken() == traces
    assert own > 0


def test_a_loss_depends_on_what_its_own_tape_records_alone(rng):
    """Of each of two players, what the other one gets is no part of its loss."""
    model = players(Calls(os.devnull))
    x = rng.normal(size=(6, 4)).astype("float32")
    report = kgw.check_gradients(model, x, x[:, :2])
    assert len(report.variables) == 4
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)


class InPython(layers.Layer):
    """Calls NumPy from within the graph."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def call(self, x):
        self.calls.count()
        return x * tf.ensure_shape(
            tf.numpy_function(np.ones_like, [x], x.dtype), x.shape
        )


def test_what_is_refused_is_said_once_and_not_traced_again(calls):
    model = stack(calls, InPython(calls))
    look(model)
    calls.taken()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", kgw.GradwatchWarning)
        check, stats = look(model, "check", "stats")
    assert calls.taken() == 2  # of the layer, and of the counter
    told = [str(w.message) for w in caught if w.category is kgw.GradwatchWarning]
    (refusal,) = [text for text in told if "runs Python code" in text]
    assert "differences" not in refusal
    assert {report.verdict for report in check.reports} == {"INCONCLUSIVE"}
    assert not stats.readings


class Shuffled(layers.Layer):
    """Adds its inputs in another order: that can't be drawn the same again."""

    def call(self, x):
        return x + 0.1 * tf.random.shuffle(tf.stop_gradient(x))


def test_what_has_no_differences_may_still_have_a_gradient(calls):
    model = stack(calls, Shuffled())
    check, stats = look(model, "check", "stats")
    assert {report.verdict for report in check.reports} == {"INCONCLUSIVE"}
    assert all(v.norm > 0 for reading in stats.readings for v in reading.variables)
    assert len(stats.readings) >= 5


def test_a_weight_that_the_forward_pass_assigns_is_read_as_it_trains(rng):
    layer = layers.SpectralNormalization(layers.Dense(2, use_bias=False))
    model = keras.Sequential([keras.Input((4,)), layer])
    model.compile("sgd", "mse")
    x, y = (rng.normal(size=(8, n)).astype("float32") for n in (4, 2))
    model.train_on_batch(x, y)
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[stats], shuffle=False)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((twin(x, training=True) - y) ** 2)
    (gradient,) = tape.gradient(loss, twin.trainable_variables)
    ((own,),) = (reading.variables for reading in stats.readings)
    assert own.norm == pytest.approx(float(tf.norm(gradient)), rel=1e-5)


class OfFixedSize(layers.Layer):
    """Needs to know the number of examples when it is traced."""

    def call(self, x):
        return tf.stack([row * 1.0 for row in tf.unstack(x)])

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def test_code_that_must_know_how_many_examples_there_are(calls):
    model = stack(calls, OfFixedSize())
    x = np.random.default_rng(1).normal(size=(32, 4)).astype("float32")
    data = tf.data.Dataset.from_tensor_slices((x, x[:, :2]))
    check = kgw.GradientCheck(warmup_steps=1, check_freq=1, verbose=0)
    stats = kgw.GradientStats(check_freq=1, verbose=0)
    model.fit(
        data.batch(16, drop_remainder=True),
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[check, stats],
    )
    assert {report.verdict for report in check.reports} == {"PASS"}
    assert len(stats.readings) == 4
