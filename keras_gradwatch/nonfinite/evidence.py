"""What is known of the place that is to blame: its name, entries, inputs, weights."""

from __future__ import annotations

from typing import Any

import keras
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
from keras_gradwatch.nonfinite.marks import IN, Mark, Visit, is_finite
from keras_gradwatch.nonfinite.run import Replay, Run, bad_data

_MOST_WEIGHTS = 4


def of_forward(replay: Replay, batch: Any, culprit: Culprit) -> dict:
    """The parts of a finding for a loss that is not finite."""
    if culprit.data is not None:
        return _of_data(batch, culprit.data)
    mark = culprit.mark
    if mark is not None:
        return {**_forward(replay, culprit.run, mark), **code(mark)}
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


def of_backward(replay: Replay, batch: Any, culprit: Culprit) -> dict:
    """The parts of a finding for gradients that are not finite."""
    if culprit.data is not None:
        return _of_data(batch, culprit.data)
    mark, run = culprit.mark, culprit.run
    if mark is not None and not mark.is_backward:
        return {**_forward(replay, run, mark), **code(mark)}
    if mark is not None and mark.variable is not None:
        found = _own(replay, run, mark.variable, mark.value)
        return {**found, **code(mark)}
    if mark is not None:
        return {**_backward(replay, run, mark), **code(mark)}
    variable = first_in_backward(replay, run)[0]
    gradient = next(g for _, v, g in run.bad_gradients() if v is variable)
    return _own(replay, run, variable, gradient)


def _forward(replay, run: Run, mark: Mark) -> dict:
    entries, visit = Entries.of(mark.value.numpy()), mark.visit
    adds = mark.variable and owner_of(replay, mark.variable)
    inside = visit and (visit.parent if mark.side == IN else visit)
    if inside and isinstance(inside.thing, keras.Layer) and _is_left_out(inside):
        adds = inside.thing
    if adds:
        return {
            "kind": LOSS,
            "place": words.path(adds),
            "where": words.added_loss(adds),
            "entries": entries,
            "weights": _weights(replay, adds),
        }
    if visit is None:
        return {"kind": LOSS, "where": words.LOSS_OF_STEP, "entries": entries}
    return {
        "kind": LOSS if words.is_loss(visit.thing) else FORWARD,
        "place": words.path(visit.thing),
        "where": words.forward(visit, mark.side, run.visits),
        "entries": entries,
        **_there(replay, visit, mark.side),
    }


def _is_left_out(visit: Visit) -> bool:
    """Whether all is finite that a layer returns, though not all that it computes."""
    return bool(visit.outputs) and all(map(is_finite, visit.outputs))


def _backward(replay, run: Run, mark: Mark) -> dict:
    entries = Entries.of(mark.value.numpy())
    if mark.visit is None:
        return {"kind": BACKWARD, "where": words.BACKWARD_OF_STEP, "entries": entries}
    return {
        "kind": BACKWARD,
        "place": words.path(mark.visit.thing),
        "where": words.backward(mark.visit, mark.side, run.visits),
        "entries": entries,
        **_there(replay, mark.visit, mark.side, arrived=True),
    }


def _own(replay, run: Run, variable, gradient) -> dict:
    """The gradient for a weight, which is not made of what came to its layer."""
    owner = owner_of(replay, variable)
    return {
        "kind": BACKWARD,
        "place": words.path(owner),
        "where": words.own_gradient(variable.path, owner),
        "entries": Entries.of(gradient.numpy()),
        "inputs": _extents("input", _last_visit(run, owner)),
        "weights": _weights(replay, owner),
    }


def code(mark: Mark | None) -> dict:
    """The operation in which it arose, and its line, as far as they are known."""
    return {} if mark is None else {"operation": mark.operation, "line": mark.line}


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
        or mark.visit is None
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
