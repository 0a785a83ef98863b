"""Gradients and many perturbed losses of a replica, in compiled graphs."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.dataflow import is_quiet
from keras_gradwatch.check.evaluation.perturbations import (
    MOST,
    SPEC,
    Probe,
    loop,
    move,
    pack,
)
from keras_gradwatch.check.evaluation.shortcuts import Shortcuts
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.framework.isolation import restored
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.replica import Replica

# Signatures whose graphs are kept; sequences of every length must not pile up.
_SIGNATURES = 4
# How far a shortcut may be off by another order of rounding, as a share.
_SAME = 1e-13


@dataclass
class Graphs:
    """The two compiled functions for batches of one signature.

    Attributes:
        gradient: `(states, batch) -> (loss, gradients)`.
        losses: `(values, states, batch, probes) -> losses`.
        shortcuts: The same losses, with what does not change computed once.
        present: Whether the tape returned a gradient, for each weight.
        low_precision: Name of each low-precision dtype that the loss goes
            through, with the layer that uses it.
        handles: Variables outside that running may write to.
    """

    gradient: object = None
    losses: object = None
    shortcuts: Shortcuts | None = None
    present: list[bool] = field(default_factory=list)
    low_precision: dict[str, list[str]] = field(default_factory=dict)
    handles: list = field(default_factory=list)


class Evaluator:
    """Evaluates a replica. Traces once for each signature of the data.

    All perturbed losses come from one graph with one copy of the model in it:
    which weights are moved, where and how far, are data of a loop. Where it pays,
    `Shortcuts` compute what does not depend on the moved weights but once.

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

    def is_traced_for(self, batch) -> bool:
        """Whether there are graphs for this batch."""
        return batches.signature(batch) in self._graphs

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
                    raise self.replica.unreplayable(error) from error
                self._graphs.clear()  # traced for other values
            while len(self._graphs) > _SIGNATURES:
                del self._graphs[next(iter(self._graphs))]
        return self._graphs[key]

    def gradient(self, states, batch):
        """The loss at the replica's values, and its gradient.

        Returns:
            A tuple `(loss, gradients)`: a float, and for each weight a float64
            array, or None where the tape returned None.
        """
        graphs_ = self.graphs_for(states, batch)
        with restored(graphs_.handles):
            loss, present = graphs_.gradient(states, batch)
        dense = iter(present)
        gradients = [view(next(dense)) if there else None for there in graphs_.present]
        return float(loss), gradients

    def prepare(self, values, states, batch, probes: Sequence[Probe]) -> None:
        """Makes ready for many probes: what `losses` takes, with a one-off price."""
        graphs_ = self.graphs_for(states, batch)
        with restored(graphs_.handles):
            graphs_.shortcuts.prepare((values, states, batch), probes)

    def losses(
        self,
        values,
        states,
        batch,
        probes: Sequence[Probe],
        at_once: int = MOST,
        tell: Callable[[Sequence[Probe]], None] = lambda probes: None,
    ) -> np.ndarray:
        """The loss with one weight or several moved, for each probe.

        Args:
            values: The unmoved weights, a tensor each.
            states: What `Replica.copy_weights` returned.
            batch: Nested tensors, floats in float64.
            probes: Pairs of a direction or sweep, and a signed step along it.
            at_once: The most in one call of a graph.
            tell: Called with the probes of each call, before it.

        Returns:
            Losses, float64, shape `(len(probes),)`.
        """
        graphs_ = self.graphs_for(states, batch)
        with restored(graphs_.handles):
            return graphs_.shortcuts.losses(
                (values, states, batch), probes, at_once, tell
            )

    def _trace(self, states, batch):
        self.traces += 1
        made = Graphs()
        values = [tf.cast(tf.identity(v), tf.float64) for v in self.replica.values]
        probe = pack([(Direction(0, entry=0), 0.0)])
        if self.replica.model.run_eagerly:
            # Looked at before it runs: a draw would move TensorFlow's own stream.
            made.low_precision, made.handles = self._inspect_eager(states, batch)
            made.gradient = self._gradient(made)
            made.losses = self._losses_eagerly
            made.shortcuts = Shortcuts(self.replica, made.losses)
            with restored(made.handles):
                made.gradient(states, batch)
            return made
        gradient = tf.function(self._gradient(made), autograph=False)
        made.gradient = gradient.get_concrete_function(states, batch)
        live = self.replica.live_handles()
        diagnose.assert_replayable(self.replica, made.gradient.graph, live)
        began = time.perf_counter()
        for side_by_side in (True, False):
            losses = tf.function(self._losses(side_by_side), autograph=False)
            made.losses = losses.get_concrete_function(values, states, batch, SPEC)
            quiet = any(is_quiet(f.graph) for f in (made.gradient, made.losses))
            if quiet:  # else what it does has to stay in order
                break
        price = time.perf_counter() - began
        made.low_precision = diagnose.low_precision(self.replica, made.gradient.graph)
        # The point is an argument there: who reads the copies has another one.
        own = {id(v.handle) for v in self.replica.values}
        diagnose.assert_replayable(self.replica, made.losses.graph, live | own)
        made.handles = self._others(made.gradient.graph)
        # Missing kernels show up only when the graph runs.
        with restored(made.handles):
            made.gradient(states, batch)
            began = time.perf_counter()
            made.losses(values, states, batch, probe)
            price += time.perf_counter() - began
        made.shortcuts = Shortcuts(
            self.replica,
            made.losses,
            price if quiet else math.inf,
            _SAME if not made.low_precision else 0.0,
        )
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
            return {"float32": ["code that only runs eagerly, perhaps"]}, []
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

    def _losses(self, side_by_side):
        def losses(values, states, batch, probes):
            def loss(point):
                return self.replica.loss(point, states, batch, values)

            return loop(loss, values, probes, side_by_side)

        return losses

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
                flat = move(flat, entry[m], start[m], step[m], signs)
                point[k] = tf.reshape(flat, values[k].shape)
            results.append(self.replica.loss(point, states, batch, values))
        return tf.stack(results)


def view(tensor: tf.Tensor) -> np.ndarray:
    """The entries of a float64 tensor, not copied: they are not to be written to."""
    return np.asarray(memoryview(tensor))
