"""Which operation of a lifted graph rounds although its type is float64."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.graphs import behind
from keras_gradwatch.replica.lift.lifted import SCOPE, Lifted

# Operations that change a type only: what is before them is to blame.
_CASTS = ("Cast", "Identity", "Reshape")
# Of masks, places and the like there are few values among many entries.
_DISTINCT = 0.5


def rounding(
    lifted: Lifted, flat: Sequence[tf.Tensor], moved: Sequence[tf.Tensor]
) -> tuple[str, str] | None:
    """The first operation that does not notice when what it is given moves.

    Asked of a loss that is known to have stairs. Operations inside loops, branches and
    functions are not looked at, only these as a whole.

    Args:
        lifted: The lifted graphs.
        flat: Arguments of its `loss`.
        moved: The same with the weights a bit further: less than a stair is wide.

    Returns:
        Its type and its name in the trace; None if it can't be told.
    """
    graph = lifted.loss.graph
    needed = set(behind([graph.outputs[0].op]))
    ops = [op for op in graph.get_operations() if op in needed and _doubles(op)]
    with graph.as_default():
        sums = tf.stack([_sum(op) for op in ops])
    feeds = graph.inputs[: len(flat)]
    ask = lifted.loss.prune(feeds, sums)
    still = dict(zip(ops, ask(*flat).numpy() == ask(*moved).numpy(), strict=True))
    for op in ops:
        before = _sources(op, still)
        if still[op] and before and not all(still[o] for o in before):
            values = lifted.loss.prune(feeds, _doubles(op)[0])(*flat).numpy()
            if len(np.unique(values)) > _DISTINCT * values.size:
                while op.type in _CASTS and op.inputs[0].dtype.is_floating:
                    op = op.inputs[0].op
                return op.type, op.name.removeprefix(f"{SCOPE}/")
    return None


def _doubles(op):
    return [t for t in op.outputs if t.dtype == tf.float64]


def _sum(op):
    return tf.add_n([tf.reduce_sum(t) for t in _doubles(op)])


def _sources(op, known):
    """The nearest operations before one that are known."""
    found, seen, waiting = [], set(), [t.op for t in op.inputs]
    while waiting:
        one = waiting.pop()
        if one in known:
            found.append(one)
        elif one not in seen:
            seen.add(one)
            waiting += [t.op for t in one.inputs]
    return found
