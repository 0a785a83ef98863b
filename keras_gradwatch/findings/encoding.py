"""Standard JSON: NaN and infinity are strings, a number tells the format."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any


def encode(value: Any) -> Any:
    """Puts strings in the place of floats that JSON does not know: NaN, infinity.

    Args:
        value: A number, a string, None, or dicts, lists and tuples of them.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(fields: dict[str, Any], floats: Collection[str]) -> dict[str, Any]:
    """Gets the floats back that `encode` made strings of.

    Args:
        fields: Fields of one object, by name.
        floats: The names of those that are floats.
    """
    return {
        name: float(value) if name in floats and isinstance(value, str) else value
        for name, value in fields.items()
    }


def write(fields: dict[str, Any], version: int) -> str:
    """An object as JSON, the number of its format first.

    Args:
        fields: Its fields, by name.
        version: The number of the format.
    """
    return json.dumps(encode({"format": version, **fields}), allow_nan=False)


def read(text: str | bytes, what: str, version: int) -> dict[str, Any]:
    """Gets the fields back from `write`; floats are still to be decoded.

    Args:
        text: The JSON.
        what: What it should be, such as `"an alert"`.
        version: The number of the format that is known.

    Raises:
        ValueError: If it is not an object of that format.
    """
    fields = json.loads(text)
    if not isinstance(fields, dict) or fields.pop("format", None) != version:
        raise unknown(text, what, version)
    return fields


def unknown(text: str | bytes, what: str, version: int) -> ValueError:
    """What to raise where a text is not of a known format.

    Args:
        text: The text.
        what: What it should be, such as `"an alert"`.
        version: The number of the format that is known.
    """
    return ValueError(
        f"Expected {what} of format {version}. Received: text={text[:80]!r}"
    )
