"""Whole fits, with and without `GradientCheck`, that take turns by the epoch.

    python benchmarks/fits.py [--only FIT ...] [--epochs N] [--all]

With `--all`, the other three callbacks stand beside it in the same fit.

What else a machine does makes one of two equal fits longer by a quarter. So three
fits of equal models run at once, one callback in one of them and none in two, and
each waits while another has its epoch: a slow minute is one for all of them. All
three compute the very same, and the ratio of the two without callback tells how far
the other ratio can be trusted. Ratios of the time of the processors leave out when
these worked for others.
"""

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import models

import keras_gradwatch as kgw
from keras_gradwatch.callbacks.allowance import Allowance
from keras_gradwatch.check.checker import GradientChecker


class Turn(keras.callbacks.Callback):
    """Runs a fit only while it is its turn, and times that.

    Attributes:
        seconds: How long it has run by now.
        cpu_seconds: How much of the processors it has used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = self.cpu_seconds = 0.0
        self.next = self
        self.may_go = threading.Semaphore(0)
        self._since: float | None = None
        self._cpu_since = 0.0

    def take(self) -> None:
        self.may_go.acquire()
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def give(self) -> None:
        self.seconds, self._since = self.now(), None
        self.cpu_seconds += time.process_time() - self._cpu_since
        self.next.may_go.release()

    def now(self) -> Any:
        """A clock that stands still while others have their turn."""
        if self._since is None:
            return self.seconds
        return self.seconds + time.perf_counter() - self._since

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.give()
        self.take()


class Check(kgw.GradientCheck):
    """Counts only the time of its own fit as time of training."""

    def __init__(self, turn: Turn):
        super().__init__(verbose=0)
        self._turn = turn

    def _begin(self) -> GradientChecker:
        checker = super()._begin()
        self._allowance = Allowance(self._turn.now)
        return checker


def side_by_side(build: Callable[[], Any], epochs: int, with_all: bool = False) -> Any:
    """A fit with the callback, two without: the time of each; and the callback."""
    turns = [Turn() for _ in range(3)]
    for turn, following in zip(turns, turns[1:] + turns[:1], strict=True):
        turn.next = following
    check = Check(turns[0])
    others = (kgw.GradientStats, kgw.NonFiniteLocator, kgw.LossWatch)
    watchers = [check, *(other(verbose=0) for other in others if with_all)]

    def prepared(callbacks: Sequence[keras.callbacks.Callback]) -> Any:
        keras.utils.set_random_seed(0)
        model, x, y = build()
        model.fit(x, y, epochs=1, verbose=0)
        # In the same order, so that all three compute the very same.
        options = {"epochs": epochs, "verbose": 0, "shuffle": False}
        return lambda: model.fit(x, y, callbacks=callbacks, **options)

    fits = [prepared([turns[0], *watchers]), *(prepared([turn]) for turn in turns[1:])]

    def run(turn: Turn, fit: Any) -> None:
        turn.take()
        try:
            fit()
        finally:
            turn.give()

    threads = [
        threading.Thread(target=run, args=pair)
        for pair in zip(turns, fits, strict=True)
    ]
    for thread in threads:
        thread.start()
    turns[0].may_go.release()  # it has the first turn
    for thread in threads:
        thread.join()
    return turns, check


def digits() -> Any:
    from sklearn.datasets import load_digits

    found = load_digits()
    model, _, _ = models.convolutional(shape=(8, 8, 1))
    return model, found.images[..., None].astype("float32") / 16, found.target


def mobilenet_v2() -> Any:
    model, _, _ = models.mobilenet_v2()
    return model, models.numbers(640, 96, 96, 3), models.RNG.integers(0, 10, 640)


# Long enough for tracing to be paid off.
FITS = {"digits": (digits, 200), "MobileNetV2": (mobilenet_v2, 120)}


def table(
    names: Iterable[str] = FITS, epochs: int | None = None, with_all: bool = False
) -> None:
    print("\nA fit with the callback at its defaults, as a ratio to fits without")
    print(
        f"{'model':<14}{'epochs':>8}{'without':>10}{'with':>8}{'two without':>13}"
        f"{'CPU: with':>11}{'two without':>13}{'checks':>8}{'in checks':>11}"
        f"{'the first':>11}  verdicts"
    )
    for name in names:
        build, usual = FITS[name]
        turns, check = side_by_side(build, epochs or usual, with_all)
        plain, ratio, spread = compared([turn.seconds for turn in turns])
        _, cpu_ratio, cpu_spread = compared([turn.cpu_seconds for turn in turns])
        inside = sum(r.seconds for r in check.reports)
        print(
            f"{name:<14}{epochs or usual:>8}{plain:>8.0f} s{ratio:>8.3f}{spread:>13.3f}"
            f"{cpu_ratio:>11.3f}{cpu_spread:>13.3f}{len(check.reports):>8}"
            f"{inside / plain:>11.1%}{check.reports[0].seconds:>9.1f} s  "
            + ", ".join(sorted({r.verdict for r in check.reports})),
            flush=True,
        )


def compared(seconds: Any) -> Any:
    """Of the two without, the mean; with as a ratio to it; the ratio of the two."""
    watched, *others = seconds
    plain = sum(others) / len(others)
    return plain, watched / plain, max(others) / min(others)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=FITS, default=list(FITS))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    table(arguments.only, arguments.epochs, arguments.all)


if __name__ == "__main__":
    main()
