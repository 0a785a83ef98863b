"""The course that a loss takes: whether it jumps, rises, or stays where it is.

A training never gets the alarm for what healthy ones do. They fall and rise again by
some, their batches differ, a few of them by much, and most of them end on a plateau.
So each rule asks for two things: that a change can't be chance, and that it matters
beside what was learned so far. What a plateau means is not in the loss: there the
course only asks for a closer look (`plateau.diagnose`).

Each value costs a few comparisons. All else is done once for a block of values, from
their median and their median absolute deviation, which a few wild ones don't move.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from statistics import fmean, median, stdev

from keras_gradwatch.findings.alert import DIVERGING
from keras_gradwatch.findings.loss_symptom import BlowUp, LossSymptom, Rise, Spike
from keras_gradwatch.losses.page_test import PageTest
from keras_gradwatch.losses.rates import Rates

# Values in a block. A median of 32 is known to a fifth of the scale of the values.
BLOCK = 32
# From a median absolute deviation to the standard deviation of a normal distribution.
_TO_SIGMA = 1.4826

# A spike is so many times as far above the median as the highest of the last `_TOPS`
# blocks (256 values). With exponential tails the odds of three times that are 1e-7
# already; with tails so heavy that the variance is infinite, those of ten are 4e-5.
_SPIKE = 10.0
_TOPS = 8
# It also undoes so much of what was learned, and is so many times the median.
_UNDONE, _ABOVE = 0.25, 0.5
# Longer than so many values it is no spike, but a rise. Page's test has its turn.
LONGEST_SPIKE = 32

# The level may rise by half of what was learned, by half of its size, by twice the
# scale of the values, and by twice what it rose by from block to block so far. Beyond
# that so many values in a row, at least, are an alarm.
_PAGE = 32.0

# Growing from value to value so often in a row has odds of 1 in 9! by chance; and it
# is many times the first one, and the start, as no young network's loss becomes.
_RUN, _GROWTH, _BEYOND = 8, 100.0, 10.0
# One that overflows has less time to grow.
_LOST_RUN, _LOST_GROWTH = 2, 1000.0

# Where the learning rate was raised of late, a loss may rise up to where it began, and
# by half of that.
_EXCUSED = 0.5
# Blocks between notes of the rate. Not evenly, lest each falls on the same place of a
# cycle.
_RATE_GAPS = (5, 7, 11)

# Blocks on which a plateau is looked for (1024 values), and how much of the level a
# fall from their first half to their second must be, if it is not told by chance.
_PLATEAU = 32
_FALL = 0.01


class Course:
    """Listens to the losses of batches, and speaks when their course is odd.

    Args:
        name: Name of the loss, as it is logged.
        rates: Knows the learning rates.
        is_alone: Whether all of training makes this loss fall. Of losses that play
            against one another only jumps and blow-ups mean something.

    Attributes:
        level: Median of the last block; NaN before.
        scale: Scale of its values, as a standard deviation.
        start: Level of the first block.
        best: The lowest level so far, or since the learning rate was raised.
        wants_look: Whether a plateau should be looked at.
    """

    def __init__(self, name: str, rates: Rates, is_alone: bool):
        self.name = name
        self.level = self.scale = self.start = math.nan
        self.best = math.inf
        self.wants_look = False
        self._rates, self._is_alone = rates, is_alone
        self._block: list[float] = []
        self._blocks, self._steps, self._error = 0, 1, 0.0
        self._levels: deque[float] = deque(maxlen=_PLATEAU)
        self._scales: deque[float] = deque(maxlen=_TOPS)
        self._tops: deque[float] = deque(maxlen=_TOPS)
        self._next_rate, self._next_look, self._readings = 1, _PLATEAU, 0
        self._limit = math.inf
        self._page = PageTest(_PAGE, most=1.0)
        self._last, self._from, self._run = math.inf, math.inf, 0
        self._is_signed = False
        self._peak, self._above, self._spikes = -math.inf, 0, 0
        self._told: set[str] = set()

    def hear(
        self, value: float, steps: int = 1, error: float = 0.0
    ) -> Sequence[LossSymptom]:
        """Takes the loss of a batch in.

        Args:
            value: A finite loss.
            steps: How many steps it is the mean of.
            error: How far it may be off.

        Returns:
            What is odd now, and was not told yet.
        """
        found: Sequence[LossSymptom] = ()
        self._steps = steps
        if value > self._last:
            self._run += 1
            if self._run >= _RUN and self._has_blown_up(value, _GROWTH):
                found = self._blow_up(value, is_lost=False)
        else:
            self._run, self._from = 0, value
        self._last = value
        if value > self._limit or self._above:
            found = [*found, *self._spike(value)]
        if self._is_alone and self._page.hear(value):
            found = [*found, *self._rise(value)]
        if error > self._error:
            self._error = error
        block = self._block
        block.append(value)
        if len(block) == BLOCK:
            self._end_block()
        return found

    def lose(self) -> Sequence[LossSymptom]:
        """Tells that the loss is NaN or infinite."""
        if self._run < _LOST_RUN or not self._has_blown_up(self._last, _LOST_GROWTH):
            return ()
        return self._blow_up(self._last, is_lost=True)

    @property
    def plateau_steps(self) -> int:
        """For how many steps a plateau lasts at least, when it is to be looked at."""
        return len(self._levels) * BLOCK * self._steps

    def _has_blown_up(self, value, growth):
        if not self._blocks:
            self._is_signed = min(self._block, default=0.0) < 0
        start = self.start if self._blocks else median(self._block or [value])
        beyond = _BEYOND
        if self._is_signed:  # its size is no measure: it may come from near zero
            growth, beyond = growth**2, beyond**3
        return value > growth * abs(self._from) and value > beyond * abs(start)

    def _blow_up(self, value, is_lost):
        if DIVERGING in self._told:
            return ()
        self._told.add(DIVERGING)
        ago = self._run * self._steps
        first = self._from
        limit = _GROWTH * abs(first)
        return [BlowUp(self.name, ago, value, limit, first, ago, is_lost)]

    def _spike(self, value):
        """While a loss is too high, and when it has come back."""
        if value > self._limit:
            self._above += 1
            self._peak = max(self._peak, value)
            if self._above > LONGEST_SPIKE:
                self._above, self._peak = 0, -math.inf
                self._limit = math.inf  # till the end of the block
            return ()
        peak, count = self._peak, self._above
        self._above, self._peak = 0, -math.inf
        if self._is_excused(peak):
            return ()
        self._spikes += 1
        # The first, the tenth, the hundredth: who has many is told that there are many.
        if not math.log10(self._spikes).is_integer():
            return ()
        return [
            Spike(
                self.name,
                count * self._steps,
                peak,
                self._limit,
                self.level,
                max(self._tops),
                count * self._steps,
                self._spikes,
            )
        ]

    def _rise(self, value):
        ago, best = self._page.length * self._steps, self.best
        # From here on, against the level that it has come to.
        self.best = math.inf
        self._page.expect(math.inf, 1.0)
        if self._is_excused(value) or DIVERGING in self._told:
            return ()
        self._told.add(DIVERGING)
        limit = best + self._allowance(best)
        return [Rise(self.name, ago, value, limit, best, self.start)]

    def _is_excused(self, value):
        is_high = value > self.start + _EXCUSED * abs(self.start)
        return not is_high and self._rates.are_raised()

    def _allowance(self, best):
        learned = 0.5 * (self.start - best)
        levels = list(self._levels)
        moves = [b - a for a, b in itertools.pairwise(levels)]
        wander = 2 * max(moves, default=0.0)
        return max(2 * max(self._scales), wander, learned, 0.5 * abs(best))

    def _end_block(self):
        values = sorted(self._block)
        level = median(values)
        deviation = median(abs(value - level) for value in values)
        self.level = level
        self.scale = max(_TO_SIGMA * deviation, self._error)
        self._blocks += 1
        if self._blocks == 1:
            self.start = level
        self._is_signed = self._is_signed or values[0] < 0
        self._levels.append(level)
        self._scales.append(self.scale)
        self._tops.append(values[-1])
        self._block, self._error = [], 0.0
        is_best = level < self.best
        if is_best:
            if self.best < math.inf:
                self._told.discard(DIVERGING)
            self.best = level
        if is_best or not self._page.length:
            # A loss that is constant and zero leaves nothing to divide by.
            allowed = max(self._allowance(self.best), 1e-30)
            self._page.expect(self.best, allowed)
        if self._blocks >= 2 and not self._above:
            self._limit = level + self._spike_height(level)
        if self._blocks >= self._next_rate:
            gap = _RATE_GAPS[self._readings % len(_RATE_GAPS)]
            self._next_rate, self._readings = self._blocks + gap, self._readings + 1
            self._rates.note()
        if self._is_alone and self._blocks >= self._next_look and self._is_flat():
            self._next_look = 2 * self._blocks
            self.wants_look = True

    def _spike_height(self, level):
        highest = max(max(self._tops) - level, self.scale)
        undone = _UNDONE * (self.start - self.best) if self._is_alone else 0.0
        # A loss that is constant is no measure for another.
        return max(_SPIKE * highest, _ABOVE * abs(level), undone, 1e-30)

    def _is_flat(self):
        levels = list(self._levels)
        half = len(levels) // 2
        early, late = levels[:half], levels[half:]
        fall = fmean(early) - fmean(late)
        chance = math.hypot(stdev(early), stdev(late)) / math.sqrt(half)
        return fall < max(2 * chance, _FALL * abs(self.level))
