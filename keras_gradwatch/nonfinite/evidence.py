"""What is known of the place that is to blame: its name, entries, inputs, weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.examples import IN_DATA, Blame
from keras_gradwatch.findings.nonfinite import (
    BACKWARD,
    DATA,
    FORWARD,
    LOSS,
    Entries,
    Extent,
)
from keras_gradwatch.framework.batch import batch_size
from keras_gradwatch.nonfinite import words
from keras_gradwatch.nonfinite.culprit import Culprit, first_in_backward, owner_of
from keras_gradwatch.nonfinite.probes import IN, Visit, is_finite
from keras_gradwatch.nonfinite.step_replay import StepReplay, bad_data

_MOST_WEIGHTS = 4


def of_forward(replay: StepReplay, batch: Any, culprit: Culprit) -> dict:
    """The parts of a finding for a loss that is not finite."""
    if culprit.data is not None:
        return _of_data(batch, culprit.data)
    if culprit.mark is not None:
        visit = culprit.mark.visit
        return {
            "kind": LOSS if words.is_loss(visit.thing) else FORWARD,
            "place": words.path(visit.thing),
            "where": words.forward(culprit.mark, culprit.run.visits),
            "entries": Entries.of(culprit.mark.value.numpy()),
            **_there(replay, visit, culprit.mark.side),
        }
    added = [layer for layer, loss in culprit.run.added if not is_finite(loss)]
    if added:
        # What holds a layer has its losses too: the last is the innermost.
        return {
            "kind": LOSS,
            "place": added[-1].path,
            "where": words.added_loss(added[-1]),
            "weights": _weights(replay, added[-1]),
        }
    return {"kind": LOSS, "where": words.LOSS_OF_STEP}


def of_backward(replay: StepReplay, batch: Any, culprit: Culprit) -> dict:
    """The parts of a finding for gradients that are not finite."""
    if culprit.data is not None:
        return _of_data(batch, culprit.data)
    if culprit.mark is not None:
        mark = culprit.mark
        return {
            "kind": BACKWARD if mark.is_backward else FORWARD,
            "place": words.path(mark.visit.thing),
            "where": (words.backward if mark.is_backward else words.forward)(
                mark, culprit.run.visits
            ),
            "entries": Entries.of(mark.value.numpy()),
            **_there(replay, mark.visit, mark.side, arrived=mark.is_backward),
        }
    variable = first_in_backward(replay, culprit.run)[0]
    gradient = next(g for _, v, g in culprit.run.bad_gradients() if v is variable)
    owner = owner_of(replay, variable)
    return {
        "kind": BACKWARD,
        "place": owner.path,
        "where": words.own_gradient(variable.path, owner),
        "entries": Entries.of(gradient.numpy()),
        "inputs": _extents("input", _last_visit(culprit.run, owner)),
        "weights": _weights(replay, owner),
    }


def _of_data(batch, key) -> dict:
    entries = Entries.of(bad_data(batch)[key].numpy())
    part = words.part_of_batch(batch, key[1])
    size = batch_size(batch)
    rows = tuple(bad_rows(bad_data(batch)[key], size))
    note = sentences.blamed(Blame(IN_DATA, rows, size)) if rows else ""
    return {
        "kind": DATA,
        "place": part,
        "where": words.data(part),
        "entries": entries,
        "examples": rows or None,
        "example_note": note,
    }


def _there(replay, visit: Visit, side, arrived=False):
    found = {"weights": _weights(replay, visit.thing)}
    if side == IN and not arrived:  # it arose before: what went in there is it
        return found
    found["inputs"] = _extents("input", visit)
    if arrived:
        found["inputs"] += tuple(
            Extent.of("gradient that came in", g.numpy()) for g in visit.arrived[:2]
        )
    return found


def of_example(culprit: Culprit, blamed: Blame, size: int | None) -> tuple[Extent, ...]:
    """What of the first example to blame went in."""
    mark = culprit.mark
    if (
        mark is None
        or not blamed.examples
        or (mark.side == IN and not mark.is_backward)
    ):
        return ()
    first = blamed.examples[0]
    return tuple(
        Extent.of(f"of example {first}", value[first].numpy())
        for value in mark.visit.inputs[:4]
        if value.shape.rank and value.shape[0] == size
    )


def _extents(name, visit):
    if visit is None:
        return ()
    names = [name] if len(visit.inputs) == 1 else [f"{name} {k}" for k in range(4)]
    if words.is_loss(visit.thing):
        names = ["y_true", "y_pred", "sample_weight"]
    pairs = zip(names, visit.inputs, strict=False)
    return tuple(Extent.of(name, value.numpy()) for name, value in pairs)


def _weights(replay, thing):
    variables = getattr(thing, "variables", ())
    if len(variables) > _MOST_WEIGHTS:  # it holds layers
        return ()
    return tuple(
        Extent.of(v.path, replay.value(v).numpy())
        for v in variables
        if tf.as_dtype(v.dtype).is_floating
    )


def _last_visit(run, layer):
    return next((v for v in reversed(run.visits) if v.thing is layer), None)


def bad_rows(value: Any, size: int | None) -> list[int]:
    """The rows of an array of one row for each example that are not finite."""
    if not value.shape.rank or value.shape[0] != size:
        return []
    bad = ~np.isfinite(value.numpy().astype(np.float64)).reshape(size, -1).all(axis=1)
    return [int(k) for k in np.flatnonzero(bad)]
