"""What of a model libraries are known to intend, or TensorFlow to get wrong.

Found by identity: the class of a layer, the type of an operation, the attribute of a
variable. What depends on what is read off the trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.findings.intentions import FLAWS, FLOAT8, INTENTIONS, OVERWRITTEN
from keras_gradwatch.framework.graphs import behind

# Name of an operation through which goes what is assigned to a variable of Keras'.
ASSIGNED = "gradwatch_assigned"
_ASSIGNS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")


@dataclass(frozen=True, eq=False)
class Known:
    """An operation on the way to the loss that is not meant to have a true gradient.

    Args:
        key: Key of `INTENTIONS`, or of `FLAWS`.
        layer: The layer that made it, None if none did.
        weights: Positions of the weights that it is computed from.
        held: The tensor that stands still where nothing is differentiated, if any.
    """

    key: str
    layer: Any
    weights: frozenset[int]
    held: tf.Tensor | None = None

    @property
    def is_left_out(self) -> bool:
        """Whether the losses that are compared do without it."""
        return INTENTIONS[self.key].is_left_out


def intended(trace: Any) -> list[Known]:
    """What libraries do on purpose on the way to a loss.

    Args:
        trace: The `Trace` of what is differentiated.
    """

    def key_of(op):
        for key, known in INTENTIONS.items():
            if op.type in known.operations and _is_meant(op, known, trace):
                return key
        return None

    return _found(trace, key_of)


def assigned(trace: Any, reads: Iterable[str] = ()) -> list[Known]:
    """Where a loss depends on weights by what is assigned to a variable before.

    Args:
        trace: The `Trace` of what is differentiated.
        reads: Names of operations that read what a variable of TensorFlow's was
            assigned.
    """
    operation = trace.graph.get_operation_by_name
    handles = {id(operation(n).inputs[0]): n for n in reads}
    found = []
    for op in trace.graph.get_operations():
        if op.type in _ASSIGNS and id(op.inputs[0]) in handles:
            moved = _weights(trace, [op.inputs[1].op])
            if moved:
                owner = trace.places.owner(handles[id(op.inputs[0])])
                found.append(Known("", owner, moved))
    return found + _found(trace, lambda op: "" if _is_assigned(op) else None)


def flawed(trace: Any) -> list[Known]:
    """Operations on the way to a loss that TensorFlow differentiates wrongly.

    Args:
        trace: The `Trace` of what is differentiated.
    """
    return _found(trace, lambda op: op.type if op.type in FLAWS else None)


def is_overwritten(variable: Any) -> bool:
    """Whether the optimizer overwrites a variable with its gradient."""
    return bool(getattr(variable, INTENTIONS[OVERWRITTEN].variable, False))


def unclipped(trace: Any) -> set[str]:
    """Names of operations that clip what is rounded to float8: the gradient passes."""
    known, found = INTENTIONS[FLOAT8], set()
    for op in trace.graph.get_operations():
        if op.type not in known.operations:
            continue
        if op.outputs[0].dtype.name not in known.dtypes:
            continue
        # What a hand-written backward pass computes belongs to no layer.
        owner = trace.places.owner(op.name)
        if owner is None or _is_meant(op, known, trace):
            before = op.inputs[0].op
            while before.type in ("Maximum", "Minimum"):
                found.add(before.name)
                before = before.inputs[0].op
    return found


def _is_meant(op, known, trace):
    """Whether an operation is one that an intention is about."""
    if known.dtypes and op.outputs[0].dtype.name not in known.dtypes:
        return False
    if not known.attribute:
        return True
    layer = trace.places.owner(op.name)
    kind = getattr(keras.layers, known.layer) if known.layer else keras.Layer
    return isinstance(layer, kind) and bool(getattr(layer, known.attribute, False))


def _is_assigned(op):
    """Whether a variable of Keras' is assigned what this hands on."""
    name = op.name.rpartition("/")[2]
    return op.type == "StopGradient" and name.startswith(ASSIGNED)


def _found(trace, key_of):
    call, found = trace.call, []
    wanted = [t for t in (*call.targets, *(call.weights or ())) if t is not None]
    for op in behind(t.op for t in wanted):
        key = key_of(op)
        if key is not None:
            moved = _weights(trace, [op])
            if moved:
                held = op.outputs[0] if op.type == "StopGradient" else None
                found.append(Known(key, trace.places.owner(op.name), moved, held))
    return found


def _weights(trace, ops):
    """Positions of the weights that some operations depend on, and move with."""
    return frozenset(
        trace.inside[id(t)]
        for op in behind(ops)
        if op.name in trace.moving
        for t in op.inputs
        if id(t) in trace.inside
    )
