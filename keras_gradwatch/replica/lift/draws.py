"""Random operations with a state, as stateless ones with a fixed key."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

_PHILOX = np.int32(1)
_number: list[tf.Variable] = []  # made when it is first asked for


def number() -> tf.Variable:
    """Which draws come: the same for a number, others for another one.

    One for the whole process, read by all graphs whose draws were frozen.
    """
    if not _number:
        with tf.init_scope():
            _number.append(tf.Variable(0, dtype=tf.int64, trainable=False))
    return _number[0]


class Draw(NamedTuple):
    """A stateless operation in the place of a draw.

    Args:
        op: Its name.
        inputs: Its inputs: positions among those of the draw, or arrays.
        types: Its type attributes, each with the name of the draw's own.
        of_each: Whether the shape that the draw is handed is that of what is drawn for
            each entry of its second input; of the stateless operation it is all.
    """

    op: str
    inputs: tuple
    types: dict[str, str]
    of_each: bool = False


def _keyed(op, types, rest=(), of_each=False):
    def made(seed):
        key = (np.array([seed], np.uint64), np.zeros(2, np.uint64), _PHILOX)
        return Draw(op, (0, *key, *rest), types, of_each)

    return made


def _seeded(op, types, before=(0,), rest=(), of_each=False):
    def made(seed):
        inputs = (*before, np.array([seed, 0], np.int64), *rest)
        return Draw(op, inputs, types, of_each)

    return made


_FLOATS = {"dtype": "dtype", "Tshape": "T"}
_MADE: dict[str, Callable[[int], Draw]] = {
    "RandomUniform": _keyed("StatelessRandomUniformV2", _FLOATS),
    "RandomStandardNormal": _keyed("StatelessRandomNormalV2", _FLOATS),
    "TruncatedNormal": _keyed("StatelessTruncatedNormalV2", _FLOATS),
    "RandomUniformInt": _keyed(
        "StatelessRandomUniformIntV2", {"dtype": "Tout", "Tshape": "T"}, (1, 2)
    ),
    "RandomGamma": _keyed(
        "StatelessRandomGammaV3", {"dtype": "T", "shape_dtype": "S"}, (1,), of_each=True
    ),
    "RandomPoissonV2": _seeded(
        "StatelessRandomPoisson",
        {"dtype": "dtype", "Rtype": "R", "T": "S"},
        rest=(1,),
        of_each=True,
    ),
    "Multinomial": _seeded(
        "StatelessMultinomial", {"T": "T", "output_dtype": "output_dtype"}, (0, 1)
    ),
    "ParameterizedTruncatedNormal": _seeded(
        "StatelessParameterizedTruncatedNormal",
        {"dtype": "dtype", "S": "T"},
        rest=(1, 2, 3, 4),
    ),
}
# What `tf.random.Generator` asks its own variable for: a key and a counter.
GENERATOR = "RngReadAndSkip"


def is_draw(op: str) -> bool:
    """Whether an operation draws from a state of its own, and can be frozen."""
    return op in _MADE or op == GENERATOR


def frozen(op: str, number: int) -> Draw:
    """The stateless operation in the place of a draw.

    Args:
        op: Name of the operation that draws.
        number: Which draw it is: each has a key of its own.
    """
    return _MADE[op](_seed(number))


def generator_state(number: int) -> Any:
    """What `GENERATOR` returns, fixed."""
    seed = _seed(number)
    return np.array([seed, 0, seed], np.int64)


def _seed(number):
    return zlib.crc32(str(number).encode())
