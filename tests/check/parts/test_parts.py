"""One layer, one loss, one function by itself: what is taken, and what is left."""

import functools
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.parts import (
    WRONG,
    Block,
    Scaled,
    X,
    Y,
    product,
    verdicts,
)


def test_losses():
    class Half(keras.Loss):
        def call(self, y_true, y_pred):
            gone = ops.stop_gradient(y_pred)
            return ops.mean((y_true - (y_pred + gone) / 2) ** 2, axis=-1)

    def squared(y_true, y_pred):
        return ops.mean((y_true - y_pred) ** 2, axis=-1)

    assert verdicts(kgw.check_loss(Half(), X + 1, X)) == {"y_pred": "FAIL"}
    for loss in (squared, "mse", keras.losses.MeanSquaredError()):
        assert verdicts(kgw.assert_loss(loss, X + 1, X)) == {"y_pred": "PASS"}
    both = kgw.assert_loss("mse", X + 1, X, wrt=("y_true", "y_pred"))
    assert verdicts(both) == {"y_true": "PASS", "y_pred": "PASS"}
    labels = np.array([0, 3, 1])
    assert kgw.check_loss("sparse_categorical_crossentropy", labels, X**2).passed


@pytest.mark.basic
def test_paths_of_structures():
    def f(a, *rest, **more):
        return a["p"] * a["q"][0] + rest[0] * rest[1]

    report = kgw.assert_function(f, {"p": X, "q": [X, 3]}, Y, 2.0)
    assert list(verdicts(report)) == ["a/p", "a/q/0", "rest/0", "rest/1"]
    report = kgw.assert_layer(layers.Concatenate(), [X, X])
    assert list(verdicts(report)) == ["inputs/0", "inputs/1"]
    state = [np.ones((3, 2)), np.zeros((3, 2))]
    report = kgw.assert_layer(
        layers.LSTM(2, name="lstm"), X[..., None], arguments={"initial_state": state}
    )
    assert list(verdicts(report))[:3] == [
        "sequences",
        "initial_state/0",
        "initial_state/1",
    ]


def test_integers_masks_and_keyword_arguments_are_data():
    mask = np.array([[True, True, False, False]] * 3)
    report = kgw.check_layer(layers.GRU(2), X[..., None], arguments={"mask": mask})
    assert report.passed
    spared = report.variables[0].coordinates + report.variables[0].directions
    assert any(c.word == "match" for c in spared)
    assert kgw.check_function(tf.gather, X, np.array([0, 2, 2])).passed
    assert kgw.check_function(functools.partial(tf.cumsum, axis=1), X).passed
    report = kgw.assert_layer(
        layers.Embedding(5, 2, name="table"), np.array([[0, 3, 3]])
    )
    assert verdicts(report) == {"table/embeddings": "PASS"}


def test_complex_numbers():
    z = X + 1j * X[::-1]
    report = kgw.assert_function(tf.signal.fft, z)
    assert list(verdicts(report)) == ["input/real", "input/imag"]

    @tf.custom_gradient
    def wrong(z):  # not conjugated
        return z * z, lambda dy: dy * 2 * z

    assert kgw.check_function(lambda z: z * z, z).passed
    assert kgw.check_function(wrong, z).verdict == "FAIL"


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (tf.nn.relu, [0.0, 0.0, 1.0, -1.0]),
        (tf.nn.relu, [0.0, 0.0, 0.0]),
        (tf.abs, [0.0, 0.0, 2.0]),
        (tf.reduce_max, [1.0, 1.0, 0.0]),
        (tf.sort, [1.0, 1.0, 0.0, 2.0]),
        (tf.round, [0.2, 1.7]),
        (tf.math.log, [0.0, 1.0]),
        (lambda x: tf.where(x > 0, x, x - 1), [0.0, 1.0]),
        (tf.norm, [1e-4, 1e-4]),
    ],
    ids=["relu", "dead", "abs", "max", "sort", "round", "log", "jump", "norm"],
)
def test_kinks_and_borders_do_not_fail(function, x):
    for seed in range(3):
        report = kgw.check_function(function, np.array(x), seed=seed)
        assert report.verdict != "FAIL", str(report)


def test_precision():
    x = X.astype("float32")
    high = kgw.check_function(tf.sin, x)
    assert (high.dtype, high.training_dtype) == ("float64", "float32")
    assert kgw.check_function(tf.sin, X).training_dtype == ""
    half = kgw.check_layer(layers.Dense(2, dtype="mixed_float16"), x)
    assert (half.dtype, half.training_dtype) == ("float64", "float16")
    assert half.passed
    two = tf.constant(2.0)
    mixed = kgw.check_function(lambda x: tf.sin(x) * two, x)
    assert (mixed.verdict, mixed.dtype) == ("PASS", "float64")
    bad = tf.custom_gradient(lambda x: (tf.sin(x) * two, lambda dy: dy * tf.cos(x)))
    assert kgw.check_function(bad, x).verdict == "FAIL"


def test_overflow_in_the_precision_of_the_arguments():
    def log_cosh(x):
        return tf.math.log(tf.cosh(x))

    x = np.array([1.0, 60.0])
    assert kgw.check_function(log_cosh, x).passed
    report = kgw.check_function(
        lambda x: tf.sqrt(x * x + 1e-30), np.array([0.0, 1.0], "float32") + 1e-30
    )
    assert report.verdict in ("PASS", "INCONCLUSIVE")


def test_functions_that_run_eagerly_only():
    @tf.custom_gradient
    def numpy_sine(x, wrong=False):
        return tf.constant(np.sin(x.numpy())), lambda dy: dy * np.cos(x.numpy())

    @tf.custom_gradient
    def numpy_wrong(x):
        return tf.constant(np.sin(x.numpy())), lambda dy: dy * np.sin(x.numpy())

    assert kgw.check_function(numpy_sine, X).passed
    assert kgw.check_function(numpy_wrong, X).verdict == "FAIL"


def test_what_is_drawn_by_tensorflow_is_drawn_once():
    kgw.assert_function(lambda x: x * tf.random.normal([3, 4], dtype=x.dtype), X)


def test_what_differs_each_time_is_not_compared():
    with pytest.raises(kgw.UncheckableError, match="draws random numbers"):
        kgw.assert_function(lambda x: tf.random.shuffle(x) * x, X)


class Everything(layers.Layer):
    """Counts, keeps statistics, draws, adds a loss."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(4, activity_regularizer="l2")
        self.norm = layers.BatchNormalization()
        self.drop = layers.Dropout(0.5, seed=3)
        self.noise = keras.random.SeedGenerator(5)
        self.calls = 0
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls += 1
        self.seen.assign_add(1.0)
        x = self.drop(self.norm(self.dense(x)))
        self.add_loss(ops.mean(x**4))
        return x * keras.random.normal(ops.shape(x), seed=self.noise)


def state_of(layer):
    return [v.numpy().tobytes() for v in layer.variables]


def test_a_layer_is_left_as_it_is():
    layer = Everything()
    layer(X)
    before = state_of(layer), layer.calls, list(layer.losses), dict(layer.__dict__)
    for options in ({}, {"dropout": "freeze"}, {"order": 2, "training": False}):
        report = kgw.check_layer(layer, X, **options)
        assert not report.failures, str(report)
        assert report.variables[0].verdict == "PASS"
        assert state_of(layer) == before[0]
        assert layer.calls == before[1]
        assert list(layer.losses) == before[2]
        assert dict(layer.__dict__) == before[3]


def test_a_fresh_layer_is_built_and_no_more():
    keras.utils.set_random_seed(3)
    layer = layers.BatchNormalization()
    assert kgw.check_layer(layer, X + 5).passed
    assert layer.built
    np.testing.assert_array_equal(layer.moving_mean, 0)
    keras.utils.set_random_seed(3)
    checked, called = layers.Dense(2), layers.Dense(2)
    kgw.check_layer(checked, X)
    keras.utils.set_random_seed(3)
    _, called = layers.Dense(2), called
    keras.utils.set_random_seed(3)
    called = layers.Dense(2)
    called(X)
    np.testing.assert_array_equal(checked.kernel, called.kernel)
    nested = Block(layers.Dense(2), layers.Dropout(0.3))
    assert kgw.check_layer(nested, X).passed
    assert nested(X).shape == (3, 2)
    inputs = keras.Input((4,))
    assert keras.Model(inputs, nested(inputs)).predict(X, verbose=0).shape == (3, 2)


def test_streams_of_random_numbers_and_names_go_on_as_before():
    layer = layers.Dense(2)
    layer.build((None, 4))

    def draw():
        name = keras.Variable(1.0).name.rpartition("_")[2]
        return random.random(), np.random.random(), name  # noqa: NPY002

    keras.utils.set_random_seed(0)
    draw()
    expected = draw()
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(0)
    draw()
    kgw.check_layer(layer, X)
    kgw.check_function(tf.sin, X)
    kgw.check_loss("mse", X, X + 1)
    assert draw() == expected


def test_losses_that_a_layer_adds_are_part_of_it():
    class Adds(layers.Layer):
        def __init__(self, op, **kwargs):
            super().__init__(**kwargs)
            self.op = op

        def call(self, x):
            self.add_loss(tf.reduce_sum(self.op(x)))
            return x

    bad = tf.custom_gradient(lambda x: (x**2, lambda dy: dy * x))
    assert kgw.check_layer(Adds(tf.square), X).passed
    assert kgw.check_layer(Adds(bad), X).verdict == "FAIL"
    penalty = Adds(tf.identity, activity_regularizer=lambda x: tf.reduce_sum(bad(x)))
    assert kgw.check_layer(penalty, X).verdict == "FAIL"


def test_training_and_inference():
    class Only(layers.Layer):
        def call(self, x, training=None):
            if not training:
                return x
            return tf.custom_gradient(lambda x: (x, lambda dy: 2 * dy))(x)

    for layer in (Only(), Block(Only())):
        assert kgw.check_layer(layer, X).verdict == "FAIL"
        assert kgw.check_layer(layer, X, training=False).passed


def test_a_model_is_a_layer():
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.LayerNormalization()]
    )
    report = kgw.check_layer(model, X)
    assert report.passed
    assert len(report.variables) == 5


def test_options_are_those_of_check_gradients():
    bad = product(WRONG["doubled"], 0)
    report = kgw.check_function(bad, X, Y, expected=("x",), samples=2, directions=0)
    assert verdicts(report) == {"x": "EXPECTED", "y": "PASS"}
    assert [len(v.coordinates) for v in report.variables][1] >= 2
    same = [kgw.check_function(tf.sin, X, seed=4) for _ in range(2)]
    assert same[0].variables == same[1].variables
    other = kgw.check_function(tf.sin, X, seed=5)
    assert other.loss != same[0].loss


def test_assertions_raise_with_the_table():
    bad = product(WRONG["doubled"], 0)
    with pytest.raises(kgw.GradientMismatchError, match="2 times what") as caught:
        kgw.assert_function(bad, X, Y)
    assert caught.value.report.failures[0].path == "x"
    with pytest.raises(kgw.GradientMismatchError):
        kgw.assert_layer(Scaled(bad), X)
    with pytest.raises(kgw.UncheckableError, match="dead ReLU"):
        kgw.assert_layer(layers.ReLU(), -np.ones(3))
    with pytest.raises(kgw.UncheckableError, match="assigns to the trainable weight"):
        kgw.assert_layer(layers.SpectralNormalization(layers.Dense(2)), X)
    assert kgw.assert_loss("mae", X, X).passed  # at a kink, a thousandth away


REFUSED = {
    "no layer": (lambda: kgw.check_layer(np.sin, X), "`layer`.*check_function"),
    "no function": (lambda: kgw.check_function(3, X), "`fn` must be a function"),
    "a class": (lambda: kgw.check_function(layers.Dense, X), "`fn` must be a function"),
    "a layer": (lambda: kgw.check_function(layers.ReLU(), X), "Use `check_layer`"),
    "no loss": (lambda: kgw.check_loss("mess", X, X), "`loss` must be.*'mess'"),
    "a class of losses": (
        lambda: kgw.check_loss(keras.losses.Huber, X, X),
        "`loss` must be",
    ),
    "wrt": (lambda: kgw.check_loss("mse", X, X, wrt="y_pred"), "`wrt` must be a tuple"),
    "order": (lambda: kgw.check_function(tf.sin, X, order=3), "`order` must be 1 or 2"),
    "training": (lambda: kgw.check_layer(layers.ReLU(), X, training=1), "`training`"),
    "option": (
        lambda: kgw.check_function(tf.sin, X, sample=3),
        "options are samples, .*sample$",
    ),
    "an option": (lambda: kgw.check_function(tf.sin, X, samples=-1), "`samples`"),
    "no floats": (
        lambda: kgw.check_function(tf.one_hot, np.arange(3), 3),
        "no argument holds floats",
    ),
    "only integers out": (
        lambda: kgw.check_layer(layers.Discretization([0.0]), X),
        "no output holds floats.*int",
    ),
    "not finite": (
        lambda: kgw.check_layer(layers.Add(), [X, np.full((3, 4), np.nan)]),
        r"'inputs/1' must be finite.*nan at index \[0, 0\]",
    ),
    "one not finite": (
        lambda: kgw.check_function(tf.sin, np.array([1.0, np.nan])),
        r"nan at index \[1\]$",
    ),
    "ragged integers": (
        lambda: kgw.check_function(tf.identity, tf.ragged.constant([[1], []])),
        r"no argument holds floats.*input \(RaggedTensor, int32\)",
    ),
    "empty": (
        lambda: kgw.check_function(tf.sin, X[:0]),
        r"no argument holds floats.*x \(float64 of size 0\)",
    ),
    "nothing but size zero out": (
        lambda: kgw.check_function(lambda x: x[:0], X),
        "no output holds floats.*float64 of size 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_at_once(case):
    call, message = REFUSED[case]
    with pytest.raises(kgw.InvalidArgumentError, match=f"(?s){message}") as caught:
        call()
    assert "Received" in str(caught.value)


def test_what_the_thing_itself_raises_comes_through():
    def broken(x):
        raise RuntimeError("of my own")

    with pytest.raises(RuntimeError, match="of my own"):
        kgw.check_function(broken, X)
    with pytest.raises(ValueError, match="incompatible"):
        kgw.check_layer(layers.Conv2D(2, 3), X)
