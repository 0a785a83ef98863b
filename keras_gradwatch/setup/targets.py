"""Are the targets sane, and is each compared with the output of its example?"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.observation import (
    Observation,
    look,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.setup.attempts import arr, attempt, named_leaves
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.kinds_of_outputs import (
    ANY,
    BINARY,
    CATEGORICAL,
    ELEMENTWISE,
    OTHER,
    POSITIVE,
    SIGNED,
    SIMPLEX,
    SPARSE,
    UNIT,
    axis_of,
    kind_of_loss,
    kind_of_outputs,
    name_of_loss,
)
from keras_gradwatch.setup.rehearsal import Forward

# Fewer examples may well be of one class.
_SOME = 16
# How far off a target may lie, as a share of the range of the outputs.
_BEYOND = 1e-3
# By how many standard deviations the mean of targets may lie off, and how many times as
# large as the outputs they may be: then a bias must be learned first, for long.
_FAR, _LARGE = 100.0, 1e4
# Sums in float32 differ by less in another order.
_SAME = 1e-6


def targets(case: Case) -> Iterator[Observation]:
    """What is to be seen of the targets and of sample weights.

    Args:
        case: The case.
    """
    _, y, weight = keras.utils.unpack_x_y_sample_weight(case.many)
    leaves = [(n, arr(v)) for n, v in named_leaves(y, "y") if _has_numbers(v)]
    is_own = any(kind_of_loss(loss) == OTHER for loss, *_ in case.losses)
    idle = _without_loss(case)
    for name, values in leaves:
        if name in idle:
            continue
        # Zeros stand for no target in a loss of the user's own.
        if np.any(values) or not is_own:
            yield from _values(name, values)
    for name, values in named_leaves(weight, "sample_weight"):
        yield from _weights(name, arr(values).astype(float))
    for loss, target, outputs, far in case.losses:
        yield from _classes(loss, arr(target), outputs)
        yield from _reach(loss, arr(target), outputs, far)
    yield from _pairing(case)
    if y is None and case.is_without_targets:
        yield wrong("missing_targets")
    elif y is None:
        yield right("no_targets")
    elif not leaves:
        yield not_told("odd_targets")
    else:
        values = np.concatenate([v.ravel().astype(float) for _, v in leaves])
        yield right("targets", (), values.min(), values.max())


def _has_numbers(leaf):
    kinds = leaf.dtype.is_floating or leaf.dtype.is_integer or leaf.dtype.is_bool
    return isinstance(leaf, tf.Tensor | tf.RaggedTensor) and kinds


def _without_loss(case):
    """The names of targets that go into no loss."""
    if not case.pairs:
        return set()
    flat = tf.nest.flatten(case.y)
    used = {id(flat[number]) for _, number, _ in case.pairs}
    return {n for n, target in named_leaves(case.y, "y") if id(target) not in used}


def _values(name, values):
    if values.dtype.kind == "f" and not np.all(np.isfinite(values)):
        bad = ~np.isfinite(values)
        yield wrong("nan_targets", (name,), bad.sum(), bad.mean())
    elif len(values) >= _SOME and np.all(values == values[:1]):
        yield look("same_targets", (name,), len(values), values.ravel()[0])


def _weights(name, values):
    if not np.all(np.isfinite(values)):
        yield wrong("nan_weights", (name,))
    elif not np.any(values):
        yield wrong("no_weights", (name,))
    elif values.min() < 0:
        yield look("negative_weights", (name,), values.min())


def _classes(loss, y, outputs):
    """Labels that the outputs have no place for."""
    kind = kind_of_loss(loss)
    if kind == SPARSE:
        count = outputs.shape[axis_of(loss, outputs.ndim)]
        ignored = getattr(loss, "ignore_class", None)
        labels = y[y != ignored] if ignored is not None else y
        if np.any(labels != np.round(labels)):
            yield wrong("fractions_as_labels", (), labels.min(), labels.max())
        elif labels.size and (labels.min() < 0 or labels.max() >= count):
            yield wrong("labels_out_of_range", (), labels.min(), labels.max(), count)
    elif kind == CATEGORICAL and y.shape == outputs.shape:
        sums = y.astype(float).sum(axis=axis_of(loss, outputs.ndim))
        odd = (np.abs(sums - 1) > 1e-2) & (np.abs(sums) > 1e-2)  # zeros leave one out
        if odd.any():
            yield wrong("labels_do_not_sum_up", (), sums[odd][0], odd.mean())
    elif name_of_loss(loss) == "poisson" and y.size and y.min() < 0:
        yield wrong("negative_counts", ("poisson",), y.min(), y.max())
    elif kind == BINARY and y.size and (y.min() < 0 or y.max() > 1):
        yield wrong("labels_not_binary", (), y.min(), y.max())


def _reach(loss, y, outputs, far):
    """Targets of a regression that outputs can't reach, or that lie far off."""
    if kind_of_loss(loss) != ELEMENTWISE:
        return
    y = y.astype(float)
    if not np.all(np.isfinite(y)) or not np.all(np.isfinite(outputs)):
        return
    shape = y.shape[:-1] if y.ndim > outputs.ndim and y.shape[-1] == 1 else y.shape
    other = outputs.shape
    other = other[:-1] if len(other) > len(shape) and other[-1] == 1 else other
    if shape != other:
        yield wrong("broadcast", (str(y.shape), str(outputs.shape)))
        return
    low, high = _RANGES[kind_of_outputs(far)]
    beyond = np.mean((y < low - _BEYOND) | (y > high + _BEYOND))
    if beyond > 0 and np.ptp(far, axis=0).any():
        yield wrong("out_of_reach", (), y.min(), y.max(), far.min(), far.max(), beyond)
        return
    spread, away = y.std(), abs(y.mean() - outputs.mean())
    if spread > 0 and away > _FAR * max(spread, outputs.std()):
        yield look("far_targets", (), y.mean(), spread, outputs.mean())
    elif np.sqrt(np.mean(y**2)) > _LARGE * max(np.sqrt(np.mean(outputs**2)), 1.0):
        figures = np.sqrt(np.mean(y**2)), np.sqrt(np.mean(outputs**2))
        yield look("large_targets", (), *figures)


_RANGES = {
    SIMPLEX: (0.0, 1.0),
    UNIT: (0.0, 1.0),
    SIGNED: (-1.0, 1.0),
    POSITIVE: (0.0, np.inf),
    ANY: (-np.inf, np.inf),
}


def _pairing(case):
    """Whether the loss minds which target is whose.

    Where shapes are broadcast against one another, as `(n,)` against `(n, 1)`, each
    target is compared with each output, and no order of the targets is another one.
    """
    y, count = case.y, case.count
    if y is None or not count or count < 4:
        return
    if not case.is_default:
        yield from _pairing_in_step(case)
        return
    with case.rehearsal.moved():
        forward, _ = attempt(lambda: case.rehearsal.forward(case.part, True))
    if forward is None or not _vary(forward) or not _tensors(y):
        return
    orders = [np.random.default_rng(seed).permutation(count) for seed in range(3)]
    if all(_are_equal(y, order) for order in orders):
        return
    # Of outputs that all lie below the targets, an absolute error minds the mean alone.
    among = _among_targets(case, forward)
    own = _if_blind(case, forward, orders)
    if own is not None and (
        among is None or _if_blind(case, among, orders) is not None
    ):
        shapes = [str(t.shape) for t in tf.nest.flatten((y, forward.outputs))]
        if (
            len({len(shape.split(",")) for shape in shapes}) > 1
            or shapes[0] != shapes[-1]
        ):
            yield wrong("unpaired", shapes, own)
        else:
            yield look("unpaired_alike", shapes, own)


def _pairing_in_step(case):
    """The same of a training step of the user's own, by its loss alone.

    Where the outputs can't be chosen, the targets are: once as they are, and once
    among the outputs.
    """
    with case.rehearsal.moved():
        forward, _ = attempt(lambda: case.rehearsal.forward(case.part, True))
        if forward is None or case.trained[0] is None or not _tensors(case.y):
            return
        leaves = tf.nest.flatten((case.y, forward.outputs))
        if len(leaves) != 2 or leaves[0].shape.rank == leaves[1].shape.rank:
            return
        y, p = map(arr, leaves)
        if y.dtype.kind != "f" or not y.std() > 0 or not p.std() > 0:
            return
        among = p.mean() + (y - y.mean()) / y.std() * p.std()
        losses, _ = attempt(lambda: [_if_blind_in_step(case, v) for v in (y, among)])
    if losses is not None and None not in losses:
        yield wrong("unpaired", [str(t.shape) for t in leaves], losses[0])


def _if_blind_in_step(case, values) -> float | None:
    rng = np.random.default_rng(0)
    orders = [range(case.count), *(rng.permutation(case.count) for _ in range(3))]
    own, *others, same = (
        case.rehearsal.loss(_with_targets(case, values[list(order)]))[0]
        for order in (*orders, [0] * case.count)
    )
    is_blind = np.isfinite(own) and all(_close(other, own) for other in others)
    return own if is_blind and not _close(same, own) else None


def _with_targets(case, values):
    x, y, weight = keras.utils.unpack_x_y_sample_weight(case.part)
    (old,) = tf.nest.flatten(y)
    other = tf.nest.pack_sequence_as(y, [tf.cast(values, old.dtype)])
    return keras.utils.pack_x_y_sample_weight(x, other, weight)


def _if_blind(case, forward, orders) -> float | None:
    """The loss, if it minds its targets, but not their order; else None."""
    own = case.data_loss(case.part, forward)
    if own is None or not np.isfinite(own):
        return None
    others = [_ordered(case, forward, order) for order in orders]
    same = _ordered(case, forward, np.zeros(case.count, int))
    if None in others or same is None or _close(same, own):
        return None  # it does not look at its targets
    return own if all(_close(other, own) for other in others) else None


def _among_targets(case, forward):
    """Outputs with the mean and the spread of their targets, above and below them.

    None if the loss is not finite there, as of negative probabilities.
    """
    targets, ours = tf.nest.flatten(case.y), tf.nest.flatten(forward.outputs)
    for _, number, of_output in case.pairs:
        y, p = arr(targets[number]).astype(float), arr(ours[of_output])
        if y.size and np.all(np.isfinite(y)) and p.std() > 0:
            among = y.mean() + (p - p.mean()) / p.std() * y.std()
            ours[of_output] = tf.cast(among, ours[of_output].dtype)
    outputs = tf.nest.pack_sequence_as(forward.outputs, ours)
    found = Forward(outputs, forward.masks, forward.added)
    loss = case.data_loss(case.part, found)
    return found if loss is not None and np.isfinite(loss) else None


def _tensors(y):
    return all(isinstance(t, tf.Tensor) and t.shape.rank for t in tf.nest.flatten(y))


def _vary(forward):
    for output in tf.nest.flatten(forward.outputs):
        values = arr(output)
        if (
            values.ndim
            and np.all(np.isfinite(values))
            and values.std(axis=0).max() > (1e-3 * max(np.abs(values).max(), 1e-30))
        ):
            return True
    return False


def _ordered(case, forward: Forward, order) -> float | None:
    x, y, weight = keras.utils.unpack_x_y_sample_weight(case.part)
    other = tf.nest.map_structure(lambda t: tf.gather(t, order), y)
    batch = keras.utils.pack_x_y_sample_weight(x, other, weight)
    return case.data_loss(batch, forward)


def _are_equal(y, order):
    return all(
        np.array_equal(arr(t), arr(t)[order], equal_nan=False)
        for t in tf.nest.flatten(y)
    )


def _close(one, other):
    return abs(one - other) <= _SAME * max(abs(one), abs(other))
