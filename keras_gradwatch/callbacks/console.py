"""What the callbacks print: a console that is gone is no reason to end a training."""

from __future__ import annotations

import logging
import sys

import keras

logger = logging.getLogger("keras_gradwatch")


def say(text: object) -> bool:
    """Prints a line, if there is anybody to read it; whether it was printed.

    Args:
        text: The line, or a few; what the console has no characters for is spelled out.
    """
    try:
        print(_fit_for(getattr(sys.stdout, "encoding", None), str(text)))
    except Exception:  # a pipe that closed, a full disk, a stream of the user's own
        logger.debug("The console could not be written to.", exc_info=True)
        return False
    return sys.stdout is not None


def line_break(callback: keras.callbacks.Callback, batch: int) -> str:
    """What ends the line that the console is on, if one is open there.

    Args:
        callback: A callback of the training.
        batch: The batch of the epoch that is trained on.
    """
    # The bar of Keras begins with the first batch, and stays on its line.
    shows_bar = (callback.params or {}).get("verbose") == 1
    return "\n" if shows_bar and batch else ""


def _fit_for(encoding: str | None, text: str) -> str:
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
