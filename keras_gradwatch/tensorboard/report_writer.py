"""Writing reports to TensorBoard."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar

from keras_gradwatch.findings.digest import digest, margin
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.text import plain
from keras_gradwatch.findings.verdicts import FAIL, VERDICTS
from keras_gradwatch.tensorboard.events import (
    BLOBS,
    TENSORS,
    Events,
    metadata,
    write_scalar,
)
from keras_gradwatch.tensorboard.records import pack
from keras_gradwatch.tensorboard.tags import (
    ALL,
    DIGEST_TAG,
    FEW,
    GROUP,
    HISTORY_TAG,
    PLUGIN,
    REPORT_TAG,
    TRAINING_GROUP,
    VARIABLE_GROUP,
)

# Checks in the Markdown grid; the scalars and the reports hold all of them.
_COLUMNS = 12
# Smaller errors are drawn as this: float64 can't tell them from zero.
_SMALLEST = 1e-16
_MARGIN_TAG = f"{GROUP}/log10_margin"
# Characters of a name: whole but for names that would fill the page.
_NAME_ROOM = 200


class ReportWriter:
    """Writes each report as scalars, as a Markdown grid, in short, and whole.

    Args:
        log_dir: TensorBoard's directory. Events go to its run `gradwatch`.
        scalars: `"few"`, or `"all"` for those of each variable, too.
    """

    def __init__(self, log_dir: str | os.PathLike[str], scalars: str = FEW):
        self._scalars = scalars
        self._events = Events(log_dir, "checks")
        self._recent: list[GradientReport] = []
        self._failed_checks = 0

    def assert_writable(self) -> None:
        """Raises `InvalidArgumentError` if nothing can be written there."""
        self._events.assert_writable()

    def write(self, report: GradientReport, epoch: int | None = None) -> None:
        """Writes one report; it is on disk when this returns.

        Args:
            report: The `GradientReport`.
            epoch: The epoch that it was made in, None if that is not known.
        """
        if self._events.open():
            self._write_layout()
        self._recent = [report, *self._recent][:_COLUMNS]
        self._failed_checks += report.verdict == FAIL
        with self._events.at(report.step) as fresh:
            self._write_few(report)
            if self._scalars == ALL:
                _write_all(report)
            tf.summary.text(HISTORY_TAG, history(self._recent))
            _write_for_the_tab(report, epoch, fresh)

    def close(self) -> None:
        """Closes the event file; a later report opens another."""
        self._events.close()

    def _write_layout(self) -> None:
        with self._events.at(0):
            tf.summary.write(
                custom_scalar.CONFIG_SUMMARY_TAG,
                _layout().SerializeToString(),
                metadata=metadata(custom_scalar.PLUGIN_NAME, TENSORS),
            )

    def _write_few(self, report: GradientReport) -> None:
        write_scalar(f"{GROUP}/failed_checks_so_far", self._failed_checks)
        write_scalar(f"{GROUP}/variables_{FAIL}", report.count(FAIL))
        if (found := margin(report)) is not None:
            write_scalar(
                _MARGIN_TAG,
                found,
                description="log10(relative error / tolerance); above 0 is FAIL",
            )


def _write_all(report: GradientReport) -> None:
    for verdict in VERDICTS:
        if verdict != FAIL:  # which is among the few
            write_scalar(f"{GROUP}/variables_{verdict}", report.count(verdict))
    worst = report.worst_relative_error
    if worst is not None:
        write_scalar(f"{GROUP}/worst_relative_error", worst)
    for variable in report.variables:
        for group, error, what in (
            (VARIABLE_GROUP, variable.relative_error, "relative error"),
            (TRAINING_GROUP, variable.training_error, "error in training"),
        ):
            if error is not None:
                # As a logarithm: one large value must not flatten all others.
                write_scalar(
                    f"{group}/{variable.label}",
                    _log10(error),
                    description=f"log10 of the {what}; -16 if smaller",
                )


def _write_for_the_tab(
    report: GradientReport, epoch: int | None, fresh: Callable[[str], str]
) -> None:
    """In short and whole."""
    short = pack(dataclasses.replace(digest(report), epoch=epoch))
    whole = pack(report)
    tf.summary.write(fresh(DIGEST_TAG), short, metadata=metadata(PLUGIN, TENSORS))
    tf.summary.write(fresh(REPORT_TAG), [whole], metadata=metadata(PLUGIN, BLOBS))


def history(reports: Sequence[GradientReport]) -> str:
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


def _cell(verdict: str) -> str:
    return f"**{verdict}**" if verdict == FAIL else verdict


def _row(first: str, rest: Iterable[str]) -> str:
    return f"| {' | '.join([first, *rest])} |"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is."""
    special = r"\`*_{}[]()#+!|~&<>"
    return "".join(f"&#{ord(c)};" if c in special else c for c in plain(text))


def _log10(value: float) -> float:
    return math.log10(min(1.0, max(_SMALLEST, value)))


def _layout() -> Any:
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
