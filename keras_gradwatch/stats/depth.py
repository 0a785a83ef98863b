"""Layers whose scale at initialisation is off: what they put out fades or swells."""

from __future__ import annotations

from collections.abc import Iterator

from keras_gradwatch.findings.reading import GradientReading, LayerStats
from keras_gradwatch.findings.symptom import FadingScale, SwellingScale
from keras_gradwatch.stats.sighting import Case

# By how much hidden layers may change the scale of what the first one puts out. Over
# healthy trainings of the tests and untrained networks of keras.applications it was
# 2,300 at most (MobileNetV2 on inputs that are not scaled), over weights a thousandth
# or ten times as large as they should be 1e-14 and 5e+6.
CHANGE = 1e5
# A fading scale takes the gradient with it: that of the first layers is this share of
# the largest.
_GRADIENT = 1e-3
# A swelling one ends in outputs of this size, by which the first losses are as large.
_OUTPUT = 1e3


class Scales:
    """Looks at the first reading of a fit, if that begins at initialisation.

    It speaks at once: some steps later the weights are others, and what is said rests
    on two figures that agree, of the way forward and of what comes of it.

    Args:
        limit: By how much a scale may change.
    """

    def __init__(self, limit: float):
        self._limit = limit
        self._is_first = True

    def cases(self, reading: GradientReading) -> Iterator[Case]:
        """Takes a reading in, and says what of its scales is off.

        Args:
            reading: The newest reading.
        """
        is_fresh, self._is_first = self._is_first and not reading.step, False
        if not is_fresh:
            return
        # What puts out zeros is dead, not small.
        hidden = [
            one
            for one in reading.layers
            if one.has_kernel and not one.is_last and one.scale
        ]
        if len(hidden) > 1:
            yield from _fading(reading, hidden, self._limit)
            yield from _swelling(reading, hidden, self._limit)


def _fading(
    reading: GradientReading, hidden: list[LayerStats], limit: float
) -> Iterator[Case]:
    first, last = hidden[0], min(hidden[1:], key=lambda one: one.scale)
    change = last.scale / first.scale
    sizes = [v.norm for v in reading.variables]
    own = [v.norm for v in reading.variables if v.layer == first.layer]
    is_felt = bool(own) and max(own) < _GRADIENT * max(sizes, default=0.0)
    if change * limit < 1 and is_felt:
        found = FadingScale(last.layer, change, first.layer)
        yield Case(found, 1 / limit, rank=-change, at_once=True)


def _swelling(
    reading: GradientReading, hidden: list[LayerStats], limit: float
) -> Iterator[Case]:
    first, last = hidden[0], max(hidden[1:], key=lambda one: one.scale)
    change = last.scale / first.scale
    is_felt = any(one.is_last and one.scale > _OUTPUT for one in reading.layers)
    if change > limit and is_felt:
        found = SwellingScale(last.layer, change, first.layer)
        yield Case(found, limit, rank=change, at_once=True)
