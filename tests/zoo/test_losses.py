"""Every loss of keras.losses, as a class and as a function."""

import functools

import keras
import pytest

from tests.support.loss_table import (
    CLASSES,
    DEMANDS,
    loss_functions,
    loss_names,
    losses,
    targets,
)
from tests.support.sandwich import BATCH, SEEDS, check, compiled, numbers

pytestmark = pytest.mark.long


def _model(activation):
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", name="before")(inputs)
    if activation == "sequence":
        outputs = keras.layers.Dense(24)(hidden)
        outputs = keras.layers.Reshape((6, 4))(outputs)
    else:
        outputs = keras.layers.Dense(CLASSES, activation=activation)(hidden)
    return keras.Model(inputs, outputs)


def _check(name, loss, seed, record_property):
    activation, kind = DEMANDS[name]
    keras.utils.set_random_seed(seed)
    model = _embedding() if name == "Circle" else _model(activation)
    x, y = numbers((BATCH, 5), seed), targets(kind, seed + 100)
    check(compiled(model, loss), x, y, record_property)


def _embedding():
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, activation="tanh", name="before")(inputs)
    return keras.Model(
        inputs, keras.layers.UnitNormalization()(keras.layers.Dense(4)(hidden))
    )


@pytest.mark.parametrize("seed", SEEDS[:2])  # once more in test_parts.py
@pytest.mark.parametrize("name", loss_names())
def test_loss(name, seed, record_property):
    _check(name, getattr(losses, name)(), seed, record_property)


@pytest.mark.parametrize("name", loss_functions())
def test_loss_function(name, record_property):
    by_lower = {n.lower(): n for n in DEMANDS}
    loss = getattr(losses, name)
    if name == "categorical_generalized_cross_entropy":
        loss = functools.partial(loss, q=0.5)
    _check(by_lower[name.replace("_", "")], loss, 0, record_property)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name", [n for n in loss_names() if n.endswith(("sentropy", "SEntropy"))]
)
def test_loss_from_logits(name, seed, record_property):
    _, kind = DEMANDS[name]
    keras.utils.set_random_seed(seed)
    x, y = numbers((BATCH, 5), seed), targets(kind, seed + 100)
    loss = getattr(losses, name)(from_logits=True)
    check(compiled(_model("linear"), loss), x, y, record_property)
