"""Where the report says to look."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw
from tests.support.marks import first
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


def line_of(function):
    """The line of a `def`."""
    return function.__code__.co_firstlineno


def dense(name):
    return layers.Dense(3, activation="tanh", name=name)


def test_healthy_models_have_no_culprit():
    assert note_of(dense("a"), dense("b")) == ""


def test_a_layer_of_the_users_own_between_wrong_and_right():
    note = note_of(dense("a"), layers.Identity(), Halved(name="mine"), dense("b"))
    assert note == (
        "Look first at 'mine' (Halved), small_models.py:10, in halved (its gradient is "
        "0.5 times what differences give). Checked by itself, on the values that "
        "it has here, this backward pass is wrong."
    )


class WrongForItself(layers.Layer):
    """Right for its input, wrong for its own weight."""

    def build(self, shape):
        self.w = self.add_weight(shape=(shape[-1],), initializer="ones", name="w")

    def call(self, x):
        return x * keras.ops.stop_gradient(self.w) + 0.0 * keras.ops.sum(self.w)


def test_a_layer_that_is_wrong_for_its_own_weights_only():
    note = note_of(dense("a"), WrongForItself(name="mine"), dense("b"))
    line = line_of(WrongForItself.call)
    assert note.startswith(
        f"Look first at 'mine' (WrongForItself), test_localisation.py:{line + 1}, in "
        "call, operation StopGradient (its gradient is zero)."
    )


class WrongLoss(keras.Loss):
    def call(self, y_true, y_pred):
        y_pred = y_pred + keras.ops.stop_gradient(y_pred)
        return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def test_a_wrong_loss():
    note = note_of(dense("a"), dense("b"), loss=WrongLoss())
    line = line_of(WrongLoss.call)
    assert note.startswith(
        f"Look first at the loss 'WrongLoss', test_localisation.py:{line + 1}, in "
        "call, operation StopGradient (its gradient is zero)."
    )


@tf.custom_gradient
def half_tanh(x):
    return tf.tanh(x), lambda upstream: 0.5 * upstream * (1 - tf.tanh(x) ** 2)


HALF_TANH = f"test_localisation.py:{line_of(half_tanh.__wrapped__) + 2}, in half_tanh"


class Root(keras.regularizers.Regularizer):
    def __call__(self, w):
        return keras.ops.sum(half_tanh(w))


def test_a_regulariser_of_the_users_own():
    layer = layers.Dense(3, kernel_regularizer=Root())
    note = note_of(dense("a"), layer)
    assert note.startswith(f"Look first at {HALF_TANH} (its gradient is 0.5 times")


class Cell(layers.SimpleRNNCell):
    def call(self, sequence, states, training=False):
        output, states = super().call(sequence, states, training=training)
        return half_tanh(half_tanh(output)), states


class Chosen(layers.Layer):
    def call(self, x):
        return tf.cond(tf.size(x) > 0, lambda: half_tanh(x), lambda: x)


@pytest.mark.parametrize(
    "stack",
    [
        (layers.Reshape((2, 2)), layers.RNN(Cell(3), name="inner")),
        pytest.param(
            (dense("a"), Chosen(name="inner"), dense("b")), marks=pytest.mark.long
        ),
    ],
    ids=["loop", "branch"],
)
def test_a_line_inside_a_loop_or_a_branch(stack):
    note = note_of(*stack)
    assert f"Look first at 'inner' ({type(stack[1]).__name__}), {HALF_TANH}" in note


def test_what_a_loop_makes_of_a_mistake_is_not_said_of_the_mistake():
    def thrice(x):
        return tf.while_loop(
            lambda k, x: k < 3, lambda k, x: (k + 1, half_tanh(x)), (0, x)
        )[1]

    note = note_of(dense("a"), layers.Activation(thrice, name="inner"), dense("b"))
    assert note.startswith(f"Look first at 'inner' (Activation), {HALF_TANH}. Checked")


def test_a_function_that_was_compiled_before():
    compiled = tf.function(half_tanh, input_signature=[tf.TensorSpec((None, 3))])
    compiled(tf.zeros((8, 3)))
    layer = layers.Activation(lambda x: compiled(x), name="inner")
    note = note_of(dense("a"), layer, dense("b"))
    assert note.startswith("Look first at 'inner' (Activation), test_localisation.py:")
    assert ", operation half_tanh (its gradient is 0.5 times" in note


def test_innocent_suspects_are_not_accused():
    def softmax(x):  # right as a whole, though it stops a gradient
        e = tf.exp(x - tf.stop_gradient(tf.reduce_max(x, -1, keepdims=True)))
        return e / tf.reduce_sum(e, -1, keepdims=True)

    right = tf.custom_gradient(lambda x: (2.0 * x, lambda upstream: 2.0 * upstream))

    def several(x):
        return softmax(half_tanh(softmax(right(x))))

    note = note_of(dense("a"), layers.Activation(several), dense("b"))
    assert note.startswith(f"Look first at 'activation' (Activation), {HALF_TANH} (")
    assert " and at " not in note


HIDES = {
    "stopped": tf.stop_gradient,
    "dropped": tf.custom_gradient(lambda x: (x + 0.0, tf.zeros_like)),
}


@pytest.mark.parametrize("how", first(HIDES))
def test_a_mistake_that_another_one_hides(how):
    right = tf.custom_gradient(lambda x: (2.0 * x, lambda upstream: 2.0 * upstream))
    hides = layers.Activation(HIDES[how], name="hides")
    before = layers.Activation(lambda x: right(half_tanh(right(x))), name="before")
    note = note_of(dense("a"), before, dense("b"), hides, dense("c"))
    assert note.startswith(f"Look first at 'before' (Activation), {HALF_TANH} (")
    assert note.count("; and at") == note.count("; and at 'hides'") == 1


def test_a_mistake_behind_a_weight_that_is_zero():
    zero = layers.Dense(3, kernel_initializer="zeros", name="zero")
    note = note_of(dense("a"), Halved(name="mine"), zero)
    assert note.startswith("Look first at 'mine' (Halved), small_models.py:10, in ")


@tf.custom_gradient
def transposed_square(x):
    return x * x, lambda upstream: tf.transpose(2.0 * upstream * x)


@tf.custom_gradient
def add(x, bias):
    return x + bias, lambda upstream: (upstream, upstream)


@tf.custom_gradient
def sign_only(x):
    return tf.tanh(x), lambda upstream: 1 - tf.tanh(x) ** 2


@pytest.mark.parametrize(
    ("function", "shape", "words"),
    [
        (lambda x, w: x @ transposed_square(w), (4, 4), "is transposed"),
        pytest.param(add, (4,), "is not summed over the axes", marks=pytest.mark.long),
        pytest.param(
            lambda x, w: sign_only(x * w),
            (4,),
            "is not multiplied by the upstream gradient",
            marks=pytest.mark.long,
        ),
    ],
    ids=["transposed", "not summed", "upstream"],
)
def test_what_the_mistake_looks_like(function, shape, words):
    class Own(layers.Layer):
        def build(self, _):
            self.w = self.add_weight(shape=shape, initializer="random_normal")

        def call(self, x):
            return function(x, tf.convert_to_tensor(self.w))

    assert f"(its gradient {words}" in note_of(Own(), dense("b"))


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
    assert note.startswith("Look first at 'halved' (Halved), small_models.py:10")


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
    assert "Layer 'q' after it rounds" in report.variables[0].reason
