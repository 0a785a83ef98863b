"""A traced function without what it does besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_gradwatch.replica.lift import surgery


class Pure:
    """A concrete function of tensors in its own precision, without its effects.

    Prints, assertions, counters and the like are gone; what it draws is fixed.

    Args:
        function: A concrete function `(*arguments) -> tensors`.
        wanted: Which tensors of its graph to return instead of its own, if any.

    Attributes:
        effects: What running it would still do, a tuple of `surgery.Effect`.
    """

    def __init__(self, function: Any, wanted: Sequence[tf.Tensor] | None = None):
        self._function, graph = function, function.graph
        self._count = len(graph.inputs) - len(graph.captures)
        self._part = surgery.lifted(
            graph.as_graph_def(),
            {t.op.name for t in graph.inputs},
            frozenset(),
            [t.name for t in wanted or tf.nest.flatten(function.structured_outputs)],
            widen=False,
        )
        self.effects = self._part.effects
        specs = [tf.TensorSpec(t.shape, t.dtype) for t in graph.inputs[: self._count]]
        self._run = tf.compat.v1.wrap_function(self._imported, specs)

    def __call__(self, *arguments: Any) -> list[tf.Tensor]:
        flat = tf.nest.flatten(arguments, expand_composites=True)
        return self._run(*(t for t in flat if tf.is_tensor(t)))

    def _imported(self, *flat):
        graph, here = self._function.graph, tf.compat.v1.get_default_graph()
        given = dict(zip((t.op.name for t in graph.inputs), flat, strict=False))
        for outside, t in graph.captures:
            if t.op.name in self._part.used:
                given[t.op.name] = here.capture(outside)
        return self._part.imported(given, "pure")
