"""Perturbations as data of a graph: which weights are moved, where and how far."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.numerics.directions import Perturbation

# What `pack` returns.
Packed = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
SPEC = (
    tf.TensorSpec([None, 4, 1], tf.int64),
    tf.TensorSpec([None], tf.float64),
    tf.TensorSpec([None], tf.int8),
    tf.TensorSpec([None], tf.int32),
)

# Perturbations in one call of a graph: between calls, Ctrl-C gets through. Chosen, not
# measured: so many that what a call costs by itself is shared widely.
MOST = 256
# Signs in one call, a byte each: 64 MiB. A weight of more entries than that has a call
# for each of its directions.
_SIGNS = 1 << 26
# Losses under way at a time. Each holds activations, though fewer than a gradient
# does, which has to keep them all. Chosen, not measured: a bound on memory.
_SIDE_BY_SIDE = 4
# So many axes TensorFlow's kernel can index. To flatten is right for any, and slower.
_MOST_AXES = 5


def pack(
    perturbations: Sequence[Perturbation], weights: Sequence[int] | None = None
) -> Packed:
    """Perturbations as tensors: places of moves, their steps, signs; ends.

    A move adds a step times some signs to a range of one flat weight. Its place is
    the variable, the first entry, the first sign and how many there are. An entry is
    a range of one. The moves of perturbation `i` are those from `ends[i]` to before
    `ends[i + 1]`.

    Args:
        perturbations: What to move.
        weights: Numbers of the weights that can move; all of them if None.
    """
    place = None if weights is None else {k: j for j, k in enumerate(weights)}
    banks: list[np.ndarray] = [np.ones(1, np.int8)]
    starts: dict[int, int] = {}  # of signs in the bank, by their ids
    length = 1
    rows, steps, ends = [], [], [0]
    for way, size in perturbations:
        for direction, step in way.moves(size):
            first, start, count, signs = direction.entry, 0, 1, direction.signs
            if first is None:
                if id(signs) not in starts:
                    starts[id(signs)] = length
                    banks.append(signs)
                    length += len(signs)
                first, start, count = 0, starts[id(signs)], len(signs)
            k = direction.variable if place is None else place[direction.variable]
            rows.append((k, first, start, count))
            steps.append(step)
        ends.append(len(rows))
    return (
        tf.constant(np.array(rows, dtype=np.int64).reshape(-1, 4, 1)),
        tf.constant(np.array(steps, dtype=np.float64)),
        tf.constant(np.concatenate(banks)),
        tf.constant(np.array(ends, dtype=np.int32)),
    )


def chunks(
    perturbations: Sequence[Perturbation], at_once: int = MOST
) -> Iterator[list[Perturbation]]:
    """Perturbations in parts, so many as one call of a graph takes."""
    chunk: list[Perturbation] = []
    signs: dict[int, int] = {}  # how many there are, by their ids
    for way, step in perturbations:
        new = {id(d.signs): len(d.signs) for d, _ in way.moves(step) if d.entry is None}
        if len(chunk) == min(at_once, MOST) or (
            chunk and sum((signs | new).values()) > _SIGNS
        ):
            yield chunk
            chunk, signs = [], {}
        chunk.append((way, step))
        signs |= new
    if chunk:
        yield chunk


def loop(
    loss: Callable[[list[tf.Tensor]], tf.Tensor],
    weights: Sequence[tf.Tensor],
    perturbations: Packed,
) -> tf.Tensor:
    """The loss with weights moved, for each perturbation: a loop in a graph.

    One copy of the model serves them all. The weights travel in a
    `tf.TensorArray`, so that moving one copies that one alone, and nothing is ever
    written.

    Args:
        loss: The loss of `weights`, some of them moved.
        weights: Those that can move, where they are.
        perturbations: What `pack` returned.

    Returns:
        Losses, float64, shape `(count,)`.
    """
    places, steps, signs, ends = perturbations
    still = tf.TensorArray(
        tf.float64, len(weights), infer_shape=False, clear_after_read=False
    )
    for k, value in enumerate(weights):
        still = still.write(k, tf.reshape(value, [-1]))

    def moved(m, array):
        variable, first, start, count = tf.unstack(tf.gather(places, m), num=4)
        variable = tf.cast(tf.squeeze(variable), tf.int32)
        flat = array.read(variable)
        change = tf.cast(tf.slice(signs, start, count), tf.float64)
        change *= tf.gather(steps, m)
        around = tf.stack([first, tf.size(flat, tf.int64) - first - count], axis=1)
        return m + 1, array.write(variable, flat + tf.pad(change, around))

    def one(i):
        _, point = tf.while_loop(
            lambda m, _: m < tf.gather(ends, i + 1),
            moved,
            (tf.gather(ends, i), still),
            parallel_iterations=1,
        )
        return loss([tf.reshape(point.read(k), w.shape) for k, w in enumerate(weights)])

    count = tf.size(ends) - 1
    _, losses = tf.while_loop(
        lambda i, losses: i < count,
        lambda i, losses: (i + 1, losses.write(i, one(i))),
        (0, tf.TensorArray(tf.float64, count, element_shape=())),
        parallel_iterations=_at_a_time(),
    )
    return losses.stack()


def one_by_one(
    loss: Callable[[list[tf.Tensor]], tf.Tensor],
    weights: Sequence[tf.Tensor],
    perturbations: Sequence[Perturbation],
) -> np.ndarray:
    """The same as `loop` gives, with one call a loss and nothing to compile.

    Args:
        loss: The loss of `weights`, some of them moved.
        weights: All of them, where they are.
        perturbations: What to move.
    """
    results = []
    for way, size in perturbations:
        point = list(weights)
        for direction, step in way.moves(size):
            k = direction.variable
            point[k] = _moved(point[k], direction, step)
        results.append(loss(point))
    return tf.stack(results).numpy()


def _moved(weight, direction, step):
    if direction.entry is None:
        return weight + np.reshape(step * direction.signs, weight.shape)
    by = np.array([step])
    if 1 <= weight.shape.rank <= _MOST_AXES:
        place = np.unravel_index(direction.entry, weight.shape)
        return tf.tensor_scatter_nd_add(weight, np.array([place]), by)
    flat = tf.reshape(weight, [-1])
    flat = tf.tensor_scatter_nd_add(flat, np.array([[direction.entry]]), by)
    return tf.reshape(flat, weight.shape)


def _at_a_time():
    return max(1, min(_SIDE_BY_SIDE, os.cpu_count() or 1))
