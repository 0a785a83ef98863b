"""What a layer, a loss or a function is handed, as variables of a model."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework import keras_internals as internals

logger = logging.getLogger("keras_gradwatch")

_TENSORS = (np.ndarray, np.floating, np.complexfloating, tf.Variable, keras.Variable)


@dataclass(frozen=True, eq=False)
class Leaf:
    """One value in the structure of arguments.

    Args:
        path: Where it stands, such as `"inputs/0"`.
        constant: The value, unless variables stand for it.
        variables: A Keras variable for floats; two for complex numbers, their real
            and imaginary parts.
    """

    path: str
    constant: object = None
    variables: tuple[keras.Variable, ...] = ()

    def value(self) -> Any:
        """The value, from the variables as they are at present."""
        parts = [tf.identity(tf.convert_to_tensor(v)) for v in self.variables]
        if not parts:
            return self.constant
        return tf.complex(*parts) if len(parts) == 2 else parts[0]


class CallArguments:
    """The arguments of one call, with variables in the place of floats.

    Args:
        args: Positional arguments, nested structures of arrays and whatever else.
        kwargs: Keyword arguments.
        names: A name for each of `args`.
        dtype: What floats are cast to, such as Keras' default float type. They
            keep their own if None.
        still: Names of arguments that are not differentiated for.

    Attributes:
        variables: The Keras variables, in the order of the arguments.

    Raises:
        InvalidArgumentError: If floats are not finite, or an array of them is
            empty.
    """

    def __init__(self, args, kwargs, names, dtype=None, still=()):
        self._structure = (tuple(args), dict(kwargs))
        self._leaves = []
        own = _dtypes_of_numbers(keras.tree.flatten(self._structure))
        with internals.same_global_state():  # the names that Keras counts up
            for (part, key, *rest), value in keras.tree.flatten_with_path(
                self._structure
            ):
                name = key if part else names[key]
                path = "/".join(map(str, (name, *rest)))
                self._leaves.append(_leaf(path, value, dtype, own, name not in still))

    @property
    def variables(self) -> list[keras.Variable]:
        return [v for leaf in self._leaves for v in leaf.variables]

    def arguments(self) -> tuple[tuple, dict]:
        """Positional and keyword arguments, from the variables as they are."""
        values = [leaf.value() for leaf in self._leaves]
        return keras.tree.pack_sequence_as(self._structure, values)

    def symbols(self) -> tuple[tuple, dict]:
        """The same with symbolic tensors, which have a shape and a dtype only."""
        args, kwargs = self.arguments()
        return keras.tree.map_structure(_symbol, (args, kwargs))


def names_of(function: Callable, count: int) -> list[str]:
    """Names of the first positional parameters of a function.

    Args:
        function: Any callable.
        count: How many are wanted. Where the function does not tell, they are
            `"args/0"` and so on.
    """
    names, rest = [], "args"
    for parameter in _parameters(function):
        if parameter.kind in (
            parameter.POSITIONAL_ONLY,
            parameter.POSITIONAL_OR_KEYWORD,
        ):
            names.append(parameter.name)
        elif parameter.kind == parameter.VAR_POSITIONAL:
            rest = parameter.name
    start = len(names)
    names += [f"{rest}/{k}" for k in range(count - start)]
    return names[:count]


def _parameters(function: Callable) -> list[inspect.Parameter]:
    """The parameters of a function; none if it does not tell them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some that are not Python's own have no signature
        logger.debug("%r tells no signature.", function, exc_info=True)
        return []


def _leaf(path, value, dtype, own, trainable):
    if not _is_tensor(value):
        return Leaf(path, constant=value)
    tensor = value
    if isinstance(value, float | complex) and not isinstance(value, np.generic):
        tensor = tf.constant(value, own[type(value)])
    elif not isinstance(value, tf.SparseTensor | tf.RaggedTensor):
        tensor = tf.convert_to_tensor(value)
    if not _is_number(tensor):
        return Leaf(path, constant=tensor)
    _assert_usable(path, tensor)
    if tensor.dtype.is_complex:
        parts = {f"{path}/real": tf.math.real(tensor)}
        parts[f"{path}/imag"] = tf.math.imag(tensor)
    else:
        parts = {path: tensor if dtype is None else tf.cast(tensor, dtype)}
    return Leaf(
        path,
        variables=tuple(_variable(p, part, trainable) for p, part in parts.items()),
    )


def _is_tensor(value):
    tensors = (*_TENSORS, float, complex, tf.SparseTensor, tf.RaggedTensor)
    return tf.is_tensor(value) or isinstance(value, tensors)


def _dtypes_of_numbers(values):
    """The dtypes of Python's own numbers: those of the arrays beside them."""
    dtypes = {
        tf.as_dtype(v.dtype) for v in values if _is_tensor(v) and hasattr(v, "dtype")
    }
    low = {tf.float16, tf.bfloat16, tf.float32, tf.complex64}
    double = bool(dtypes & {tf.float64, tf.complex128})
    if not double and not dtypes & low:
        double = keras.config.floatx() == "float64"
    return (
        {float: "float64", complex: "complex128"}
        if double
        else {float: "float32", complex: "complex64"}
    )


def _is_number(tensor):
    dense = not isinstance(tensor, tf.SparseTensor | tf.RaggedTensor)
    return dense and (tensor.dtype.is_floating or tensor.dtype.is_complex)


def _assert_usable(path, tensor):
    array = np.asarray(tensor)
    if not array.size:
        raise InvalidArgumentError(
            f"{path!r} must hold at least one number. "
            f"Received: an array of shape {array.shape}"
        )
    finite = np.isfinite(array.astype(np.complex128))
    if not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        others = np.count_nonzero(~finite) - 1
        more = f", and {others} more" if others else ""
        raise InvalidArgumentError(
            f"{path!r} must be finite: there is no gradient to check elsewhere. "
            f"Received: {array[first]} at index {list(first)}{more}"
        )


def _variable(path, tensor, trainable):
    variable = keras.Variable(
        tensor, dtype=tensor.dtype.name, trainable=trainable, autocast=False
    )
    internals.set_path(variable, path)
    return variable


def _symbol(value):
    if not tf.is_tensor(value) or not hasattr(value, "shape"):
        return value
    return keras.KerasTensor(value.shape, dtype=value.dtype.name)
