"""A lifted graph and its functions, made ready to be run node by node."""

from __future__ import annotations

import functools
import heapq
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.replica.lift.nodes import (
    FunctionNames,
    GraphNames,
    Names,
    Node,
    described,
    named_in,
)
from keras_gradwatch.replica.lift.rules import BRANCHES, LOOPS
from keras_gradwatch.replica.lift.surgery import Part

_GRAPH = GraphNames()
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# What `surgery` makes the name of a function end in.
_LIFTED = re.compile(r"_lifted_\d+(_numbered|_in_rounds)*$")


@dataclass(eq=False)
class Step:
    """A node, ready to be run.

    Args:
        node: The node.
        ins: Keys of its inputs.
        outs: Keys of its outputs.
        run: Takes its inputs; None for what is run in here.
        last: Keys of which nothing is read later.
    """

    node: Node
    ins: list[tuple]
    outs: list[tuple]
    run: Callable | None
    last: list[tuple] = field(default_factory=list)


@dataclass(eq=False)
class RunnableBody:
    """A graph or a function: its steps in order, and what it takes and gives."""

    name: str
    names: Names
    steps: list[Step]
    takes: list[tuple] = field(default_factory=list)
    gives: list[tuple] = field(default_factory=list)

    def key(self, ref: str) -> tuple:
        """The key of an output, by a reference such as graphs have."""
        node, number = _GRAPH.key(ref)
        outs = self._outs.get(node, ())
        return outs[number] if number < len(outs) else (node, 0)

    @functools.cached_property
    def _outs(self) -> dict[str, list[tuple]]:
        return {step.node.node.name: step.outs for step in self.steps}


class Runnable:
    """A lifted graph and its functions, ready to be run node by node.

    Args:
        part: The graph.
        old: The graph from which it was lifted, a `GraphDef`: in its order.
        kept: References, as in the old graph, to what is asked for later.
    """

    def __init__(self, part: Part, old: Any, kept: Collection[str] = ()):
        self._part, self._kept = part, frozenset(kept)
        self._library = {f.signature.name: f for f in part.definition.library.function}
        self._orders = {
            f.signature.name: [node.name for node in f.node_def]
            for f in old.library.function
        }
        self._functions: dict[str, RunnableBody] = {}
        self._order = [node.name for node in old.node]
        self._bodies: dict[tuple[str, ...], RunnableBody] = {}

    def graph(self, wanted: Sequence[str]) -> RunnableBody:
        """What of the graph some tensors need.

        Args:
            wanted: References.
        """
        wanted = tuple(wanted)
        if wanted not in self._bodies:
            names, nodes = _GRAPH, self._part.definition.node
            by_name = {node.name: node for node in nodes}
            waiting, needed = [names.key(ref)[0] for ref in wanted], set[str]()
            while waiting:
                name = waiting.pop()
                if name in by_name and name not in needed:
                    needed.add(name)
                    waiting += (names.key(ref)[0] for ref in by_name[name].input)
            own = [node for node in nodes if node.name in needed]
            body = self._body("", names, own, self._order)
            body.gives = [names.key(ref) for ref in wanted]
            self._free(body)
            self._bodies[wanted] = body
        return self._bodies[wanted]

    def function(self, name: str) -> RunnableBody:
        """A function of the graph, by its name."""
        if name not in self._functions:
            function = self._library[name]
            signature = function.signature
            takes = [a.name for a in signature.input_arg]
            names = FunctionNames(takes)
            old = self._orders.get(original(name), ())
            body = self._body(name, names, function.node_def, old)
            body.takes = [names.key(argument) for argument in takes]
            returned = (function.ret[a.name] for a in signature.output_arg)
            body.gives = [names.key(ref) for ref in returned]
            self._free(body)
            self._functions[name] = body
        return self._functions[name]

    def _body(self, name, names, nodes, order):
        places = {old: k for k, old in enumerate(order)}

        def place(node):
            known = node.name
            while known not in places and "/" in known:
                known = known.rpartition("/")[0]
            return places.get(known, -1)

        steps = [self._step(node, names) for node in sorted(nodes, key=place)]
        return RunnableBody(name, names, _in_order(steps))

    def _step(self, node, names):
        known = described(node, self._library)
        outs = [
            names.key(names.ref(node.name, known.outs, k))
            for k in range(len(known.outs))
        ]
        ins = [names.key(ref) for ref in known.inputs]
        return Step(known, ins, outs, self._runner(known))

    def _runner(self, node):
        if node.op in (*LOOPS, *BRANCHES, *self._library):
            return None
        if node.op in _CALLS and not self._is_drawn_by_xla(node):
            return None
        if node.op == "Const":
            value = tf.constant(tf.make_ndarray(node.attributes["value"].tensor))
            return lambda inputs: [value]
        if any(named_in(value) for value in node.attributes.values()):
            return self._whole(node)
        attributes = operations.python_attributes(node.op, node.attributes)
        count = len(node.outs)
        return lambda inputs: operations.run(node.op, inputs, attributes, count)

    def _is_drawn_by_xla(self, node):
        """Whether it calls what XLA draws: other numbers than without it."""
        compiled = node.attributes.get("_XlaMustCompile")
        if compiled is None or not compiled.b:
            return False
        function = self._library[node.attributes["f"].func.name]
        drawing = (n.op for n in function.node_def if n.op.startswith("Stateless"))
        return any(op not in (*LOOPS, *BRANCHES) for op in drawing)

    def _whole(self, node):
        """Runs a node with its functions as a graph of its own, as XLA compiles it."""
        definition = tf.compat.v1.GraphDef()
        definition.versions.CopyFrom(self._part.definition.versions)
        definition.library.CopyFrom(self._part.definition.library)
        alone = definition.node.add()
        alone.CopyFrom(node.node)
        names = [f"input{k}" for k in range(len(node.ins))]
        alone.input[:] = names
        for name, (_, _, dtype) in zip(names, node.ins, strict=True):
            placeholder = definition.node.add(name=name, op="Placeholder")
            placeholder.attr["dtype"].type = dtype
        made: list[Any] = []

        def imported(*inputs):
            outs = [f"{alone.name}:{k}" for k in range(len(node.outs))]
            return tf.graph_util.import_graph_def(
                definition, dict(zip(names, inputs, strict=True)), outs, name="alone"
            )

        def run(inputs):
            if not made:
                specs = [tf.TensorSpec(None, t.dtype) for t in inputs]
                made.append(tf.compat.v1.wrap_function(imported, specs))
            return made[0](*inputs)

        return run

    def _free(self, body):
        """Finds out after which step each value is of no use any more."""
        seen = {*body.gives, *map(body.key, self._kept)}
        for step in reversed(body.steps):
            for key in (*step.ins, *step.outs):
                if key not in seen:
                    seen.add(key)
                    step.last.append(key)


def _in_order(steps: list[Step]) -> list[Step]:
    """Each after what it takes, and else as they were.

    That is nearly the order of the code; but a loop takes what is made for its
    backward pass.
    """
    makers = {key: k for k, step in enumerate(steps) for key in step.outs}
    behind = [{makers[key] for key in s.ins if key in makers} for s in steps]
    users: dict[int, list[int]] = {}
    for k, others in enumerate(behind):
        for other in others:
            users.setdefault(other, []).append(k)
    waits = [len(others) for others in behind]
    ready = [k for k, count in enumerate(waits) if not count]  # sorted: a heap
    found = []
    while ready:
        k = heapq.heappop(ready)
        found.append(steps[k])
        for user in users.get(k, ()):
            waits[user] -= 1
            if not waits[user]:
                heapq.heappush(ready, user)
    return found


def original(name: str) -> str:
    """What a function was called before it was lifted."""
    return _LIFTED.sub("", name)
