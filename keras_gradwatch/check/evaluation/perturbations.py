"""Probes as data of a graph: which weights are moved, where and how far."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.numerics.directions import Direction, Sweep

# A direction or sweep, and a signed step along it.
Probe = tuple[Direction | Sweep, float]

# What `pack` returns.
SPEC = (
    tf.TensorSpec([None], tf.int32),
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([None], tf.int64),
    tf.TensorSpec([None], tf.float64),
    tf.TensorSpec([None], tf.int8),
    tf.TensorSpec([None], tf.int32),
)

# Probes in one call of a graph: between calls, Ctrl-C gets through.
MOST = 256
# Signs in one call, a byte each.
_SIGNS = 1 << 26
# Losses under way at a time. Each holds activations, though fewer than a gradient
# does, which has to keep them all.
_SIDE_BY_SIDE = 4


def pack(probes: Sequence[Probe], weights: Sequence[int] | None = None):
    """Probes as tensors: variable, entry, start, step of each move, signs, ends.

    The moves of probe `i` are those from `ends[i]` to before `ends[i + 1]`.

    Args:
        probes: What to move.
        weights: Numbers of the weights that can move; all of them if None.
    """
    place = None if weights is None else {k: j for j, k in enumerate(weights)}
    banks, starts, length = [np.empty(0, np.int8)], {}, 0
    rows, steps, ends = [], [], [0]
    for probe, size in probes:
        for direction, step in probe.moves(size):
            start, entry = 0, -1
            if direction.is_coordinate:
                entry = direction.entry
            else:
                key = id(direction.signs)
                if key not in starts:
                    starts[key] = length
                    banks.append(direction.signs)
                    length += len(direction.signs)
                start = starts[key]
            k = direction.variable
            rows.append((k if place is None else place[k], entry, start))
            steps.append(step)
        ends.append(len(rows))
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return (
        tf.constant(columns[0], tf.int32),
        tf.constant(columns[1]),
        tf.constant(columns[2]),
        tf.constant(np.array(steps, dtype=np.float64)),
        tf.constant(np.concatenate(banks)),
        tf.constant(np.array(ends, dtype=np.int32)),
    )


def chunks(probes: Sequence[Probe], at_once: int = MOST) -> Iterator[list[Probe]]:
    """Probes in parts, so many as one call of a graph takes."""
    chunk, signs = [], {}
    for probe, step in probes:
        new = {
            id(d.signs): len(d.signs)
            for d, _ in probe.moves(step)
            if not d.is_coordinate
        }
        if len(chunk) == min(at_once, MOST) or (
            chunk and sum((signs | new).values()) > _SIGNS
        ):
            yield chunk
            chunk, signs = [], {}
        chunk.append((probe, step))
        signs |= new
    if chunk:
        yield chunk


def loop(
    loss: Callable[[list[tf.Tensor]], tf.Tensor],
    weights: Sequence[tf.Tensor],
    probes,
    side_by_side: bool,
) -> tf.Tensor:
    """The loss with weights moved, for each probe: a loop inside a graph.

    One copy of the model serves all probes. The weights travel in a
    `tf.TensorArray`, so that moving one copies that one alone, and nothing is ever
    written.

    Args:
        loss: The loss of `weights`, some of them moved.
        weights: Those that can move, where they are.
        probes: What `pack` returned.
        side_by_side: Whether several losses may be under way at a time.

    Returns:
        Losses, float64, shape `(count,)`.
    """
    variable, entry, start, step, signs, ends = probes
    still = tf.TensorArray(
        tf.float64, len(weights), infer_shape=False, clear_after_read=False
    )
    for k, value in enumerate(weights):
        still = still.write(k, tf.reshape(value, [-1]))

    def moved(m, array):
        flat = array.read(variable[m])
        flat = move(flat, entry[m], start[m], step[m], signs)
        return m + 1, array.write(variable[m], flat)

    def one(i):
        _, point = tf.while_loop(
            lambda m, _: m < ends[i + 1],
            moved,
            (ends[i], still),
            parallel_iterations=1,
        )
        return loss([tf.reshape(point.read(k), w.shape) for k, w in enumerate(weights)])

    count = tf.shape(ends)[0] - 1
    _, losses = tf.while_loop(
        lambda i, losses: i < count,
        lambda i, losses: (i + 1, losses.write(i, one(i))),
        (0, tf.TensorArray(tf.float64, count, element_shape=())),
        parallel_iterations=_at_a_time() if side_by_side else 1,
    )
    return losses.stack()


def move(flat, entry, start, step, signs) -> tf.Tensor:
    """One weight, moved at one entry or along a range of `signs`."""
    return tf.cond(
        entry >= 0,
        lambda: tf.tensor_scatter_nd_add(flat, [[entry]], [step]),
        lambda: (
            flat
            + step * tf.cast(signs[start : start + tf.size(flat, tf.int64)], tf.float64)
        ),
    )


def _at_a_time():
    return max(1, min(_SIDE_BY_SIDE, os.cpu_count() or 1))
