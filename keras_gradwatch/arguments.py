"""The arguments that all checks share, looked at before anything runs."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import NoReturn

from keras_gradwatch.errors import InvalidArgumentError

DROPOUT = ("bypass", "freeze")


def refuse(name: str, expected: str, received: object) -> NoReturn:
    """Raises the error for an argument that is not what was expected."""
    raise InvalidArgumentError(
        f"Argument `{name}` must be {expected}. Received: {name}={received!r}"
    )


def is_count(value: object) -> bool:
    """Whether a value is an integer, 0 or more, and not a truth value."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        return False
    return int(value) >= 0


def is_number(value: object) -> bool:
    """Whether a value is a finite real number, and not a truth value."""
    return (
        isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    )
