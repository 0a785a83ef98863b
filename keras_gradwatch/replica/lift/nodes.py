"""Nodes of a graph or of a function, and how they name one another's outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import operations

# An input or output of an operation: name of the argument, position in it, type.
Slot = tuple[str, int, int]


@dataclass
class Node:
    """A node, with what its operation is.

    Args:
        node: The `NodeDef`.
        defined: Its `OpDef`.
        attributes: Its attributes, those that have their default included.
        ins: Its inputs.
        outs: Its outputs.
    """

    node: Any
    defined: Any
    attributes: dict[str, Any]
    ins: list[Slot] = field(init=False)
    outs: list[Slot] = field(init=False)

    def __post_init__(self):
        self.ins = _slots(self.defined.input_arg, self.attributes)
        self.outs = _slots(self.defined.output_arg, self.attributes)

    @property
    def op(self) -> str:
        """Name of the operation."""
        return self.node.op

    @property
    def inputs(self) -> list[str]:
        """References to its inputs, without those that only order effects."""
        return inputs_of(self.node)


def described(node: Any, library: Mapping[str, Any]) -> Node:
    """A node with what its operation is.

    Args:
        node: The `NodeDef`.
        library: The functions that can be called by their own names.

    Raises:
        UncheckableError: If nothing of that name is known.
    """
    defined = operations.definition(node.op)
    if defined is None and node.op in library:
        defined = library[node.op].signature
    if defined is None:
        raise UncheckableError(
            f"The operation {node.op!r} ({node.name}) is none of TensorFlow's own: a "
            "check can't tell how it computes. Check a model without it."
        )
    return Node(node, defined, defaults(defined) | dict(node.attr))


def defaults(defined: Any) -> dict[str, Any]:
    """The attributes of an operation that have a default."""
    return {
        a.name: a.default_value for a in defined.attr if a.HasField("default_value")
    }


def inputs_of(node: Any) -> list[str]:
    """References to the inputs of a `NodeDef`, without those that order effects."""
    return [ref for ref in node.input if not ref.startswith("^")]


def functions_of(node: Any) -> list[str]:
    """Names of the functions that a `NodeDef` may call: loops, branches, calls."""
    names = [node.op]
    for value in node.attr.values():
        names += named_in(value)
    return names


def named_in(value: Any) -> list[str]:
    """Names of the functions in an attribute."""
    own = [value.func.name] if value.func.name else []
    return own + [function.name for function in value.list.func]


def _slots(defined, attributes):
    found: list[Slot] = []
    for argument in defined:
        if argument.type_list_attr:
            listed = attributes[argument.type_list_attr].list.type
            found += [(argument.name, k, dtype) for k, dtype in enumerate(listed)]
            continue
        count = attributes[argument.number_attr].i if argument.number_attr else 1
        own = argument.type_attr
        dtype = attributes[own].type if own else argument.type
        found += [(argument.name, k, dtype) for k in range(count)]
    return found


class Names(Protocol):
    """How tensors are named in one body."""

    def key(self, ref: str) -> tuple[str, Any]:
        """The node of a tensor, and which of its outputs; None for an argument."""

    def ref(self, node: str, outs: Sequence[Slot], number: int) -> str:
        """The reference to an output of a node."""


class GraphNames:
    """`node` and `node:1`, as in a graph."""

    def key(self, ref: str) -> tuple[str, Any]:
        node, _, number = ref.partition(":")
        return node, int(number or 0)

    def ref(self, node: str, outs: Sequence[Slot], number: int) -> str:
        return f"{node}:{number}" if number else node


class FunctionNames:
    """`argument` and `node:output:1`, as in a function.

    Args:
        arguments: Names of its arguments.
    """

    def __init__(self, arguments: Collection[str]):
        self._arguments = set(arguments)

    def key(self, ref: str) -> tuple[str, Any]:
        node, *rest = ref.split(":")
        return (node, None) if node in self._arguments else (node, tuple(rest))

    def ref(self, node: str, outs: Sequence[Slot], number: int) -> str:
        output, position, _ = outs[number]
        return f"{node}:{output}:{position}"


class Draft:
    """The new nodes of a body, as they are written.

    Args:
        names: How tensors are named in it.

    Attributes:
        nodes: The `NodeDef`s.
    """

    def __init__(self, names: Names):
        self._names = names
        self.nodes: list[Any] = []

    def add(
        self, name: str, op: str, inputs: Sequence[str], types: Mapping[str, int]
    ) -> str:
        """Adds a node; returns the reference to its first output.

        Args:
            name: Its name.
            op: Its operation.
            inputs: References.
            types: Its attributes that are types.
        """
        node = self.open(name, op, inputs)
        for attribute, dtype in types.items():
            node.attr[attribute].type = dtype
        outs = [(a.name, 0, 0) for a in operations.definition(op).output_arg]
        return self._names.ref(name, outs, 0)

    def open(self, name: str, op: str, inputs: Sequence[str]) -> Any:
        """Adds a node whose attributes are still to be set."""
        node = tf.compat.v1.NodeDef(name=name, op=op, input=inputs)
        self.nodes.append(node)
        return node

    def cast(self, ref: str, have: int, want: int, name: str) -> str:
        """A tensor in another type, if that is another one."""
        if have == want:
            return ref
        return self.add(name, "Cast", [ref], {"SrcT": have, "DstT": want})

    def constant(self, name: str, array: Any) -> str:
        """A constant."""
        value = tf.make_tensor_proto(np.asarray(array))
        ref = self.add(name, "Const", [], {"dtype": value.dtype})
        self.nodes[-1].attr["value"].tensor.CopyFrom(value)
        return ref
