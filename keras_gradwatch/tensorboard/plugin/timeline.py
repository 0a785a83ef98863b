"""A training from its beginning to its end: what was read, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from keras_gradwatch.tensorboard.plugin.runs import RunSummary

# Points that are drawn: some for each pixel of a wide screen.
_POINTS = 3000


@dataclass
class _Stretch:
    """What one `fit` wrote, or the part of it after steps began anew.

    Args:
        fit: Its `fit`.
        first: Its first step.
        last: Its last step.
        shift: What is added to its steps on the way along all stretches.
    """

    fit: str
    first: int
    last: int
    shift: int = 0


@dataclass(frozen=True)
class _Mark:
    """An event: a check, an alert or a point, and its place in its list."""

    wall: float
    fit: str
    step: int
    kind: str
    position: int


def timeline(found: RunSummary) -> dict[str, Any]:
    """All that was read on one axis, on which steps never fall back.

    Args:
        found: What was read of a run.
    """
    marks = sorted(_marks(found), key=lambda mark: mark.wall)
    stretches, where = _stretches(marks)
    at: dict[tuple[str, int], int] = {
        (mark.kind, mark.position): mark.step + stretches[number].shift
        for mark, number in zip(marks, where, strict=True)
    }
    return {
        "points": _points(found, at),
        "checks": [at["check", k] for k in range(len(found.checks))],
        "alerts": [at["alert", k] for k in range(len(found.alerts))],
        # Where a training was taken up again, or begun anew.
        "begins": [
            {"at": later.first + later.shift, "step": later.first}
            for later in stretches[1:]
        ],
    }


def _marks(found):
    for k, check in enumerate(found.checks):
        yield _Mark(check.wall, check.fit, check.digest.step, "check", k)
    for k, one in enumerate(found.alerts):
        yield _Mark(one.wall, one.fit, one.alert.step, "alert", k)
    for k, point in enumerate(found.points):
        yield _Mark(point.wall, point.fit, point.moment.step, "point", k)


def _stretches(marks: list[_Mark]) -> tuple[list[_Stretch], list[int]]:
    """The stretches, and for each mark the number of its own."""
    stretches: list[_Stretch] = []
    where: list[int] = []
    checked = -1
    for mark in marks:
        is_anew = mark.kind == "check" and mark.step <= checked
        if not stretches or mark.fit != stretches[-1].fit or is_anew:
            stretches.append(_Stretch(mark.fit, mark.step, mark.step))
            checked = -1
        now = stretches[-1]
        now.first, now.last = min(now.first, mark.step), max(now.last, mark.step)
        if mark.kind == "check":
            checked = mark.step
        where.append(len(stretches) - 1)
    end = -1
    for stretch in stretches:
        # What was taken up goes on; what begins anew is drawn after what was before.
        stretch.shift = max(0, end + 1 - stretch.first)
        end = stretch.last + stretch.shift
    return stretches, where


def _points(found: RunSummary, at: dict[tuple[str, int], int]) -> list[list[Any]]:
    """Lists of place, step, epoch, time, loss and norm, by place."""
    points: list[list[Any]] = [
        [at["point", k], m.step, m.epoch, one.wall, m.loss, m.norm]
        for k, one in enumerate(found.points)
        for m in [one.moment]
    ]
    if not points:  # checks know of the loss, too, if on part of the batch alone
        points = [
            [at["check", k], d.step, d.epoch, check.wall, d.loss, None]
            for k, check in enumerate(found.checks)
            for d in [check.digest]
            if d.loss is not None
        ]
    points.sort(key=lambda point: point[0])
    every = math.ceil(len(points) / _POINTS)
    if every < 2:
        return points
    return [p for k, p in enumerate(points) if not k % every or _is_odd(p)]


def _is_odd(point: list[Any]) -> bool:
    """Whether it must be seen, however many there are."""
    return any(v is not None and not math.isfinite(v) for v in point[4:])
