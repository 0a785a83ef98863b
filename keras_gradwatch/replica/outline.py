"""The layers of a model in the order in which the loss goes through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import graphs
from keras_gradwatch.replica.replica import Replica


@dataclass(frozen=True)
class Stage:
    """A layer that does part of the computation.

    Args:
        name: Name of the layer.
        kind: Name of its class.
        is_own: Whether the class is the user's own, not one of Keras.
        is_quantized: Whether it rounds, and passes the gradient straight through.
        paths: Paths of the trainable weights that the layer itself holds.
    """

    name: str
    kind: str
    is_own: bool
    is_quantized: bool
    paths: tuple[str, ...]


def outline(replica: Replica, graph: tf.Graph = None) -> tuple[Stage, ...]:
    """The stages of a replica's loss, first to last.

    Args:
        replica: The `Replica`.
        graph: The graph that was traced from its loss, whose operations stand
            in the order of execution. Without it, the order of the model.
    """
    layers = replica.layers
    if graph is not None:
        seen: dict[int, Any] = {}
        by_name = replica.layers_by_name
        for op in graph.get_operations():
            if not op.name.startswith("gradient_tape/"):
                layer = graphs.layer_of(op.name, by_name)
                if layer is not None:
                    seen.setdefault(id(layer), layer)
        layers = list(seen.values())
    paths = replica.paths_by_layer()
    return tuple(
        Stage(
            layer.name,
            type(layer).__name__,
            not type(layer).__module__.startswith("keras."),
            layer.quantization_mode is not None,
            paths.get(id(layer), ()),
        )
        for layer in layers
        # The model itself is a stage only where it holds weights of its own.
        if layer is not replica.model or id(layer) in paths
    )
