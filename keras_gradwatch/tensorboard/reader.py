"""Getting reports and alerts back from TensorBoard's event files."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2

from keras_gradwatch import files
from keras_gradwatch.arguments import refuse
from keras_gradwatch.errors import GradwatchWarning
from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import Digest, digest
from keras_gradwatch.findings.headline import trainings
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.several import Several
from keras_gradwatch.tensorboard.charts import HEAD, Charts, is_finding
from keras_gradwatch.tensorboard.records import (
    DAMAGE,
    assert_whole,
    read_records,
    unpack_alert,
    unpack_digest,
    unpack_moment,
    unpack_report,
)
from keras_gradwatch.tensorboard.tags import (
    ALERT_TAG,
    DIGEST_TAG,
    MOMENT_TAG,
    PLUGIN,
    REPORT_TAG,
    is_run,
)

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
        A list of `GradientReport`, run by run, in the order of writing. What can't
        be read (it was cut off or damaged, or a newer version wrote it) is left out,
        and a `GradwatchWarning` says so.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    runs = read_runs(log_dir)
    found = Several(report for run in runs for report in run.reports())
    damaged = sum(run.damaged for run in runs)
    if damaged:
        warnings.warn(
            f"{damaged} damaged event(s) below {str(log_dir)!r} can't be read and are "
            "left out: broken, cut off, or of a newer version.",
            GradwatchWarning,
            stacklevel=2,
        )
    return found


def read_alerts(log_dir: str | os.PathLike[str]) -> list[Alert]:
    """Reads every alert that the callbacks wrote below a directory.

    Args:
        log_dir: The `log_dir` of the callback, or a directory above it.

    Returns:
        A list of `Alert`, run by run, in the order of writing.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    return Several(alert for run in read_runs(log_dir) for alert in run.alerts)


@dataclass
class StoredCheck:
    """One check: in short, and the event that holds all of it.

    Args:
        digest: Its digest.
        file: Which event file of the run it stands in: each training writes another.
        packed: The whole report; None if that is lost.
    """

    digest: Digest
    file: int
    packed: bytes | None = None

    def report(self) -> GradientReport | None:
        """The whole report, None if it can't be read."""
        try:
            return None if self.packed is None else unpack_report(self.packed)
        except DAMAGE:
            logger.debug("A report can't be read.", exc_info=True)
            return None


@dataclass
class Run:
    """What the callbacks wrote into one directory.

    Args:
        name: Path of the directory, relative to the one that was asked for.
        checks: A `StoredCheck` each, in the order of writing.
        alerts: The alerts in the order of writing.
        damaged: How many events could not be read.
        files: How many event files there are.
        alert_files: Which event file each alert stands in.
    """

    name: str
    checks: list[StoredCheck] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    damaged: int = 0
    files: int = 0
    alert_files: list[int] = field(default_factory=list)

    @property
    def digests(self) -> list[Digest]:
        """The checks in short."""
        return [check.digest for check in self.checks]

    @property
    def newest_alerts(self) -> list[tuple[int, Alert]]:
        """The alerts, each with its position, without those of earlier trainings."""
        *earlier, newest = trainings(self.digests) or [[]]
        first = self.checks[-len(newest)].file if earlier else 0
        files = self.alert_files
        return [(k, one) for k, one in enumerate(self.alerts) if files[k] >= first]

    def reports(self) -> list[GradientReport]:
        """The whole reports; those that can't be read are counted as damaged."""
        kept = [check for check in self.checks if check.packed is not None]
        found = [check.report() for check in kept]
        self.damaged += found.count(None)
        return [report for report in found if report is not None]


def read_runs(
    log_dir: str | os.PathLike[str], *, only_newest: bool = False
) -> list[Run]:
    """Reads what is below a directory, each run of its own.

    Args:
        log_dir: The `log_dir` of the callback, or a directory above it.
        only_newest: Whether to keep the whole of the newest report only: all of 2,000
            checks of 300 variables are 260 MB.

    Returns:
        A list of `Run`, by name.

    Raises:
        InvalidArgumentError: If `log_dir` is no directory.
    """
    if not files.is_directory(log_dir):
        refuse("log_dir", "a directory", str(log_dir))
    # The name of a run may be all of `log_dir`.
    above = files.absolute(log_dir)
    found = [
        (folder, name)
        for folder, name in files.walk(log_dir)
        if "tfevents" in name and is_run(_last(above if folder == "." else folder))
    ]
    found.sort(key=_when_opened)
    runs: dict[str, Run] = {}
    for folder, name in found:
        run = runs.setdefault(folder, Run(folder))
        inner = [] if folder == "." else [folder]
        _read(files.join(log_dir, *inner, name), run, only_newest)
    return list(runs.values())


def _last(folder: str) -> str:
    return re.split(r"[/\\]", folder.rstrip("/\\"))[-1]


def _read(path: str, run: Run, only_newest: bool) -> None:
    run.files += 1
    reading = _Reading(run, only_newest)
    try:
        with files.opened(path) as (file, size):
            for record in read_records(file, size):
                reading.take(record)
        reading.end()
    except Exception:  # no right to read it, or the other file system fails
        logger.debug("%s can't be read.", path, exc_info=True)
        run.damaged += 1


class _Reading:
    """Puts what one event file holds into a run.

    Args:
        run: The `Run`.
        only_newest: Whether to keep the whole of the newest report only.
    """

    def __init__(self, run: Run, only_newest: bool):
        self._run = run
        self._only_newest = only_newest
        # Checks whose report is still to come, by the end of the tag and the step.
        self._begun: dict[tuple[str, int], StoredCheck] = {}
        self._charts = Charts()

    def take(self, record: tuple[bytes, int] | None) -> None:
        """Takes one record, None if it is broken."""
        if record is None:
            self._run.damaged += 1
        elif is_finding(record[0]):
            self._take_event(record[0])
        elif self._charts.wants(record[0][:HEAD], len(record[0])):
            self._charts.look(*record)

    def end(self) -> None:
        """Looks whether what it did not read is as it was written."""
        self._charts.end()
        self._run.damaged += self._charts.broken + self._charts.odd

    def _take_event(self, record):
        try:
            event = event_pb2.Event.FromString(record)
        except DecodeError:
            logger.debug("An event can't be read.", exc_info=True)
            self._run.damaged += 1
            return
        values = event.summary.value
        # Something of ours is in it, and was not found: its frame is broken.
        self._run.damaged += not values
        for value in values:
            self._take_value(value, event.step)

    def _take_value(self, value, step):
        kind, _, opened = value.tag.rpartition("/")
        if value.tag == REPORT_TAG:  # the first were written without the time
            kind, opened = REPORT_TAG, ""
        take: dict[str, Callable[[tuple, bytes], None]] = {
            DIGEST_TAG: self._take_digest,
            REPORT_TAG: self._take_report,
            ALERT_TAG: self._take_alert,
        }
        try:
            if kind in take:
                take[kind]((opened, step), value.tensor.string_val[0])
            elif kind == MOMENT_TAG:  # the tab draws them; here, they must be whole
                unpack_moment(value.tensor.string_val[0])
            elif value.metadata.plugin_data.plugin_name == PLUGIN:
                raise ValueError(f"Expected a known tag. Received: {value.tag!r:.80}")
        except DAMAGE:
            logger.debug("A value can't be read.", exc_info=True)
            self._run.damaged += 1

    def _take_digest(self, key, data):
        check = self._begun[key] = StoredCheck(unpack_digest(data), self._run.files)
        self._run.checks.append(check)

    def _take_report(self, key, data):
        self._keep(key, data)
        if self._only_newest:
            for older in self._run.checks[-2:-1]:
                older.packed = None

    def _keep(self, key, data):
        check = self._begun.pop(key, None)
        if check is None:  # there is no digest, or it is damaged
            short = digest(unpack_report(data))
            self._run.checks.append(StoredCheck(short, self._run.files, data))
            return
        assert_whole(data)  # to read it all would take long
        check.packed = data

    def _take_alert(self, key, data):
        self._run.alerts.append(unpack_alert(data))
        self._run.alert_files.append(self._run.files)


def _when_opened(found: tuple[str, str]) -> tuple[str, list[int]]:
    """The directory, and the numbers in a file's name: seconds, process, count."""
    folder, name = found
    return folder, [int(n) for n in re.findall(r"\d+", name)]
