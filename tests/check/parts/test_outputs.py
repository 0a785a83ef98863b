"""Each output and each added loss is looked at by itself, on its own scale."""

import numpy as np
import pytest
import tensorflow as tf
from keras import layers, regularizers

import keras_gradwatch as kgw
from tests.support.marks import first
from tests.support.parts import X

SINGLE = X.astype("float32")


@tf.custom_gradient
def half_tanh(x):
    return tf.tanh(x), lambda dy: 0.5 * dy * (1 - tf.tanh(x) ** 2)


def rows(report):
    return {v.label: v.verdict for v in report.variables}


@pytest.mark.basic
def test_a_small_output_beside_a_large_one():
    def two(small):
        return lambda x: (1e4 * tf.sin(x), small(x))

    report = kgw.check_function(two(half_tanh), SINGLE)
    assert rows(report) == {"x (output/0)": "PASS", "x (output/1)": "FAIL"}
    assert "0.5 times" in report.failures[0].reason
    assert rows(kgw.assert_function(two(tf.tanh), SINGLE)) == {
        "x (output/0)": "PASS",
        "x (output/1)": "PASS",
    }


@pytest.mark.parametrize(
    "both",
    first(
        [
            lambda x, f: {"large": 1e6 * x**2, "small": [f(x), None]},
            lambda x, f: tf.complex(1e6 * tf.sin(x), f(x)),
            lambda x, f: (
                tf.RaggedTensor.from_row_lengths(f(x), [1, 0, 2]),
                1e6 * x**3,
            ),
        ]
    ),
    ids=["nested", "real and imaginary", "ragged"],
)
def test_wherever_it_stands(both):
    report = kgw.check_function(lambda x: both(x, half_tanh), X)
    assert list(rows(report).values()).count("FAIL") == 1, str(report)
    assert kgw.check_function(lambda x: both(x, tf.tanh), X).passed


class Encoder(layers.Layer):
    def __init__(self, op, loss=tf.square):
        super().__init__(name="mine")
        self.op, self.loss = op, loss

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 4), name="w")

    def call(self, x):
        z = tf.matmul(x, self.w)
        self.add_loss(1e4 * tf.reduce_sum(self.loss(z)))
        return self.op(z)


def test_an_output_beside_a_large_added_loss():
    report = kgw.check_layer(Encoder(half_tanh), SINGLE)
    assert rows(report) == {
        "x (output)": "FAIL",
        "mine/w (output)": "FAIL",
        "x (added loss)": "PASS",
        "mine/w (added loss)": "PASS",
    }
    assert kgw.check_layer(Encoder(tf.tanh), SINGLE).passed


def test_a_small_added_loss_beside_a_large_output():
    large = Encoder(lambda z: 1e9 * z, lambda z: 1e-6 * half_tanh(z))
    failures = kgw.check_layer(large, SINGLE).failures
    assert {v.label for v in failures} == {"x (added loss)", "mine/w (added loss)"}


def test_regularisers_share_a_row_only_where_they_share_no_weight():
    layer = layers.Dense(3, kernel_regularizer="l2", bias_regularizer="l1", name="a")
    layer.build((None, 4))
    layer.bias.assign([0.3, -0.2, 0.1])
    assert list(rows(kgw.assert_layer(layer, SINGLE))) == [
        "inputs (output)",
        "a/kernel (output)",
        "a/bias (output)",
        "a/kernel (added loss)",
        "a/bias (added loss)",
    ]

    class Twice(regularizers.Regularizer):
        def __call__(self, x):
            return tf.reduce_sum(half_tanh(1e-4 * x))

    class Both(layers.Dense):
        def call(self, x):
            self.add_loss(1e4 * tf.reduce_sum(self.kernel**2))
            return super().call(x)

    report = kgw.check_layer(Both(3, kernel_regularizer=Twice(), name="b"), SINGLE)
    assert [v.label for v in report.failures] == ["b/kernel (added loss/1)"]


def test_what_depends_on_some_arguments_only():
    def f(x, y, z):
        return tf.sin(x), x * y

    report = kgw.check_function(f, X, X[::-1], X)
    kinds = rows(report)
    assert [label for label in kinds if "z" not in label] == [
        "x (output/0)",
        "x (output/1)",
        "y (output/1)",
    ]
    assert [kinds[label] for label in kinds if "z" not in label] == ["PASS"] * 3
    assert len(kinds) == 4  # nothing depends on z, and it has a row that says so


def test_what_has_no_derivative_is_named():
    def f(x, at, names=None):
        return tf.gather(x, at), tf.argmax(x), tf.identity(names), x[:0]

    report = kgw.check_function(f, X, np.array([0, 2]), tf.constant(["a"]))
    assert [v.verdict for v in report.variables] == ["PASS"]
    (note,) = (n for n in report.notes if n.startswith("Not differentiated"))
    assert note == (
        "Not differentiated: at (int64), names (string), output/1 (int64), "
        "output/2 (string), output/3 (float64 of size 0)."
    )
    assert not kgw.check_function(tf.sin, X).notes


def test_an_output_that_is_not_finite_does_not_spoil_the_others():
    x = np.array([0.0, 1.0, 2.0])
    kinds = rows(kgw.check_function(lambda x: (x**2, tf.sqrt(x)), x))
    assert kinds["x (output/0)"] == "PASS"

    @tf.custom_gradient
    def ignoring(x):
        return tf.sin(x), lambda dy: tf.cos(x)

    kinds = rows(kgw.check_function(lambda x: (x**2, ignoring(x)), x))
    assert kinds == {"x (output/0)": "PASS", "x (output/1)": "FAIL"}


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: 3e38 * tf.sin(x), SINGLE),
        (lambda x: (x, 1e308 * tf.sin(9 + x)), X),
    ],
    ids=["in training", "in float64"],
)
def test_a_sum_that_overflows_is_not_called_the_output(function, x):
    said = kgw.check_function(function, x).notes[0]
    assert "the output is" not in said.lower()
    assert "sum of the output, its entries times 0.5 to 1.5 in size, is" in said


def test_an_output_of_rank_nine():
    x = np.random.default_rng(0).normal(size=(2,) + 7 * (1,) + (3,))
    assert kgw.assert_function(lambda x: 2.0 * x, x, order=2).passed


def test_outputs_of_which_training_rounds_one():
    layer = layers.LSTM(2, return_state=True, dtype="mixed_float16")
    report = kgw.check_layer(layer, SINGLE[..., None])
    assert report.passed
    assert {v.target for v in report.variables} == {f"output/{k}" for k in range(3)}
    errors = [v.training_error for v in report.variables]
    assert all(0 < error < 0.05 for error in errors), errors


def test_what_runs_eagerly_only_and_has_two_outputs():
    @tf.custom_gradient
    def numpy_sine(x):
        return tf.constant(np.sin(x.numpy())), lambda dy: dy * np.cos(x.numpy())

    report = kgw.check_function(lambda x: (numpy_sine(x), 1e3 * x), X)
    assert report.passed, str(report)


def test_an_output_that_tensorflow_can_not_differentiate():
    report = kgw.check_function(lambda x: (tf.sin(x), tf.nn.softsign(x)), X, order=2)
    kinds = rows(report)
    assert kinds["x (output/0, second derivative)"] == "PASS"
    assert "x (output/1, second derivative)" not in kinds
    assert "output/1, second derivative: TensorFlow has no" in " ".join(report.notes)
