"""Reports of an earlier format, in the shape of the present one."""

from __future__ import annotations

from typing import Any

from keras_gradwatch.findings.encoding import CLASS
from keras_gradwatch.findings.handed import IN_WORDS

# What format 2 told by causes that are gone. Its verdicts stay what they were: how far
# it had looked is not known.
_GONE = {
    "Dead": "The gradient is zero everywhere, and so are all differences: dead "
    "(saturated or switched-off units), or without influence here.",
    "WithoutInfluence": "The gradient is zero up to round-off, and so are all "
    "differences: such a weight has no influence here.",
    "OnlyExpected": "Only mismatches that were declared as expected.",
    "StraightThrough": "A quantised layer after it rounds, and passes the gradient "
    "straight through, so differences can't tell whether it is right.",
}


def upgraded(data: dict[str, Any], version: int) -> dict[str, Any]:
    """A report of format 1 or 2 in the shape of format 3.

    Reasons and notes of format 1 are sentences, and stay what they are.

    Args:
        data: The JSON of the report, without its format.
        version: Its format.
    """
    if version == 1:
        return _with_words(data)
    variables = [_without_gone(v) for v in data["variables"]]
    return {**_without_gone(data), "variables": variables}


def _without_gone(data):
    cause = data.get("cause")
    name = cause.get(CLASS) if isinstance(cause, dict) else None
    return {**data, "cause": _told("Told", _GONE[name])} if name in _GONE else data


def _with_words(data):
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
