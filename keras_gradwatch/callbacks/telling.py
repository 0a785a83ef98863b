"""Handing findings on: to Python's logging, and to a function of the user's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from keras_gradwatch.arguments import refuse
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.errors import GradwatchWarning

logger = logging.getLogger("keras_gradwatch")


class Telling:
    """Tells each finding to those who asked for it.

    Args:
        on_finding: Called with each finding, as data; None if nobody is to be called.

    Raises:
        InvalidArgumentError: If it can't be called.
    """

    def __init__(self, on_finding: Callable[[Any], object] | None):
        if on_finding is not None and not callable(on_finding):
            refuse("on_finding", "a function of a finding, or None", on_finding)
        self._on_finding = on_finding
        self._has_failed = False

    def tell(self, finding: Any, line: str, is_wrong: bool = True) -> None:
        """Hands a finding on. What goes wrong in the user's function is warned of once.

        Args:
            finding: A report, an alert or a `NonFinite`.
            line: The same in a line.
            is_wrong: Whether somebody should look at it.
        """
        logger.log(logging.WARNING if is_wrong else logging.INFO, "%s", line)
        if self._on_finding is None:
            return
        try:
            self._on_finding(finding)
        except Exception as error:  # of the user's own: training goes on
            logger.debug("`on_finding` failed.", exc_info=True)
            if not self._has_failed:
                self._has_failed = True
                warn(
                    "`on_finding` failed; training goes on, and further findings are "
                    f"still handed to it. {type(error).__name__}: {error}",
                    GradwatchWarning,
                )
