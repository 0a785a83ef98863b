"""What can't be checked says so, names the layer and the remedy, and is left alone."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gradwatch as kgw

layers = keras.layers


def _model(layer):
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, "tanh"), layer, layers.Dense(2)]
    )
    model.compile("sgd", "mse")
    return model


def _check(layer, rng, **options):
    return kgw.check_gradients(
        _model(layer), rng.normal(size=(6, 4)), rng.normal(size=(6, 2)), **options
    )


class Plain(layers.Layer):
    """A layer around a function."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, x):
        return self.function(x)


def _numpy(x):
    return tf.ensure_shape(tf.numpy_function(np.tanh, [x], x.dtype), x.shape)


def _python(x):
    return tf.ensure_shape(tf.py_function(tf.tanh, [x], x.dtype), x.shape)


REFUSED = {
    "numpy_function": (lambda: Plain(_numpy, name="culprit"), "Python"),
    "py_function": (lambda: Plain(_python, name="culprit"), "Python"),
    "shuffle": (
        lambda: Plain(lambda x: tf.random.shuffle(x), name="culprit"),
        "keras.random",
    ),
    "spectral": (
        lambda: layers.SpectralNormalization(layers.Dense(4, name="culprit")),
        "instead of assigning",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_with_the_layer_and_the_remedy(case, rng):
    make, remedy = REFUSED[case]
    report = _check(make(), rng)
    assert report.verdict == "INCONCLUSIVE", str(report)
    assert "culprit" in report.reason
    assert remedy in report.reason


@pytest.mark.parametrize("case", REFUSED)
def test_assert_gradients_takes_a_refusal_for_no_proof(case, rng):
    model = _model(REFUSED[case][0]())
    with pytest.raises(kgw.UncheckableError, match="culprit"):
        kgw.assert_gradients(model, rng.normal(size=(6, 4)), rng.normal(size=(6, 2)))


class Function(layers.Layer):
    """A layer whose `call` is compiled by itself."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")

    @tf.function
    def call(self, x):
        return tf.tanh(x @ self.kernel)


class FunctionOfIntegers(Function):
    """Its input needs no other precision, so an old trace fits."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(9, 4), name="kernel")

    @tf.function
    def call(self, x):
        return tf.reduce_sum(tf.gather(self.kernel, x), axis=1)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_layer_compiled_by_itself(steps, rng):
    model = _model(Function())
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    for _ in range(steps):
        model.train_on_batch(x, y)
    report = kgw.check_gradients(model, x, y)
    assert report.passed, str(report)
    assert {v.verdict for v in report.variables} == {"PASS"}


@pytest.mark.parametrize("steps", [0, 2])
def test_a_layer_of_integers_compiled_by_itself(steps, rng):
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            FunctionOfIntegers(),
            layers.Dense(2),
        ]
    )
    model.compile("sgd", "mse")
    x, y = rng.integers(0, 9, (6, 3)), rng.normal(size=(6, 2))
    for _ in range(steps):
        model.train_on_batch(x, y)
    report = kgw.check_gradients(model, x, y)
    assert report.passed, str(report)
    assert {v.verdict for v in report.variables} == {"PASS"}


class Counter(layers.Layer):
    """Counts its calls in a raw variable of TensorFlow."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = tf.Variable(0.0, trainable=False)
        self.python_calls = 0
        self.seen = []

    def call(self, x):
        self.calls.assign_add(1.0)
        self.python_calls += 1
        self.last = x
        self.seen.append(x)
        return x * 2


def test_a_raw_counter_is_left_as_it_was(rng):
    layer = Counter()
    model = _model(layer)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    calls, python_calls, seen = float(layer.calls), layer.python_calls, len(layer.seen)
    last = layer.last
    report = kgw.check_gradients(model, x, y)
    assert report.passed, str(report)
    assert float(layer.calls) == calls
    assert layer.python_calls == python_calls
    assert len(layer.seen) == seen
    assert layer.last is last


def test_random_numbers_at_the_input_of_one_that_are_not_used(rng):
    # Drawn, but without influence on the loss: nothing is in the way.
    def call(x):
        tf.random.normal([2])
        return x * 2

    report = _check(Plain(call), rng)
    assert report.verdict in ("PASS", "INCONCLUSIVE")


class Fails(layers.Layer):
    def call(self, x, training=False):
        if training and x.dtype == "float64":
            raise RuntimeError("not in this precision")
        return x


class AlwaysFails(layers.Layer):
    def call(self, x, training=False):
        if training:
            raise RuntimeError("never")
        return x


def test_a_layer_that_refuses_float64_is_checked_in_float64_all_the_same(rng):
    report = _check(Fails(), rng)
    assert report.passed, str(report)
    assert report.dtype == "float64"


def test_a_layer_that_raises_gives_a_reason(rng):
    report = _check(AlwaysFails(), rng)
    assert report.verdict == "INCONCLUSIVE"
    assert "never" in report.reason


def test_a_loss_that_is_not_finite(rng):
    report = _check(Plain(lambda x: x / 0.0), rng)
    assert report.verdict == "INCONCLUSIVE"
    assert "nan" in report.reason


class Everything(layers.Layer):
    """Changes whatever it can while it runs."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count = 0
        self.history = []
        self.table = {}
        self.names = set()
        self.inner = layers.Dropout(0.5)
        self.state = self.add_weight(shape=(), trainable=False, name="state")

    def call(self, x, training=False):
        self.count += 1
        self.history.append(self.count)
        self.table[self.count] = x
        self.names.add(self.count)
        self.new = x
        self.state.assign(self.state + 1)
        random.random()
        np.random.random()  # noqa: NPY002
        return self.inner(x, training=training)


@pytest.mark.parametrize("dropout", ["bypass", "freeze"])
def test_nothing_is_left_changed(dropout, rng):
    layer = Everything()
    model = _model(layer)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(6, 2))
    model.train_on_batch(x, y)

    def everything():
        return (
            [np.asarray(v).tolist() for v in model.variables],
            [np.asarray(v).tolist() for v in model.optimizer.variables],
            [(v.dtype, v.path) for v in model.variables],
            [(each.dtype_policy, dict(vars(each))) for each in [model, *model.layers]],
            (layer.count, list(layer.history), dict(layer.table), set(layer.names)),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            keras.config.floatx(),
            layer.inner.rate,
        )

    before = everything()
    report = kgw.check_gradients(model, x, y, dropout=dropout)
    assert report.passed, str(report)
    after = everything()
    for was, now in zip(before, after, strict=True):
        assert str(was) == str(now)


def test_names_and_default_seeds_of_what_is_built_next(rng):
    def build(checked):
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(5)
        model = _model(layers.Dropout(0.3))
        if checked:
            x, y = np.ones((6, 4)), np.ones((6, 2))
            kgw.check_gradients(model, x, y)
        new = layers.Dropout(0.3)
        dense = layers.Dense(2)
        return new.name, dense.name, new.seed_generator.state.numpy().tolist()

    assert build(True) == build(False)


def test_a_refusal_names_the_line(rng):
    report = _check(Plain(_numpy, name="culprit"), rng)
    line = _numpy.__code__.co_firstlineno + 1
    assert f"test_uncheckable.py:{line}, in _numpy)" in report.reason
