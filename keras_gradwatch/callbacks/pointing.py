"""Warnings that point to the user's own line: the one that called `fit`."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import keras
import tensorflow as tf

logger = logging.getLogger("keras_gradwatch")

# Code that stands between the user and a callback: Keras, TensorFlow, this package.
_LIBRARIES = tuple(
    os.path.join(os.path.dirname(path), "")
    for path in (keras.__file__, tf.__file__, os.path.dirname(__file__))
)


def warn(message: str, category: type[Warning]) -> None:
    """Issues a warning at the innermost line that is neither ours nor a library's.

    Args:
        message: The text.
        category: The class of the warning.

    Raises:
        Warning: If the user made errors of such warnings.
    """
    level, frame = 1, sys._getframe(0)
    while frame.f_back and frame.f_code.co_filename.startswith(_LIBRARIES):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except (OSError, ValueError):  # a console that is closed, or lacks a character
        logger.debug("A warning could not be shown: %s", message, exc_info=True)
