"""From a trace to the functions that an `Evaluator` calls."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.check.evaluation.perturbations import one_by_one
from keras_gradwatch.check.evaluation.shortcuts import Shortcuts
from keras_gradwatch.check.numerics.directions import Perturbation
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.cuts import Ways
from keras_gradwatch.replica.lift.lifted import Lifted
from keras_gradwatch.replica.lift.shares import Shares
from keras_gradwatch.replica.lift.sums import Sums
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.precision import DOUBLE, SINGLE, TRAINING
from keras_gradwatch.replica.replica import Replica

logger = logging.getLogger("keras_gradwatch")

# How far a shortcut may be off by another order of rounding, as a share. On every kind
# of model of the tests they agree to 1e-14 (`tests/check/evaluation`), most to the last
# bit; a graph that computes something else is off by far more.
_SAME = 1e-13


@dataclass(frozen=True)
class Graphs:
    """The functions for batches of one signature.

    Args:
        gradient: `(values, states, batch) -> (loss, gradients)`.
        losses: `(values, states, batch, perturbations) -> losses`, one by one.
        shortcuts: The same losses, by what is quicker where there are many.
        present: Whether the tape returned a gradient, for each weight.
        low_precision: Name of each low-precision dtype that the loss goes
            through, with the layers that use it.
        lifted: The loss and gradient as graphs; None of code that has none.
        ways: The ways from weights to the loss; None of such code.
    """

    gradient: Callable
    losses: Callable
    shortcuts: Shortcuts
    present: Sequence[bool]
    low_precision: dict[str, list[str]]
    lifted: Lifted | None = None
    ways: Ways | None = None

    @functools.cached_property
    def shares(self) -> Shares | None:
        """What each operation adds to an error; made when something is wrong."""
        return None if self.lifted is None else Shares(self.lifted)

    @functools.cached_property
    def sums(self) -> Sums | None:
        """What is summed up to each gradient; made when one is zero."""
        return None if self.lifted is None else Sums(self.lifted)


def graphs_of(
    replica: Replica,
    traced: Callable[[Replica, Any], Trace],
    states: list[tf.Tensor],
    batch: Any,
) -> Graphs:
    """Lifts the loss and the gradient of a replica, and runs them once.

    Args:
        replica: The `Replica`.
        traced: Called with it and the batch; returns the `Trace` of its loss.
        states: What `Replica.states` returned.
        batch: What `train_step` is handed.

    Raises:
        UncheckableError: If the loss of this model can't be replayed.
        Exception: What the model's own code raises.
    """
    replica.precision = SINGLE
    try:
        found = traced(replica, batch)
    except UncheckableError:
        raise
    except Exception:  # the model's own code, which may need values
        if not replica.model.run_eagerly:
            raise
        logger.debug("A model that runs eagerly has no graph.", exc_info=True)
        return _eager(replica, states, batch)
    return _lifted(replica, found, states, batch)


def _lifted(replica, found, states, batch):
    diagnose.assert_not_live(replica, found)
    began = time.process_time()
    lifted = Lifted(found, states, batch)
    diagnose.assert_pure(replica, found.places, lifted.effects)
    values = [tf.cast(value, tf.float64) for value in replica.values()]

    def gradient(values, states, batch):
        loss, *gradients = lifted.gradient(*lifted.flat(values, values, states, batch))
        return loss, gradients

    def losses(values, states, batch, perturbations):
        rest = lifted.flat([], values, states, batch)
        return one_by_one(lambda at: lifted.loss(*at, *rest), values, perturbations)

    # Missing kernels show up only when a graph runs.
    gradient(values, states, batch)
    lifted.loss(*lifted.flat(values, values, states, batch))
    # To make two graphs took so long: another one, in a loop, takes about as long. Not
    # by the clock: on a busy machine nothing would seem to pay.
    price = time.process_time() - began
    low_precision = diagnose.low_precision(replica, found.places, lifted.loss.graph)
    shortcuts = Shortcuts(lifted, losses, price, 0.0 if low_precision else _SAME)
    ways = Ways(replica, found)
    return Graphs(
        gradient, losses, shortcuts, found.present, low_precision, lifted, ways
    )


def _eager(replica, states, batch):
    """For code that has no graph: it runs once for each loss, in float64 if it can."""
    try:
        return _run_eagerly(replica, states, batch, DOUBLE)
    except UncheckableError:
        raise
    except Exception:  # the model's own code, which may cast by itself
        logger.debug("A model could not run in float64.", exc_info=True)
        return _run_eagerly(replica, states, batch, TRAINING)


def _run_eagerly(replica, states, batch, precision):
    present: list[bool] = []

    def in_precision(batch):
        replica.precision = precision
        return batches.as_double(batch) if precision == DOUBLE else batch

    def gradient(values, states, batch):
        with same_raw_variables(replica.layers):
            found = replica.differentiated(values, states, in_precision(batch))
        own = [found.gradients[id(v)] for v in replica.trainable]
        present[:] = [g is not None for g in own]
        return found.target, [dense(g) for g in own if g is not None]

    def losses(values, states, batch, perturbations: Sequence[Perturbation]):
        batch = in_precision(batch)

        def loss(point):
            return replica.loss(point, values, states, batch)

        with same_raw_variables(replica.layers):
            return one_by_one(loss, values, perturbations)

    values = [tf.cast(value, tf.float64) for value in replica.values()]
    gradient(values, states, batch)
    # Without a graph there is no telling what it casts: assume the worst.
    low_precision = {"float32": ["code that only runs eagerly, perhaps"]}
    return Graphs(gradient, losses, Shortcuts(None, losses), present, low_precision)
