"""Writing reports to TensorBoard."""

from __future__ import annotations

import math
import os
import time

import numpy as np
import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar

from keras_gradwatch.digest import digest, margin
from keras_gradwatch.report import FAIL, VERDICTS, GradientReport
from keras_gradwatch.tensorboard import (
    DIGEST_TAG,
    PLUGIN,
    REPORT_TAG,
    RUN,
    SUMMARY_GROUP,
    TRAINING_GROUP,
    VARIABLE_GROUP,
)
from keras_gradwatch.tensorboard.records import pack
from keras_gradwatch.text import plain

# Checks in the Markdown grid; the scalars and the reports hold all of them.
_COLUMNS = 12
_SMALLEST = 1e-16
_MARGIN_TAG = f"{SUMMARY_GROUP}/log10_margin"
# TensorBoard's classes of data: it loads the first whole, the other on demand.
_TENSOR, _BLOBS = 2, 3
_NAME_ROOM = 200


class ReportWriter:
    """Writes each report as scalars, as a Markdown grid, in short, and whole.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
    """

    def __init__(self, log_dir):
        self.directory = os.path.join(os.fspath(log_dir), RUN)
        self._writer = None
        self._opened = ""
        self._recent: list[GradientReport] = []
        self._failed_checks = 0

    def __getstate__(self):
        return {**self.__dict__, "_writer": None}  # a copy opens a file of its own

    def write(self, report: GradientReport) -> None:
        """Writes one report; it is on disk when this returns."""
        if self._writer is None:
            self._open()
        self._recent = [report, *self._recent][:_COLUMNS]
        self._failed_checks += report.verdict == FAIL
        # Keras' TensorBoard callback may have turned recording off for this step.
        step = tf.constant(np.int64(report.step))
        with self._writer.as_default(step=step), tf.summary.record_if(True):
            self._write_scalars(report)
            tf.summary.text(f"{SUMMARY_GROUP}/history", history(self._recent))
            self._write_for_the_tab(report)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file; a later report opens another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self):
        self._writer = tf.summary.create_file_writer(self.directory)
        # TensorBoard forgets what has the same tag and a later step. Training
        # again into the same directory must not take the history away.
        self._opened = str(time.time_ns())
        with self._writer.as_default(step=0), tf.summary.record_if(True):
            tf.summary.write(
                custom_scalar.CONFIG_SUMMARY_TAG,
                _layout().SerializeToString(),
                metadata=_metadata(custom_scalar.PLUGIN_NAME, _TENSOR),
            )

    def _write_for_the_tab(self, report):
        tf.summary.write(
            f"{DIGEST_TAG}/{self._opened}",
            pack(digest(report)),
            metadata=_metadata(PLUGIN, _TENSOR),
        )
        tf.summary.write(
            f"{REPORT_TAG}/{self._opened}",
            [pack(report)],
            metadata=_metadata(PLUGIN, _BLOBS),
        )

    def _write_scalars(self, report):
        _scalar(f"{SUMMARY_GROUP}/failed_checks_so_far", self._failed_checks)
        for verdict in VERDICTS:
            name = f"{SUMMARY_GROUP}/variables_{verdict}"
            _scalar(name, report.count(verdict))
        if (found := margin(report)) is not None:
            _scalar(
                _MARGIN_TAG,
                found,
                description="log10(relative error / tolerance); above 0 is FAIL",
            )
        worst = report.worst_relative_error
        if worst is not None:
            _scalar(f"{SUMMARY_GROUP}/worst_relative_error", worst)
            _scalar(f"{SUMMARY_GROUP}/log10_worst_relative_error", _log10(worst))
        for variable in report.variables:
            for group, error, what in (
                (VARIABLE_GROUP, variable.relative_error, "relative error"),
                (TRAINING_GROUP, variable.training_error, "error in training"),
            ):
                if error is not None:
                    # As a logarithm: one large value must not flatten all others.
                    _scalar(
                        f"{group}/{variable.label}",
                        _log10(error),
                        description=f"log10 of the {what}; -16 if smaller",
                    )


def _scalar(name, value, **options):
    # As an array: TensorFlow keeps a tensor for each Python number that it ever saw.
    tf.summary.scalar(name, np.asarray(value, np.float32), **options)


def history(reports) -> str:
    """The newest finding, and a grid of verdicts: variables by checks.

    Args:
        reports: A few `GradientReport`s, newest first.

    Returns:
        Markdown, with the verdicts in letters.
    """
    paths = list(dict.fromkeys(v.label for r in reports for v in r.variables))
    lines = [
        _row("variable", [f"step {r.step}" for r in reports]),
        _row("---", ["---"] * len(reports)),
        _row("**all**", [f"**{r.verdict}**" for r in reports]),
    ]
    verdicts = [{v.label: v.verdict for v in r.variables} for r in reports]
    for path in paths:
        cells = [_cell(v.get(path, "-")) for v in verdicts]
        lines.append(_row(_escape(plain(path, _NAME_ROOM)), cells))
    newest = reports[0]
    above = [f"**{_escape(newest.headline)}**", *map(_escape, newest.notes)]
    below = [
        f"- {_escape(plain(v.label, _NAME_ROOM))}: {_escape(v.reason)}"
        for v in newest.failures
    ]
    return "\n\n".join([*above, "\n".join(lines), "\n".join(below)])


def _cell(verdict):
    return f"**{verdict}**" if verdict == FAIL else verdict


def _row(first, rest):
    return f"| {' | '.join([first, *rest])} |"


def _escape(text):
    """Text that Markdown shows as it is."""
    special = r"\`*_{}[]()#+!|~&<>"
    return "".join(f"&#{ord(c)};" if c in special else c for c in plain(text))


def _log10(value):
    return math.log10(min(1.0, max(_SMALLEST, value)))


def _layout():
    """Under Custom Scalars: one chart that is above zero where a check fails."""
    # This kind of chart, for values with bounds, is the one that is not smoothed: a
    # failure must not look like a pass because of those before it.
    series = layout_pb2.MarginChartContent.Series(
        value=_MARGIN_TAG, lower=_MARGIN_TAG, upper=_MARGIN_TAG
    )
    chart = layout_pb2.Chart(
        title="FAIL above 0: log10(relative error / tolerance) of the worst variable",
        margin=layout_pb2.MarginChartContent(series=[series]),
    )
    category = layout_pb2.Category(title="Gradient check", chart=[chart])
    return layout_pb2.Layout(category=[category])


def _metadata(plugin, data_class):
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = plugin
    # TensorBoard shows nothing of any other class.
    metadata.data_class = data_class
    return metadata
