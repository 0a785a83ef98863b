"""The calls of layers, operations and losses while a graph was traced.

And where among them an operation of the graph stands: one of the backward pass stands
where the operation does whose gradient it computes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.framework.patches import Replacement, replaced


@dataclass(eq=False)
class Visit:
    """One call of a layer, an operation or a loss.

    Attributes:
        thing: What was called.
        number: Which call of it this is, 0 for the first.
        order: How many calls of anything began before.
        parent: The call in whose code it was made, None in that of the step.
        graph: The graph that was traced then: in a loop, that of its rounds.
        start: How many operations the graph had before.
        end: And after.
        inputs: The float tensors that went in.
        outputs: Those that came out.
    """

    thing: Any
    number: int
    order: int
    parent: Visit | None
    graph: tf.Graph
    start: int
    end: int = 0
    inputs: list[tf.Tensor] = field(default_factory=list)
    outputs: list[tf.Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Spot:
    """Where an operation stands.

    Args:
        own: The operation.
        operation: It, or the one whose gradient it computes; None if that is not known.
        is_backward: Whether it is of the backward pass.
        visit: The innermost call in which it stands, None in the code of the step.
        before: The last call within this one that ended before it.
        after: The first that began after it.
    """

    own: tf.Operation
    operation: tf.Operation | None
    is_backward: bool
    visit: Visit | None
    before: Visit | None
    after: Visit | None


class Visits:
    """What was called while a graph was traced, and for what a tape went backward.

    Attributes:
        all: The calls, in the order in which they began.
        graph: The graph, once it is traced.
    """

    def __init__(self) -> None:
        self.graph: tf.Graph | None = None
        self.all: list[Visit] = []
        self._open: list[Visit] = []
        self._calls: dict[int, int] = {}
        # Of each graph: from where to where, and whose gradient that is.
        self._gradients: list[tuple[tf.Graph, int, int, Any]] = []
        self._passes: list[tuple[tf.Graph, int, int]] = []

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Watches calls. Only this thread is affected."""
        kinds = (keras.layers.Layer, keras.Operation, keras.losses.Loss)
        with replaced(
            [
                *(Replacement(kind, "__call__", self._call) for kind in kinds),
                Replacement(tf.GradientTape, "gradient", self._backward),
                *operations.watched_gradients(self._gradient),
            ]
        ):
            yield

    def spot(self, function: str, name: str) -> Spot | None:
        """Where an operation stands, None if it is not known.

        Args:
            function: Name of the function in which it is; empty for the graph itself.
            name: Its name, or one that was made of it by going on with a slash.
        """
        graph = self.graph
        if graph is not None and function:
            graph = operations.graph_of_function(graph, function)
        if graph is None:
            return None
        operation = _operation(graph, name)
        if operation is None:
            return None
        index = graph.get_operations().index(operation)
        gradients = [
            g for g in self._gradients if g[0] is graph and g[1] <= index < g[2]
        ]
        inner = min(gradients, key=lambda g: g[2] - g[1], default=None)
        if inner is None:
            is_backward = "gradient_tape/" in name or any(
                g is graph and a <= index < b for g, a, b in self._passes
            )
            return self._at(operation, operation, is_backward)
        return self._at(operation, _forward(inner[3]), True)

    def _at(self, own, operation, is_backward):
        place = operation or own
        graph = place.graph
        index = graph.get_operations().index(place)
        calls = [v for v in self.all if v.graph is graph]
        around = [v for v in calls if v.start <= index < v.end]
        visit = min(around, key=lambda v: v.end - v.start, default=None)
        inside = [v for v in calls if v.parent is visit and v not in around]
        if visit is None:  # of a loop, the calls in its rounds
            inside = [
                v for v in calls if v.parent is None or v.parent.graph is not graph
            ]
            outer = {id(v.parent): v.parent for v in inside}
            visit = next(iter(outer.values())) if len(outer) == 1 else None
        before = [v for v in inside if v.end <= index]
        after = [v for v in inside if v.start > index]
        return Spot(
            own,
            operation,
            is_backward,
            visit,
            max(before, key=lambda v: v.end, default=None),
            min(after, key=lambda v: v.start, default=None),
        )

    def _call(self, original, thing, *args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        is_inner = self._open and self._open[-1].thing is thing
        if is_inner and not isinstance(thing, keras.losses.Loss):
            return original(thing, *args, **kwargs)  # what a layer inherits
        number = self._calls.get(id(thing), 0)
        self._calls[id(thing)] = number + 1
        parent = self._open[-1] if self._open else None
        visit = Visit(thing, number, len(self.all), parent, graph, graph.version)
        visit.inputs = _tensors((args, kwargs))
        self.all.append(visit)
        self._open.append(visit)
        try:
            outputs = original(thing, *args, **kwargs)
        finally:
            self._open.pop()
            visit.end = graph.version
        visit.outputs = _tensors(outputs)
        return outputs

    def _backward(self, original, tape, *args, **kwargs):
        graph = tf.compat.v1.get_default_graph()
        start = graph.version
        try:
            return original(tape, *args, **kwargs)
        finally:
            self._passes.append((graph, start, graph.version))

    def _gradient(self, graph, start, end, operation):
        self._gradients.append((graph, start, end, operation))


def _tensors(structure) -> list[tf.Tensor]:
    return [
        leaf
        for leaf in keras.tree.flatten(structure)
        if isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating
    ]


def _operation(graph, name):
    known = name
    while True:
        try:
            return graph.get_operation_by_name(known)
        except (KeyError, ValueError):
            known, slash, _ = known.rpartition("/")
            if not slash:
                return None


def _forward(operation: Any) -> tf.Operation | None:
    """The operation that a tape knows by what it takes and gives."""
    if isinstance(operation, tf.Operation):
        return operation
    outputs = [t for t in operation.outputs or () if tf.is_tensor(t)]
    if outputs:
        return outputs[0].op
    inputs: Sequence[Any] = [t for t in operation.inputs or () if tf.is_tensor(t)]
    takers = (op for t in inputs for op in t.consumers() if op.type == operation.type)
    return next(takers, None)
