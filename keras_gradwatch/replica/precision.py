"""Letting a model's own code compute in float64."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator
from typing import Any

import keras

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.dtypes import is_float
from keras_gradwatch.framework.patches import Patch

DOUBLE = "float64"


def double_precision(
    model: keras.Model, variables: Any, kept: Collection[int] = frozenset()
) -> list[Patch]:
    """What to change so that layers, variables and losses compute in float64.

    Args:
        model: The live model.
        variables: Every Keras variable that the model reads.
        kept: Ids of layers and losses that stay in their own precision.

    Returns:
        A list of `Patch`.
    """
    patches = []
    native = native_variables(model, kept)
    for layer in internals.all_layers(model):
        policy = internals.inner_policy(layer)
        if not _stays(layer, kept) and is_float(policy.compute_dtype):
            patches.append(internals.set_policy(layer, _double_policy()))
        if isinstance(layer, keras.layers.InputLayer) and is_float(layer.dtype):
            # A nested Sequential casts to it.
            patches.append(internals.set_dtype(layer, DOUBLE))
        patches += [
            internals.set_dtype(tensor, DOUBLE)
            for tensor in internals.symbolic_inputs(layer)
            if is_float(tensor.dtype) and id(layer) not in kept
        ]
    patches += [
        internals.set_dtype(variable, DOUBLE)
        for variable in variables
        if is_float(variable.dtype) and id(variable) not in native
    ]
    return patches


@contextlib.contextmanager
def losses_in_double(
    model: keras.Model, kept: Collection[int] = frozenset()
) -> Iterator[None]:
    """Lets loss objects compute in float64, wherever they are held.

    Those of `compile()`, and those that a `train_step` calls by itself. Only this
    thread is affected.

    Args:
        model: The live model.
        kept: Ids of layers and losses that stay in their own precision.
    """
    thread, original = threading.get_ident(), keras.Loss.dtype

    def dtype(loss):
        own = original.fget(loss)
        stays = id(loss) in kept or id(model) in kept
        if threading.get_ident() != thread or stays or not is_float(own):
            return own
        return DOUBLE

    keras.Loss.dtype = property(dtype)
    try:
        yield
    finally:
        keras.Loss.dtype = original


def native_variables(
    model: keras.Model, kept: Collection[int] = frozenset()
) -> set[int]:
    """Ids of the variables of layers that stay in their own precision."""
    return {
        id(variable)
        for layer in internals.all_layers(model)
        if _stays(layer, kept)
        for variable in layer.variables
    }


def _stays(layer, kept):
    # The arithmetic of quantised layers is fixed by how they store weights.
    policy = internals.inner_policy(layer)
    return id(layer) in kept or policy.quantization_mode is not None


def _double_policy():
    return keras.dtype_policies.DTypePolicy(DOUBLE)
