"""Which layer made which operation of a traced graph.

Names do not tell: TensorFlow counts up the names of scopes, and the layers of repeated
blocks share theirs. So the calls of layers are watched while a graph is traced, and
each operation belongs to the innermost call in which it was made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Replacement, replaced

_BACKWARD = "gradient_tape/"


class Places:
    """The calls of layers while a graph was traced."""

    def __init__(self):
        self._spans: list[tuple[tf.Graph, int, int, keras.Layer]] = []
        self._owners: dict[str, keras.Layer] = {}
        self._names: set[str] = set()

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Watches the calls of layers. Only this thread is affected."""

        def call(original, layer, *args, **kwargs):
            graph = tf.compat.v1.get_default_graph()
            start = graph.version
            try:
                return original(layer, *args, **kwargs)
            finally:
                if tf.compat.v1.get_default_graph() is graph:
                    self._spans.append((graph, start, graph.version, layer))

        with replaced([Replacement(keras.layers.Layer, "__call__", call)]):
            yield

    def settle(self, graph: tf.Graph) -> None:
        """Finds out who made each operation of a graph that was traced meanwhile."""
        operations = graph.get_operations()
        self._names = {op.name for op in operations}
        own = [(a, b, layer) for g, a, b, layer in self._spans if g is graph]
        # The innermost call last: it is the shortest.
        for start, end, layer in sorted(own, key=lambda span: span[0] - span[1]):
            for op in operations[start:end]:
                self._owners[op.name] = layer
        self._spans.clear()

    def owner(self, name: str) -> Any:
        """The layer that made an operation, None if none did.

        Args:
            name: Its name, or one that was made of it by going on with a slash. An
                operation of the backward pass belongs to whose gradient it computes.
        """
        name = name.removeprefix(_BACKWARD)
        while name not in self._names and "/" in name:
            name = name.rpartition("/")[0]
        return self._owners.get(name)

    def in_order(self, graph: tf.Graph) -> list:
        """The layers in the order in which the forward pass first uses them."""
        found: dict[int, Any] = {}
        for op in graph.get_operations():
            if not op.name.startswith(_BACKWARD):
                layer = self._owners.get(op.name)
                if layer is not None:
                    found.setdefault(id(layer), layer)
        return list(found.values())


def distinct_names(model: keras.Model) -> dict[int, str]:
    """A name for each layer of a model, by its id, that no other has.

    Its own name where that will do, else with those of the layers around it.
    """
    paths: dict[int, tuple[str, ...]] = {}

    def walk(layer: Any, above: Sequence[str]) -> None:
        if id(layer) not in paths:
            paths[id(layer)] = (*above, layer.name)
            for child in internals.children(layer):
                walk(child, () if layer is model else paths[id(layer)])

    walk(model, ())
    names: dict[int, str] = {}
    for key, path in paths.items():
        for length in range(1, len(path) + 1):
            others = (p[-length:] for k, p in paths.items() if k != key)
            if path[-length:] not in others:
                break
        names[key] = "/".join(path[-length:])
    return names
