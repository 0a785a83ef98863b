"""From what an operation of a traced step gave to the place where it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_gradwatch.findings.place import Line
from keras_gradwatch.framework import graphs, lines
from keras_gradwatch.nonfinite.marks import IN, OUT, Mark, Visit
from keras_gradwatch.replica import visits
from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.lift.walk import Result
from keras_gradwatch.replica.visits import Spot


class Marking:
    """The marks and calls of one run.

    Args:
        trace: The step.

    Attributes:
        marks: In the order in which they were made.
    """

    def __init__(self, trace: StepTrace):
        self.marks: list[Mark] = []
        self._trace, self._visits = trace, trace.places.visits
        self._spots: dict[tuple[str, str], Spot | None] = {}
        self._made: dict[int, Visit] = {}
        self._in_loops: list[Visit] = []

    def mark(self, result: Result) -> Mark:
        """Makes a mark of what is not finite.

        Args:
            result: What an operation gave.
        """
        spot = self._spot(result.function, result.node)
        mark = self._placed(result, spot)
        if spot is not None:
            mark.operation, mark.line = _code(spot)
            if mark.visit is None or not mark.visit.inputs:
                mark.variable = self._only_weight(spot)
        self.marks.append(mark)
        return mark

    def settled(self, value_of: Callable[[str], Any]) -> list[Visit]:
        """All calls of the run, with what went in and out where that is known.

        Args:
            value_of: The value of a tensor of the graph, by its name.
        """
        graph = self._trace.function.graph
        for static in self._visits.all:
            visit = self._visit(static)
            if static.graph is graph:
                visit.inputs = _known(static.inputs, value_of)
                visit.outputs = _known(static.outputs, value_of)
        found = [self._visit(static) for static in self._visits.all]
        return sorted([*found, *self._in_loops], key=lambda visit: visit.order)

    def _placed(self, result, spot):
        key, value = result.key, result.value
        if result.path and (spot is None or spot.visit is None):
            # Of a loop or a branch in which nothing is called: where that stands.
            spot = self._spot("", result.path[0][0])
        if spot is None:
            return Mark(key, None, OUT, False, value)
        if spot.is_backward:
            static, side = (spot.before, OUT) if spot.before else (spot.visit, IN)
        else:
            static, side = (spot.after, IN) if spot.after else (spot.visit, OUT)
        visit = self._maybe(static)
        if static is not None and static.graph is not self._trace.function.graph:
            visit = self._in_loop(static, visit, result)
        if visit is not None and spot.is_backward:
            visit.arrived = self._arrived(result, spot)
        if visit is not None and side == IN and not spot.is_backward:
            visit.before = self._maybe(spot.before)
        return Mark(key, visit, side, spot.is_backward, value)

    def _in_loop(self, static, visit, result):
        """One of the calls that a loop makes in each of its rounds."""
        same = [v for v in self._visits.all if v.graph is static.graph]
        same = [v for v in same if v.thing is static.thing]
        round_ = result.path[-1][1]
        made = Visit(
            static.thing,
            round_ * len(same) + same.index(static),
            static.order,
            visit.parent,
            inputs=_known(static.inputs, result.values),
        )
        self._in_loops.append(made)
        return made

    def _visit(self, static: visits.Visit) -> Visit:
        if id(static) not in self._made:
            parent = self._maybe(static.parent)
            self._made[id(static)] = Visit(
                static.thing, static.number, static.order, parent
            )
        return self._made[id(static)]

    def _maybe(self, static):
        return None if static is None else self._visit(static)

    def _arrived(self, result, spot):
        """What of the inputs of an operation is a gradient that came from elsewhere."""
        found = []
        for ref, tensor in zip(result.refs, result.inputs, strict=True):
            other = self._spot(result.function, ref.partition(":")[0])
            if other is None or not tensor.dtype.is_floating or not other.is_backward:
                continue
            # A loop hands what it has computed forward to its backward pass.
            is_kept = other.own.type == "TensorListPopBack"
            is_inside = other.operation is spot.operation is not None
            if not is_kept and not is_inside:
                found.append(tensor)
        return found

    def _spot(self, function, name) -> Spot | None:
        if (function, name) not in self._spots:
            self._spots[function, name] = self._visits.spot(function, name)
        return self._spots[function, name]

    def _only_weight(self, spot):
        """The weight that an operation is made of, if it is of nothing else."""
        graph, operation = self._trace.function.graph, spot.operation
        if operation is None or operation.graph is not graph:
            return None
        behind = list(graphs.behind([operation]))
        inside = {t.op.name: outside for outside, t in graph.captures}
        own = {t.op.name for t in graph.inputs}
        names = {op.name for op in behind} & own
        known = self._trace.by_handle()
        found = [known.get(id(inside[n])) if n in inside else None for n in names]
        return found[0] if len(found) == 1 else None


def _known(tensors, value_of) -> list[tf.Tensor]:
    found = (value_of(t.name) for t in tensors)
    return [value for value in found if value is not None]


def _code(spot: Spot) -> tuple[str, Line | None]:
    """The operation, and its line in the user's code."""
    line = lines.line_of_backward([spot.own]) if spot.is_backward else None
    if line is not None:  # by hand
        return spot.own.type, Line(*line)
    operation = spot.operation or spot.own
    line = lines.line_of(operation)
    of = "gradient of " if spot.is_backward and spot.operation is not None else ""
    return of + operation.type, None if line is None else Line(*line)
