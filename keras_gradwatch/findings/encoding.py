"""Frozen data as standard JSON, and back: of alerts, findings and reports.

NaN and infinity are strings, and a number tells the format. A cause or a note carries
the name of its class, and so does all else that a field holds of one class or another.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from keras_gradwatch.findings.causes import CAUSES
from keras_gradwatch.findings.clues import CLUES
from keras_gradwatch.findings.handed import Handed
from keras_gradwatch.findings.notes import NOTES
from keras_gradwatch.findings.observation import Answer, Observation
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.place import Line, Place

# The key of the name of a class, and the classes that carry theirs.
CLASS = "is"
_SINGLE = (Answer, Handed, Line, Observation, Pattern, Place)
_PARTS = (*CAUSES, *CLUES, *NOTES, *_SINGLE)
_CLASSES = {part.__name__: part for part in _PARTS}


def encode(value: Any) -> Any:
    """Data for standard JSON.

    Args:
        value: A dataclass, or anything that may stand in one.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        data = {name: encode(getattr(value, name)) for name in names}
        name = type(value).__name__
        return {CLASS: name, **data} if name in _CLASSES else data
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
        ValueError: If a class is unknown, or a field is missing, unknown or of another
            type than is declared.
    """
    known = _fields(cls)
    fields = {}
    for name, value in data.items():
        is_float, fits = known.get(name, (False, bool))
        fields[name] = found = _decoded(value, is_float)
        if name in known and not fits(found):
            raise ValueError(
                f"Expected another type for `{name}` of {cls.__name__}. Received: "
                f"{value!r:.80}"
            )
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(
            f"Expected the fields of {cls.__name__}. Received: {data!r:.80}"
        ) from error


@functools.cache
def _fields(cls: type) -> dict[str, tuple[bool, Callable[[Any], bool]]]:
    """Of each field whether it holds floats, and whether a value fits it."""
    hints = get_type_hints(cls)
    return {
        field.name: ("float" in str(field.type), _test(hints[field.name]))
        for field in dataclasses.fields(cls)
    }


def _test(hint: Any) -> Callable[[Any], bool]:
    """Whether a value is of a type that was declared."""
    kinds, inner = get_args(hint), get_origin(hint)
    if inner in (Union, UnionType):
        if all(isinstance(kind, type) and not get_args(kind) for kind in kinds):
            return _is_one_of(kinds)
        tests = [_test(kind) for kind in kinds]
        return lambda value: any(test(value) for test in tests)
    if inner is tuple and kinds[-1] is Ellipsis:
        each = _test(kinds[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if inner is tuple:
        tests = [_test(kind) for kind in kinds]
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(tests)
            and all(test(part) for test, part in zip(tests, value, strict=True))
        )
    return _is_one_of([hint])


def _is_one_of(kinds: Sequence[type]) -> Callable[[Any], bool]:
    plain = {kind for kind in kinds if kind in (bool, int, float, str, NoneType)}
    if float in plain:
        plain.add(int)  # as other programs write it
    classes = tuple(kind for kind in kinds if kind not in plain)
    return lambda value: type(value) in plain or isinstance(value, classes)


def _decoded(value, is_float):
    if isinstance(value, dict):
        fields = dict(value)
        name = fields.pop(CLASS, None)
        if name not in _CLASSES:
            raise ValueError(f"Expected a class of findings. Received: {name!r:.80}")
        return decode(_CLASSES[name], fields)
    if isinstance(value, list):
        return tuple(_decoded(v, is_float) for v in value)
    if is_float and isinstance(value, str):
        return float(value)
    return value


def write(fields: Mapping[str, Any], version: int) -> str:
    """An object as JSON, the number of its format first.

    Args:
        fields: What `encode` returned.
        version: The number of the format.
    """
    return json.dumps({"format": version, **fields}, allow_nan=False)


def read(
    text: str | bytes, what: str, versions: Sequence[int]
) -> tuple[int, dict[str, Any]]:
    """Gets back what `write` wrote, still to be decoded.

    Args:
        text: The JSON.
        what: What it should be, such as `"an alert"`.
        versions: The formats that are known, the newest first.

    Returns:
        A tuple `(version, fields)`.

    Raises:
        ValueError: If it is not an object of such a format.
    """
    fields: Any = json.loads(text)
    version: Any = fields.pop("format", None) if isinstance(fields, dict) else None
    assert_known(version, text, what, versions)
    return version, fields


def assert_known(
    version: Any, text: str | bytes, what: str, versions: Sequence[int]
) -> None:
    """Makes sure that a text is of a known format.

    Args:
        version: What it has where the number of its format should be.
        text: The text.
        what: What it should be, such as `"an alert"`.
        versions: The formats that are known, the newest first.

    Raises:
        ValueError: If it is not.
    """
    # In Python, True is 1.
    if isinstance(version, bool) or version not in versions:
        known = " or ".join(map(str, versions))
        raise ValueError(
            f"Expected {what} of format {known}, as `to_json()` writes it. Received: "
            f"text={text[:80]!r}"
        )
