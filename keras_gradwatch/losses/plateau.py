"""What a plateau of the loss means: told by a closer look, never by the loss alone.

Most healthy trainings end on a plateau, and many begin on one. The loss can't tell
these from a training that is stuck. A look at a step can: the gradients that it makes,
the loss of its batch before and after it, and that with the targets of other examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from keras_gradwatch.findings.loss_symptom import (
    LossSymptom,
    Overshooting,
    Stalled,
    Uninformed,
)
from keras_gradwatch.findings.reading import GradientReading, idle_share

# Steps that are looked at: where all agree, each is worth a factor of the odds.
LOOKS = 4
# Share of a layer's units without a gradient from which on it is dead: the default of
# `GradientStats`; in nine untrained networks of keras.applications it was at most 0.80.
_DEAD = 0.95
# What was learned, as a share of the loss at the start, from which on nothing is said:
# who has got so far is not stuck in this way.
_STALLED, _OSCILLATING, _FLAT = 0.9, 0.5, 0.25
# On a plateau a step changes the loss of its own batch by little: in the healthy ones
# of `tests/support/loss_zoo.py` by a fifth at most. Where it changes by so much more
# and yet the level stays, each step undoes what others did.
_SWING = 0.4
# A model that knows its targets does better with them than with others by more.
_KNOWS = 0.02


@dataclass(frozen=True)
class Look:
    """What one step showed.

    Args:
        own: The loss of its batch.
        swapped: That with the targets of other examples; None if there are none.
        after: The loss of the batch after the step; None if it was not seen.
        dead: Layers without a gradient, each with the share of its units.
    """

    own: float
    swapped: float | None
    after: float | None
    dead: tuple[tuple[str, float], ...]


def dead_layers(reading: GradientReading) -> tuple[tuple[str, float], ...]:
    """The layers of which hardly any unit gets a gradient.

    Args:
        reading: A `GradientReading`.
    """
    layers: dict[str, list] = {}
    for variable in reading.variables:
        layers.setdefault(variable.layer or variable.path, []).append(variable)
    found = []
    for name, held in layers.items():
        share = 1.0 if all(not v.norm for v in held) else idle_share(held)
        if share >= _DEAD:
            found.append((name, share))
    return tuple(found)


def diagnose(
    name: str, start: float, level: float, ago: int, looks: Sequence[Look]
) -> LossSymptom | None:
    """What keeps a loss where it is; None if nothing is known to be wrong.

    Args:
        name: Name of the loss.
        start: Its level at the beginning.
        level: Its level now.
        ago: For how many steps it has been there.
        looks: What some steps showed.
    """
    own = [look.own for look in looks]
    swapped = [look.swapped for look in looks if look.swapped is not None]
    after = [look.after for look in looks if look.after is not None]
    if len(looks) < LOOKS or not all(map(math.isfinite, [*own, *swapped, *after])):
        return None
    learned = (start - level) / abs(start) if start else 0.0
    dead = _always_dead(looks)
    if dead and learned < _STALLED:
        layers = tuple(dead)
        share = dead[layers[0]]
        return Stalled(name, ago, share, _DEAD, layers, share)
    if len(after) == len(own) and learned < _OSCILLATING:
        moved = [abs(later - now) for later, now in zip(after, own, strict=True)]
        share = fmean(moved) / max(abs(fmean(own)), 1e-30)
        if share > _SWING:
            return Overshooting(name, ago, share, _SWING, len(moved))
    if len(swapped) == len(own) and learned < _FLAT:
        gains = [other - now for other, now in zip(swapped, own, strict=True)]
        gain, chance = fmean(gains), stdev(gains) / math.sqrt(len(gains))
        limit = _KNOWS * abs(fmean(own)) + chance
        # Where no target makes a difference at all, the loss does not ask for them.
        if any(gains) and gain < limit:
            return Uninformed(name, ago, gain, limit, start, fmean(swapped), fmean(own))
    return None


def _always_dead(looks):
    shares = [dict(look.dead) for look in looks]
    names = [name for name in shares[0] if all(name in other for other in shares)]
    return {name: min(other[name] for other in shares) for name in names}
