"""Running the model's own code, which may fail, and reading what it gives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.text import plain

logger = logging.getLogger("keras_gradwatch")
# Characters of an error: the rest is a trace.
_ROOM = 240
# How lines of an error of TensorFlow's begin that say where, not what.
_WAY = ("File ", "Detected at node", "Graph execution error", "[[", "node:", "<stack")


def attempt(run: Callable[[], Any]) -> tuple[Any, str]:
    """What a function returns, or why it fails: the model's own code may."""
    try:
        return run(), ""
    except Exception as error:
        logger.debug("A question about a set-up has no answer.", exc_info=True)
        return None, told(error)


def told(error: Exception) -> str:
    """An error in one line, without the way to it that TensorFlow's tell."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, tf.errors.OpError):
        own = [line for line in lines if not line.startswith(_WAY)]
        # Beside each frame stands the line of the code.
        at = max((k for k, x in enumerate(lines) if x.startswith("File ")), default=-1)
        lines = [line for line in own if lines.index(line) > at] or own[-1:]
    text = plain(f"{type(error).__name__}: {' '.join(lines[:3])}")
    return text if len(text) <= _ROOM else f"{text[: _ROOM - 1].rstrip()}\u2026"


def arr(tensor: Any) -> np.ndarray:
    """A tensor as numbers; floats in float64."""
    if isinstance(tensor, tf.RaggedTensor):
        tensor = tensor.flat_values
    if tensor.dtype.is_floating:
        tensor = tf.cast(tensor, tf.float64)
    return np.asarray(tensor)


def named_leaves(structure: Any, name: str) -> list[tuple[str, Any]]:
    """The tensors of nested data, with the names that a user would write.

    Args:
        structure: Nested tensors.
        name: Of the whole.
    """
    if isinstance(structure, dict):
        items = [(f"{name}[{key!r}]", v) for key, v in structure.items()]
    elif isinstance(structure, list | tuple):
        items = [(f"{name}[{k}]", v) for k, v in enumerate(structure)]
    else:
        return [] if structure is None else [(name, structure)]
    return [leaf for n, v in items for leaf in named_leaves(v, n)]
