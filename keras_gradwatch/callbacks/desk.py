"""Where the callbacks of a training hear one another, and tell one story.

An alert of one asks the others for a look at the next step: a check of the gradients,
and a reading of their norms. Once these are made, or training ends, all that is known
is told in one sentence. With one callback alone nothing is done here; without an alert,
nothing but to remember the last check and what was read.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import keras

from keras_gradwatch.callbacks.member import Member
from keras_gradwatch.callbacks.one_voice import tell_all
from keras_gradwatch.findings import clues, piecing
from keras_gradwatch.findings.alert import NONFINITE, OVERFITTING, Alert
from keras_gradwatch.findings.clues import CHECK, READING, Checked, Norms, Unknown
from keras_gradwatch.findings.incident import Incident
from keras_gradwatch.findings.reading import GradientReading
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.losses.plateau import dead_layers

# Steps from one story to the next: the default distance between two readings. Of the
# same kind it is twice as many each time: alerts are told once while they last, and a
# training in which one comes and goes pays for 10 looks in 100,000 steps, for 14 in a
# million. Meanwhile alerts stand by themselves; only a NaN, which is the end of most
# trainings, is told with what is known.
_REST = 100
# Readings to look through for the largest, of an alert that began long ago.
_LATE = 100

# What no training holds any more is dropped. Nothing in a desk holds a model.
_DESKS: weakref.WeakKeyDictionary[keras.Model, _Desk] = weakref.WeakKeyDictionary()


def join(member: Member) -> None:
    """Takes a callback in, as its training begins."""
    desk = _DESKS.get(member.model)
    if desk is None or not desk.is_of(member.model) or desk.has(member):
        desk = _DESKS[member.model] = _Desk(member.model)
    desk.add(member)


def leave(member: Member) -> None:
    """Tells what is still to be told, as training ends."""
    conclude(member)
    _DESKS.pop(member.model, None)


def hear(member: Member, alert: Alert) -> None:
    """Takes an alert in, once it was told by itself.

    Args:
        member: Who gave it.
        alert: The alert.
    """
    if desk := _DESKS.get(member.model):
        desk.hear(member, alert)


def checked(member: Member, report: GradientReport | None) -> None:
    """Takes a report in; None if a check could not be made."""
    if desk := _DESKS.get(member.model):
        desk.take(member, report)


def read(
    member: Member, reading: GradientReading | None, alerts: Sequence[Alert] = ()
) -> None:
    """Takes a reading in; None if it could not be made.

    Args:
        member: Who made it.
        reading: The reading.
        alerts: The alerts that it gave, once they were told by themselves.
    """
    if desk := _DESKS.get(member.model):
        desk.take(member, reading, alerts)


def conclude(member: Member) -> None:
    """Tells what is to be told now: there will be no other step."""
    if desk := _DESKS.get(member.model):
        desk.conclude(member)


class _Story:
    """What is to be told, and what is awaited for it."""

    def __init__(self, alert: Alert):
        self.step = alert.step
        self.alerts = [alert]
        self.awaited: set[str] = set()
        self.unknown: dict[str, str] = {CHECK: clues.ABSENT, READING: clues.ABSENT}

    def add(self, alert: Alert) -> None:
        if all(alert.kind != other.kind for other in self.alerts):
            self.alerts.append(alert)


class _Desk:
    """The callbacks of one `fit`, and what they found in it."""

    def __init__(self, model: keras.Model):
        self._fit = _weak(getattr(model, "history", None))  # each has another
        self._members: list[weakref.ref[Member]] = []
        self._story: _Story | None = None
        self._next = 0
        self._next_of: dict[str, tuple[int, int]] = {}  # of a kind, and the rest then
        self._check: Checked | None = None
        self._earlier: Checked | None = None  # that before it
        self._readings: list[GradientReading] = []

    def is_of(self, model: keras.Model) -> bool:
        return self._fit() is getattr(model, "history", None)

    def has(self, member: Member) -> bool:
        return any(other is member for other in self._present())

    def add(self, member: Member) -> None:
        self._members.append(weakref.ref(member))

    def _present(self) -> list[Member]:
        return [one for one in (ref() for ref in self._members) if one is not None]

    def _who(self, what: str) -> Member | None:
        """Of several that can be asked for the same, the first."""
        return next((one for one in self._present() if one.looks_for == what), None)

    def hear(self, member: Member, alert: Alert) -> None:
        # Whether validation parts from training, no gradient tells.
        if alert.kind == OVERFITTING or len(self._present()) < 2:
            return
        asked = {what: self._who(what) for what in (CHECK, READING)}
        if not any(asked.values()):
            return
        if self._story is not None:
            self._story.add(alert)
            return
        earliest, rest = self._next_of.get(alert.kind, (0, _REST))
        is_rested = alert.step >= max(earliest, self._next)
        if is_rested:
            self._next = alert.step + _REST
        elif alert.kind != NONFINITE or alert.kind in self._next_of:
            return
        self._next_of[alert.kind] = alert.step + rest, 2 * rest
        story = self._story = _Story(alert)
        for what, other in asked.items():
            if other is not None:
                why = other.summon(alert.step) if is_rested else clues.RESTING
                story.unknown[what] = why or clues.ENDED
                if not why:
                    story.awaited.add(what)
        if not story.awaited:
            self.conclude(member)

    def take(
        self,
        member: Member,
        found: GradientReport | GradientReading | None,
        alerts: Sequence[Alert] = (),
    ) -> None:
        is_asked = self._who(member.looks_for) is member
        if is_asked and isinstance(found, GradientReport):
            self._earlier, self._check = self._check, piecing.checked(found)
        elif is_asked and isinstance(found, GradientReading):
            self._readings.append(found)
        for alert in alerts:
            self.hear(member, alert)
        if is_asked:
            self._answer(member, found)

    def _answer(self, member: Member, found: GradientReport | GradientReading | None):
        what, story = member.looks_for, self._story
        if story is None or what not in story.awaited:
            return
        if found is not None and found.step <= story.step:
            return  # of a look that was due before
        story.unknown[what] = "" if found is not None else clues.FAILED
        story.awaited.discard(what)
        if not story.awaited:
            self.conclude(member)

    def conclude(self, member: Member) -> None:
        story, self._story = self._story, None
        if story is not None:
            tell_all(self._incident(member, story), member, self._present())

    def _incident(self, member: Member, story: _Story) -> Incident:
        check, before = self._check, self._earlier
        if check is not None and check.step <= story.step:
            check, before = None, check
        newest = max((one.step for one in self._readings), default=story.step)
        is_looked_at = check is not None or newest > story.step
        return Incident(
            # Where nothing could be looked at any more, it is about that step alone.
            step=iterations(member.model) if is_looked_at else story.step,
            seen=tuple(map(piecing.seen, story.alerts)),
            check_before=before,
            check=check,
            norms=self._norms(story),
            unknown=tuple(
                Unknown(what, why) for what, why in story.unknown.items() if why
            ),
            epoch=member.epoch,
        )

    def _norms(self, story: _Story) -> Norms | None:
        if not self._readings:
            return None
        # A loss is known after its step, what was read of it has the number before.
        began = min(alert.since for alert in story.alerts) - 1
        late = [one for one in self._readings if one.step >= began]
        newest = self._readings[-1]
        # What was read in the midst of it says more than what came back since.
        told = max(late[-_LATE:], key=_size, default=newest)
        if _size(told) < 2 * _size(newest):
            told = newest
        early = [one for one in self._readings if one.step < min(began, told.step)]
        if not early:  # it is so from the start
            early = [one for one in self._readings[:1] if one is not told]
        before = early[-1] if early else None
        return piecing.norms(told, before, dead_layers(newest))


def _size(reading: GradientReading) -> float:
    """The norm of all gradients; of what is not finite none is larger."""
    size = reading.global_norm
    return math.inf if math.isnan(size) else size


def _weak(found):
    return (lambda: None) if found is None else weakref.ref(found)
