"""`GradientCheck`: the check inside `model.fit`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

import keras

from keras_gradwatch.arguments import Settings, is_count, refuse
from keras_gradwatch.budget import Allowance
from keras_gradwatch.callbacks import workers
from keras_gradwatch.callbacks.live_batch import show_next_batch, take_back
from keras_gradwatch.callbacks.schedule import Schedule
from keras_gradwatch.checks import GradientChecker, iterations
from keras_gradwatch.errors import (
    GradientMismatchError,
    GradientMismatchWarning,
    GradwatchWarning,
)
from keras_gradwatch.replica import batch as batches
from keras_gradwatch.replica.replica import has_weights
from keras_gradwatch.report import FAIL, GradientReport
from keras_gradwatch.tensorboard.writer import ReportWriter

ON_FAILURE = ("warn", "stop", "raise")


class GradientCheck(keras.callbacks.Callback):
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
            `gradwatch`. Nothing is written if None.
        warmup_steps: Optimizer iterations before the first check. Weights close
            to their initial values may hide a wrong gradient.
        check_freq: `"epoch"` checks before the first step past the warm-up in
            each epoch; an integer, every so many optimizer iterations.
        data: `(x, y)` or `(x, y, sample_weight)`, one batch to check on each
            time. If None, the batch that is about to be trained on.
        samples: How many entries of each variable to compare singly.
        directions: How many random directions of each variable to compare.
        tolerance: Largest relative error that counts as agreement.
        dropout: `"bypass"` switches dropout off in the check, `"freeze"`
            repeats one draw of it.
        expected: Patterns of paths of variables whose mismatch is intended.
        on_failure: What to do when a gradient is wrong. `"warn"` issues a
            `GradientMismatchWarning`, `"stop"` also ends training after this
            step, `"raise"` raises `GradientMismatchError` out of `fit`. A check
            that breaks only warns, unless this is `"raise"`.
        time_budget: Seconds that a check may take, tracing apart. If None, checks
            take 5 % of the time that training takes, as measured in the run: what
            does not fit is left for the next check, and with
            `check_freq="epoch"` a check waits until it is affordable. In any case
            all variables are screened, and at least one that looks wrong is looked
            at closely.
        seed: Seed of the draws; each check draws others.
        verbose: 0 prints nothing, 1 a line for each check, 2 the table.

    Attributes:
        reports: A `GradientReport` for each check so far.

    Raises:
        InvalidArgumentError: If an argument is wrong.
    """

    def __init__(
        self,
        log_dir=None,
        *,
        warmup_steps: int = 100,
        check_freq: int | str = "epoch",
        data=None,
        samples: int = 5,
        directions: int = 2,
        tolerance: float = 1e-3,
        dropout: str = "bypass",
        expected: Sequence[str] = (),
        on_failure: str = "warn",
        time_budget: float | None = None,
        seed: int = 0,
        verbose: int = 1,
    ):
        super().__init__()
        self._settings = Settings(
            samples=samples,
            directions=directions,
            tolerance=tolerance,
            dropout=dropout,
            expected=expected,
            time_budget=time_budget,
            seed=seed,
        )
        if on_failure not in ON_FAILURE:
            refuse("on_failure", f"one of {ON_FAILURE}", on_failure)
        if not is_count(verbose) or verbose > 2:
            refuse("verbose", "0, 1 or 2", verbose)
        self.on_failure = on_failure
        self.verbose = verbose
        self.reports: list[GradientReport] = []
        self._schedule = Schedule(warmup_steps, check_freq)
        self._data = None if data is None else _fixed_batch(data)
        self._writer = None if log_dir is None else ReportWriter(log_dir)
        self._checker: GradientChecker | None = None
        self._allowance: Allowance | None = None
        self._attempts = self._put_off = 0
        self._waits = False
        self._known_failures: set[str] = set()

    def __getstate__(self):
        # A fit that was aborted leaves graphs behind, which can't be copied.
        return {**self.__dict__, "_checker": None}

    def set_model(self, model):
        self._take_back()
        super().set_model(model)

    def on_train_begin(self, logs=None):
        self._take_back()
        self._begin()
        self._attempts = self._put_off = 0
        self._known_failures = set()
        self._schedule.begin_epoch()

    def on_epoch_begin(self, epoch, logs=None):
        self._schedule.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        self._take_back()
        # A model that `fit` itself builds has no weights before its first step.
        if not has_weights(self.model):
            return
        if not self._schedule.is_due(iterations(self.model)):
            return
        if self._schedule.may_wait and not self._is_affordable():
            self._schedule.not_done()
            self._waits = True
            return
        self._waits = False
        if self._data is not None:
            self._check(lambda: self._data)
        else:
            show_next_batch(self.model, self._check_live)

    def on_train_batch_end(self, batch, logs=None):
        if self._allowance is not None:
            self._allowance.count_step()

    def on_epoch_end(self, epoch, logs=None):
        self._put_off += self._waits
        self._waits = False

    def on_train_end(self, logs=None):
        self._take_back()
        if self._writer is not None:
            self._writer.close()
        self._checker = None
        if self._put_off and self.verbose:
            print(
                f"In {self._put_off} epochs no gradient check was made, to keep checks "
                "below 5 % of training time. With `time_budget`, seconds for a check, "
                "each epoch has one."
            )
        if not self._attempts:
            warnings.warn(
                "No gradient check ran: training ended after "
                f"{iterations(self.model)} optimizer iterations, and "
                f"{self._schedule.describe()}. Train longer, or lower `warmup_steps` "
                "or `check_freq`. In a loop of your own that calls neither `fit` nor "
                "`train_on_batch`, pass a batch to check on as `data`.",
                GradwatchWarning,
                stacklevel=2,
            )

    def _take_back(self):
        """Leaves the model as it was, where a step that was due never came."""
        if self.model is not None and take_back(self.model, self._check_live):
            self._schedule.not_done()

    def _begin(self):
        self._checker = GradientChecker(self.model, self._settings)
        self._allowance = Allowance() if self._settings.time_budget is None else None

    def _is_affordable(self):
        if self._allowance is None or workers.are_several(self.model):
            return True  # each has a clock of its own, and all must check at once
        return self._allowance.affords_a_check()

    def _check_live(self, data):
        if data is None:  # of an unknown number of batches, the last was the last
            self._schedule.not_done()
            return
        strategy = self.model.distribute_strategy
        self._check(lambda: batches.from_live(data, strategy))

    def _check(self, batch):
        self._attempts += 1
        if self._checker is None:  # a loop without `on_train_begin`
            self._begin()
        strategy = self.model.distribute_strategy
        chief = workers.is_chief(strategy)
        started = time.perf_counter()
        budget = self._allowance and self._allowance.budget()
        report, error = _attempt(lambda: self._checker.check(batch(), budget))
        report, error = workers.agree(strategy, report, error)
        if error is None and self._writer is not None:
            _, error = _attempt(lambda: chief and self._writer.write(report))
            _, error = workers.agree(strategy, None, error)
        if self._allowance is not None:
            seconds = time.perf_counter() - started
            self._allowance.spend(seconds, self._checker.close_seconds)
        if error is not None:
            if self.on_failure == "raise":
                raise error
            warnings.warn(
                f"A gradient check could not be made at step {iterations(self.model)}; "
                f"training goes on. {type(error).__name__}: {error}",
                GradwatchWarning,
                stacklevel=2,
            )
        if report is None:
            return
        self.reports.append(report)
        if self.verbose and chief:
            print(f"\n{report if self.verbose == 2 else report.headline}")
        if report.verdict == FAIL:
            self._react(report)

    def _react(self, report):
        if self.on_failure == "raise":
            raise GradientMismatchError(report)
        if self.on_failure == "stop":
            self.model.stop_training = True
        # The whole table when something new is wrong, not at each check again.
        failures = {v.label for v in report.failures}
        if not failures <= self._known_failures:
            self._known_failures |= failures
            warnings.warn(str(report), GradientMismatchWarning, stacklevel=2)


def _attempt(work):
    """What came out, and what went wrong."""
    try:
        return work(), None
    except Exception as error:
        return None, error


def _fixed_batch(data):
    if not isinstance(data, tuple | list) or len(data) not in (1, 2, 3):
        refuse("data", "a tuple (x, y) or (x, y, sample_weight)", data)
    return batches.from_arrays(*data)
