"""A model's own code as a function of weights, states and batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.framework.model import read_variable, states_of
from keras_gradwatch.framework.patches import Patch, applied
from keras_gradwatch.replica import precision, randomness
from keras_gradwatch.replica.known import is_overwritten
from keras_gradwatch.replica.precision import SINGLE
from keras_gradwatch.replica.recorder import Call, Recording, recorded, total
from keras_gradwatch.replica.replay import Replay, Scope, full_tracebacks, inlined
from keras_gradwatch.replica.scales import scaled_by_hand
from keras_gradwatch.replica.spans import Tapes
from keras_gradwatch.replica.train_step import Objective


@dataclass(frozen=True)
class Weight:
    """A trainable variable of the live model, as the replica knows it.

    Args:
        path: Its path, made distinct.
        shape: Its shape.
        is_overwritten: Whether what the tape returns for it is no gradient, but its
            next value.
    """

    path: str
    shape: tuple[int, ...]
    is_overwritten: bool = False


class Replica:
    """A model's training loss as a function of weights, states and batch.

    The model is not cloned: its own code is replayed with other values in the
    place of its variables (`keras.StatelessScope`), with its random knobs turned
    off while the code runs. Writes go nowhere.

    Args:
        model: The live model.
        dropout: `"bypass"` switches dropout and noise off. `"freeze"` leaves
            them on; the seeds are states, so every evaluation draws the same.
        objective: What of the training step to evaluate.
        precision: In what the model's code computes, see `precision`.

    Attributes:
        weights: A `Weight` for each variable that is differentiated for.
        precision: The same; it may be changed between two replays.
        inlined: Whether functions that the user decorated with `tf.function`
            are replayed as plain Python.
    """

    def __init__(self, model, dropout, objective: Objective, precision: str = SINGLE):
        self.model = model
        self.dropout = dropout
        self.objective = objective
        self.precision = precision
        self.inlined = False
        self._trainable = list(objective.variables)
        self._states = states_of(model, self._trainable)
        paths = _unique([v.path for v in self._trainable])
        self.weights = tuple(
            Weight(path, tuple(v.shape), is_overwritten(v))
            for path, v in zip(paths, self._trainable, strict=True)
        )

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""
        return internals.all_layers(self.model)

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

    @property
    def live_weights(self) -> list:
        """What TensorFlow has for the weights."""
        return [internals.raw_value(v) for v in self._trainable]

    @property
    def live_states(self) -> list:
        """What TensorFlow has for the states."""
        return [internals.raw_value(v) for v in self._states]

    @property
    def trainable(self) -> list:
        """The Keras variables of the weights."""
        return list(self._trainable)

    @property
    def others(self) -> list:
        """The Keras variables of the states."""
        return list(self._states)

    def values(self, read: Callable = read_variable) -> list[tf.Tensor]:
        """The weights, as they are stored.

        Args:
            read: What to take for a variable instead of its live value.
        """
        return [tf.identity(read(v)) for v in self._trainable]

    def states(self, read: Callable = read_variable) -> list[tf.Tensor]:
        """What else the model reads, as it is stored.

        Args:
            read: What to take for a variable instead of its live value.
        """
        return [tf.identity(read(v)) for v in self._states]

    def stand_ins(self) -> list[tf.Variable]:
        """Variables to trace with, one for each weight.

        The live ones, where they can be: code that was compiled before reads them, too.
        """
        dtypes = precision.stored(self.model, self._trainable, self.precision)
        return [
            v if _is_plain(v) and v.dtype.name == dtype else _placeholder(v, dtype)
            for v, dtype in zip(self.live_weights, dtypes, strict=True)
        ]

    def differentiated(
        self, values: Sequence[Any], states: Sequence[tf.Tensor], batch: Any
    ) -> Call:
        """The loss, and what the training step's own tape returns for it.

        Args:
            values: A tensor or `tf.Variable` for each of `weights`.
            states: What `states` returned.
            batch: What `train_step` is handed.

        Raises:
            UncheckableError: If the model assigns to a trainable weight.
        """
        if self.objective.call is not None:
            with self.replayed(values, states) as replay:
                return self._run_step(batch, replay, wanted=self.objective.call)
        # The tape is asked inside: what is computed again there, as by
        # `tf.recompute_grad`, must read these values too.
        with self.replayed(values, states) as replay:
            with tf.GradientTape() as tape:
                watch(tape, values)
                loss = self._default_loss(values, batch, replay)
            found = tape.gradient(loss, values)
        gradients = dict(zip(map(id, self._trainable), found, strict=True))
        return Call([loss], None, gradients, tuple(self._trainable))

    def loss(
        self,
        values: Sequence[Any],
        still: Sequence[Any] | None,
        states: Sequence[tf.Tensor],
        batch: Any,
    ) -> tf.Tensor:
        """The loss alone: a float64 scalar, a pure function of its arguments.

        Args:
            values: As for `differentiated`.
            still: The same for what a `train_step` computes before its tape, such
                as a goal to reach: no gradient flows there.
            states: As for `differentiated`.
            batch: The same.
        """
        if self.objective.call is None:
            with self.replayed(values, states) as replay:
                return tf.cast(self._default_loss(values, batch, replay), tf.float64)
        weights = None
        if self.objective.weighted and still is not None:
            with self.replayed(still, states) as replay:
                weights = self._run_step(batch, replay).weights
        with self.replayed(values, states, still) as replay:
            call = self._run_step(batch, replay)
        return total(call.targets, call.weights if weights is None else weights)

    def _default_loss(self, values, batch, replay):
        """What the default step differentiates, summed up."""
        loss = internals.training_loss(self.model, batch)
        replay.assert_not_assigned()
        return tf.reduce_sum(loss)

    def train_step(
        self,
        values: Sequence[Any],
        states: Sequence[tf.Tensor],
        batch: Any,
        with_gradients: bool = True,
        at_end: Callable | None = None,
    ) -> Recording:
        """Runs the model's whole training step.

        Args:
            values: As for `differentiated`.
            states: What `states` returned.
            batch: What `train_step` is handed.
            with_gradients: Whether to compute the gradients for weights.
            at_end: Called, while the values still stand, with a function that
                returns the value of a variable.
        """
        recording = Recording()
        with (
            self.replayed(values, states) as replay,
            recorded(self.model, recording, lambda call: with_gradients, replay),
        ):
            self.model.train_step(batch)
            recording.assigned = replay.assigned()
            if at_end is not None:
                at_end(replay.scope.get_current_value)
        return recording

    def recorded_step(
        self, values: Sequence[tf.Variable], states: Sequence[tf.Tensor], batch: Any
    ) -> Recording:
        """The whole training step, to be traced: for each of its losses.

        Args:
            values: What `stand_ins` returned.
            states: What `states` returned.
            batch: What `train_step` is handed.
        """
        recording, patches = Recording(), []
        if internals.has_default_train_step(self.model):
            # What it reports has no part in its loss.
            patches = [Patch(self.model, "compute_metrics", lambda *args, **kw: {})]
        with (
            self.replayed(values, states, as_step=True) as replay,
            recorded(self.model, recording, lambda call: True, replay),
            applied(patches),
        ):
            self.model.train_step(batch)
            recording.assigned = replay.assigned()
            now = replay.scope.get_current_value
            left = {id(v): now(v) for v in self.variables}
            recording.left = {k: t for k, t in left.items() if _is_made_here(t)}
            recording.strange = len(set(replay.scope.state_mapping) - set(left))
        graph = tf.compat.v1.get_default_graph()
        recording.spans, recording.refused = replay.spans(graph), replay.refused
        recording.scaled_by_hand = scaled_by_hand(recording, graph)
        return recording

    def _run_step(self, batch, replay, wanted=None):
        recording, objective = Recording(), self.objective

        def is_wanted(call):
            # What is part of the loss itself is computed for its value too.
            return call == wanted or (objective.nested and call < objective.call)

        with recorded(self.model, recording, is_wanted, replay):
            self.model.train_step(batch)
        return recording.calls[objective.call or 0]

    @contextlib.contextmanager
    def replayed(
        self,
        values: Sequence[Any],
        states: Sequence[tf.Tensor],
        still: Sequence[Any] | None = None,
        as_step: bool = False,
    ) -> Iterator[Any]:
        """Puts other values in the place of the model's variables.

        Args:
            values: For the weights.
            states: For what else the model reads.
            still: For the weights where no tape of the objective records.
            as_step: Whether the whole step is traced, for each of its losses.

        Yields:
            A `Replay`.
        """
        dtypes = {
            id(layer): internals.inner_policy(layer).compute_dtype
            for layer in self.layers
        }
        patches = precision.patches(self.model, self.variables, self.precision)
        patches += internals.hidden_metrics(self.model)
        # The loss objects of `compile()` are made when data is first seen, and stay.
        is_new = as_step and not internals.losses_are_built(self.model)
        if self.dropout == "bypass":
            patches += randomness.bypassed(self.model)
        scope = Scope(collect_losses=True, initialize_variables=is_new)
        with (
            untouched(self.model, losses=not is_new),
            applied(patches),
            inlined(self.inlined),
            full_tracebacks(),
            randomness.drawn_as_in_training(self.model, dtypes, self.precision),
            precision.losses_in(self.precision),
            scope,
        ):
            paths = [weight.path for weight in self.weights]
            tape = self.objective.tape
            replay: Replay
            if as_step:
                replay = Tapes(scope, self._trainable, paths, values)
            else:
                replay = Replay(scope, self._trainable, paths, values, still, tape)
            replay.know(self._states, states)
            yield replay

    def unreplayable(self, error: Exception) -> UncheckableError:
        """What to raise where the model's code fails in the replay."""
        return unreplayable(error)


def unreplayable(error: Exception) -> UncheckableError:
    """What to raise where the model's code fails in the replay."""
    return UncheckableError(
        "The training loss of this model could not be replayed on this data. If "
        "`model.train_on_batch` accepts the data, the replay is to blame, else the "
        f"data does not fit the model. Received: {type(error).__name__}: {error}"
    )


def watch(tape: tf.GradientTape, values: Sequence[Any]) -> None:
    """Makes a tape watch what stands for weights."""
    for value in values:
        if not isinstance(value, tf.Variable):  # which tapes watch by themselves
            tape.watch(value)


def _is_made_here(value):
    """Whether it is a tensor of the graph that is being traced."""
    return (
        isinstance(value, tf.Tensor)
        and tf.is_symbolic_tensor(value)
        and graphs.is_readable(value)
    )


def _is_plain(variable):
    """Whether a variable is one of TensorFlow's, on one device."""
    return isinstance(variable, tf.Variable) and not isinstance(
        variable, tf.distribute.DistributedValues
    )


def _placeholder(variable, dtype):
    return tf.Variable(tf.zeros(variable.shape, dtype), trainable=True)


def _unique(paths):
    """Tells variables of the same path apart, as two tied models may have."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path] = seen.get(path, 0) + 1
        names.append(path if seen[path] == 1 else f"{path}#{seen[path]}")
    return names
