"""What the callbacks print: a console that is gone is no reason to end a training."""

from __future__ import annotations

import logging
import sys

logger = logging.getLogger("keras_gradwatch")


def say(text: object) -> None:
    """Prints a line, if there is anybody to read it.

    Args:
        text: The line, or a few; what the console has no characters for is spelled out.
    """
    try:
        print(_fit_for(getattr(sys.stdout, "encoding", None), str(text)))
    except Exception:  # a pipe that closed, a full disk, a stream of the user's own
        logger.debug("The console could not be written to.", exc_info=True)


def _fit_for(encoding: str | None, text: str) -> str:
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
