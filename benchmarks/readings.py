"""What a reading of `GradientStats` costs, in training steps.

    python benchmarks/readings.py [--models NAME ...] [--rounds N] [--clock cpu]

One reading, alone, with histograms, and with the part of the batch that each fourth one
reads, as a ratio to a training step of the same model and batch; and what comes before
the first, tracing, as a ratio to the first step. Medians over rounds, in each of which
everything runs once, in one process.
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


def reading(gauge: Any, batch: Any, with_part: bool = False) -> None:
    before = gauge.weights()
    gauge.with_update(gauge.gradients(0, batch, with_part), before, 1)


def measure(name: str, rounds: int, clock: Callable[[], float]) -> None:
    def timed(function: Callable[..., Any], *arguments: Any) -> float:
        started = clock()
        function(*arguments)
        return clock() - started

    model, x, y = models.MODELS[name]()

    def step() -> None:
        model.train_on_batch(x, y)

    first_step = timed(step)
    batch = batches.from_arrays(x, y)
    steps = Steps(model, of_any_size=True)
    gauges = {
        histograms: Gauge(
            steps, "freeze", steps.objectives("freeze", batch), histograms
        )
        for histograms in (False, True)
    }
    first = timed(reading, gauges[False], batch)
    reading(gauges[True], batch)
    kinds = [(gauges[False], False), (gauges[True], False), (gauges[False], True)]
    ratios: list[list[float]] = [[] for _ in kinds]
    for _ in range(rounds):
        once = timed(step)
        for found, (gauge, with_part) in zip(ratios, kinds, strict=True):
            found.append(timed(reading, gauge, batch, with_part) / once)
    medians = [statistics.median(found) for found in ratios]
    count = len(model.trainable_variables)
    print(
        f"{name:<24}{count:>10}{medians[0]:>10.2f}{medians[1]:>17.2f}"
        f"{medians[2]:>13.2f}{first / first_step:>9.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="*", default=list(models.MODELS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    chosen = parser.parse_args()
    clock = time.perf_counter if chosen.clock == "wall" else time.process_time
    print(
        f"{'model':<24}{'variables':>10}{'reading':>10}{'with histograms':>17}", end=""
    )
    print(f"{'with a part':>13}{'tracing':>9}")
    for name in chosen.models:
        measure(name, chosen.rounds, clock)


if __name__ == "__main__":
    main()
