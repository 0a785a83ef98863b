"""What a reading of `GradientStats` costs, in training steps.

    python benchmarks/readings.py [--models NAME ...] [--rounds N]

One reading, with and without histograms, as a ratio to a training step of the same
model and batch; and what comes before the first, tracing, as a ratio to the first
step. Medians over rounds, in each of which everything runs once, in one process.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import models

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.stats.gauge import Gauge


def timed(function: Callable[..., Any], *arguments: Any) -> Any:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def reading(gauge: Any, batch: Any) -> None:
    before = gauge.weights()
    gauge.with_update(gauge.gradients(0, batch), before, 1)


def measure(name: str, rounds: int) -> None:
    model, x, y = models.MODELS[name]()

    def step() -> None:
        model.train_on_batch(x, y)

    first_step = timed(step)
    batch = batches.from_arrays(x, y)
    steps = Steps(model)
    gauges = {
        histograms: Gauge(
            steps, "freeze", steps.objectives("freeze", batch), histograms
        )
        for histograms in (False, True)
    }
    first = timed(reading, gauges[False], batch)
    reading(gauges[True], batch)
    ratios: dict[bool, list[float]] = {histograms: [] for histograms in gauges}
    for _ in range(rounds):
        once = timed(step)
        for histograms, gauge in gauges.items():
            ratios[histograms].append(timed(reading, gauge, batch) / once)
    medians = [statistics.median(found) for found in ratios.values()]
    count = len(model.trainable_variables)
    print(
        f"{name:<24}{count:>10}{medians[0]:>10.2f}{medians[1]:>17.2f}"
        f"{first / first_step:>9.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="*", default=list(models.MODELS))
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    print(
        f"{'model':<24}{'variables':>10}{'reading':>10}{'with histograms':>17}", end=""
    )
    print(f"{'tracing':>9}")
    for name in chosen.models:
        measure(name, chosen.rounds)


if __name__ == "__main__":
    main()
