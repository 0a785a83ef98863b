"""Changing attributes of objects, classes and modules, and putting them back."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_ABSENT = object()


class Patch(NamedTuple):
    """An attribute of an instance, and the value it has for a while."""

    target: object
    name: str
    value: object


@contextlib.contextmanager
def applied(patches: Iterable[Patch]) -> Iterator[None]:
    """Sets the attributes inside the context.

    Written to `__dict__`: Keras tracks, and some layers refuse, ordinary
    assignments.
    """
    before = []
    try:
        for target, name, value in patches:
            attributes = target.__dict__
            before.append((attributes, name, attributes.get(name, _ABSENT)))
            attributes[name] = value
        yield
    finally:
        for attributes, name, value in reversed(before):
            if value is _ABSENT:
                attributes.pop(name, None)
            else:
                attributes[name] = value


class Replacement(NamedTuple):
    """A method of a class, or a function of a module, and what runs instead.

    `instead` is called with the original first, then with its arguments.
    """

    owner: object
    name: str
    instead: Callable


@contextlib.contextmanager
def replaced(replacements: Iterable[Replacement]) -> Iterator[None]:
    """Lets something else run inside the context. Only this thread is affected."""
    thread = threading.get_ident()

    def here(original, instead):
        @functools.wraps(original)
        def function(*args, **kwargs):
            if threading.get_ident() != thread:
                return original(*args, **kwargs)
            return instead(original, *args, **kwargs)

        return function

    before = []
    try:
        for owner, name, instead in replacements:
            before.append((owner, name, vars(owner).get(name, _ABSENT)))
            setattr(owner, name, here(getattr(owner, name), instead))
        yield
    finally:
        for owner, name, value in reversed(before):
            if value is _ABSENT:  # it was inherited
                delattr(owner, name)
            else:
                setattr(owner, name, value)
