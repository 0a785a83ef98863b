"""A place in a model, and in the code, to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from keras_gradwatch.findings.pattern import Pattern

# The kind of a place that is a loss, and of one that is in no layer.
LOSS, CODE = "loss", ""


@dataclass(frozen=True)
class Line:
    """A line of somebody's code.

    Args:
        file: Path of the file.
        number: Number of the line.
        function: Name of the function that it stands in.
    """

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        where = f"{PurePath(self.file).name}:{self.number}"
        if self.function in ("", "<module>"):
            return where
        return f"{where}, in {self.function}"


@dataclass(frozen=True)
class Place:
    """A layer, or an operation in it.

    Args:
        name: Name of the layer, with those of the layers around it; of a loss, if it
            stands in one; or empty.
        kind: Name of its class, or one of the constants of this module.
        line: The line of the user's code that the operation comes from, if known.
        operation: The function whose backward pass is hand-written, or the type of
            the operation; empty if it is the layer as a whole.
        pattern: What the mistake looks like, if that is known.
    """

    name: str
    kind: str
    line: Line | None = None
    operation: str = ""
    pattern: Pattern | None = None
