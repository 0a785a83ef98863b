"""What a traced graph tells of the code that it was traced from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

_LOW = {
    tf.complex64.as_datatype_enum: "float32",
} | {
    dtype.as_datatype_enum: dtype.name
    for dtype in (tf.float32, tf.bfloat16, tf.float16)
}

# Ops through which no value flows: they ask for a shape only.
WITHOUT_VALUES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}

# Ops that wait until all devices, or all machines, run the same op.
COLLECTIVE = {
    "CollectiveReduce",
    "CollectiveReduceV2",
    "CollectiveReduceV3",
    "CollectiveReduceScatterV2",
    "CollectiveGather",
    "CollectiveGatherV2",
    "CollectiveBcastSend",
    "CollectiveBcastSendV2",
    "CollectiveBcastRecv",
    "CollectiveBcastRecvV2",
    "CollectiveAllToAllV2",
    "CollectiveAllToAllV3",
    "NcclAllReduce",
}

# Their backward pass has a name of its own, and is that of the function.
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")

# Ops that count as stateful and change nothing.
QUIET = {
    "ReadVariableOp",
    "ResourceGather",
    "ResourceGatherNd",
    "VariableShape",
    "VarIsInitializedOp",
    "LookupTableFindV2",
    "LookupTableSizeV2",
    "LookupTableExportV2",
    "PartitionedCall",
    "Empty",
}

# Ops that draw from a stream that Keras does not own.
RANDOM = {
    "RandomUniform",
    "RandomUniformInt",
    "RandomStandardNormal",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomGammaGrad",
    "RandomPoisson",
    "RandomPoissonV2",
    "RandomShuffle",
    "Multinomial",
    "RandomCrop",
    "RngReadAndSkip",
    "RngSkip",
    "StatefulStandardNormal",
    "StatefulStandardNormalV2",
    "StatefulTruncatedNormal",
    "StatefulUniform",
    "StatefulUniformFullInt",
    "StatefulUniformInt",
    "StatefulRandomBinomial",
    "AllCandidateSampler",
    "FixedUnigramCandidateSampler",
    "LearnedUnigramCandidateSampler",
    "LogUniformCandidateSampler",
    "ThreadUnsafeUnigramCandidateSampler",
    "UniformCandidateSampler",
}


def is_quiet(graph: tf.Graph) -> bool:
    """Whether running a graph changes nothing, and draws from no stream."""
    return all(
        not op.op_def.is_stateful or op.type in QUIET for op in graph.get_operations()
    )


def low_precision_nodes(
    graph: tf.Graph, sources: Iterable, target: Any
) -> list[tuple[str, str]]:
    """Ops between `sources` and `target` that compute in less than float64.

    Args:
        graph: A traced `FuncGraph`.
        sources: Tensors from which values flow, such as the weights.
        target: The tensor into which they flow, such as the loss.

    Returns:
        Pairs `(op name, dtype name)` for the ops on a path from a source to
        the target that have low precision, in the order of the graph.
    """
    tainted = {id(t) for t in sources}
    reached = []
    for op in graph.get_operations():
        if any(id(t) in tainted for t in op.inputs):
            tainted.update(id(t) for t in op.outputs if carries(t.dtype))
            reached.append(op)
    wanted, needed = [target.op], set()
    while wanted:
        op = wanted.pop()
        if op not in needed:
            needed.add(op)
            wanted.extend(t.op for t in op.inputs if carries(t.dtype))
    library = library_of(graph)
    return [
        (op.name, dtype)
        for op in reached
        if op in needed
        for dtype in sorted(_low_dtypes(op, library))
    ]


def behind(operations: Iterable[tf.Operation]) -> Iterator[tf.Operation]:
    """Some operations, and all that they take something from, each once.

    Args:
        operations: Operations of a graph.
    """
    waiting, seen = list(operations), set()
    while waiting:
        op = waiting.pop()
        if id(op) not in seen:
            seen.add(id(op))
            yield op
            waiting.extend(t.op for t in op.inputs)


def depends_on(target: tf.Tensor, sources: Iterable) -> bool:
    """Whether a tensor of a graph is computed from any of others."""
    found = {id(t.op) for t in sources}
    return any(id(op) in found for op in behind([target.op]))


def captured_by(target: tf.Tensor) -> set[int]:
    """Ids of the tensors outside of its graph that a tensor is computed from."""
    graph = target.graph
    outside = {id(inside.op): id(tensor) for tensor, inside in graph.captures}
    return {outside[id(op)] for op in behind([target.op]) if id(op) in outside}


def is_multiplied(target: tf.Tensor, factor: float) -> bool:
    """Whether a constant factor is in what a tensor of a graph is computed from."""
    return any(
        np.isclose(constant, factor)
        for op in behind([target.op])
        if op.type == "Mul"
        for constant in filter(None, map(_number, op.inputs))
    )


def _number(tensor):
    """The number that a constant holds, None if it is none."""
    value = tf.get_static_value(tensor) if tensor.op.type == "Const" else None
    return float(value) if value is not None and np.size(value) == 1 else None


def is_readable(value: Any) -> bool:
    """Whether a tensor can be read here: it is of no branch or loop inside."""
    if value is None:
        return True
    tensor = value.values if isinstance(value, tf.IndexedSlices) else value
    if tf.executing_eagerly():
        return not tf.is_symbolic_tensor(tensor)
    here = tf.compat.v1.get_default_graph()
    return getattr(tensor, "graph", here) is here


def backward_name(operation: tf.Operation) -> str:
    """What TensorFlow calls the backward pass that an operation has instead of its own.

    Args:
        operation: The operation.

    Returns:
        The name; empty if it has its own. That of a call of a function counts as such.
    """
    return _backward_name(operation.node_def)


def title_of(operation: tf.Operation) -> str:
    """What to call an operation: its type, or the function that it calls.

    Args:
        operation: The operation.
    """
    names = [*called(operation.node_def)] if operation.type in _CALLS else []
    found = re.fullmatch(r"__\w+?_(\w+)_\d+", names[0]) if names else None
    return found[1] if found else str(operation.type)


def suspects_inside(operation: tf.Operation) -> set[str]:
    """What a loop, a branch or a call may do to a gradient in its functions.

    Args:
        operation: The operation.

    Returns:
        The `backward_name` of each operation in them that has one, and the name of each
        that stops the gradient.
    """
    library, found = library_of(operation.graph), set[str]()
    waiting, seen = list(called(operation.node_def)), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in library:
            continue
        seen.add(name)
        for node in library[name].node_def:
            waiting += called(node)
            if node.op == "StopGradient":
                found.add(f"{name}/{node.name}")
            elif _backward_name(node):
                found.add(_backward_name(node))
    return found


def _backward_name(node):
    if node.op in _CALLS or "_gradient_op_type" not in node.attr:
        return ""
    return node.attr["_gradient_op_type"].s.decode()


def library_of(graph: tf.Graph) -> dict[str, Any]:
    """The definitions of the functions that a graph knows, by their names."""
    return {f.signature.name: f for f in graph.as_graph_def().library.function}


def _low_dtypes(op, library):
    found = {_LOW[t.dtype.as_datatype_enum] for t in op.outputs if _is_low(t.dtype)}
    for name in called(op.node_def):
        if name in library:
            found |= _low_dtypes_inside(library[name], library, set())
    return found


def _low_dtypes_inside(function, library, seen):
    """Low-precision dtypes of a loop, a branch or a call, on the way through it."""
    if function.signature.name in seen:
        return set()
    seen.add(function.signature.name)
    found = set()
    for node in _reached(function):
        for attr in node.attr.values():
            found |= {_LOW[t] for t in (attr.type, *attr.list.type) if t in _LOW}
        for name in called(node):
            if name in library:
                found |= _low_dtypes_inside(library[name], library, seen)
    return found


def _reached(function):
    """The nodes that values flow to from the arguments of a function."""
    followers: dict[str, list[Any]] = {}
    for node in function.node_def:
        for ref in node.input:
            followers.setdefault(ref.split(":")[0], []).append(node)
    arguments = function.signature.input_arg
    waiting = [a.name for a in arguments if carries(tf.as_dtype(a.type))]
    found: dict[str, Any] = {}
    while waiting:
        for node in followers.get(waiting.pop(), ()):
            if node.name not in found and node.op not in WITHOUT_VALUES:
                found[node.name] = node
                waiting.append(node.name)
    return found.values()


def carries(dtype: tf.DType) -> bool:
    """Whether the precision of a value shows in a tensor of this type.

    It does not in what is whole: a position, a comparison.
    """
    return not (dtype.is_integer or dtype.is_bool or dtype == tf.string)


def _is_low(dtype):
    return dtype.as_datatype_enum in _LOW


def called(node: Any) -> Iterator[str]:
    """Names of the functions that a node calls: loops, branches, calls."""
    for attr in node.attr.values():
        if attr.func.name:
            yield attr.func.name
        yield from (f.name for f in attr.list.func)


def dense(gradient: Any, dtype: Any = tf.float64) -> tf.Tensor:
    """A gradient as a plain tensor: rows of an embedding are summed up, in float64.

    Args:
        gradient: What a tape returned.
        dtype: What others are cast to; they keep their own if None.
    """
    if isinstance(gradient, tf.IndexedSlices):
        gradient = tf.IndexedSlices(
            tf.cast(gradient.values, tf.float64), gradient.indices, gradient.dense_shape
        )
        shape = tf.cast(gradient.dense_shape, gradient.indices.dtype)
        return tf.scatter_nd(gradient.indices[:, None], gradient.values, shape)
    return gradient if dtype is None else tf.cast(gradient, dtype)


def view(tensor: tf.Tensor) -> np.ndarray:
    """The entries of a tensor, not copied: they are not to be written to."""
    return np.asarray(memoryview(tensor))
