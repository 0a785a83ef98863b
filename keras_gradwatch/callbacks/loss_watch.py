"""`LossWatch`: the loss itself, and whether it takes a healthy course."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_gradwatch.arguments import assert_manners, is_number, refuse
from keras_gradwatch.callbacks import desk, standing_iterator, workers
from keras_gradwatch.callbacks.closer_look import CloserLook
from keras_gradwatch.callbacks.console import say
from keras_gradwatch.callbacks.ending import end_training
from keras_gradwatch.callbacks.logged_losses import LoggedLosses
from keras_gradwatch.callbacks.member import Member
from keras_gradwatch.callbacks.next_batch import show_next_batch, take_back
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.callbacks.telling import Telling, write
from keras_gradwatch.callbacks.watcher import attempt
from keras_gradwatch.errors import LossAlertWarning
from keras_gradwatch.findings.alert import (
    DIVERGING,
    FLAT,
    OSCILLATING,
    OVERFITTING,
    SPIKE,
    STALLED,
    Alert,
)
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.loss_symptom import LossSymptom, Stalled
from keras_gradwatch.findings.raised import LossAlertError
from keras_gradwatch.findings.sentences import about_loss
from keras_gradwatch.findings.several import Several
from keras_gradwatch.findings.text import counted
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.losses.course import Course
from keras_gradwatch.losses.plateau import diagnose
from keras_gradwatch.losses.rates import Rates
from keras_gradwatch.losses.validation import Parting
from keras_gradwatch.nonfinite.logs import learning_rate
from keras_gradwatch.tensorboard.alert_writer import AlertWriter

KINDS = (SPIKE, DIVERGING, STALLED, OSCILLATING, FLAT, OVERFITTING)


@dataclasses.dataclass
class _Fit:
    """What is known of the present training.

    Args:
        logged: The losses of its batches.
        courses: The course of each loss, by its name.
        parting: Listens to validation.
        step: Optimizer iterations done before its first step, None before that.
        heard: Steps whose losses were heard.
        closer: What looks at a plateau, if anything does.
        plateau: The loss and the steps of that plateau.
        waiting: Alerts that all workers must hear of before they act.
    """

    logged: LoggedLosses
    courses: dict[str, Course] = dataclasses.field(default_factory=dict)
    parting: Parting = dataclasses.field(default_factory=Parting)
    step: int | None = None
    heard: int = 0
    closer: CloserLook | None = None
    plateau: tuple[Course, int] | None = None
    waiting: list[Alert] = dataclasses.field(default_factory=list)


class LossWatch(Member):
    """Watches the loss while a model trains, and speaks if its course is not healthy.

    It takes the loss of each batch from what Keras logs, for some microseconds, and
    gives the alarm, in TensorBoard, as a warning and to Python's `logging`, if the loss

    - has a **spike**: some batches are far above all others, and it comes back;
    - is **diverging**: it grows beyond all bounds, or its level has risen for good
      (Page's test: E. S. Page, 1954, "Continuous inspection schemes", Biometrika 41) by
      half of what was learned or more, and the learning rate was not raised;
    - is **stalled**: it stays where it is, and layers get no gradient;
    - is **oscillating**: it stays where it is, though each step changes the loss of its
      own batch by much;
    - is **flat**: it does not fall from the start, and is as large with the targets of
      other examples;
    - or if validation parts from training, **overfitting**: its loss has risen by a
      fifth for several epochs while that of training fell.

    A loss that has come down and stays there is healthy. Where it stays, a few steps
    are run on a copy to see why, as `GradientStats` does: once after some 1,000 steps,
    then after twice as many, and so on. Training is left as it is.

    Example:

    ```python
    watch = kgw.LossWatch(log_dir="logs")
    model.fit(x, y, epochs=20, callbacks=[watch])
    print(watch.alerts)
    ```

    Args:
        log_dir: Directory for TensorBoard; the other callbacks may share it. Alerts
            stand in its tab. Nothing is written if None.
        losses: Names of the losses to watch, as they are logged; training makes each of
            them fall. If None, `"loss"`; where that is not logged, as in many GANs,
            all that end in "loss", of which only spikes and blow-ups are told.
        ignore: Kinds of alerts not to give, of those above.
        on_failure: What to do at an alert. `"warn"` issues a `LossAlertWarning`,
            `"stop"` also ends training after the step that has begun, `"raise"` raises
            `LossAlertError` out of `fit`. So does `"stop"` beside
            `keras.callbacks.BackupAndRestore`, which would delete its backup if `fit`
            just ended. Of overfitting is only warned.
        on_finding: Called with each `Alert` and `Incident`. An error in it is warned of
            once.
        log_metrics: Whether to add figures to the logs of an epoch, for `History`,
            `CSVLogger` and other callbacks after this one: `"loss_level"`, the median
            of the last batches, `"loss_noise"`, their scale, and `"loss_alerts"`, how
            many alerts there were so far.
        verbose: 0 prints nothing, 1 what several callbacks know of an alert (an
            `Incident`), 2 a line for each epoch, too.

    Attributes:
        alerts: An `Alert` for each thing that was found, of all fits so far.
        incidents: An `Incident` for each story that it told with other callbacks.

    Raises:
        InvalidArgumentError: If an argument is wrong; at the beginning of `fit`, if
            nothing can be written to `log_dir`.
    """

    # Keras then need not wait for each step. What may act is done between steps.
    async_safe = True

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        *,
        losses: Sequence[str] | None = None,
        ignore: Sequence[str] = (),
        on_failure: str = "warn",
        on_finding: Callable[[Alert | Incident], object] | None = None,
        log_metrics: bool = False,
        verbose: int = 1,
    ):
        super().__init__()
        if losses is not None and not (_are_names(losses) and losses):
            refuse("losses", "a sequence of names of losses, or None", losses)
        if not _are_names(ignore) or not set(ignore) <= set(KINDS):
            refuse("ignore", f"a sequence of some of {KINDS}", ignore)
        assert_manners(on_failure, verbose)
        self.on_failure = on_failure
        self.verbose = verbose
        self.alerts: list[Alert] = Several()
        self._losses = None if losses is None else tuple(losses)
        self._ignore = frozenset(ignore)
        self._telling = Telling(on_finding, log_metrics)
        self._log_dir = log_dir
        self._writer = None if log_dir is None else AlertWriter(log_dir)
        self._fit: _Fit | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What belongs to a fit can't be copied: it holds graphs.
        return {**self.__dict__, "_fit": None}

    def set_model(self, model: keras.Model) -> None:
        self._forget()
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._forget()
        workers.assert_writable(self.model, self._writer)
        desk.join(self)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch
        self._present().logged.begin_epoch()

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        fit = self._fit or self._present()
        if fit.step is None:
            fit.step = iterations(self.model)
        if fit.logged.begin_step():
            self._take_in(fit)
        if fit.closer is not None:
            self._look_closer(fit)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        (self._fit or self._present()).logged.end_step(batch, logs)

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Validation uses the metric that holds the losses of the epoch.
        if self._fit is not None:
            self._fit.logged.end_steps()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        fit = self._present()
        self._take_in(fit, is_epoch_over=True)
        known = logs or {}
        trained: Any = known.get("loss")
        valued: Any = known.get("val_loss")
        if is_number(trained) and is_number(valued):
            parted = fit.parting.hear(epoch, trained, valued)
            if parted is not None:
                self._found(fit, parted)
        if workers.are_several(self.model):
            alerts, fit.waiting = fit.waiting, []
            agreed = workers.as_the_chief(self.model.distribute_strategy, alerts)
            for alert in agreed:
                self._hand_out(alert)
        figures: dict[str, float] = {"loss_alerts": len(self.alerts)}
        for name, course in fit.courses.items():
            figures |= {f"{name}_level": course.level, f"{name}_noise": course.scale}
        self._telling.log(logs, **figures)
        if self.verbose == 2:
            self._say(fit)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        desk.leave(self)
        if self._writer is not None:
            self._writer.close()
        self._forget()
        standing_iterator.forget(self.model)

    def _say(self, fit):
        for name, course in fit.courses.items():
            alerts = counted(len(self.alerts), "alert")
            say(f"{name}: {course.level:.4g} +- {course.scale:.2g}, {alerts}.")

    def _present(self) -> _Fit:
        """That of the present training; made when it is first asked for."""
        if self._fit is None:
            self._fit = _Fit(LoggedLosses(self.model, self._losses))
        return self._fit

    def _forget(self):
        if self.model is not None:
            take_back(self.model, self._look_live)
        self._fit = self._epoch = None

    def _take_in(self, fit, is_epoch_over=False):
        """Hears what was logged since the last time."""
        first = next(iter(fit.courses.values()), None)
        for name, value, steps, error in fit.logged.take(is_epoch_over):
            course = fit.courses.get(name)
            if course is None:
                is_alone = self._losses is not None or name == "loss"
                rates = _rates_of(self.model)
                course = fit.courses[name] = Course(name, rates, is_alone)
                first = first or course
            if course is first:
                fit.heard += steps
            is_finite = math.isfinite(value)
            found = course.hear(value, steps, error) if is_finite else course.lose()
            for symptom in found:
                self._found(fit, symptom)
            if course.wants_look:
                course.wants_look = False
                if fit.closer is None and not workers.are_several(self.model):
                    fit.closer = CloserLook(self.model)
                    fit.plateau = course, course.plateau_steps

    def _look_closer(self, fit):
        """Before a step: at what the last one did, and at this one."""
        take_back(self.model, self._look_live)
        closer = fit.closer
        _, error = attempt(closer.after)
        if error is not None or closer.is_hopeless:
            fit.closer = None
        elif not closer.is_done:
            show_next_batch(self.model, self._look_live)
        else:
            fit.closer = None
            course, ago = fit.plateau
            start, level = course.start, course.level
            symptom = diagnose(course.name, start, level, ago, closer.looks)
            if symptom is not None:
                self._found(fit, symptom)

    def _look_live(self, data):
        fit = self._present()
        closer, strategy = fit.closer, self.model.distribute_strategy
        if closer is None or data is None:
            return
        # A model that can't be traced has no closer look: nothing is known then.
        _, error = attempt(lambda: closer.before(batches.from_live(data, strategy)))
        if error is not None:
            fit.closer = None

    def _found(self, fit: _Fit, symptom: LossSymptom) -> None:
        if symptom.kind in self._ignore:
            return
        step, heard = iterations(self.model), (fit.step or 0) + fit.heard
        alert = Alert(
            kind=symptom.kind,
            step=step,
            where=symptom.layers if isinstance(symptom, Stalled) else (symptom.loss,),
            message=about_loss(symptom),
            since=min(max(heard - symptom.ago, fit.step or 0), step),
            value=symptom.value,
            threshold=symptom.threshold,
            epoch=self._epoch,
            before=symptom.before,
        )
        if workers.are_several(self.model):
            fit.waiting.append(alert)
        else:
            self._hand_out(alert)

    def _hand_out(self, alert: Alert) -> None:
        """The one place where what was found leaves the callback."""
        self.alerts.append(alert)
        if workers.is_chief(self.model.distribute_strategy):
            self._show(alert)
        desk.hear(self, alert)
        if alert.kind != OVERFITTING:
            if self.on_failure == "raise":
                desk.conclude(self)
                raise LossAlertError(alert)
            if self.on_failure == "stop":
                end_training(self, LossAlertError(alert))
        warn(str(alert), LossAlertWarning)

    def _show(self, alert: Alert) -> None:
        write(alert, self._writer)
        self._telling.tell(alert, str(alert))


def _rates_of(model):
    """The learning rates of a model; what can't be read is not known."""
    optimizer = getattr(model, "optimizer", None)
    schedule = None if optimizer is None else internals.schedule_of(optimizer)

    def now():
        return attempt(lambda: learning_rate(model))[0]

    if schedule is None:
        return Rates(now)

    def before(steps):
        step = max(iterations(model) - steps, 0)
        return attempt(lambda: float(schedule(step)))[0]

    return Rates(now, before)


def _are_names(value):
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(name, str) for name in value
    )
