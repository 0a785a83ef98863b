"""Trains a convolutional network on handwritten digits, its gradients watched.

    python examples/digits.py [--log-dir DIR] [--epochs N] [--bug]

The data are the 1,797 images of 8 x 8 pixels that come with scikit-learn. With
`--bug`, one layer has a mistake in its hand-written backward pass. Nothing crashes, no
NaN comes, and the network still learns: only worse, 92 % of the digits instead of 99 %.
The check names the variables that it spoils, the layer, and the line of the code.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from sklearn.datasets import load_digits

import keras_gradwatch as kgw

Gradient = Callable[[tf.Tensor], tf.Tensor]
Data = tuple[np.ndarray, np.ndarray]


@tf.custom_gradient
def swish(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """x * sigmoid(x), with its derivative written by hand."""
    gate = tf.sigmoid(x)

    def backward(upstream: tf.Tensor) -> tf.Tensor:
        return upstream * gate * (1 + x * (1 - gate))

    return x * gate, backward


@tf.custom_gradient
def swish_with_bug(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """The same, but its derivative takes `1 - gate` for `gate`."""
    gate = tf.sigmoid(x)

    def backward(upstream: tf.Tensor) -> tf.Tensor:
        return upstream * (1 - gate) * (1 + x * gate)

    return x * gate, backward


class Swish(layers.Layer):
    """An activation of one's own."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return swish(x)


class SwishWithBug(layers.Layer):
    """An activation of one's own, with a mistake in it."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return swish_with_bug(x)


def build_model(bug: bool = False) -> keras.Model:
    """Two convolutions with batch normalisation, and a classifier."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            # No bias before batch normalisation: it would have no effect.
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv_1"),
            layers.BatchNormalization(momentum=0.9, name="norm_1"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="conv_2"),
            layers.BatchNormalization(momentum=0.9, name="norm_2"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(64, name="hidden"),
            SwishWithBug(name="swish") if bug else Swish(name="swish"),
            layers.Dense(10, name="scores"),
        ],
        name="digits",
    )


def load_data() -> tuple[Data, Data]:
    """Images and labels, shuffled, one fifth kept for validation."""
    digits = load_digits()
    images = digits.images[..., np.newaxis].astype("float32") / 16
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], digits.target[order]
    held_out = len(images) // 5
    return (
        (images[held_out:], labels[held_out:]),
        (images[:held_out], labels[:held_out]),
    )


def main() -> None:
    """Trains, and says what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--log-dir", default="logs", help="for TensorBoard")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--bug", action="store_true", help="spoil one gradient")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    (x, y), validation_data = load_data()
    model = build_model(bug=arguments.bug)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    log_dir = arguments.log_dir
    # Is the gradient right? A small network: room for a close look in each epoch.
    check = kgw.GradientCheck(log_dir, warmup_steps=40, time_budget=30)
    # Does it vanish, explode, die?
    stats = kgw.GradientStats(log_dir, check_freq=30)
    # Where would the first NaN come from?
    locator = kgw.NonFiniteLocator(log_dir)
    history = model.fit(
        x,
        y,
        batch_size=32,
        epochs=arguments.epochs,
        validation_data=validation_data,
        callbacks=[check, stats, locator, keras.callbacks.TensorBoard(log_dir)],
        verbose=0,
    )

    print()
    if check.reports:
        print(check.reports[-1])
    if stats.readings:
        print(f"\n{stats.readings[-1]}")
    passed = sum(report.passed for report in check.reports)
    accuracy = history.history["val_accuracy"][-1]
    print(f"\nChecks that passed: {passed} of {len(check.reports)}")
    print(f"Alerts in {len(stats.readings)} readings: {len(stats.alerts)}")
    print(f"NaN or infinity: {locator.finding or 'none'}")
    print(f"Accuracy on held-out digits: {accuracy:.1%}")
    # Beside the Python that runs this, whether or not its environment is active.
    tensorboard = Path(sys.executable).with_name("tensorboard")
    print(f"On the console:  {sys.executable} -m keras_gradwatch {log_dir}")
    print(f"To see it:  {tensorboard} --logdir {log_dir}")


if __name__ == "__main__":
    main()
