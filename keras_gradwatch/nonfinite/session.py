"""One training that is watched: before a step, after a step, and what was found."""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.keras_internals import has_default_train_step
from keras_gradwatch.framework.model import has_weights, read_variable
from keras_gradwatch.framework.optimizers import iterations, optimizers
from keras_gradwatch.nonfinite.failure import Failure, Seen
from keras_gradwatch.nonfinite.lasting import lasting
from keras_gradwatch.nonfinite.locate import Located, locate, not_replayed
from keras_gradwatch.nonfinite.logs import learning_rate, losses_of
from keras_gradwatch.nonfinite.marks import is_finite
from keras_gradwatch.nonfinite.outcomes import left_as_it_is
from keras_gradwatch.nonfinite.trend import Trend
from keras_gradwatch.nonfinite.undo import AsPython, born, undo
from keras_gradwatch.nonfinite.watch import Keep, Watch, slots_that_tell
from keras_gradwatch.replica.steps import Steps

logger = logging.getLogger("keras_gradwatch")


class Phase(enum.Enum):
    """How far the watching of a training has come."""

    READY = "nothing is under way, or a step of which all is held"
    AWAITING = "a step has begun that was not shown yet"
    OVER = "something was found, or given up: nothing more is looked at"


@dataclass(frozen=True)
class Held:
    """What is held while a step runs.

    Args:
        step: Optimizer iterations before it.
        values: Of the model's variables before it, by their ids.
        data: What the steps of the call are handed.
        python: What the code of a step that runs as Python may change, if it is to be
            put back.
    """

    step: int
    values: dict[int, tf.Tensor]
    data: Sequence[Any]
    python: AsPython | None = None


@dataclass(frozen=True)
class Harmless:
    """A loss that was logged, is not finite, and does no harm.

    Args:
        step: Optimizer iterations before the step.
        seen: What was seen.
    """

    step: int
    seen: Seen


@dataclass(frozen=True)
class AmongSeveral:
    """One of the steps that Keras took at once is not finite, if they can be undone.

    Args:
        step: Optimizer iterations before the first of them.
        seen: What was seen after the last.
    """

    step: int
    seen: Seen


class Session:
    """Watches one training, until something in it is not finite.

    For each step `begin_step` tells whether to look at it. If so, `before_step` is
    shown what the step is handed and returns what must be held while it runs, and
    `after_step` takes that back and returns what was found. In a loop of the
    user's own nobody shows a step: it is looked at afterwards all the same, but
    can't be replayed.

    Args:
        model: The model.
        check_freq: At every how many steps to look.
        heeds_losses: Whether a logged loss that is not finite counts.
        undoes: Whether all is held that it takes to undo a step, see `undo`. It goes
            on then where else it is over.
    """

    def __init__(
        self,
        model: keras.Model,
        check_freq: int,
        heeds_losses: bool = True,
        undoes: bool = False,
    ):
        self._model = model
        self._check_freq = check_freq
        self._heeds_losses = heeds_losses
        self._undoes = undoes
        self._harmless: set[str] = set()  # losses that may be what they like
        self._steps_kept: Steps | None = None  # for all failures of a fit
        self._trend = Trend()
        self._phase = Phase.READY
        self._steps = 0
        # Made anew where the model has got other variables.
        self._watch: Watch | None = None
        # Of a step that is shown, the copy of its variables tells for nothing how many
        # were before it. They are counted only where the last one was not shown.
        self._was_shown = False
        self._iterations = 0

    @property
    def is_awaiting(self) -> bool:
        """Whether a step has begun that is to be looked at, and was not shown yet."""
        return self._phase is Phase.AWAITING

    def begin_epoch(self) -> None:
        """Goes on watching if all is finite again, after it was mended."""
        if self._watch is None:
            return
        if self._is_outdated(self._watch):
            self._watch = None
        elif self._phase is Phase.OVER and self._is_finite(self._watch):
            self._phase = Phase.READY

    def begin_step(self) -> bool:
        """Tells that a step begins; whether it is to be looked at."""
        self._steps += 1
        if self._phase is Phase.OVER:
            return False
        is_due = (self._steps - 1) % self._check_freq == 0
        self._phase = Phase.AWAITING if is_due else Phase.READY
        if is_due and (self._watch is None or not self._was_shown):
            self._iterations = iterations(self._model)
        return is_due

    def before_step(self, data: Sequence[Any]) -> Held | None:
        """What is to be held while a step runs.

        Args:
            data: What the steps of the call are handed; empty at the end of the data.

        Returns:
            A `Held`, or None if there is no step, or there are no weights before it.
        """
        self._phase = Phase.READY
        if not data or (self._watch is None and not has_weights(self._model)):
            return None
        watch = self._watch = self._watch or self._begin()
        values = watch.kept.copy()
        python = None
        if self._undoes and self._model.run_eagerly:
            python = AsPython(self._model)
        return Held(watch.step(values), values, data, python)

    def after_step(
        self, held: Held | None, logs: Any
    ) -> Located | Harmless | AmongSeveral | None:
        """What is found after a step.

        Args:
            held: What `before_step` returned; None if the step was not shown.
            logs: What the step logged.

        Returns:
            None if all is well.
        """
        self._was_shown = held is not None
        if self._phase is Phase.OVER:
            return None
        self._phase = Phase.READY
        step = self._iterations if held is None else held.step
        is_first_look = self._watch is None
        if is_first_look and not has_weights(self._model):
            return None
        watch = self._watch = self._watch or Watch(self._model)  # made in that step
        seen = self._look(watch, step, logs, is_first_look)
        if seen.is_well:
            if self._steps == 1 and self._is_outdated(watch):
                self._watch = None  # an optimizer made its variables in that step
            return None
        if self._undoes and held is not None and len(held.data) > 1:
            return AmongSeveral(step, seen)
        self._phase = Phase.OVER
        found = self._located(watch, step, held, seen)
        if self._undoes and isinstance(found, Harmless):
            self._harmless.update(seen.losses)
            self._phase = Phase.READY
        return found

    def undo(self, held: Held) -> str:
        """Puts everything back that a step wrote, and goes on.

        Args:
            held: What `before_step` returned.

        Returns:
            What can't be put back, in words; empty if there is nothing.
        """
        watch = self._watch
        assert watch is not None
        variables = undo(self._model, watch.kept, held.values)
        streams = [] if held.python is None else held.python.undo()
        self._trend.forget(held.step)
        self._phase = Phase.READY
        batch = batches.from_live(held.data[0], self._model.distribute_strategy)
        try:
            rest = lasting(self._model, batch, watch.kept.variables)
        except Exception:  # of a graph with operations of somebody's own
            logger.debug("A trace can't be looked through.", exc_info=True)
            rest = None
        if born(self._model, watch.kept):
            self._watch = None
        return left_as_it_is(variables, streams, rest)

    def give_up(self) -> None:
        """Looks at nothing more."""
        self._phase = Phase.OVER

    def _is_outdated(self, watch: Watch) -> bool:
        """Whether there may be more to watch by now, or to keep."""
        if not watch.is_of(self._model):
            return True
        return self._undoes and bool(born(self._model, watch.kept))

    def _is_finite(self, watch: Watch) -> bool:
        return not watch.not_finite(watch.sizes())

    def _begin(self) -> Watch:
        several = self._model.steps_per_execution > 1
        keep = Keep.WEIGHTS
        if self._undoes:
            keep = Keep.ALL
        elif several or len(optimizers(self._model)) > 1:
            keep = Keep.SLOTS
        watch = Watch(self._model, keep)
        sizes = watch.sizes()
        trained = {id(v) for v in watch.weights}
        # A mask of -inf that a layer keeps is as it should be.
        watch.accept([v for v in watch.not_finite(sizes) if id(v) not in trained])
        self._trend.note_size(iterations(self._model), watch.scale(sizes))
        return watch

    def _look(self, watch: Watch, step: int, logs: Any, is_first_look: bool) -> Seen:
        sizes, losses = watch.sizes(), losses_of(self._model, logs)
        bad = watch.not_finite(sizes)
        bad_losses = {}
        if self._heeds_losses:
            heeded = {n: v for n, v in losses.items() if n not in self._harmless}
            bad_losses = {n: v for n, v in heeded.items() if not math.isfinite(v)}
        if is_first_look and not bad_losses and self._is_harmless(watch, bad):
            watch.accept(bad)
            bad = []
        if self._steps == 1 and not bad:
            bad = self._not_finite_at_birth(watch)
        self._trend.note_size(step + 1, watch.scale(sizes))
        self._trend.note_losses(step, losses)
        return Seen(bad_losses, bad)

    def _is_harmless(self, watch: Watch, bad: Sequence[keras.Variable]) -> bool:
        """Whether it may have been so from the start, and has spoilt no weight."""
        slots = slots_that_tell(self._model, of_keras=True)
        telling = {id(v) for v in [*watch.weights, *slots]}
        return not any(id(v) in telling for v in bad)

    def _not_finite_at_birth(self, watch: Watch) -> list[keras.Variable]:
        """What an optimizer made in its first step, and is not finite since."""
        known = {id(v) for v in watch.watched}
        return [
            v
            for v in slots_that_tell(self._model, of_keras=True)
            if id(v) not in known and not is_finite(read_variable(v))
        ]

    def _located(
        self, watch: Watch, step: int, held: Held | None, seen: Seen
    ) -> Located | Harmless:
        sizes = self._trend.sizes()
        failure = Failure(
            step=step,
            seen=seen,
            watched=watch.expected(),
            # Of several losses, the one that fails.
            history=self._trend.losses(next(iter(seen.losses), "")),
            growth=sizes[:-1] if seen.variables else sizes,
            rate=learning_rate(self._model),
            check_freq=self._check_freq,
        )
        if held is None:
            return not_replayed(failure)
        located = self._replayed(held, failure)
        # A step of the user's own may log what it likes.
        of_users = not has_default_train_step(self._model)
        if of_users and not seen.variables and not located.finding.replayed:
            return Harmless(step, seen)
        return located

    def _replayed(self, held: Held, failure: Failure) -> Located:
        """What a replay shows; of a batch on several devices, of each part in turn."""
        if self._undoes:  # there may be more to come, and the trace tells what lasts
            self._steps_kept = Steps.shared(self._model)
        strategy = self._model.distribute_strategy
        devices = batches.count_of_parts(held.data[0], strategy)
        for device in range(devices):
            located = locate(
                self._model,
                dataclasses.replace(
                    failure,
                    values=held.values,
                    batches=[batches.from_live(d, strategy, device) for d in held.data],
                    device=device,
                    devices=devices,
                ),
            )
            if located.finding.replayed:
                break
        return located
