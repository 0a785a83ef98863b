"""Why a replay can't be trusted, and which layer is behind it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import graphs
from keras_gradwatch.replica.replica import Replica

_NODE = re.compile(r"\{\{node ([^}]+)\}\}")


def assert_replayable(
    replica: Replica, graph: tf.Graph, forbidden: Collection[int]
) -> None:
    """Refuses what evaluates differently each time, or reads the wrong weights.

    Args:
        replica: The `Replica` that was traced.
        graph: The traced `FuncGraph`.
        forbidden: Ids of the handles of the variables that it must not read.

    Raises:
        LiveReadError: If it is worth another try, with functions inlined.
        UncheckableError: Naming the layer and the remedy.
    """
    if any(id(handle) in forbidden for handle in graphs.captured_handles(graph)):
        if not replica.inlined:
            replica.inlined = True
            raise LiveReadError
        raise UncheckableError(
            "The model's code reads its live weights past the replay, as a function "
            "does that was traced before. Remove `@tf.function` from `call` (Keras "
            "compiles the training step anyway), and `tf.recompute_grad` for "
            "`keras.RematScope`."
        )
    for names, what, remedy in (
        (
            graphs.python_nodes(graph),
            "runs Python code inside the graph",
            "Write it with TensorFlow or keras.ops, or move it into the data pipeline",
        ),
        (
            graphs.random_nodes(graph),
            "draws random numbers that differ from one evaluation to the next",
            "Draw them with `keras.random` and a `keras.random.SeedGenerator`, which "
            "the check can replay",
        ),
        (
            graphs.collective_nodes(graph),
            "waits for other workers, which do not run the check at the same pace",
            "Leave it to the training strategy to add up what its workers find",
        ),
    ):
        if names:
            raise UncheckableError(
                f"{_owner(names[0], replica)} {what} ({names[0]}): differences then "
                f"say nothing about its gradient. {remedy}."
            )


def low_precision(replica: Replica, graph: tf.Graph) -> dict[str, list[str]]:
    """The layers that the loss goes through in less than float64.

    Returns:
        A dict from the name of a dtype to the names of layers.
    """
    handles = {id(v.handle) for v in replica.values}
    weights = [inside for outside, inside in graph.captures if id(outside) in handles]
    target = graph.structured_outputs[0]
    found: dict[str, list[str]] = {}
    by_name = replica.layers_by_name
    for op_name, dtype in graphs.low_precision_nodes(graph, weights, target):
        layer = graphs.layer_of(op_name, by_name)
        name = layer.name if layer is not None else "the loss"
        names = found.setdefault(dtype, [])
        if name not in names:
            names.append(name)
    return found


def culprits(replica: Replica, error: Exception) -> list:
    """What may have raised while the loss was replayed, innermost first.

    Returns:
        Layers and losses from the traceback, or from the name of the node that
        failed when the graph ran.
    """
    things: list[Any] = []
    traceback = error.__traceback__
    while traceback is not None:
        thing = traceback.tb_frame.f_locals.get("self")
        if isinstance(thing, keras.Layer | keras.Loss):
            things.insert(0, thing)
        traceback = traceback.tb_next
    for name in _NODE.findall(str(error)):
        layer = graphs.layer_of(name, replica.layers_by_name)
        if layer is not None:
            things.append(layer)
    return things


class LiveReadError(Exception):
    """The replay read the live weights: try again with functions inlined."""


def _owner(op_name, replica):
    layer = graphs.layer_of(op_name, replica.layers_by_name)
    return f"Layer {layer.name!r}" if layer is not None else "The training loss"
