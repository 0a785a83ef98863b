"""What goes into the layers of a model while its code runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework.patches import Replacement, replaced


@dataclass(eq=False)
class LayerCall:
    """One call of a layer.

    Attributes:
        layer: The layer.
        inputs: The tensors that went in.
        outputs: Those that came out.
    """

    layer: keras.Layer
    inputs: list[tf.Tensor] = field(default_factory=list)
    outputs: list[tf.Tensor] = field(default_factory=list)


@contextlib.contextmanager
def watched_layers() -> Iterator[list[LayerCall]]:
    """Watches the calls of layers. Only this thread is affected.

    Yields:
        A list of the calls, in the order in which they ended.
    """
    calls: list[LayerCall] = []
    running: list[Any] = []

    def call(original, layer, *args, **kwargs):
        if running and running[-1] is layer:  # what a layer inherits
            return original(layer, *args, **kwargs)
        running.append(layer)
        try:
            outputs = original(layer, *args, **kwargs)
        finally:
            running.pop()
        found = LayerCall(layer, _tensors((args, kwargs)), _tensors(outputs))
        calls.append(found)
        return outputs

    with replaced([Replacement(keras.Layer, "__call__", call)]):
        yield calls


def _tensors(structure):
    leaves = keras.tree.flatten(structure)
    return [leaf for leaf in leaves if isinstance(leaf, tf.Tensor)]
