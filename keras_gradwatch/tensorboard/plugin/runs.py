"""The checks and alerts that TensorBoard has read, run by run."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tensorboard import errors
from tensorboard.data.provider import RunTagFilter

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import Digest, digest
from keras_gradwatch.findings.moment import Moment
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.tensorboard.plugin.broken_files import BrokenFiles
from keras_gradwatch.tensorboard.records import (
    DAMAGE,
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
)

logger = logging.getLogger("keras_gradwatch")

# TensorBoard must be told how many it may give: more than there ever are, in 32 bits.
_ALL = 2**31 - 1


@dataclass(frozen=True)
class Check:
    """One check: how to ask for all of it, and its short form.

    Args:
        key: What to ask for the whole report by.
        digest: Its digest.
        wall: When it was written, in seconds since 1970.
        fit: When its event file was opened, as its tag tells: another one is of
            another `fit`. Empty in old events.
    """

    key: str
    digest: Digest
    wall: float
    fit: str


@dataclass(frozen=True)
class Noticed:
    """One alert.

    Args:
        before: How many checks were written before it.
        alert: The alert.
        wall: As of a `Check`.
        fit: As of a `Check`.
    """

    before: int
    alert: Alert
    wall: float
    fit: str


@dataclass(frozen=True)
class Point:
    """One point of the timeline.

    Args:
        moment: The `Moment`.
        wall: As of a `Check`.
        fit: As of a `Check`.
    """

    moment: Moment
    wall: float
    fit: str


@dataclass
class RunSummary:
    """What the tab shows of one run before anybody asks for a whole report.

    Args:
        checks: Its checks in the order of writing.
        alerts: Its alerts in the order of writing.
        points: What was read of the training besides, in the order of writing.
        damaged: How many events could not be read, or are no charts of ours.
        broken: How many records of its files are broken: what comes after the first,
            TensorBoard does not read, or it shows another number than was written.
    """

    checks: list[Check] = field(default_factory=list)
    alerts: list[Noticed] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    damaged: int = 0
    broken: int = 0


class RunReader:
    """Reads runs through TensorBoard.

    Args:
        provider: TensorBoard's `DataProvider`.
        logdir: TensorBoard's log directory, None if there is none.
    """

    def __init__(self, provider: Any, logdir: str | None = None):
        self._provider = provider
        self._broken = BrokenFiles(logdir)

    def read(
        self, context: Any, experiment: str, run: str | None = None
    ) -> dict[str, RunSummary]:
        """What there is of each run that has anything of ours, by name.

        Args:
            context: TensorBoard's `RequestContext`.
            experiment: Its experiment.
            run: Only this run. All if None.
        """
        found = self._provider.read_tensors(
            context,
            experiment_id=experiment,
            plugin_name=PLUGIN,
            downsample=_ALL,
            run_tag_filter=RunTagFilter(runs=None if run is None else [run]),
        )
        summaries = {name: _summary(found[name]) for name in sorted(found)}
        for name, summary in summaries.items():
            summary.broken, odd = self._broken.count(name)
            summary.damaged += odd
        return summaries

    def read_report(
        self, context: Any, experiment: str, run: str, check: Check
    ) -> GradientReport | None:
        """The whole report of one check, None if it can't be read.

        Args:
            context: TensorBoard's `RequestContext`.
            experiment: Its experiment.
            run: Name of the run.
            check: A `Check` of this run.
        """
        opened, step = _split(check.key)
        read = self._read_blobs if opened else self._read_plain
        for data in read(context, experiment, run, opened, step):
            try:
                report = unpack_report(data)
            except DAMAGE:
                logger.debug("A report of run %r can't be read.", run, exc_info=True)
                continue
            # Several checks may have been written with the same step.
            if digest(report) == check.digest:
                return report
        return None

    def _read_blobs(
        self, context: Any, experiment: str, run: str, opened: str, step: int
    ) -> Iterator[bytes]:
        tag = f"{REPORT_TAG}/{opened}"
        found = self._provider.read_blob_sequences(
            context,
            experiment_id=experiment,
            plugin_name=PLUGIN,
            downsample=_ALL,
            run_tag_filter=RunTagFilter(runs=[run], tags=[tag]),
        )
        for datum in found.get(run, {}).get(tag, ()):
            for reference in datum.values if datum.step == step else ():
                try:
                    yield self._provider.read_blob(context, blob_key=reference.blob_key)
                except errors.NotFoundError:
                    # TensorBoard has dropped it since it told of it.
                    logger.debug("A report of %r is gone.", run, exc_info=True)

    def _read_plain(
        self, context: Any, experiment: str, run: str, _: str, step: int
    ) -> Iterator[bytes]:
        """The first events held the report as text, in place of a digest."""
        found = self._provider.read_tensors(
            context,
            experiment_id=experiment,
            plugin_name=PLUGIN,
            downsample=_ALL,
            run_tag_filter=RunTagFilter(runs=[run], tags=[REPORT_TAG]),
        )
        for datum in found.get(run, {}).get(REPORT_TAG, ()):
            if datum.step == step:
                yield _bytes(datum)


def _summary(tags: Mapping[str, Iterable[Any]]) -> RunSummary:
    summary = RunSummary()
    data = [(d.wall_time, tag, d) for tag, series in tags.items() for d in series]
    for _, tag, datum in sorted(data, key=lambda item: item[:2]):
        try:
            _take(summary, tag, datum)
        except DAMAGE:
            logger.debug("An event of tag %r can't be read.", tag, exc_info=True)
            summary.damaged += 1
    return summary


def _take(summary: RunSummary, tag: str, datum: Any) -> None:
    data, opened, wall = _bytes(datum), _opened(tag), datum.wall_time
    # Of several on one step, `opened` has a number after a dot.
    fit = opened.partition(".")[0]
    if tag.startswith(ALERT_TAG):
        alert = Noticed(len(summary.checks), unpack_alert(data), wall, fit)
        summary.alerts.append(alert)
    elif tag.startswith(MOMENT_TAG):
        summary.points.append(Point(unpack_moment(data), wall, fit))
    else:
        key = f"{opened}.{datum.step}"
        summary.checks.append(Check(key, unpack_digest(data), wall, fit))


def _opened(tag: str) -> str:
    for known in (DIGEST_TAG, REPORT_TAG, ALERT_TAG, MOMENT_TAG):
        tag = tag.removeprefix(known)
    return tag.strip("/")


def _split(key: str) -> tuple[str, int]:
    opened, _, step = key.rpartition(".")
    return opened, int(step)


def _bytes(datum: Any) -> bytes:
    # A tensor of anything but one string is no event of ours.
    data = datum.numpy.item()
    if not isinstance(data, bytes):
        raise TypeError(f"Expected bytes. Received: {type(data)}")
    return data
