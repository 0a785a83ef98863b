"""Random operations with a state, as stateless ones with a fixed key.

Each key is one for its place, mixed with a number that is another one in each check.
Functions and loops don't get at the inputs of the graph: they are handed the number as
one more argument, each call and each round of a loop another one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_gradwatch.replica.lift.nodes import functions_of

# Name of an input of the graph, and of an argument of each function that draws.
NUMBER = "number_of_the_draws"
# What a loop adds to its number in each round: 2^64 over the golden ratio, so that the
# numbers of many rounds stay far apart (Weyl's sequence, as in SplitMix64).
ROUND = np.uint64(0x9E3779B97F4A7C15).astype(np.int64)
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


def drawing(library: Mapping[str, Any]) -> set[str]:
    """Names of the functions that draw, by themselves or by what they call.

    Args:
        library: The functions by their names.
    """
    callers: dict[str, set[str]] = {}
    waiting = []
    for name, function in library.items():
        for node in function.node_def:
            if is_draw(node.op):
                waiting.append(name)
            for called in functions_of(node):
                if called in library:
                    callers.setdefault(called, set()).add(name)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += callers.get(name, ())
    return found


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


def mark(number: int) -> np.int64:
    """What tells the draws of one call of a function from those of others.

    Args:
        number: Which of the calls it is.
    """
    return np.int64(_seed(f"call {number}"))


def _seed(number):
    return zlib.crc32(str(number).encode())
