"""What callbacks know when one of them gives the alarm: data, no words.

`sentences` says all of it in one sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_gradwatch.findings.notes import Note
from keras_gradwatch.findings.place import Place

# What may not be known, and why: no such callback goes with the training; its warm-up
# is not over; it may take no more time; what it had to do failed; training ended; it
# was asked not long ago.
CHECK, READING = "check", "reading"
ABSENT, WARMING_UP, NO_TIME = "absent", "warming up", "no time"
FAILED, ENDED, RESTING = "failed", "ended", "resting"


@dataclass(frozen=True)
class Seen:
    """What gave the alarm.

    Args:
        kind: As of the `Alert`.
        where: As of the `Alert`.
        step: As of the `Alert`.
        since: As of the `Alert`.
        value: As of the `Alert`.
        before: As of the `Alert`.
    """

    kind: str
    where: tuple[str, ...]
    step: int
    since: int
    value: float | None = None
    before: float | None = None

    @property
    def fold(self) -> float | None:
        """How many times the value before it is. None unless both are above zero."""
        value, before = self.value, self.before
        if value is None or before is None or value <= 0 or before <= 0:
            return None
        return value / before


@dataclass(frozen=True)
class Checked:
    """What a check found, in short.

    Args:
        step: As of the `GradientReport`.
        verdict: Its verdict.
        variables: How many it looked at.
        wrong: Labels of those whose gradient is wrong.
        untold: Labels of those of which it could not tell, or that nothing gets
            through to.
        places: The layers to look at first. Empty if that is not known.
        severe: What else keeps weights from learning though their gradients may be
            right.
        underflow: Share of entries that are zero in the precision of training alone, of
            the worst variable; 0 if none are. None if that was not looked at.
        underflows: The labels of such variables, the worst first.
    """

    step: int
    verdict: str
    variables: int
    wrong: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    severe: tuple[Note, ...] = ()
    underflow: float | None = None
    underflows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moved:
    """The norm of a layer's gradient in two readings.

    Args:
        layer: Path of the layer.
        before: The norm before.
        now: The norm now.
    """

    layer: str
    before: float
    now: float

    @property
    def fold(self) -> float:
        """How many times what it was it is now."""
        return self.now / self.before if self.before else math.inf


@dataclass(frozen=True)
class Idle:
    """A layer with hardly any unit that gets a gradient.

    Args:
        layer: Path of the layer.
        share: Share of its units that get none.
    """

    layer: str
    share: float


@dataclass(frozen=True)
class Norms:
    """What became of gradients from one reading to another.

    Args:
        step: Step of the later one.
        before: Step of the earlier one, None if there is none.
        total: Norm of all gradients in the later one.
        total_before: The same in the earlier one.
        grown: The layer whose norm grew most, of those that have a hundredth of all.
        fallen: The layer whose norm fell most, of those that had a hundredth of all.
        nonfinite: Labels of variables whose gradient is not finite in the later one.
        idle: Layers with hardly any unit that gets a gradient, in the newest one.
    """

    step: int
    before: int | None
    total: float
    total_before: float | None = None
    grown: Moved | None = None
    fallen: Moved | None = None
    nonfinite: tuple[str, ...] = ()
    idle: tuple[Idle, ...] = ()


@dataclass(frozen=True)
class Unknown:
    """What is not known, and why.

    Args:
        what: `CHECK` or `READING`.
        why: One of the constants of this module.
    """

    what: str
    why: str


# All that an incident may hold, by whose names they are kept in JSON.
CLUES = (Seen, Checked, Moved, Idle, Norms, Unknown)
