"""Nothing grows from check to check, or from fit to fit."""

import dataclasses
import gc
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tensorflow.python.framework.func_graph import FuncGraph

import keras_gradwatch as kgw
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from tests.support.tally import Tally

FEW_GRAPHS = 30


class Counted(layers.Layer):
    """Counts how often its code runs: in a compiled model, once for each trace."""

    runs = Tally()

    def call(self, x):
        Counted.runs.add()
        return x


def small_model():
    Counted.runs.count = 0
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, "tanh"), Counted(), layers.Dense(1)]
    )
    model.compile("sgd", "mse")
    return model


def figures():
    """Live graphs, threads, open files."""
    gc.collect()
    return {
        "graphs": sum(isinstance(thing, FuncGraph) for thing in gc.get_objects()),
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
    }


def megabytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Look(keras.callbacks.Callback):
    """Takes the figures now and then; the reports are dropped, since they add up."""

    def __init__(self, check):
        super().__init__()
        self.check, self.seen, self.verdicts = check, [], []

    def on_epoch_end(self, epoch, logs=None):
        self.verdicts += [r.verdict for r in self.check.reports]
        self.check.reports.clear()
        if epoch % 20 == 19:
            self.seen.append((figures(), Counted.runs.count, megabytes()))


@pytest.fixture
def data(rng):
    x = rng.normal(size=(40, 3)).astype("float32")
    return x, x[:, :1] ** 2


@pytest.mark.long
def test_a_thousand_checks_leave_nothing_behind(data, tmp_path):
    check = kgw.GradientCheck(
        tmp_path, warmup_steps=0, check_freq=1, samples=1, directions=1, verbose=0
    )
    look = Look(check)
    small_model().fit(
        *data, batch_size=4, epochs=100, verbose=0, callbacks=[check, look]
    )
    assert look.verdicts == ["PASS"] * 1000
    (first, runs, memory), *others = look.seen
    for counts, again, _ in others:
        # Graphs that pay for themselves after many checks are made late, a few of them.
        assert counts.pop("graphs") <= first["graphs"] + FEW_GRAPHS
        assert again <= runs + 1
        assert counts.items() <= first.items()
    assert others[-1][2] < memory + 10  # it has been less than 1


@pytest.mark.long
def test_a_batch_of_another_length_is_traced_once(data):
    check = kgw.GradientCheck(warmup_steps=0, check_freq=1, verbose=0)
    look = Look(check)
    small_model().fit(
        *data, batch_size=15, epochs=40, verbose=0, callbacks=[check, look]
    )
    assert look.verdicts == ["PASS"] * 120
    (first, runs, _), (last, again, _) = look.seen
    assert last.pop("graphs") <= first.pop("graphs") + FEW_GRAPHS
    assert last == first
    assert again <= runs + 2


@pytest.mark.long
def test_numbers_that_were_written_are_not_kept(data, tmp_path):
    model = small_model()
    model.fit(*data, verbose=0)
    report = kgw.check_gradients(model, *data)
    (one, *_) = report.variables

    def with_errors(errors):
        variables = tuple(
            dataclasses.replace(one, path=f"v{k}", relative_error=float(error))
            for k, error in enumerate(errors)
        )
        return dataclasses.replace(report, variables=variables)

    writer = ReportWriter(tmp_path)
    errors = np.random.default_rng(0).uniform(1e-9, 1e-3, size=(120, 200))
    for done, row in enumerate(errors):
        if done == 20:
            before = megabytes()
        writer.write(with_errors(row))
    writer.close()
    # 20,000 numbers; each used to stay, with half a kilobyte around it.
    assert megabytes() < before + 5


@pytest.mark.long
def test_fits_with_new_models_leave_no_more_behind_than_without_checks(data, tmp_path):
    # Keras itself keeps the graph of the training step of each model.
    def new():
        return kgw.GradientCheck(tmp_path, warmup_steps=0, check_freq=1, verbose=0)

    def growth(callbacks):
        seen = []
        for _ in range(4):
            small_model().fit(*data, batch_size=20, verbose=0, callbacks=callbacks())
            keras.utils.clear_session()
            seen.append(figures())
        return {name: seen[3][name] - seen[1][name] for name in seen[3]}

    without, one = growth(list), new()
    assert growth(lambda: [one]) == growth(lambda: [new()]) == without
    assert len(one.reports) == 8
