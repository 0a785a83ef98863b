"""The independent copy of a model on which a check works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.framework.model import read_variable, states_of
from keras_gradwatch.framework.patches import applied
from keras_gradwatch.replica import precision, randomness
from keras_gradwatch.replica.recorder import Recording, recorded, total
from keras_gradwatch.replica.replay import Replay, Scope, full_tracebacks, inlined
from keras_gradwatch.replica.train_step import Objective


@dataclass(frozen=True)
class Weight:
    """A trainable variable of the live model, as the replica knows it."""

    path: str
    shape: tuple[int, ...]


class Replica:
    """A float64 copy of a model's weights, and its loss as a function of them.

    The model is not cloned: its own code is replayed with other values in the
    place of its variables (`keras.StatelessScope`), with its precision raised
    and its random knobs turned off while the code runs. Writes go nowhere.

    Args:
        model: The live model.
        dropout: `"bypass"` switches dropout and noise off. `"freeze"` leaves
            them on; the seeds are states, so every evaluation draws the same.
        objective: What of the training step to evaluate.

    Attributes:
        weights: A `Weight` for each variable that is differentiated for.
        values: The `tf.Variable`s that stand for them, in float64 unless their
            layer is `kept`.
        kept: Ids of layers and losses that compute in their own precision.
        inlined: Whether functions that the user decorated with `tf.function`
            are replayed as plain Python.
    """

    def __init__(self, model, dropout, objective: Objective):
        self.model = model
        self.dropout = dropout
        self.objective = objective
        self.kept: set[int] = set()
        self.inlined = False
        self._trainable = list(objective.variables)
        self._states = states_of(model, self._trainable)
        paths = _unique([v.path for v in self._trainable])
        self.weights = tuple(
            Weight(path, tuple(v.shape))
            for path, v in zip(paths, self._trainable, strict=True)
        )
        self.values = self._new_values()

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""
        return internals.all_layers(self.model)

    @property
    def layers_by_name(self) -> dict:
        """The layers by name; of several with one name, the last."""
        return {layer.name: layer for layer in self.layers}

    def paths_by_layer(self) -> dict[int, tuple[str, ...]]:
        """Paths of the weights that each layer itself holds, by the layer's id."""
        owner = {
            id(v): id(layer) for layer in self.layers for v in layer.trainable_variables
        }
        paths: dict[int, tuple[str, ...]] = {}
        for weight, variable in zip(self.weights, self._trainable, strict=True):
            layer = owner.get(id(variable))
            if layer is not None:
                paths[layer] = (*paths.get(layer, ()), weight.path)
        return paths

    @property
    def variables(self) -> list:
        """Every Keras variable of the live model that it knows, weights first."""
        return [*self._trainable, *self._states]

    def copy_weights(self, read: Callable | None = None) -> list[tf.Tensor]:
        """Copies the live weights and returns the live states.

        Args:
            read: What to take for a variable instead of its live value.

        Returns:
            The states, floats in float64, to be passed to `loss`.
        """
        read = read or read_variable
        for copy, live in zip(self.values, self._trainable, strict=True):
            copy.assign(tf.cast(read(live), copy.dtype), read_value=False)
        return [_as_state(read(v)) for v in self._states]

    def loss(
        self,
        values: Sequence[Any],
        states: Sequence[tf.Tensor],
        batch: Any,
        still: Sequence[Any] | None = None,
    ) -> tf.Tensor:
        """The training loss: a float64 scalar, a pure function of its arguments.

        Args:
            values: A tensor or `tf.Variable` for each of `weights`.
            states: What `copy_weights` returned.
            batch: What `train_step` is handed, floats in float64.
            still: Values for what a `train_step` computes before its tape, such
                as a goal to reach: no gradient flows there.

        Raises:
            UncheckableError: If the model assigns to a trainable weight.
        """
        if self.objective.call is not None:
            return self._loss_of_step(values, states, batch, still)
        with self._replay(values, states) as replay:
            loss = internals.training_loss(self.model, batch)
            replay.assert_not_assigned()
        return tf.reduce_sum(tf.cast(loss, tf.float64))

    def _loss_of_step(self, values, states, batch, still):
        weights = None
        if self.objective.weighted and still is not None:
            with self._replay(still, states) as replay:
                weights = self._run_step(batch, replay).weights
        with self._replay(values, states, still) as replay:
            call = self._run_step(batch, replay)
        return total(call.targets, call.weights if weights is None else weights)

    def loss_and_gradient(
        self, states: Sequence[tf.Tensor], batch: Any
    ) -> tuple[tf.Tensor, list[Any]]:
        """The loss at `values`, and what the training step's tape returns for it.

        Returns:
            A tuple `(loss, gradients)`, a gradient or None for each of `weights`.
        """
        if self.objective.call is None:
            with tf.GradientTape() as tape:
                loss = self.loss(self.values, states, batch)
            return loss, tape.gradient(loss, self.values)
        with self._replay(self.values, states) as replay:
            call = self._run_step(batch, replay, wanted=self.objective.call)
        return call.target, [call.gradients[id(v)] for v in self._trainable]

    def train_step(
        self,
        states: Sequence[tf.Tensor],
        batch: Any,
        with_gradients: bool = True,
        at_end: Callable | None = None,
    ) -> Recording:
        """Runs the model's whole training step.

        Args:
            states: What `copy_weights` returned.
            batch: What `train_step` is handed.
            with_gradients: Whether to compute the gradients for weights.
            at_end: Called, while the values still stand, with a function that
                returns the value of a variable.
        """
        recording = Recording()
        with (
            self._replay(self.values, states) as replay,
            recorded(self.model, recording, lambda call: with_gradients, replay),
        ):
            self.model.train_step(batch)
            if at_end is not None:
                at_end(replay.scope.get_current_value)
        return recording

    def _run_step(self, batch, replay, wanted=None):
        recording, objective = Recording(), self.objective

        def is_wanted(call):
            # What is part of the loss itself is computed for its value too.
            return call == wanted or (objective.nested and call < objective.call)

        if id(self.model) in self.kept:
            # Its own code mixes the data with what native layers return.
            batch = batches.as_floatx(batch)
        with recorded(self.model, recording, is_wanted, replay):
            self.model.train_step(batch)
        return recording.calls[objective.call or 0]

    @contextlib.contextmanager
    def _replay(self, values, states, still=None):
        """Puts other values in the place of the model's variables.

        Args:
            values: For the weights.
            states: For what else the model reads.
            still: For the weights where no tape of the objective records.

        Yields:
            A `Replay`.
        """
        patches = precision.double_precision(
            self.model, [*self._trainable, *self._states], self.kept
        )
        patches += internals.hidden_metrics(self.model)
        if self.dropout == "bypass":
            patches += randomness.bypassed(self.model)
        dtypes = {
            id(layer): internals.inner_policy(layer).compute_dtype
            for layer in self.layers
        }
        scope = Scope(collect_losses=True, initialize_variables=False)
        with (
            untouched(self.model),
            applied(patches),
            inlined(self.inlined),
            full_tracebacks(),
            randomness.drawn_as_in_training(self.model, dtypes, self.kept),
            precision.losses_in_double(self.model, self.kept),
            scope,
        ):
            paths = [weight.path for weight in self.weights]
            tape = self.objective.tape
            replay = Replay(scope, self._trainable, paths, values, still, tape)
            replay.know(self._states, states)
            yield replay

    def unreplayable(self, error: Exception) -> UncheckableError:
        """What to raise where the model's code fails in the replay."""
        return unreplayable(error)

    def live_handles(self) -> set[int]:
        """Ids of the resource handles of the live weights and states."""
        raw = [internals.raw_value(v) for v in [*self._trainable, *self._states]]
        return {id(v.handle) for v in raw if hasattr(v, "handle")}

    def keep_native(self, thing: Any) -> bool:
        """Lets a layer, with all in it, or a loss compute in its own precision.

        Returns:
            Whether that changes anything.
        """
        things = [thing]
        if isinstance(thing, keras.Layer):
            things = internals.all_layers(thing)
        if thing is self.model:  # which also adds its losses up
            things = [*things, *internals.loss_objects(thing)]
        new = {id(t) for t in things} - self.kept
        if new:  # else graphs that were traced for the present values stay valid
            self.kept |= new
            self.values = self._new_values(self.values)
        return bool(new)

    def _new_values(self, old=None):
        """Variables to differentiate for, each in the precision of its layer."""
        native = precision.native_variables(self.model, self.kept)
        values = []
        for k, variable in enumerate(self._trainable):
            own = internals.stored_dtype(variable) if id(variable) in native else None
            start = tf.zeros(variable.shape) if old is None else old[k]
            values.append(
                tf.Variable(tf.cast(start, own or tf.float64), trainable=True)
            )
        return values


def unreplayable(error: Exception) -> UncheckableError:
    """What to raise where the model's code fails in the replay."""
    return UncheckableError(
        "The training loss of this model could not be replayed on this data. If "
        "`model.train_on_batch` accepts the data, the replay is to blame, else the "
        f"data does not fit the model. Received: {type(error).__name__}: {error}"
    )


def _as_state(value):
    return tf.cast(value, tf.float64) if precision.is_float(value.dtype) else value


def _unique(paths):
    """Tells variables of the same path apart, as two tied models may have."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path] = seen.get(path, 0) + 1
        names.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    return names
