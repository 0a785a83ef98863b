"""What `LossWatch` costs, as a share of a training step, in one process.

    python benchmarks/losses.py

The time that its hooks take is summed up, in the very fits that it watches: a
difference of two fits would drown in their noise. It is that of the processor, and the
step is the median one, so that a busy machine is no matter. What Keras does to call a
hook is not in it; that is done for `History` and the progress bar too. What is done in
the first 72 steps, such as to find out how to read the logs, is summed up by itself.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import time

import keras
import numpy as np
from keras import layers

import keras_gradwatch as kgw

FIRST = 72


class Timed(kgw.LossWatch):
    """Keeps the time that its hooks take, and that of each step."""

    def __init__(self):
        super().__init__(verbose=0)
        self.begun, self.ended, self.steps, self.last = [], [], [], 0.0

    def on_train_batch_begin(self, batch, logs=None):
        now = time.perf_counter()
        self.steps.append(now - self.last)
        self.last = now
        start = time.thread_time()
        super().on_train_batch_begin(batch, logs)
        self.begun.append(time.thread_time() - start)

    def on_train_batch_end(self, batch, logs=None):
        start = time.thread_time()
        super().on_train_batch_end(batch, logs)
        self.ended.append(time.thread_time() - start)


def dense():
    inner = [layers.Dense(128, "relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((784,)), *inner]), (784,), 32


def convolutional():
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for filters in (32, 64, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        model.add(layers.BatchNormalization())
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    return model, (32, 32, 3), 32


def recurrent():
    inner = [layers.LSTM(64), layers.Dense(10)]
    return keras.Sequential([keras.Input((50, 32)), *inner]), (50, 32), 32


def mobile():
    model = keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None
    )
    return model, (96, 96, 3), 16


def main():
    print("| model | step, ms | `LossWatch`, microseconds | share | first steps, ms |")
    print("| --- | --- | --- | --- | --- |")
    for build, steps in (
        (dense, 1500),
        (convolutional, 600),
        (recurrent, 600),
        (mobile, 150),
    ):
        keras.utils.set_random_seed(0)
        model, shape, size = build()
        x = np.random.normal(size=(size * steps, *shape)).astype("float32")  # noqa: NPY002
        y = np.arange(len(x)) % 10
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        rate = keras.optimizers.schedules.CosineDecay(1e-3, 10_000)
        model.compile(keras.optimizers.Adam(rate), loss)
        watch = Timed()
        model.fit(x, y, batch_size=size, verbose=0, callbacks=[watch])
        step = np.median(watch.steps)
        once = sum(watch.begun[:FIRST] + watch.ended[:FIRST])
        cost = np.mean(watch.begun[FIRST:]) + np.mean(watch.ended[FIRST:])
        print(
            f"| {build.__name__} | {1e3 * step:.2f} | {1e6 * cost:.1f} | "
            f"{cost / step:.3%} | {1e3 * once:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
