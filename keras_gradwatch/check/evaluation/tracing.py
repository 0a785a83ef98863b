"""Tracing a replica: the compiled functions that an `Evaluator` calls."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.check.evaluation.dataflow import is_quiet
from keras_gradwatch.check.evaluation.perturbations import (
    SPEC,
    Packed,
    loop,
    one_by_one,
    pack,
)
from keras_gradwatch.check.evaluation.shortcuts import Shortcuts
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.framework.isolation import restored
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.traces import handles_of_others

logger = logging.getLogger("keras_gradwatch")

# How far a shortcut may be off by another order of rounding, as a share. On every kind
# of model of the tests they agree to 1e-14 (`tests/check/evaluation`), most to the last
# bit; a graph that computes something else is off by far more.
_SAME = 1e-13


@dataclass(frozen=True)
class Graphs:
    """The two compiled functions for batches of one signature.

    Args:
        gradient: `(states, batch) -> (loss, gradients)`.
        losses: `(values, states, batch, perturbations) -> losses`.
        shortcuts: The same losses, with what does not change computed once.
        present: Whether the tape returned a gradient, for each weight.
        low_precision: Name of each low-precision dtype that the loss goes
            through, with the layers that use it.
        handles: Variables outside that running may write to.
        graph: What `gradient` was traced to, None if it runs eagerly.
    """

    gradient: Callable
    losses: Callable
    shortcuts: Shortcuts
    present: list[bool]
    low_precision: dict[str, list[str]]
    handles: list[tf.Tensor]
    graph: tf.Graph | None = None


def trace(replica: Replica, states: list[tf.Tensor], batch: Any) -> Graphs:
    """Traces the loss and the gradient of a replica, and runs them once.

    Args:
        replica: The `Replica`.
        states: What `Replica.copy_weights` returned.
        batch: Nested tensors, floats in float64.

    Raises:
        UncheckableError: If the loss of this model can't be replayed.
        LiveReadError: If another try may succeed.
        Exception: What the model's own code raises.
    """
    make = _eager if replica.model.run_eagerly else _compiled
    return make(replica, states, batch)


def _compiled(replica, states, batch):
    present: list[bool] = []
    gradient = _concrete(_gradient(replica, present), states, batch)
    live = replica.live_handles()
    diagnose.assert_replayable(replica, gradient.graph, live)
    values = [tf.cast(tf.identity(v), tf.float64) for v in replica.values]
    began = time.perf_counter()
    for side_by_side in (True, False):
        losses = _concrete(_losses(replica, side_by_side), values, states, batch, SPEC)
        quiet = any(is_quiet(f.graph) for f in (gradient, losses))
        if quiet:  # else what it does has to stay in order
            break
    price = time.perf_counter() - began
    low_precision = diagnose.low_precision(replica, gradient.graph)
    # The point is an argument there: who reads the copies has another one.
    own = {id(v.handle) for v in replica.values}
    diagnose.assert_replayable(replica, losses.graph, live | own)
    handles = handles_of_others(replica, gradient.graph)
    with restored(handles):  # missing kernels show up only when a graph runs
        gradient(states, batch)
        began = time.perf_counter()
        losses(values, states, batch, pack([(Direction(0, entry=0), 0.0)]))
        price += time.perf_counter() - began
    shortcuts = Shortcuts(
        replica, losses, price if quiet else math.inf, 0.0 if low_precision else _SAME
    )
    return Graphs(
        gradient, losses, shortcuts, present, low_precision, handles, gradient.graph
    )


def _eager(replica, states, batch):
    # Looked at before it runs: a draw would move TensorFlow's own stream.
    low_precision, handles = _inspected(replica, states, batch)
    present: list[bool] = []
    gradient, losses = _gradient(replica, present), _losses_eagerly(replica)
    with restored(handles):
        gradient(states, batch)
    shortcuts = Shortcuts(replica, losses)
    return Graphs(gradient, losses, shortcuts, present, low_precision, handles)


def _inspected(replica, states, batch):
    """What a graph tells of a model that runs without one.

    Returns:
        `low_precision` and `handles`, as `Graphs` has them.
    """
    try:
        graph = _concrete(_gradient(replica, []), states, batch).graph
    except Exception:  # the model's own code, which needs values: assume the worst
        logger.debug("A model that runs eagerly has no graph.", exc_info=True)
        return {"float32": ["code that only runs eagerly, perhaps"]}, []
    diagnose.assert_replayable(replica, graph, replica.live_handles())
    return diagnose.low_precision(replica, graph), handles_of_others(replica, graph)


def _concrete(function, *arguments):
    return tf.function(function, autograph=False).get_concrete_function(*arguments)


def _gradient(replica, present):
    """The loss and its gradient; `present` is filled each time that its code runs."""

    def gradient(states, batch):
        loss, found = replica.loss_and_gradient(states, batch)
        present[:] = [g is not None for g in found]
        return loss, [dense(g) for g in found if g is not None]

    return gradient


def _losses(replica, side_by_side):
    def losses(values, states, batch, perturbations):
        def loss(point):
            return replica.loss(point, states, batch, values)

        return loop(loss, values, perturbations, side_by_side)

    return losses


def _losses_eagerly(replica):
    """One Python call a loss, for models that only run eagerly."""

    def losses(values: Sequence[tf.Tensor], states, batch, perturbations: Packed):
        def loss(point):
            return replica.loss(point, states, batch, values)

        return one_by_one(loss, values, perturbations)

    return losses
