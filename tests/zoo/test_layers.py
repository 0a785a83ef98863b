"""Every layer of keras.layers in a small healthy model: no false alarm."""

import keras
import numpy as np
import pytest

from tests.support.layer_table import (
    AT_INPUT,
    EXCLUDED,
    KIND,
    MAKE,
    UNPROVEN,
    kind_of,
    layer_names,
)
from tests.support.sandwich import BATCH, SEEDS, SHAPES, check, ended, integers, numbers

pytestmark = pytest.mark.long

layers = keras.layers

# Weights whose gradient is truly zero, by layer.
ZERO = {
    "AutoContrast": ("before/bias",),
    "BatchNormalization": ("before/bias",),
    "GroupQueryAttention": ("key/bias",),
    "MultiHeadAttention": ("key/bias",),
}


def _model(name, seed):
    """The layer with weights before and behind it, and a batch of inputs."""
    keras.utils.set_random_seed(seed)
    layer = MAKE[name]() if name in MAKE else getattr(layers, name)()
    kind = kind_of(name)
    if kind in SHAPES:
        x = numbers((BATCH, *SHAPES[kind]), seed)
        inputs = keras.Input(x.shape[1:])
        tensor = layer(layers.Dense(x.shape[-1], name="before")(inputs))
    elif kind in ("pair", "pair of sequences", "two sequences"):
        shape = SHAPES["vector" if kind == "pair" else "sequence"]
        x = numbers((BATCH, *shape), seed)
        inputs = keras.Input(shape)
        two = [layers.Dense(4)(inputs) for _ in range(2)]
        tensor = layer(*two) if kind == "two sequences" else layer(two)
    elif kind == "numbers":
        x = numbers((BATCH, 4), seed)
        inputs = keras.Input((4,))
        tensor = layer(inputs)
    elif kind == "integers":
        x = integers((BATCH, 4), seed)
        inputs = keras.Input((4,), dtype="int32")
        tensor = layer(inputs)
    elif kind == "two integers":
        x = [integers((BATCH, 1), seed), integers((BATCH, 1), seed + 9)]
        inputs = [keras.Input((1,), dtype="int32") for _ in x]
        tensor = layer(inputs)
    elif kind in ("strings", "text"):
        words = np.array(["a", "b", "c", "d"], dtype=object)
        x = words[integers((BATCH, 4), seed, high=4)]
        if kind == "text":
            x = np.array([[" ".join(row)] for row in x], dtype=object)
        x = keras.ops.convert_to_tensor(x, dtype="string")
        inputs = keras.Input(x.shape[1:], dtype="string")
        tensor = layer(inputs)
    elif kind == "picture":
        x = 255 * np.random.default_rng(seed).random((BATCH, 8, 8, 3), np.float32)
        inputs = keras.Input((8, 8, 3))
        tensor = inputs
        if name not in AT_INPUT:
            tensor = layers.Dense(3, kernel_initializer="identity", name="before")(
                tensor
            )
        tensor = layers.Rescaling(1 / 255)(layer(tensor))
        tensor = layers.Conv2D(2, 3)(tensor)
    elif kind == "sound":
        x = numbers((BATCH, 32), seed)
        inputs = keras.Input((32,))
        sound = layers.Dense(32)(inputs)
        if name == "STFTSpectrogram":
            sound = layers.Reshape((32, 1))(sound)
        tensor = layer(sound)
    elif kind == "film":
        x = numbers((BATCH, 2, 3, 3, 3, 2), seed)
        inputs = keras.Input(x.shape[1:])
        tensor = layer(layers.Dense(2)(inputs))
    if name == "Masking":
        tensor = layers.LSTM(2)(tensor)
    if tensor.dtype.startswith("int"):
        tensor = layers.Embedding(8, 2)(tensor)
    model = ended(inputs, tensor)
    return model, x


@pytest.mark.parametrize("seed", SEEDS[:2])  # once more in test_parts.py
@pytest.mark.parametrize("name", layer_names())
def test_layer(name, seed, record_property):
    model, x = _model(name, seed)
    y = numbers((BATCH, 2), seed + 100)
    check(
        model,
        x,
        y,
        record_property,
        proven=name not in UNPROVEN,
        without=ZERO.get(name, ()),
    )


def test_tables_name_layers_that_there_are():
    unknown = {*MAKE, *KIND, *EXCLUDED, *AT_INPUT, *UNPROVEN, *ZERO} - set(dir(layers))
    assert not unknown
