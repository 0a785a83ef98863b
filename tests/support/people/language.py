"""Texts, speech and tables: transformers, recurrent nets, experts, CTC."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.support.models import normal
from tests.support.people import Program, functional, program

WORDS, LENGTH, WIDTH = 20, 6, 8
CLASSES = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class RmsNorm(layers.Layer):
    """Normalises in float32, as Llama does."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones", name="scale")

    def call(self, x):
        wide = ops.cast(x, "float32")
        size = ops.rsqrt(ops.mean(ops.square(wide), axis=-1, keepdims=True) + 1e-6)
        return ops.cast(wide * size, x.dtype) * self.scale


def rotated(x):
    """Rotary embeddings: pairs of entries turned by angles of their place."""
    half = x.shape[-1] // 2
    places = ops.arange(x.shape[1], dtype="float32")
    speeds = 1e4 ** -(ops.arange(half, dtype="float32") / half)
    angles = (places[:, None] * speeds)[None, :, None, :]
    cosine, sine = (
        ops.cast(ops.cos(angles), x.dtype),
        ops.cast(ops.sin(angles), x.dtype),
    )
    first, second = ops.split(x, 2, axis=-1)
    turned = first * cosine - second * sine, second * cosine + first * sine
    return ops.concatenate(turned, axis=-1)


class CausalAttention(layers.Layer):
    """Queries in groups that share keys and values."""

    def __init__(self, heads, groups, width, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.groups, self.width = heads, groups, width
        self.query = layers.Dense(heads * width, use_bias=False)
        self.key = layers.Dense(groups * width, use_bias=False)
        self.value = layers.Dense(groups * width, use_bias=False)
        self.output_layer = layers.Dense(heads * width, use_bias=False)

    def call(self, x):
        length = x.shape[1]

        def parted(y, count):
            return ops.reshape(y, (-1, length, count, self.width))

        each = self.heads // self.groups
        query = rotated(parted(self.query(x), self.heads))
        key = ops.repeat(rotated(parted(self.key(x), self.groups)), each, axis=2)
        value = ops.repeat(parted(self.value(x), self.groups), each, axis=2)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(self.width)
        hidden = ops.triu(ops.ones((length, length)), 1)
        scores = ops.softmax(ops.cast(scores, "float32") - 1e9 * hidden)
        mixed = ops.einsum("bhqk,bkhd->bqhd", ops.cast(scores, value.dtype), value)
        return self.output_layer(
            ops.reshape(mixed, (-1, length, self.heads * self.width))
        )


class SwiGlu(layers.Layer):
    def __init__(self, inner, width, **kwargs):
        super().__init__(**kwargs)
        self.gate = layers.Dense(inner, "silu", use_bias=False)
        self.up = layers.Dense(inner, use_bias=False)
        self.down = layers.Dense(width, use_bias=False)

    def call(self, x):
        return self.down(self.gate(x) * self.up(x))


def _decoder(middle, network):
    tokens = keras.Input((LENGTH,), dtype="int32")
    embedding = layers.ReversibleEmbedding(WORDS, WIDTH)
    x = embedding(tokens)
    for k in range(2):
        x = x + CausalAttention(2, 1, 4)(RmsNorm()(x))
        x = x + network()(RmsNorm()(x))
        x = middle(x) if k == 0 else x
    return tokens, embedding(RmsNorm()(x), reverse=True)


def _next_words(rng):
    texts = rng.integers(0, WORDS, (48, LENGTH + 1)).astype("int32")
    return texts[:, :-1], texts[:, 1:]


@program
def llama(rng, middle):
    ends = _decoder(middle, lambda: SwiGlu(12, WIDTH))
    return Program(functional(*ends, "adamw", CLASSES), *_next_words(rng))


class Experts(layers.Layer):
    """Each token goes to two of four experts, and a loss keeps them busy alike."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.router = layers.Dense(4, use_bias=False)
        self.experts = [SwiGlu(6, WIDTH) for _ in range(4)]

    def call(self, x):
        shares = ops.softmax(ops.cast(self.router(x), "float32"))
        best, chosen = ops.top_k(shares, 2)
        best = best / ops.sum(best, axis=-1, keepdims=True)
        picked = ops.one_hot(chosen, 4)
        weights = ops.sum(picked * best[..., None], axis=-2)
        busy = ops.mean(ops.sum(picked, axis=-2), axis=(0, 1))
        self.add_loss(0.04 * ops.sum(busy * ops.mean(shares, axis=(0, 1))))
        found = ops.stack([expert(x) for expert in self.experts], axis=-2)
        return ops.sum(found * ops.cast(weights, x.dtype)[..., None], axis=-2)


@program
def mixture_of_experts(rng, middle):
    ends = _decoder(middle, Experts)
    return Program(functional(*ends, "adam", CLASSES), *_next_words(rng))


@program
def translation(rng, middle):
    """Encoder and decoder, recurrent, with masks and attention."""
    source, target = (
        keras.Input((None,), dtype="int32"),
        keras.Input((None,), dtype="int32"),
    )
    read = layers.Embedding(WORDS, WIDTH, mask_zero=True)(source)
    read = layers.Bidirectional(layers.GRU(4, return_sequences=True))(read)
    written = layers.Embedding(WORDS, WIDTH, mask_zero=True)(target)
    written = layers.LSTM(WIDTH, return_sequences=True, recurrent_dropout=0.1)(written)
    seen = layers.AdditiveAttention()([written, read])
    both = layers.Dense(WIDTH, "tanh")(layers.Concatenate()([written, seen]))
    both = middle(both)
    outputs = layers.Dense(WORDS)(layers.Dropout(0.2)(both))

    def masked(y, guess):
        there = ops.cast(y != 0, guess.dtype)
        return ops.sum(CLASSES.call(y, guess) * there) / ops.sum(there)

    texts = [rng.integers(1, WORDS, (40, LENGTH)).astype("int32") for _ in range(3)]
    for text in texts:
        text[::2, -2:] = 0
    model = functional([source, target], outputs, "rmsprop", masked)
    return Program(model, texts[:2], texts[2])


@program
def handwriting(rng, middle):
    """Reads lines with CTC, as a layer that adds its loss."""

    class Ctc(layers.Layer):
        def call(self, labels, seen):
            count = ops.shape(labels)[0]
            lengths = ops.ones((count,), "int32")
            losses = ops.ctc_loss(
                labels, seen, 2 * lengths, seen.shape[1] * lengths, mask_index=0
            )
            self.add_loss(ops.mean(losses))
            return seen

    lines, labels = keras.Input((16, 6, 1)), keras.Input((2,), dtype="int32")
    x = layers.Conv2D(3, 3, activation="relu", padding="same")(lines)
    x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Dense(6, "relu")(layers.Reshape((8, 9))(x))
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(middle(x))
    model = functional([lines, labels], Ctc()(labels, layers.Dense(5)(x)), "adam")
    return Program(model, [normal(rng, 40, 16, 6, 1), rng.integers(1, 5, (40, 2))])


@program
def table(rng, middle):
    """A transformer over the columns of a table, with looked-up words."""
    kinds = np.array([["red", "high"], ["blue", "low"], ["green", "high"]])
    numbers = keras.Input((3,))
    columns = [keras.Input((1,), dtype="string") for _ in range(2)]
    embedded = []
    for k, column in enumerate(columns):
        lookup = layers.StringLookup(vocabulary=sorted(set(kinds[:, k])))
        embedded.append(
            layers.Embedding(lookup.vocabulary_size(), WIDTH)(lookup(column))
        )
    x = layers.Concatenate(axis=1)(embedded)
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(x + attended)
    x = layers.LayerNormalization()(x + layers.Dense(WIDTH, "gelu")(middle(x)))
    flat = [layers.Flatten()(x), layers.LayerNormalization()(numbers)]
    x = layers.Dense(6, "selu")(layers.Concatenate()(flat))
    outputs = layers.Dense(1, "sigmoid")(layers.AlphaDropout(0.1)(x))
    model = functional([numbers, *columns], outputs, "adam", "binary_crossentropy")
    rows = kinds[rng.integers(0, 3, 40)]
    words = [tf.constant(rows[:, k : k + 1]) for k in range(2)]
    return Program(model, [normal(rng, 40, 3), *words], rng.integers(0, 2, (40, 1)))
