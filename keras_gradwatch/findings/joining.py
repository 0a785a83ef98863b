"""Which variables are the same where a model was built anew, with other names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from keras_gradwatch.findings.digest import Digest, VariableDigest

# A label, its path without the numbers that Keras gives, and its shape.
_Row = tuple[str, tuple[str, ...], tuple[int, ...] | None]


def joined(digests: Sequence[Digest]) -> list[Mapping[str, str]]:
    """For each check the names that its variables have in a later one.

    A model that is built again in the same process has `dense_2` where it had
    `dense`, and a resumed one may be wrapped in another. A variable that the newest
    check does not name is the one, in the order of the model, whose path ends alike,
    numbers apart, and that has the same shape.

    Args:
        digests: The checks of a run in the order of writing.

    Returns:
        A mapping for each check, of a label to that of a later check. What is not in it
        keeps its name.
    """
    known: dict[str, _Row] = {}
    found: list[Mapping[str, str]] = []
    same: tuple = ()
    names: Mapping[str, str] = {}
    for check in reversed(digests):
        rows = tuple((v.label, v.shape) for v in check.variables)
        if rows != same:
            same, names = rows, _names([*map(_row, check.variables)], known)
        found.append(names)
    return found[::-1]


def renamed(digests: Sequence[Digest]) -> list[Digest]:
    """The checks with the names that their variables have in the newest one.

    Args:
        digests: The checks of a run in the order of writing.
    """
    return [
        replace(check, variables=tuple(_renamed(v, names) for v in check.variables))
        if names
        else check
        for check, names in zip(digests, joined(digests), strict=True)
    ]


def _renamed(found: VariableDigest, names: Mapping[str, str]) -> VariableDigest:
    if found.label not in names:
        return found
    path = names[found.label]
    if found.target:
        path = path.removesuffix(f" ({found.target})")
    return replace(found, path=path)


def _names(rows: list[_Row], known: dict[str, _Row]) -> dict[str, str]:
    """Names for the rows of one check; what is new is added to what is known."""
    if all(row[0] in known and _alike(row, known[row[0]]) for row in rows):
        return {}
    pairs = _pairs(rows, list(known.values()))
    for label, _, shape in rows:
        if label not in pairs and label in known and shape != known[label][2]:
            pairs[label] = f"{label} {shape}"  # another one of the same name
    for row in rows:
        known.setdefault(pairs.get(row[0], row[0]), row)
    return {old: new for old, new in pairs.items() if old != new}


def _pairs(rows: list[_Row], known: list[_Row]) -> dict[str, str]:
    if len(rows) == len(known):  # all of it, built again
        together = list(zip(rows, known, strict=True))
        if all(_alike(row, other) for row, other in together):
            return {row[0]: other[0] for row, other in together}
    by_label = {row[0]: row for row in known}
    pairs = {
        row[0]: row[0]
        for row in rows
        if row[0] in by_label and _alike(row, by_label[row[0]])
    }
    free = [row for row in known if row[0] not in pairs]
    for row in rows:
        if row[0] in pairs:
            continue
        match = next((other for other in free if _alike(row, other)), None)
        if match is not None:
            free.remove(match)
            pairs[row[0]] = match[0]
    return pairs


def _row(variable: VariableDigest) -> _Row:
    parts = [*variable.path.split("/"), variable.target]
    return (
        variable.label,
        tuple(re.sub(r"_\d+$", "", part) for part in parts),
        variable.shape,
    )


def _alike(one: _Row, other: _Row) -> bool:
    """Whether the paths end alike and the shapes, where both are known, are equal."""
    short, long = sorted((one[1], other[1]), key=len)
    ends = long[len(long) - len(short) :] == short
    return ends and (one[2] == other[2] or None in (one[2], other[2]))
