"""What goes into layers and cross-entropies while a model's code runs."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
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


@dataclass(frozen=True)
class Entropy:
    """One call of a cross-entropy of Keras.

    Args:
        name: Which.
        takes_logits: Whether it takes its inputs for logits.
        axis: Along which it has its classes.
    """

    name: str
    takes_logits: bool
    axis: int


_ENTROPIES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
)


@contextlib.contextmanager
def watched_entropies() -> Iterator[list[tuple[Entropy, list[Any]]]]:
    """Watches the calls of cross-entropies. Only this thread is affected.

    Yields:
        A list of the calls, each with its targets and outputs.
    """
    calls: list[tuple[Entropy, list[Any]]] = []

    def watched(name):
        def call(original, *args, **kwargs):
            given = inspect.signature(original).bind(*args, **kwargs)
            given.apply_defaults()
            known = given.arguments
            entropy = Entropy(name, bool(known["from_logits"]), known.get("axis", -1))
            calls.append((entropy, [known["target"], known["output"]]))
            return original(*args, **kwargs)

        return call

    module = internals.backend_nn()
    with replaced([Replacement(module, n, watched(n)) for n in _ENTROPIES]):
        yield calls


@contextlib.contextmanager
def watched_losses() -> Iterator[list[tuple[Any, Any, Any]]]:
    """Watches the calls of loss objects, not of those that these call.

    Yields:
        A list of the calls: the loss, its targets and its outputs, as they were given.
    """
    calls: list[tuple[Any, Any, Any]] = []
    running: list[Any] = []

    def call(original, loss, y_true, y_pred, *args, **kwargs):
        if not running:
            calls.append((loss, y_true, y_pred))
        running.append(loss)
        try:
            return original(loss, y_true, y_pred, *args, **kwargs)
        finally:
            running.pop()

    with replaced([Replacement(keras.losses.Loss, "__call__", call)]):
        yield calls


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
