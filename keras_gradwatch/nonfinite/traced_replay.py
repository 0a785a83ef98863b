"""Running one training step again node by node, as it was traced.

The graph is that of the other callbacks, without effects: no code of the user's runs,
nothing is printed or counted. What each operation gives is looked at, forward and
backward, in the rounds of loops too. `TrainingStep` of `check/` and `Gauge` of `stats/`
run the step that comes next: at the live weights, compiled (a `DryRun`), and see only
gradients, what optimizers are handed, or figures of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework.isolation import raw_variables
from keras_gradwatch.framework.keras_internals import all_layers
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.nonfinite.marking import Marking
from keras_gradwatch.nonfinite.marks import fixed
from keras_gradwatch.nonfinite.run import Run, cleaned, gradients_of
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.lift import draws, surgery
from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.lift.walk import Walk
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.steps import Steps


class TracedReplay:
    """A model's training step at given values, run node by node: a `Replay`.

    In the precision of training, with the draws that training made, if they are Keras'
    own or of a `tf.random.Generator` that a layer holds.

    Args:
        model: The live model. It is left as it is.
        values: Values of its variables, by id; live ones where there is none.
    """

    def __init__(self, model: keras.Model, values: Mapping[int, tf.Tensor]):
        self.model, self.values = model, values
        self._steps = Steps.shared(model)
        self._graphs: dict[int, _Graph] = {}
        self._standing: tuple[Any, dict[int, tf.Variable]] = (None, {})

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""
        return all_layers(self.model)

    def prepare(self, batch: Any) -> None:
        """Traces the step, if it was not.

        Args:
            batch: What `train_step` is handed.

        Raises:
            UncheckableError: If the step can't be followed, or does something besides
                that its result needs.
            Exception: What the model's own code raises.
        """
        self._graph(batch)

    def run(self, batch: Any, clean: Any = None, with_gradients: bool = True) -> Run:
        """Runs the step on a batch, see `Replay`."""
        graph = self._graph(batch)
        trace, recording = graph.trace, graph.trace.recording
        marking = Marking(trace)

        def see(result):
            mark = marking.mark(result)
            return fixed(clean, mark.key, result.value)

        wanted = graph.losses + (graph.others if with_gradients else [])
        given = self._given(graph, cleaned(batch, clean))
        found, value_of = graph.walk.run(given, wanted, see)
        values: dict[int, tf.Tensor] = {}
        gradients, updates = [], []
        losses, rest = found[: len(graph.losses)], found[len(graph.losses) :]
        if with_gradients:
            count = len(trace.tensors)
            recording = trace.recording_of(rest[:count])
            gradients, updates = gradients_of(recording), recording.updates
            values = dict(zip(trace.recording.left, rest[count:], strict=True))
        return Run(
            losses=losses,
            gradients=gradients,
            updates=updates,
            marks=marking.marks,
            visits=marking.settled(value_of),
            added=[],
            values=values,
        )

    def value(self, variable: Any) -> tf.Tensor:
        """The value of a Keras variable before the step."""
        known = self.values.get(id(variable))
        if known is None and isinstance(variable, tf.Variable):
            return variable.read_value()
        return read_variable(variable) if known is None else known

    def _graph(self, batch):
        trace = self._steps.of("freeze", TRAINING, batch)
        if id(trace) not in self._graphs:
            self._graphs[id(trace)] = _Graph.of(trace)
        return self._graphs[id(trace)]

    def _given(self, graph, batch):
        """A tensor for each input of the graph."""
        function, replica = graph.trace.function, graph.trace.replica
        arguments = (replica.states(self.value), batch)
        flat = tf.nest.flatten(arguments, expand_composites=True)
        names = (t.op.name for t in function.graph.inputs)
        tensors = (t for t in flat if tf.is_tensor(t))
        given = dict(zip(names, tensors, strict=False))
        used = graph.part.used
        for outside, inside in function.graph.captures:
            if inside.op.name in used:
                given[inside.op.name] = self._before(graph, outside)
        if draws.NUMBER in used:
            given[draws.NUMBER] = draws.number().read_value()
        return given

    def _before(self, graph, outside):
        """What stands for what a graph captures: the handle of a copy of a variable."""
        if outside.dtype != tf.resource:
            return outside
        values, copies = self._standing
        if values is not self.values:
            copies = {}
            self._standing = (self.values, copies)
        if id(outside) not in copies:
            variable = graph.variables.get(id(outside))
            if variable is None:
                return outside  # a table, or what no step writes
            copies[id(outside)] = tf.Variable(self.value(variable), trainable=False)
        return copies[id(outside)].handle


@dataclass(frozen=True, eq=False)
class _Graph:
    """A traced step, ready to be run.

    Args:
        trace: The trace.
        part: Its graph without effects.
        walk: The same, run node by node.
        losses: References to the losses, before they are scaled.
        others: To all else.
        variables: Keras variables, or those of TensorFlow, by the ids of handles.
    """

    trace: StepTrace
    part: Any
    walk: Walk
    losses: list[str]
    others: list[str]
    variables: dict[int, Any]

    @classmethod
    def of(cls, trace: StepTrace):
        """Takes the effects off a graph.

        Raises:
            UncheckableError: If there is one that its result needs.
        """
        graph, recording = trace.function.graph, trace.recording
        definition = graph.as_graph_def()
        scaled = {id(s.scaled): s.loss for s in recording.scalings}
        losses = [t for call in recording.calls for t in call.targets]
        losses = [scaled.get(id(t), t) for t in losses]
        wanted = [*losses, *trace.tensors, *recording.left.values()]
        inputs = {t.op.name for t in graph.inputs}
        names = [t.name for t in wanted]
        part = surgery.lifted(definition, inputs, frozenset(), names, widen=False)
        diagnose.assert_harmless(trace.replica, trace.places, part.effects)
        kept = {
            t.name
            for visit in trace.places.visits.all
            for t in (*visit.inputs, *visit.outputs)
        }
        count = len(losses)
        walk = Walk(part, definition, kept)
        variables = trace.by_handle()
        for variable in raw_variables(trace.replica.layers):
            variables[id(variable.handle)] = variable
        outputs = part.outputs
        return cls(trace, part, walk, outputs[:count], outputs[count:], variables)
