"""What stands for reads of a variable whose value is known in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.replica.lift.nodes import Draft, Node
from keras_gradwatch.replica.lift.widening import DOUBLE


def read_off(draft: Draft, node: Node, value: str, rest: Sequence[str]) -> str:
    """Reads a variable off its value instead of its handle.

    Args:
        draft: Takes the new nodes.
        node: What reads: a `ReadVariableOp`, a gather, or what asks for the shape.
        value: Reference to the value.
        rest: References to its other inputs.

    Returns:
        The reference to what is read.
    """
    name = node.node.name
    kept: tuple[str, ...]
    if node.op == "ReadVariableOp":
        return value
    if node.op == "ResourceGather":
        axis = draft.constant(f"{name}/axis", np.int32(0))
        types = {"Tparams": DOUBLE, "Taxis": tf.int32.as_datatype_enum}
        ref = draft.add(name, "GatherV2", [value, *rest, axis], types)
        kept = ("batch_dims", "Tindices")
    elif node.op == "ResourceGatherNd":
        ref = draft.add(name, "GatherNd", [value, *rest], {"Tparams": DOUBLE})
        kept = ("Tindices",)
    else:
        ref = draft.add(name, "Shape", [value], {"T": DOUBLE})
        kept = ("out_type",)
    for attribute in kept:
        draft.nodes[-1].attr[attribute].CopyFrom(node.attributes[attribute])
    return str(ref)


def written(
    draft: Draft,
    node: Node,
    handle: str,
    value: str | None,
    changes: Sequence[tuple[str | None, str]],
    dtype: int,
) -> str | None:
    """What a variable holds after it was written.

    Args:
        draft: Takes the new nodes.
        node: What then reads it.
        handle: Reference to its handle.
        value: Reference to the value that it had, None if only the handle has it.
        changes: What wrote it, in order: by which operation the old value and another
            become the new one, None if the other is the new one; and that other.
        dtype: The type of the value.
    """
    name, own = node.node.name, node.attributes["dtype"].type
    for k, (how, change) in enumerate(changes):
        if how is None:
            value = change
            continue
        if value is None:
            read = draft.add(
                f"{name}/before", "ReadVariableOp", [handle], {"dtype": own}
            )
            value = draft.cast(read, own, dtype, f"{name}/before/wide")
        value = draft.add(f"{name}/now{k}", how, [value, change], {"T": dtype})
    return value
