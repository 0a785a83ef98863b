"""Getting reports and alerts back from TensorBoard's event files."""

from __future__ import annotations

import logging
import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2

from keras_gradwatch.arguments import refuse
from keras_gradwatch.errors import GradwatchWarning
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.tensorboard.records import (
    DAMAGE,
    read_records,
    unpack_alert,
    unpack_report,
)
from keras_gradwatch.tensorboard.tags import ALERT_TAG, REPORT_TAG, RUN

logger = logging.getLogger("keras_gradwatch")


def read_reports(log_dir: str | os.PathLike[str]) -> list[GradientReport]:
    """Reads every report that `GradientCheck` wrote below a directory.

    Example:

    ```python
    for report in kgw.read_reports("logs"):
        print(report.step, report.verdict)
    ```

    Args:
        log_dir: The `log_dir` of the callback, or a directory above it.

    Returns:
        A list of `GradientReport`, run by run, in the order of writing. What
        was cut off by a crash is left out; where something else can't be read, a
        `GradwatchWarning` says so.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    runs = read_runs(log_dir)
    damaged = sum(run.damaged for run in runs)
    if damaged:
        warnings.warn(
            f"{damaged} damaged event(s) below {str(log_dir)!r} can't be read and are "
            "left out.",
            GradwatchWarning,
            stacklevel=2,
        )
    return [report for run in runs for report in run.reports]


def read_alerts(log_dir: str | os.PathLike[str]) -> list[Alert]:
    """Reads every alert that the callbacks wrote below a directory.

    Args:
        log_dir: The `log_dir` of the callback, or a directory above it.

    Returns:
        A list of `Alert`, run by run, in the order of writing.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    return [alert for run in read_runs(log_dir) for alert in run.alerts]


@dataclass
class Run:
    """What the callbacks wrote into one directory.

    Args:
        name: Path of the directory, relative to the one that was asked for.
        reports: The reports in the order of writing.
        alerts: The alerts in the order of writing.
        damaged: How many events could not be read.
    """

    name: str
    reports: list[GradientReport] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    damaged: int = 0


def read_runs(log_dir: str | os.PathLike[str]) -> list[Run]:
    """Reads the reports below a directory, each run of its own.

    Args:
        log_dir: The `log_dir` of the callback, or a directory above it.

    Returns:
        A list of `Run`, by name.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    root = Path(os.fspath(log_dir))
    if not root.is_dir():
        refuse("log_dir", "a directory", str(log_dir))
    files = [
        path
        for path in root.rglob("*tfevents*")
        if path.is_file() and path.parent.name == RUN
    ]
    files.sort(key=_when_opened)
    runs: dict[str, Run] = {}
    for path in files:
        name = str(path.parent.relative_to(root))
        _read(path, runs.setdefault(name, Run(name)))
    return list(runs.values())


def _read(path: Path, run: Run) -> None:
    for record in read_records(path):
        try:
            values = event_pb2.Event.FromString(record).summary.value
        except DecodeError:
            logger.debug("An event in %s can't be read.", path, exc_info=True)
            run.damaged += 1
            continue
        for value in values:
            kind = value.tag.rpartition("/")[0]
            try:
                # The first reports were written without the time in their tag.
                if REPORT_TAG in (kind, value.tag):
                    run.reports.append(unpack_report(value.tensor.string_val[0]))
                elif kind == ALERT_TAG:
                    run.alerts.append(unpack_alert(value.tensor.string_val[0]))
            except (*DAMAGE, IndexError):
                logger.debug("A value in %s can't be read.", path, exc_info=True)
                run.damaged += 1


def _when_opened(path: Path) -> tuple[str, list[int]]:
    """The directory, and the numbers in a file's name: seconds, process, count."""
    return str(path.parent), [int(n) for n in re.findall(r"\d+", path.name)]
