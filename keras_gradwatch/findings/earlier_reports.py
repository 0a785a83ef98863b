"""Reports of an earlier format, in the shape of the present one."""

from __future__ import annotations

from typing import Any

from keras_gradwatch.findings.encoding import CLASS
from keras_gradwatch.findings.handed import IN_WORDS


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
        "handed": {CLASS: "Handed", "kind": IN_WORDS, "text": applied}
        if applied
        else None,
    }
    return _without(found, "reason", "applied")


def _told(name, text):
    return {CLASS: name, "text": text} if text else None


def _without(data, *names):
    return {name: value for name, value in data.items() if name not in names}
