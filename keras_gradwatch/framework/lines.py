"""The line of the user's code that an operation of a graph comes from."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def _folder(path):
    return os.path.join(os.path.dirname(os.path.abspath(path)), "")


# Frames of this package end what the model's own code has called: what lies further out
# asked for the check.
_OWN = _folder(os.path.dirname(__file__))
_LIBRARIES = (
    *(_folder(module.__file__) for module in (keras, tf, np)),
    os.path.join(sysconfig.get_path("stdlib"), ""),
)
_INSTALLED = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("purelib", "platlib")}
)
# Files that are none: what people type.
_TYPED = ("<ipython-input", "<stdin>")
_CUSTOM = os.path.join("tensorflow", "python", "ops", "custom_gradient.py")


def line_of(operation: Any) -> tuple[str, int, str] | None:
    """The innermost line of an operation that is no library's.

    Args:
        operation: A `tf.Operation`.

    Returns:
        File, number of the line, and name of the function; None if there is none.
    """
    return next(_lines(_frames(operation)), None)


def line_of_backward(operations: Sequence[Any]) -> tuple[str, int, str] | None:
    """The line of a hand-written backward pass that made some operations.

    Of several, it is the last one in the innermost function that made them all: what
    helpers make is told by the line that calls them.

    Args:
        operations: What was made when a `tf.custom_gradient` was asked for a gradient.
    """
    calls = [frames for op in operations if (frames := _inside(_frames(op)))]
    if not calls:
        return None
    common: list[Any] = []
    for row in zip(*calls, strict=False):
        if len({(f.filename, f.name) for f in row}) > 1:
            break
        common.append(row[-1])
        if len({f.lineno for f in row}) > 1:
            break
    return next(_lines(common), None)


def decorated_by(operation: Any, call: Any) -> tuple[str, int, str] | None:
    """The line in a function with a `tf.custom_gradient` that an operation comes from.

    Args:
        operation: What the function may have made.
        call: The operation that stands for the call of the function.
    """
    outside = _frames(call)
    depth = max(
        (k for k, f in enumerate(outside) if f.filename.endswith(_CUSTOM)), default=None
    )
    frames = _frames(operation)
    if depth is None or len(frames) <= depth + 1:
        return None
    same = all(
        (a.filename, a.name) == (b.filename, b.name)
        for a, b in zip(frames[: depth + 1], outside, strict=False)
    )
    # All but the last is to the line the same call.
    same = same and [f.lineno for f in frames[:depth]] == [
        f.lineno for f in outside[:depth]
    ]
    own = frames[depth + 1]
    return _told(own) if same and not _is_library(own) else None


def _frames(operation):
    return list(operation.traceback or ())


def _inside(frames):
    """What was called, from the last call of a hand-written backward pass on."""
    custom = [k for k, f in enumerate(frames) if f.filename.endswith(_CUSTOM)]
    return frames[custom[-1] :] if custom else []


def _lines(frames) -> Iterator[tuple[str, int, str]]:
    for frame in reversed(frames):
        if frame.filename.startswith(_OWN):
            return
        if not _is_library(frame):
            yield _told(frame)


def _told(frame):
    return frame.filename, frame.lineno, frame.name


def _is_library(frame):
    name = frame.filename
    if name.startswith("<") and not name.startswith(_TYPED):
        return True
    if "__autograph_generated_file" in name:
        return True
    if name.startswith(_LIBRARIES[:-1]):
        return True
    return name.startswith(_LIBRARIES[-1]) and not name.startswith(_INSTALLED)
