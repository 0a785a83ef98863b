"""The arguments that all checks share, looked at before anything runs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from keras_gradwatch.arguments import DROPOUT, is_count, is_number, refuse
from keras_gradwatch.errors import InvalidArgumentError


@dataclass(frozen=True)
class Settings:
    """How to check; the arguments of `check_gradients` say what each means.

    Raises:
        InvalidArgumentError: If an argument is wrong.
    """

    samples: int = 5
    directions: int = 2
    tolerance: float = 1e-3
    dropout: str = "bypass"
    expected: Sequence[str] = ()
    time_budget: float | None = None
    seed: int = 0

    def __post_init__(self):
        for name in ("samples", "directions", "seed"):
            if not is_count(getattr(self, name)):
                refuse(name, "an integer, 0 or more", getattr(self, name))
        if not self.samples and not self.directions:
            raise InvalidArgumentError(
                "Nothing would be compared: at least one of `samples` and "
                "`directions` must be 1 or more. Received: samples=0, directions=0"
            )
        if not is_number(self.tolerance) or not 0 < self.tolerance <= 0.1:
            refuse("tolerance", "a number above 0, 0.1 at most", self.tolerance)
        if self.dropout not in DROPOUT:
            refuse("dropout", f"one of {DROPOUT}", self.dropout)
        if not isinstance(self.expected, tuple | list) or not all(
            isinstance(pattern, str) for pattern in self.expected
        ):
            refuse("expected", "a tuple or list of path patterns", self.expected)
        object.__setattr__(self, "expected", tuple(self.expected))
        # As plain numbers, whatever NumPy type they came in.
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "tolerance", float(self.tolerance))
        if self.time_budget is not None and (
            not is_number(self.time_budget) or self.time_budget <= 0
        ):
            refuse("time_budget", "seconds above 0, or None", self.time_budget)


def is_declared(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern of `expected` is one of this path.

    Args:
        path: Path of a variable.
        patterns: The patterns.
    """
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)
