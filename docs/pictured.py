"""Trainings for the pictures: a healthy one, one with alerts, with a NaN, and twenty.

    python docs/pictured.py LOGDIR

`docs/pictures.py` runs it; the one with a bug is `examples/digits.py --bug`.
"""

import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_gradwatch as kgw

STEPS = 25  # in an epoch


@tf.custom_gradient
def scaled_tanh(x: Any) -> Any:
    """Hyperbolic tangent, with 97 % of its gradient: easily missed."""
    y = tf.tanh(x)
    return y, lambda upstream: 0.97 * upstream * (1 - y**2)


@tf.custom_gradient
def doubled_swish(x: Any) -> Any:
    """Swish, with twice its gradient."""
    s = tf.sigmoid(x)
    return x * s, lambda upstream: 2 * upstream * (s + x * s * (1 - s))


class Activation(layers.Layer):
    """A layer that calls a function."""

    def __init__(self, function: Callable[[Any], Any], **options: Any):
        super().__init__(**options)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)


class ScaledTanh(Activation):
    """`scaled_tanh`, as a layer."""


class DoubledSwish(Activation):
    """`doubled_swish`, as a layer."""


class Root(Activation):
    """A square root: of what is negative it is NaN."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Three classes of points."""
    random = np.random.default_rng(0)
    x = random.normal(size=(STEPS * 32, 12)).astype("float32")
    return x, (x[:, :3] + 0.3 * random.normal(size=(len(x), 3))).argmax(axis=1)


def train(
    log_dir: Path,
    *middle: layers.Layer,
    epochs: int = 6,
    optimizer: Any = "adam",
    feed: tuple[np.ndarray, np.ndarray] | None = None,
    freq: int = 25,
    shuffle: bool = True,
) -> None:
    """Trains a small net with all three callbacks."""
    keras.utils.set_random_seed(0)
    scores = layers.Dense(3, name="scores")
    model = keras.Sequential([keras.Input((12,)), *middle, scores], name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss)
    callbacks = [
        kgw.GradientCheck(log_dir=log_dir, warmup_steps=5, check_freq=freq, verbose=0),
        kgw.GradientStats(log_dir=log_dir, check_freq=5, verbose=0),
        kgw.NonFiniteLocator(log_dir=log_dir, verbose=0),
    ]
    x, y = feed or data()
    options = {"epochs": epochs, "batch_size": 32, "shuffle": shuffle, "verbose": 0}
    model.fit(x, y, callbacks=callbacks, **options)


def dense(count: int, activation: str = "relu", units: int = 16) -> list[layers.Layer]:
    """Dense layers of one kind."""
    return [
        layers.Dense(units, activation, name=f"dense_{k + 1}") for k in range(count)
    ]


def healthy(root: Path) -> None:
    train(root / "healthy", *dense(3))


def alerts(root: Path) -> None:
    train(root / "alerts", *dense(10, "sigmoid"))


def not_finite(root: Path) -> None:
    """One odd batch, in the second epoch, makes a square root negative."""
    x, y = data()
    x, y = np.abs(np.concatenate([x, x])), np.concatenate([y, y])
    x[40 * 32 + 7] *= -1
    root_of = Root(lambda x: tf.sqrt(x + 0.5), name="root")
    stack = [layers.Dense(16, "relu", name="hidden")]
    train(root / "nan", root_of, *stack, feed=(x, y), epochs=1, shuffle=False)


def small(root: Path) -> None:
    train(
        root / "small mistake",
        layers.Dense(16, name="first"),
        ScaledTanh(scaled_tanh, name="scaled_tanh"),
        layers.Dense(16, "gelu", name="second"),
    )


def resumed(root: Path) -> None:
    """Twice into one directory, the model built anew with other names."""
    keras.backend.clear_session()
    for _ in range(2):
        train(
            root / "resumed",
            layers.Dense(16, "relu"),
            layers.Dense(8, "relu"),
            epochs=3,
        )


def sweep(root: Path) -> None:
    """Twenty of one family."""
    for k in range(20):
        rate, width = (1e-3, 3e-3, 1e-2, 3e-2)[k % 4], (8, 16, 32, 48, 64)[k // 4]
        name = f"sweep-2026-11-27/adam_learning_rate={rate:g}_width={width}_seed=0"
        middle: list[layers.Layer] = dense(2, units=width)
        if k == 6:
            middle.append(DoubledSwish(doubled_swish, name="swish"))
        if k in (3, 11):
            middle = dense(9, "sigmoid", units=width)
        train(root / name, *middle, epochs=2, optimizer=keras.optimizers.Adam(rate))


def main() -> None:
    warnings.simplefilter("ignore")
    root = Path(sys.argv[1])
    for make in (healthy, alerts, not_finite, small, resumed):
        make(root)
    sweep(root / "twenty")


if __name__ == "__main__":
    main()
