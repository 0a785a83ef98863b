"""What is said about a model or data that can't be checked, as a contract."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw


def model_of(*stack, compiled=True, **arguments):
    model = keras.Sequential([*stack])
    if compiled:
        model.compile(**{"optimizer": "sgd", "loss": "mse", **arguments})
    return model


X, Y = np.ones((4, 3)), np.ones((4, 2))
INPUT = keras.Input((3,))

CASES = {
    "no model": (lambda: (layers.Dense(2), X, Y), r"`model` must be a keras.Model"),
    "not compiled": (
        lambda: (model_of(INPUT, layers.Dense(2), compiled=False), X, Y),
        r"must be compiled.*`model.compile\(...\)`",
    ),
    "not built": (
        lambda: (model_of(layers.Dense(2)), X, Y),
        r"must be built.*`model.build\(input_shape\)`",
    ),
    "no weights": (
        lambda: (model_of(INPUT, layers.ReLU()), X, X),
        r"no trainable weights.*all are frozen",
    ),
    "no data": (lambda: (model_of(INPUT, layers.Dense(2)), None), r"`x` must be"),
    "a dataset": (
        lambda: (
            model_of(INPUT, layers.Dense(2)),
            tf.data.Dataset.from_tensors((X, Y)),
        ),
        r"one batch of arrays.*next\(iter\(dataset\)\)",
    ),
    "a list of numbers": (
        lambda: (model_of(INPUT, layers.Dense(2)), [1.0, 2.0], Y),
        r"list of inputs, so make it an array",
    ),
    "a scalar": (
        lambda: (model_of(INPUT, layers.Dense(2)), np.float32(1), Y),
        r"first axis is the batch",
    ),
    "objects": (
        lambda: (model_of(INPUT, layers.Dense(2)), X, {"a": object()}),
        r"`y` must hold arrays",
    ),
    "lengths": (
        lambda: (model_of(INPUT, layers.Dense(2)), X, Y[:3]),
        r"same number of examples.*\{4\}.*\{3\}",
    ),
    "no examples": (
        lambda: (model_of(INPUT, layers.Dense(2)), X[:0], Y[:0]),
        r"at least one.*\{0\}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_wrong_arguments(case):
    build, message = CASES[case]
    arguments = build()
    with pytest.raises(kgw.InvalidArgumentError, match=f"(?s){message}") as caught:
        kgw.check_gradients(*arguments)
    assert "Received" in str(caught.value)


@pytest.mark.parametrize(
    ("x", "y"),
    [(np.ones((4, 5)), Y), (X, np.ones((4, 7))), (X, None)],
    ids=["features", "targets", "no targets"],
)
def test_data_that_does_not_fit_is_told_from_a_wrong_gradient(x, y):
    model = model_of(INPUT, layers.Dense(2))
    report = kgw.check_gradients(model, x, y)
    assert report.verdict == "INCONCLUSIVE"
    assert "the data does not fit the model" in report.reason
    assert model.predict(X, verbose=0).shape == (4, 2)


def test_a_loss_that_is_not_finite():
    report = kgw.check_gradients(model_of(INPUT, layers.Dense(2)), X * np.inf, Y)
    assert report.verdict == "INCONCLUSIVE"
    assert "there is no gradient to check" in report.reason


def test_inputs_and_outputs_in_dicts_and_lists():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    hidden = layers.Concatenate()([layers.Dense(4, activation="tanh")(a), b])
    outputs = {"p": layers.Dense(2)(hidden), "q": layers.Dense(1)(hidden)}
    by_name = keras.Model({"a": a, "b": b}, outputs)
    by_name.compile("sgd", {"p": "mse", "q": "mae"}, loss_weights={"p": 1.0, "q": 0.3})
    in_order = keras.Model([a, b], list(outputs.values()))
    in_order.compile("sgd", ["mse", "mae"], loss_weights=[1.0, 0.3])
    q = np.zeros((4, 1))
    one = kgw.check_gradients(by_name, {"a": X, "b": Y}, {"p": Y, "q": q})
    two = kgw.check_gradients(in_order, [X, tf.constant(Y)], [Y, q])
    assert one.passed
    assert two.passed
    assert one.loss == pytest.approx(two.loss)
    weighted = kgw.check_gradients(
        in_order, [X, Y], [Y, q], [np.full(4, 2.0), np.full(4, 2.0)]
    )
    assert weighted.loss == pytest.approx(2 * one.loss)
