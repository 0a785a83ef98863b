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
_COMPOSITE = (tf.SparseTensor, tf.RaggedTensor, tf.IndexedSlices)


@dataclass(frozen=True, eq=False)
class Piece:
    """One tensor of a value: the value itself, or what a sparse one is made of.

    Args:
        constant: The tensor, unless variables stand for it.
        variables: A Keras variable for floats; two for complex numbers, their real
            and imaginary parts.
    """

    constant: object = None
    variables: tuple[keras.Variable, ...] = ()

    def value(self) -> Any:
        """The tensor, from the variables as they are at present."""
        parts = [tf.identity(tf.convert_to_tensor(v)) for v in self.variables]
        if not parts:
            return self.constant
        return tf.complex(*parts) if len(parts) == 2 else parts[0]


@dataclass(frozen=True, eq=False)
class Leaf:
    """One value in the structure of arguments.

    Args:
        path: Where it stands, such as `"inputs/0"`.
        given: The value as it was given.
        pieces: What it is made of. Empty if it is passed on as it is.
        kind: What it is, such as `"int32"`, if it is not differentiated for; empty if
            it is, and for None.
    """

    path: str
    given: object
    pieces: tuple[Piece, ...] = ()
    kind: str = ""

    def value(self) -> Any:
        """The value, from the variables as they are at present."""
        if not self.pieces:
            return self.given
        values = [piece.value() for piece in self.pieces]
        return tf.nest.pack_sequence_as(self.given, values, expand_composites=True)


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
        others: Path and kind of each argument that is not differentiated for, such as
            `("mask", "bool")`.

    Raises:
        InvalidArgumentError: If floats are not finite.
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
        return [v for leaf in self._leaves for p in leaf.pieces for v in p.variables]

    @property
    def others(self) -> list[tuple[str, str]]:
        return [(leaf.path, leaf.kind) for leaf in self._leaves if leaf.kind]

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
    if isinstance(value, float | complex) and not isinstance(value, np.generic):
        value = tf.constant(value, own[type(value)])
    elif isinstance(value, _TENSORS):
        value = tf.convert_to_tensor(value)
    tensors = tf.nest.flatten(value, expand_composites=True)
    paths = _paths(path, value, tensors)
    kind = kind_of(value)
    if not any(map(_is_number, tensors)):
        return Leaf(path, value, kind=kind)
    pieces = [
        Piece(tensor, _variables(p, tensor, dtype, trainable))
        for p, tensor in zip(paths, tensors, strict=True)
    ]
    found = any(piece.variables for piece in pieces)
    return Leaf(path, value, tuple(pieces), "" if found else f"{kind} of size 0")


def _paths(path, value, tensors):
    """Paths of what a value is made of."""
    if len(tensors) == 1 and tensors[0] is value:
        return [path]
    if sum(map(_is_number, tensors)) == 1:  # the rest says where these stand
        return [f"{path}/values"] * len(tensors)
    return [f"{path}/{k}" for k in range(len(tensors))]


def kind_of(value: Any) -> str:
    """What a value is: its dtype, or its type; empty for None."""
    if value is None:
        return ""
    dtype = getattr(value, "dtype", None)
    name = getattr(dtype, "name", dtype)
    kind = type(value).__name__
    if not isinstance(name, str):
        return kind
    return f"{kind}, {name}" if isinstance(value, _COMPOSITE) else name


def _variables(path, tensor, dtype, trainable):
    """What stands for a tensor: nothing, unless it holds floats."""
    if not _is_number(tensor) or 0 in tensor.shape:
        return ()
    _assert_finite(path, tensor)
    if tensor.dtype.is_complex:
        parts = {f"{path}/real": tf.math.real(tensor)}
        parts[f"{path}/imag"] = tf.math.imag(tensor)
    else:
        parts = {path: tensor if dtype is None else tf.cast(tensor, dtype)}
    return tuple(_variable(p, part, trainable) for p, part in parts.items())


def _is_tensor(value):
    tensors = (*_TENSORS, *_COMPOSITE, float, complex)
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
    return tf.is_tensor(tensor) and (
        tensor.dtype.is_floating or tensor.dtype.is_complex
    )


def _assert_finite(path, tensor):
    array = np.asarray(tensor)
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
    return keras.KerasTensor(
        value.shape,
        dtype=value.dtype.name,
        sparse=isinstance(value, tf.SparseTensor),
        ragged=isinstance(value, tf.RaggedTensor),
    )
