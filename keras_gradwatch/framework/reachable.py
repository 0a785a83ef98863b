"""State that Python code can reach, put back after it has run.

Code that is run once more than training runs it may count, append, or draw from a
generator of its own. What can be reached from the objects of a model is put back: the
contents of lists, dicts and sets, attributes, variables of closures, global variables
that functions name, and the states of generators of random numbers.
"""

from __future__ import annotations

import contextlib
import functools
import random
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# Code of these changes nothing of the user's by itself.
_LIBRARIES = (
    "builtins",
    "collections",
    "functools",
    "keras",
    "keras_gradwatch",
    "numpy",
    "random",
    "tensorflow",
    "typing",
)
# Objects to look at, at most. Chosen, not measured: a bound on time. A longer list or
# dict than this is data, not state.
_MOST, _LONG = 10_000, 1_000
_NO_STATE = (str, bytes, int, float, complex, type(None), np.ndarray, np.generic)
_ABSENT = object()

Undo = Callable[[], None]


@contextlib.contextmanager
def same_reachable_state(roots: Iterable[Any]) -> Iterator[None]:
    """Puts back what code can reach from some objects.

    Args:
        roots: The objects. Their own attributes are not looked after, but what is
            behind them is.
    """
    undo = _snapshot(roots)
    try:
        yield
    finally:
        for put_back in reversed(undo):
            put_back()


def _snapshot(roots) -> list[Undo]:
    found: list[Undo] = []
    seen: set[int] = set()
    # Kept alive: an id may be given to another object otherwise.
    kept: list[Any] = []
    waiting = [child for root in roots for child in _inside(root)]
    while waiting and len(kept) < _MOST:
        thing = waiting.pop()
        if isinstance(thing, _NO_STATE) or id(thing) in seen:
            continue
        seen.add(id(thing))
        kept.append(thing)
        put_back, children = _state(thing)
        found += put_back
        waiting += children
    return found


def _inside(root) -> list[Any]:
    """What a model, a layer or a loss holds, and its own code."""
    attributes = list(getattr(root, "__dict__", {}).values())
    return [*attributes, *_own_classes(type(root))]


def _state(thing) -> tuple[list[Undo], list[Any]]:
    """How to put back one thing, and what can be reached from it."""
    generator = _generator(thing)
    if generator is not None:
        return [generator], []
    if isinstance(thing, types.CellType):
        return _cell(thing)
    if isinstance(thing, types.FunctionType):
        return _function(thing)
    if isinstance(thing, types.MethodType):
        return [], [thing.__self__, thing.__func__]
    if isinstance(thing, functools.partial):
        return [], [thing.func, thing.args, thing.keywords]
    if isinstance(thing, staticmethod | classmethod):
        return [], [thing.__func__]
    if isinstance(thing, property):
        return [], [f for f in (thing.fget, thing.fset) if f is not None]
    if isinstance(thing, tuple | frozenset):
        return [], list(thing)
    if isinstance(thing, list | dict | set):
        return _container(thing)
    if isinstance(thing, type):
        return _attributes(thing) if _is_own(thing.__module__) else ([], [])
    return _object(thing)


def _generator(thing) -> Undo | None:
    if isinstance(thing, np.random.Generator):
        return functools.partial(
            setattr, thing.bit_generator, "state", thing.bit_generator.state
        )
    if isinstance(thing, np.random.RandomState):
        return functools.partial(thing.set_state, thing.get_state(legacy=False))
    if isinstance(thing, random.Random):
        return functools.partial(thing.setstate, thing.getstate())
    if isinstance(thing, tf.random.Generator):
        with tf.init_scope():  # outside of what is being traced
            return functools.partial(_reset, thing, thing.state.numpy())
    return None


def _reset(generator, state):
    with tf.init_scope():
        if not np.array_equal(generator.state.numpy(), state):
            generator.state.assign(state)


def _cell(cell):
    try:
        content = cell.cell_contents
    except ValueError:  # it is empty
        return [], []
    return [lambda: setattr(cell, "cell_contents", content)], [content]


def _function(function):
    if not _is_own(function.__module__):
        # A wrapper, such as a decorator of TensorFlow's, may hold code of the user's.
        return [], [*(function.__closure__ or ())]
    children = [*(function.__closure__ or ()), *(function.__defaults__ or ())]
    children += (function.__kwdefaults__ or {}).values()
    space, undo = function.__globals__, []
    for name in _names(function.__code__):
        value = space.get(name, _ABSENT)
        if value is not _ABSENT and not isinstance(value, types.ModuleType):
            undo.append(functools.partial(_put, space, name, value))
            children.append(value)
    return undo, children


def _names(code):
    """The global names in some code, that of functions inside it included."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _put(space, name, value):
    if space.get(name, _ABSENT) is not value:
        space[name] = value


def _container(thing):
    if len(thing) > _LONG:
        return [], []
    if isinstance(thing, dict):
        content: Any = dict(thing)
        return [functools.partial(_refill_dict, thing, content)], [*content.values()]
    if isinstance(thing, list):
        content = list(thing)
        return [functools.partial(_refill_list, thing, content)], content
    content = set(thing)
    return [functools.partial(_refill_set, thing, content)], list(content)


def _refill_dict(thing, content):
    same = len(thing) == len(content)
    if not same or any(thing.get(k, _ABSENT) is not v for k, v in content.items()):
        # Through the built-in type: Keras' tracked containers tell a tracker.
        dict.clear(thing)
        dict.update(thing, content)


def _refill_list(thing, content):
    same = len(thing) == len(content)
    if not same or any(a is not b for a, b in zip(thing, content, strict=True)):
        list.__setitem__(thing, slice(None), content)


def _refill_set(thing, content):
    if thing != content:
        set.clear(thing)
        set.update(thing, content)


def _object(thing):
    """An object of a class of the user's."""
    if not _is_own(type(thing).__module__) or isinstance(thing, keras.layers.Layer):
        return [], []
    attributes = getattr(thing, "__dict__", None)
    if attributes is None or isinstance(thing, types.ModuleType):
        return [], []
    content = dict(attributes)
    return (
        [functools.partial(_refill_dict, attributes, content)],
        [*content.values(), *_own_classes(type(thing))],
    )


def _attributes(kind):
    """The attributes of a class of the user's, and its code."""
    data = {
        name: value
        for name, value in vars(kind).items()
        if not (name.startswith("__") and name.endswith("__"))
    }
    undo = [
        functools.partial(_set, kind, name, value)
        for name, value in data.items()
        if not callable(value) and not hasattr(value, "__get__")
    ]
    return undo, [*data.values(), vars(kind).get("__call__")]


def _set(kind, name, value):
    if vars(kind).get(name, _ABSENT) is not value:
        setattr(kind, name, value)


def _own_classes(kind) -> list[type]:
    return [k for k in kind.__mro__ if _is_own(k.__module__)]


def _is_own(module):
    return (module or "").partition(".")[0] not in _LIBRARIES
