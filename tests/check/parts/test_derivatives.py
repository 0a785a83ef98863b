"""Second derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw

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
    assert of_order_two(report) == {"x": verdict}
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
    assert of_order_two(report) == {"x": "PASS"}  # of what it returns


@pytest.mark.parametrize(
    "function", [tf.reduce_sum, tf.nn.relu, tf.abs, lambda x: x + 1]
)
def test_what_is_linear_has_none(function):
    report = kgw.assert_function(function, X, order=2)
    assert of_order_two(report).popitem()[1] in ("UNUSED", "ZERO")
    assert "second derivative" in report.variables[-1].reason


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
