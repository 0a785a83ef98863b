"""What there is to say of a run, the worst first: finding by finding, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_gradwatch.findings.alert import INCIDENT, NONFINITE, Alert
from keras_gradwatch.findings.digest import Digest
from keras_gradwatch.findings.headline import (
    beside_right,
    by_how_much,
    since,
    trainings,
)
from keras_gradwatch.findings.place import Line, Place
from keras_gradwatch.findings.sentences import places
from keras_gradwatch.findings.states import (
    ALERT,
    NOT_FINITE,
    NOT_TOLD,
    RIGHT,
    WARNING,
    WRONG,
    rank,
)
from keras_gradwatch.findings.text import counted, listed, plain
from keras_gradwatch.findings.verdicts import FAIL, INCONCLUSIVE, PASS

# Characters of a name: a title is to be taken in at a glance.
_ROOM = 60
# Places that a title names.
_PLACES = 2


@dataclass(frozen=True)
class Finding:
    """One thing to know of a run.

    Args:
        state: One of `states.STATES`.
        title: What it is, in a line without its place in the code.
        text: How bad it is, in a sentence or a few.
        step: Optimizer iterations done when it was last seen.
        since: The same of when it was first seen, in an unbroken row.
        lines: The lines of code to look at.
        labels: Labels of variables that it is about, the most telling first.
        check: Which check it is from, by its position. None if it is an alert.
        alerts: Which alerts it is, by their positions. Empty if it is from a check.
    """

    state: str
    title: str
    text: str
    step: int
    since: int
    lines: tuple[Line, ...] = ()
    labels: tuple[str, ...] = ()
    check: int | None = None
    alerts: tuple[int, ...] = ()


def findings(
    digests: Sequence[Digest], alerts: Iterable[tuple[int, Alert]]
) -> list[Finding]:
    """All that is to be said of the newest training of a run, the worst first.

    Args:
        digests: All checks of the run in the order of writing.
        alerts: The alerts of that training, each with its position.
    """
    # Of a kind that comes again and again the first is told, but each NaN has a place,
    # and each incident a story of its own.
    kinds: dict[object, list[tuple[int, Alert]]] = {}
    told = set()
    for position, alert in alerts:
        if alert.kind == INCIDENT:
            told.add(position)
        key = position if alert.kind in (NONFINITE, INCIDENT) else alert.kind
        kinds.setdefault(key, []).append((position, alert))
    found = [_noticed(group) for group in kinds.values()]
    if digests:
        checks = trainings(digests)[-1]
        start = len(digests) - len(checks)
        found += _of_checks(checks, start)

    def order(one):
        # What several callbacks know comes before what each has seen; of a NaN, what
        # says where it came from before what only saw it.
        is_less = told.isdisjoint(one.alerts)
        return rank(one.state), is_less, one.since, -len(one.text)

    return sorted(found, key=order)


def _noticed(group: list[tuple[int, Alert]]) -> Finding:
    _, alert = group[0]
    where = plain(alert.where[0], _ROOM) if alert.where else ""
    more = f" and {len(alert.where) - 1} more" if len(alert.where) > 1 else ""
    is_nan = alert.kind == NONFINITE
    title = f"{alert.title}: {where}{more}" if where else alert.title
    if is_nan:
        title = f"NaN or infinity in {where}{more}" if where else "NaN or infinity"
    return Finding(
        state=NOT_FINITE if is_nan else ALERT,
        title=title,
        text=re.sub("^the ", "The ", alert.message),
        step=max(one.step for _, one in group),
        since=min(one.since for _, one in group),
        lines=() if alert.line is None else (alert.line,),
        labels=alert.where,
        alerts=tuple(position for position, _ in group),
    )


def _of_checks(checks: Sequence[Digest], start: int) -> Iterable[Finding]:
    newest = checks[-1]
    failed = [k for k, check in enumerate(checks) if check.verdict == FAIL]
    if failed:
        yield _wrong(checks, failed[-1], start)
    warned = [k for k, check in enumerate(checks) if check.warning]
    if warned:
        yield _warned(checks, warned[-1], start)
    end = start + len(checks) - 1
    if newest.verdict == INCONCLUSIVE:
        told = sum(v.verdict not in (INCONCLUSIVE, FAIL) for v in newest.variables)
        title = f"Told of {told} of {counted(len(newest.variables), 'gradient')} only"
        if not newest.variables:
            title = "No gradient could be checked"
        text = newest.reason
        yield Finding(NOT_TOLD, title, text, newest.step, newest.step, check=end)
    elif newest.verdict == PASS:
        yield _right(checks, end)


def _wrong(checks: Sequence[Digest], last: int, start: int) -> Finding:
    check = checks[last]
    until = checks[: last + 1]
    wrong = [v for v in check.variables if v.verdict == FAIL]
    # The last of them is the closest to the mistake; some were not looked at again.
    closest = [*reversed(wrong)]
    closest.sort(key=lambda v: v.relative_error is None)
    labels = tuple(v.label for v in closest)
    lines = tuple(place.line for place in check.places if place.line is not None)
    first = since(until, set(labels)) if wrong else check.step
    return Finding(
        state=WRONG,
        title=_title(check, labels),
        text=f"{_extent(check, wrong)}{_by_now(checks, last)}",
        step=check.step,
        since=first,
        lines=tuple(dict.fromkeys(lines)),
        labels=labels,
        check=start + last,
    )


def _title(check, labels):
    if check.places:
        named = [
            Place(plain(place.name, _ROOM), plain(place.kind, _ROOM))
            for place in check.places
            if place.name
        ]
        if named:
            more = len(named) - _PLACES
            rest = f" and {more} more" if more > 0 else ""
            return f"Look at {places(named[:_PLACES])}{rest}"
    elif check.look_at:
        return f"Look at {plain(check.look_at, 2 * _ROOM)}"
    if not labels:
        return "The gradient is wrong"
    others = f" and {len(labels) - 1} more are" if len(labels) > 1 else " is"
    noun = "gradients" if len(labels) > 1 else "gradient"
    return f"The {noun} of {plain(labels[0], _ROOM)}{others} wrong"


def _extent(check, wrong):
    if not wrong:
        return plain(check.reason)
    if len(wrong) == 1:
        who = f"The gradient of {plain(wrong[0].label, _ROOM)} is"
    else:
        who = f"{len(wrong)} of {len(check.variables)} gradients are"
    how = by_how_much(check, wrong)
    # What has a manner follows "is"; an error does not.
    joint = "wrong: " if "relative error" in how else ""
    return f"{who} {joint}{how}."


def _by_now(checks, last):
    if last == len(checks) - 1:
        return ""
    failed = sum(check.verdict == FAIL for check in checks)
    return (
        f" {failed} of {counted(len(checks), 'check')} failed; the newest, at step "
        f"{checks[-1].step}, is {checks[-1].verdict}."
    )


def _warned(checks: Sequence[Digest], last: int, start: int) -> Finding:
    first = last
    while first and checks[first - 1].warning:
        first -= 1
    check = checks[last]
    return Finding(
        state=WARNING,
        title="What weights learn by is not the gradient",
        text=check.warning,
        step=check.step,
        since=checks[first].step,
        check=start + last,
    )


def _right(checks: Sequence[Digest], end: int) -> Finding:
    newest = checks[-1]
    right = [v for v in newest.variables if v.verdict == PASS]
    others = beside_right(newest)
    passed = sum(check.verdict == PASS for check in checks)
    how_many = f"{passed} of {len(checks)} checks passed"
    if passed == len(checks):
        how_many = "The check passed" if passed == 1 else f"All {passed} checks passed"
    errors = [v.relative_error for v in right if v.relative_error is not None]
    worst = f"; worst relative error {max(errors):.1g}" if errors else ""
    rest = f" ({listed(others)})" if others else ""
    gradients = counted(len(newest.variables), "gradient")
    return Finding(
        state=RIGHT,
        title=f"{len(right)} of {gradients} right{rest}",
        text=f"{how_many}{worst}.",
        step=newest.step,
        since=next(c.step for c in checks if c.verdict == PASS),
        check=end,
    )
