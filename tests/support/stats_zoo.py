"""Small trainings for `GradientStats`: sick layers and steps, healthy look-alikes."""

import keras
import tensorflow as tf
from keras import layers, ops

from tests.support.loss_zoo import ENTROPY, classes, fit, stack

optimizers, initializers = keras.optimizers, keras.initializers


def deep(activation, depth=3, **options):
    return stack(*[layers.Dense(24, activation, **options) for _ in range(depth)])


def normal(deviation):
    return {"kernel_initializer": initializers.RandomNormal(stddev=deviation)}


def entropy(model, watch, optimizer="adam", data=None, epochs=8, **options):
    return fit(model, data or classes(), optimizer, ENTROPY, watch, epochs, **options)


# --- healthy ---------------------------------------------------------------------


def deep_tanh(watch):
    return entropy(deep("tanh", 12), watch)


def deep_relu_of_he(watch):
    return entropy(deep("relu", 20, kernel_initializer="he_normal"), watch)


def deep_relu_of_glorot(watch):
    """Whose scale falls by a third a layer."""
    return entropy(deep("relu", 12), watch)


def sigmoids(watch):
    return entropy(deep("sigmoid", 2), watch)


def gates_that_are_shut(watch):
    """By which all but a few parts are multiplied with zero, as it should be."""
    inputs = keras.Input((8,))
    bias = initializers.Constant(-12.0)
    gate = layers.Dense(24, "sigmoid", bias_initializer=bias)(inputs)
    hidden = layers.Dense(24, "relu")(inputs)
    outputs = layers.Dense(4)(hidden * gate + hidden)
    return entropy(keras.Model(inputs, outputs), watch)


def codes(watch):
    """An encoder that puts out signs, nearly."""
    encoder = stack(layers.Dense(24, "relu"), layers.Dense(4, "tanh", **normal(30.0)))
    encoder = keras.Sequential(encoder.layers[:-1])
    model = keras.Sequential([keras.Input((8,)), encoder, layers.Dense(8)])
    x = classes()[0]
    return fit(model, (x, x), "adam", "mse", watch, 8)


def accumulated(watch):
    """In which most steps move nothing, among them all that are read."""
    rate = optimizers.Adam(1e-2, gradient_accumulation_steps=10)
    return entropy(deep("relu"), watch, rate)


def warm_up_that_waits(watch):
    """With a rate of zero for the first two epochs."""
    schedule = keras.callbacks.LearningRateScheduler(lambda e: 0.0 if e < 2 else 1e-3)
    return entropy(deep("relu"), watch, optimizers.Adam(), callbacks=[schedule])


def rate_that_ends(watch):
    rate = optimizers.schedules.PolynomialDecay(0.05, 100, 0.0)
    return entropy(deep("relu"), watch, optimizers.SGD(rate), epochs=20)


def small_fine_tuning(watch):
    return entropy(deep("relu"), watch, optimizers.SGD(1e-6))


def frozen_in_part(watch):
    model = deep("relu")
    model.layers[0].trainable = False
    return entropy(model, watch)


def single_examples(watch):
    """Of which each unit of a tanh is at one side."""
    x, y = classes(200)
    return entropy(deep("tanh"), watch, data=(x * 3, y), epochs=1, batch_size=1)


def half_precision(watch):
    hidden = [layers.Dense(24, "tanh", dtype="mixed_float16") for _ in range(3)]
    rate = optimizers.LossScaleOptimizer(optimizers.Adam(1e-3), 2.0**24)
    return entropy(stack(*hidden), watch, rate)


HEALTHY = (
    deep_tanh,
    deep_relu_of_he,
    deep_relu_of_glorot,
    sigmoids,
    gates_that_are_shut,
    codes,
    accumulated,
    warm_up_that_waits,
    rate_that_ends,
    small_fine_tuning,
    frozen_in_part,
    single_examples,
    half_precision,
)


# --- sick ------------------------------------------------------------------------


def large_weights_before_tanh(watch):
    return entropy(deep("tanh", **normal(5.0)), watch)


def large_weights_before_sigmoid(watch):
    return entropy(deep("sigmoid", **normal(15.0)), watch)


def inputs_that_are_not_scaled(watch):
    x, y = classes()
    return entropy(deep("tanh"), watch, data=(1000 * x, y))


def too_fast_for_tanh(watch):
    return entropy(deep("tanh"), watch, optimizers.Adam(1.0))


def too_fast_for_relu(watch):
    return entropy(deep("relu"), watch, optimizers.SGD(3.0), epochs=12)


def far_too_slow(watch):
    return entropy(deep("relu"), watch, optimizers.SGD(1e-9))


def far_too_slow_with_adam(watch):
    return entropy(deep("relu"), watch, optimizers.Adam(1e-10))


def rate_of_zero(watch):
    return entropy(deep("relu"), watch, optimizers.SGD(0.0))


class Forgetful(keras.Model):
    """Whose own step does not hand the first layer to the optimizer."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(24, "relu")
        self.rest = stack(layers.Dense(24, "relu"), width=24)

    def call(self, x):
        return self.rest(self.first(x))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = ops.mean(self.compute_loss(x, y, self(x, training=True)))
        gradients = tape.gradient(loss, self.trainable_variables)
        pairs = zip(gradients, self.trainable_variables, strict=True)
        self.optimizer.apply_gradients(list(pairs)[2:])
        return {"loss": loss}


def forgotten_layer(watch):
    return entropy(Forgetful(), watch)


def small_weights(watch):
    return entropy(deep("relu", 8, **normal(1e-3)), watch)


def small_weights_before_tanh(watch):
    return entropy(deep("tanh", 8, **normal(1e-3)), watch)


def large_weights(watch):
    return entropy(deep("relu", 8, **normal(3.0)), watch)


SICK = {
    large_weights_before_tanh: "saturated",
    large_weights_before_sigmoid: "saturated",
    inputs_that_are_not_scaled: "saturated",
    too_fast_for_tanh: "saturated",
    too_fast_for_relu: "dead",
    far_too_slow: "still",
    far_too_slow_with_adam: "still",
    rate_of_zero: "still",
    forgotten_layer: "still",
    small_weights: "scale",
    small_weights_before_tanh: "scale",
    large_weights: "scale",
}
