"""What stands between a weight and the loss, in a traced graph.

A derivative flows along floats. An operation that makes integers or truth values of
them cuts it, and so does one that is constant piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.findings.place import Place
from keras_gradwatch.framework.graphs import (
    WITHOUT_VALUES,
    called,
    carries,
    library_of,
)
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.places import distinct_names
from keras_gradwatch.replica.replica import Replica

# Operations from floats to floats that are constant piece by piece.
_STAIRS = ("Round", "Rint", "Floor", "Ceil", "Sign", "FloorDiv", "TruncateDiv")
# The same, and choices: what to look for in functions that a graph calls, where the
# dtypes of each value are not at hand.
_INSIDE = (*_STAIRS, "ArgMax", "ArgMin")


@dataclass(frozen=True)
class Cut:
    """What stands between a weight and the loss.

    Args:
        operation: Type of the first operation that has no derivative, such as
            `"Round"`; empty if that is not known.
        place: The layer that it belongs to, None if none, or if not known.
        is_whole: Whether it is known that no way passes it by.
        line: The line of the user's code that it comes from; empty if not known.
    """

    operation: str
    place: Place | None
    is_whole: bool
    line: str = ""


class Ways:
    """The ways from each weight to the loss; each is followed once.

    Args:
        replica: The `Replica` that was traced.
        trace: What its code was traced to.
    """

    def __init__(self, replica: Replica, trace: Trace):
        self._replica, self._trace = replica, trace
        self._cuts: dict[int, Cut | None] = {}
        self._followers: dict[int, Place | None] = {}

    def cut(self, weight: int) -> Cut | None:
        """What stands between a weight and the loss.

        Args:
            weight: Position of the weight.

        Returns:
            The `Cut`; None if there is a way that has a derivative all along.
        """
        if weight not in self._cuts:
            self._cuts[weight] = self._cut_of(weight)
        return self._cuts[weight]

    def follower(self, weight: int) -> Place | None:
        """The layer that first takes what the layer of a weight makes of it.

        Args:
            weight: Position of the weight.
        """
        if weight not in self._followers:
            self._followers[weight] = self._follower_of(weight)
        return self._followers[weight]

    def _cut_of(self, weight):
        flow, places = _Flow(self._trace, weight), self._trace.places
        if flow.reaches(flow.smooth):
            return None
        is_whole = not flow.reaches(flow.hidden)
        first = min(flow.cutting(), key=_rank, default=None)
        if first is None:
            return Cut(next(flow.inside(), ""), None, is_whole)
        place = _place(self._replica, places.owner(first.name))
        line = places.line(first.name)
        return Cut(_called(first), place, is_whole, str(line or ""))

    def _follower_of(self, weight):
        own = None
        for op in _Flow(self._trace, weight).following:
            layer = self._trace.places.owner(op.name)
            own = own or layer
            if layer is not own:
                return _place(self._replica, layer)
        return None


def _place(replica: Replica, layer: Any) -> Place | None:
    if layer is None or layer is replica.model:
        return None
    name = distinct_names(replica.model).get(id(layer), layer.name)
    return Place(name, type(layer).__name__)


class _Flow:
    """Which tensors of a graph depend on a weight, and how.

    Attributes:
        smooth: Those with a derivative all along.
        hidden: Those to which all such ways lead through functions of the graph, in
            which it was not looked.
        following: The operations through which it acts, in their order.
    """

    def __init__(self, trace: Trace, weight: int):
        graph, inside = trace.graph, trace.inside
        self._graph = graph
        self._targets = trace.call.targets
        start = {t.name for _, t in graph.captures if inside.get(id(t)) == weight}
        self.smooth, self.hidden = set(start), set[str]()
        self._cut: dict[str, frozenset[tf.Operation]] = {}
        self._calls: list[tf.Operation] = []
        self.following: list[tf.Operation] = []
        for op in graph.get_operations():
            if op.type not in WITHOUT_VALUES:
                names = {t.name for t in op.inputs}
                self._follow(op, names if op.name in trace.moving else names - start)

    def reaches(self, tensors: set[str]) -> bool:
        """Whether the loss is among some tensors."""
        return any(target.name in tensors for target in self._targets)

    def cutting(self) -> frozenset[tf.Operation]:
        """The operations that cut ways that then go on to the loss."""
        found = [self._cut.get(target.name, frozenset()) for target in self._targets]
        return frozenset().union(*found)

    def inside(self) -> Iterator[str]:
        """Types of operations without a derivative in functions that are called."""
        library = library_of(self._graph)
        wanted = [name for op in self._calls for name in called(op.node_def)]
        seen: set[str] = set()
        while wanted:
            name = wanted.pop(0)
            if name in seen or name not in library:
                continue
            seen.add(name)
            for node in library[name].node_def:
                if node.op in _INSIDE:
                    yield node.op
                wanted += called(node)

    def _follow(self, op: tf.Operation, names: set[str]) -> None:
        is_smooth = not self.smooth.isdisjoint(names)
        is_hidden = not self.hidden.isdisjoint(names)
        origins = frozenset().union(*(self._cut.get(n, frozenset()) for n in names))
        if is_smooth or is_hidden:
            self.following.append(op)
            if any(called(op.node_def)):
                self._calls.append(op)
                is_smooth, is_hidden = False, True
        for tensor in op.outputs:
            passes = op.type not in _STAIRS and carries(tensor.dtype)
            if is_smooth and passes:
                self.smooth.add(tensor.name)
            if is_hidden and passes:
                self.hidden.add(tensor.name)
            own = (
                frozenset([op]) if (is_smooth or is_hidden) and not passes else origins
            )
            if own or origins:
                self._cut[tensor.name] = own | origins


def _rank(op: tf.Operation) -> tuple[int, str]:
    """Rounding first: a comparison may be of something else, such as a mask."""
    kind = 0 if op.type in _STAIRS else 2 if op.outputs[0].dtype.is_bool else 1
    return kind, op.name


def _called(op: tf.Operation) -> str:
    if op.type == "Cast":
        return f"Cast to {op.outputs[0].dtype.name}"
    return str(op.type)
