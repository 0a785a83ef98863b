"""Is the loss an average over the examples?

The same batch twice has the loss of the batch, whatever the mean is taken over:
examples, entries of a mask, sums of weights; statistics of a batch stay the same, too.
A sum has twice the loss, and another ratio is a mean over the wrong count, unless the
loss compares examples with one another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.observation import (
    Observation,
    look,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.setup.attempts import attempt
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.sampled import rows

# Round-off of a loss in float32; what it may differ by in half precision.
_SAME, _SAME_IN_HALF = 1e-4, 2e-2
# Draws to take the mean over, and by how many standard errors two means may differ: of
# twelve draws the error itself is known to a fifth.
_DRAWS, _WIDE = 12, 5.0
# A loss that can't be told from others that differ by this share is not told.
_VAGUE = 0.25
# Of a loss that scatters only a sum is told, by about this ratio.
_TWICE = 1.8, 2.2


def average(case: Case) -> Iterator[Observation]:
    """What is to be seen of the loss of a batch, of the batch twice, and of halves.

    Args:
        case: The case.
    """
    if case.trained[0] is None:
        kind = "several_losses" if case.several else "no_loss"
        yield not_told(kind, (case.why,), case.several)
        return
    if case.count is None or case.count < 2:
        yield not_told("no_examples")
        return
    twice = rows(case.part, [*range(case.count)] * 2)
    found, error = attempt(lambda: case.rehearsal.loss(twice)[0])
    own, scatter = case.trained[0][0], 0.0
    if found is None or not np.isfinite([found, own]).all():
        yield not_told("not_twice", (error or "the loss is not finite",))
        return
    if _draws(case):
        own, found, scatter = _over_draws(case, twice)
    limit = _limit(case) * max(abs(own), abs(found)) + _WIDE * scatter
    if abs(found - own) <= limit:
        if limit > _VAGUE * abs(own) and scatter > 0:
            yield not_told("scatters", (), own, scatter)
        else:
            yield right("average", _halves(case, own, limit), own, found)
        return
    if scatter > 0 and not _TWICE[0] < found / own < _TWICE[1]:
        yield not_told("scatters", (), own, scatter)
        return
    if _couples(case, limit):
        yield not_told("coupled", (), own, found)
        return
    yield from _which(case, twice, own, found, limit)


def _limit(case):
    return _SAME if case.rehearsal.is_single else _SAME_IN_HALF


def _draws(case):
    """Whether the loss of the same batch is not always the same.

    Nor in another order: a draw with a fixed seed is another one for each place.
    """
    run = case.rehearsal
    own, limit = case.trained[0][0], _limit(case)
    turned = rows(case.part, range(case.count - 1, -1, -1))
    others = (run.loss(case.part, 1)[0], run.loss(turned)[0])
    return any(abs(other - own) > limit * abs(own) for other in others)


def _over_draws(case, twice):
    """The means of both losses over some draws, and the error of their difference."""
    run = case.rehearsal
    rng = np.random.default_rng(0)
    pairs = [
        [run.loss(_shuffled(b, rng), k)[0] for b in (case.part, twice)]
        for k in range(_DRAWS)
    ]
    own, found = np.mean(pairs, axis=0)
    errors = np.std(pairs, axis=0, ddof=1) / np.sqrt(_DRAWS)
    return float(own), float(found), float(np.hypot(*errors))


def _shuffled(batch, rng):
    return rows(batch, rng.permutation(batches.batch_size(batch)).tolist())


def _halves(case, own, limit):
    """Whether the mean of halves is the whole, in a word."""
    count = case.count // 2 * 2
    if count < case.count:
        return ("",)
    first, second = range(count // 2), range(count // 2, count)
    run = case.rehearsal
    halves, _ = attempt(
        lambda: [run.loss(rows(case.part, part))[0] for part in (first, second)]
    )
    if halves is None:
        return ("",)
    low, high = min(halves) - limit, max(halves) + limit
    if abs(np.mean(halves) - own) <= limit:
        return ("mean",)
    return ("between",) if low <= own <= high else ("together",)


def _couples(case, limit):
    """Whether examples are compared with one another.

    A sum over examples changes by as much if one half is replaced, whatever the other
    half is.
    """
    count = case.count
    if count < 4:
        return False
    half = count // 2
    a, b = list(range(half)), list(range(half, 2 * half))
    ways = [a + b, a + a, b + b, b + a]
    run = case.rehearsal
    found, _ = attempt(lambda: [run.loss(rows(case.part, way))[0] for way in ways])
    if found is None:
        return True
    whole, first, second, swapped = found
    mixed = abs(first + second - whole - swapped)
    return mixed > 4 * limit + _limit(case) * (abs(first) + abs(second))


def _which(case, twice, own, found, limit):
    """Which part of the loss is not an average."""
    yield_sum = abs(found - 2 * own) <= limit + _limit(case) * abs(own)
    parts = _parts(case, twice)
    for name, one, two in parts:
        if abs(two - one) <= _limit(case) * abs(one) + limit:
            continue
        if abs(two - 2 * one) <= 2 * _limit(case) * abs(one) + limit:
            yield look("sum", (name,), one, two)
        else:
            yield wrong("wrong_count", (name,), one, two, two / one if one else np.nan)
        return
    kind: Any = look if yield_sum else wrong
    ratio = found / own if own else np.nan
    yield kind("sum" if yield_sum else "wrong_count", ("loss",), own, found, ratio)


def _parts(case, twice):
    """The parts of the loss: their names, for the batch and for the batch twice."""
    if not case.is_default:
        return []
    before = case.in_training[0]
    after, _ = attempt(lambda: case.rehearsal.forward(twice, True))
    if before is None or after is None:
        return []
    one, two = case.data_loss(case.part, before), case.data_loss(twice, after)
    found: list[tuple[str, float, float]] = []
    if one is not None and two is not None:
        found.append(("compiled loss", one, two))
    added = zip(before.added, after.added, strict=False)
    for number, pair in enumerate(added, start=1):
        low, high = (float(tf.reduce_sum(t)) for t in pair)
        found.append((f"loss {number} of `add_loss` and regularizers", low, high))
    return found
