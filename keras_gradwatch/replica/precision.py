"""In which precision a model's own code runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.dtypes import is_float
from keras_gradwatch.framework.patches import Patch

# As it is trained.
TRAINING = "training"
# At least in float32: for a graph that is lifted to float64 afterwards. What code
# computes with constants in half precision would be rounded for good.
SINGLE = "float32"
# In float64, for code that can't be traced. What it casts by itself stays as it is.
DOUBLE = "float64"
_HALF = ("float16", "bfloat16")


def raised(dtype: str, precision: str) -> str:
    """What a float type becomes.

    Args:
        dtype: Name of any dtype.
        precision: `TRAINING`, `SINGLE` or `DOUBLE`.
    """
    if precision == SINGLE and dtype in _HALF:
        return SINGLE
    return DOUBLE if precision == DOUBLE and is_float(dtype) else dtype


def patches(model: keras.Model, variables: Any, precision: str) -> list[Patch]:
    """What to change so that layers and variables compute in a precision.

    Args:
        model: The live model.
        variables: Every Keras variable that the model reads.
        precision: `TRAINING`, `SINGLE` or `DOUBLE`.

    Returns:
        A list of `Patch`.
    """
    if precision == TRAINING:
        return []
    found = []
    native = _native_variables(model)
    for layer in internals.all_layers(model):
        own = internals.inner_policy(layer).compute_dtype
        if not _stays(layer) and own and raised(own, precision) != own:
            policy = keras.dtype_policies.DTypePolicy(precision)
            found.append(internals.set_policy(layer, policy))
        things = internals.symbolic_inputs(layer)
        if isinstance(layer, keras.layers.InputLayer):
            things.append(layer)  # a nested Sequential casts to it
        found += _raise(things, precision)
    own = [variable for variable in variables if id(variable) not in native]
    return [*found, *_raise(own, precision)]


def stored(
    model: keras.Model, variables: Sequence[keras.Variable], precision: str
) -> list[str]:
    """The dtypes that variables have in a precision."""
    native = _native_variables(model)
    own = [(v, internals.stored_dtype(v)) for v in variables]
    return [d if id(v) in native else raised(d, precision) for v, d in own]


@contextlib.contextmanager
def losses_in(precision: str) -> Iterator[None]:
    """Lets loss objects compute in float64 where all does, wherever they are held.

    Those of `compile()`, and those that a `train_step` calls by itself. Only this
    thread is affected.

    Args:
        precision: `TRAINING`, `SINGLE` or `DOUBLE`.
    """
    if precision != DOUBLE:
        yield
        return
    thread, original = threading.get_ident(), keras.Loss.dtype

    def dtype(loss):
        own = original.fget(loss)
        is_here = threading.get_ident() == thread
        return raised(own, DOUBLE) if is_here else own

    keras.Loss.dtype = property(dtype)
    try:
        yield
    finally:
        keras.Loss.dtype = original


def _raise(things, precision):
    return [
        internals.set_dtype(thing, raised(thing.dtype, precision))
        for thing in things
        if raised(thing.dtype, precision) != thing.dtype
    ]


def _native_variables(model):
    """Ids of the variables of quantised layers: how they are stored is their point."""
    return {
        id(variable)
        for layer in internals.all_layers(model)
        if _stays(layer)
        for variable in layer.variables
    }


def _stays(layer):
    return internals.inner_policy(layer).quantization_mode is not None
