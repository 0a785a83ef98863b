"""Set-ups as people write them that were once answered wrongly, or not at all."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, losses, ops

import keras_gradwatch as kgw
from tests.support.setup_zoo import compiled, dense, labels, numbers, stack
from tests.support.sick_setups import layer

X = numbers(200, 8)


def test_outputs_below_all_targets():
    """Of which an absolute error minds the mean alone."""
    y = 3 + 0.1 * np.sin(X[:, 0])
    assert kgw.check_setup(compiled(dense(1), "mae"), X, y).targets.state == "right"

    class Absolute(losses.Loss):
        def call(self, y, p):
            return ops.mean(ops.abs(y - p), axis=-1)

    report = kgw.check_setup(compiled(dense(1), Absolute()), X, y)
    assert report.targets.observations[0].kind == "unpaired"
    report = kgw.check_setup(compiled(dense(1), Absolute()), X, y[:, None])
    assert report.targets.state == "right"


def test_outputs_that_are_zero_for_many_examples():
    """A rectifier behind which an example may change, and its output does not."""
    kernel = keras.initializers.Constant(np.eye(8)[:, :1])
    last = layers.Dense(1, "relu", kernel_initializer=kernel)
    x = X.copy()
    x[:-1:13, 0] = -1 - np.abs(x[:-1:13, 0])  # most of those that are run
    report = kgw.check_setup(
        compiled(stack((8,), last), "mse"), x, np.maximum(x[:, :1], 0)
    )
    assert report.examples.state == "right", str(report)
    lost = layer(lambda x: 0 * x)
    model = compiled(stack((8,), lost, layers.Dense(1, "relu")), "mse")
    report = kgw.check_setup(model, x, np.abs(x[:, :1]))
    assert report.examples.observations[0].kind == "nothing_arrives"


@pytest.mark.parametrize("loss", [losses.Dice(axis=(1, 2, 3)), losses.Tversky()])
def test_losses_whose_axis_is_not_one(loss):
    x = np.random.default_rng(0).random((32, 6, 6, 1)).astype("float32")
    model = stack((6, 6, 1), layers.Conv2D(1, 1, activation="sigmoid"))
    report = kgw.check_setup(compiled(model, loss), x, (x > 0.6).astype("float32"))
    assert report.outputs.state == "right"
    assert report.overfit.state != "wrong"


def test_steps_without_a_class_can_be_learned_by_heart():
    """Rows of zeros, as the one-hot words after the end of a sentence."""
    y = np.eye(3, dtype="float32")[labels(X)]
    y[::3] = 0
    model = compiled(dense(3, "softmax"), "categorical_crossentropy")
    assert kgw.check_setup(model, X, y).overfit.state == "right"


def test_what_losses_take_without_an_option_that_says_so():
    shares = np.exp(X[:, :3]) / np.exp(X[:, :3]).sum(axis=1, keepdims=True)
    report = kgw.check_setup(compiled(dense(3), "kl_divergence"), X, shares)
    assert report.outputs.observations[0].kind == "no_probabilities"
    counts = np.random.default_rng(0).poisson(np.exp(X[:, :1]))
    report = kgw.check_setup(compiled(dense(1), "poisson"), X, counts)
    assert "negative_rates" in [o.kind for o in report.outputs.observations]
    model = compiled(dense(1, "exponential"), "poisson")
    assert kgw.check_setup(model, X, counts).passed
    report = kgw.check_setup(model, X, counts - 1.0)
    assert report.targets.observations[0].kind == "negative_counts"


@pytest.mark.parametrize("data", [(X,), ((X, X[:, :1]),)])
def test_missing_targets(data):
    report = kgw.check_setup(compiled(dense(1), "mse"), *data)
    assert report.targets.observations[0].kind == "missing_targets"


def test_a_step_that_is_refused_does_not_raise():
    hidden = layers.SpectralNormalization(layers.Dense(8))
    report = kgw.check_setup(
        compiled(stack((8,), hidden, layers.Dense(1)), "mse"), X, X[:, :1]
    )
    assert report.outputs.state == "not told"
    assert "it can't be followed, see `outputs`" in str(report)
    assert "raises" not in str(report)


def test_one_is_no_plural():
    report = kgw.check_setup(compiled(dense(1), "mse"), X[:1], X[:1, :1])
    assert "(1 example, " in report.headline


@pytest.mark.parametrize("is_right", [True, False])
def test_classes_along_the_first_axis(is_right):
    x = np.random.default_rng(0).random((24, 4, 4, 1)).astype("float32")
    y = np.moveaxis(np.eye(3)[(x[..., 0] * 3).astype(int)], -1, 1)
    last = [layers.Softmax(axis=1)] if is_right else []
    model = stack((4, 4, 1), layers.Conv2D(3, 1), layers.Permute((3, 1, 2)), *last)
    model = compiled(model, losses.CategoricalCrossentropy(axis=1))
    report = kgw.check_setup(model, x, y)
    assert report.targets.state == "right"
    assert report.names_of("worth a look") == ()
    assert report.names_of("wrong") == (() if is_right else ("outputs",))


def test_outputs_that_compare_the_examples_of_a_batch():
    """As of two towers, each of whose queries should find its own document."""
    query, document = keras.Input((8,)), keras.Input((8,))
    towers = layers.Dense(4)(query), layers.Dense(4)(document)
    alike = layer(lambda both: ops.matmul(both[0], ops.transpose(both[1])))(towers)
    model = compiled(keras.Model([query, document], alike))
    report = kgw.check_setup(model, [X[:16], X[:16]], np.arange(16))
    assert report.examples.observations[0].kind == "pairs_of_examples"
    assert report.names_of("wrong") == (), str(report)


@pytest.mark.parametrize("squeezed", [True, False])
def test_targets_in_a_step_of_ones_own(squeezed):
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                p = self(x, training=True)
                loss = ops.mean(ops.abs(y - (p[:, 0] if squeezed else p)))
            own = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, own), own)
            return {"loss": loss}

    inputs = keras.Input((8,))
    model = compiled(Own(inputs, layers.Dense(1)(inputs)), None)
    report = kgw.check_setup(model, X, 99 + X[:, 0])
    kinds = [o.kind for o in report.targets.observations]
    assert ("unpaired" in kinds) is not squeezed, str(report)
