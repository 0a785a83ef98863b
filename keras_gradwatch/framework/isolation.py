"""Running a model's own code without leaving a trace of it."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework import operations
from keras_gradwatch.framework.reachable import same_reachable_state

# The model's code is replayed with a few attributes changed, some of them of
# TensorFlow itself: two checks in two threads must not meet.
ONE_AT_A_TIME = threading.RLock()


@contextlib.contextmanager
def untouched(model: keras.Model, losses: Any = True) -> Iterator[None]:
    """Puts back everything that the model's Python code may change.

    Writes to Keras variables are not handled here: a `StatelessScope` diverts
    them.

    Args:
        model: The live model.
        losses: Whether what `compile()` made is put back too.
    """
    things = [*internals.all_layers(model), *(_losses(model) if losses else ())]
    with (
        _same_random_streams(),
        operations.other_eager_draws(),
        internals.same_global_state(),
        same_reachable_state(things),
        _same_attributes(things),
    ):
        yield


@contextlib.contextmanager
def same_raw_variables(layers: Iterable[Any]) -> Iterator[None]:
    """Puts back what layers hold in variables of TensorFlow, such as counters.

    Only code that runs eagerly writes to them; what is lifted does not.

    Args:
        layers: All layers of a model.
    """
    variables = raw_variables(layers)
    before = [tf.identity(variable) for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def raw_variables(layers: Iterable[Any]) -> list[tf.Variable]:
    """What layers hold in variables of TensorFlow: counters, generators' states.

    Args:
        layers: All layers of a model.
    """
    held = [value for layer in layers for value in layer.__dict__.values()]
    variables = [v.state for v in held if isinstance(v, tf.random.Generator)]
    return [*variables, *(v for v in held if isinstance(v, tf.Variable))]


def _losses(model):
    return [loss for loss in internals.loss_objects(model) if loss is not model]


@contextlib.contextmanager
def _same_random_streams():
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def _same_attributes(objects):
    put_back = kept_attributes(objects)
    try:
        yield
    finally:
        put_back()


def kept_attributes(objects: Iterable[Any]) -> Callable[[], None]:
    """Keeps the attributes of objects, and the contents of the containers in them.

    Args:
        objects: Such as all layers of a model.

    Returns:
        What puts them back.
    """
    before = [(thing.__dict__, dict(thing.__dict__)) for thing in objects]
    contents = [
        (value, _copy(value))
        for _, attributes in before
        for value in attributes.values()
        if isinstance(value, list | set | dict)
    ]

    def put_back() -> None:
        for container, content in contents:
            _refill(container, content)
        for attributes, original in before:
            if _differs(attributes, original):
                attributes.clear()
                attributes.update(original)

    return put_back


def _copy(container):
    # Through the built-in types: Keras' tracked containers copy with a tracker.
    if isinstance(container, list):
        return list(container)
    return dict(container) if isinstance(container, dict) else set(container)


def _refill(container, content):
    if isinstance(container, list):
        same = len(container) == len(content) and all(
            a is b for a, b in zip(container, content, strict=True)
        )
        if not same:
            list.__setitem__(container, slice(None), content)
    elif isinstance(container, dict):
        if _differs(container, content):
            dict.clear(container)
            dict.update(container, content)
    elif container != content:
        set.clear(container)
        set.update(container, content)


def _differs(now, before):
    return len(now) != len(before) or any(
        name not in now or now[name] is not value for name, value in before.items()
    )
