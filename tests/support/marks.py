"""What belongs to the long part of the tests, which `.ci/run` adds."""

import pytest


def first(values, count=1):
    """The values as parameters of a test, all but the first few marked `long`."""
    values = list(values)
    long = [pytest.param(value, marks=pytest.mark.long) for value in values[count:]]
    return [*values[:count], *long]
