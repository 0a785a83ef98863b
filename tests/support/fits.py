"""Models that draw random numbers, and all that a fit of them leaves behind."""

import random
import runpy
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"


class Sample(keras.Model):
    """A subclassed model with an added loss and randomness of its own."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(3)
        self.hidden = layers.Dense(6, activation="relu")
        self.out = layers.Dense(3)

    def call(self, x):
        hidden = self.hidden(x)
        noise = keras.random.normal(keras.ops.shape(hidden), seed=self.seeds)
        self.add_loss(1e-2 * keras.ops.mean(hidden**2))
        return self.out(hidden + 0.1 * noise + keras.random.normal((6,)))


def digits(rng):
    model = runpy.run_path(str(EXAMPLE))["build_model"]()
    x = rng.normal(size=(40, 8, 8, 1)).astype("float32")
    return model, x, rng.integers(0, 10, 40)


def subclassed(rng):
    return Sample(), rng.normal(size=(40, 5)).astype("float32"), rng.integers(0, 3, 40)


def recurrent(rng):
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.LSTM(4, dropout=0.2, recurrent_dropout=0.2),
            layers.GaussianNoise(0.1),
            layers.Dense(3),
        ]
    )
    x = rng.normal(size=(40, 3, 4)).astype("float32")
    return model, x, rng.integers(0, 3, 40)


def two_outputs(rng):
    inputs = keras.Input((5,))
    hidden = layers.Dropout(0.3)(layers.Dense(6, activation="relu")(inputs))
    outputs = {"a": layers.Dense(3)(hidden), "b": layers.Dense(3)(hidden)}
    labels = rng.integers(0, 3, 40)
    x = rng.normal(size=(40, 5)).astype("float32")
    return keras.Model(inputs, outputs), x, {"a": labels, "b": labels}


def on_a_line(steps, size, bad=()):
    """Examples of a sum of three numbers, and targets far off in some batches.

    Args:
        steps: How many batches.
        size: Examples in each.
        bad: Which batches are off.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size * steps, 3)).astype("float32")
    y = x.sum(axis=1, keepdims=True) + rng.normal(size=(len(x), 1)).astype("float32")
    for step in bad:
        y[size * step : size * (step + 1)] = 1e3
    return x, y


def next_of_streams():
    """The next number of each random stream that all code shares."""
    return [
        random.random(),
        np.random.rand(),  # noqa: NPY002
        tf.random.uniform(()).numpy(),
        keras.random.uniform(()).numpy(),
    ]


def left_behind(model, history):
    """What a training leaves behind, as plain NumPy values."""
    return {
        "weights": [v.numpy() for v in model.variables],
        "optimizer": [v.numpy() for v in model.optimizer.variables],
        "metrics": [v.numpy() for v in model.metrics_variables],
        "history": history,
        "streams": next_of_streams(),
        "name": layers.Dense(1).name,
        "attributes": sorted(model.__dict__),
    }


def everything_after_fit(build, compiled, fitted, callbacks):
    """All that training leaves behind, as plain NumPy values."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    model, x, y = build(np.random.default_rng(0))
    model.compile(
        keras.optimizers.Adam(1e-2),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=None if isinstance(y, dict) else ["accuracy"],
        **compiled,
    )
    history = model.fit(
        x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks, **fitted
    )
    return left_behind(model, history.history)
