"""What a Keras model holds: weights, states, whether it can be trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.devices import local_value


def has_weights(model: keras.Model) -> bool:
    """Whether the model is built: all of its weights exist."""
    # A model that only its own `train_step` calls, part by part, is never built.
    parts = internals.all_layers(model)[1:]
    built = model.built or (parts and all(layer.built for layer in parts))
    return bool(built) and all(
        internals.raw_value(v) is not None for v in model.trainable_variables
    )


def assert_built(model: keras.Model) -> None:
    """Looks at a model before anything runs.

    Raises:
        InvalidArgumentError: If it is no compiled model, or has no weights yet.
    """
    if not isinstance(model, keras.Model):
        raise InvalidArgumentError(
            f"Argument `model` must be a keras.Model. Received: model={model!r} "
            f"of type {type(model).__name__}"
        )
    if not model.compiled:
        raise InvalidArgumentError(
            "The model must be compiled: the check differentiates the compiled "
            f"loss. Call `model.compile(...)` first. Received: model={model.name!r}"
        )
    if not has_weights(model):
        raise InvalidArgumentError(
            "The model must be built: it has no weights yet. Call it on a batch, "
            f"or `model.build(input_shape)`, first. Received: model={model.name!r}"
        )


def assert_ready(model: keras.Model) -> None:
    """Looks at a model before anything runs.

    Raises:
        InvalidArgumentError: If it can't be trained as it is.
    """
    assert_built(model)
    if not model.trainable_variables:
        raise InvalidArgumentError(
            "The model has no trainable weights: there is no gradient to check. "
            f"Received: model={model.name!r}, whose {len(model.layers)} layers "
            "hold none, or all are frozen (`trainable=False`)"
        )


def states_of(model: keras.Model, trainable: Iterable[keras.Variable]) -> list:
    """Variables that the model reads and the optimizer does not change."""
    seen = {id(v) for v in trainable}
    states = []
    hidden = [
        leaf
        for layer in internals.all_layers(model)
        for value in layer.__dict__.values()
        if isinstance(value, keras.Variable | list | tuple | dict)
        for leaf in tf.nest.flatten(_without_layers(value))
    ]
    seed = internals.global_seed_state()
    hidden += [] if seed is None else [seed]
    for variable in [*model.variables, *model.metrics_variables, *hidden]:
        if isinstance(variable, keras.Variable) and id(variable) not in seen:
            seen.add(id(variable))
            if internals.raw_value(variable) is not None:
                states.append(variable)
    return states


def _without_layers(value):
    # Only what may hold untracked variables, such as the states of an RNN.
    if isinstance(value, dict):
        return [v for v in value.values() if isinstance(v, keras.Variable)]
    if isinstance(value, list | tuple):
        return [v for v in value if isinstance(v, keras.Variable | list | tuple)]
    return value


def read_variable(variable: Any) -> tf.Tensor:
    """The live value of a Keras variable."""
    return local_value(internals.raw_value(variable))
