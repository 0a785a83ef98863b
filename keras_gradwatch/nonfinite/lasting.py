"""What a step does that lasts, though all variables are put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.operations import definition
from keras_gradwatch.replica.lift.trace import StepTrace
from keras_gradwatch.replica.lift.writes import handles_of, writes
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.steps import Steps

_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_RESOURCE = tf.resource.as_datatype_enum


@dataclass(frozen=True)
class Lasting:
    """What can't be put back.

    Args:
        draws: Types of operations that draw from streams of their own.
        variables: Names of variables of TensorFlow that no layer holds.
        of_keras: How many variables of Keras no layer, metric or optimizer holds.
        others: How many tables and the like are written.
        runs_python: Whether Python runs in the graph.
    """

    draws: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    of_keras: int = 0
    others: int = 0
    runs_python: bool = False


def lasting(model: keras.Model, batch: Any, kept: list[Any]) -> Lasting | None:
    """Looks through the trace of a step for what can't be put back.

    Args:
        model: The model.
        batch: What the step was handed.
        kept: The variables that are put back.

    Returns:
        What was found; None if the step was not traced, or nobody holds the trace.
    """
    trace = Steps.shared(model).way("freeze", TRAINING).traces.known(batch)
    return None if trace is None else _in_trace(trace, kept)


def _in_trace(trace: StepTrace, kept) -> Lasting:
    graph = trace.function.graph
    whole = graph.as_graph_def()
    library = {f.signature.name: f for f in whole.library.function}
    known = {id(v.handle) for v in kept if hasattr(v, "handle")}
    known |= set(trace.by_handle())
    outside = {inside.op.name: handle for handle, inside in graph.captures}
    written: dict[int, Any] = {}
    for node in whole.node:
        if node.op in graphs.RANDOM:
            refs = list(node.input[:1]) if _has_handle(node) else []
        elif writes(node, library) or any(map(_draws, _inside(node, library))):
            refs = handles_of(node, library)
        else:
            continue
        names = [ref.split(":")[0] for ref in refs]
        written |= {id(outside[n]): outside[n] for n in names if n in outside}
    strange = set(written) - known
    names = [v.name for v in graph.variables if id(v.handle) in strange]
    everything = [n for node in whole.node for n in _inside(node, library)]
    return Lasting(
        draws=tuple(sorted({n.op for n in everything if _draws_by_itself(n)})),
        variables=tuple(names),
        of_keras=trace.recording.strange,
        others=len(strange) - len(names),
        runs_python=any(node.op in _PYTHON for node in everything),
    )


def _inside(node, library) -> Iterator[Any]:
    """A node, and those of the functions that it calls."""
    waiting, seen = [node], set[str]()
    while waiting:
        one = waiting.pop()
        yield one
        for name in graphs.called(one):
            if name in library and name not in seen:
                seen.add(name)
                waiting += library[name].node_def


def _draws(node):
    return node.op in graphs.RANDOM and definition(node.op).is_stateful


def _draws_by_itself(node):
    """Whether it draws from a stream that is in the operation, not in a variable."""
    return _draws(node) and not _has_handle(node)


def _has_handle(node):
    return any(a.type == _RESOURCE for a in definition(node.op).input_arg)
