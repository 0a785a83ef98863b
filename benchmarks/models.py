"""The models that the benchmarks time, each with one batch of data."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers

RNG = np.random.default_rng(0)


def numbers(*shape: Any) -> np.ndarray:
    return RNG.normal(size=shape).astype("float32")


def compiled(
    model: Any, x: Any, classes: int = 10
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    return model, x, RNG.integers(0, classes, len(x))


def dense(
    width: int = 128, depth: int = 1, batch: int = 32
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    stack = [layers.Dense(width, activation="relu") for _ in range(depth)]
    model = keras.Sequential([keras.Input((784,)), *stack, layers.Dense(10)])
    return compiled(model, numbers(batch, 784))


def convolutional(
    batch: int = 32, shape: Any = (32, 32, 3)
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    stack = []
    for filters in (16, 32):
        stack += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
        ]
    stack += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(10)]
    model = keras.Sequential([keras.Input(shape), *stack])
    return compiled(model, numbers(batch, *shape))


def transformer(
    blocks: int = 1, batch: int = 16, length: int = 32, width: int = 64, heads: int = 4
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    inputs = keras.Input((length, width))
    hidden = inputs
    for _ in range(blocks):
        normal = layers.LayerNormalization()(hidden)
        attended = layers.MultiHeadAttention(heads, width // heads)(normal, normal)
        hidden = layers.Add()([hidden, attended])
        normal = layers.LayerNormalization()(hidden)
        wide = layers.Dense(4 * width, activation="gelu")(normal)
        hidden = layers.Add()([hidden, layers.Dense(width)(wide)])
    outputs = layers.Dense(10)(layers.GlobalAveragePooling1D()(hidden))
    return compiled(keras.Model(inputs, outputs), numbers(batch, length, width))


def transformer_12() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    return transformer(blocks=12)


def recurrent(batch: int = 32) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    stack = [layers.LSTM(64), layers.Dense(10)]
    model = keras.Sequential([keras.Input((50, 16)), *stack])
    return compiled(model, numbers(batch, 50, 16))


def application(
    name: str, batch: int = 16, size: int = 96
) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    inputs = keras.Input((size, size, 3))
    body = getattr(keras.applications, name)(
        weights=None, include_top=False, input_tensor=inputs, pooling="avg"
    )
    model = keras.Model(inputs, layers.Dense(10)(body.output))
    return compiled(model, numbers(batch, size, size, 3))


def mobilenet_v2() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    return application("MobileNetV2")


def resnet50() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    return application("ResNet50")


# A compiled model, its inputs and its targets.
MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "dense": dense,
    "convolutional": convolutional,
    "transformer block": transformer,
    "LSTM": recurrent,
    "MobileNetV2": mobilenet_v2,
    "ResNet50": resnet50,
    "transformer, 12 layers": transformer_12,
}
