"""The model's whole training step, run in the precision of training, without an update.

A `DryRun` runs the step that `Steps` traced, compiled, again and again, for what its
caller wants of it; `TrainingStep` is the one that wants gradients and what optimizers
get, `Gauge` wants a few figures, while `TracedReplay` runs a single step node by node.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.devices import local_value
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.lift.pure import Pure
from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.recorder import Part, Recording
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.traces import Traces

logger = logging.getLogger("keras_gradwatch")

# Examples of a part of a batch. Chosen: of batches of 8 on.
_FEWEST = 2


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
        more: Called with a `StepTrace`; returns tensors of its graph that are to be
            the `outputs` of the recording. A step that has no graph has none.
        part: A share of the batch. The step can be run on that many examples, too,
            where its trace serves batches of any size.
    """

    def __init__(
        self,
        steps: Steps,
        dropout: str,
        wanted: Callable[[Recording], tuple[list[tf.Tensor], Any]],
        compiled: bool = True,
        more: Callable[[StepTrace], list[tf.Tensor]] | None = None,
        part: float = 0.0,
    ):
        self._steps, self._dropout, self._wanted = steps, dropout, wanted
        self._compiled = compiled
        self._more, self._part = more, part
        self._runs: Traces[_Run] = Traces(self._made)

    def is_ready_for(self, batch: Any) -> bool:
        """Whether there is a graph for this batch."""
        return self._runs.known(batch) is not None

    def run(self, batch: Any, with_part: bool = False) -> tuple[list[tf.Tensor], Any]:
        """Runs the step on one batch.

        Args:
            batch: What `train_step` is handed, in the precision of training.
            with_part: Whether it is to be run on the part of the batch, too.

        Returns:
            What `wanted` returned, the tensors with their values.
        """
        run = self._runs.of(batch)
        states, live = run.replica.states(), run.replica.live_weights
        for value, own in zip(run.stand_ins, live, strict=True):
            if value is not own:  # of several devices
                value.assign(local_value(own), read_value=False)
        with same_raw_variables(run.replica.layers if run.is_eager else ()):
            tensors = run.step(states, batch, tf.constant(with_part))
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
        more = self._more(trace) if self._more else []
        found = _replayed(trace, more)
        some = _examples_of(trace, batch, self._part)

        def recorded(states, batch):
            values = found(states, batch)
            count = len(trace.tensors)
            recording = trace.recording_of(values[:count])
            recording.outputs = list(values[count:])
            return recording

        def step(states, batch, with_part):
            recording = recorded(states, batch)
            if some:
                sizes = some, batches.batch_size(batch) or 0
                run = functools.partial(recorded, states, _first(batch, some))
                recording.part = Part(run, with_part, *sizes)
            tensors, about[0] = self._wanted(recording)
            return tensors

        run = step
        # What is cut out of a graph runs in a graph.
        if self._compiled or found is not trace.function:
            function = tf.function(step, autograph=False)
            states = trace.replica.states()
            run = function.get_concrete_function(states, batch, tf.constant(False))
        return _Run(run, about, trace.replica, trace.stand_ins)

    def _eager(self) -> _Run:
        replica = self._steps.way(self._dropout, TRAINING).replica
        about, values = [None], replica.stand_ins()

        def step(states, batch, with_part):
            recording = replica.train_step(values, states, batch)
            tensors, about[0] = self._wanted(recording)
            return tensors

        return _Run(step, about, replica, values, is_eager=True)


@dataclass(frozen=True)
class _Run:
    """The step for batches of one signature.

    Args:
        step: `(states, batch, with_part) -> tensors`.
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


def _replayed(trace: StepTrace, more: Sequence[tf.Tensor]) -> Callable:
    """What gives the tensors of a trace and more of its graph, and does no more."""
    if not more and graphs.is_quiet(trace.function.graph):
        return trace.function
    pure = Pure(trace.function, [*trace.tensors, *more])
    diagnose.assert_harmless(trace.replica, trace.places, pure.effects)
    return pure


def _examples_of(trace: StepTrace, batch: Any, part: float) -> int:
    """How many examples a share of the batch is; 0 if the trace takes no other size."""
    size = batches.batch_size(batch, ragged=False)
    leaves = [t for t in tf.nest.flatten(batch) if tf.is_tensor(t)]
    graph = trace.function.graph
    count = len(graph.inputs) - len(graph.captures)
    taken = graph.inputs[count - len(leaves) : count]
    takes_any = all(t.shape.rank and t.shape[0] is None for t in taken)
    some = int(part * size) if size else 0
    # A share of one or two says little.
    return some if takes_any and some >= _FEWEST else 0


def _first(batch: Any, count: int) -> Any:
    return tf.nest.map_structure(lambda t: None if t is None else t[:count], batch)
