"""What a thousand checks in one fit leave behind: memory, graphs, threads, files.

    python benchmarks/thousand_checks.py [--checks N] [--keep-reports]

Prints the figures before the first check of a fit and after every so many of
them. Only the first ones may grow: they trace. The memory is the resident set
of this process, as Linux tells it; training without checks comes first, so that
what training itself takes is known. The reports, about 17 kB each for this model, are
what a check is made for; they are dropped here unless they are asked for.
"""

import argparse
import gc
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import keras_gradwatch as kgw

BATCH = 16
ROWS = 10


def small_model() -> Any:
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def figures() -> Any:
    """Resident memory in MB, live graphs, threads and open files."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    graphs = sum(isinstance(thing, FuncGraph) for thing in gc.get_objects())
    return (
        pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        graphs,
        len(os.listdir("/proc/self/task")),
        len(os.listdir("/proc/self/fd")),
    )


class Rows(keras.callbacks.Callback):
    """Prints the figures at the end of some epochs."""

    def __init__(self, every: Any, check: Any = None, keep: bool = False):
        super().__init__()
        self.every, self.check, self.keep = every, check, keep
        self.verdicts: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.check is not None:
            new = self.check.reports[len(self.verdicts) if self.keep else 0 :]
            self.verdicts += [report.verdict for report in new]
            if not self.keep:
                self.check.reports.clear()
        if epoch % self.every == 0:
            done = len(self.verdicts)
            memory, *rest = figures()
            print(f"{done:>6} {memory:>9.1f}", *(f"{n:>7}" for n in rest), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checks", type=int, default=1000)
    parser.add_argument("--keep-reports", action="store_true")
    arguments = parser.parse_args()
    checks = arguments.checks
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * 10, 12)).astype("float32")
    y = rng.integers(0, 4, len(x))
    model, epochs = small_model(), checks // 10
    every = max(1, epochs // ROWS)
    print(f"{'checks':>6} {'RSS / MB':>9} {'graphs':>7} {'threads':>7} {'files':>7}")
    options = {"batch_size": BATCH, "epochs": epochs, "verbose": 0}
    model.fit(x, y, callbacks=[Rows(every)], **options)
    with tempfile.TemporaryDirectory() as log_dir:
        check = kgw.GradientCheck(log_dir, warmup_steps=0, check_freq=1, verbose=0)
        rows = Rows(every, check, arguments.keep_reports)
        model.fit(x, y, callbacks=[check, rows], **options)
    print(f"verdicts: {sorted(set(rows.verdicts))}")


if __name__ == "__main__":
    main()
