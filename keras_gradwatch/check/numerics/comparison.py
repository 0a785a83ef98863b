"""One comparison of an analytic slope with a numerical one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics.differences import FINE, Slope
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.judgement import (
    MATCH,
    NOISY,
    ZERO,
    Judgement,
    has_teeth,
)


@dataclass(frozen=True, eq=False)
class SlopeComparison:
    """One direction, the two slopes along it, and the word for them.

    Args:
        direction: Along what the loss was differentiated.
        analytic: The slope that the analytic gradient implies.
        slope: The numerical slope. Where several variables were moved at once, what
            is left of the whole if all others are right.
        judgement: What came of comparing the two.
        floor: Size below which `analytic` was not taken as its own measure.
        roundoff: How far round-off may have moved `analytic`.
        among: How many variables were moved at once.
    """

    direction: Direction
    analytic: float
    slope: Slope
    judgement: Judgement
    floor: float
    roundoff: float = 0.0
    among: int = 1

    @property
    def word(self) -> str:
        """The word of the judgement."""
        return self.judgement.word

    @property
    def deviation(self) -> float:
        """The numerical slope less the analytic one."""
        return self.slope.numerical - self.analytic

    @property
    def share(self) -> float:
        """The deviation relative to the numerical slope, with its sign."""
        return float(self.deviation * np.sign(self.slope.numerical))

    @property
    def is_fine(self) -> bool:
        """Whether the deviation is no work of kinks that steps pass over."""
        sharp = 100 * self.slope.error_bar <= abs(self.deviation)
        return sharp and self.slope.shows(self.analytic, FINE)

    @property
    def is_faint(self) -> bool:
        """Whether the slope is lost in noise: nothing known speaks against it."""
        return self.word in (NOISY, ZERO)

    @property
    def deviates(self) -> bool:
        """Whether a direction is off by more than its error bar can explain.

        Finer than the tolerance: one wrong entry among many is a small part of the
        whole gradient, and still wrong. Asked of directions, not of coordinates.
        """
        slope = self.slope
        if not np.isfinite(slope.numerical) or slope.jump or slope.kink:
            return False
        scale = max(abs(self.analytic), self.floor) + abs(slope.numerical)
        # A share of one entry of typical size, among as many as there are.
        share = 0.05 / np.sqrt(self.direction.signs.size)
        return bool(abs(self.deviation) > share * scale + 2 * slope.error_bar)

    def has_teeth(self, tolerance: float) -> bool:
        """Whether this comparison would have caught a spoilt gradient.

        Args:
            tolerance: Largest relative error that still is a match.
        """
        return has_teeth(
            self.analytic, self.slope, tolerance, self.floor, self.roundoff
        )

    def proves(self, tolerance: float) -> bool:
        """Whether this comparison shows that a gradient is right.

        Args:
            tolerance: Largest relative error that still is a match.
        """
        return self.word == MATCH and self.has_teeth(tolerance)
