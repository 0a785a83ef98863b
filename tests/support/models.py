"""Small real models with data, each with room for a fault in its middle.

`MODELS` maps a name to `build(wrong, rng)`, which returns an `Example`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


@dataclass(frozen=True)
class Example:
    """A compiled model with data to train it on.

    Args:
        model: The model. Its layer `Middle` is right or wrong.
        x: Inputs.
        y: Targets.
        upstream: Names of the layers whose gradient goes through the middle.
        without_influence: Parts of paths of weights that the loss does not
            depend on, such as a bias before batch normalisation.
        batch_size: Of the training.
        options: Of the check.
    """

    model: keras.Model
    x: object
    y: object
    upstream: tuple[str, ...]
    without_influence: tuple[str, ...] = ()
    batch_size: int = 16
    options: dict = field(default_factory=dict)

    def is_upstream(self, path: str) -> bool:
        return any(part in path.split("/") for part in self.upstream)

    def has_influence(self, path: str) -> bool:
        return not any(part in path for part in self.without_influence)


MODELS: dict[str, Callable] = {}


def _model(build):
    MODELS[build.__name__.strip("_")] = build
    return build


@tf.custom_gradient
def half(x):
    return tf.identity(x), lambda dy: 0.5 * dy


class Middle(layers.Layer):
    """Does nothing; if wrong, it halves the gradient on the way back."""

    def __init__(self, wrong, **kwargs):
        super().__init__(**kwargs)
        self.wrong = wrong

    def call(self, x):
        return half(x) if self.wrong else x

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def normal(rng, *shape):
    return rng.normal(size=shape).astype("float32")


def _classes(rng, count, classes):
    return rng.integers(0, classes, count)


def compiled(model, loss="mse", **options):
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    return model


CLASSES = "sparse_categorical_crossentropy"


@_model
def dense(wrong, rng):
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(12, "relu", name="first"),
            layers.Dropout(0.3),
            Middle(wrong),
            layers.Dense(8, "gelu", name="second"),
            layers.Dense(3, "softmax", name="last"),
        ]
    )
    x = normal(rng, 32, 10)
    return Example(compiled(model, CLASSES), x, np.argmax(x[:, :3], -1), ("first",))


@_model
def conv_batch_norm(wrong, rng):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, name="conv_1"),
            layers.BatchNormalization(name="norm_1"),
            layers.ReLU(),
            Middle(wrong),
            layers.MaxPooling2D(),
            layers.Conv2D(6, 3, use_bias=False, name="conv_2"),
            layers.BatchNormalization(name="norm_2"),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, "softmax", name="last"),
        ]
    )
    x, y = normal(rng, 32, 8, 8, 1), _classes(rng, 32, 3)
    return Example(
        compiled(model, CLASSES), x, y, ("conv_1", "norm_1"), ("conv_1/bias",)
    )


@_model
def lstm(wrong, rng):
    model = keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.LSTM(
                5, dropout=0.2, recurrent_dropout=0.2, return_sequences=True, name="one"
            ),
            Middle(wrong),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2, name="two"),
            layers.Dense(1, name="last"),
        ]
    )
    x = normal(rng, 24, 6, 3)
    return Example(compiled(model), x, x.sum((1, 2))[:, None], ("one",))


@_model
def transformer(wrong, rng):
    tokens = keras.Input((6,), dtype="int32")
    hidden = layers.Embedding(9, 8, name="tokens")(tokens)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1, name="attention")(
        hidden, hidden
    )
    hidden = layers.LayerNormalization(name="norm_1")(layers.Add()([hidden, attended]))
    hidden = Middle(wrong)(hidden)
    wide = layers.Dense(12, "gelu", name="wide")(hidden)
    narrow = layers.Dropout(0.1)(layers.Dense(8, name="narrow")(wide))
    hidden = layers.LayerNormalization(name="norm_2")(layers.Add()([hidden, narrow]))
    outputs = layers.Dense(9, name="last")(hidden)
    model = keras.Model(tokens, outputs)
    x = _classes(rng, (16, 6), 9).astype("int32")
    return Example(
        compiled(model, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
        x,
        np.roll(x, 1, axis=1),
        ("tokens", "attention", "norm_1"),
        # A softmax does not see what is added to all of its scores.
        ("key/bias",),
    )


@_model
def several_inputs_and_outputs(wrong, rng):
    left, right = keras.Input((5,), name="left"), keras.Input((4, 2), name="right")
    first = layers.Dense(6, "tanh", name="of_left")(left)
    second = layers.GRU(6, name="of_right")(right)
    both = layers.Concatenate()([first, Middle(wrong)(second)])
    model = keras.Model(
        {"left": left, "right": right},
        {
            "value": layers.Dense(1, name="value")(both),
            "kind": layers.Dense(3, "softmax", name="kind")(both),
        },
    )
    compiled(
        model,
        {"value": "mse", "kind": CLASSES},
        loss_weights={"value": 0.3, "kind": 1.0},
    )
    x = {"left": normal(rng, 20, 5), "right": normal(rng, 20, 4, 2)}
    y = {"value": normal(rng, 20, 1), "kind": _classes(rng, 20, 3)}
    return Example(model, x, y, ("of_right",))


@_model
def nested(wrong, rng):
    inner = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(6, "tanh", name="inner_first"),
            Middle(wrong),
            layers.Dense(6, "tanh", name="inner_second"),
        ],
        name="inner",
    )
    inputs = keras.Input((5,))
    hidden = inner(layers.Dense(6, "tanh", name="outer")(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="last")(hidden))
    x = normal(rng, 24, 5)
    return Example(compiled(model), x, x[:, :2] ** 2, ("outer", "inner_first"))


@_model
def shared_layer(wrong, rng):
    left, right = keras.Input((5,)), keras.Input((5,))
    shared = layers.Dense(6, "tanh", name="shared")
    right_again = Middle(wrong)(shared(right))
    far = layers.Subtract()([shared(left), right_again])
    hidden = layers.Dense(4, "tanh", name="above")(far)
    model = keras.Model([left, right], layers.Dense(1, name="last")(hidden))
    x = [normal(rng, 24, 5), normal(rng, 24, 5)]
    return Example(compiled(model), x, np.abs(x[0] - x[1])[:, :1], ("shared",))


class Subclassed(keras.Model):
    """A model that Keras can't rebuild: its constructor takes a layer."""

    def __init__(self, middle):
        super().__init__()
        self.middle = middle
        self.below = layers.Dense(8, "swish", name="below")
        self.dropout = layers.Dropout(0.4)
        self.above = [layers.Dense(6, "swish", name=f"above_{k}") for k in range(2)]
        self.last = layers.Dense(2, name="last")

    def call(self, x, training=False):
        hidden = self.middle(self.dropout(self.below(x), training=training))
        for layer in self.above:
            hidden = layer(hidden)
        return self.last(hidden)


@_model
def subclassed(wrong, rng):
    model = compiled(Subclassed(Middle(wrong)))
    x = normal(rng, 24, 4)
    model(x[:1])
    return Example(model, x, np.sin(x[:, :2]), ("below",))


class TiedEmbedding(keras.Model):
    """Predicts tokens with the table that embeds them."""

    def __init__(self, middle):
        super().__init__()
        self.middle = middle
        self.table = layers.Embedding(8, 6, name="table")
        self.recurrent = layers.SimpleRNN(6, return_sequences=True, name="recurrent")
        self.mix = layers.Dense(6, name="mix")

    def call(self, tokens):
        hidden = self.middle(self.recurrent(self.table(tokens)))
        return self.mix(hidden) @ ops.transpose(self.table.embeddings)


@_model
def tied_embedding(wrong, rng):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = compiled(TiedEmbedding(Middle(wrong)), loss)
    x = _classes(rng, (16, 5), 8).astype("int32")
    model(x[:1])
    return Example(model, x, np.roll(x, 1, axis=1), ("table", "recurrent"))


class Autoencoder(keras.Model):
    """Adds a loss of the code to the loss of the reconstruction."""

    def __init__(self, middle):
        super().__init__()
        self.middle = middle
        self.encoder = layers.Dense(3, name="encoder", kernel_regularizer="l2")
        self.decoder = layers.Dense(6, name="decoder")

    def call(self, x):
        code = self.middle(self.encoder(x))
        self.add_loss(0.1 * ops.mean(ops.square(code)))
        return self.decoder(ops.tanh(code))


@_model
def added_loss(wrong, rng):
    model = compiled(Autoencoder(Middle(wrong)))
    x = normal(rng, 24, 6)
    model(x[:1])
    return Example(model, x, x, ("encoder",))


@_model
def mobilenet_v2(wrong, rng):
    base = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None, pooling="avg"
    )
    hidden = Middle(wrong)(base.output)
    outputs = layers.Dense(3, "softmax", name="last")(hidden)
    model = keras.Model(base.input, outputs)
    names = tuple(layer.name for layer in base.layers if layer.trainable_weights)
    x, y = normal(rng, 16, 32, 32, 3), _classes(rng, 16, 3)
    return Example(
        compiled(model, CLASSES),
        x,
        y,
        names,
        # What it adds is taken off by the batch normalisation that comes next.
        ("project_BN/beta",),
        batch_size=8,
        options={"samples": 1, "directions": 1},
    )


@_model
def ragged_last_batch(wrong, rng):
    example = conv_batch_norm(wrong, rng)
    x, y = example.x[:20], example.y[:20]
    return Example(
        example.model, x, y, example.upstream, example.without_influence, batch_size=8
    )
