"""What `NonFiniteLocator` costs in each training step while all is well.

    python benchmarks/nonfinite.py [--models NAME ...] [--steps N] [--rounds N]

For each model, `fit` runs in turn with and without the callback, in one process.
Printed are the lower quartile, and the median, of the time from one step's
beginning to the next one's over all fits, and their ratios (other programs disturb
the quartile less); and the parts of what the callback does: keeping the values,
measuring their sizes, drawing a batch and handing it on.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import models
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.callbacks import standing_iterator
from keras_gradwatch.nonfinite.watch import Watch

MODELS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "dense, 784-128-10": models.dense,
    "convolutional, batch norm": models.convolutional,
    "transformer block": models.transformer,
    "MobileNetV2": models.mobilenet_v2,
}


class Clock(keras.callbacks.Callback):
    """Seconds from the beginning of each step to that of the next."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.last: float | None = None

    def on_train_batch_begin(self, batch: Any, logs: Any = None) -> None:
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def seconds_of(
    model: Any, data: Any, steps: int, callbacks: Sequence[keras.callbacks.Callback]
) -> Any:
    """The times of the steps of one fit."""
    clock = Clock()
    model.fit(
        data,
        steps_per_epoch=steps,
        shuffle=False,
        verbose=0,
        callbacks=[clock, *callbacks],
    )
    return clock.seconds[2:]


def median(function: Callable[..., Any], times: int) -> Any:
    function()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        function()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def parts(model: Any, data: Any, times: int) -> Any:
    watch, iterator = Watch(model), iter(data)
    batch = next(iterator)
    return {
        "keep": median(watch.copy, times),
        "measure": median(watch.sizes, times),
        "draw": median(lambda: next(iterator), times),
        "hand on": median(
            lambda: next(standing_iterator.standing(model, iterator, [batch])), times
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for name in options.models:
        model, x, y = MODELS[name]()
        data = tf.data.Dataset.from_tensors((x, y)).repeat()
        steps = options.steps if name != "MobileNetV2" else max(options.steps // 10, 5)
        ways: dict[str, list[float]] = {"without": [], "with": []}
        for k in range(options.rounds + 1):
            for way, found in ways.items():
                callbacks = [kgw.NonFiniteLocator()] if way == "with" else []
                times = seconds_of(model, data, steps, callbacks)
                found += times if k else []
        (low, mid), (low_with, mid_with) = (
            statistics.quantiles(found, n=4)[:2] for found in ways.values()
        )
        pieces = ", ".join(
            f"{part} {1e3 * seconds:.2f}"
            for part, seconds in parts(model, data, steps).items()
        )
        print(
            f"{name}: {1e3 * low:.2f} ms a step, with it {1e3 * low_with:.2f} ms, "
            f"ratio {low_with / low:.2f}; medians {1e3 * mid:.2f} and "
            f"{1e3 * mid_with:.2f} ms, ratio {mid_with / mid:.2f} (ms: {pieces})",
            flush=True,
        )


if __name__ == "__main__":
    main()
