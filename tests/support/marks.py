"""What belongs to the long part of the tests, which `.ci/run` adds."""

import pytest


def first(values, count=1, other=pytest.mark.long):
    """The values as parameters of a test, all but the first few marked `long`."""
    values = list(values)
    return [*values[:count], *(pytest.param(v, marks=other) for v in values[count:])]


def some(values, every, start=0, other=pytest.mark.long):
    """The values as parameters of a test, all but each so-many-th marked `long`."""
    return [
        value if k % every == start else pytest.param(value, marks=other)
        for k, value in enumerate(values)
    ]


def named(programs, quick):
    """Programs as parameters by their names, all but the quick ones marked `long`."""
    return [
        pytest.param(
            program,
            id=program.__name__,
            marks=[] if program in quick else [pytest.mark.long],
        )
        for program in programs
    ]


def pairs(rows, columns):
    """All pairs, as parameters of a test; marked `long` but for each value once."""
    rows, columns = list(rows), list(columns)
    most = max(len(rows), len(columns))
    quick = {(k % len(rows), k % len(columns)) for k in range(most)}
    return [
        pytest.param(
            row,
            column,
            marks=[] if (i, j) in quick else [pytest.mark.long],
            id=f"{_name(row)}-{_name(column)}",
        )
        for i, row in enumerate(rows)
        for j, column in enumerate(columns)
    ]


def _name(value):
    return getattr(value, "__name__", str(value))
