"""Every activation of keras.activations in a small healthy model."""

import inspect

import keras
import pytest

from tests.support.marks import some
from tests.support.sandwich import BATCH, SEEDS, check, compiled, numbers

# Activations that need arguments, halve the features, or saturate too soon.
CALL = {
    "glu": keras.activations.glu,
    "sparsemax": keras.layers.Activation(lambda x: keras.activations.sparsemax(x / 8)),
    "threshold": lambda x: keras.activations.threshold(x, 0.1, 0.0),
}


def _names():
    return sorted(
        name
        for name, thing in vars(keras.activations).items()
        if inspect.isfunction(thing) and name not in ("deserialize", "get", "serialize")
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", some(_names(), 2))
def test_activation(name, seed, record_property):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,))
    hidden = keras.layers.Dense(6, name="before")(inputs)
    activation = getattr(keras.activations, name)
    hidden = CALL.get(name, keras.layers.Activation(activation))(hidden)
    model = compiled(keras.Model(inputs, keras.layers.Dense(2)(hidden)))
    x, y = numbers((BATCH, 5), seed), numbers((BATCH, 2), seed + 100)
    check(model, x, y, record_property)
