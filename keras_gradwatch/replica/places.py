"""Which layer, or which loss, made which operation of a traced graph.

Names do not tell: TensorFlow counts up the names of scopes, and the layers of repeated
blocks share theirs. So the calls of layers and of losses are watched while a graph is
traced, and each operation belongs to the innermost call in which it was made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.findings.place import Line
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.graphs import backward_name
from keras_gradwatch.framework.lines import line_of
from keras_gradwatch.framework.patches import Replacement, replaced
from keras_gradwatch.replica.visits import Visits

_BACKWARD = "gradient_tape/"


class Places:
    """The calls of layers and losses while a graph was traced.

    Attributes:
        visits: All calls, those of operations and in loops too, and their order.
    """

    def __init__(self):
        self.visits = Visits()
        self._owners: dict[str, Any] = {}
        self._operations: dict[str, tf.Operation] = {}
        self._inside: dict[int, tf.Graph] = {}

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Watches the calls of layers and losses. Only this thread is affected."""

        def override(original, graph, *args, **kwargs):
            # Of a loop, a branch or a function too.
            self._inside[id(graph)] = graph
            return original(graph, *args, **kwargs)

        by_hand = Replacement(tf.Graph, "gradient_override_map", override)
        with self.visits.recording(), replaced([by_hand]):
            yield

    def settle(self, graph: tf.Graph) -> None:
        """Finds out who made each operation of a graph that was traced meanwhile."""
        operations = graph.get_operations()
        self._operations = {op.name: op for op in operations}
        self.visits.graph = graph
        kinds = (keras.layers.Layer, keras.losses.Loss)
        own = [v for v in self.visits.all if v.graph is graph]
        own = [v for v in own if isinstance(v.thing, kinds)]
        # The innermost call last: it is the shortest.
        for visit in sorted(own, key=lambda v: v.start - v.end):
            for op in operations[visit.start : visit.end]:
                self._owners[op.name] = visit.thing

    def owner(self, name: str) -> Any:
        """The layer that made an operation, None if none did.

        Args:
            name: Its name, or one that was made of it by going on with a slash. An
                operation of the backward pass belongs to whose gradient it computes.
        """
        owner = self._owner(name)
        return owner if isinstance(owner, keras.Layer) else None

    def loss(self, name: str) -> str:
        """Name of the loss that made an operation; empty if none did.

        Args:
            name: As for `owner`.
        """
        owner = self._owner(name)
        if not isinstance(owner, keras.losses.Loss):
            return ""
        function = getattr(owner, "fn", None)  # that Keras has wrapped
        return getattr(function, "__name__", "") or type(owner).__name__

    def handwritten(self, number: str) -> tf.Operation | None:
        """The call of a function whose backward pass is hand-written.

        Args:
            number: What TensorFlow calls this backward pass.
        """
        operations = (op for g in self._inside.values() for op in g.get_operations())
        return next((op for op in operations if backward_name(op) == number), None)

    def line(self, name: str) -> Line | None:
        """The line of the user's code that an operation comes from, None if of none.

        Args:
            name: As for `owner`.
        """
        operation = self._operations.get(self._known(name))
        found = None if operation is None else line_of(operation)
        return None if found is None else Line(*found)

    def _owner(self, name: str) -> Any:
        return self._owners.get(self._known(name))

    def _known(self, name: str) -> str:
        """The name of the operation that one was made of."""
        name = name.removeprefix(_BACKWARD)
        while name not in self._operations and "/" in name:
            name = name.rpartition("/")[0]
        return name

    def in_order(self, graph: tf.Graph) -> list:
        """The layers in the order in which the forward pass first uses them."""
        found: dict[int, Any] = {}
        for op in graph.get_operations():
            if not op.name.startswith(_BACKWARD):
                layer = self._owners.get(op.name)
                if isinstance(layer, keras.Layer):
                    found.setdefault(id(layer), layer)
        return list(found.values())


def distinct_names(model: keras.Model) -> dict[int, str]:
    """A name for each layer of a model, by its id, that no other has.

    Its own name where that will do, else with those of the layers around it.
    """
    paths = _paths(model)
    names: dict[int, str] = {}
    for key, path in paths.items():
        for length in range(1, len(path) + 1):
            others = (p[-length:] for k, p in paths.items() if k != key)
            if path[-length:] not in others:
                break
        names[key] = "/".join(path[-length:])
    return names


def full_names(model: keras.Model) -> dict[int, str]:
    """The name of each layer with those of all layers around it, by its id."""
    return {key: "/".join(path) for key, path in _paths(model).items()}


def _paths(model: keras.Model) -> dict[int, tuple[str, ...]]:
    paths: dict[int, tuple[str, ...]] = {}

    def walk(layer: Any, above: Sequence[str]) -> None:
        if id(layer) not in paths:
            paths[id(layer)] = (*above, layer.name)
            for child in internals.children(layer):
                walk(child, () if layer is model else paths[id(layer)])

    walk(model, ())
    return paths
