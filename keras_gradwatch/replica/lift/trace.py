"""A training step, traced once: its losses, its gradients, what optimizers get.

In the precision that a `Replica` is set to. What is asked of the trace, such as the
loss and the gradient in float64 (`Lifted`), or the step as it is (`Pure`), is made of
its graph, not of another trace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.replica.places import Places
from keras_gradwatch.replica.recorder import Call, Recording, Span, Update
from keras_gradwatch.replica.replica import Replica


@dataclass(frozen=True)
class Trace:
    """What a traced graph has of one loss.

    Args:
        graph: The graph, in the model's own precision. Its first inputs, captures
            apart, are states and the batch.
        call: What is differentiated, and what the tape returned: tensors of the graph.
        scale: By what the gradient is larger than that of the loss; None if by nothing.
        variables: The weights.
        handles: For each weight, the handles of the variables that stand for it.
        known: For each state of the loss, the handles that stand for it, and maybe the
            number of the input of the graph.
        spans: Between which operations reads of a weight move with it; None: all.
        places: Which layer made which operation.
        replayed: Opens what the model's code was traced in: a backward pass that is
            asked again reads the same.
    """

    graph: tf.Graph
    call: Call
    scale: tf.Tensor | None
    variables: tuple[Any, ...]
    handles: tuple[tuple[Any, ...], ...]
    known: tuple[tuple[tuple[Any, ...], int | None], ...]
    spans: tuple[Span, ...] | None
    places: Places
    replayed: Callable[[], contextlib.AbstractContextManager]

    @functools.cached_property
    def inside(self) -> dict[int, int]:
        """Positions of the weights, by the ids of what stands for them in the graph."""
        places = {id(h): k for k, handles in enumerate(self.handles) for h in handles}
        return {
            id(t): places[id(outside)]
            for outside, t in self.graph.captures
            if id(outside) in places
        }

    @functools.cached_property
    def moving(self) -> frozenset[str]:
        """Names of the operations in which a weight moves: others read it as it is."""
        names = [op.name for op in self.graph.get_operations()]
        spans = [(0, len(names))] if self.spans is None else self.spans
        return frozenset(name for start, end in spans for name in names[start:end])

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the weights."""
        return [tuple(v.shape) for v in self.variables]

    @property
    def gradients(self) -> list[Any]:
        """A gradient or None for each weight."""
        return [self.call.gradients[id(v)] for v in self.variables]

    @property
    def present(self) -> list[bool]:
        """For each weight, whether the tape returned a gradient."""
        return [gradient is not None for gradient in self.gradients]


@dataclass(frozen=True)
class StepTrace:
    """One trace of a training step.

    Args:
        function: A concrete function `(states, batch) -> tensors`. It reads variables
            for the weights.
        recording: What the step did: tensors of its graph.
        tensors: Those that the function returns, in its order.
        replica: The `Replica` that was traced.
        stand_ins: The variables that stand for the weights.
        places: Which layer made which operation.
        replayed: Opens what the model's code was traced in.
    """

    function: Any
    recording: Recording
    tensors: list[tf.Tensor]
    replica: Replica
    stand_ins: list[tf.Variable]
    places: Places
    replayed: Callable[[], contextlib.AbstractContextManager]

    def loss(self, replica: Replica) -> Trace:
        """What the graph has of the loss of a replica.

        Args:
            replica: A `Replica` of the same model.

        Raises:
            UncheckableError: If that loss can't be checked.
        """
        call = self.recording.calls[replica.objective.call or 0]
        if call.tape in self.recording.refused:
            raise self.recording.refused[call.tape].with_traceback(None)
        scale = None
        if replica.objective.call is None:
            call, scale = self._unscaled(call)
        rows = zip(self.replica.trainable, self.stand_ins, strict=True)
        standing = {id(v): _handles(value) for v, value in rows}
        inputs = {id(v): k for k, v in enumerate(self.replica.others)}
        live = zip(replica.trainable, replica.live_weights, strict=True)
        states = zip(replica.others, replica.live_states, strict=True)
        return Trace(
            graph=self.function.graph,
            call=call,
            scale=scale,
            variables=tuple(replica.trainable),
            handles=tuple((*standing[id(v)], *_handles(raw)) for v, raw in live),
            known=tuple(
                ((*standing.get(id(v), ()), *_handles(raw)), inputs.get(id(v)))
                for v, raw in states
            ),
            spans=None
            if call.tape is None
            else self.recording.spans.get(call.tape, ()),
            places=self.places,
            replayed=self.replayed,
        )

    def by_handle(self) -> dict[int, Any]:
        """The Keras variables by the ids of the handles that stand for them."""
        replica = self.replica
        rows = [
            *zip(replica.trainable, self.stand_ins, strict=True),
            *zip(replica.trainable, replica.live_weights, strict=True),
            *zip(replica.others, replica.live_states, strict=True),
        ]
        return {id(handle): v for v, raw in rows for handle in _handles(raw)}

    def _unscaled(self, call):
        """The loss before the default step scales it for its optimizer."""
        for scaling in self.recording.scalings:
            if scaling.scaled is call.targets[0]:
                return dataclasses.replace(call, targets=[scaling.loss]), scaling.factor
        return call, None

    def recording_of(self, found: Sequence[tf.Tensor]) -> Recording:
        """What the step did, with other tensors for those of the graph.

        Args:
            found: For each of `tensors`, what stands for it.
        """
        new = {id(old): tensor for old, tensor in zip(self.tensors, found, strict=True)}
        made: dict[int, Any] = {}

        def of(value):
            # One value may be handed on by many: it stays one.
            if id(value) not in made:
                made[id(value)] = _mapped(value, lambda t: new.get(id(t), t))
            return made[id(value)]

        return _with(self.recording, of)


def _with(recording, of: Callable) -> Recording:
    calls = [
        dataclasses.replace(
            call,
            targets=[of(t) for t in call.targets],
            weights=call.weights and [of(w) for w in call.weights],
            gradients={key: of(g) for key, g in call.gradients.items()},
        )
        for call in recording.calls
    ]
    updates = [
        Update(update.optimizer, tuple(map(of, update.gradients)), update.variables)
        for update in recording.updates
    ]
    return Recording(
        calls,
        updates,
        scaled=set(recording.scaled),
        scaled_by_hand=set(recording.scaled_by_hand),
        assigned=set(recording.assigned),
    )


def traced(replica: Replica, states: Sequence[tf.Tensor], batch: Any) -> StepTrace:
    """Traces the training step of a replica. Nothing is computed.

    Args:
        replica: The `Replica`.
        states: What `Replica.states` returned.
        batch: What `train_step` is handed, in the precision of training, or nested
            specs of it.

    Raises:
        UncheckableError: If the step can't be followed.
        Exception: What the model's own code raises.
    """
    stand_ins = replica.stand_ins()
    made: list[tuple] = []
    inside: list[tf.Tensor] = []

    def step(states, batch):
        inside[:] = states
        recording = replica.recorded_step(stand_ins, states, batch)
        tensors = list({id(t): t for t in _tensors(recording)}.values())
        made[:] = [(recording, tensors)]
        return [tf.identity(tensor) for tensor in tensors]

    places, compiled = Places(), tf.function(step, autograph=False)
    with places.recording():
        function = compiled.get_concrete_function(states, batch)
    places.settle(function.graph)
    ((recording, tensors),) = made
    return StepTrace(
        function=function,
        recording=recording,
        tensors=tensors,
        replica=replica,
        stand_ins=stand_ins,
        places=places,
        replayed=functools.partial(replica.replayed, stand_ins, inside, as_step=True),
    )


def traced_alone(replica: Replica, batch: Any) -> Trace:
    """What a replica differentiates, traced for itself.

    Args:
        replica: The `Replica`.
        batch: What `train_step` is handed.
    """
    return traced(replica, replica.states(), batch).loss(replica)


def _tensors(recording) -> Iterator[tf.Tensor]:
    """All that a step computed, as far as it can be read in its graph."""
    for call in recording.calls:
        values = [*call.targets, *(call.weights or ()), *call.gradients.values()]
        for value in values:
            yield from _parts(value)
    for update in recording.updates:
        for value in update.gradients:
            yield from _parts(value)


def _parts(value):
    if isinstance(value, tf.IndexedSlices):
        parts = [value.values, value.indices, value.dense_shape]
    else:
        parts = [value]
    return [t for t in parts if tf.is_tensor(t) and graphs.is_readable(t)]


def _mapped(value, function):
    if not isinstance(value, tf.IndexedSlices):
        return value if value is None else function(value)
    shape = value.dense_shape
    shape = shape if shape is None else function(shape)
    return tf.IndexedSlices(function(value.values), function(value.indices), shape)


def _handles(variable) -> tuple[Any, ...]:
    return (variable.handle,) if hasattr(variable, "handle") else ()
