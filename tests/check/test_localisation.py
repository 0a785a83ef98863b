"""Where the report says to look."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_gradwatch as kgw
from tests.support.small_models import Halved


def note_of(*stack, loss="mse"):
    model = keras.Sequential([keras.Input((4,)), *stack])
    model.compile("sgd", loss)
    rng = np.random.default_rng(0)
    units = model.output_shape[-1]
    report = kgw.check_gradients(
        model, rng.normal(size=(8, 4)), rng.normal(size=(8, units))
    )
    return report.notes[0] if report.notes else ""


def dense(name):
    return layers.Dense(3, activation="tanh", name=name)


def test_healthy_models_have_no_culprit():
    assert note_of(dense("a"), dense("b")) == ""


def test_a_layer_of_the_users_own_between_wrong_and_right():
    note = note_of(dense("a"), layers.Identity(), Halved(name="mine"), dense("b"))
    assert note == (
        "Look first at 'mine' (Halved). The mistake lies in the backward pass between "
        "'a', whose gradient is wrong, and 'b', whose gradient is right."
    )


class WrongForItself(layers.Layer):
    """Right for its input, wrong for its own weight."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")

    def call(self, x):
        return x * keras.ops.stop_gradient(self.w) + 0.0 * keras.ops.sum(self.w)


def test_a_layer_that_is_wrong_for_its_own_weights_only():
    note = note_of(dense("a"), WrongForItself(name="mine"), dense("b"))
    assert note.startswith("Look first at 'mine' (WrongForItself): only its own")


class WrongLoss(keras.Loss):
    def call(self, y_true, y_pred):
        y_pred = y_pred + keras.ops.stop_gradient(y_pred)
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def test_a_wrong_loss():
    note = note_of(dense("a"), dense("b"), loss=WrongLoss())
    assert note == (
        "Look first at 'b' (Dense). No layer after 'b' is known to be right, so the "
        "loss may be to blame as well."
    )


@pytest.mark.parametrize("eagerly", [False, True])
def test_the_order_is_that_of_execution(eagerly):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.last, self.wrong, self.first = dense("last"), Halved(), dense("first")

        def call(self, x):
            return self.last(self.wrong(self.first(x)))

    model = Model()
    model.compile("sgd", "mse", run_eagerly=eagerly)
    x, y = np.ones((2, 4)), np.ones((2, 3))
    model.fit(x, y, verbose=0)
    note = kgw.check_gradients(model, x, y).notes[0]
    if eagerly:  # no graph to read the order from
        assert "'first'" in note
    else:
        assert "between 'first', whose gradient is wrong, and 'last'" in note


def test_upstream_of_a_quantised_layer_nothing_is_called_wrong():
    model = keras.Sequential([keras.Input((4,)), dense("a"), dense("q"), dense("b")])
    model.layers[1].quantize("int8")
    model.layers[1].enable_lora(2)
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)), rng.normal(size=(8, 3))
    model.fit(x, y, epochs=3, verbose=0)
    report = kgw.check_gradients(model, x, y)
    verdicts = {v.path.split("/")[-2]: v.verdict for v in report.variables}
    assert report.verdict == "PASS"
    assert verdicts == {"a": "EXPECTED", "q": "PASS", "b": "PASS"}
    assert "Layer 'q' after it is quantised" in report.variables[0].reason
