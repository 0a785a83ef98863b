"""Cases in which an earlier version was wrong: each stays mended."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.small_models import Halved, small_model


class RefusesThree(layers.Layer):
    """Computes in float32 alone when the batch has three examples."""

    def call(self, x):
        if x.shape[0] == 3:
            return x * tf.constant(0.5, tf.float32)
        return x * 0.5


def test_graphs_for_other_batches_do_not_go_stale(rng):
    stack = [layers.Dense(4, activation="tanh"), RefusesThree(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile(keras.optimizers.SGD(0.5), "mse")
    x, y = rng.normal(size=(11, 4)), rng.normal(size=(11, 2))
    # In float32 there is no screen: without time, little would be compared.
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, time_budget=30, verbose=0)
    model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 6


class NearAnEdge(layers.Layer):
    """Finite where it stands, and not a little to the left."""

    def build(self, shape):
        self.p = self.add_weight(shape=(), initializer="zeros", name="p")

    def call(self, x):
        return x * ops.sqrt(self.p + 1e-6)


def test_a_point_nearby_that_is_not_finite_does_not_hide_a_mistake(rng):
    stack = [layers.Dense(4, name="a"), Halved(), NearAnEdge(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    for seed in range(4):
        report = kgw.check_gradients(model, x, y, seed=seed)
        assert {v.path.split("/")[-2] for v in report.failures} == {"a"}


@pytest.mark.parametrize("logit", [20.0, 24.0, 28.0])
@pytest.mark.parametrize("eps", [1e-8, 1e-12, 1e-15])
def test_a_loss_that_rounds_to_a_plateau(logit, eps, rng):
    def cross_entropy(y, p):
        return -(y * tf.math.log(p + eps) + (1 - y) * tf.math.log(1 - p + eps))

    start = keras.initializers.Constant(logit)
    last = layers.Dense(1, activation="sigmoid", bias_initializer=start)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(8, "relu"), last])
    model.compile("sgd", cross_entropy)
    x, y = rng.normal(size=(8, 5)), rng.integers(0, 2, (8, 1)).astype("float32")
    assert kgw.check_gradients(model, x, y).verdict != "FAIL"


class Fourier(layers.Layer):
    """A circular convolution in complex64, whatever comes."""

    def build(self, shape):
        self.w = self.add_weight(shape=(8,), name="w")

    def call(self, x):
        seen = tf.signal.fft(tf.cast(x, tf.complex64))
        seen *= tf.cast(tf.convert_to_tensor(self.w), tf.complex64)
        return tf.cast(tf.signal.ifft(seen), x.dtype)


@pytest.mark.filterwarnings("ignore:.*complex64.*")
def test_complex64_is_complex128_in_a_check(rng):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2)(Fourier()(layers.Dense(8)(inputs))))
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(6, 8)), rng.normal(size=(6, 2))
    for seed in range(3):
        report = kgw.check_gradients(model, x, y, seed=seed)
        assert (report.verdict, report.dtype) == ("PASS", "float64"), str(report)


class RunningCentre(layers.Layer):
    """Uses the running mean that it has just updated: no gradient flows there."""

    def build(self, shape):
        self.mean = self.add_weight(shape=shape[-1:], trainable=False, name="mean")

    def call(self, x):
        self.mean.assign(0.5 * self.mean + 0.5 * ops.mean(x, axis=0))
        return x - self.mean


def test_what_is_assigned_carries_no_gradient_as_in_training(rng):
    first = layers.Dense(6, activation="tanh", name="first")
    stack = [first, RunningCentre(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((5,)), *stack])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x, y = rng.normal(size=(8, 5)), rng.normal(size=(8, 2))
    report = kgw.check_gradients(model, x, y, samples=6)
    before = first.bias.numpy()
    model.train_on_batch(x, y)
    (bias,) = [v for v in report.variables if v.path.endswith("first/bias")]
    applied = before - first.bias.numpy()
    for seen in bias.coordinates:
        assert seen.analytic == pytest.approx(applied[seen.index], abs=1e-5)
    assert bias.verdict == "FAIL"


class Sampling(layers.Layer):
    """As in Keras' example of a variational autoencoder."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        mean, spread = ops.split(x, 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        self.add_loss(ops.mean(ops.exp(spread) + mean**2 - spread))
        return mean + ops.exp(0.5 * spread) * noise


def test_draws_of_a_custom_layer_stay_in_float64(rng):
    stack = [layers.Dense(4), Sampling(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((3,)), *stack])
    model.compile("adam", "mse")
    x = rng.normal(size=(32, 3))
    model.fit(x, x, epochs=20, verbose=0)
    draw = keras.random.normal
    for seed in range(5):
        report = kgw.check_gradients(model, x, x, seed=seed)
        assert (report.verdict, report.dtype) == ("PASS", "float64")
        assert {v.verdict for v in report.variables} == {"PASS"}
    assert keras.random.normal is draw


class OwnDropout(layers.Dropout):
    """A user's own, with a mistake of its own: it must run to be seen."""

    def call(self, x, training=False):
        return Halved()(x) if training and self.rate > 0 else x


def test_a_users_own_dropout_is_not_switched_off(rng):
    stack = [layers.Dense(4, name="a"), OwnDropout(0.5), layers.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", "mse")
    report = kgw.check_gradients(model, rng.normal(size=(8, 4)), np.ones((8, 2)))
    assert report.verdict == "FAIL"


def test_many_shapes_of_data_do_not_pile_up_graphs(rng):
    model = small_model()
    settings = {"warmup_steps": 0, "check_freq": 1, "verbose": 0}
    check = kgw.GradientCheck(**settings)
    data = [
        (rng.normal(size=(n, 4)).astype("float32"), rng.integers(0, 3, n))
        for n in range(2, 12)
    ]

    def batches():
        yield from data

    model.fit(
        batches(), steps_per_epoch=10, verbose=0, callbacks=[check], shuffle=False
    )
    assert [r.verdict for r in check.reports] == ["PASS"] * 10


class Counts(layers.Layer):
    """Counts its calls in a variable of TensorFlow's own."""

    def __init__(self):
        super().__init__()
        self.calls = tf.Variable(0, trainable=False)

    def call(self, x):
        self.calls.assign_add(1)
        return 1.0 * x


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_counter_is_left_as_it_was(eagerly, rng):
    counter = Counts()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(2)(counter(layers.Dense(3)(inputs))))
    model.compile("sgd", "mse", run_eagerly=eagerly)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 2))
    model.fit(x, y, verbose=0)
    before = int(counter.calls)
    assert kgw.check_gradients(model, x, y).passed
    assert int(counter.calls) == before


@pytest.mark.parametrize("seed", [np.int64(3), 3])
def test_numpy_numbers_are_numbers(seed, rng):
    model = small_model()
    x, y = rng.normal(size=(6, 4)), rng.integers(0, 3, 6)
    report = kgw.check_gradients(model, x, y, seed=seed, tolerance=np.float32(1e-3))
    assert kgw.GradientReport.from_json(report.to_json()) == report


def test_no_patterns_at_all_is_refused():
    with pytest.raises(kgw.InvalidArgumentError, match="expected"):
        kgw.GradientCheck(expected=None)
