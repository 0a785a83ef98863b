"""The values of variables, kept while a step runs, and put back if it is undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework import operations
from keras_gradwatch.framework.devices import local_parts
from keras_gradwatch.framework.isolation import raw_variables

# Up to how many variables a call of a graph is not worth its while.
_FEW = 24


class Kept:
    """Keeps the values of variables.

    A copy costs nothing by itself: a tensor that was read shares its memory with the
    variable until the variable is written.

    Args:
        model: The model. What its layers hold in variables of TensorFlow is kept too.
        variables: Keras variables.
        all_parts: Whether of a variable on several devices each copy is kept, and the
            state of TensorFlow's global generator; else the first copy here, which is
            enough to replay a step.

    Attributes:
        variables: The variables, those of TensorFlow last.
    """

    def __init__(
        self, model: keras.Model, variables: Sequence, all_parts: bool = False
    ):
        raw = raw_variables(internals.all_layers(model))
        if all_parts:
            raw += operations.state_of_global_generator()
        self.variables = [*variables, *raw]
        self._parts: dict[int, Any] = {}
        for variable in self.variables:
            is_keras = isinstance(variable, keras.Variable)
            held = internals.raw_value(variable) if is_keras else variable
            first, *others = local_parts(held)
            self._parts[id(variable)] = first
            if all_parts:
                self._parts |= {id(part): part for part in others}
        self._read = reader(list(self._parts.values()))

    def copy(self) -> dict[int, tf.Tensor]:
        """The present values, by the id of the variable of Keras, or of TensorFlow.

        Those of further copies on other devices by the ids of the copies.
        """
        return dict(zip(self._parts, self._read(), strict=True))

    def put_back(self, values: Mapping[int, tf.Tensor]) -> None:
        """Gives the variables the values that they had.

        Args:
            values: What `copy` returned.
        """
        for key, part in self._parts.items():
            part.assign(values[key])


def reader(variables: Sequence) -> Any:
    """What reads variables: one by one where a graph takes longer to be called."""
    if len(variables) > _FEW:
        compiled = tf.function(
            lambda: [tf.identity(v) for v in variables], autograph=False
        )
        return compiled.get_concrete_function()
    read, pairs = tf.raw_ops.ReadVariableOp, [(v.handle, v.dtype) for v in variables]
    return lambda: [read(resource=handle, dtype=dtype) for handle, dtype in pairs]
