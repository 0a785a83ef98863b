"""Frozen data as JSON and back: of reports, with what they hold.

A cause or a note carries the name of its class, and so does all else that a field
holds of one class or another.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_gradwatch.findings.causes import CAUSES
from keras_gradwatch.findings.handed import IN_WORDS, Handed
from keras_gradwatch.findings.notes import NOTES
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.place import Place

FORMAT = 2

_CLASSES = {c.__name__: c for c in (*CAUSES, *NOTES, Handed, Pattern, Place)}
_CLASS = "is"


def encode(value: Any) -> Any:
    """Data for standard JSON; NaN and infinity become strings.

    Args:
        value: A dataclass, or anything that may stand in one.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        data = {name: encode(getattr(value, name)) for name in names}
        name = type(value).__name__
        return {_CLASS: name, **data} if name in _CLASSES else data
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list | tuple):
        return [encode(v) for v in value]
    return value


def decode(cls: type, data: Mapping[str, Any]) -> Any:
    """A dataclass from what `encode` made of it.

    Args:
        cls: The dataclass.
        data: Its fields.

    Raises:
        ValueError: If a class is unknown, or a number is none.
        TypeError: If a field is missing, or unknown.
        KeyError: If a field is missing.
    """
    types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
    return cls(**{name: _decoded(v, types.get(name, "")) for name, v in data.items()})


def _decoded(value, declared):
    if isinstance(value, dict):
        fields = dict(value)
        name = fields.pop(_CLASS)
        if name not in _CLASSES:
            raise ValueError(f"Expected a class of findings. Received: {name!r:.80}")
        return decode(_CLASSES[name], fields)
    if isinstance(value, list):
        return tuple(_decoded(v, declared) for v in value)
    if isinstance(value, str) and "float" in declared:
        return float(value)
    return value


def upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """A report of format 1 in the shape of format 2.

    Its reasons and notes are sentences, and stay what they are.

    Args:
        data: The JSON of a report of format 1, without its format.
    """
    found = {
        **data,
        "cause": _told("Told", data["reason"]),
        "remarks": [_told("Said", text) for text in data["notes"]],
        "variables": [_upgraded_variable(v) for v in data["variables"]],
    }
    return _without(found, "reason", "notes")


def _upgraded_variable(data):
    applied = data.get("applied", "")
    found = {
        **data,
        "cause": _told("Told", data["reason"]),
        "handed": {_CLASS: "Handed", "kind": IN_WORDS, "text": applied}
        if applied
        else None,
    }
    return _without(found, "reason", "applied")


def _told(name, text):
    return {_CLASS: name, "text": text} if text else None


def _without(data, *names):
    return {name: value for name, value in data.items() if name not in names}
