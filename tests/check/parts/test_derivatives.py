"""Second derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first

X = np.random.default_rng(0).normal(size=(3, 4))
FIRST, SECOND = "gradient", "second derivative"


def of_order_two(report):
    return {v.path: v.verdict for v in report.variables if v.target == SECOND}


def test_right_functions_and_layers():
    for report in (
        kgw.assert_function(lambda x, y: tf.sin(x) * y, X, X, order=2),
        kgw.assert_layer(layers.Dense(3, "tanh"), X, order=2),
        kgw.assert_loss("huber", X, 3 * X[::-1], order=2),
    ):
        assert {v.target for v in report.variables} == {FIRST, SECOND}
        assert set(of_order_two(report).values()) == {"PASS"}, str(report)


def cube(second):
    """`x**3`, whose gradient is right and differentiates to `second(x)` times."""

    @tf.custom_gradient
    def slope(x):
        return 3 * x * x, lambda dy: dy * second(x)

    return tf.custom_gradient(lambda x: (x**3, lambda dy: dy * slope(x)))


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        (lambda x: 6 * x, "PASS"),
        (lambda x: 6.06 * x, "FAIL"),
        (lambda x: -6 * x, "FAIL"),
        (tf.zeros_like, "FAIL"),
    ],
    ids=["right", "off by 1 %", "negated", "zeroed"],
)
def test_a_second_derivative_that_is_wrong_by_itself(second, verdict):
    assert kgw.check_function(cube(second), X).passed
    report = kgw.check_function(cube(second), X, order=2)
    assert of_order_two(report) == {"x": verdict, "upstream": "PASS"}
    assert [v.target for v in report.failures] == [SECOND] * (verdict == "FAIL")


def test_a_gradient_that_was_computed_outside_of_tensorflow():
    @tf.custom_gradient
    def stopped(x):
        return x**3, lambda dy: dy * tf.stop_gradient(3 * x * x)

    assert kgw.check_function(stopped, X).passed
    with pytest.raises(kgw.GradientMismatchError, match="no second derivative"):
        kgw.assert_function(stopped, X, order=2)


def test_a_wrong_gradient_fails_whatever_its_derivative():
    bad = tf.custom_gradient(lambda x: (tf.sin(x), lambda dy: 2 * dy * tf.cos(x)))
    report = kgw.check_function(bad, X, order=2)
    assert [v.target for v in report.failures] == [FIRST]
    # Of what it returns.
    assert of_order_two(report) == {"x": "PASS", "upstream": "PASS"}


@pytest.mark.parametrize(
    "function", [tf.reduce_sum, tf.nn.relu, tf.abs, lambda x: x + 1]
)
def test_what_is_linear_has_none(function):
    report = kgw.assert_function(function, X, order=2)
    of_input, of_upstream = (v for v in report.variables if v.subject == "gradient")
    assert of_input.verdict in ("UNUSED", "ZERO")
    assert "second derivative" in of_input.reason
    # What it is multiplied by is the gradient itself.
    assert (of_upstream.path, of_upstream.verdict) == ("upstream", "PASS")


def test_where_tensorflow_has_none_nothing_is_proven():
    report = kgw.check_function(tf.nn.softsign, X, order=2)
    assert report.verdict == "INCONCLUSIVE"
    assert "TensorFlow has no second derivative" in report.reason
    assert "SoftsignGrad" in report.reason
    assert report.variables[0].verdict == "PASS"
    report = kgw.check_function(lambda x: tf.linalg.lu(x)[0], X[:, :3])
    assert report.verdict == "INCONCLUSIVE"
    assert "TensorFlow has no gradient here" in report.reason


def test_embeddings_and_recurrence():
    ids = np.array([[0, 3, 3]])

    class Squared(layers.Embedding):
        def call(self, ids):
            return super().call(ids) ** 2

    report = kgw.assert_layer(Squared(5, 2), ids, order=2)
    assert set(of_order_two(report).values()) == {"PASS"}
    report = kgw.assert_layer(layers.SimpleRNN(2), X[..., None], order=2)
    assert set(of_order_two(report).values()) == {"PASS"}


def test_it_is_of_use_for_a_gradient_penalty():
    """What a penalty on the slope for the inputs differentiates."""

    class Critic(keras.Model):
        def __init__(self, op):
            super().__init__()
            self.hidden, self.score, self.op = layers.Dense(4), layers.Dense(1), op

        def call(self, x):
            return self.score(self.op(self.hidden(x)))

    assert kgw.check_layer(Critic(tf.tanh), X, order=2).passed
    stopped = tf.custom_gradient(
        lambda x: (tf.tanh(x), lambda dy: dy * tf.stop_gradient(1 - tf.tanh(x) ** 2))
    )
    assert kgw.check_layer(Critic(stopped), X).passed
    report = kgw.check_layer(Critic(stopped), X, order=2)
    assert "FAIL" in of_order_two(report).values()


@tf.custom_gradient
def stopped_sine(x):
    return tf.sin(x), lambda dy: tf.stop_gradient(dy) * tf.cos(x)


def squashed(x):
    """`sin(x)`, whose backward pass is right and differentiates to something else."""

    @tf.custom_gradient
    def backward(dy, x):
        def again(u):
            return 2 * u * tf.cos(x), -u * dy * tf.sin(x)

        return dy * tf.cos(x), again

    return tf.custom_gradient(lambda x: (tf.sin(x), lambda dy: backward(dy, x)))(x)


@pytest.mark.parametrize("function", first([stopped_sine, squashed]))
def test_the_backward_pass_is_differentiated_for_its_upstream(function):
    assert kgw.check_function(function, X).passed
    report = kgw.check_function(function, X, order=2)
    assert of_order_two(report) == {"x": "PASS", "upstream": "FAIL"}
    inside = kgw.check_function(lambda x: tf.sin(function(x)) * x, X, order=2)
    assert of_order_two(inside)["x"] == "FAIL"


def test_the_upstream_of_each_output_and_of_none_but_its_own():
    report = kgw.check_function(
        lambda x: (1e4 * tf.sin(x), stopped_sine(x)), X, order=2
    )
    assert {v.label: v.verdict for v in report.variables} == {
        "x (output/0)": "PASS",
        "x (output/1)": "PASS",
        "x (output/0, second derivative)": "PASS",
        "upstream/0 (output/0, second derivative)": "PASS",
        "x (output/1, second derivative)": "PASS",
        "upstream/1 (output/1, second derivative)": "FAIL",
    }


def test_the_upstream_of_an_output_whose_shape_is_not_known():
    def positive(op):
        return lambda x: tf.boolean_mask(op(x), x > 0)

    assert kgw.check_function(positive(tf.sin), X, order=2).passed
    report = kgw.check_function(positive(stopped_sine), X, order=2)
    assert of_order_two(report)["upstream"] == "FAIL"
