"""Training steps that go about their gradients in unusual ways."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

import keras_gradwatch as kgw
from tests.support.models import Middle

BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def step_of(function):
    """A small model with this training step, wrong or not."""

    class Model(keras.Model):
        def __init__(self, wrong):
            super().__init__()
            self.net = keras.Sequential(
                [
                    keras.Input((4,)),
                    layers.Dense(6, "tanh", name="a"),
                    Middle(wrong),
                    layers.Dense(4, name="b"),
                ]
            )
            self.built = True

        def call(self, x):
            return self.net(x)

        train_step = function

    return Model


def weighted_output(self, data):
    """Begins the backward pass itself: `output_gradients` are constants."""
    x, y = data
    with tf.GradientTape() as tape:
        output = self(x, training=True)
    weights = self.trainable_variables
    gradients = tape.gradient(output, weights, output_gradients=2 * (output - y) / 32)
    self.optimizer.apply(gradients, weights)
    return {"loss": ops.mean((output - y) ** 2)}


def loss_object_from_elsewhere(self, data):
    """The loss object belongs to nobody, and TensorFlow adds to it."""
    x, y = data
    with tf.GradientTape() as tape:
        output = self(x, training=True)
        loss = BCE(tf.sigmoid(y), output) + tf.reduce_mean(tf.abs(y - output))
    weights = self.trainable_variables
    self.optimizer.apply(tape.gradient(loss, weights), weights)
    return {"loss": loss}


def paused_tape(self, data):
    """Does not record where its goal comes from."""
    x, y = data
    with tf.GradientTape() as tape:
        with tape.stop_recording():
            goal = self(x) + y
        loss = ops.mean((self(x, training=True) - goal) ** 2)
    weights = self.trainable_variables
    self.optimizer.apply(tape.gradient(loss, weights), weights)
    return {"loss": loss}


STEPS = [weighted_output, loss_object_from_elsewhere, paused_tape]


def checked(function, wrong=False):
    model = step_of(function)(wrong)
    model.compile("adam")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 4)).astype("float32")
    return kgw.check_gradients(model, x, rng.normal(size=(8, 4)).astype("float32"))


@pytest.mark.parametrize("step", STEPS)
def test_healthy(step):
    report = checked(step)
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert (report.dtype, report.notes) == ("float64", ())


@pytest.mark.parametrize("step", STEPS)
def test_faulty(step):
    report = checked(step, wrong=True)
    assert {v.path.split("/")[-2] for v in report.failures} == {"a"}, str(report)


def test_a_step_that_asks_for_float32_is_checked_in_float64_all_the_same():
    def step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            output = self(x, training=True)
            loss = tf.reduce_mean((y - output) ** 2 * tf.constant(2.0))
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}

    report = checked(step)
    assert (report.verdict, report.dtype) == ("PASS", "float64")
    assert checked(step, wrong=True).verdict == "FAIL"


class GradNorm(keras.Model):
    """Weighs its loss by a norm of its gradient, which has a gradient of its own."""

    def __init__(self):
        super().__init__()
        stack = [layers.Dense(4, "tanh"), layers.Dense(4)]
        self.net = keras.Sequential([keras.Input((4,)), *stack])
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.built = True

    def call(self, x):
        return self.net(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
            slope = tape.gradient(self.scale * loss, self.net.layers[-1].kernel)
            balance = tf.abs(tf.norm(slope) - 1.0)
        weights = self.net.trainable_variables
        gradients = [*tape.gradient(loss, weights), tape.gradient(balance, self.scale)]
        self.optimizer.apply(gradients, [*weights, self.scale])
        return {"loss": loss}


def test_a_gradient_of_other_weights_inside_a_loss():
    model = GradNorm()
    model.compile("adam")
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    report = kgw.check_gradients(model, x, x[:, ::-1].copy())
    assert {v.verdict for v in report.variables} == {"PASS"}, str(report)
    assert [v.target for v in report.variables if "scale" in v.path] == ["target 3"]


def by_halves(hand_on):
    """Differentiates on both halves of the batch."""

    def step(self, data):
        x, y = data
        weights, found = self.trainable_variables, []
        for half in (slice(0, 4), slice(4, 8)):
            with tf.GradientTape() as tape:
                loss = ops.mean((self(x[half], training=True) - y[half]) ** 2)
            found.append(tape.gradient(loss, weights))
        hand_on(self.optimizer, found, weights)
        return {"loss": loss}

    return step


def each_doubled(optimizer, found, weights):
    for gradients in found:
        optimizer.apply([2.0 * g for g in gradients], weights)


def averaged(optimizer, found, weights):
    optimizer.apply([(a + b) / 2 for a, b in zip(*found, strict=True)], weights)


def and_back(optimizer, found, weights):
    for gradients in found:
        optimizer.apply(gradients, weights)
    optimizer.apply([-3.0 * g * g for g in found[0]], weights)


@pytest.mark.parametrize(
    ("hand_on", "words"),
    [
        (each_doubled, "2 times the gradient"),
        (averaged, "0.5 times the gradient, added to that of another loss"),
        (and_back, "the gradient, and another value"),
    ],
)
def test_of_several_losses_what_reaches_the_optimizer_is_told(hand_on, words):
    report = checked(by_halves(hand_on))
    assert {v.verdict for v in report.variables} == {"PASS"}
    assert len(report.variables) == 8
    assert all(v.applied.startswith(words) for v in report.variables)
    assert len(report.notes) == 1
