"""What is zero: the truth, a coincidence of the point, or cut off on the way."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from keras_gradwatch.findings import causes
from tests.support.marks import first
from tests.support.small_models import halved

X = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
Y = np.random.default_rng(1).normal(size=(16, 3)).astype("float32")


class Do(layers.Layer):
    """Calls a function."""

    def __init__(self, function, **options):
        super().__init__(**options)
        self.function = function

    def call(self, x):
        return self.function(x)


def net(*middle):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), *middle])
    model.compile("sgd", "mse")
    return model


def between(function, *more):
    before = layers.Dense(8, name="before")
    return net(before, Do(function, name="do"), *more, layers.Dense(3, name="after"))


def check(model, x=X, **options):
    return kgw.check_gradients(
        model, x, Y[: len(x)], samples=2, directions=1, **options
    )


def of(report, *parts):
    """The one variable whose path has these parts."""
    (found,) = [v for v in report.variables if all(p in v.path for p in parts)]
    return found


def one_hot(x):
    return tf.one_hot(tf.argmax(x, -1), 8, dtype=x.dtype)


CUTS = {
    "round": (tf.round, "Round"),
    "floor": (tf.floor, "Floor"),
    "argmax": (one_hot, "ArgMax"),
    "sign": (tf.sign, "Sign"),
    "integers": (lambda x: tf.cast(tf.cast(3 * x, "int32"), x.dtype), "Cast to int32"),
    "comparison": (lambda x: tf.where(x > 0, 1.0, 0.0), "Greater"),
    "choice of the largest": (
        lambda x: tf.cast(tf.math.top_k(x, 2).indices, x.dtype),
        "TopKV2",
    ),
    "stopped as well": (lambda x: tf.stop_gradient(tf.round(x)), "Round"),
}


@pytest.mark.parametrize("name", first(CUTS))
def test_what_a_derivative_can_not_pass_is_blocked(name):
    function, operation = CUTS[name]
    report = check(between(function))
    assert report.verdict == "INCONCLUSIVE"
    assert "INCONCLUSIVE. No gradient gets through to" in report.headline
    assert "2 of 4 variables right" in report.headline
    for variable in ("before/kernel", "before/bias"):
        found = of(report, variable)
        assert found.verdict == "BLOCKED"
        assert found.cause.operation == operation
        assert (found.cause.place.name, found.cause.place.kind) == ("do", "Do")
        assert f"`{operation}` in 'do' (Do)" in found.reason
        assert "It never learns" in found.reason
    assert of(report, "after/kernel").verdict == "PASS"


def test_a_choice_of_rows_is_blocked():
    model = between(lambda x: tf.argmax(x, -1), layers.Embedding(8, 4))
    report = check(model)
    assert of(report, "before/kernel").cause.operation == "ArgMax"
    assert of(report, "embedding").verdict == "PASS"


def test_what_is_blocked_may_be_declared():
    report = check(between(tf.round), expected=("*before*",))
    assert report.verdict == "PASS"
    assert of(report, "before/kernel").verdict == "EXPECTED"
    assert kgw.assert_gradients(between(tf.round), X, Y, expected=("*before*",)).passed


def test_what_is_blocked_does_not_pass_a_test():
    with pytest.raises(kgw.UncheckableError, match=r"BLOCKED +\S*before/kernel"):
        kgw.assert_gradients(between(tf.round), X, Y)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + tf.round(x),  # a smooth way beside it
        lambda x: tf.math.top_k(x, 2).values,
        lambda x: tf.where(x > 0, x, 0.1 * x),
    ],
)
def test_what_passes_beside_a_cut_is_compared(function):
    report = check(between(function))
    assert {v.verdict for v in report.variables} == {"PASS"}


def test_a_gradient_that_is_stopped_is_wrong_not_blocked():
    report = check(between(tf.stop_gradient))
    assert {of(report, n).verdict for n in ("before/kernel", "before/bias")} == {"FAIL"}
    assert "no gradient (None)" in of(report, "before/kernel").reason


def test_a_straight_through_estimator_is_wrong_unless_declared():
    @tf.custom_gradient
    def straight(x):
        return tf.round(x), lambda upstream: upstream

    assert of(check(between(straight)), "before/kernel").verdict == "FAIL"
    assert check(between(straight), expected=("*before*",)).passed


def test_rounding_in_a_compiled_function_is_named():
    found = of(check(between(tf.function(tf.round))), "before/kernel")
    assert (found.verdict, found.cause.operation) == ("BLOCKED", "Round")


def test_dead_units_are_said_to_be_dead():
    low = keras.initializers.Constant(-100.0)
    dead = layers.Dense(8, "relu", bias_initializer=low, name="before")
    report = check(net(dead, layers.Dense(3, name="after")))
    found = of(report, "before/kernel")
    assert found.verdict == "BLOCKED"
    assert isinstance(found.cause, causes.Dead)
    assert "dead ReLU" in found.reason
    # What it feeds has nothing to work with, however far it is moved.
    assert of(report, "after/kernel").verdict == "ZERO"
    assert report.verdict == "INCONCLUSIVE"


def test_a_bias_before_batch_normalisation_is_zero():
    report = check(net(layers.Dense(3, name="a"), layers.BatchNormalization(name="n")))
    found = of(report, "a/bias")
    assert (report.verdict, found.verdict) == ("PASS", "ZERO")
    assert "the normalisation 'n' takes away" in found.reason
    assert "softmax" not in found.reason


def test_what_was_found_zero_is_not_looked_at_again_in_later_checks():
    model = net(layers.Dense(4, name="a"), layers.BatchNormalization(), layers.Dense(3))
    least = {"time_budget": 1e-9, "verbose": 0}
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, data=(X, Y), **least)
    model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[check])
    assert [r.verdict for r in check.reports] == ["PASS"] * 4
    assert [of(r, "a/bias").verdict for r in check.reports] == ["ZERO"] * 4
    first, *later = [r.evaluations for r in check.reports]
    assert max(later) <= first - 6  # as many as it takes to move it far


def test_a_bias_before_layer_normalisation_is_not():
    report = check(net(layers.Dense(3, name="a"), layers.LayerNormalization()))
    assert of(report, "a/bias").verdict == "PASS"


def attention():
    inputs = keras.Input((5, 4))
    hidden = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden)))
    model.compile("sgd", "mse")
    return model


def test_a_key_bias_of_attention_is_zero_and_a_query_bias_is_not():
    x = np.random.default_rng(0).normal(size=(8, 5, 4))
    report = check(attention(), x)
    found = of(report, "key/bias")
    assert (report.verdict, found.verdict) == ("PASS", "ZERO")
    assert "softmax of the attention 'attention'" in found.reason
    assert "normalisation" not in found.reason
    assert of(report, "query/bias").verdict == "PASS"


class Unused(layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1], 3), name="w")
        self.spare = self.add_weight(shape=(4,), name="spare")
        self.masked = self.add_weight(shape=(4,), name="masked")

    def call(self, x):
        return ops.matmul(x, self.w) + 0.0 * ops.sum(self.masked)


def test_an_unused_weight_and_one_times_zero():
    report = check(net(Unused()))
    assert report.verdict == "PASS"
    assert of(report, "spare").verdict == "UNUSED"
    assert "however far this is moved" in of(report, "spare").reason
    assert of(report, "masked").verdict == "ZERO"
    assert "here the loss does not depend on it" in of(report, "masked").reason


class LoRA(layers.Layer):
    def __init__(self, middle=lambda x: x):
        super().__init__(name="lora")
        self.middle = middle

    def build(self, shape):
        self.k = self.add_weight(shape=(shape[-1], 3), name="k")
        self.a = self.add_weight(shape=(shape[-1], 2), name="a")
        self.b = self.add_weight(shape=(2, 3), initializer="zeros", name="b")

    def call(self, x):
        return x @ self.k + self.middle(x @ self.a) @ self.b


def test_a_factor_beside_a_zero_matrix_is_compared_a_thousandth_away():
    report = check(net(LoRA()))
    found = of(report, "lora/a")
    assert (report.verdict, found.verdict) == ("PASS", "ZERO")
    assert found.cause.at == causes.AT_ZERO
    assert "A thousandth away, with all weights moved, the gradient is right" in str(
        found.reason
    )


def test_a_wrong_gradient_behind_a_zero_matrix_fails():
    found = of(check(net(LoRA(halved))), "lora/a")
    assert found.verdict == "FAIL"
    assert found.relative_error == pytest.approx(1 / 3, abs=1e-3)
    assert "A thousandth away, with all weights moved" in found.reason
    assert "0.5 times" in found.reason


def test_a_missing_gradient_behind_a_zero_matrix_fails():
    found = of(check(net(LoRA(tf.stop_gradient))), "lora/a")
    assert found.verdict == "FAIL"
    assert "no gradient (None)" in found.reason


def residual(block):
    inputs = keras.Input((6,))
    hidden = layers.ReLU()(layers.Add()([layers.Dense(6)(inputs), block(inputs)]))
    model = keras.Model(inputs, layers.Dense(3)(hidden))
    model.compile("sgd", "mse")
    return model


def zero_gamma(inputs):
    hidden = layers.Dense(6, name="inner")(inputs)
    return layers.BatchNormalization(gamma_initializer="zeros", name="norm")(hidden)


class Gated(layers.Layer):
    def build(self, shape):
        self.inner = layers.Dense(6, "tanh", name="inner")
        self.alpha = self.add_weight(shape=(), initializer="zeros", name="alpha")

    def call(self, x):
        return self.alpha * self.inner(x)


@pytest.mark.parametrize("block", [zero_gamma, Gated()])
def test_a_branch_that_is_switched_off_at_first_passes(block):
    report = check(residual(block))
    assert report.verdict == "PASS", str(report)
    kernel = of(report, "inner/kernel")
    assert (kernel.verdict, kernel.cause.at) == ("ZERO", causes.AT_ZERO)


@pytest.mark.parametrize("loss", ["mae", "mse"])
def test_a_minimum_is_looked_at_a_thousandth_away(loss):
    report = kgw.check_loss(loss, np.ones((3, 2)), np.ones((3, 2)))
    (found,) = report.variables
    assert report.verdict == "PASS"
    assert ("kink" in found.reason) == (loss == "mae")
    assert found.verdict == ("PASS" if loss == "mae" else "ZERO")
    for word in ("dead", "saturated", "normalisation", "does not depend"):
        assert word not in str(report)


FAR = np.where(np.arange(16) % 2, 5.0, -5.0).astype("float32")[:, None]


def of_signs(*middle, loss="mae"):
    """A model whose last bias gets as many positive as negative signs."""
    model = net(layers.Dense(4, "tanh"), *middle, layers.Dense(1, name="last"))
    model.compile("sgd", loss)
    return kgw.check_gradients(model, X, FAR, samples=2, directions=1)


@pytest.mark.parametrize("loss", first(["mae", "mape", "huber"]))
def test_signs_that_cancel_out_are_zero_and_not_dead(loss):
    report = of_signs(loss=loss)
    found = of(report, "last", "bias")
    assert (found.verdict, report.verdict) == ("ZERO", "PASS"), str(report)
    assert isinstance(found.cause, causes.CancelsOut)
    assert "dead" not in found.reason
    assert kgw.GradientReport.from_json(report.to_json()) == report


def test_a_mistake_beside_signs_that_cancel_out_is_found():
    report = of_signs(Do(halved))
    assert of(report, "last", "bias").verdict == "ZERO"
    assert report.verdict == "FAIL"


@pytest.mark.parametrize("function", [tf.floor, tf.sign, tf.round])
def test_a_function_of_steps_is_blocked(function):
    report = kgw.check_function(function, X[:2].astype("float64"))
    assert report.variables[0].verdict == "BLOCKED"
    assert report.verdict == "INCONCLUSIVE"


def test_the_second_derivative_of_a_relu_is_zero_not_blocked():
    report = kgw.check_function(tf.nn.relu, X[:2].astype("float64"), order=2)
    assert [v.verdict for v in report.variables] == ["PASS", "ZERO", "PASS"]
    assert "constant piece by piece" in report.variables[1].reason


@tf.custom_gradient
def spoiled(x):
    """A large entry that is right, others that are not."""
    factor = tf.constant([1e4] + 39 * [1.0], x.dtype)
    wrong = tf.concat([tf.ones(1, x.dtype), 0.5 * tf.ones(39, x.dtype)], 0)
    return factor * tf.sin(x), lambda upstream: upstream * factor * tf.cos(x) * wrong


def test_a_failure_shows_the_error_that_decided():
    x = np.random.default_rng(0).normal(size=40)
    (found,) = kgw.check_function(spoiled, x).failures
    assert found.relative_error > 1e-3


class TwoLosses(keras.Model):
    """Its second loss can't be replayed."""

    def __init__(self):
        super().__init__()
        self.one, self.two = layers.Dense(3, name="one"), layers.Dense(3, name="two")

    def call(self, x):
        return self.one(x), self.two(x)

    def train_step(self, data):
        x, y = data
        for layer, python in ((self.one, False), (self.two, True)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((layer(x) - y) ** 2)
                if python:
                    loss *= tf.numpy_function(lambda z: z, [tf.ones(())], tf.float32)
            weights = layer.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def test_no_pass_beside_a_loss_that_was_refused():
    keras.utils.set_random_seed(0)
    model = TwoLosses()
    model(X)
    model.compile(keras.optimizers.SGD())
    model.optimizer.build(model.trainable_variables)
    report = check(model)
    assert {v.verdict for v in report.variables} <= {"PASS", "INCONCLUSIVE"}
    assert report.verdict == "INCONCLUSIVE", str(report)
    with pytest.raises(kgw.UncheckableError):
        kgw.assert_gradients(model, X, Y)
