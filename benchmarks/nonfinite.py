"""What `NonFiniteLocator` costs in each training step while all is well.

    python benchmarks/nonfinite.py [--models NAME ...] [--steps N] [--rounds N]

For each model, `fit` runs in turn without the callback, with it, and with it ready to
leave batches out, in one process. Printed are the lower quartile, and the median, of
the time from one step's beginning to the next one's over all fits, and their ratios
(other programs disturb the quartile less); and the parts of what the callback does:
keeping the values, measuring their sizes, drawing a batch and handing it on.

    python benchmarks/nonfinite.py --memory

prints the peak of a fit of 32 million weights in each of these ways, in a process each,
in bytes a weight.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import models
import tensorflow as tf

import keras_gradwatch as kgw
from keras_gradwatch.callbacks import standing_iterator
from keras_gradwatch.nonfinite.watch import Keep, Watch

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
    watch, everything, iterator = Watch(model), Watch(model, Keep.ALL), iter(data)
    batch = next(iterator)
    return {
        "keep": median(watch.kept.copy, times),
        "keep all": median(everything.kept.copy, times),
        "measure": median(watch.sizes, times),
        "draw": median(lambda: next(iterator), times),
        "hand on": median(
            lambda: next(standing_iterator.standing(model, iterator, [batch])), times
        ),
    }


WAYS: dict[str, Callable[[], list[keras.callbacks.Callback]]] = {
    "without": list,
    "with it": lambda: [kgw.NonFiniteLocator()],
    "leaving out": lambda: [kgw.NonFiniteLocator(on_failure="skip")],
}


def steps_in_turn(name: str, steps: int, rounds: int) -> None:
    model, x, y = MODELS[name]()
    data = tf.data.Dataset.from_tensors((x, y)).repeat()
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for k in range(rounds + 1):
        for way, make in WAYS.items():
            times = seconds_of(model, data, steps, make())
            found[way] += times if k else []
    quartiles = {way: statistics.quantiles(v, n=4)[:2] for way, v in found.items()}
    low, middle = quartiles["without"]
    text = f"{name}: {1e3 * low:.2f} ms a step"
    for way in list(WAYS)[1:]:
        first, second = quartiles[way]
        text += f", {way} {1e3 * first:.2f} ms, ratio {first / low:.2f}"
        text += f" (medians: {second / middle:.2f})"
    pieces = (f"{p} {1e3 * t:.2f}" for p, t in parts(model, data, steps).items())
    print(f"{text} (ms: {', '.join(pieces)})", flush=True)


def one_peak(way: str, optimizer: str) -> None:
    """The peak of this process, in bytes a weight, for one way."""
    layers = [keras.layers.Dense(2000, use_bias=False) for _ in range(8)]
    model = keras.Sequential([keras.Input((2000,)), *layers])
    model.compile(optimizer, "mse", jit_compile=False)
    x = tf.random.normal((64, 2000))
    model.fit(x, x, batch_size=8, epochs=2, verbose=0, callbacks=WAYS[way]())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(peak / model.count_params())


def memory() -> None:
    for optimizer in ("sgd", "adam"):
        for way in WAYS:
            command = [sys.executable, __file__, "--peak", way, optimizer]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{optimizer}, {way}: {float(done.stdout):.1f} bytes a weight")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", nargs=2)
    options = parser.parse_args()
    if options.peak:
        one_peak(*options.peak)
    elif options.memory:
        memory()
    else:
        for name in options.models:
            steps = options.steps
            if name == "MobileNetV2":
                steps = max(steps // 10, 5)
            steps_in_turn(name, steps, options.rounds)


if __name__ == "__main__":
    main()
