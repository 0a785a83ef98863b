"""A traced loss and its gradient as pure functions in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.replica.known import intended, unclipped
from keras_gradwatch.replica.lift import severed, surgery
from keras_gradwatch.replica.lift.surgery import moved
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
        states: What `Replica.states` returned.
        batch: What `train_step` is handed: for batches as this one.

    Attributes:
        loss: A concrete function of what `flat` returns: the loss, a scalar.
        gradient: The same: the loss, and the gradients that there are.
        trace: The trace.
        effects: What running it would still do, a tuple of `surgery.Effect`.
        rounded: Names of constants of the backward pass that the model's code rounded
            to half precision: of these, the loss knows nothing.
        drawing: Names of operations whose draws were fixed.
        intended: What libraries do on purpose on the way to the loss: a tuple of
            `known.Known`. What is stopped there stands still in `loss`, and what
            passes a gradient on as it is passes the value on as well.
        assigned: Names of operations that read what was assigned before.
    """

    def __init__(self, trace: Trace, states: Sequence[tf.Tensor], batch: Any):
        self.trace = trace
        self.intended = tuple(intended(trace))
        self._passed_on = unclipped(trace)
        held = [one.held for one in self.intended if one.held is not None]
        self._held = len(held)
        call = trace.call
        self._place = self._places()
        self._specs = self._specs_of(states, batch)
        # A weight for each target, or none.
        self._weights = call.weights or [None] * len(call.targets)
        loss = [*call.targets, *(w for w in self._weights if w is not None)]
        scale = [] if trace.scale is None else [trace.scale]
        self._is_rows = [isinstance(g, tf.IndexedSlices) for g in trace.gradients]
        gradients = [t for g in trace.gradients if g is not None for t in _parts(g)]
        parts = self._lifted([[*loss, *held], [*loss, *scale, *gradients]])
        self.assigned = parts[0].assigned
        self.effects, self.drawing = parts[1].effects, parts[1].drawing
        self.rounded = parts[1].rounded - parts[0].rounded
        self.loss = self.compiled(self._loss(parts[0]))
        self.gradient = self.compiled(self._gradient(parts[1]))

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

    def evaluated(
        self, tensors: Sequence[tf.Tensor], cut: Sequence[tf.Tensor] = ()
    ) -> Callable:
        """Other tensors of the trace, in float64.

        Args:
            tensors: Of its graph, those that were added since among them.
            cut: Tensors that are given instead of being computed.

        Returns:
            A function of what `flat` returns, and of a tensor for each of `cut`, to be
            called in a graph.
        """
        definition = self.trace.graph.as_graph_def()
        names = severed.cut(definition, cut)
        known = {id(t): k for k, t in enumerate(cut)}
        others = [t for t in tensors if id(t) not in known]
        (part,) = self._lifted([others], definition, names)

        def values(flat, given=()):
            found = self._imported(part, flat, dict(zip(names, given, strict=True)))
            rest = iter(found)
            return [
                given[known[id(t)]] if id(t) in known else next(rest) for t in tensors
            ]

        return values

    def compiled(self, function: Callable) -> Any:
        """A concrete function of what `flat` returns.

        Args:
            function: The function.
        """
        return tf.compat.v1.wrap_function(function, self._specs)

    def _lifted(self, wanted, definition=None, names=()):
        graph = self.trace.graph
        if definition is None:
            definition = graph.as_graph_def()
        inside = [t for outside, t in graph.captures if id(outside) in self._place]
        given = (
            {*(t.op.name for t in graph.inputs), *names},
            {t.op.name for t in inside if t.dtype == tf.resource},
        )
        return [
            surgery.lifted(
                definition,
                *given,
                [t.name for t in tensors],
                self.trace.spans,
                passed_on=self._passed_on,
            )
            for tensors in wanted
        ]

    def _places(self):
        """The place of each variable that stands for an argument, by its handle."""
        trace, places = self.trace, dict[int, int]()
        count = len(trace.variables)
        for k, handles in enumerate(trace.handles):
            places |= {id(handle): k for handle in handles}
        for k, (handles, _) in enumerate(trace.known):
            places |= {id(handle): 2 * count + k for handle in handles}
        return places

    def _specs_of(self, states, batch):
        weights = [tf.TensorSpec(shape, tf.float64) for shape in self.trace.shapes]
        rest = self.flat([], [], states, batch)
        return [*weights, *weights, *(tf.TensorSpec(t.shape, t.dtype) for t in rest)]

    def _loss(self, part):
        def loss(*flat):
            if not self._held and self.trace.call.weights is None:
                return total(*self._split(self._imported(part, flat)))
            # What is held, and weights, are as they are where nothing has moved.
            count = len(self.trace.variables)
            unmoved = (*flat[count : 2 * count], *flat[count:])
            still = self._imported(part, unmoved, scope="unmoved")
            own = len(still) - self._held
            held = dict(zip(part.outputs[own:], still[own:], strict=True))
            targets, _ = self._split(self._imported(part, flat, held=held)[:own])
            _, weights = self._split(still[:own])
            return total(targets, weights)

        return loss

    def _gradient(self, part):
        def gradient(*flat):
            found = self._imported(part, flat)
            loss, rest = total(*self._split(found)), iter(found[self._of_loss :])
            scale = None if self.trace.scale is None else next(rest)
            gradients = []
            for own, is_rows in zip(self.trace.gradients, self._is_rows, strict=True):
                if own is None:
                    continue
                gradient = next(rest)
                if is_rows:
                    gradient = tf.IndexedSlices(gradient, next(rest), next(rest))
                gradient = dense(gradient)
                gradients.append(gradient if scale is None else gradient / scale)
            return [loss, *gradients]

        return gradient

    @property
    def _of_loss(self):
        """How many of what is imported are targets or weights of them."""
        return 2 * len(self._weights) - self._weights.count(None)

    def _split(self, found):
        """Targets, and a weight or None for each; None if none has one."""
        count = len(self._weights)
        rest = iter(found[count:])
        weights = [None if w is None else next(rest) for w in self._weights]
        return found[:count], None if all(w is None for w in weights) else weights

    def _imported(self, part, flat, cut=None, held=None, scope=SCOPE):
        trace, count = self.trace, len(self.trace.variables)
        own = trace.graph.inputs[: len(trace.graph.inputs) - len(trace.graph.captures)]
        first = 2 * count
        states = {k: first + i for i, (_, k) in enumerate(trace.known) if k is not None}
        given = {own[k].op.name: flat[place] for k, place in states.items()}
        # Of what takes no state are the leaves of the batch.
        batch = flat[first + len(trace.known) :]
        leaves = [t for k, t in enumerate(own) if k not in states]
        given |= {t.op.name: v for t, v in zip(leaves, batch, strict=True)}
        given |= cut or {}
        here = tf.compat.v1.get_default_graph()
        for outside, t in trace.graph.captures:
            name, place = t.op.name, self._place.get(id(outside))
            if place is None:
                if name in part.used:
                    given[name] = _wide(here.capture(outside))
                continue
            # A weight is moved where its tape records, else not.
            stands = place < count and trace.spans is not None
            given[name] = flat[count + place if stands else place]
            given[moved(name)] = flat[place]
        return part.imported(given, scope, held)


def _parts(gradient):
    """The tensors of a gradient; of rows, all three."""
    if not isinstance(gradient, tf.IndexedSlices):
        return [gradient]
    return [gradient.values, gradient.indices, gradient.dense_shape]


def _wide(tensor):
    dtype = tf.as_dtype(wide(tensor.dtype.as_datatype_enum))
    return tensor if dtype == tensor.dtype else tf.cast(tensor, dtype)
