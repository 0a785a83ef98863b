"""`GradientStats`: the gradients that train a model, in figures."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from keras_gradwatch.arguments import DROPOUT, refuse
from keras_gradwatch.callbacks import desk, workers
from keras_gradwatch.callbacks.console import line_break, say
from keras_gradwatch.callbacks.ending import end_training
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.callbacks.watcher import Watcher, attempt
from keras_gradwatch.errors import GradientAlertWarning, GradwatchWarning
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.clues import READING
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.raised import GradientAlertError
from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.findings.several import Several
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import assert_ready
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.stats.alarms import Alarms, Thresholds
from keras_gradwatch.stats.depth import CHANGE
from keras_gradwatch.stats.gauge import Gauge
from keras_gradwatch.stats.movement import SMALLEST
from keras_gradwatch.stats.noise_scale import EVERY, NoiseScales
from keras_gradwatch.stats.own_rules import Rule, Rules
from keras_gradwatch.stats.saturation import SATURATED
from keras_gradwatch.tensorboard.stats_writer import StatsWriter
from keras_gradwatch.tensorboard.tags import ALL, FEW, SCALARS


@dataclass(frozen=True)
class _Unfinished:
    """A reading that is to be finished once its step is done.

    Args:
        gauge: The `Gauge` that made it.
        reading: The `GradientReading`, of the gradients alone.
        weights: The weights before the step.
    """

    gauge: Gauge
    reading: GradientReading
    weights: list[tf.Tensor]

    def after(self, steps: int) -> GradientReading:
        """The whole reading: how far so many steps moved the weights is in it too."""
        return self.gauge.with_update(self.reading, self.weights, steps)


class GradientStats(Watcher):
    """Reads the gradients that train a model, and gives the alarm if they go wrong.

    What `keras.callbacks.TensorBoard` lost with `write_grads`: before some of the
    training steps that step is run on a copy of the model, and the gradients that
    its own `tf.GradientTape` computes are written to TensorBoard: for each variable
    their norm, mean size, share of exact zeros and histogram, and how far the
    optimizer then moves the variable as a share of its size. Training goes on as
    if nothing had happened.

    It gives the alarm, in TensorBoard and as a warning, if for several readings

    - gradients **vanish**: the norm of the first layers' gradients is less than
      `vanishing` times that of the layer with the largest, so that they hardly learn
      (Glorot & Bengio, 2010, "Understanding the difficulty of training deep
      feedforward neural networks": in deep networks of sigmoids each layer takes a
      factor off the gradient);
    - gradients **explode**: the norms of gradient and weights, multiplied, are more
      than `exploding` times the loss, so that a change of the weights by a share of
      1 / `exploding` changes the loss by all of its size; or a step moves the weights
      by more than their own size, a thousand times the usual; or they became NaN or
      infinite after growing a thousandfold (Pascanu, Mikolov & Bengio, 2013, "On the
      difficulty of training recurrent neural networks");
    - gradients are **dead**: all gradients of a layer are exactly zero, or at least the
      share `dead` of its units gets none (Lu et al., 2019, "Dying ReLU and
      initialization: theory and numerical examples");
    - a hidden layer is **saturated**: at least the share `saturated` of what its tanh
      or sigmoid puts out is at an end of the range;
    - weights stand **still**: from the first reading on, for a hundred steps or more,
      each step moved them by less than `still` times their size; or one of them has a
      gradient and never moved, while others do;
    - the **scale** at initialisation is off: what a hidden layer puts out is `scale`
      times smaller or larger than what the first one does, and so are the gradients, or
      the outputs.

    Example:

    ```python
    stats = kgw.GradientStats(log_dir="logs", check_freq=100)
    model.fit(x, y, epochs=20, callbacks=[stats])
    print(stats.readings[-1])
    ```

    then `tensorboard --logdir logs`: the figures are under Time Series, the
    histograms under Histograms, alerts in the tab "Gradients".

    Args:
        log_dir: Directory for TensorBoard; the other callbacks may share it.
            Nothing is written if None.
        scalars: The charts under Time Series. `"few"` are the norm of all gradients
            and the update ratio, `"all"` those of each variable, too.
        warmup_steps: Optimizer iterations before the first reading.
        check_freq: `"epoch"` reads before the first step of each epoch; an integer,
            every so many optimizer iterations. A reading costs about one training
            step.
        data: `(x, y)` or `(x, y, sample_weight)`, one batch to read on each time. If
            None, the batch that is about to be trained on.
        histograms: Whether to write histograms too. If None, with `scalars="all"`.
        dropout: `"freeze"` reads the gradients of the very draw that training makes;
            `"bypass"` switches dropout off in the reading.
        vanishing: Share of the largest layer's norm below which a layer's norm counts
            as vanishing. 0 turns this alarm off.
        exploding: The norm of the gradient times that of the weights, over the loss,
            above which gradients explode. A loss below 0.01 counts as 0.01: where it
            is learnt, or its terms cancel, its size says nothing. `float("inf")`
            turns this alarm off.
        dead: Share of the units of a layer that get no gradient at all, from which
            on the layer counts as dead, unless the loss is zero, too. Above 1 turns
            this alarm off.
        saturated: Share of what a hidden layer puts out that is within 1 % of its range
            from an end of it, from which on it counts as saturated. Above 1 turns this
            alarm off.
        still: How far a step must move all weights, as a share of their size, if it is
            to count as one. 0 turns this alarm off.
        scale: By how many times hidden layers may be larger or smaller than the first
            one in what they put out at initialisation. `float("inf")` turns this alarm
            off.
        patience: How many readings in a row must show it before an alarm is given;
            NaN, infinity, steps ten times the size of the weights, and what is off
            at initialisation do not wait.
        rules: Rules of your own: functions of a `GradientReading` that return a message
            if something is wrong, else None. They give the alarm as the others do,
            after `patience` readings in a row, once while it lasts, as an alert of the
            kind `"rule"`. An error in one is warned of once.
        on_failure: What to do at an alarm. `"warn"` issues a `GradientAlertWarning`,
            `"stop"` also ends training after this step, `"raise"` raises
            `GradientAlertError` out of `fit`. So does `"stop"` beside
            `keras.callbacks.BackupAndRestore`, which would delete its backup if `fit`
            just ended. A reading that breaks only warns, unless this is `"raise"`.
        on_finding: Called with each `Alert` and `Incident`, as data. An error in it is
            warned of once. Of several workers, on the chief only.
        log_metrics: Whether to add figures to the logs of an epoch, for `History`,
            `CSVLogger` and other callbacks after this one: `"gradient_norm"`, that
            of all gradients, and `"update_ratio"` of the last reading, and
            `"gradient_alerts"`, how many alerts there were so far.
        verbose: 0 prints nothing, 1 what several callbacks know of an alert (an
            `Incident`), 2 a line for each reading, too.

    Attributes:
        incidents: An `Incident` for each story that it told with other callbacks.
        readings: A `GradientReading` for each reading of the present or last `fit`.
        alerts: An `Alert` for each alarm, of all fits so far.

    Raises:
        InvalidArgumentError: If an argument is wrong; at the beginning of `fit`, if
            nothing can be written to `log_dir`.
    """

    looks_for = READING

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        *,
        scalars: str = FEW,
        warmup_steps: int = 0,
        check_freq: int | str = 100,
        data: Sequence[Any] | None = None,
        histograms: bool | None = None,
        dropout: str = "freeze",
        vanishing: float = 1e-5,
        exploding: float = 1e6,
        dead: float = 0.95,
        saturated: float = SATURATED,
        still: float = SMALLEST,
        scale: float = CHANGE,
        patience: int = 3,
        rules: Sequence[Rule] = (),
        on_failure: str = "warn",
        on_finding: Callable[[Alert | Incident], object] | None = None,
        log_metrics: bool = False,
        verbose: int = 1,
    ):
        super().__init__(
            "gradient reading",
            warmup_steps,
            check_freq,
            data,
            on_failure,
            verbose,
            on_finding,
            log_metrics,
        )
        if dropout not in DROPOUT:
            refuse("dropout", f"one of {DROPOUT}", dropout)
        if scalars not in SCALARS:
            refuse("scalars", f"one of {SCALARS}", scalars)
        if histograms is None:
            histograms = scalars == ALL
        self._thresholds = Thresholds(
            vanishing, exploding, dead, patience, saturated, still, scale
        )
        self.readings: list[GradientReading] = Several()
        self.alerts: list[Alert] = Several()
        self._histograms = bool(histograms) and log_dir is not None
        self._dropout = dropout
        self._log_dir = log_dir
        self._writer = None if log_dir is None else StatsWriter(log_dir, scalars)
        self._rules = Rules(rules, self._rule_failed)
        self._alarms = Alarms(self._thresholds, self._rules)
        self._noise = NoiseScales()
        self._gauge: Gauge | None = None
        self._steps: Steps | None = None
        self._trained: list = []
        self._unfinished: _Unfinished | None = None

    def __getstate__(self):
        # A fit that was aborted leaves graphs behind, which can't be copied.
        graphs = {"_gauge": None, "_steps": None, "_unfinished": None}
        return {**self.__dict__, **graphs, "_trained": []}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        workers.assert_writable(self.model, self._writer)
        self.readings = Several()
        self._alarms = Alarms(self._thresholds, self._rules)
        self._noise = NoiseScales()
        self._gauge = self._steps = self._unfinished = None

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._finish(is_after_its_step=False)
        super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._finish(is_after_its_step=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        last = self.readings[-1] if self.readings else None
        self._telling.log(
            logs,
            gradient_norm=None if last is None else last.global_norm,
            update_ratio=None if last is None else last.update_ratio,
            gradient_alerts=len(self.alerts),
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._finish(is_after_its_step=False)
        desk.leave(self)
        if self._writer is not None:
            self._writer.close()
        self._gauge = self._steps = None
        super().on_train_end(logs)

    def look(self, batch: Callable[[], Any]) -> None:
        unfinished, error = attempt(lambda: self._read(batch))
        if error is not None:
            desk.read(self, None)
            self.broke(error)
        else:
            self._unfinished = unfinished

    def _read(self, batch: Callable[[], Any]) -> _Unfinished:
        with ONE_AT_A_TIME, outside_strategies():
            data, trained = batch(), self.model.trainable_variables
            if self._gauge is None or not _same(trained, self._trained):
                assert_ready(self.model)
                steps = self._steps = Steps.shared(self.model)
                found = steps.objectives(self._dropout, data)
                self._gauge = Gauge(steps, self._dropout, found, self._histograms)
                self._trained = list(trained)
            gauge = self._gauge
            with_part = len(self.readings) % EVERY == 0
            reading = gauge.gradients(iterations(self.model), data, with_part)
            return _Unfinished(gauge, reading, gauge.weights())

    def _finish(self, is_after_its_step):
        """Adds to a reading what its step did, and tells of it."""
        if self._unfinished is None:
            return
        unfinished, self._unfinished = self._unfinished, None
        steps = 0
        if is_after_its_step:
            steps = iterations(self.model) - unfinished.reading.step
        with outside_strategies():
            reading, error = attempt(lambda: unfinished.after(steps))
        if error is None:
            self._tell(reading)
        else:
            desk.read(self, None)
            self.broke(error)

    def _tell(self, reading):
        reading = replace(reading, noise_scale=self._noise.hear(reading))
        strategy = self.model.distribute_strategy
        heard = [replace(a, epoch=self._epoch) for a in self._alarms.hear(reading)]
        alerts = workers.as_the_chief(strategy, heard)
        self.readings.append(reading)
        self.alerts += alerts
        if workers.is_chief(strategy):
            writer = self._writer
            if writer is not None:
                _, error = attempt(lambda: writer.write(reading, alerts, self._epoch))
                if error is not None:
                    self.not_written(error)
            if self.verbose == 2:
                say(f"{line_break(self, self._batch)}{reading.headline}")
            for alert in alerts:
                self._telling.tell(alert, str(alert))
        desk.read(self, reading, alerts)
        for alert in alerts:
            self._react(alert)

    def _rule_failed(self, name, error):
        warn(
            f"The rule {name!r} failed at step {iterations(self.model)}; training goes "
            f"on. {type(error).__name__}: {error}",
            GradwatchWarning,
        )

    def _react(self, alert):
        if self.on_failure == "raise":
            desk.conclude(self)
            raise GradientAlertError(alert)
        if self.on_failure == "stop":
            end_training(self, GradientAlertError(alert))
        warn(str(alert), GradientAlertWarning)


def _same(one, other):
    return len(one) == len(other) and all(map(operator.is_, one, other))
