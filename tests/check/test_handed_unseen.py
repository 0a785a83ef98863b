"""What optimizers are handed is checked, or it is said that it was not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")


class Stepping(keras.Model):
    """A model whose step gets its gradients from a function."""

    gradients = staticmethod(lambda tape, loss, weights: None)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        weights = self.trainable_variables
        self.optimizer.apply(self.gradients(tape, loss, weights), weights)
        return {"loss": loss}


def check(gradients):
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, "tanh", name="a")(inputs)
    model = Stepping(inputs, layers.Dense(2, name="b")(hidden))
    model.gradients = gradients
    model.compile("sgd")
    return kgw.check_gradients(model, X, X[:, :2])


def by_values(tape, loss, weights):
    return tape.gradient(loss, [w.value for w in weights])


def made_up(tape, loss, weights):
    noise = [0.1 * tf.ones_like(w) for w in weights[:2]]
    return [*noise, *tape.gradient(loss, weights[2:])]


def in_part(tape, loss, weights):
    return [None, None, *tape.gradient(loss, weights[2:])]


def test_gradients_for_the_values_of_variables():
    report = check(by_values)
    assert report.passed
    assert len(report.variables) == 4


@pytest.mark.parametrize(("gradients", "is_told"), [(made_up, True), (in_part, False)])
def test_what_no_tape_returned(gradients, is_told):
    report = check(gradients)
    told = [note for note in report.notes if "no `tape.gradient`" in note]
    assert bool(told) == is_told
    assert all("a/kernel (and 1 more)" in note for note in told)
    assert [v.verdict for v in report.variables] == ["PASS", "PASS"]
