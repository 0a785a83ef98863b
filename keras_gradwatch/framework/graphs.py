"""What a traced graph tells of the code that it was traced from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

_LOW = {
    tf.complex64.as_datatype_enum: "float32",
} | {
    dtype.as_datatype_enum: dtype.name
    for dtype in (tf.float32, tf.bfloat16, tf.float16)
}

# Ops that wait until all devices, or all machines, run the same op.
_COLLECTIVE = {
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

# Ops that run Python, or draw from a stream that Keras does not own.
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_RANDOM = {
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
}


def random_nodes(graph: tf.Graph) -> list[str]:
    """Names of ops whose draws differ from one evaluation to the next."""
    return _nodes_of(graph, _RANDOM)


def python_nodes(graph: tf.Graph) -> list[str]:
    """Names of ops that call back into Python, such as `tf.numpy_function`."""
    return _nodes_of(graph, _PYTHON)


def collective_nodes(graph: tf.Graph) -> list[str]:
    """Names of ops that wait for what other devices or machines send."""
    return _nodes_of(graph, _COLLECTIVE)


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
            tainted.update(id(t) for t in op.outputs)
            reached.append(op)
    wanted, needed = [target.op], set()
    while wanted:
        op = wanted.pop()
        if op not in needed:
            needed.add(op)
            wanted.extend(t.op for t in op.inputs)
    library = _library(graph)
    return [
        (op.name, dtype)
        for op in reached
        if op in needed
        for dtype in sorted(_low_dtypes(op, library))
    ]


def depends_on(target: tf.Tensor, sources: Iterable) -> bool:
    """Whether a tensor of a graph is computed from any of others."""
    if tf.executing_eagerly():
        return False  # there is no graph to tell
    wanted, seen, found = [target.op], set(), {id(t.op) for t in sources}
    while wanted:
        op = wanted.pop()
        if id(op) in found:
            return True
        if op not in seen:
            seen.add(op)
            wanted.extend(t.op for t in op.inputs)
    return False


def is_readable(value: Any) -> bool:
    """Whether a tensor can be read here: it is of no branch or loop inside."""
    if value is None or tf.executing_eagerly():
        return True
    tensor = value.values if isinstance(value, tf.IndexedSlices) else value
    here = tf.compat.v1.get_default_graph()
    return getattr(tensor, "graph", here) is here


def layer_of(op_name: str, by_name: dict) -> Any:
    """The innermost layer whose name scope an op lies in, or None.

    Args:
        op_name: Name of an operation, its scopes included.
        by_name: Layers to choose from, by their names.
    """
    for part in reversed(op_name.split("/")):
        base, _, number = part.rpartition("_")
        for name in (part, base if number.isdigit() else part):
            if name in by_name:
                return by_name[name]
    return None


def _nodes_of(graph, kinds):
    definition = graph.as_graph_def()
    bodies = [definition.node, *(f.node_def for f in definition.library.function)]
    return [node.name for body in bodies for node in body if node.op in kinds]


def _library(graph):
    return {f.signature.name: f for f in graph.as_graph_def().library.function}


def _low_dtypes(op, library):
    found = {_LOW[t.dtype.as_datatype_enum] for t in op.outputs if _is_low(t.dtype)}
    for name in _called(op.node_def):
        if name in library:
            found |= _low_dtypes_inside(library[name], library, set())
    return found


def _low_dtypes_inside(function, library, seen):
    """Low-precision dtypes of a loop, a branch or a call."""
    if function.signature.name in seen:
        return set()
    seen.add(function.signature.name)
    found = set()
    for node in function.node_def:
        if node.op not in ("Const", "Placeholder"):
            for attr in node.attr.values():
                found |= {_LOW[t] for t in (attr.type, *attr.list.type) if t in _LOW}
        for name in _called(node):
            if name in library:
                found |= _low_dtypes_inside(library[name], library, seen)
    return found


def _is_low(dtype):
    return dtype.as_datatype_enum in _LOW


def _called(node):
    """Names of the functions that a node calls: loops, branches, calls."""
    for attr in node.attr.values():
        if attr.func.name:
            yield attr.func.name
        yield from (f.name for f in attr.list.func)


def captured_handles(graph: tf.Graph) -> list:
    """Handles of the variables outside that a graph reads or writes."""
    return [
        outside
        for outside, _ in graph.captures
        if outside.dtype == tf.resource and _content_dtype(outside) is not None
    ]


def read_handle(handle: tf.Tensor) -> tf.Tensor:
    """The value of the variable behind a resource handle."""
    dtype = _content_dtype(handle)
    return tf.raw_ops.ReadVariableOp(resource=handle, dtype=dtype)


def _content_dtype(handle):
    data = getattr(handle, "_handle_data", None)
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None  # a table, an iterator or the like, no variable
    return tf.as_dtype(data.shape_and_type[0].dtype)


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
