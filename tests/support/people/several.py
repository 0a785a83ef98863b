"""Training steps with several models, losses or tapes."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers, ops

from tests.support.models import normal
from tests.support.people import Program, program

BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


class Game(keras.Model):
    """A generator against a critic, each with an optimizer of its own."""

    def __init__(self, generator, critic):
        super().__init__()
        self.generator, self.critic = generator, critic
        self.seeds = keras.random.SeedGenerator(5)

    def compile(self, **kwargs):
        super().compile(jit_compile=False)
        self.optimizers = [keras.optimizers.Adam(1e-3) for _ in range(2)]

    def train_step(self, real):
        count = ops.shape(real)[0]
        for player, optimizer, loss_of in zip(
            (self.critic, self.generator),
            self.optimizers,
            (self.of_critic, self.of_generator),
            strict=True,
        ):
            code = keras.random.normal((count, 3), seed=self.seeds)
            with tf.GradientTape() as tape:
                loss = loss_of(real, code)
            weights = player.trainable_weights
            optimizer.apply_gradients(
                zip(tape.gradient(loss, weights), weights, strict=True)
            )
        return {"loss": loss}


class Gan(Game):
    def of_critic(self, real, code):
        both = self.critic(ops.concatenate([self.generator(code), real], axis=0))
        count = ops.shape(real)[0]
        labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))], axis=0)
        labels += 0.05 * tf.random.uniform(tf.shape(labels))
        return BINARY(labels, both)

    def of_generator(self, real, code):
        seen = self.critic(self.generator(code))
        return BINARY(ops.zeros_like(seen), seen)


class Wgan(Game):
    """With a penalty on the critic's gradient between real and made."""

    def of_critic(self, real, code):
        made = self.generator(code, training=True)
        share = keras.random.uniform((ops.shape(real)[0], 1), seed=self.seeds)
        between = real + share * (made - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            seen = self.critic(between, training=True)
        slope = ops.sqrt(ops.sum(tape.gradient(seen, between) ** 2, axis=1))
        wins = ops.mean(self.critic(made)) - ops.mean(self.critic(real))
        return wins + 10.0 * ops.mean((slope - 1.0) ** 2)

    def of_generator(self, real, code):
        return -ops.mean(self.critic(self.generator(code, training=True)))


def _game(kind, rng, middle, activation):
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(6, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(0.2),
            middle,
            layers.Dense(4, "tanh"),
        ]
    )
    critic = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6, activation), layers.Dense(1)]
    )
    model = kind(generator, critic)
    model.compile()
    return Program(model, normal(rng, 40, 4))


@program
def adversaries(rng, middle):
    return _game(Gan, rng, middle, "leaky_relu")


@program
def penalty(rng, middle):
    return _game(Wgan, rng, middle, "swish")


class Distiller(keras.Model):
    """A student that learns from labels and from a teacher."""

    def __init__(self, student, teacher):
        super().__init__()
        self.student, self.teacher = student, teacher
        self.teacher.trainable = False

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        taught = ops.softmax(self.teacher(x, training=False) / 3.0, axis=1)
        learnt = ops.softmax(y_pred / 3.0, axis=1)
        own = keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True)
        far = keras.losses.kl_divergence(taught, learnt)
        return 0.1 * ops.mean(own) + 0.9 * 9.0 * ops.mean(far)

    def call(self, x):
        return self.student(x)


def _classifier(width, *between):
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(width, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            *between,
            layers.Conv2D(width, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@program
def distillation(rng, middle):
    model = Distiller(_classifier(3, middle), _classifier(6))
    model.compile("adam", jit_compile=False)
    return Program(model, normal(rng, 40, 6, 6, 1), rng.integers(0, 3, 40))


class Triplets(keras.Model):
    """Siamese towers that share all of their weights; the step adds up two tapes."""

    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def train_step(self, data):
        weights, sums = self.tower.trainable_weights, None
        for part in (data[:, :, :4], data[:, :, 4:]):
            with tf.GradientTape() as tape:
                anchor, same, other = (self.tower(part[:, k]) for k in range(3))
                near = ops.sum((anchor - same) ** 2, axis=-1)
                far = ops.sum((anchor - other) ** 2, axis=-1)
                loss = ops.mean(ops.maximum(near - far + 1.0, 0.0))
            found = tape.gradient(loss, weights)
            sums = found if sums is None else list(map(tf.add, sums, found))
        self.optimizer.apply(sums, weights)
        return {"loss": loss}


@program
def triplets(rng, middle):
    tower = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "relu"),
            layers.BatchNormalization(),
            middle,
            layers.Dense(3),
            layers.UnitNormalization(),
        ]
    )
    model = Triplets(tower)
    model.compile("adam", jit_compile=False)
    return Program(model, normal(rng, 40, 3, 8))
