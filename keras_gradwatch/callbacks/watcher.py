"""What the callbacks have in common: when to look, at what, and how to fail."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable
from typing import Any

import keras

from keras_gradwatch.arguments import assert_manners, refuse
from keras_gradwatch.callbacks import desk, standing_iterator
from keras_gradwatch.callbacks.member import Member
from keras_gradwatch.callbacks.next_batch import show_next_batch, take_back
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.callbacks.schedule import Schedule
from keras_gradwatch.callbacks.telling import Telling
from keras_gradwatch.errors import GradwatchWarning
from keras_gradwatch.findings.clues import NO_TIME, WARMING_UP
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.model import has_weights
from keras_gradwatch.framework.optimizers import iterations

logger = logging.getLogger("keras_gradwatch")


class Watcher(Member, abc.ABC):
    """Looks at a model before some of its training steps.

    Args:
        what: What a look is called in messages.
        warmup_steps: Optimizer iterations before the first look.
        check_freq: `"epoch"`, or every so many iterations.
        data: `(x, y)` or `(x, y, sample_weight)` to look at each time. If None,
            the batch that is about to be trained on.
        on_failure: `"warn"`, `"stop"` or `"raise"`.
        verbose: 0, 1 or 2.
        on_finding: Called with each finding.
        log_metrics: Whether figures go into the logs of an epoch.
    """

    def __init__(
        self,
        what,
        warmup_steps,
        check_freq,
        data,
        on_failure,
        verbose,
        on_finding,
        log_metrics,
    ):
        super().__init__()
        assert_manners(on_failure, verbose)
        self.on_failure = on_failure
        self.verbose = verbose
        self._what = what
        self._telling = Telling(on_finding, log_metrics)
        self._schedule = Schedule(warmup_steps, check_freq)
        self._data = None if data is None else _fixed_batch(data)
        self._looks = 0
        self._is_built = False
        # The step after which another callback asks for a look; None if none does.
        self._summons: int | None = None
        # Whether the present look is one that was asked for.
        self._is_summoned = False
        self._said: set[tuple[str, str]] = set()  # what broke in this fit
        self._batch = 0

    @abc.abstractmethod
    def look(self, batch: Callable) -> None:
        """Does what is due.

        Args:
            batch: Gives the batch, nested tensors; it may raise.
        """

    def summon(self, step: int) -> str:
        if step + 1 < self._schedule.warmup_steps:
            return WARMING_UP
        if not self.affords_another():
            return NO_TIME
        self._summons = step
        return ""

    def affords_another(self) -> bool:
        """Whether there is time for a look that is not due by itself."""
        return True

    def put_off(self) -> bool:
        """Puts off what may be due, if it should wait; whether it was put off."""
        return False

    def set_model(self, model: keras.Model) -> None:
        self._take_back()
        self._is_built = False
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._take_back()
        self._looks = 0
        self._epoch = None
        self._said.clear()
        self._summons = None
        self._schedule.begin_epoch()
        desk.join(self)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._schedule.begin_epoch()

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._take_back()
        self._batch = batch
        after = self._summons
        self._is_summoned = after is not None and iterations(self.model) > after
        # The cheapest questions first: of a small model, a step takes a millisecond.
        if not self._is_summoned and (self._schedule.is_served or self.put_off()):
            return
        # A model that `fit` itself builds has no weights before its first step.
        self._is_built = self._is_built or has_weights(self.model)
        if not self._is_built:
            return
        is_due = self._schedule.is_due(iterations(self.model))
        if not (is_due or self._is_summoned):
            return
        if self._data is not None:
            self._look(lambda: self._data)
        else:
            show_next_batch(self.model, self._look_live)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._take_back()
        standing_iterator.forget(self.model)
        if not self._looks:
            warn(self._none_ran(), GradwatchWarning)

    def _none_ran(self):
        steps = iterations(self.model)
        due = self._schedule.describe()
        if getattr(self.model, "stop_training", False):
            # By a callback, which has said why.
            return (
                f"No {self._what} ran: training was stopped after {steps} optimizer "
                f"iterations, and {due}. With a lower `warmup_steps` or `check_freq` "
                "there is one before that."
            )
        return (
            f"No {self._what} ran: training ended after {steps} optimizer iterations, "
            f"and {due}. Train longer, or lower `warmup_steps` or `check_freq`. In a "
            "loop of your own that calls neither `fit` nor `train_on_batch`, pass a "
            "batch to check on as `data`."
        )

    def broke(self, error: Exception) -> None:
        """Says that a look could not be done, once a fit; training goes on.

        Args:
            error: What went wrong; raised if the user asked for that.
        """
        if self.on_failure == "raise":
            desk.conclude(self)
            raise error
        self._warn_once(f"A {self._what} could not be made", "training goes on", error)

    def not_written(self, error: Exception) -> None:
        """Says that what was found could not be written, once a fit.

        Args:
            error: What went wrong.
        """
        then = "what it found is told here alone"
        self._warn_once(f"A {self._what} could not be written", then, error)

    def _warn_once(self, what, then, error):
        why = f"{type(error).__name__}: {error}"
        if (what, why) in self._said:
            return
        self._said.add((what, why))
        step = iterations(self.model)
        warn(f"{what} at step {step}; {then}. {why}", GradwatchWarning)

    def _take_back(self):
        """Leaves the model as it was, where a step that was due never came."""
        if self.model is not None:
            take_back(self.model, self._look_live)

    def _look_live(self, data):
        if data is None:  # of an unknown number of batches, the last was the last
            return
        strategy = self.model.distribute_strategy
        self._look(lambda: batches.from_live(data, strategy))

    def _look(self, batch):
        self._looks += 1
        self._schedule.done()
        if self._is_summoned:
            self._summons = None
        self.look(batch)


def attempt(work: Callable) -> tuple:
    """What came out, or None, and what went wrong, or None."""
    try:
        return work(), None
    except Exception as error:  # handed to `broke`: training goes on
        logger.debug("A callback's work was broken off.", exc_info=True)
        return None, error


def _fixed_batch(data):
    if not isinstance(data, tuple | list) or len(data) not in (1, 2, 3):
        refuse("data", "a tuple (x, y) or (x, y, sample_weight)", data)
    return batches.from_arrays(*data)
