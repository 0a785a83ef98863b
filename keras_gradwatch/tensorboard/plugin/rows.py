"""The rows of the grid: variables by checks, and layers without any that are guilty."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from keras_gradwatch.findings.digest import Digest, VariableDigest
from keras_gradwatch.findings.joining import joined
from keras_gradwatch.findings.manner import (
    MISSING,
    NONFINITE,
    NONFINITE_IN_TRAINING,
)
from keras_gradwatch.findings.place import LOSS, Place
from keras_gradwatch.findings.sentences import places
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    UNUSED,
    ZERO,
)

_Named = TypeVar("_Named", VariableReport, VariableDigest)
# Of a variable that was not part of a check.
_ABSENT = " "
# Of a place that a check points at.
_BLAMED = "!"
# A letter for each verdict, so that a long history stays small. static/words.js reads
# them back; tests/tensorboard/test_answers.py holds the two together.
LETTERS = {
    PASS: "P",
    FAIL: "F",
    INCONCLUSIVE: "I",
    UNUSED: "U",
    ZERO: "Z",
    BLOCKED: "B",
    EXPECTED: "E",
}


def letter(verdict: str) -> str:
    """The letter of a verdict."""
    return LETTERS.get(verdict, "?")


def variables(digests: Sequence[Digest]) -> list[dict[str, Any]]:
    """A row for each variable of any of the checks, those of the newest first.

    Args:
        digests: The checks in the order of writing.
    """
    names = joined(digests)
    rows: dict[str, dict[str, Any]] = {}
    # From the newest on: its model has the rows that the others are joined to.
    for column in reversed(range(len(digests))):
        for key, _, found in keyed(digests[column].variables, names[column]):
            if key not in rows:
                rows[key] = _row(key, found, len(digests))
            row = rows[key]
            row["cells"][column] = letter(found.verdict)
            if found.verdict == FAIL:
                row["errors"][column] = _how_wrong(found)
    return [{**row, "cells": "".join(row["cells"])} for row in rows.values()]


def _row(key: str, found: VariableDigest, columns: int) -> dict[str, Any]:
    layer = found.path.rpartition("/")[0]
    return {
        "key": key,
        "label": found.label,
        "layer": layer,
        "name": found.label.removeprefix(f"{layer}/"),
        "shape": found.shape,
        "cells": [_ABSENT] * columns,
        # How wrong, as a number or a word: only of what fails.
        "errors": {},
    }


def _how_wrong(found: VariableDigest) -> float | str:
    if found.relative_error is not None:
        return found.relative_error
    # What failed before and was not looked at again has neither.
    kind = None if found.manner is None else found.manner.kind
    return {MISSING: "none", NONFINITE: "NaN", NONFINITE_IN_TRAINING: "NaN"}.get(
        kind or "", "still"
    )


def blamed(digests: Sequence[Digest], rows: list[dict[str, Any]]) -> list[dict]:
    """The places that checks point at, with weights or without.

    Args:
        digests: The checks in the order of writing.
        rows: What `variables` returned for them.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for column, check in enumerate(digests):
        for place in check.places:
            key = place.name, "" if place.name else str(place.line)
            if key not in found:
                found[key] = {
                    "name": place.name or str(place.line),
                    "words": places([Place(place.name, place.kind)]) or str(place.line),
                    "title": places([place]),
                    "is_loss": place.kind == LOSS,
                    "layer": _layer(place, rows),
                    "cells": [_ABSENT] * len(digests),
                }
            found[key]["cells"][column] = _BLAMED
            found[key]["after"] = _last_wrong(column, rows)
    return [{**one, "cells": "".join(one["cells"])} for one in found.values()]


def _layer(place: Place, rows: list[dict[str, Any]]) -> str | None:
    """The layer of the grid that a place is in; None if that has no variables."""
    if not place.name or place.kind == LOSS:
        return None
    layers = dict.fromkeys(row["layer"] for row in rows)
    ends = [
        layer
        for layer in layers
        if layer == place.name or layer.endswith(f"/{place.name}")
    ]
    return ends[0] if ends else None


def _last_wrong(column: int, rows: list[dict[str, Any]]) -> str | None:
    """The key of the last variable that is wrong: the mistake comes after it."""
    wrong = [row["key"] for row in rows if row["cells"][column] == LETTERS[FAIL]]
    return wrong[-1] if wrong else None


def keyed(
    found: Iterable[_Named], names: Mapping[str, str]
) -> Iterator[tuple[str, str, _Named]]:
    """Variables with short keys: a path may be long, or there twice.

    Args:
        found: The variables of one check.
        names: What `joined` returned for it.

    Yields:
        Tuples of the key of the row, the label of the row, and the variable.
    """
    seen: dict[str, int] = {}
    for one in found:
        label = names.get(one.label, one.label)
        seen[label] = seen.get(label, 0) + 1
        yield _key(label, seen[label]), label, one


# Each variable is asked for once a check: kept for models of 10,000 variables.
@functools.lru_cache(maxsize=10_000)
def _key(label: str, occurrence: int) -> str:
    text = f"{occurrence} {label}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]
