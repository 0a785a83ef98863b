"""What TensorFlow draws by itself is drawn once, and left as it was."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first, some
from tests.support.models import half
from tests.support.small_models import between


def _around(function):
    class Around(layers.Layer):
        def call(self, x, training=False):
            return function(x) if training else x

    return Around(name="draws")


def _in_a_loop(x):
    def body(i, y):
        return i + 1, y + tf.random.normal(tf.shape(y), dtype=y.dtype)

    return tf.while_loop(lambda i, y: i < 2, body, (0, x))[1]


def _in_a_branch(x):
    return tf.cond(
        tf.reduce_sum(x) > -1e9, lambda: x + tf.random.uniform(tf.shape(x)), lambda: x
    )


@tf.function
def _in_a_function(x):
    return x * tf.random.uniform(tf.shape(x), dtype=x.dtype)


def _in_rounds(x):
    """Nothing, if each round of the loop draws the same."""

    def body(i, first, y):
        drawn = tf.random.uniform([])
        return i + 1, drawn, y + (drawn - first) * x

    drawn = tf.random.uniform([])
    return tf.while_loop(lambda i, *_: i < 2, body, (0, drawn, tf.zeros_like(x)))[2]


@tf.function
def _in_calls(x):
    """Nothing, if each call of a function draws the same."""
    return (_in_a_function(x) - _in_a_function(x)) * tf.random.uniform([])


def _in_a_map(x):
    return tf.map_fn(lambda row: row * tf.random.uniform([4]), x)


def _in_a_branch_in_a_loop(x):
    def body(i, y):
        return i + 1, tf.cond(i > 0, lambda: _in_a_function(y), lambda: y + 1.0)

    return tf.while_loop(lambda i, y: i < 2, body, (0, x))[1]


def _chosen(x):
    rows = tf.random.categorical(tf.zeros([1, 4]), 3)[0]
    return x * tf.cast(1 + tf.reduce_sum(rows), x.dtype)


DRAWS = {
    "normal": lambda x: x + tf.random.normal(tf.shape(x), dtype=x.dtype),
    "truncated_normal": lambda x: x + tf.random.truncated_normal(tf.shape(x)),
    "uniform": lambda x: x * tf.random.uniform(tf.shape(x), dtype=x.dtype),
    "integers": lambda x: x * tf.cast(tf.random.uniform([], 1, 5, tf.int32), x.dtype),
    "poisson": lambda x: x * (1 + tf.random.poisson(tf.shape(x), 2.0)),
    "gamma": lambda x: x * tf.random.gamma(tf.shape(x), 2.0),
    "poisson of each": lambda x: (
        x * (1 + tf.random.poisson([], tf.constant([0.5, 1.0, 2.0, 3.0])))
    ),
    "gamma of each": lambda x: (
        x * tf.random.gamma([2], tf.constant([0.5, 1.0, 2.0, 3.0]))[0]
    ),
    "categorical": _chosen,
    "dropout": lambda x: tf.nn.dropout(x, 0.3),
    "loop": _in_a_loop,
    "branch": _in_a_branch,
    "function": _in_a_function,
    "rounds": _in_rounds,
    "calls": _in_calls,
    "map": _in_a_map,
    "branch in a loop": _in_a_branch_in_a_loop,
}


@pytest.fixture
def data(rng):
    return rng.normal(size=(6, 4)), rng.normal(size=(6, 2))


@pytest.mark.parametrize("name", DRAWS)
def test_a_model_that_draws_is_checked_in_float64(name, data):
    report = kgw.check_gradients(between(_around(DRAWS[name])), *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert report.dtype == "float64"


@pytest.mark.parametrize("name", some(DRAWS, 3))
def test_a_wrong_gradient_beside_a_draw_is_found(name, data):
    model = between(_around(DRAWS[name]), layers.Lambda(half))
    report = kgw.check_gradients(model, *data)
    first = {v.path for v in model.layers[0].trainable_variables}
    assert {v.path for v in report.failures} == first, str(report)


def test_what_is_drawn_next_is_what_would_have_been_drawn(data):
    def drawn(checked):
        tf.random.set_seed(3)
        model = between(_around(DRAWS["normal"]))
        if checked:
            kgw.check_gradients(model, *data)
        return tf.random.normal([3]).numpy()

    np.testing.assert_array_equal(drawn(True), drawn(False))


class WithGenerator(layers.Layer):
    def __init__(self):
        super().__init__()
        self.generator = tf.random.Generator.from_seed(3)

    def call(self, x):
        return x + self.generator.normal(tf.shape(x), dtype=x.dtype)


def test_a_generator_of_tensorflow(data):
    layer = WithGenerator()
    model = between(layer)
    state = layer.generator.state.numpy()
    report = kgw.check_gradients(model, *data)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    np.testing.assert_array_equal(layer.generator.state.numpy(), state)


@pytest.mark.parametrize(
    "name", first(["normal", "branch in a loop", "loop", "branch", "map"], 2)
)
def test_each_check_has_a_draw_of_its_own(name, data):
    model = between(_around(DRAWS[name]))
    model.optimizer.learning_rate = 0.0
    x, y = data
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, time_budget=1e-9, verbose=0)
    model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 3
    assert len({r.loss for r in check.reports}) == 3


def test_the_report_says_what_was_switched_off_and_what_was_drawn_once(data):
    noisy = layers.GaussianNoise(0.1, name="noise")
    stack = [layers.Dropout(0.5, name="drop"), layers.Dropout(0.0, name="none"), noisy]
    model = between(*stack, _around(DRAWS["loop"]))
    report = kgw.check_gradients(model, *data)
    assert (report.switched_off, report.drawn_once) == (("drop", "noise"), ("draws",))
    assert "Switched off in the check: drop and noise" in str(report)
    assert "Drawn once for all of the check: draws" in str(report)
    assert kgw.GradientReport.from_json(report.to_json()) == report
    report = kgw.check_gradients(model, *data, dropout="freeze")
    assert report.switched_off == ()
    assert report.drawn_once == ("drop", "noise", "draws")
    plain = kgw.check_gradients(between(), *data)
    assert (plain.switched_off, plain.drawn_once) == ((), ())


def _sampled(x):
    candidates = tf.random.log_uniform_candidate_sampler(
        tf.zeros([6, 1], tf.int64), 1, 3, unique=True, range_max=9
    )
    losses = tf.nn.sampled_softmax_loss(
        tf.ones([9, 4]), tf.zeros([9]), tf.zeros([6, 1]), x, 3, 9, 1, candidates
    )
    return x + losses[:, None]


@pytest.mark.parametrize("draw", [tf.random.shuffle, _sampled])
def test_a_draw_that_can_not_be_frozen_is_refused_as_a_draw(draw, data):
    report = kgw.check_gradients(between(_around(draw)), *data)
    assert report.verdict == "INCONCLUSIVE"
    assert "Layer 'draws' draws random numbers" in str(report)


@pytest.mark.parametrize("needs_values", [False, True])
def test_eager_draws_go_on_as_if_nobody_had_looked(needs_values, data):
    def noisy(x):
        there = not needs_values or float(x[0, 0]) < 1e9
        return x * tf.random.uniform([4]) if there else x

    def drawn(checked):
        tf.random.set_seed(3)
        stack = [layers.Dense(4), layers.Lambda(noisy, output_shape=(4,))]
        model = keras.Sequential([keras.Input((4,)), *stack, layers.Dense(2)])
        model.compile("sgd", "mse", run_eagerly=True)
        if checked:
            kgw.check_gradients(model, *data)
        return tf.random.normal([3]).numpy(), noisy(tf.ones([2, 4])).numpy()

    for one, other in zip(drawn(True), drawn(False), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_cell_that_always_expects_masks_is_bypassed(rng):
    """As the one in Keras' own test of its dropout for cells."""
    module = pytest.importorskip("keras.src.layers.rnn.dropout_rnn_cell_test")
    model = keras.Sequential(
        [keras.Input((3, 2)), layers.RNN(module.RNNCellWithDropout(2, seed=1))]
    )
    model.compile("sgd", "mse")
    x, y = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 2))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "PASS", str(report)
    bypassed = model.compute_loss(x=x, y=y, y_pred=model(x, training=False))
    assert report.loss == pytest.approx(float(bypassed), rel=1e-6)
