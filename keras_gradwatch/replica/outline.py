"""The layers of a model in the order in which the loss goes through them."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.places import distinct_names
from keras_gradwatch.replica.replica import Replica


@dataclass(frozen=True)
class Stage:
    """A layer that does part of the computation.

    Args:
        name: Name of the layer, with those of the layers around it where others are
            called the same.
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


def outline(replica: Replica, trace: Trace | None = None) -> tuple[Stage, ...]:
    """The stages of a replica's loss, first to last.

    Args:
        replica: The `Replica`.
        trace: What its code was traced to. Without it, the order of the model.
    """
    layers = replica.layers
    if trace is not None:
        layers = trace.places.in_order(trace.graph)
    paths, names = replica.paths_by_layer(), distinct_names(replica.model)
    return tuple(
        Stage(
            names.get(id(layer), layer.name),
            type(layer).__name__,
            not type(layer).__module__.startswith("keras."),
            layer.quantization_mode is not None,
            paths.get(id(layer), ()),
        )
        for layer in layers
        # The model itself is a stage only where it holds weights of its own.
        if layer is not replica.model or id(layer) in paths
    )
