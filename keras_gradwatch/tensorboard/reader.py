"""Getting reports back from TensorBoard's event files."""

from __future__ import annotations

import os
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import (
    RawEventFileLoader,
)
from tensorboard.compat.proto import event_pb2

from keras_gradwatch.arguments import refuse
from keras_gradwatch.report import GradientReport
from keras_gradwatch.tensorboard import REPORT_TAG, RUN


def read_reports(log_dir) -> list[GradientReport]:
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
        was cut off by a crash is left out.

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
    # A file's name begins with the time when it was opened.
    files.sort(key=lambda path: (str(path.parent), path.name))
    return [report for path in files for report in _read(path)]


def _read(path):
    for record in RawEventFileLoader(str(path)).Load():
        event = event_pb2.Event.FromString(record)
        for value in event.summary.value:
            if value.tag == REPORT_TAG:
                yield GradientReport.from_json(value.tensor.string_val[0].decode())
