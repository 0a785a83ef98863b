"""The losses of batches, from what a training logs after each step.

Keras logs a running mean, which begins anew with each epoch; a `train_step` of the
user's own may log each loss as it is. Which of these it is, and how much each batch
weighs in the mean, is read off the metric that keeps it: after the first steps, then
seldom, and after each only if batches turn out to differ in size.

Nothing waits for a step: Keras hands over its logs in another thread, if all callbacks
of a fit allow that. They are taken in at the next step, or at the end of the epoch.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.losses.own_loss import OwnLoss

logger = logging.getLogger("keras_gradwatch")

# How what is logged is to be read: not known yet; as it is; as a mean of batches that
# weigh alike, but for the last of an epoch; as one of batches that differ.
_UNKNOWN, _RAW, _ALIKE, _DIFFERENT = range(4)
# A mean, and the same from sum and count, both in float32.
_SAME = 1e-5
# After how many executions of an epoch metrics are read, while it is not known how, and
# whether batches are alike. Of 8 that differ, 2 hardly have the mean size of them all.
_READ_AT = (1, 2, 8, 64, 512)
# At first each loss is taken as it comes, lest one overflows before it is heard. Later
# several are taken together, which costs a third.
_EACH, _TOGETHER = 64, 8


class Heard(NamedTuple):
    """The loss of a batch.

    Args:
        name: As it is logged.
        value: The loss, NaN or infinite too.
        steps: How many steps it is the mean of.
        error: How far it may be off.
    """

    name: str
    value: float
    steps: int
    error: float


class LoggedLosses:
    """Collects what is logged, and gives the loss of each batch.

    Args:
        model: The model that trains.
        names: Which losses; None for `"loss"`, or where that is not logged all that end
            in "loss".
    """

    def __init__(self, model: keras.Model, names: Sequence[str] | None):
        self._model, self._names = model, names
        self._thread = threading.get_ident()
        self._is_async = False
        self._arrived: deque[tuple[int, Any]] = deque()
        self._due: deque[tuple[int, Any]] = deque()
        self._sources: list[_Source] | None = None
        # Of the present epoch: executions begun, and taken in; the last batch of these;
        # what metrics held after so many executions.
        self._begun = self._taken = 0
        self._last = -1
        self._asked = 0
        self._next_probe: float = 1
        self._probes: dict[int, dict[str, list[tuple[float, float]]]] = {}

    def begin_epoch(self) -> None:
        """Tells that running means begin anew."""
        self._arrived.clear()
        self._due.clear()
        self._begun = self._taken = 0
        self._last = -1
        self._probes.clear()
        for source in self._sources or ():
            source.own.begin()
        self._next_probe = self._when_to_read(0)

    def begin_step(self) -> bool:
        """Tells that a step begins, and all before it are done.

        Returns:
            Whether it is worth while to take what is known by now.
        """
        done = self._begun
        self._begun = done + 1
        if done >= self._next_probe:
            self._probe(done)
            self._next_probe = self._when_to_read(done)
        self._asked += 1
        return self._asked <= _EACH or not self._asked % _TOGETHER

    def end_steps(self) -> None:
        """Tells that the steps of an epoch are done, before metrics are used again."""
        if self._begun and self._begun not in self._probes:
            self._probe(self._begun)

    def end_step(self, batch: int, logs: Any) -> None:
        """Takes what was logged; in whichever thread.

        Args:
            batch: The number of the last batch.
            logs: What Keras hands to callbacks.
        """
        if not self._is_async and threading.get_ident() != self._thread:
            self._is_async = True
        self._arrived.append((batch, logs))

    def take(self, is_epoch_over: bool = False) -> list[Heard]:
        """The losses that are known by now, in the order of the steps.

        Args:
            is_epoch_over: Whether no further step belongs to the epoch.
        """
        if is_epoch_over:
            self.end_steps()
        due = self._due
        while self._arrived:
            due.append(self._arrived.popleft())
        if self._is_async and len(due) > 1:
            self._due = due = deque(sorted(due, key=lambda one: one[0]))
        size = self._model.steps_per_execution
        found: list[Heard] = []
        while due:
            batch, logs = due[0]
            is_next = not self._is_async or batch <= self._last + size
            if not (is_next or is_epoch_over):
                break
            due.popleft()
            steps = min(max(batch - self._last, 1), size)
            self._last = batch
            self._hear(logs, steps, is_epoch_over and not due, found)
        return found

    def _hear(self, logs, steps, is_last, found):
        if not isinstance(logs, dict) or not logs:
            return
        if self._sources is None:
            self._sources = [_Source(name) for name in self._wanted(logs)]
        self._taken += 1
        number = self._taken
        probe = self._probes.pop(number, {}) if self._probes else {}
        for source in self._sources:
            mean = logs.get(source.name)
            if type(mean) is not float:
                mean = _number(mean)
            if mean is None:
                continue
            if not math.isfinite(mean):
                found.append(Heard(source.name, mean, steps, 0.0))
                continue
            sums = probe.get(source.name) if probe else None
            value, error = source.take(number, steps, mean, sums, is_last)
            if source.differs:
                self._next_probe = 0
            found.append(Heard(source.name, value, steps, error))

    def _when_to_read(self, done):
        sources = self._sources
        if sources is not None and not any(s.asks for s in sources):
            return math.inf
        if sources is not None and any(s.differs for s in sources):
            return done + 1
        return next((count for count in _READ_AT if count > done), math.inf)

    def _wanted(self, logs):
        if self._names is not None:
            return list(self._names)
        return ["loss"] if "loss" in logs else [k for k in logs if k.endswith("loss")]

    def _probe(self, done):
        try:
            self._probes[done] = self._sums()
        except Exception:  # metrics of the user's own; what is logged is left then
            logger.debug("The metrics could not be read.", exc_info=True)

    def _sums(self):
        """Sum and count of each metric that may be a loss, by its name."""
        found: dict[str, list[tuple[float, float]]] = {}
        for metric in self._model.metrics:
            if not self._is_loss(metric.name):
                continue
            total = _number(getattr(metric, "total", None))
            count = _number(getattr(metric, "count", None))
            if total is not None and count is not None:
                found.setdefault(metric.name, []).append((total, count))
        return found

    def _is_loss(self, name):
        return name.endswith("loss") if self._names is None else name in self._names


class _Source:
    """How one loss is to be read."""

    def __init__(self, name):
        self.name, self.own = name, OwnLoss()
        self._kind, self._rank = _UNKNOWN, 0
        self._first: list[tuple[float, float]] = []
        self._each = 0.0  # weight of a step
        self._steps = 0
        self._is_sure = False

    @property
    def differs(self):
        """Whether its metric must be read after each step."""
        return self._kind == _DIFFERENT

    @property
    def asks(self):
        """Whether its metric should be read now and then."""
        return self._kind != _RAW and not (self._kind == _ALIKE and self._is_sure)

    def take(self, number, steps, mean, sums, is_last):
        """The loss itself, and how far it may be off."""
        if self._kind == _ALIKE and number > 1 and not sums:  # as nearly always
            self._steps += steps
            return self.own.take(mean, self._each * self._steps)
        if number == 1:
            self._steps, self._first = 0, sums or []
        self._steps += steps
        if self._kind == _UNKNOWN and number == 2 and sums:
            self._settle(steps, mean, sums, is_last)
        if self._kind in (_UNKNOWN, _RAW):
            if self._kind == _UNKNOWN and number > 2:
                self._kind = _RAW
            return self.own.take(mean, 0.0)
        weight = self._each * self._steps
        if sums and self._rank < len(sums) and _is_mean(sums[self._rank], mean):
            counted = sums[self._rank][1]
            if is_last:
                self._is_sure = self._is_sure or self._steps > 2
            elif abs(counted - weight) > _SAME * weight:
                self._kind = _DIFFERENT
            weight = counted
        return self.own.take(mean, weight)

    def _settle(self, steps, mean, sums, is_last):
        self._kind = _RAW
        for rank, ((_, before), now) in enumerate(zip(self._first, sums, strict=False)):
            count = now[1]
            # What is reset before each step, as by `train_on_batch`, is no sum.
            if not 0 < before < count or not _is_mean(now, mean):
                continue
            earlier = self._steps - steps
            self._kind, self._rank, self._each = _ALIKE, rank, before / earlier
            self.own.take(self._first[rank][0] / before, before)
            if not is_last and abs(count / before - self._steps / earlier) > _SAME:
                self._kind = _DIFFERENT
            return


def _is_mean(sums, mean):
    """Whether a metric is what was logged, not another or one that began anew."""
    total, count = sums
    return count > 0 and abs(total / count - mean) <= _SAME * abs(mean) + 1e-30


def _number(value):
    if isinstance(value, float):
        return value
    if value is None:
        return None
    try:
        array = tf.convert_to_tensor(value).numpy()
        return float(array if not array.shape else np.mean(array, dtype=np.float64))
    except (TypeError, ValueError):
        logger.debug("What was logged as a loss is no number.", exc_info=True)
        return None
