"""The model's whole training step, run in the precision of training, without an update.

`Replay` puts other values in the place of variables while any code of the model runs.
A `DryRun` runs the whole step so, compiled, again and again, for what its caller wants
of it; `TrainingStep` is the one that wants gradients and what optimizers get, while
`StepReplay` runs a single step eagerly to look at every call of a layer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.devices import local_value
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.lift.pure import Pure
from keras_gradwatch.replica.places import Places
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.recorder import Recording
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.traces import Traces
from keras_gradwatch.replica.train_step import Objective

logger = logging.getLogger("keras_gradwatch")


class DryRun:
    """Runs the training step of a model without updating anything.

    Args:
        model: The live model.
        dropout: `"bypass"` or `"freeze"`, as for the check.
        variables: The Keras variables that gradients are taken for.
        wanted: Called with the `Recording` of a step while that is traced. Returns
            the tensors that `run` is to return, and what is to be said of them.
    """

    def __init__(
        self,
        model: keras.Model,
        dropout: str,
        variables: tuple[keras.Variable, ...],
        wanted: Callable[[Recording], tuple[list[tf.Tensor], Any]],
    ):
        self._model, self._wanted = model, wanted
        objective = Objective("", None, variables)
        self._replica = Replica(model, dropout, objective, TRAINING)
        self._values, _ = self._replica.stand_ins()
        self._traces = Traces(self._trace)

    def is_traced_for(self, batch: Any) -> bool:
        """Whether there is a graph for this batch."""
        return self._traces.has(batch)

    def run(self, batch: Any) -> tuple[list[tf.Tensor], Any]:
        """Runs the step on one batch.

        Args:
            batch: What `train_step` is handed, in the precision of training.

        Returns:
            What `wanted` returned, the tensors with their values.
        """
        states = self._replica.states()
        for value, live in zip(self._values, self._replica.live_weights, strict=True):
            if value is not live:  # of several devices
                value.assign(local_value(live), read_value=False)
        traced = self._traces.of(states, batch)
        with same_raw_variables(self._replica.layers if traced.is_eager else ()):
            tensors = traced.step(states, batch)
        return tensors, traced.about[0]

    def _trace(self, states: list[tf.Tensor], batch: Any) -> _Traced:
        about: list[Any] = [None]

        def step(states, batch):
            recording = self._replica.train_step(self._values, states, batch)
            tensors, about[0] = self._wanted(recording)
            return [tf.identity(tensor) for tensor in tensors]

        function, places = tf.function(step, autograph=False), Places()
        try:
            with places.recording():
                function = function.get_concrete_function(states, batch)
        except Exception:  # the model's own code, which may need values to run
            if not self._model.run_eagerly:
                raise
            logger.debug("The training step has no graph.", exc_info=True)
            return _Traced(step, about, is_eager=True)
        if not graphs.is_quiet(function.graph):
            places.settle(function.graph)
            function = Pure(function)
            diagnose.assert_pure(self._replica, places, function.effects)
        return _Traced(function, about)


@dataclass(frozen=True)
class _Traced:
    """The step for batches of one signature.

    Args:
        step: `(states, batch) -> tensors`.
        about: What is to be said of the tensors: one entry, set as `step` is traced,
            or each time it runs eagerly.
        is_eager: Whether it is no graph.
    """

    step: Callable
    about: list[Any]
    is_eager: bool = False
