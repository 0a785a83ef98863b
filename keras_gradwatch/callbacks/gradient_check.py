"""`GradientCheck`: the check inside `model.fit`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_gradwatch.arguments import refuse
from keras_gradwatch.callbacks import desk, workers
from keras_gradwatch.callbacks.allowance import Allowance
from keras_gradwatch.callbacks.console import line_break, say
from keras_gradwatch.callbacks.ending import end_training
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.callbacks.watcher import Watcher, attempt
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.progress import SILENCE, Progress
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import WholeModel
from keras_gradwatch.check.subset import Subset
from keras_gradwatch.errors import GradientMismatchWarning
from keras_gradwatch.findings.clues import CHECK
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.raised import GradientMismatchError
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.several import Several
from keras_gradwatch.findings.text import counted
from keras_gradwatch.findings.verdicts import FAIL
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.tensorboard.report_writer import ReportWriter
from keras_gradwatch.tensorboard.tags import FEW, SCALARS


class GradientCheck(Watcher):
    """Checks gradients now and then while a model trains.

    Before some of the training steps it copies the model, compares the
    gradients of the training loss with centred differences of that loss
    (`check_gradients` says how), and writes the answer to TensorBoard. Training
    goes on as if nothing had happened.

    Example:

    ```python
    check = kgw.GradientCheck(log_dir="logs")
    model.fit(x, y, epochs=20, callbacks=[check])
    print(check.reports[-1])
    ```

    then `tensorboard --logdir logs`.

    Args:
        log_dir: Directory for TensorBoard. It may be that of
            `keras.callbacks.TensorBoard`: events go to a run of their own,
            `gradwatch`, those of a second `GradientCheck` to `gradwatch_2`. Nothing is
            written if None.
        scalars: The charts under Time Series. `"few"` are how many checks and
            variables failed and the margin to the tolerance, `"all"` those of each
            variable, too.
        warmup_steps: Optimizer iterations before the first check. Weights close
            to their initial values may hide a wrong gradient.
        check_freq: `"epoch"` checks before the first step past the warm-up in
            each epoch; an integer, every so many optimizer iterations.
        data: `(x, y)` or `(x, y, sample_weight)`, one batch to check on each
            time. If None, a quarter of the batch that is about to be trained on, at
            least 8 examples and at most 32; others of them the next time. All of
            the batch with `dropout="freeze"`, and where the model can't do with
            fewer.
        samples: How many entries of each variable to compare singly.
        directions: How many random directions of each variable to compare.
        tolerance: Largest relative error that counts as agreement.
        dropout: `"bypass"` switches dropout off in the check, `"freeze"`
            repeats one draw of it.
        expected: Patterns of paths of variables whose mismatch is intended, or what
            training makes of their gradient.
        on_failure: What to do when a gradient is wrong, or when it is not what the
            weights learn by: it underflows, or the step hands its optimizer another
            one. `"warn"` issues a `GradientMismatchWarning`, `"stop"` also ends
            training after this step, `"raise"` raises `GradientMismatchError` out of
            `fit`. So does `"stop"` beside `keras.callbacks.BackupAndRestore`, which
            would delete its backup if `fit` just ended. A check that breaks only
            warns, unless this is `"raise"`.
        time_budget: Seconds that a check may take, tracing apart. If None, a check
            takes 20 training steps at most, and all checks together 3.5 % of the time
            that training takes, as measured in the run: what does not fit is left
            for the next check, and with `check_freq="epoch"` a check waits until it
            is affordable. In any case
            all variables are screened, and at least one that looks wrong is looked
            at closely.
        seed: Seed of the draws; each check draws others.
        on_finding: Called with each `GradientReport` and `Incident`, as data. An error
            in it is warned of once. Of several workers, on the chief only.
        log_metrics: Whether to add figures to the logs of an epoch, for `History`,
            `CSVLogger` and other callbacks after this one: `"gradients_wrong"`, how
            many variables FAIL, and `"gradient_error"`, the largest relative error, of
            the last check.
        verbose: 0 prints nothing, 1 a line for each check, 2 the table. A check that
            takes longer than two seconds tells meanwhile what it does.

    Attributes:
        incidents: An `Incident` for each story that it told with other callbacks.
        reports: A `GradientReport` for each check so far.

    Raises:
        InvalidArgumentError: If an argument is wrong; at the beginning of `fit`, if
            nothing can be written to `log_dir`.
    """

    looks_for = CHECK

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        *,
        scalars: str = FEW,
        warmup_steps: int = 100,
        check_freq: int | str = "epoch",
        data: Sequence[Any] | None = None,
        samples: int = 5,
        directions: int = 2,
        tolerance: float = 1e-3,
        dropout: str = "bypass",
        expected: Sequence[str] = (),
        on_failure: str = "warn",
        time_budget: float | None = None,
        seed: int = 0,
        on_finding: Callable[[GradientReport | Incident], object] | None = None,
        log_metrics: bool = False,
        verbose: int = 1,
    ):
        super().__init__(
            "gradient check",
            warmup_steps,
            check_freq,
            data,
            on_failure,
            verbose,
            on_finding,
            log_metrics,
        )
        self._settings = Settings(
            samples=samples,
            directions=directions,
            tolerance=tolerance,
            dropout=dropout,
            expected=expected,
            time_budget=time_budget,
            seed=seed,
        )
        self.reports: list[GradientReport] = Several()
        if scalars not in SCALARS:
            refuse("scalars", f"one of {SCALARS}", scalars)
        self._log_dir = log_dir
        self._writer = None if log_dir is None else ReportWriter(log_dir, scalars)
        self._checker: GradientChecker | None = None
        self._allowance: Allowance | None = None
        self._epochs_without = 0
        # Whether what is due in this epoch waits for another step.
        self._is_put_off = False
        # Labels of variables, and warnings: what was told in this fit.
        self._known_failures: set[str] = set()

    def __getstate__(self):
        # A fit that was aborted leaves graphs behind, which can't be copied.
        return {**self.__dict__, "_checker": None}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        workers.assert_writable(self.model, self._writer)
        self._begin()
        self._epochs_without = 0
        self._known_failures = set()

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        # Not at its end: for that hook, Keras would wait for the step each time.
        if self._allowance is not None:
            self._allowance.count_steps(self.model.steps_per_execution)
        super().on_train_batch_begin(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_without += self._is_put_off
        self._is_put_off = False
        last = self.reports[-1] if self.reports else None
        self._telling.log(
            logs,
            gradients_wrong=None if last is None else last.count(FAIL),
            gradient_error=None if last is None else last.worst_relative_error,
        )

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        desk.leave(self)
        if self._writer is not None:
            self._writer.close()
        self._checker = None
        if self._epochs_without and self.verbose:
            epochs = counted(self._epochs_without, "epoch")
            say(
                f"In {epochs} no gradient check was made, to keep checks below "
                f"{Allowance.SHARE:.1%} of training time. With `time_budget`, seconds "
                "for a check, each epoch has one."
            )
        super().on_train_end(logs)

    def affords_another(self) -> bool:
        allowance = self._allowance
        if allowance is None or workers.are_several(self.model):
            return True
        return allowance.affords_a_closer_look()

    def put_off(self) -> bool:
        self._is_put_off = self._schedule.may_wait and not self._is_affordable()
        return self._is_put_off

    def _begin(self) -> GradientChecker:
        settings, part = self._settings, None
        if self._data is None:  # what the user hands over is used as it is
            part = Subset(self.model, settings.dropout, settings.seed)
        subject = WholeModel(self.model, settings.dropout, Steps.shared(self.model))
        self._checker = checker = GradientChecker(subject, settings, part)
        self._allowance = Allowance() if self._settings.time_budget is None else None
        return checker

    def _is_affordable(self):
        if self._allowance is None or workers.are_several(self.model):
            return True  # each has a clock of its own, and all must check at once
        return self._allowance.affords_a_check()

    def look(self, batch: Callable[[], Any]) -> None:
        # Of a loop without `on_train_begin`, this is the beginning.
        checker = self._checker or self._begin()
        writer = self._writer
        strategy = self.model.distribute_strategy
        chief = workers.is_chief(strategy)
        started = time.perf_counter()
        allowance = self._allowance
        budget = None if allowance is None else allowance.budget()
        with self._progress(chief) as progress:
            checked, error = attempt(lambda: checker.check(batch(), budget, progress))
        report, error = workers.agree(strategy, checked and checked.report, error)
        unwritten = None
        if report is not None and writer is not None:
            _, unwritten = attempt(
                lambda: writer.write(report, self._epoch) if chief else None
            )
            _, unwritten = workers.agree(strategy, None, unwritten)
        if self._allowance is not None:
            found = report is not None and report.verdict == FAIL
            seconds = time.perf_counter() - started
            closely = checked.close_seconds if checked and found else 0.0
            # One that was asked for is a closer look as a whole.
            self._allowance.spend(seconds, seconds if self._is_summoned else closely)
        self._is_put_off = False
        if report is not None:
            self.reports.append(report)
        if unwritten is not None:
            self.not_written(unwritten)
        if report is None:
            desk.checked(self, None)
        if error is not None:
            self.broke(error)
        if report is None:
            return
        is_wrong = report.verdict == FAIL or bool(report.severe)
        if chief:
            self._telling.tell(report, report.headline, is_wrong)
        if is_wrong and self.on_failure == "raise":
            desk.checked(self, report)
            desk.conclude(self)
            raise GradientMismatchError(report)  # which tells all of it
        printed = False
        if self.verbose and chief:
            # What was shown meanwhile ends its own line; the bar of Keras does not.
            start = "" if progress.shown else line_break(self, self._batch)
            text = report if self.verbose == 2 else report.headline
            printed = say(f"{start}{text}")
        desk.checked(self, report)
        if is_wrong:
            self._react(report, printed)

    def _progress(self, chief):
        wanted = self.verbose and keras.config.is_interactive_logging_enabled()
        if not wanted or not chief:
            return SILENCE
        # A bar where Keras shows one.
        bars = (self.params or {}).get("verbose", 1) not in (0, 2)
        return Progress(f"Gradient check at step {iterations(self.model)}", bars)

    def _react(self, report, printed):
        if self.on_failure == "stop":
            end_training(self, GradientMismatchError(report))
        # The whole table when something new is wrong, not at each check again.
        failures = {v.label for v in report.failures}
        failures |= {type(note).__name__ for note in report.severe}
        if not failures <= self._known_failures:
            self._known_failures |= failures
            warn(self._unsaid(report, printed), GradientMismatchWarning)

    def _unsaid(self, report, printed):
        """What is left to be told of a report after what was printed of it."""
        if not printed:
            return str(report)
        if self.verbose == 2:
            return report.headline
        wrong = (
            f"{len(report.failures)} of {len(report.variables)} gradients are wrong."
        )
        what = wrong if report.failures else report.warning
        return f"{what} At step {report.step}, in full:\n{report.details}"
