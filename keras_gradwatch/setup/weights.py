"""Does each weight get a gradient, and does Keras know it?"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_gradwatch.findings.observation import (
    Observation,
    look,
    not_told,
    right,
    wrong,
)
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.optimizers import optimizers
from keras_gradwatch.setup.attempts import arr, attempt
from keras_gradwatch.setup.case import Case
from keras_gradwatch.setup.rehearsal import Rehearsal


def weights(case: Case) -> Iterator[Observation]:
    """What is to be seen of the weights.

    Args:
        case: The case.
    """
    trained = case.model.trainable_variables
    if not trained:
        yield wrong("all_frozen", (), len(case.model.weights))
    yield from _unknown(case)
    yield from _new_to_optimizer(case, trained)
    if trained:
        yield from _gradients(case, trained)


def _unknown(case):
    """Weights that the model uses, and Keras does not know."""
    found, _ = case.into_layers
    if found is None:
        return
    known = {id(layer) for layer in internals.all_layers(case.model)}
    hidden = [c.layer for c in found[0] if id(c.layer) not in known]
    hidden = [layer for layer in hidden if layer.trainable_variables]
    if hidden:
        names = list({f"{type(x).__name__} {x.name!r}": x for x in hidden})
        yield wrong("unknown_layers", names, len(names))
    theirs = {id(v.value) for x in hidden for v in x.variables}
    raw = [
        v
        for v in case.rehearsal.raw
        if v.trainable and v.dtype.is_floating and id(v) not in theirs
    ]
    if raw and not hidden:
        names = [v.name.removesuffix(":0") for v in raw]
        yield wrong("unknown_variables", names, len(raw))


def _new_to_optimizer(case, trained):
    if not case.is_default:
        return
    for _, optimizer in optimizers(case.model):
        if optimizer.built and optimizer is case.model.optimizer:
            known = {id(v) for v in internals.tracked_by(optimizer)}
            new = [v.path for v in trained if id(v) not in known]
            if new:
                yield wrong("new_to_optimizer", new, len(new))


def _gradients(case, trained):
    objectives = case.objectives
    if not objectives:
        yield not_told("no_gradients", (case.refusal,))
        return
    if case.several:
        runs = [Rehearsal(case.model, objective) for objective in objectives]
    else:
        runs = [case.rehearsal]
    at_start: dict[int, Any] = {}
    for run in runs:
        found, error = attempt(functools.partial(_largest, run, case.part))
        if found is None:
            yield not_told("no_gradients", (case.why or error,))
            return
        _merge(at_start, found)
    missing = [v.path for v in trained if at_start.get(id(v)) is None]
    if missing:
        yield wrong("no_gradient", missing, len(missing), len(trained))
    not_finite = [
        v.path for v in trained if not np.isfinite(at_start.get(id(v)) or 0.0)
    ]
    if not_finite:
        yield wrong("gradient_not_finite", not_finite, len(not_finite))
    largest = dict(at_start)
    for seed in range(2):
        if _idle(case, largest):
            for run in runs:
                with run.moved(seed):
                    found, _ = attempt(functools.partial(_largest, run, case.part))
                _merge(largest, found or {})
    idle = _idle(case, largest)
    if idle:
        yield look("idle_layers", idle, len(idle))
    frozen = len(case.model.weights) - len(trained)
    yield right("gradients", (), len(trained) - len(missing), len(trained), frozen)


def _largest(run, batch):
    """The largest entry of each gradient, by the id of its variable."""
    _, gradients = run.loss(batch)
    return {
        id(v): None if g is None else float(np.max(np.abs(arr(g)), initial=0.0))
        for v, g in zip(run.variables, gradients, strict=True)
    }


def _merge(all_found, found):
    for key, value in found.items():
        before = all_found.get(key)
        if before is None:
            all_found[key] = value
        elif value is not None:
            all_found[key] = max(before, value)


def _idle(case, largest) -> list[str]:
    """Layers to none of whose weights any gradient arrives.

    A bias before a normalisation has none, and a layer behind weights that are zero has
    none at first: so whole layers are looked at, at other weights too.
    """
    found = []
    for layer in internals.all_layers(case.model):
        if internals.children(layer) or not layer.trainable_variables:
            continue
        sizes = [largest.get(id(v)) for v in layer.trainable_variables]
        if all(size == 0 for size in sizes):
            found.append(_name(layer))
    return found


def _name(layer: keras.Layer) -> str:
    return getattr(layer, "path", None) or layer.name
