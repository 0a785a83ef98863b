"""Handing on what was found: to logging, to a function of the user's own, to logs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from keras_gradwatch.arguments import refuse
from keras_gradwatch.callbacks.pointing import warn
from keras_gradwatch.errors import GradwatchWarning
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.tensorboard.alert_writer import AlertWriter

logger = logging.getLogger("keras_gradwatch")


class Telling:
    """Tells each finding to those who asked for it.

    Args:
        on_finding: Called with each finding, as data; None if nobody is to be called.
        log_metrics: Whether figures go into the logs of an epoch.

    Raises:
        InvalidArgumentError: If one is wrong.
    """

    def __init__(self, on_finding: Callable[[Any], object] | None, log_metrics: bool):
        if on_finding is not None and not callable(on_finding):
            refuse("on_finding", "a function of a finding, or None", on_finding)
        if not isinstance(log_metrics, bool):
            refuse("log_metrics", "True or False", log_metrics)
        self.on_finding = on_finding
        self._log_metrics = log_metrics
        self._has_failed = False

    def log(self, logs: Any, **figures: float | None) -> None:
        """Adds figures to the logs of an epoch, if that is wanted.

        Callbacks that come later see them, and so does `History`, which comes last.
        What is not known yet is NaN: the first epoch has all columns of `CSVLogger`.

        Args:
            logs: What `on_epoch_end` is handed.
            **figures: By their names; None for what is not known.
        """
        if self._log_metrics and isinstance(logs, dict):
            for name, value in figures.items():
                logs[name] = math.nan if value is None else value

    def tell(self, finding: Any, line: str, is_wrong: bool = True) -> None:
        """Hands a finding on. What goes wrong in the user's function is warned of once.

        Args:
            finding: A report, an alert or a `NonFinite`.
            line: The same in a line.
            is_wrong: Whether somebody should look at it.
        """
        logger.log(logging.WARNING if is_wrong else logging.INFO, "%s", line)
        self.hand_on(finding)

    def hand_on(self, finding: Any) -> None:
        """Hands a finding to the user's function alone.

        Args:
            finding: As of `tell`.
        """
        if self.on_finding is None:
            return
        try:
            self.on_finding(finding)
        except Exception as error:  # of the user's own: training goes on
            logger.debug("`on_finding` failed.", exc_info=True)
            if not self._has_failed:
                self._has_failed = True
                warn(
                    "`on_finding` failed; training goes on, and further findings are "
                    f"still handed to it. {type(error).__name__}: {error}",
                    GradwatchWarning,
                )


def write(alert: Alert, writer: AlertWriter | None) -> None:
    """Writes an alert for TensorBoard. If that fails it is warned of.

    Args:
        alert: The `Alert`.
        writer: What writes it, None if nothing is to be written.
    """
    if writer is None:
        return
    try:
        writer.write(alert)
    except Exception as error:  # a full disk: training goes on
        logger.debug("An alert could not be written.", exc_info=True)
        warn(
            f"An alert could not be written at step {alert.step}; what was found is "
            f"told here alone. {type(error).__name__}: {error}",
            GradwatchWarning,
        )
