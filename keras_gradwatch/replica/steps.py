"""The training step of a model, traced once for all who look at it.

One trace serves the check in float64 and what runs the step in its own precision, for
each of its losses, and for all callbacks of a fit. Another is needed only where the
code itself must run otherwise: with dropout and without it, or in half precision (a
constant that is rounded to it stays so, so what is lifted is traced in float32).
"""

from __future__ import annotations

import logging
import weakref
from typing import Any

import keras

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.replica import precision, randomness
from keras_gradwatch.replica.lift.trace import StepTrace, Trace, traced
from keras_gradwatch.replica.precision import SINGLE, TRAINING
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.traces import Traces
from keras_gradwatch.replica.train_step import (
    Objective,
    in_recording,
    objectives_eagerly,
)

logger = logging.getLogger("keras_gradwatch")

_shared: weakref.WeakValueDictionary[int, Steps] = weakref.WeakValueDictionary()


class Steps:
    """Traces the training step of a model, and keeps what was traced.

    Args:
        model: The live model.
        of_any_size: Whether batches of other sizes are to come: then a trace serves
            any size, where the code can be traced so.
    """

    def __init__(self, model: keras.Model, of_any_size: bool = False):
        self.model = model
        self._of_any_size = of_any_size
        self._fit = getattr(model, "history", None)  # each has another
        self._ways: dict[tuple[str, str], _Way] = {}
        self._trained: list[keras.Variable] = []

    @classmethod
    def shared(cls, model: keras.Model) -> Steps:
        """Those of the present fit of a model, which others hold perhaps, or new ones.

        They go with the last who holds them. The next fit may train the same weights
        with another loss.
        """
        found = _shared.get(id(model))
        if found is None or found._fit is not getattr(model, "history", None):
            found = _shared[id(model)] = cls(model, of_any_size=True)
        return found

    def objectives(self, dropout: str, batch: Any) -> tuple[Objective, ...]:
        """What the training step differentiates.

        Args:
            dropout: `"bypass"` or `"freeze"`, for how it is to be traced if it was not.
            batch: What `train_step` is handed.

        Raises:
            UncheckableError: If it does not differentiate with a `tf.GradientTape`.
            Exception: What the model's own code raises.
        """
        if internals.has_default_train_step(self.model):
            return (Objective("", None, tuple(self.model.trainable_variables)),)
        self._refresh()
        known = [way.traces.known(batch) for way in self._ways.values()]
        trace = next((t for t in known if t is not None), None)
        try:
            trace = trace or self.of(dropout, SINGLE, batch)
        except Exception:  # the model's own code, which may need values
            if not self.model.run_eagerly:
                raise
            return objectives_eagerly(self.model, batch)
        return in_recording(self.model, trace.recording, trace.function.graph)

    def loss(self, replica: Replica, batch: Any) -> Trace:
        """What was traced of one loss.

        Args:
            replica: The `Replica` of that loss.
            batch: What `train_step` is handed.
        """
        return self.of(replica.dropout, SINGLE, batch).loss(replica)

    def of(self, dropout: str, wanted: str, batch: Any) -> StepTrace:
        """The step for batches like this one; traced now, if it was not.

        Args:
            dropout: `"bypass"` or `"freeze"`.
            wanted: In what the model's code computes, see `precision`.
            batch: What `train_step` is handed, in the precision of training.

        Raises:
            UncheckableError: If the step can't be followed.
            Exception: What the model's own code raises; the same when asked again.
        """
        return self.way(dropout, wanted).traces.of(batch)

    def way(self, dropout: str, wanted: str) -> _Way:
        """The step, traced in one way. Two ways that make no difference are one."""
        self._refresh()
        if not randomness.drawing(self.model):
            dropout = "freeze"
        if not precision.patches(self.model, self.model.variables, wanted):
            wanted = TRAINING
        key = dropout, wanted
        if key not in self._ways:
            self._ways[key] = _Way(self.model, dropout, wanted, self._of_any_size)
        return self._ways[key]

    def _refresh(self):
        """Forgets what was traced where other weights are trained by now."""
        now = list(self.model.trainable_variables)
        if list(map(id, now)) != list(map(id, self._trained)):
            self._trained = now
            self._ways.clear()


class _Way:
    """The step, traced in one way.

    Attributes:
        replica: The `Replica` that is traced.
        traces: What was traced of it.
    """

    def __init__(self, model, dropout, wanted, of_any_size):
        objective = Objective("", None, tuple(model.trainable_variables))
        self.replica = Replica(model, dropout, objective, wanted)
        # XLA needs to know the shapes of what is drawn.
        self._of_any_size = of_any_size and not model.jit_compile
        self.traces: Traces[StepTrace] = Traces(self._traced, self._signature)

    def _signature(self, batch):
        if self._of_any_size:
            return batches.signature_of_any_size(batch)
        return batches.signature(batch)

    def _traced(self, batch):
        replica, states = self.replica, self.replica.states()
        if self._of_any_size:
            try:
                return traced(replica, states, batches.of_any_size(batch))
            except Exception:  # the model's own code, which may need to know the size
                logger.debug("A step can't be traced for any size.", exc_info=True)
                self._of_any_size = False
        try:
            return traced(replica, states, batch)
        except Exception:
            if replica.model.run_eagerly:  # it will run as it is
                with untouched(replica.model, losses=False):
                    internals.build_losses(replica.model, batch)
            raise
