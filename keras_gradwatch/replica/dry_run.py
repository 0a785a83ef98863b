"""The model's whole training step, run in the precision of training, without an update.

A `DryRun` runs the step that `Steps` traced, compiled, again and again, for what its
caller wants of it; `TrainingStep` is the one that wants gradients and what optimizers
get, `Gauge` wants a few figures, while `TracedReplay` runs a single step node by node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.devices import local_value
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.lift.pure import Pure
from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.recorder import Recording
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.traces import Traces

logger = logging.getLogger("keras_gradwatch")


class DryRun:
    """Runs the training step of a model without updating anything.

    Args:
        steps: The `Steps` of the model.
        dropout: `"bypass"` or `"freeze"`, as for the check.
        wanted: Called with the `Recording` of a step while that is compiled, or each
            time it runs. Returns the tensors that `run` is to return, and what is to be
            said of them.
        compiled: Whether to compile what `wanted` computes: that pays where it is much,
            or runs often.
    """

    def __init__(
        self,
        steps: Steps,
        dropout: str,
        wanted: Callable[[Recording], tuple[list[tf.Tensor], Any]],
        compiled: bool = True,
    ):
        self._steps, self._dropout, self._wanted = steps, dropout, wanted
        self._compiled = compiled
        self._runs: Traces[_Run] = Traces(self._made)

    def is_ready_for(self, batch: Any) -> bool:
        """Whether there is a graph for this batch."""
        return self._runs.known(batch) is not None

    def run(self, batch: Any) -> tuple[list[tf.Tensor], Any]:
        """Runs the step on one batch.

        Args:
            batch: What `train_step` is handed, in the precision of training.

        Returns:
            What `wanted` returned, the tensors with their values.
        """
        run = self._runs.of(batch)
        states, live = run.replica.states(), run.replica.live_weights
        for value, own in zip(run.stand_ins, live, strict=True):
            if value is not own:  # of several devices
                value.assign(local_value(own), read_value=False)
        with same_raw_variables(run.replica.layers if run.is_eager else ()):
            tensors = run.step(states, batch)
        return tensors, run.about[0]

    def _made(self, batch) -> _Run:
        try:
            trace = self._steps.of(self._dropout, TRAINING, batch)
        except Exception:  # the model's own code, which may need values to run
            if not self._steps.model.run_eagerly:
                raise
            logger.debug("The training step has no graph.", exc_info=True)
            return self._eager()
        about: list[Any] = [None]
        found = _replayed(trace)

        def step(states, batch):
            recording = trace.recording_of(found(states, batch))
            tensors, about[0] = self._wanted(recording)
            return tensors

        run = step
        # What is cut out of a graph runs in a graph.
        if self._compiled or found is not trace.function:
            function = tf.function(step, autograph=False)
            run = function.get_concrete_function(trace.replica.states(), batch)
        return _Run(run, about, trace.replica, trace.stand_ins)

    def _eager(self) -> _Run:
        replica = self._steps.way(self._dropout, TRAINING).replica
        about, values = [None], replica.stand_ins()

        def step(states, batch):
            recording = replica.train_step(values, states, batch)
            tensors, about[0] = self._wanted(recording)
            return tensors

        return _Run(step, about, replica, values, is_eager=True)


@dataclass(frozen=True)
class _Run:
    """The step for batches of one signature.

    Args:
        step: `(states, batch) -> tensors`.
        about: What is to be said of the tensors: one entry, set as `step` is compiled,
            or each time it runs eagerly.
        replica: The `Replica` of the step.
        stand_ins: The variables that stand for its weights.
        is_eager: Whether it is no graph.
    """

    step: Callable
    about: list[Any]
    replica: Replica
    stand_ins: list[tf.Variable]
    is_eager: bool = False


def _replayed(trace: StepTrace) -> Callable:
    """What gives the tensors of a trace, and does nothing else."""
    if graphs.is_quiet(trace.function.graph):
        return trace.function
    pure = Pure(trace.function, trace.tensors)
    diagnose.assert_harmless(trace.replica, trace.places, pure.effects)
    return pure
