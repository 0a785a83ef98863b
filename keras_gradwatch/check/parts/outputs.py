"""What a layer, a loss or a function returns, and the sum that stands for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.check.parts.call_arguments import kind_of

# Weights of outputs are multiples of a 64th: with 0.5 to 1.5 that takes 7 bits, and
# bfloat16, the coarsest float type, has 8.
_STEPS = 64
# What tells the draws of halves from those of weights.
_HALVES = 1 << 20


@dataclass(frozen=True, eq=False)
class Output:
    """One output, or one part of it, that can be differentiated.

    Args:
        path: Where it stands, such as `"output/0"`.
        tensor: Floats.
    """

    path: str
    tensor: tf.Tensor


@dataclass(frozen=True, eq=False)
class Outputs:
    """All that one call returned.

    Args:
        floats: What can be differentiated. Of complex numbers, real and imaginary
            part are outputs of their own, and so are the values of sparse and ragged
            ones.
        others: Path and kind of what can't, such as `("output/1", "int32")`.
    """

    floats: tuple[Output, ...]
    others: tuple[tuple[str, str], ...]


def outputs_of(structure: Any) -> Outputs:
    """Sorts what a call returned.

    Args:
        structure: Nested tensors, and whatever else.
    """
    floats, others = [], []
    for keys, leaf in keras.tree.flatten_with_path(structure):
        if leaf is None:
            continue
        path = "/".join(map(str, ("output", *keys)))
        found = list(_floats(path, leaf))
        # Of size zero, there is nothing in it.
        full = [output for output in found if 0 not in output.tensor.shape]
        floats += full
        if not full:
            others.append((path, kind_of(leaf) + (" of size 0" if found else "")))
    return Outputs(tuple(floats), tuple(others))


def _floats(path: str, leaf: Any) -> Iterator[Output]:
    for value in tf.nest.flatten(leaf, expand_composites=True):
        tensor = _tensor(value)
        if tensor is None:
            continue
        if tensor.dtype.is_complex:
            yield Output(f"{path}/real", tf.math.real(tensor))
            yield Output(f"{path}/imag", tf.math.imag(tensor))
        elif tensor.dtype.is_floating:
            yield Output(path, tensor)


def _tensor(value: Any) -> tf.Tensor | None:
    """A value as a tensor; None if it is something else."""
    try:
        return tf.convert_to_tensor(value)
    except (TypeError, ValueError):
        return None


def weighted_sum(
    tensor: tf.Tensor, seed: int, number: int, upstream: Any, halves: tf.Tensor
) -> tf.Tensor:
    """All entries of an output, each times a fixed random number, summed up.

    Args:
        tensor: The output, floats.
        seed: Seed of the random numbers, of either sign, from 0.5 to 1.5 in size.
        number: Which output it is: each has numbers of its own.
        upstream: Factors of the numbers, in the shape of the output or a scalar.
        halves: Two more factors: each for one half of the entries, drawn as well.
            Entries with a factor of zero count for nothing, even if not finite.

    Returns:
        A float32 scalar, or float64 if the output is. No more precise than the output
        itself: who differences the sum reads from its digits how precise it is.
    """
    dtype = tf.float64 if tensor.dtype == tf.float64 else tf.float32
    flat = tf.cast(tf.reshape(tensor, [-1]), dtype)  # few kernels know rank 9
    halves = tf.cast(halves, dtype)
    # Drawn as integers: a draw of floats depends on the precision that it is made in.
    drawn = _drawn(flat, seed, number, -_STEPS, _STEPS)
    size = tf.cast(tf.abs(drawn), dtype) / _STEPS + 0.5
    weights = tf.where(drawn < 0, -size, size)
    half = _drawn(flat, seed, number + _HALVES, 0, 2)
    weights *= tf.reshape(tf.cast(upstream, dtype), [-1])
    weights *= tf.where(half == 0, halves[0], halves[1])
    return tf.reduce_sum(tf.math.multiply_no_nan(flat, weights))


def _drawn(flat, seed, number, low, high):
    return tf.random.stateless_uniform(
        tf.shape(flat), [seed % (1 << 31), number], low, high, tf.int32
    )
