"""Writing alerts to TensorBoard."""

from __future__ import annotations

import os

import tensorflow as tf

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.tensorboard.events import TENSORS, Events, metadata
from keras_gradwatch.tensorboard.records import pack
from keras_gradwatch.tensorboard.tags import ALERT_TAG, PLUGIN


class AlertWriter:
    """Writes alerts for the tab.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
    """

    def __init__(self, log_dir: str | os.PathLike[str]):
        self._events = Events(log_dir)

    def assert_writable(self) -> None:
        """Raises `InvalidArgumentError` if nothing can be written there."""
        self._events.assert_writable()

    def write(self, alert: Alert) -> None:
        """Writes one alert; it is on disk when this returns.

        Args:
            alert: The `Alert`.
        """
        with self._events.at(alert.step) as fresh:
            tf.summary.write(
                fresh(ALERT_TAG), pack(alert), metadata=metadata(PLUGIN, TENSORS)
            )

    def close(self) -> None:
        """Closes the event file, once nobody else writes to it."""
        self._events.close()
