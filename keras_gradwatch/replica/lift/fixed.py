"""The draws of one body, fixed as they are lifted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import operations
from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.lift.nodes import (
    Draft,
    Node,
    defaults,
    functions_of,
    inputs_of,
)

_INT64 = tf.int64.as_datatype_enum
# By how much the counter in the state of a generator grows for each number that
# `draws.GENERATOR` is asked for.
_RESERVED = 256


class FixedDraws:
    """The draws of a graph or of a function.

    Args:
        nodes: Its old nodes.
        drawing: Names of the functions that draw.
        draft: Where the new nodes are written.

    Attributes:
        names: Names of the nodes that draw, of those that were lifted so far.
    """

    def __init__(self, nodes: Iterable[Any], drawing: Set[str], draft: Draft):
        self._draft = draft
        self._old = [
            node
            for node in nodes
            if draws.is_draw(node.op) or not drawing.isdisjoint(functions_of(node))
        ]
        # By their order, not by their names: those of another trace may differ.
        self._places = {node.name: place for place, node in enumerate(self._old)}
        self.names: list[str] = []

    def number(self, name: str) -> str:
        """What a node hands to the functions that it calls: which draws come there."""
        self.names.append(name)
        return self._numbered(f"{name}/draws", draws.mark(self._places[name]))

    def earlier(self, node: Any) -> list[str] | None:
        """How many numbers were asked for before of the generator that a node asks.

        Returns:
            References; None if it can't be told.
        """
        found = []
        for other in self._old[: self._places[node.name]]:
            if node.input[0] in inputs_of(other):
                if other.op != draws.GENERATOR:
                    return None
                found.append(other.input[2])
        return found

    def state(self, name: str, handle: str, earlier: Sequence[str] | None) -> str:
        """What a generator is in, and stays in.

        Args:
            name: Name of the node that asks it.
            handle: Of its variable.
            earlier: How many numbers were asked for before in the same graph. With
                them, what comes is the very draw of training; without, another one.
        """
        self.names.append(name)
        draft = self._draft
        if earlier is None:
            state = draws.generator_state(self._places[name])
            return self._numbered(f"{name}/state", state)
        ref = draft.add(f"{name}/state", "ReadVariableOp", [handle], {"dtype": _INT64})
        for k, asked in enumerate(earlier):
            own = f"{name}/before{k}"
            each = draft.constant(f"{own}/each", np.array([_RESERVED, 0, 0]))
            asked = draft.cast(
                asked, tf.uint64.as_datatype_enum, _INT64, f"{own}/asked"
            )
            grown = draft.add(f"{own}/grown", "Mul", [asked, each], {"T": _INT64})
            ref = draft.add(own, "AddV2", [ref, grown], {"T": _INT64})
        return ref

    def draw(
        self, node: Node, given: Sequence[str], have: Sequence[int]
    ) -> tuple[Node, list[str], list[int]]:
        """A stateless operation in the place of a draw.

        Args:
            node: The draw.
            given: References to its inputs.
            have: Their types.

        Returns:
            The operation, references to its inputs, and their types.
        """
        name = node.node.name
        draw = draws.frozen(node.op, self._places[name])
        self.names.append(name)
        if draw.of_each:
            given = [self._whole_shape(name, given, have), *given[1:]]
        refs, types = [], []
        for k, what in enumerate(draw.inputs):
            if isinstance(what, int):
                refs.append(given[what])
                types.append(have[what])
            else:
                refs.append(self._numbered(f"{name}/draw{k}", what))
                types.append(tf.as_dtype(what.dtype).as_datatype_enum)
        defined = operations.definition(draw.op)
        attributes = defaults(defined)
        attributes |= {new: node.attributes[own] for new, own in draw.types.items()}
        made = tf.compat.v1.NodeDef(name=name, op=draw.op)
        return Node(made, defined, attributes), refs, types

    def _numbered(self, name, array):
        """A constant; if it is the key of a draw, another one in each check."""
        constant = self._draft.constant(name, array)
        dtype = tf.as_dtype(array.dtype)
        if dtype not in (tf.int64, tf.uint64) or not array.any():
            return constant
        draft, kind = self._draft, dtype.as_datatype_enum
        ref = draft.cast(draws.NUMBER, _INT64, kind, f"{name}/number")
        return draft.add(f"{name}/key", "BitwiseXor", [constant, ref], {"T": kind})

    def _whole_shape(self, name, given, have):
        """The shape of all that is drawn: so much for each entry of a parameter."""
        entries = self._draft.add(
            f"{name}/entries", "Shape", [given[1]], {"T": have[1], "out_type": have[0]}
        )
        axis = self._draft.constant(f"{name}/axis", np.int32(0))
        whole = self._draft.add(
            f"{name}/whole",
            "ConcatV2",
            [given[0], entries, axis],
            {"T": have[0], "Tidx": tf.int32.as_datatype_enum},
        )
        self._draft.nodes[-1].attr["N"].i = 2
        return whole
