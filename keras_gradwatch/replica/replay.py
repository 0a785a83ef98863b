"""Other values in the place of a model's variables, while its code runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.replica.known import ASSIGNED
from keras_gradwatch.replica.recorder import Stage


class Scope(keras.StatelessScope):
    """A scope in which no gradient flows through what is assigned to a variable.

    So it is in training: what a variable is read to hold is a new tensor.

    Attributes:
        tapes: Those that record: they watch what is assigned to a weight.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.tapes: list[tf.GradientTape] = []

    def give(self, variable: Any, value: Any) -> None:
        """Sets a value that gradients do flow to."""
        super().add_update((variable, value))

    def add_update(self, update: tuple[Any, Any]) -> None:
        variable, value = update
        value = tf.stop_gradient(value, name=ASSIGNED)
        if variable.trainable:
            for tape in self.tapes:
                tape.watch(value)
        super().add_update((variable, value))


class Replay(Stage):
    """The values that stand in for the model's variables while its code runs.

    A loss depends on the weights only while its own tape records. What the step
    computes before, such as a goal to reach, or another place to move its weights
    to, is no part of what it differentiates.

    Args:
        scope: The open `StatelessScope`.
        trainable: The trainable variables.
        paths: A name for each of them.
        values: What stands for them while the tape records, and elsewhere too
            unless `still` is given.
        still: What stands for them elsewhere.
        tape: Number of the tape; of any, if None.
    """

    def __init__(self, scope, trainable, paths, values, still=None, tape=None):
        self.scope, self.trainable, self.paths = scope, trainable, paths
        self._values, self._still, self._tape = values, still, tape
        self._start = self.fill(trainable, values if still is None else still)
        self._given = self._before = self._start
        self._taped: list | None = None  # what the tape of the objective saw
        self._assigned: dict[int | None, list[int]] = {}
        self._others: dict[int, tf.Tensor] = {}

    def begin(self, number: int | None, is_outermost: bool) -> None:
        if is_outermost:  # the step itself may have moved its weights
            self._given = list(map(self.scope.get_current_value, self.trainable))
        if self._moves(number):
            self._before = self._given
            count = len(self.trainable)
            self._given = self.fill(self.trainable, map(self._moved, range(count)))
            self._taped = self._given

    def know(self, variables: Sequence[keras.Variable], values: Iterable[Any]) -> None:
        """Gives other variables their values; inner gradients may be for them."""
        given = self.fill(variables, values)
        self._others = {
            id(variable): value
            for variable, value in zip(variables, given, strict=True)
            if variable.trainable and value.dtype.is_floating
        }

    def watch(self, tape: tf.GradientTape) -> None:
        for value in [*self._given, *self._others.values()]:
            if not isinstance(value, tf.Variable):  # which tapes watch by themselves
                tape.watch(value)

    def end(self, number: int | None, tape: tf.GradientTape) -> None:
        changed = self._assigned[number] = self._changed()
        if self._moves(number):
            for k, before in enumerate(self._before):
                if k not in changed:
                    self.scope.give(self.trainable[k], before)
            self._given = self._before

    def value_of(self, variable: Any, number: int | None = None) -> Any:
        given = self._given if self._taped is None else self._taped
        by_id = dict(zip(map(id, self.trainable), given, strict=True))
        return {**self._others, **by_id}[id(variable)]

    def fill(self, variables: Sequence[keras.Variable], values: Iterable[Any]) -> list:
        """Gives variables their values, each in the precision of its own."""
        given = []
        for variable, value in zip(variables, values, strict=True):
            own = tf.as_dtype(internals.stored_dtype(variable))
            if value.dtype != own:
                value = tf.cast(value, own)
            self.scope.give(variable, value)
            given.append(value)
        return given

    def assert_not_assigned(self, number: int | None = None) -> None:
        """Raises if the model's code gave a trainable weight another value."""
        if self._tape is not None and number != self._tape:
            return
        refusal = self._refusal(number)
        if refusal is not None:
            raise refusal

    def _refusal(self, number):
        changed = self._assigned.get(number, self._changed())
        if not changed:
            return None
        return UncheckableError(
            f"The forward pass assigns to the trainable weight "
            f"{self.paths[changed[0]]}"
            f"{' and others' if len(changed) > 1 else ''}, as "
            "SpectralNormalization does: what is differentiated is then not "
            "the weight that the optimizer holds, and differences can't tell "
            "whether the gradient is right. Check a model without that layer, "
            "or compute the changed weight instead of assigning it."
        )

    def assigned(self) -> set[int]:
        """Ids of the weights to which the code gave other values than at its start."""
        now = map(self.scope.get_current_value, self.trainable)
        held = zip(self.trainable, now, self._start, strict=True)
        return {id(v) for v, value, start in held if value is not start}

    def _moves(self, number):
        return self._still is not None and number == self._tape

    def _moved(self, k):
        """A weight, as far from where the step has put it as it is to be moved."""
        if self._given[k] is self._start[k]:
            return self._values[k]
        away = self._values[k] - self._still[k]
        return tf.cast(self._given[k], away.dtype) + away

    def _changed(self):
        """Which variables hold something else than they were given."""
        now = map(self.scope.get_current_value, self.trainable)
        return [k for k, v in enumerate(now) if v is not self._given[k]]


@contextlib.contextmanager
def inlined(active: bool) -> Iterator[None]:
    """Runs functions that were decorated with `tf.function` as plain Python."""
    before = tf.config.functions_run_eagerly()
    if active:
        tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def full_tracebacks() -> Iterator[None]:
    """Keeps the frames that tell in which layer an error arose."""
    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()
