"""Gradients and many perturbed losses of a replica, in compiled graphs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.perturbations import MOST, Perturbation
from keras_gradwatch.check.evaluation.tracing import Graphs, graphs_of
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework.graphs import view
from keras_gradwatch.replica.lift.trace import Trace, traced_alone
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.traces import Traces

logger = logging.getLogger("keras_gradwatch")


class Evaluator:
    """Evaluates a replica. Traces once for each signature of the data.

    All perturbed losses come from one graph with one copy of the model in it:
    which weights are moved, where and how far, are data of a loop. Where it pays,
    `Shortcuts` compute what does not depend on the moved weights but once.

    Args:
        replica: The `Replica` to evaluate.
        traced: Called with it and a batch; returns the `Trace` of its loss. By
            default it is traced by itself.
        like: The evaluator of a replica that is the same but for its states: then one
            trace serves both, and `traced` is not called.

    Attributes:
        seconds: How long one loss took of late, if that is known.
    """

    def __init__(
        self,
        replica: Replica,
        traced: Callable[[Replica, Any], Trace] = traced_alone,
        like: Evaluator | None = None,
    ):
        self.replica, self._traced = replica, traced
        self.seconds: float | None = None
        self._traces: Traces[Graphs] = (
            Traces(self._made) if like is None else like._traces
        )

    def is_traced_for(self, batch: Any) -> bool:
        """Whether there are graphs for this batch."""
        return self._traces.known(batch) is not None

    def graphs_for(self, states: list[tf.Tensor], batch: Any) -> Graphs:
        """The functions for this batch, traced if they are new.

        Raises:
            UncheckableError: If the loss of this model can't be replayed.
        """
        return self._traces.of(batch, states)

    def gradient(
        self, values: Sequence[tf.Tensor], states: list[tf.Tensor], batch: Any
    ) -> tuple[float, list[np.ndarray | None]]:
        """The loss at some values of the weights, and its gradient.

        Args:
            values: The weights, a float64 tensor each.
            states: What `Replica.states` returned.
            batch: What `train_step` is handed.

        Returns:
            A tuple `(loss, gradients)`: a float, and for each weight a float64
            array, or None where the tape returned None.
        """
        graphs = self._traces.of(batch, states)
        loss, found = graphs.gradient(values, states, batch)
        rest = iter(found)
        gradients = [view(next(rest)) if there else None for there in graphs.present]
        return float(loss), gradients

    def prepare(
        self,
        values: Sequence[tf.Tensor],
        states: list[tf.Tensor],
        batch: Any,
        perturbations: Sequence[Perturbation],
    ) -> None:
        """Makes ready for what `losses` takes: a one-off price, where that pays."""
        graphs = self._traces.of(batch, states)
        graphs.shortcuts.prepare((values, states, batch), perturbations)

    def losses(
        self,
        values: Sequence[tf.Tensor],
        states: list[tf.Tensor],
        batch: Any,
        perturbations: Sequence[Perturbation],
        at_once: int = MOST,
        tell: Callable[[Sequence[Perturbation]], None] = lambda perturbations: None,
    ) -> np.ndarray:
        """The loss with one weight or several moved, for each perturbation.

        Args:
            values: The unmoved weights, a tensor each.
            states: What `Replica.states` returned.
            batch: What `train_step` is handed.
            perturbations: Pairs of a direction or sweep, and a signed step along it.
            at_once: The most in one call of a graph.
            tell: Called with the perturbations of each call, before it.

        Returns:
            Losses, float64, shape `(len(perturbations),)`.
        """
        graphs = self._traces.of(batch, states)
        return graphs.shortcuts.losses(
            (values, states, batch), perturbations, at_once, tell
        )

    def _made(self, batch, states) -> Graphs:
        try:
            return graphs_of(self.replica, self._traced, states, batch)
        except UncheckableError:
            raise
        except Exception as error:  # the model's own code runs, and may do all
            logger.debug("Tracing the model failed.", exc_info=True)
            raise self.replica.unreplayable(error) from error
