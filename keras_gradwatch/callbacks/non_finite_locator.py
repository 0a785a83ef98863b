"""`NonFiniteLocator`: says where the first NaN or infinity came from."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable
from typing import Any

import keras

from keras_gradwatch import files
from keras_gradwatch.arguments import assert_manners, is_count, refuse
from keras_gradwatch.callbacks import desk, standing_iterator, workers
from keras_gradwatch.callbacks.console import line_break, say
from keras_gradwatch.callbacks.ending import end_training
from keras_gradwatch.callbacks.leaving_out import LeavingOut
from keras_gradwatch.callbacks.member import Member
from keras_gradwatch.callbacks.next_batch import Undone, take_back, watch_next_call
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.callbacks.telling import Telling, write
from keras_gradwatch.callbacks.watcher import attempt
from keras_gradwatch.errors import GradwatchWarning, NonFiniteWarning
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.nonfinite import WEIGHT, NonFinite
from keras_gradwatch.findings.raised import NonFiniteError
from keras_gradwatch.findings.several import Several
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.nonfinite import outcomes, words
from keras_gradwatch.nonfinite.locate import Located
from keras_gradwatch.nonfinite.saved import save_failure
from keras_gradwatch.nonfinite.session import AmongSeveral, Harmless, Held, Session
from keras_gradwatch.nonfinite.undo import metrics_now
from keras_gradwatch.tensorboard.alert_writer import AlertWriter

logger = logging.getLogger("keras_gradwatch")

SKIP = "skip"


class NonFiniteLocator(Member):
    """Says where the first NaN or infinity of a training came from.

    After each step it looks whether the loss and all weights are finite. After
    the first step where something is not, it runs that step again on a copy, with
    the same weights, batch and random draws, and finds the first layer in the
    forward pass, or the first one in the backward pass, that made it, the entries,
    and the example of the batch that is to blame. Training is left as it is.

    Example:

    ```python
    check = kgw.NonFiniteLocator(save_dir="failed")
    model.fit(x, y, epochs=20, callbacks=[check])
    print(check.finding)
    ```

    Args:
        log_dir: Directory for TensorBoard, as of `GradientCheck`: what is found is
            an alert in its tab. Nothing is written if None.
        check_freq: Looks at every so many steps. Between these a NaN goes
            unnoticed, and a later look can only say in which weights it is.
        save_dir: Directory where the batch and the weights before the step are
            saved; `load_failure` reads them. If None, `nonfinite` in `log_dir`, if
            there is one.
        on_failure: `"warn"` issues a `NonFiniteWarning`, `"stop"` also ends
            training after the step, `"raise"` raises `NonFiniteError` out of `fit`.
            So does `"stop"` beside `keras.callbacks.BackupAndRestore`, which would
            delete its backup if `fit` just ended. `"skip"` undoes the step and leaves
            its batch out: weights, slots of optimizers, metrics and random streams go
            on as if it had not been in the data, and the next batch takes its place.
            What can't be put back is named (`finding.notes`).
        max_skips: With `"skip"`, how many batches of an epoch may be left out; at one
            more, training ends as with `"stop"`, with weights as before that step. A
            bad example comes back once an epoch, however long training is, so epochs
            are counted by themselves; a training that breaks fails at each step from
            then on, and gets no further than this.
        on_finding: Called with each `NonFinite` and `Incident`, as data. An error in it
            is warned of once. Of several workers, on the chief only.
        log_metrics: Whether to add figures to the logs of an epoch, for `History`,
            `CSVLogger` and other callbacks after this one: `"nonfinite"`, how many
            findings there were so far, and with `on_failure="skip"` `"left_out"`, how
            many batches were left out.
        verbose: 0 prints nothing, 1 a line where something is found.

    Attributes:
        finding: The first `NonFinite` that was found, or None.
        findings: All of them: one at most in an epoch, but for batches left out.
        incidents: An `Incident` for each story that it told with other callbacks.

    Raises:
        InvalidArgumentError: If an argument is wrong; at the beginning of `fit`, if
            nothing can be written to `log_dir`, or if batches are to be left out of a
            training on several machines.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        *,
        check_freq: int = 1,
        save_dir: str | os.PathLike[str] | None = None,
        on_failure: str = "stop",
        max_skips: int = 10,
        on_finding: Callable[[NonFinite | Incident], object] | None = None,
        log_metrics: bool = False,
        verbose: int = 1,
    ):
        super().__init__()
        if not is_count(check_freq) or check_freq < 1:
            refuse("check_freq", "an integer, 1 or more", check_freq)
        assert_manners(on_failure, verbose, loudest=1, more=(SKIP,))
        if not is_count(max_skips) or max_skips < 1:
            refuse("max_skips", "an integer, 1 or more", max_skips)
        if on_failure == SKIP and check_freq != 1:
            # The step that failed may be some steps back: to undo those that were
            # right as well would lose good batches, and what is told would be vague.
            what = 'an integer that is 1 with on_failure="skip"'
            refuse("check_freq", what, check_freq)
        if save_dir is None and log_dir is not None:
            save_dir = files.join(log_dir, "nonfinite")
        self.save_dir = save_dir
        self.check_freq = check_freq
        self.on_failure = on_failure
        self.verbose = verbose
        self.findings: list[NonFinite] = Several()
        self._telling = Telling(on_finding, log_metrics)
        self._log_dir = log_dir
        self._writer = None if log_dir is None else AlertWriter(log_dir)
        self._session: Session | None = None
        self._held: Held | None = None
        self._leaving_out = LeavingOut(max_skips) if on_failure == SKIP else None
        self._batch = 0

    @property
    def finding(self) -> NonFinite | None:
        """The first thing that was found, or None."""
        return self.findings[0] if self.findings else None

    def __getstate__(self) -> dict[str, Any]:
        # Of a fit that was aborted; graphs can't be copied.
        left_out = self._leaving_out and LeavingOut(self._leaving_out.most)
        of_fit = {"_session": None, "_held": None, "_leaving_out": left_out}
        return {**self.__dict__, **of_fit}

    def set_model(self, model: keras.Model) -> None:
        self._take_back()
        self._forget()
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._take_back()
        self._forget()
        workers.assert_writable(self.model, self._writer)
        if self._leaving_out is not None:
            workers.assert_one(self.model, 'on_failure="skip"')
        desk.join(self)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._present_session().begin_epoch()
        if self._leaving_out is not None:
            self._leaving_out.begin_epoch()

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._take_back()
        self._batch = batch
        if self._present_session().begin_step():
            watch_next_call(self.model, self._before_step, self._after_step)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self._present_session().is_awaiting:
            self._after_step(logs)  # in a loop of the user's own
        if self._leaving_out is not None and self._leaving_out.among is not None:
            among, self._leaving_out.among = self._leaving_out.among, None
            text = outcomes.among_several_not_shown(among.step, among.seen)
            warn(text, GradwatchWarning)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = {"nonfinite": len(self.findings)}
        if self._leaving_out is not None:
            figures["left_out"] = sum(finding.left_out for finding in self.findings)
        self._telling.log(logs, **figures)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        desk.leave(self)
        self._take_back()
        if self._writer is not None:
            self._writer.close()
        self._forget()
        standing_iterator.forget(self.model)

    def _forget(self):
        self._session = self._held = self._epoch = None
        if self._leaving_out is not None:
            self._leaving_out = LeavingOut(self._leaving_out.most)

    def _take_back(self):
        if self.model is not None:
            take_back(self.model, self._before_step)

    def _present_session(self) -> Session:
        """That of the present training; made when it is first asked for."""
        if self._session is None:
            # Of several workers each has a loss of its own, and all must act alike.
            heeds_losses = not workers.are_several(self.model)
            undoes = self._leaving_out is not None
            self._session = Session(self.model, self.check_freq, heeds_losses, undoes)
        return self._session

    def _before_step(self, data: list[Any]) -> Undone | None:
        self._held = None
        steps = self.model.steps_per_execution
        if not data and self._leaving_out and self._leaving_out.is_owed(steps):
            return Undone(self._instead)
        try:
            self._held = self._present_session().before_step(data)
        except Exception as error:  # any variable of the user's own may fail to be read
            self._give_up(error)
        return None

    def _after_step(self, logs: Any) -> Undone | None:
        held, self._held = self._held, None
        session, leaving_out = self._present_session(), self._leaving_out
        try:
            found = session.after_step(held, logs)
        except Exception as error:  # as above; training is worth more than this look
            self._give_up(error)
            return None
        if leaving_out is not None:
            if isinstance(found, AmongSeveral):
                return self._one_by_one(leaving_out, held, found)
            if isinstance(found, Located):
                return self._left_out(leaving_out, held, found)
            leaving_out.took(logs)
        if isinstance(found, Harmless):
            text = words.harmless(found.step, found.seen)
            warn(text, GradwatchWarning)
        elif isinstance(found, Located):
            self._hand_out(found, self.on_failure == "stop")
        return None

    def _left_out(
        self, leaving_out: LeavingOut, held: Held | None, located: Located
    ) -> Undone | None:
        """Undoes a step, if that helps, and goes on or ends training."""
        finding, is_undone, goes_on = located.finding, False, False
        leaving_out.among = None
        if held is None:
            outcome = outcomes.not_left_out(outcomes.NOT_HELD_BEFORE)
        elif finding.kind == WEIGHT:
            outcome = outcomes.not_left_out(outcomes.NOT_BY_BATCH)
        else:
            spoilt = metrics_now(self.model) if leaving_out.logs is None else []
            left, error = attempt(lambda: self._present_session().undo(held))
            is_undone = error is None
            if error is not None:
                outcome = outcomes.not_left_out(outcomes.not_undone(error))
            else:
                leaving_out.spoilt = spoilt
                goes_on = leaving_out.leave_out()
                count, most = leaving_out.count, leaving_out.most
                outcome = outcomes.left_out(count, most)
                if not goes_on:
                    outcome = outcomes.left_out_too_many(most)
                notes = (*finding.notes, *filter(None, [left]))
                finding = dataclasses.replace(finding, notes=notes)
        finding = dataclasses.replace(finding, outcome=outcome, left_out=goes_on)
        self._hand_out(dataclasses.replace(located, finding=finding), not goes_on)
        return Undone(self._instead) if is_undone else None

    def _one_by_one(
        self, leaving_out: LeavingOut, held: Held | None, found: AmongSeveral
    ) -> Undone | None:
        """Undoes several steps, to find out which of them to leave out."""
        assert held is not None
        _, error = attempt(lambda: self._present_session().undo(held))
        if error is not None:
            self._give_up(error)
            end_training(self, error)
            return None
        leaving_out.among = found
        return Undone(self._instead)

    def _instead(self, logs: Any) -> Any:
        """What stands for the logs of steps that were undone, with none after them."""
        leaving_out = self._leaving_out
        assert leaving_out is not None
        if leaving_out.logs is not None:
            return leaving_out.logs
        # Without this the history would say that the loss of the epoch was zero.
        for variable, value in leaving_out.spoilt:
            variable.assign(value)
        if not self.model.stop_training:
            text = outcomes.all_left_out(leaving_out.count)
            if self.verbose:
                say(f"{line_break(self, self._batch)}{text}")
            end_training(self, NonFiniteError(self.findings[-1]))
            warn(text, NonFiniteWarning)
        return logs

    def _hand_out(self, located: Located, ends: bool) -> None:
        """The one place where what was found leaves the callback."""
        finding = located.finding
        is_chief = workers.is_chief(self.model.distribute_strategy)
        if self.save_dir is not None and located.batch is not None and is_chief:
            finding = self._saved(located, self.save_dir)
        self.findings.append(finding)
        if is_chief:
            alert = dataclasses.replace(finding.alert, epoch=self._epoch)
            write(alert, self._writer)
            self._telling.tell(finding, finding.headline)
        if self.on_failure == "raise":
            desk.hear(self, finding.alert)
            desk.conclude(self)
            raise NonFiniteError(finding)  # which tells all of it
        start = line_break(self, self._batch)
        printed = self.verbose and is_chief and say(f"{start}{finding.headline}")
        desk.hear(self, finding.alert)
        if ends:
            end_training(self, NonFiniteError(finding))
        details = finding.details if printed else ""
        outcome = f" {finding.outcome}." if finding.outcome else ""
        start = (
            f"Not finite at step {finding.step}: {finding.seen}.{outcome} In full:\n"
        )
        warn(f"{start}{details}" if details else str(finding), NonFiniteWarning)

    def _saved(self, located: Located, save_dir: str | os.PathLike[str]) -> NonFinite:
        finding = located.finding

        def value_of(variable):
            known = located.values.get(id(variable))
            return read_variable(variable) if known is None else known

        try:
            folder = save_failure(
                files.join(save_dir, f"step_{finding.step:06d}"),
                self.model,
                located.batch,
                value_of,
                finding.to_json(),
            )
        except Exception as error:  # no room, no right to write, data of unknown types
            logger.debug("A failed step could not be saved.", exc_info=True)
            note = f"It could not be saved. {type(error).__name__}: {error}"
            return dataclasses.replace(finding, notes=(*finding.notes, note))
        return dataclasses.replace(finding, saved=folder)

    def _give_up(self, error: Exception) -> None:
        """Lets training go on without us."""
        self._present_session().give_up()
        logger.debug("NonFiniteLocator could not do its work.", exc_info=error)
        warn(
            "NonFiniteLocator could not do its work at step "
            f"{iterations(self.model)}; training goes on without it. "
            f"{type(error).__name__}: {error}",
            GradwatchWarning,
        )
