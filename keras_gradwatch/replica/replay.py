"""Other values in the place of a model's variables, while its code runs."""

from __future__ import annotations

import contextlib

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.replica import keras_internals as internals
from keras_gradwatch.replica.recorder import Stage


class Scope(keras.StatelessScope):
    """A scope in which no gradient flows through what is assigned to a variable.

    So it is in training: what a variable is read to hold is a new tensor.
    """

    def give(self, variable, value) -> None:
        """Sets a value that gradients do flow to."""
        super().add_update((variable, value))

    def add_update(self, update) -> None:
        variable, value = update
        super().add_update((variable, tf.stop_gradient(value)))


class Replay(Stage):
    """The values that stand in for the model's variables while its code runs.

    Args:
        scope: The open `StatelessScope`.
        trainable: The trainable variables.
        paths: A name for each of them.
        values: What stands for them where a tape records.

    Attributes:
        still: What stands for them elsewhere, if it is anything else.
    """

    def __init__(self, scope, trainable, paths, values):
        self.scope, self.trainable, self.paths = scope, trainable, paths
        self.values, self.still = values, None
        self._given = self.fill(trainable, values)

    def move(self, is_differentiated):
        if self.still is not None:
            chosen = self.values if is_differentiated else self.still
            self._given = self.fill(self.trainable, chosen)

    def watch(self, tape):
        for value in self._given:
            if not isinstance(value, tf.Variable):  # which tapes watch by themselves
                tape.watch(value)

    def value_of(self, variable):
        by_id = dict(zip(map(id, self.trainable), self._given, strict=True))
        return by_id[id(variable)]

    def fill(self, variables, values) -> list:
        """Gives variables their values, each in the precision of its own."""
        given = []
        for variable, value in zip(variables, values, strict=True):
            own = tf.as_dtype(internals.stored_dtype(variable))
            if value.dtype != own:
                value = tf.cast(value, own)
            self.scope.give(variable, value)
            given.append(value)
        return given

    def assert_not_assigned(self) -> None:
        """Raises if the model's code gave a trainable weight another value."""
        changed = [
            path
            for path, variable, value in zip(
                self.paths, self.trainable, self._given, strict=True
            )
            if self.scope.get_current_value(variable) is not value
        ]
        if changed:
            raise UncheckableError(
                f"The forward pass assigns to the trainable weight {changed[0]}"
                f"{' and others' if len(changed) > 1 else ''}, as "
                "SpectralNormalization does: what is differentiated is then not "
                "the weight that the optimizer holds, and differences can't tell "
                "whether the gradient is right. Check a model without that layer, "
                "or compute the changed weight instead of assigning it."
            )


@contextlib.contextmanager
def inlined(active):
    """Runs functions that were decorated with `tf.function` as plain Python."""
    before = tf.config.functions_run_eagerly()
    if active:
        tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def full_tracebacks():
    """Keeps the frames that tell in which layer an error arose."""
    filtered = keras.config.is_traceback_filtering_enabled()
    keras.config.disable_traceback_filtering()
    try:
        yield
    finally:
        if filtered:
            keras.config.enable_traceback_filtering()
