"""What the layers of a model put out, as tensors of the graph that was traced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.places import full_names

# Operations that hand on what they are given.
_SAME = ("Identity", "Reshape", "Cast", "StopGradient")
# What an activation is the end of, and between which values it saturates: beyond 99 %
# of its range its slope is below a fiftieth of the largest (of tanh 0.02, of sigmoid
# 0.04).
SATURATING = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0)}
RECTIFYING = ("Relu", "Relu6")


@dataclass(frozen=True)
class Output:
    """What a layer put out in its first call.

    Args:
        layer: Its name, with those of all layers around it.
        tensor: The tensor.
        operation: The type of the operation that it is the end of, if it saturates or
            rectifies; else empty.
        has_kernel: Whether the layer has a trainable weight of two axes or more.
        is_last: Whether no other layer of these takes it: what the model puts out.
        may_saturate: Whether it is what the model or a model in it puts out, or a gate.
    """

    layer: str
    tensor: tf.Tensor
    operation: str
    has_kernel: bool
    is_last: bool
    may_saturate: bool


def outputs(trace: StepTrace) -> list[Output]:
    """The outputs of the innermost layers that have a kernel or an activation.

    In the order of the calls. In loops and branches nothing is looked at.

    Args:
        trace: The trace of a training step.
    """
    graph, model = trace.function.graph, trace.replica.model
    visits = [v for v in trace.places.visits.all if v.graph is graph]
    parents = {id(v.parent) for v in visits if isinstance(v.thing, keras.Layer)}
    names = full_names(model)
    # What a model in it puts out may be an image or a code.
    inner = [v for v in visits if isinstance(v.thing, keras.Model)]
    ends = {id(t) for v in inner for t in v.outputs}
    found: list[tuple[str, tf.Tensor, str, bool]] = []
    seen: set[int] = set()
    for visit in visits:
        layer = visit.thing
        is_one = isinstance(layer, keras.Layer) and id(visit) not in parents
        if not is_one or visit.number or len(visit.outputs) != 1:
            continue
        (tensor,) = visit.outputs
        operation = _operation(tensor)
        has_kernel = any(len(v.shape) > 1 for v in layer.trainable_variables)
        # What a layer hands on as it is was told of.
        is_here = tensor.graph is graph and tensor.shape.rank and id(tensor) not in seen
        if is_here and (has_kernel or operation):
            seen.add(id(tensor))
            name = _path(layer, names.get(id(layer), layer.name), model)
            found.append((name, tensor, operation, has_kernel))
    taken = _taken(graph, {tensor.op for _, tensor, _, _ in found})
    return [
        Output(
            *one,
            is_last=one[1].op not in taken,
            may_saturate=one[1].op not in taken
            or id(one[1]) in ends
            or _is_gate(one[1], one[2]),
        )
        for one in found
    ]


def _is_gate(tensor: tf.Tensor, operation: str) -> bool:
    """Whether something is multiplied by what is between 0 and 1."""
    if operation != "Sigmoid":
        return False
    takers = list(tensor.consumers())
    for op in takers:
        if op.type in (*_SAME, "ExpandDims", "Tile", "BroadcastTo"):
            takers += [taker for t in op.outputs for taker in t.consumers()]
    return any(op.type in ("Mul", "BatchMatMulV2", "Einsum") for op in takers)


def _taken(graph: tf.Graph, found: set[tf.Operation]) -> set[tf.Operation]:
    """The operations that one of some others comes after."""
    taken: set[tf.Operation] = set()
    for op in reversed(graph.get_operations()):
        if op in found or op in taken:
            taken.update(t.op for t in op.inputs)
    return taken


def _path(layer: Any, name: str, model: Any) -> str:
    """As the paths of its variables begin."""
    own = [v for v in layer.variables if "/" in v.path]
    if own:
        return own[0].path.rpartition("/")[0]
    return f"{model.name}/{name}"


def _operation(tensor: tf.Tensor) -> str:
    op = tensor.op
    while op.type in _SAME:
        op = op.inputs[0].op
    return op.type if op.type in SATURATING or op.type in RECTIFYING else ""
