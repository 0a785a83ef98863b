"""Do the outputs of an example depend on that example alone?

One example of a batch is replaced by another. The outputs of the others must stay what
they were; in training, but for the statistics of the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.observation import (
    Observation,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Patch
from keras_gradwatch.setup.attempts import arr, attempt
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.sampled import FEW, rows

# How much an output may change though its example stays, as a share of the largest:
# sums in another order. Half precision has three digits.
_SAME, _SAME_IN_HALF = 1e-5, 1e-2


def own_example(case: Case) -> Iterator[Observation]:
    """What is to be seen of outputs whose neighbours change.

    Args:
        case: The case.
    """
    count = case.count
    if count is None or count < 2:
        yield not_told("no_examples")
        return
    first, error = case.in_inference
    if first is None:
        yield not_told("no_outputs", (case.why or error,))
        return
    half, error = attempt(
        lambda: case.rehearsal.forward(rows(case.part, range(count // 2)), False)
    )
    outputs = tf.nest.flatten(first.outputs)
    if half is None or any(t.shape[:1] != (count,) for t in outputs):
        # Perhaps it is one graph, or the size of its batches is fixed.
        yield not_told("one_piece", (error,))
        return
    shapes = [t.shape[1:] for t in tf.nest.flatten(half.outputs)]
    if [t.shape[1:] for t in outputs] != shapes:
        yield not_told("pairs_of_examples")
        return
    pair = _different(case.part, count)
    if pair is None:
        yield not_told("alike")
        return
    at, other, found = _replaced(case, outputs, pair)
    if not found.own:
        for seed in range(3):
            with case.rehearsal.moved(seed):
                here = case.rehearsal.forward(case.part, False).outputs
                at, other, found = _replaced(case, tf.nest.flatten(here), pair)
            if found.own:
                break
        else:
            yield from _unmoved(case, other, at)
            return
    if found.others:
        yield wrong("mixed", _culprits(case, other, at), found.others)
        return
    yield from _while_training(case, other, at)


def _replaced(case, outputs, pair):
    """One example in the place of another: which, the batch, and what changes."""
    at, by = _apart(outputs) or pair
    other = rows(case.part, [by if k == at else k for k in range(case.count)])
    return at, other, _changes(case, other, at, False)


def _apart(outputs):
    """The two examples whose outputs differ most; None if those of all are the same.

    Behind a rectifier those of many are.
    """
    values = [np.nan_to_num(arr(t).astype(float)).reshape(len(t), -1) for t in outputs]
    flat = np.concatenate(values, axis=1)[:FEW]
    apart = np.array([np.max(np.abs(flat - one), axis=1, initial=0) for one in flat])
    at, by = np.unravel_index(np.argmax(apart), apart.shape)
    return (int(at), int(by)) if apart[at, by] > 0 else None


class _Changes:
    """How far outputs change, as a share of the largest.

    Attributes:
        own: Those of the example that was replaced; 0 if they don't.
        others: Those of the rest.
    """

    def __init__(self, before: Sequence[Any], after: Sequence[Any], at: int):
        self.own = self.others = 0.0
        for one, two in zip(before, after, strict=True):
            a, b = arr(one).astype(float), arr(two).astype(float)
            rest = np.arange(len(a)) != at
            largest = np.max(np.abs(a[np.isfinite(a)]), initial=1e-30)
            change = np.nan_to_num(np.abs(a - b)) / largest
            limit = _SAME if one.dtype.size > 2 else _SAME_IN_HALF
            for name, part in (("own", change[~rest]), ("others", change[rest])):
                most = float(np.max(part, initial=0.0))
                if name == "own" or most > limit:
                    setattr(self, name, max(getattr(self, name), most))


def _changes(
    case: Case, other: Any, at: int, training: bool, patches: Sequence[Patch] = ()
) -> _Changes:
    run = case.rehearsal.forward
    before, after = (
        tf.nest.flatten(run(batch, training, patches).outputs)
        for batch in (case.part, other)
    )
    return _Changes(before, after, at)


def _different(batch, count):
    """Two examples that differ in their inputs."""
    x = tf.nest.flatten(keras.utils.unpack_x_y_sample_weight(batch)[0])
    for k in range(1, count):
        pairs = [(arr(rows(t, [0])), arr(rows(t, [k]))) for t in x if t is not None]
        if any(a.shape != b.shape or np.any(a != b) for a, b in pairs):
            return 0, k
    return None


def _unmoved(case, other, at):
    found, _ = attempt(lambda: _changes(case, other, at, True))
    if found is not None and found.own:
        yield not_told("only_in_training")
    else:
        yield wrong("nothing_arrives")


def _while_training(case, other, at):
    found, error = attempt(lambda: _changes(case, other, at, True))
    if found is None:
        yield not_told("no_outputs", (error,))
        return
    if not found.others:
        yield right("own_example", (), case.count)
        return
    layers = [
        layer
        for layer in internals.all_layers(case.model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    fixed, _ = attempt(
        lambda: _changes(
            case, other, at, True, [internals.frozen(layer) for layer in layers]
        )
    )
    if layers and fixed is not None and not fixed.others:
        names = [layer.name for layer in layers]
        yield right("batch_statistics", names, found.others)
    else:
        # In inference it is not so: the code asks in which mode it runs.
        yield right("mixed_in_training", (), found.others)


def _culprits(case, other, at):
    """The first layer whose outputs for other examples change."""

    def outputs(call):
        return [
            t
            for t in call.outputs
            if t.dtype.is_floating and t.shape.rank and t.shape[0] == case.count
        ]

    def run(batch):
        return case.rehearsal.seen(batch, outputs)

    pair, _ = attempt(lambda: (run(case.part), run(other)))
    if pair is None:
        return ()
    for call, before, after in zip(case.rehearsal.calls, *pair, strict=True):
        if before and _Changes(before, after, at).others:
            return (call.layer.name, type(call.layer).__name__)
    return ()
