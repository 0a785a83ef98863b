"""Models with a training step of their own, each with room for a fault.

`KINDS` maps a name to `(build(wrong), compile(model) or None, layers upstream of
the fault)`.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from tests.support.models import Middle


def dense_stack(*names, wrong=False, units=4, last=None):
    stack = []
    for name in names:
        stack.append(layers.Dense(units, activation="tanh", name=name))
        if wrong and name == names[0]:
            stack.append(Middle(wrong=True))
    return [*stack, *([last] if last else [])]


class OwnTape(keras.Model):
    """The example of a custom step in Keras' guide, with a loss of its own."""

    def __init__(self, wrong):
        super().__init__()
        self.stack = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.tracker = keras.metrics.Mean(name="loss")

    def call(self, x):
        return self.stack(x)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 4)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_variables, strict=True)
        )
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


class Vae(keras.Model):
    """Reconstruction and divergence, with a sampling layer in between."""

    def __init__(self, wrong):
        super().__init__()
        self.encoder = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.decoder = keras.Sequential([layers.Dense(4, name="c")])
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        mean, spread = ops.split(self.encoder(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds, dtype=mean.dtype)
        return self.decoder(mean + ops.exp(0.5 * spread) * noise), mean, spread

    def train_step(self, data):
        if isinstance(data, tuple):
            data = data[0]
        with tf.GradientTape() as tape:
            output, mean, spread = self(data)
            loss = ops.mean(ops.sum((data - output) ** 2, axis=-1))
            divergence = -0.5 * (1 + spread - ops.square(mean) - ops.exp(spread))
            loss += ops.mean(ops.sum(divergence, axis=-1))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(
            zip(gradients, self.trainable_weights, strict=True)
        )
        return {"loss": loss}


class Gan(keras.Model):
    """Two tapes and two optimizers, with a gradient penalty: a tape in a tape."""

    def __init__(self, wrong):
        super().__init__()
        self.generator = keras.Sequential(
            [keras.Input((2,)), *dense_stack("g1", "g2", wrong=wrong)]
        )
        self.discriminator = keras.Sequential(
            [keras.Input((4,)), *dense_stack("d1", last=layers.Dense(1, name="d2"))]
        )
        self.seeds = keras.random.SeedGenerator(1)
        self.built = True

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        self.bce = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, x):
        return self.discriminator(x)

    def train_step(self, data):
        latent = keras.random.normal((8, 2), seed=self.seeds)
        fake = self.generator(latent)
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                mixed = 0.5 * (ops.cast(fake, data.dtype) + data)
                inner.watch(mixed)
                score = self.discriminator(mixed)
            slope = inner.gradient(score, mixed)
            penalty = ops.mean((ops.sqrt(ops.sum(slope**2, axis=-1)) - 1) ** 2)
            d_loss = self.bce(ops.ones((8, 1)), self.discriminator(data))
            d_loss += self.bce(ops.zeros((8, 1)), self.discriminator(fake)) + penalty
        weights = self.discriminator.trainable_weights
        found = tape.gradient(d_loss, weights)
        self.d_optimizer.apply_gradients(zip(found, weights, strict=True))
        with tf.GradientTape() as tape:
            score = self.discriminator(self.generator(latent))
            g_loss = self.bce(ops.ones((8, 1)), score)
        weights = self.generator.trainable_weights
        found = tape.gradient(g_loss, weights)
        self.g_optimizer.apply_gradients(zip(found, weights, strict=True))
        return {"d_loss": d_loss, "g_loss": g_loss}


class Wrapped(keras.Model):
    """A Functional model that only wraps the default step."""

    def train_step(self, data):
        return {"extra": ops.zeros(()), **super().train_step(data)}


class OwnLoss(keras.Model):
    """A Functional model with its own `compute_loss`."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **_):
        return ops.mean(ops.abs(y - y_pred) ** 3)


class Distiller(keras.Model):
    """Learns from a frozen teacher."""

    def __init__(self, wrong):
        super().__init__()
        self.student = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.teacher = keras.Sequential(dense_stack("t", "u"))
        self.teacher.trainable = False

    def call(self, x):
        return self.student(x)

    def train_step(self, data):
        x, y = data
        goal = self.teacher(x, training=False)
        with tf.GradientTape() as tape:
            seen = self.student(x, training=True)
            loss = ops.mean((seen - goal) ** 2) + 0.1 * self.compute_loss(x, y, seen)
        gradients = tape.gradient(loss, self.student.trainable_variables)
        self.optimizer.apply(gradients, self.student.trainable_variables)
        return {"loss": loss}


class Clipped(OwnTape):
    """Clips what the tape returns, which is no mistake of the gradient."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        found, _ = tf.clip_by_global_norm(found, 1e-3)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


class Bootstrapped(OwnTape):
    """Learns towards a goal that it sets itself, outside of its tape."""

    def train_step(self, data):
        x, y = data
        goal = y + 0.9 * self(-x, training=True)
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - goal) ** 2)
        found = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(found, self.trainable_variables, strict=True)
        )
        return {"loss": loss}


class Meta(OwnTape):
    """A penalty on the gradient for the weights, inside the loss."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = ops.mean((self(x, training=True) - y) ** 2)
            weights = self.trainable_variables
            slopes = inner.gradient(loss, weights)
            loss += 0.1 * ops.sum([ops.sum(ops.square(g)) for g in slopes])
        found = outer.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(found, weights, strict=True))
        return {"loss": loss}


class Contrastive(keras.Model):
    """Draws two noisy views of an example together, and others apart."""

    def __init__(self, wrong):
        super().__init__()
        self.encoder = keras.Sequential(dense_stack("a", "b", wrong=wrong))
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        return self.encoder(x)

    def view(self, x):
        noise = keras.random.normal(ops.shape(x), seed=self.seeds)
        return ops.normalize(self.encoder(x + 0.1 * noise, training=True), axis=-1)

    def train_step(self, data):
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            likeness = ops.matmul(self.view(x), ops.transpose(self.view(x))) / 0.5
            labels = ops.arange(ops.shape(x)[0])
            losses = keras.losses.sparse_categorical_crossentropy(
                labels, likeness, from_logits=True
            )
            loss = ops.mean(losses)
        gradients = tape.gradient(loss, self.encoder.trainable_weights)
        self.optimizer.apply(gradients, self.encoder.trainable_weights)
        return {"loss": loss}


class Accumulating(OwnTape):
    """Adds gradients up, and hands their mean on at every second step."""

    def __init__(self, wrong):
        super().__init__(wrong)
        self.steps = self.add_weight(shape=(), dtype="int64", trainable=False)
        self.sums = None

    def build(self, shape):
        self.stack.build(shape)
        self.sums = [
            self.add_weight(shape=v.shape, initializer="zeros", trainable=False)
            for v in self.trainable_variables
        ]
        self.optimizer.build(self.trainable_variables)
        self.built = True

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        for total, gradient in zip(
            self.sums, tape.gradient(loss, self.trainable_variables), strict=True
        ):
            total.assign_add(gradient)
        self.steps.assign_add(1)
        tf.cond(self.steps % 2 == 0, self.hand_on, lambda: None)
        return {"loss": loss}

    def hand_on(self):
        means = [total / 2 for total in self.sums]
        self.optimizer.apply(means, self.trainable_variables)
        for total in self.sums:
            total.assign(ops.zeros_like(total))


class SharpnessAware(OwnTape):
    """Climbs first, and descends with the gradient from up there.

    Foret et al., "Sharpness-aware minimization", 2021.
    """

    def __init__(self, wrong):
        super().__init__(wrong)
        self.stack.build((None, 4))
        self.built = True

    def train_step(self, data):
        x, y = data
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        slopes = tape.gradient(loss, weights)
        norm = tf.linalg.global_norm(slopes)
        steps = [0.3 * slope / norm for slope in slopes]
        for weight, step in zip(weights, steps, strict=True):
            weight.assign_add(step)
        with tf.GradientTape() as tape:
            above = ops.mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(above, weights)
        for weight, step in zip(weights, steps, strict=True):
            weight.assign_sub(step)
        self.optimizer.apply(gradients, weights)
        return {"loss": loss, "above": above}


class Scaled(OwnTape):
    """Scales its loss as mixed precision asks for."""

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


class TwoOptimizers(OwnTape):
    """A list of optimizers, one for each layer; one tape, asked twice."""

    def compile(self, *optimizers):
        super().compile()
        self.optimizers = list(optimizers)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape(persistent=True) as tape:
            loss = ops.mean((self(x, training=True) - y) ** 2)
        for layer, optimizer in zip(
            (self.stack.layers[0], self.stack.layers[-1]), self.optimizers, strict=True
        ):
            weights = layer.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        return {"loss": loss}


def functional(kind):
    def build(wrong):
        inputs = outputs = keras.Input((4,))
        for layer in dense_stack("a", "b", wrong=wrong):
            outputs = layer(outputs)
        return kind(inputs, outputs)

    return build


def compile_gan(model):
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))


def compile_scaled(model):
    adam = keras.optimizers.Adam()
    model.compile(keras.optimizers.LossScaleOptimizer(adam, 1024.0), "mse")


def compile_two(model):
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.SGD(1e-2))


KINDS = {
    "own tape": (OwnTape, None, {"a"}),
    "vae": (Vae, None, {"a"}),
    "gan": (Gan, compile_gan, {"g1"}),
    "wrapped": (functional(Wrapped), None, {"a"}),
    "own loss": (functional(OwnLoss), None, {"a"}),
    "distiller": (Distiller, None, {"a"}),
    "clipped": (Clipped, None, {"a"}),
    "contrastive": (Contrastive, None, {"a"}),
    "accumulating": (Accumulating, None, {"a"}),
    "loss scaled": (Scaled, compile_scaled, {"a"}),
    "two optimizers": (TwoOptimizers, compile_two, {"a"}),
    "goal": (Bootstrapped, None, {"a"}),
}
# Checked, but not one report a variable.
OTHERS = {
    "meta": (Meta, None, {"a"}),
    "sharpness aware": (SharpnessAware, None, {"a"}),
}


def trained(kind, wrong, callbacks=()):
    build, compile_it, upstream = KINDS.get(kind) or OTHERS[kind]
    model = build(wrong)
    if compile_it:
        compile_it(model)
    else:
        model.compile("adam", "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 4)).astype("float32")
    y = (
        None
        if kind in ("vae", "gan", "contrastive")
        else rng.normal(size=(32, 4)).astype("float32")
    )
    model.fit(x, y, batch_size=8, verbose=0, callbacks=list(callbacks))
    return model, x[:8], None if y is None else y[:8], upstream


def layer_of(variable):
    return variable.path.split("/")[-2]
