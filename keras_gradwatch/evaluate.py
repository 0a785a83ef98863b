"""Gradients and many perturbed losses of a replica, in compiled graphs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.numerics.directions import Direction, Sweep
from keras_gradwatch.replica import batch as batches
from keras_gradwatch.replica import diagnose, graphs
from keras_gradwatch.replica.isolation import restored
from keras_gradwatch.replica.replica import Replica, unreplayable

# Probes in one call of the graph: between calls, Ctrl-C gets through.
_PROBES = 256
# Signatures whose graphs are kept; sequences of every length must not pile up.
_SIGNATURES = 4
# Signs in one call, a byte each.
_SIGNS = 1 << 26


@dataclass
class Graphs:
    """The two compiled functions for batches of one signature.

    Attributes:
        gradient: `(states, batch) -> (loss, gradients)`.
        losses: `(values, states, batch, probes) -> losses`.
        present: Whether the tape returned a gradient, for each weight.
        low_precision: Name of each low-precision dtype that the loss goes
            through, with the layer that uses it.
        handles: Variables outside that running may write to.
    """

    gradient: object = None
    losses: object = None
    present: list[bool] = field(default_factory=list)
    low_precision: dict[str, list[str]] = field(default_factory=dict)
    handles: list = field(default_factory=list)


class Evaluator:
    """Evaluates a replica. Traces once for each signature of the data.

    All perturbed losses come from one graph with one copy of the model in it:
    which weights are moved, where and how far, are data of a loop. The weights
    travel in a `tf.TensorArray`, so that moving one copies that one alone, and
    nothing is ever written.

    Args:
        replica: The `Replica` to evaluate.

    Attributes:
        seconds: How long one loss took of late, if that is known.
    """

    def __init__(self, replica: Replica):
        self.replica = replica
        self.traces = 0
        self.seconds: float | None = None
        self._graphs: dict[tuple, Graphs] = {}

    def graphs_for(self, states, batch) -> Graphs:
        """The compiled functions for this batch, traced if they are new.

        Where a layer can't compute in float64, it is given back its own
        precision, and the tracing starts again.

        Raises:
            UncheckableError: If the loss of this model can't be replayed.
        """
        key = batches.signature(batch)
        while key not in self._graphs:
            try:
                self._graphs[key] = self._trace(states, batch)
            except UncheckableError:
                raise
            except diagnose.LiveReadError:
                self._graphs.clear()  # traced with functions that read past us
            except Exception as error:
                if not self._give_way(error):
                    raise unreplayable(error) from error
                self._graphs.clear()  # traced for other values
            while len(self._graphs) > _SIGNATURES:
                del self._graphs[next(iter(self._graphs))]
        return self._graphs[key]

    def gradient(self, states, batch):
        """The loss at the replica's values, and its gradient.

        Returns:
            A tuple `(loss, gradients)`: a float, and for each weight a flat
            float64 array, or None where the tape returned None.
        """
        graphs_ = self.graphs_for(states, batch)
        with restored(graphs_.handles):
            loss, present = graphs_.gradient(states, batch)
        dense = iter(present)
        gradients = [
            next(dense).numpy().ravel() if there else None for there in graphs_.present
        ]
        return float(loss), gradients

    def losses(
        self, values, states, batch, probes: Sequence[tuple[Direction | Sweep, float]]
    ) -> np.ndarray:
        """The loss with one weight or several moved, for each probe.

        Args:
            values: The unmoved weights, a tensor each.
            states: What `Replica.copy_weights` returned.
            batch: Nested tensors, floats in float64.
            probes: Pairs of a direction or sweep, and a signed step along it.

        Returns:
            Losses, float64, shape `(len(probes),)`.
        """
        graphs_ = self.graphs_for(states, batch)
        results = []
        with restored(graphs_.handles):
            for chunk in _chunks(probes):
                results.append(graphs_.losses(values, states, batch, _pack(chunk)))
        return np.concatenate([r.numpy() for r in results])

    def _trace(self, states, batch):
        self.traces += 1
        made = Graphs()
        values = [tf.cast(tf.identity(v), tf.float64) for v in self.replica.values]
        probe = _pack([(Direction(0, entry=0), 0.0)])
        if self.replica.model.run_eagerly:
            # Looked at before it runs: a draw would move TensorFlow's own stream.
            made.low_precision, made.handles = self._inspect_eager(states, batch)
            made.gradient = self._gradient(made)
            made.losses = self._losses
            with restored(made.handles):
                made.gradient(states, batch)
            return made
        gradient = tf.function(self._gradient(made), autograph=False)
        made.gradient = gradient.get_concrete_function(states, batch)
        live = self.replica.live_handles()
        diagnose.assert_replayable(self.replica, made.gradient.graph, live)
        losses = tf.function(self._losses, autograph=False, reduce_retracing=True)
        made.losses = losses.get_concrete_function(values, states, batch, _spec())
        made.low_precision = diagnose.low_precision(self.replica, made.gradient.graph)
        # The point is an argument there: who reads the copies has another one.
        own = {id(v.handle) for v in self.replica.values}
        diagnose.assert_replayable(self.replica, made.losses.graph, live | own)
        made.handles = self._others(made.gradient.graph)
        # Missing kernels show up only when the graph runs.
        with restored(made.handles):
            made.gradient(states, batch)
            made.losses(values, states, batch, probe)
        return made

    def _inspect_eager(self, states, batch):
        """What a graph tells of a model that runs without one.

        Returns:
            `low_precision` and `handles`, as `Graphs` has them.
        """
        gradient = tf.function(self._gradient(Graphs()), autograph=False)
        try:
            graph = gradient.get_concrete_function(states, batch).graph
        except Exception:  # the model's own code, which needs values: assume the worst
            return {"float32": ["a model that only runs eagerly, perhaps"]}, []
        live = self.replica.live_handles()
        diagnose.assert_replayable(self.replica, graph, live)
        return diagnose.low_precision(self.replica, graph), self._others(graph)

    def _others(self, graph):
        """Handles of the variables of others that a graph may write to."""
        own = {id(v.handle) for v in self.replica.values}
        return [h for h in graphs.captured_handles(graph) if id(h) not in own]

    def _give_way(self, error) -> bool:
        """Gives up float64 where an error came from, else everywhere.

        False if it was given up everywhere before.
        """
        suspects = [*diagnose.culprits(self.replica, error), self.replica.model]
        return any(self.replica.keep_native(thing) for thing in suspects)

    def _gradient(self, made):
        def gradient(states, batch):
            loss, found = self.replica.loss_and_gradient(states, batch)
            made.present = [g is not None for g in found]
            return loss, [dense(g) for g in found if g is not None]

        return gradient

    def _losses(self, values, states, batch, probes):
        if tf.executing_eagerly():
            return self._losses_eagerly(values, states, batch, probes)
        variable, entry, start, step, signs, ends = probes
        shapes = [v.shape for v in values]
        still = tf.TensorArray(
            tf.float64, len(values), infer_shape=False, clear_after_read=False
        )
        for k, value in enumerate(values):
            still = still.write(k, tf.reshape(value, [-1]))

        def moved(m, array):
            flat = array.read(variable[m])
            flat = _move(flat, entry[m], start[m], step[m], signs)
            return m + 1, array.write(variable[m], flat)

        def one(i):
            _, point = tf.while_loop(
                lambda m, _: m < ends[i + 1],
                moved,
                (ends[i], still),
                parallel_iterations=1,
            )
            point = [tf.reshape(point.read(k), s) for k, s in enumerate(shapes)]
            return self.replica.loss(point, states, batch, values)

        count = tf.shape(ends)[0] - 1
        _, losses = tf.while_loop(
            lambda i, losses: i < count,
            lambda i, losses: (i + 1, losses.write(i, one(i))),
            (0, tf.TensorArray(tf.float64, count, element_shape=())),
            parallel_iterations=1,
        )
        return losses.stack()

    def _losses_eagerly(self, values, states, batch, probes):
        """One Python call a loss, for models that only run eagerly."""
        variable, entry, start, step, signs, ends = probes
        variable, ends = variable.numpy(), ends.numpy()
        results = []
        for first, last in itertools.pairwise(ends):
            point = list(values)
            for m in range(first, last):
                k = variable[m]
                flat = tf.reshape(point[k], [-1])
                flat = _move(flat, entry[m], start[m], step[m], signs)
                point[k] = tf.reshape(flat, values[k].shape)
            results.append(self.replica.loss(point, states, batch, values))
        return tf.stack(results)


def _move(flat, entry, start, step, signs):
    """One weight, moved at one entry or along a range of `signs`."""
    return tf.cond(
        entry >= 0,
        lambda: tf.tensor_scatter_nd_add(flat, [[entry]], [step]),
        lambda: (
            flat
            + step * tf.cast(signs[start : start + tf.size(flat, tf.int64)], tf.float64)
        ),
    )


def dense(gradient) -> tf.Tensor:
    """A gradient as a plain float64 tensor: rows of an embedding are summed up."""
    if isinstance(gradient, tf.IndexedSlices):
        gradient = tf.IndexedSlices(
            tf.cast(gradient.values, tf.float64), gradient.indices, gradient.dense_shape
        )
        shape = tf.cast(gradient.dense_shape, gradient.indices.dtype)
        return tf.scatter_nd(gradient.indices[:, None], gradient.values, shape)
    return tf.cast(gradient, tf.float64)


def _spec():
    return (
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([None], tf.int64),
        tf.TensorSpec([None], tf.float64),
        tf.TensorSpec([None], tf.int8),
        tf.TensorSpec([None], tf.int32),
    )


def _pack(probes):
    """Probes as tensors: variable, entry, start, step of each move, signs, ends.

    The moves of probe `i` are those from `ends[i]` to before `ends[i + 1]`.
    """
    banks, starts, length = [np.empty(0, np.int8)], {}, 0
    rows, steps, ends = [], [], [0]
    for probe, size in probes:
        for direction, step in probe.moves(size):
            start, entry = 0, -1
            if direction.is_coordinate:
                entry = direction.entry
            else:
                key = id(direction.signs)
                if key not in starts:
                    starts[key] = length
                    banks.append(direction.signs)
                    length += len(direction.signs)
                start = starts[key]
            rows.append((direction.variable, entry, start))
            steps.append(step)
        ends.append(len(rows))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return (
        tf.constant(columns[0], tf.int32),
        tf.constant(columns[1]),
        tf.constant(columns[2]),
        tf.constant(np.array(steps, dtype=np.float64)),
        tf.constant(np.concatenate(banks)),
        tf.constant(np.array(ends, dtype=np.int32)),
    )


def _chunks(probes):
    chunk, signs = [], {}
    for probe, step in probes:
        new = {
            id(d.signs): len(d.signs)
            for d, _ in probe.moves(step)
            if not d.is_coordinate
        }
        if len(chunk) == _PROBES or (chunk and sum((signs | new).values()) > _SIGNS):
            yield chunk
            chunk, signs = [], {}
        chunk.append((probe, step))
        signs |= new
    if chunk:
        yield chunk
