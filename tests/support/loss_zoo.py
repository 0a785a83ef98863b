"""Small trainings, healthy and sick, each a function that trains with a callback."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

optimizers, schedules = keras.optimizers, keras.optimizers.schedules
ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def curve(count=512):
    """A smooth function of some numbers, with a little noise."""
    x = numbers(count, 8)
    y = np.sin(2 * x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3]
    return x, y + 0.1 * numbers(count, 1, seed=1)


def classes(count=512, noise=0.0, shape=(8,)):
    """Four classes by a plane, some labels at random."""
    x = numbers(count, *shape)
    flat = x.reshape(count, -1)
    y = 2 * (flat[:, 0] > 0) + (flat[:, 1] + 0.5 * flat[:, 2] > 0)
    random = np.random.default_rng(2)
    wrong = random.random(count) < noise
    return x, np.where(wrong, random.integers(0, 4, count), y)


def all_at_once():
    """The same batch again and again, as one epoch."""
    return (tf.data.Dataset.from_tensors(curve(128)).repeat(900),)


ONE_EPOCH = {"epochs": 1, "batch_size": None, "shuffle": False}


def stack(*inner, width=8, out=4):
    return keras.Sequential([keras.Input((width,)), *inner, layers.Dense(out)])


def mlp(out=4, units=24, **options):
    hidden = [layers.Dense(units, "relu", **options) for _ in range(2)]
    return stack(*hidden, out=out)


def fit(model, data, optimizer, loss, watch, epochs=30, batch_size=16, **fitted):
    model.compile(optimizer, loss, **fitted.pop("compiled", {}))
    options = {"epochs": epochs, "batch_size": batch_size, "verbose": 0, **fitted}
    extra = options.pop("callbacks", [])
    model.fit(*data, callbacks=[watch, *extra], **options)
    return watch


# --- healthy ---------------------------------------------------------------------


def dense_regression(watch):
    return fit(mlp(1), curve(), "adam", "mse", watch)


def dense_classes(watch):
    return fit(mlp(), classes(), "adam", ENTROPY, watch)


def plain_sgd(watch):
    return fit(mlp(1), curve(), optimizers.SGD(0.05), "mse", watch)


def momentum(watch):
    return fit(mlp(1), curve(), optimizers.SGD(0.02, 0.9, True), "mse", watch)


def linear_to_its_end(watch):
    """Done after the first of many epochs."""
    return fit(stack(out=1), curve(), optimizers.SGD(0.05), "mse", watch, epochs=40)


def learned_by_heart(watch):
    """Whose loss goes to zero."""
    x, y = classes(64)
    data = (tf.data.Dataset.from_tensor_slices((x, y)).repeat(300).batch(16),)
    rate = optimizers.Adam(3e-3)
    return fit(mlp(units=64), data, rate, ENTROPY, watch, **ONE_EPOCH)


def tiny_batches(watch):
    return fit(mlp(1), curve(256), "adam", "mse", watch, epochs=6, batch_size=1)


def tiny_batches_of_classes(watch):
    return fit(mlp(), classes(256), "adam", ENTROPY, watch, epochs=8, batch_size=1)


def full_batch(watch):
    """At the edge of stability, where the loss rises now and then."""
    return fit(mlp(1), all_at_once(), optimizers.SGD(0.3), "mse", watch, **ONE_EPOCH)


def full_batch_adam(watch):
    return fit(mlp(1), all_at_once(), optimizers.Adam(1e-2), "mse", watch, **ONE_EPOCH)


def uneven_batches(watch):
    """The last of each epoch has one example."""
    return fit(mlp(1), curve(497), "adam", "mse", watch, batch_size=16, epochs=20)


def bucketed(watch):
    """Batches of other sizes each time."""
    x, y = curve()
    sizes = np.random.default_rng(0).integers(2, 40, 400)

    def batches():
        for size in sizes:
            rows = np.random.default_rng(int(size)).integers(0, len(x), int(size))
            yield x[rows], y[rows]

    signature = (
        tf.TensorSpec((None, 8), tf.float32),
        tf.TensorSpec((None, 1), tf.float32),
    )
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    data = data.apply(tf.data.experimental.assert_cardinality(len(sizes)))
    return fit(mlp(1), (data.repeat(2),), "adam", "mse", watch, **ONE_EPOCH)


def label_noise(watch):
    data = classes(noise=0.6)
    return fit(mlp(), data, optimizers.Adam(3e-4), ENTROPY, watch, epochs=40)


def heavy_tails(watch):
    x, y = curve()
    y = y + 0.2 * np.random.default_rng(3).standard_t(3, y.shape).astype("float32")
    return fit(mlp(1), (x, y), "adam", "mse", watch, batch_size=8, epochs=10)


def weak_signal(watch):
    """Of which a twentieth can be known."""
    x = numbers(512, 8)
    y = 0.25 * x[:, :1] + numbers(512, 1, seed=1)
    return fit(stack(out=1), (x, y), optimizers.SGD(0.01), "mse", watch, epochs=40)


def warm_up_and_cosine(watch):
    rate = schedules.CosineDecay(0.0, 800, warmup_target=0.1, warmup_steps=200)
    return fit(mlp(), classes(), optimizers.SGD(rate, 0.9), ENTROPY, watch)


def restarts(watch):
    rate = schedules.CosineDecayRestarts(0.1, 300, t_mul=1.0)
    return fit(mlp(1), curve(), optimizers.SGD(rate, 0.9), "mse", watch, epochs=40)


def raised_by_hand(watch):
    def rate(epoch):
        return 2e-2 if epoch % 8 < 2 else 1e-4

    callbacks = [keras.callbacks.LearningRateScheduler(rate)]
    return fit(mlp(1), curve(), "adam", "mse", watch, epochs=32, callbacks=callbacks)


def convolutional(watch):
    x, y = classes(256, shape=(8, 8, 1))
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )
    return fit(model, (x, y), "adam", ENTROPY, watch, epochs=15)


def recurrent(watch):
    x = numbers(256, 12, 3)
    y = np.cumsum(x[..., 0], 1)[:, -1:] * 0.3
    model = keras.Sequential([keras.Input((12, 3)), layers.GRU(12), layers.Dense(1)])
    return fit(model, (x, y), optimizers.Adam(5e-3), "mse", watch, epochs=15)


def attention(watch):
    x = np.random.default_rng(0).integers(0, 20, (256, 8))
    y = (x == 3).sum(1) % 4
    inputs = keras.Input((8,))
    hidden = layers.Embedding(20, 16)(inputs)
    hidden = layers.MultiHeadAttention(2, 8)(hidden, hidden) + hidden
    hidden = layers.LayerNormalization()(hidden)
    outputs = layers.Dense(4)(layers.GlobalMaxPooling1D()(hidden))
    model = keras.Model(inputs, outputs)
    return fit(model, (x, y), optimizers.Adam(3e-3), ENTROPY, watch, epochs=25)


class Gan(keras.Model):
    """Two losses that play against one another."""

    def __init__(self):
        super().__init__()
        self.generator = stack(layers.Dense(24, "relu"), width=4, out=2)
        self.critic = stack(layers.Dense(24, "relu"), width=2, out=1)
        self.g_mean = keras.metrics.Mean("g_loss")
        self.d_mean = keras.metrics.Mean("d_loss")

    def compile(self):
        super().compile()
        self.g_opt = optimizers.Adam(1e-3, beta_1=0.5)
        self.d_opt = optimizers.Adam(1e-3, beta_1=0.5)

    def train_step(self, real):
        entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        noise = keras.random.normal((tf.shape(real)[0], 4))
        with tf.GradientTape() as d_tape, tf.GradientTape() as g_tape:
            fake = self.generator(noise)
            truth, made = self.critic(real), self.critic(fake)
            d_loss = entropy(ops.ones_like(truth), truth)
            d_loss += entropy(ops.zeros_like(made), made)
            g_loss = entropy(ops.ones_like(made), made)
        for loss, tape, part, optimizer in (
            (d_loss, d_tape, self.critic, self.d_opt),
            (g_loss, g_tape, self.generator, self.g_opt),
        ):
            weights = part.trainable_variables
            optimizer.apply(tape.gradient(loss, weights), weights)
        self.g_mean.update_state(g_loss)
        self.d_mean.update_state(d_loss)
        return {"g_loss": self.g_mean.result(), "d_loss": self.d_mean.result()}


def gan(watch):
    angle = np.random.default_rng(0).random(512) * 2 * np.pi
    real = np.stack([np.cos(angle), np.sin(angle)], 1).astype("float32")
    model = Gan()
    model.compile()
    model.fit(real, epochs=25, batch_size=16, verbose=0, callbacks=[watch])
    return watch


class Vae(keras.Model):
    """Whose KL term is turned up while it trains."""

    def __init__(self):
        super().__init__()
        self.encoder = stack(layers.Dense(24, "tanh"), out=4)
        self.decoder = stack(layers.Dense(24, "tanh"), width=2, out=8)
        self.seeds = keras.random.SeedGenerator(0)
        self.share = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, x, training=None):
        mean, width = ops.split(self.encoder(x), 2, axis=-1)
        noise = keras.random.normal(ops.shape(mean), seed=self.seeds)
        kl = 0.5 * ops.mean(ops.exp(width) + mean**2 - 1 - width)
        self.add_loss(self.share * kl)
        if training:
            self.share.assign(ops.minimum(self.share + 2e-3, 1.0))
        return self.decoder(mean + noise * ops.exp(0.5 * width))


def vae(watch):
    x = numbers(512, 2) @ numbers(2, 8, seed=1)
    return fit(Vae(), (x, x), "adam", "mse", watch, epochs=40)


def mixed_precision(watch):
    hidden = [layers.Dense(24, "relu", dtype="mixed_float16") for _ in range(2)]
    model = stack(*hidden, out=4)
    rate = optimizers.LossScaleOptimizer(optimizers.Adam(1e-3))
    return fit(model, classes(), rate, ENTROPY, watch)


def regularised(watch):
    model = mlp(1, kernel_regularizer=keras.regularizers.L2(1e-2))
    return fit(model, curve(), "adam", "mse", watch)


def large_dropout(watch):
    hidden = [layers.Dense(48, "relu"), layers.Dropout(0.8)]
    return fit(stack(*hidden), classes(), "adam", ENTROPY, watch)


def noisy_inputs(watch):
    model = stack(layers.GaussianNoise(1.0), layers.Dense(24, "relu"), out=1)
    return fit(model, curve(), "adam", "mse", watch)


def several_steps_at_once(watch):
    compiled = {"steps_per_execution": 7}
    return fit(mlp(1), curve(), "adam", "mse", watch, epochs=60, compiled=compiled)


def negative_log_likelihood(watch):
    """A loss that falls below zero."""

    def density(y, both):
        mean, log = ops.split(both, 2, axis=-1)
        return ops.mean(log + 0.5 * (y - mean) ** 2 * ops.exp(-2 * log), axis=-1)

    return fit(mlp(2), curve(), "adam", density, watch, epochs=40)


def hinge(watch):
    """Of which nothing is left, and no gradient, where its margin is kept."""
    x, y = classes()
    y = np.where(y > 1, 1.0, -1.0)
    return fit(mlp(1), (x, y), optimizers.Adam(3e-3), "hinge", watch, epochs=45)


def fine_tuned(watch):
    """A second fit of a model that has learned all there is, with a new optimizer."""
    model, data = mlp(), classes(noise=0.3)
    fit(model, data, "adam", ENTROPY, keras.callbacks.Callback(), epochs=60)
    rate = optimizers.SGD(1e-4)
    return fit(model, data, rate, ENTROPY, watch, epochs=40)


def with_validation(watch):
    x, y = curve(1024)
    held = {"validation_data": (x[512:], y[512:])}
    return fit(mlp(1), (x[:512], y[:512]), "adam", "mse", watch, epochs=25, **held)


HEALTHY = (
    dense_regression,
    dense_classes,
    plain_sgd,
    momentum,
    linear_to_its_end,
    learned_by_heart,
    tiny_batches,
    tiny_batches_of_classes,
    full_batch,
    full_batch_adam,
    uneven_batches,
    bucketed,
    label_noise,
    heavy_tails,
    weak_signal,
    warm_up_and_cosine,
    restarts,
    raised_by_hand,
    convolutional,
    recurrent,
    attention,
    gan,
    vae,
    mixed_precision,
    regularised,
    large_dropout,
    noisy_inputs,
    several_steps_at_once,
    negative_log_likelihood,
    hinge,
    fine_tuned,
    with_validation,
)


# --- sick ------------------------------------------------------------------------


def far_too_fast(watch):
    return fit(stack(out=1), curve(), optimizers.SGD(1.5), "mse", watch, epochs=2)


def diverges_after_a_while(watch):
    """By one blow to the weights, from which it does not come back soon."""
    rate = optimizers.SGD(1e-3)
    model, data = stack(out=1), curve()
    model.compile(rate, "mse")
    callbacks = [watch, Upset(8, 30.0)]
    model.fit(*data, epochs=20, batch_size=16, verbose=0, callbacks=callbacks)
    return watch


class Upset(keras.callbacks.Callback):
    """Multiplies the weights before an epoch."""

    def __init__(self, epoch, factor):
        super().__init__()
        self.epoch, self.factor = epoch, factor

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            for variable in self.model.trainable_variables:
                variable.assign(self.factor * variable)


def overflows(watch):
    """Grows until it is not finite, within one block of values."""
    return fit(stack(out=1), curve(), optimizers.SGD(1e5), "mse", watch, epochs=1)


def one_bad_batch(watch):
    x, y = curve(2048)
    y = y.copy()
    y[1600:1616] = 60.0
    options = {"shuffle": False, "epochs": 1}
    return fit(stack(out=1), (x, y), optimizers.SGD(1e-3), "mse", watch, **options)


def dead_units(watch):
    bias = keras.initializers.Constant(-30.0)
    hidden = [layers.Dense(24, "relu"), layers.Dense(24, "relu", bias_initializer=bias)]
    model = stack(*hidden)
    return fit(model, classes(), "adam", ENTROPY, watch, epochs=40)


def dies_while_it_trains(watch):
    """By a step that makes all biases large and negative."""

    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 10:
                self.model.layers[0].bias.assign(np.full(24, -50.0, "float32"))

    data, rate = classes(noise=0.5), optimizers.SGD(1e-2)
    return fit(mlp(), data, rate, ENTROPY, watch, epochs=60, callbacks=[Kill()])


def oscillating(watch):
    """Each step goes to the other side of the valley, as high as before."""
    data, rate = classes(noise=0.3), optimizers.SGD(30.0)
    return fit(stack(), data, rate, ENTROPY, watch, epochs=40)


def shuffled_labels(watch):
    x, y = classes(2048)
    y = np.random.default_rng(5).permutation(y)
    model = stack(layers.Dense(8, "relu"))
    return fit(model, (x, y), optimizers.SGD(1e-2), ENTROPY, watch, epochs=14)


def overfitting(watch):
    x, y = classes(noise=0.5)
    held = {"validation_data": (x[64:], y[64:])}
    rate = optimizers.Adam(5e-3)
    data = x[:64], y[:64]
    return fit(mlp(units=64), data, rate, ENTROPY, watch, epochs=60, **held)


SICK = {
    far_too_fast: "diverging",
    overflows: "diverging",
    diverges_after_a_while: "diverging",
    one_bad_batch: "spike",
    dead_units: "stalled",
    dies_while_it_trains: "stalled",
    oscillating: "oscillating",
    shuffled_labels: "flat",
    overfitting: "overfitting",
}
