"""A traced loss and its gradient as pure functions in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_gradwatch.replica.lift import surgery
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.lift.widening import wide
from keras_gradwatch.replica.recorder import total

# In it are the operations of a lifted graph, under the names that they had.
SCOPE = "lifted"


class Lifted:
    """A loss and its gradient in float64, as functions of weights, states and batch.

    Both come from one trace of the model's own code, in its own precision. The graph
    of that trace is lifted: see `surgery`.

    Args:
        trace: The `Trace`.

    Attributes:
        loss: A concrete function of what `flat` returns: the loss, a scalar.
        gradient: The same: the loss, and the gradients that there are.
        trace: The trace.
        effects: What running it would still do, a tuple of `surgery.Effect`.
        rounded: Names of constants of the backward pass that the model's code rounded
            to half precision: of these, the loss knows nothing.
        drawing: Names of operations whose draws were fixed.
    """

    def __init__(self, trace: Trace):
        self.trace = trace
        graph = trace.graph
        definition = graph.as_graph_def()
        self._place = self._places()
        inside = [t for outside, t in graph.captures if id(outside) in self._place]
        given = (
            {t.op.name for t in graph.inputs},
            {t.op.name for t in inside if t.dtype == tf.resource},
        )
        targets, weights, gradients = trace.function.structured_outputs
        parts = [
            surgery.lifted(definition, *given, [t.name for t in wanted])
            for wanted in ([*targets, *weights], [*targets, *weights, *gradients])
        ]
        self.effects, self.drawing = parts[1].effects, parts[1].drawing
        self.rounded = parts[1].rounded - parts[0].rounded
        specs = self._specs()
        self.loss = tf.compat.v1.wrap_function(self._loss(parts[0]), specs)
        self.gradient = tf.compat.v1.wrap_function(self._gradient(parts[1]), specs)

    def flat(
        self,
        values: Sequence[tf.Tensor],
        still: Sequence[tf.Tensor],
        states: Sequence[tf.Tensor],
        batch: Any,
    ) -> list[tf.Tensor]:
        """The arguments of `loss` and of `gradient`.

        Args:
            values: The weights, in float64.
            still: The weights for what a `train_step` computes outside of its tape,
                such as a goal to reach: no gradient flows there.
            states: What `Replica.states` returned.
            batch: What `train_step` is handed.
        """
        flat = tf.nest.flatten(batch, expand_composites=True)
        rest = [*states, *(t for t in flat if tf.is_tensor(t))]
        return [*values, *still, *map(_wide, rest)]

    def _places(self):
        """The place of each variable that stands for an argument, by its handle."""
        trace, places = self.trace, dict[int, int]()
        count = len(trace.moved)
        for start, rows in ((0, trace.moved), (count, trace.still)):
            for k, handles in enumerate(rows):
                places |= {id(handle): start + k for handle in handles}
        for k, handles in enumerate(trace.known):
            places |= {id(handle): 2 * count + k for handle in handles}
        return places

    def _specs(self):
        graph = self.trace.graph
        weights = [tf.TensorSpec(shape, tf.float64) for shape in self.trace.shapes]
        count = len(graph.inputs) - len(graph.captures)
        rest = [
            tf.TensorSpec(t.shape, tf.as_dtype(wide(t.dtype.as_datatype_enum)))
            for t in graph.inputs[:count]
        ]
        return [*weights, *weights, *rest]

    def _loss(self, part):
        def loss(*flat):
            found = self._imported(part, flat)
            targets, weights = self._split(found)
            if weights is not None:
                # Weights count as constants: as they are where nothing has moved.
                count = len(self.trace.moved)
                unmoved = (*flat[count : 2 * count], *flat[count:])
                _, weights = self._split(self._imported(part, unmoved))
            return total(targets, weights)

        return loss

    def _gradient(self, part):
        def gradient(*flat):
            found = self._imported(part, flat)
            count = len(self.trace.weighted) + sum(self.trace.weighted)
            return [total(*self._split(found[:count])), *found[count:]]

        return gradient

    def _split(self, found):
        """Targets, and a weight or None for each; None if none has one."""
        weighted = self.trace.weighted
        rest = iter(found[len(weighted) :])
        weights = [next(rest) if there else None for there in weighted]
        return found[: len(weighted)], weights if any(weighted) else None

    def _imported(self, part, flat):
        graph = self.trace.graph
        count = len(graph.inputs) - len(graph.captures)
        own = zip(graph.inputs[:count], flat[len(flat) - count :], strict=True)
        given = {t.op.name: value for t, value in own}
        here = tf.compat.v1.get_default_graph()
        for outside, t in graph.captures:
            if t.op.name not in part.used:
                continue
            place = self._place.get(id(outside))
            given[t.op.name] = (
                _wide(here.capture(outside)) if place is None else flat[place]
            )
        return part.imported(given, SCOPE)


def _wide(tensor):
    dtype = tf.as_dtype(wide(tensor.dtype.as_datatype_enum))
    return tensor if dtype == tensor.dtype else tf.cast(tensor, dtype)
