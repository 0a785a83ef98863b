"""Changing attributes of the user's objects, and putting them back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import NamedTuple

_ABSENT = object()


class Patch(NamedTuple):
    """An attribute of an instance, and the value it has for a while."""

    target: object
    name: str
    value: object


@contextlib.contextmanager
def applied(patches: Iterable[Patch]):
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
