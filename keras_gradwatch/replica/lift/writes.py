"""What is written in a graph before it is read there.

A graph without its effects would read what a variable held before the step. Where the
order can be told, what was written is what is read; else it is told that it can't.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.framework.graphs import QUIET
from keras_gradwatch.replica.lift.draws import is_draw
from keras_gradwatch.replica.lift.nodes import functions_of, inputs_of

# How an operation changes what a variable holds: by an operation on what it held, or
# by what it is given.
ASSIGNS = {
    "AssignVariableOp": None,
    "AssignAddVariableOp": "AddV2",
    "AssignSubVariableOp": "Sub",
}
_R = tf.resource.as_datatype_enum
READS = ("ReadVariableOp", "ResourceGather", "ResourceGatherNd")


class Writes(Protocol):
    """Who wrote before, in one body."""

    def before(self, node: Any) -> list[Any] | None:
        """The nodes that write, in order, what a node takes; None: can't be told."""


class GraphWrites:
    """In a graph, whose nodes stand in the order in which the code made them.

    Args:
        nodes: The `NodeDef`s.
        library: The functions that they call.
    """

    def __init__(self, nodes: Iterable[Any], library: Mapping[str, Any]):
        self._before: dict[str, list[Any] | None] = {}
        written: dict[str, list[Any] | None] = {}
        for node in nodes:
            for handle in node.input:
                if handle in written:
                    so_far = written[handle] if node.op in READS else None
                    self._before[node.name] = so_far and list(so_far)
            if node.op in ASSIGNS:
                so_far = written.setdefault(node.input[0], [])
                if so_far is not None:
                    so_far.append(node)
            elif writes(node, library):
                written |= dict.fromkeys(handles_of(node, library))

    def before(self, node: Any) -> list[Any] | None:
        return self._before.get(node.name, [])


class FunctionWrites:
    """In a function, whose nodes stand in no order.

    Args:
        nodes: The `NodeDef`s.
        library: The functions that they call.
        in_loop: Whether the function is run again and again.
    """

    def __init__(self, nodes: Iterable[Any], library: Mapping[str, Any], in_loop: bool):
        self._in_loop = in_loop
        self._writers = {
            node.name: set(handles_of(node, library))
            for node in nodes
            if writes(node, library)
        }

    def before(self, node: Any) -> list[Any] | None:
        taken = set(inputs_of(node))
        writers = {n for n, handles in self._writers.items() if handles & taken}
        ordered = {ref[1:] for ref in node.input if ref.startswith("^")}
        later = writers - {node.name}
        return None if writers & ordered or (self._in_loop and later) else []


def handles_of(node: Any, library: Mapping[str, Any]) -> list[str]:
    """The inputs of a node that are handles of variables, tables and the like."""
    refs = inputs_of(node)
    if _changes(node.op):
        takes = operations.definition(node.op).input_arg
        return [ref for ref, a in zip(refs, takes, strict=False) if a.type == _R]
    if node.op in library:
        types = [argument.type for argument in library[node.op].signature.input_arg]
    else:
        # Not asked for one that is not there: that would put it there.
        types = list(node.attr["Tin" if "Tin" in node.attr else "T"].list.type)
    first = len(refs) - len(types)  # what a branch is chosen by is not among them
    return [ref for ref, dtype in zip(refs[first:], types, strict=True) if dtype == _R]


def writes(node: Any, library: Mapping[str, Any], seen: set[str] | None = None) -> bool:
    """Whether a node changes a variable or a table, by itself or by what it calls."""
    seen = set() if seen is None else seen
    if _changes(node.op):
        return True
    for name in functions_of(node):
        if name in library and name not in seen:
            seen.add(name)
            if any(writes(one, library, seen) for one in library[name].node_def):
                return True
    return False


def _changes(op):
    """Whether an operation changes what is behind a handle that it takes.

    But for draws, which are frozen, and summaries, which nobody reads.
    """
    defined = operations.definition(op)
    if defined is None or not defined.is_stateful or op in QUIET or is_draw(op):
        return False
    return "Summary" not in op and any(a.type == _R for a in defined.input_arg)
