"""Every loss of keras.losses, as a class and as a function."""

import functools
import inspect

import keras
import numpy as np
import pytest

from tests.support.sandwich import BATCH, SEEDS, check, compiled, integers, numbers

losses = keras.losses
CLASSES = 3

# What a loss expects: the activation before it, and the kind of targets.
DEMANDS = {
    "BinaryCrossentropy": ("sigmoid", "bits"),
    "BinaryFocalCrossentropy": ("sigmoid", "bits"),
    "CategoricalCrossentropy": ("softmax", "one-hot"),
    "CategoricalFocalCrossentropy": ("softmax", "one-hot"),
    "CategoricalGeneralizedCrossEntropy": ("softmax", "integers"),
    "CategoricalHinge": ("linear", "one-hot"),
    "Circle": ("sequence", "integers"),
    "CosineSimilarity": ("linear", "numbers"),
    "CTC": ("sequence", "sequence"),
    "Dice": ("sigmoid", "bits"),
    "Hinge": ("linear", "signs"),
    "Huber": ("linear", "numbers"),
    "KLDivergence": ("softmax", "shares"),
    "LogCosh": ("linear", "numbers"),
    "MeanAbsoluteError": ("linear", "numbers"),
    "MeanAbsolutePercentageError": ("linear", "numbers"),
    "MeanSquaredError": ("linear", "numbers"),
    "MeanSquaredLogarithmicError": ("softplus", "shares"),
    "Poisson": ("softplus", "shares"),
    "SparseCategoricalCrossentropy": ("softmax", "integers"),
    "SquaredHinge": ("linear", "signs"),
    "Tversky": ("sigmoid", "bits"),
}
EXCLUDED = {"Loss": "a base class"}


def _classes():
    return sorted(
        name
        for name, thing in vars(losses).items()
        if inspect.isclass(thing) and name not in EXCLUDED
    )


def _functions():
    return sorted(
        name
        for name, thing in vars(losses).items()
        if inspect.isfunction(thing) and name not in ("deserialize", "get", "serialize")
    )


def _model(activation):
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", name="before")(inputs)
    if activation == "sequence":
        outputs = keras.layers.Dense(24)(hidden)
        outputs = keras.layers.Reshape((6, 4))(outputs)
    else:
        outputs = keras.layers.Dense(CLASSES, activation=activation)(hidden)
    return keras.Model(inputs, outputs)


def _targets(kind, seed):
    labels = integers((BATCH,), seed, CLASSES)
    if kind == "integers":
        return labels
    if kind == "one-hot":
        return np.eye(CLASSES, dtype="float32")[labels]
    if kind == "sequence":
        return 1 + integers((BATCH, 2), seed, 3)
    values = numbers((BATCH, CLASSES), seed)
    if kind == "bits":
        return (values > 0).astype("float32")
    if kind == "signs":
        return np.sign(values)
    if kind == "shares":
        return np.exp(values) / np.sum(np.exp(values), axis=1, keepdims=True)
    return values


def _check(name, loss, seed, record_property):
    activation, kind = DEMANDS[name]
    keras.utils.set_random_seed(seed)
    model = _embedding() if name == "Circle" else _model(activation)
    x, y = numbers((BATCH, 5), seed), _targets(kind, seed + 100)
    check(compiled(model, loss), x, y, record_property)


def _embedding():
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", name="before")(inputs)
    return keras.Model(
        inputs, keras.layers.UnitNormalization()(keras.layers.Dense(4)(hidden))
    )


@pytest.mark.parametrize("seed", SEEDS[:2])  # once more in test_parts.py
@pytest.mark.parametrize("name", _classes())
def test_loss(name, seed, record_property):
    _check(name, getattr(losses, name)(), seed, record_property)


@pytest.mark.parametrize("name", _functions())
def test_loss_function(name, record_property):
    by_lower = {n.lower(): n for n in DEMANDS}
    loss = getattr(losses, name)
    if name == "categorical_generalized_cross_entropy":
        loss = functools.partial(loss, q=0.5)
    _check(by_lower[name.replace("_", "")], loss, 0, record_property)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name", [n for n in _classes() if n.endswith(("sentropy", "SEntropy"))]
)
def test_loss_from_logits(name, seed, record_property):
    _, kind = DEMANDS[name]
    keras.utils.set_random_seed(seed)
    x, y = numbers((BATCH, 5), seed), _targets(kind, seed + 100)
    loss = getattr(losses, name)(from_logits=True)
    check(compiled(_model("linear"), loss), x, y, record_property)
