"""Pictures and points: diffusion, codes, rendering, contrast, resolution."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.support.models import normal
from tests.support.people import Program, functional, program

SIZE = 8


class OwnTape(keras.Model):
    """Trains on what its kinds have as `loss_of`."""

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.loss_of(data)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def _waves(x):
    speeds = ops.exp(ops.linspace(ops.log(1.0), ops.log(50.0), 3))
    angles = 2.0 * np.pi * speeds * x
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)


class Diffusion(OwnTape):
    """Guesses the noise in noisy pictures, and keeps a slow copy of itself."""

    def __init__(self, network, slow):
        super().__init__()
        self.normalizer, self.network = layers.Normalization(), network
        self.slow, self.seeds = slow, keras.random.SeedGenerator(3)
        self.slow.trainable = False

    def loss_of(self, pictures):
        pictures = self.normalizer(pictures, training=True)
        noises = keras.random.normal(ops.shape(pictures), seed=self.seeds)
        count = ops.shape(pictures)[0]
        times = keras.random.uniform((count, 1, 1, 1), seed=self.seeds)
        angles = ops.arccos(0.95) + times * (ops.arccos(0.02) - ops.arccos(0.95))
        noise, signal = ops.sin(angles), ops.cos(angles)
        noisy = signal * pictures + noise * noises
        guess = self.network([noisy, noise**2], training=True)
        return ops.mean(ops.abs(noises - guess))

    def train_step(self, data):
        logs = super().train_step(data)
        for own, kept in zip(self.network.weights, self.slow.weights, strict=True):
            kept.assign(0.9 * kept + 0.1 * own)
        return logs


def _denoiser(middle):
    noisy, variances = keras.Input((SIZE, SIZE, 1)), keras.Input((1, 1, 1))
    waves = layers.Lambda(_waves, output_shape=(1, 1, 6))(variances)
    waves = layers.UpSampling2D(SIZE, interpolation="nearest")(waves)
    x = layers.Concatenate()([layers.Conv2D(3, 1)(noisy), waves])
    x = wide = layers.Conv2D(4, 3, padding="same", activation="swish")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.BatchNormalization(center=False, scale=False)(middle(x))
    x = layers.Conv2D(6, 3, padding="same", activation="swish")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="swish")(
        layers.Concatenate()([x, wide])
    )
    # Zeros at first, as people have it: one step later, all is told.
    return keras.Model(
        [noisy, variances], layers.Conv2D(1, 1, kernel_initializer="zeros")(x)
    )


@program
def diffusion(rng, middle):
    pictures = normal(rng, 40, SIZE, SIZE, 1)
    model = Diffusion(_denoiser(middle), _denoiser(layers.Identity()))
    model.normalizer.adapt(pictures)
    model.compile("adamw", jit_compile=False)
    return Program(model, pictures)


class Quantizer(layers.Layer):
    """The nearest of some codes, with the gradient handed straight through."""

    def __init__(self, count, width, **kwargs):
        super().__init__(**kwargs)
        self.count, self.width = count, width

    def build(self, shape):
        self.codes = self.add_weight(
            shape=(self.width, self.count), initializer="random_uniform", name="codes"
        )

    def call(self, x):
        flat = ops.reshape(x, (-1, self.width))
        far = (
            ops.sum(flat**2, axis=1, keepdims=True)
            + ops.sum(self.codes**2, axis=0)
            - 2 * ops.matmul(flat, self.codes)
        )
        chosen = tf.one_hot(ops.argmin(far, axis=1), self.count)
        found = ops.reshape(ops.matmul(chosen, ops.transpose(self.codes)), ops.shape(x))
        self.add_loss(0.25 * ops.mean((ops.stop_gradient(found) - x) ** 2))
        self.add_loss(ops.mean((found - ops.stop_gradient(x)) ** 2))
        return x + ops.stop_gradient(found - x)


@program
def codes(rng, middle):
    """VQ-VAE: what the encoder is handed is no slope, and that is declared."""
    pictures = keras.Input((SIZE, SIZE, 1))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(pictures)
    x = layers.Conv2D(3, 1, name="encoded")(x)
    x = Quantizer(5, 3, name="quantizer")(x)
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    outputs = layers.Conv2DTranspose(1, 3, padding="same")(middle(x))
    model = functional(pictures, outputs, "adam", "mse")
    own = [layer.name for layer in model.layers[1:3]] + ["quantizer"]
    x = rng.random((40, SIZE, SIZE, 1)).astype("float32")
    return Program(model, x, x, expected=tuple(f"{name}/*" for name in own))


class Rendering(OwnTape):
    """NeRF: colours and densities along rays, summed up."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def loss_of(self, data):
        rays, seen = data
        start, towards = rays[:, None, :3], rays[:, None, 3:]
        far = ops.linspace(2.0, 6.0, 5)
        far = far + keras.random.uniform((ops.shape(rays)[0], 5), seed=7) * 0.8
        points = start + towards * far[..., None]
        parts = [points]
        for k in range(3):
            parts += [ops.sin(2.0**k * points), ops.cos(2.0**k * points)]
        found = self.network(ops.concatenate(parts, axis=-1), training=True)
        colours, density = ops.sigmoid(found[..., :3]), ops.relu(found[..., 3] + 0.5)
        gaps = far[:, 1:] - far[:, :-1]
        gaps = ops.concatenate([gaps, ops.full((ops.shape(far)[0], 1), 1e10)], axis=-1)
        solid = 1.0 - ops.exp(-density * gaps)
        light = tf.math.cumprod(1.0 - solid + 1e-10, axis=-1, exclusive=True)
        shown = ops.sum((solid * light)[..., None] * colours, axis=-2)
        return ops.mean((shown - seen) ** 2)


@program
def rendering(rng, middle):
    encoded = keras.Input((5, 21))
    x = layers.Dense(10, "relu")(encoded)
    x = layers.Dense(10, "relu")(middle(layers.Dense(10, "relu")(x)))
    outputs = layers.Dense(4)(layers.Concatenate()([x, encoded]))
    model = Rendering(keras.Model(encoded, outputs))
    model.compile("adam", jit_compile=False)
    return Program(model, normal(rng, 40, 6), rng.random((40, 3)).astype("float32"))


@keras.saving.register_keras_serializable("tests")
class Orthogonal(keras.regularizers.Regularizer):
    """Keeps a learned turn near a turn."""

    def __init__(self, count):
        self.count = count

    def __call__(self, x):
        x = ops.reshape(x, (-1, self.count, self.count))
        off = ops.matmul(x, ops.transpose(x, (0, 2, 1))) - ops.eye(self.count)
        return ops.sum(0.001 * ops.square(off))


def _turned(x, count):
    y = layers.Conv1D(6, 1, activation="relu")(x)
    y = layers.GlobalMaxPooling1D()(layers.BatchNormalization(momentum=0.0)(y))
    y = layers.Dense(
        count * count,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.eye(count).flatten()),
        activity_regularizer=Orthogonal(count),
    )(y)
    return layers.Dot(axes=(2, 1))([x, layers.Reshape((count, count))(y)])


@program
def points(rng, middle):
    """PointNet: clouds of points, turned before and between."""
    clouds = keras.Input((12, 3))
    x = layers.Conv1D(5, 1, activation="relu")(_turned(clouds, 3))
    x = _turned(layers.BatchNormalization(momentum=0.0)(middle(x)), 5)
    x = layers.Conv1D(8, 1, activation="relu")(x)
    x = layers.Dropout(0.3)(layers.GlobalMaxPooling1D()(x))
    model = functional(
        clouds,
        layers.Dense(3, "softmax")(x),
        keras.optimizers.Adam(0.001),
        "sparse_categorical_crossentropy",
    )
    return Program(model, normal(rng, 40, 12, 3), rng.integers(0, 3, 40))


class Contrast(OwnTape):
    """SimCLR: two views of a picture are to be alike, and unlike all others."""

    def __init__(self, encoder, head, views):
        super().__init__()
        self.encoder, self.head, self.views = encoder, head, views

    def loss_of(self, pictures):
        one, other = (
            ops.normalize(self.head(self.encoder(self.views(pictures, training=True))))
            for _ in range(2)
        )
        alike = ops.matmul(one, ops.transpose(other)) / 0.2
        count = ops.shape(pictures)[0]
        same = tf.one_hot(ops.arange(count), count)
        both = [
            keras.losses.categorical_crossentropy(same, scores, from_logits=True)
            for scores in (alike, ops.transpose(alike))
        ]
        return ops.mean(both[0] + both[1]) / 2


@program
def contrast(rng, middle):
    views = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomBrightness(0.2, value_range=(0, 1)),
        ]
    )
    encoder = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            middle,
            layers.Flatten(),
            layers.Dense(8, "relu"),
        ]
    )
    head = keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, "relu"), layers.Dense(5)]
    )
    model = Contrast(encoder, head, views)
    model.compile("adam", jit_compile=False)
    return Program(model, rng.random((40, SIZE, SIZE, 3)).astype("float32"))


@program
def resolution(rng, middle):
    """EDSR: residual blocks, and channels laid out as pixels."""
    small = keras.Input((6, 6, 3))
    x = first = layers.Conv2D(6, 3, padding="same")(layers.Rescaling(1 / 255)(small))
    for k in range(2):
        y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        x = layers.add([x, layers.Conv2D(6, 3, padding="same")(y)])
        x = middle(x) if k == 0 else x
    x = layers.add([first, layers.Conv2D(6, 3, padding="same")(x)])
    x = layers.Conv2D(24, 3, padding="same")(x)
    x = layers.Lambda(lambda x: tf.nn.depth_to_space(x, 2), output_shape=(12, 12, 6))(x)
    outputs = layers.Rescaling(255)(layers.Conv2D(3, 3, padding="same")(x))
    model = functional(small, outputs, "adam", "mae", metrics=[_peak])
    pictures = rng.integers(0, 256, (40, 12, 12, 3)).astype("float32")
    return Program(model, pictures[:, ::2, ::2], pictures)


def _peak(wanted, seen):
    return tf.image.psnr(wanted, seen, max_val=255)
