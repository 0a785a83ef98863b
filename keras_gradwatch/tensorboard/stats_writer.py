"""Writing readings of the gradients to TensorBoard."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf
from tensorboard.plugins.histogram import metadata as histograms

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.moment import Moment
from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.tensorboard.alert_writer import AlertWriter
from keras_gradwatch.tensorboard.events import TENSORS, Events, metadata, write_scalar
from keras_gradwatch.tensorboard.records import pack
from keras_gradwatch.tensorboard.tags import (
    ALL,
    FEW,
    GROUP,
    HISTOGRAM_GROUP,
    LAYER_GROUPS,
    MOMENT_TAG,
    PLUGIN,
    STATS_GROUPS,
)


class StatsWriter:
    """Writes each reading as scalars and histograms, and alerts for the tab.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
        scalars: `"few"`, or `"all"` for those of each variable, too.
    """

    def __init__(self, log_dir: str | os.PathLike[str], scalars: str = FEW):
        self._scalars = scalars
        self._events = Events(log_dir, "readings")
        self._alerts = AlertWriter(log_dir)

    def assert_writable(self) -> None:
        """Raises `InvalidArgumentError` if nothing can be written there."""
        self._events.assert_writable()

    def write(
        self,
        reading: GradientReading,
        alerts: list[Alert],
        epoch: int | None = None,
    ) -> None:
        """Writes one reading; it is on disk when this returns.

        Args:
            reading: The `GradientReading`.
            alerts: The alerts that it gave.
            epoch: The epoch that it was made in, None if that is not known.
        """
        with self._events.at(reading.step) as fresh:
            figures = reading.loss, reading.global_norm
            moment = pack(Moment(reading.step, epoch, *figures))
            tf.summary.write(
                fresh(MOMENT_TAG), moment, metadata=metadata(PLUGIN, TENSORS)
            )
            _write(f"{GROUP}/global_norm", reading.global_norm)
            _write(f"{GROUP}/update_ratio", reading.update_ratio)
            # New only where the part of the batch was read.
            if reading.part is not None and reading.noise_scale is not None:
                _write(f"{GROUP}/noise_scale", reading.noise_scale.value)
                _write(f"{GROUP}/noise_scale_error", reading.noise_scale.error)
            if self._scalars == ALL:
                for layer in reading.layers:
                    for name, group in LAYER_GROUPS.items():
                        _write(f"{group}/{layer.layer}", getattr(layer, name))
            for variable in reading.variables:
                for name, group in STATS_GROUPS.items():
                    if self._scalars == ALL:
                        _write(f"{group}/{variable.label}", getattr(variable, name))
                if variable.histogram is not None:
                    name = f"{HISTOGRAM_GROUP}/{variable.label}"
                    _write_histogram(name, *variable.histogram)
        for alert in alerts:
            self._alerts.write(alert)

    def close(self) -> None:
        """Closes the event file, once nobody else writes to it."""
        self._events.close()
        self._alerts.close()


def _write(name: str, value: float | None) -> None:
    if value is not None:
        write_scalar(name, value)


def _write_histogram(name: str, edges: np.ndarray, counts: np.ndarray) -> None:
    tf.summary.write(
        name,
        np.stack([edges[:-1], edges[1:], counts], axis=1),
        metadata=histograms.create_summary_metadata(name, ""),
    )
