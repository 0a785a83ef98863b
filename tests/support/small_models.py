"""The smallest models that a test of a callback fits, one of them wrong."""

import keras
import tensorflow as tf
from keras import layers


@tf.custom_gradient
def halved(x):
    return tf.identity(x), lambda upstream: 0.5 * upstream


class Halved(layers.Layer):
    """Passes its input on, and half of the gradient back."""

    def call(self, x):
        return halved(x)


def small_model(wrong=False, **compiled):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, activation="tanh", name="first"),
            Halved() if wrong else layers.Dropout(0.3),
            layers.Dense(3, name="second"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"], **compiled)
    return model


def unbuilt():
    model = keras.Sequential([layers.Dense(5, activation="relu"), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def between(*middle):
    """A model for four numbers, with some layers between its two dense ones."""
    first, last = keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((4,)), first, *middle, last])
    model.compile("sgd", "mse", jit_compile=False)
    return model
