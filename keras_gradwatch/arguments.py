"""The arguments that all checks share, looked at before anything runs."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import NoReturn

from keras_gradwatch.errors import InvalidArgumentError

DROPOUT = ("bypass", "freeze")
ON_FAILURE = ("warn", "stop", "raise")


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


def assert_manners(
    on_failure: object, verbose: object, loudest: int = 2, more: tuple[str, ...] = ()
) -> None:
    """Raises the error for what no callback can do where something is found.

    Args:
        on_failure: One of `ON_FAILURE`, or of `more`.
        verbose: From 0 on.
        loudest: The largest `verbose` there is, 1 or 2.
        more: What one callback can do besides.
    """
    known = (*ON_FAILURE, *more)
    if on_failure not in known:
        refuse("on_failure", f"one of {known}", on_failure)
    if not is_count(verbose) or verbose not in range(loudest + 1):
        refuse("verbose", "0 or 1" if loudest == 1 else "0, 1 or 2", verbose)


def is_number(value: object) -> bool:
    """Whether a value is a finite real number, and not a truth value."""
    return (
        isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    )
