"""Training on several machines: every worker takes the same decisions.

A worker that stops alone leaves the others waiting for it, for ever. So each
checks its own part of the batch, all tell each other what they found, and each
acts on all of it. They check before the same steps, since they count the same
optimizer iterations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import keras
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError, UncheckableError
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS

_WORST_FIRST = (FAIL, INCONCLUSIVE, PASS)


def agree(
    strategy: tf.distribute.Strategy,
    report: GradientReport | None,
    error: Exception | None,
) -> tuple[Any, Exception | None]:
    """What all workers found, the same for each of them.

    Args:
        strategy: The model's `tf.distribute` strategy.
        report: What this worker found, if it did.
        error: What went wrong here, if anything did.

    Returns:
        A tuple `(report, error)`: the worst report that there is, and an error if
        there was one anywhere.
    """
    if len(_tasks(strategy)) < 2:
        return report, error
    own = {
        "report": report and report.to_json(),
        "error": error and f"{type(error).__name__}: {error}",
    }
    everyone = [json.loads(text) for text in _exchange(strategy, json.dumps(own))]
    reports = [GradientReport.from_json(o["report"]) for o in everyone if o["report"]]
    report = worst(reports)
    errors = [other["error"] for other in everyone if other["error"]]
    if errors and error is None:
        error = UncheckableError(f"On another worker: {errors[0]}")
    return report, error


def worst(reports: Sequence[GradientReport]) -> GradientReport | None:
    """The worst of some reports: wrong, else severe, else what was not told.

    Args:
        reports: The reports.
    """

    def rank(one):
        return one.verdict != FAIL, not one.severe, _WORST_FIRST.index(one.verdict)

    return min(reports, key=rank, default=None)


def as_the_chief(strategy: tf.distribute.Strategy, alerts: list[Alert]) -> list[Alert]:
    """The alerts that the chief gives, for each worker to act on.

    Args:
        strategy: The model's `tf.distribute` strategy.
        alerts: Those of this worker, which saw another part of the batch.
    """
    if len(_tasks(strategy)) < 2:
        return alerts
    own = json.dumps([alert.to_json() for alert in alerts])
    chief, *_ = _exchange(strategy, own)
    return [Alert.from_json(text) for text in json.loads(chief)]


class _Writer(Protocol):
    def assert_writable(self) -> None: ...


def assert_writable(model: keras.Model, writer: _Writer | None) -> None:
    """Makes sure, before training, that the chief can write what will be found.

    Args:
        model: The model.
        writer: What writes; None if nothing does.

    Raises:
        InvalidArgumentError: If it can't; `UncheckableError` on the other workers.
    """
    if writer is None:
        return
    strategy, error = model.distribute_strategy, None
    if is_chief(strategy):
        try:
            writer.assert_writable()
        except InvalidArgumentError as found:
            error = found
    _, agreed = agree(strategy, None, error)
    if agreed is not None:
        raise agreed


def assert_one(model: keras.Model, what: str) -> None:
    """Makes sure, before training, that it is on one machine.

    Args:
        model: The model.
        what: What can be done on one alone.

    Raises:
        InvalidArgumentError: If it is on several.
    """
    if are_several(model):
        raise InvalidArgumentError(
            f"Argument {what} needs a training on one machine: each worker draws its "
            "own batches, and one that draws more of them leaves the others waiting. "
            f'Use "stop". Received: {len(_tasks(model.distribute_strategy))} workers'
        )


def are_several(model: keras.Model) -> bool:
    """Whether the model trains on several machines."""
    return len(_tasks(model.distribute_strategy)) > 1


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this worker is the one that prints and writes files."""
    tasks = _tasks(strategy)
    if len(tasks) < 2:
        return True
    resolver = strategy.cluster_resolver
    return (resolver.task_type, resolver.task_id) == tasks[0]


def _tasks(strategy):
    """The processes that train together, the chief first."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return []
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    return [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(cluster.get(kind, ())))
    ]


def _exchange(strategy, text):
    """The texts of all workers, as each of them gets to see them."""
    letters = list(text.encode())

    def gathered(numbers):
        own = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(numbers, tf.int32)
        )
        return strategy.gather(own, axis=0).numpy()

    lengths = gathered([len(letters)])
    ends = lengths.cumsum()
    flat = gathered(letters).astype("uint8").tobytes()
    return [
        flat[end - length : end].decode()
        for end, length in zip(ends, lengths, strict=True)
    ]
