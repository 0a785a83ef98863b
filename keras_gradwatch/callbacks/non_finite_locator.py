"""`NonFiniteLocator`: says where the first NaN or infinity came from."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.arguments import is_count, refuse
from keras_gradwatch.callbacks import standing_iterator as channel
from keras_gradwatch.callbacks import workers
from keras_gradwatch.callbacks.next_batch import take_back, watch_next_call
from keras_gradwatch.callbacks.watcher import ON_FAILURE, attempt
from keras_gradwatch.errors import GradwatchWarning, NonFiniteWarning
from keras_gradwatch.findings.nonfinite import UNKNOWN, Entries, NonFinite
from keras_gradwatch.findings.raised import NonFiniteError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.keras_internals import has_default_train_step
from keras_gradwatch.framework.model import has_weights, read_variable
from keras_gradwatch.framework.optimizers import iterations, optimizers
from keras_gradwatch.nonfinite.locate import Failure, Located, locate
from keras_gradwatch.nonfinite.logs import in_words, learning_rate, losses_of
from keras_gradwatch.nonfinite.probes import is_finite
from keras_gradwatch.nonfinite.saved import save_failure
from keras_gradwatch.nonfinite.watch import Watch, slots_that_tell
from keras_gradwatch.tensorboard.alert_writer import AlertWriter

# How many readings of the loss before the failure are told.
_READINGS = 6


class NonFiniteLocator(keras.callbacks.Callback):
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
        verbose: 0 prints nothing, 1 a line where something is found.

    Attributes:
        finding: The first `NonFinite` that was found, or None.
        findings: All of them: one at most in an epoch.

    Raises:
        InvalidArgumentError: If an argument is wrong.
    """

    def __init__(
        self,
        log_dir=None,
        *,
        check_freq: int = 1,
        save_dir=None,
        on_failure: str = "stop",
        verbose: int = 1,
    ):
        super().__init__()
        if not is_count(check_freq) or check_freq < 1:
            refuse("check_freq", "an integer, 1 or more", check_freq)
        if on_failure not in ON_FAILURE:
            refuse("on_failure", f"one of {ON_FAILURE}", on_failure)
        if not is_count(verbose) or verbose > 1:
            refuse("verbose", "0 or 1", verbose)
        if save_dir is None and log_dir is not None:
            save_dir = Path(log_dir) / "nonfinite"
        self.save_dir = save_dir
        self.check_freq = check_freq
        self.on_failure = on_failure
        self.verbose = verbose
        self.findings: list[NonFinite] = []
        self._writer = None if log_dir is None else AlertWriter(log_dir)
        self._forget()

    @property
    def finding(self) -> NonFinite | None:
        """The first thing that was found, or None."""
        return self.findings[0] if self.findings else None

    def __getstate__(self):
        # Of a fit that was aborted; graphs can't be copied.
        copied = dict(self.__dict__)
        for name in ("_watch", "_held"):
            copied[name] = None
        return copied

    def set_model(self, model: keras.Model) -> None:
        self._take_back()
        super().set_model(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._take_back()
        self._forget()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._watch is not None and not self._watch.is_of(self.model):
            self._watch = None
        # What was found is over if all is finite again, after it was mended.
        if self._is_over and self._watch is not None:
            self._is_over = bool(self._watch.not_finite(self._watch.sizes()))

    def on_train_batch_begin(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        self._take_back()
        self._count += 1
        if self._is_over or (self._count - 1) % self.check_freq:
            return
        if self._watch is None or self._is_alone:
            self._began = iterations(self.model)
        watch_next_call(self.model, self._before_step, self._after_step)
        self._is_waiting = True

    def on_train_batch_end(
        self, batch: int, logs: dict[str, Any] | None = None
    ) -> None:
        if self._is_waiting and not self._is_over:
            self._after_step(logs)  # in a loop of the user's own

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._take_back()
        if self._writer is not None:
            self._writer.close()
        self._watch = self._held = None
        channel.forget(self.model)

    def _forget(self):
        self._watch: Watch | None = None
        self._held: _Held | None = None
        # Alone: nothing was shown before the last step.
        self._is_over = self._is_waiting = self._is_alone = False
        self._count = self._began = 0
        self._losses: deque = deque(maxlen=_READINGS)
        self._sizes: deque = deque(maxlen=_READINGS)

    def _take_back(self):
        if self.model is not None:
            take_back(self.model, self._before_step)

    def _before_step(self, data):
        self._held, self._is_waiting = None, False
        if not data or (self._watch is None and not has_weights(self.model)):
            return
        try:
            if self._watch is None:
                self._begin()
            values = self._watch.copy()
            self._held = _Held(self._watch.step(values), values, data)
        except Exception as error:
            self._give_up(error)

    def _begin(self):
        several = self.model.steps_per_execution > 1 or len(optimizers(self.model)) > 1
        self._watch = Watch(self.model, with_slots=several)
        sizes = self._watch.sizes()
        trained = {id(v) for v in self._watch.weights}
        # A mask of -inf that a layer keeps is as it should be.
        self._watch.accept(
            [v for v in self._watch.not_finite(sizes) if id(v) not in trained]
        )
        self._note_sizes(iterations(self.model), sizes)

    def _after_step(self, logs):
        held, self._held = self._held, None
        self._is_waiting, self._is_alone = False, held is None
        if self._is_over:
            return
        try:
            located = self._look(held, logs)
        except Exception as error:
            self._give_up(error)
            return
        if located is not None:
            self._is_over = True
            self._hand_out(located)

    def _look(self, held, logs) -> Located | None:
        """What is found out after a step, None if all is well."""
        is_new = self._watch is None
        if is_new:  # the first step made the weights
            if not has_weights(self.model):
                return None
            self._watch = Watch(self.model)
        sizes = self._watch.sizes()
        losses = losses_of(self.model, logs)
        step = held.step if held is not None else self._began
        bad = self._watch.not_finite(sizes)
        bad_losses = {n: v for n, v in losses.items() if not math.isfinite(v)}
        if workers.are_several(self.model):
            bad_losses = {}  # each has its own, and all must act alike
        if is_new and not bad_losses and self._is_harmless(bad):
            self._watch.accept(bad)
            bad = []
        if self._count == 1 and not bad:
            bad = self._not_finite_at_birth()
        self._note_sizes(step + 1, sizes)
        if losses:
            self._losses.append((step, losses))
        if not bad and not bad_losses:
            if self._count == 1 and not self._watch.is_of(self.model):
                self._watch = None  # an optimizer made its variables in that step
            return None
        return self._located(step, held, bad, bad_losses)

    def _is_harmless(self, bad):
        """Whether it may have been so from the start, and has spoilt no weight."""
        slots = slots_that_tell(self.model, of_keras=True)
        telling = {id(v) for v in [*self._watch.weights, *slots]}
        return not any(id(v) in telling for v in bad)

    def _not_finite_at_birth(self):
        """What an optimizer made in its first step, and is not finite since."""
        known = {id(v) for v in self._watch.watched}
        return [
            v
            for v in slots_that_tell(self.model, of_keras=True)
            if id(v) not in known and not is_finite(read_variable(v))
        ]

    def _located(self, step, held, bad, bad_losses):
        seen = in_words(bad, bad_losses)
        # Of several losses, the one that fails.
        name = next(iter(bad_losses), None)
        history = tuple(
            (when, losses.get(name, next(iter(losses.values()))))
            for when, losses in self._losses
        )
        if held is None:
            return Located(self._not_replayed(step, seen, bad, history), None, {})
        located = self._replayed(
            held,
            Failure(
                step=step,
                seen=seen,
                values=held.values,
                batches=[],
                watched=tuple(self._watch.expected()),
                bad=tuple(bad),
                history=history,
                growth=tuple(self._sizes)[:-1] if bad else tuple(self._sizes),
                rate=learning_rate(self.model),
                is_gapless=self.check_freq == 1,
            ),
        )
        of_step = not has_default_train_step(self.model)
        if of_step and not bad and not located.finding.replayed:
            # A step may log what it likes.
            warnings.warn(
                f"At step {step} {seen}, but what the training step differentiates is "
                "finite in a replay, and so are the weights: this is not counted as "
                "a failure.",
                GradwatchWarning,
                stacklevel=2,
            )
            self._is_over = True
            return None
        return located

    def _not_replayed(self, step, seen, bad, history):
        note = (
            "The step can't be replayed: the model had no weights before it, or it was "
            "taken by neither `fit` nor `train_on_batch`."
        )
        return NonFinite(
            step,
            seen,
            UNKNOWN,
            place=bad[0].path if bad else "",
            entries=Entries.of(read_variable(bad[0])) if bad else None,
            history=history,
            notes=(note,),
            replayed=False,
        )

    def _replayed(self, held, failure) -> Located:
        """What a replay shows; of a batch on several devices, of each part in turn."""
        strategy = self.model.distribute_strategy
        parts = batches.count_of_parts(held.data[0], strategy)
        for device in range(parts):
            notes = self._notes()
            if parts > 1:
                notes += (f"The batch is the part on device {device + 1} of {parts}.",)
            of_device = [batches.from_live(d, strategy, device) for d in held.data]
            located = locate(
                self.model,
                dataclasses.replace(failure, batches=of_device, notes=notes),
            )
            if located.finding.replayed:
                break
        return located

    def _notes(self):
        if self.check_freq == 1:
            return ()
        return (
            f"Looked at every {self.check_freq} steps only: it may have arisen "
            "between. `check_freq=1` looks at each.",
        )

    def _note_sizes(self, step, sizes):
        self._sizes.append((step, self._watch.scale(sizes)))

    def _hand_out(self, located: Located):
        """The one place where what was found leaves the callback."""
        finding = located.finding
        is_chief = workers.is_chief(self.model.distribute_strategy)
        if self.save_dir is not None and located.batch is not None and is_chief:
            finding = self._saved(located)
        self.findings.append(finding)
        if self._writer is not None and is_chief:
            _, error = attempt(lambda: self._writer.write(finding.alert))
            if error is not None:
                self._give_up(error)
        if self.verbose and is_chief:
            print(f"\n{finding.headline}")
        if self.on_failure == "raise":
            raise NonFiniteError(finding)
        if self.on_failure == "stop":
            self.model.stop_training = True
        warnings.warn(str(finding), NonFiniteWarning, stacklevel=2)

    def _saved(self, located):
        finding = located.finding

        def value_of(variable):
            known = located.values.get(id(variable))
            return read_variable(variable) if known is None else known

        try:
            folder = save_failure(
                Path(self.save_dir) / f"step_{finding.step:06d}",
                self.model,
                located.batch,
                value_of,
                finding.to_json(),
            )
        except Exception as error:
            note = f"It could not be saved. {type(error).__name__}: {error}"
            return dataclasses.replace(finding, notes=(*finding.notes, note))
        return dataclasses.replace(finding, saved=folder)

    def _give_up(self, error):
        """Lets training go on without us."""
        self._is_over = True
        warnings.warn(
            "NonFiniteLocator could not do its work at step "
            f"{iterations(self.model)}; training goes on without it. "
            f"{type(error).__name__}: {error}",
            GradwatchWarning,
            stacklevel=2,
        )


@dataclasses.dataclass(frozen=True)
class _Held:
    """What is kept while a step runs.

    Args:
        step: Optimizer iterations before.
        values: Of the model's variables before, by id.
        data: What the steps of the call are handed.
    """

    step: int
    values: dict[int, tf.Tensor]
    data: list
