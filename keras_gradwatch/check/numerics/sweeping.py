"""Comparisons of all variables of a group in a few sweeps: see `screen`."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.differences import Slope
from keras_gradwatch.check.numerics.directions import (
    Direction,
    Sweep,
    draw_signs,
    norm_of,
)
from keras_gradwatch.check.numerics.judgement import MATCH, NOISY, ZERO
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.units import unit_of

# Independent sweeps over each group. In one, a wrong part may go unseen by chance. More
# of them, up to so many, where kinks ask for steps in which some slopes are lost, or
# where a gradient happens to cross the directions so far. A trade: more leave fewer
# variables doubtful, two losses each.
SWEEPS, MOST = 2, 5
# Along random signs the square of a slope is the square of the norm, on average; of a
# slope that is smaller than this share of it, noise hides more than of most. It is so
# along a quarter of all directions (the normal distribution), chosen.
CROSSES = 0.3
# How often signs are drawn anew: of three entries whose gradient sums up to zero, as of
# a bias before softmax, a quarter of all signs has no slope, and a 4^-8th of 8 draws.
REDRAWS = 8
# The range of steps, in units of each variable's scale: to move all variables at
# once takes small steps, for kinks are near. Gradients that show only in larger
# ones are swept apart from those that show in small ones. With variables scaled to an
# equal share, the relative error was measured as 2e-3 to 3e-2 at 1e-5 (a convolutional
# net, MobileNetV2), and below 2e-6 at 1e-9.
SMALLEST, SMALL, LARGEST = 1e-9, 1e-5, 1e-4
# As far as that for gradients that show in no smaller step: the loss bends on the way,
# by a share of the slope that is the square of a hundredth, times what its third
# derivative is to the first; the tolerance is a thousandth.
FARTHEST = 1e-2
# The first step and, where something is off there, others, as multiples of it: smaller
# ones for kinks, a larger one for noise.
RETRIES = (1.0, 0.1, 10.0, 0.01)
# The slope of each variable is to be so many times the round-off of differences: at a
# tolerance of 1e-3, a slope at the `DIRECTION_FLOOR` of 0.1, and the shortest length
# of 0.5, the faintest that counts still matches: 1 / (1e-3 * 0.1 * 0.5).
CLEARANCE = 2e4
# If as many of a group match, another step is not worth its price: what happens to
# have next to no slope along one sweep has one along the next. Fewer will do where
# larger steps are off: it is kinks that they pass over, if nothing is off in this one.
# Both are trades of losses against proofs, not measured.
ENOUGH, HALF = 0.8, 0.5
# A deviation that changes less than this from one step to the next is there: a mistake
# stays put, while what kinks do changes with the step. A trade, not measured.
STAYS = 0.1


@dataclass
class Clean:
    """Comparisons in which nothing is off.

    Args:
        items: The comparisons.
        doubtful: Variables that none of them proves, while something was off in
            larger steps.
    """

    items: list[SlopeComparison]
    doubtful: set[int] = field(default_factory=set)

    def __or__(self, other: Clean) -> Clean:
        items = self.items + other.items
        matching = {i.direction.variable for i in items if i.word == MATCH}
        return Clean(items, (self.doubtful | other.doubtful) - matching)


class Sweeper:
    """Compares all variables of a group in a few sweeps."""

    def __init__(self, comparator: Comparator):
        self.comparator, problem = comparator, comparator.problem
        self.problem = problem
        sizes = enumerate(problem.sizes)
        self.bound: Noise = functools.reduce(operator.or_, comparator.noise)
        self.noise = float(self.bound.at(problem.level))
        self.norms = {
            k: norm_of(g) for k, g in enumerate(problem.gradients) if g is not None
        }
        whole = [Direction(k, signs=np.ones(n, np.int8)) for k, n in sizes]
        self.units = [unit_of(problem, direction) for direction in whole]
        self.pairs = 0
        self.usual = 1.0  # the retry that was good last time

    def look(self, group: Sequence[int], idle: Sequence[int] = ()) -> Clean | None:
        """The comparisons of a group that is clean, None of one that is off.

        Args:
            group: Variables.
            idle: Others that, by their gradients, don't move the loss. They may be
                among the comparisons, too.
        """
        reach = {k: self.norms.get(k, 0) * self.units[k] for k in group}
        least = min(reach.values())
        if least and CLEARANCE * self.noise <= LARGEST * least:
            step = float(np.clip(CLEARANCE * self.noise / least, SMALLEST, LARGEST))
            shares = {k: least / reach[k] for k in group}
            return self._swept(group, shares, step, idle)
        items = self._still(group)
        return Clean(items) if items else None

    def look_far(self, group: Sequence[int]) -> list[SlopeComparison]:
        """The comparisons of variables that show in large steps; none if one is off.

        Args:
            group: Variables.
        """
        reach = {k: self.norms.get(k, 0.0) * self.units[k] for k in group}
        # A norm may also under- or overflow.
        needed = {k: CLEARANCE * self.noise / r for k, r in reach.items() if r}
        shown = [k for k, step in needed.items() if 0 < step <= FARTHEST]
        found: list[SlopeComparison] = []
        for _ in range(SWEEPS if shown else 0):
            sweep = self._draw(shown, needed, anew=True)
            _, items = self._compare(sweep, self._analytic(sweep), 1.0)
            if any(_is_off(item) for item in items):
                return []
            found += items
        return found

    def _swept(
        self,
        group: Sequence[int],
        shares: dict[int, float],
        step: float,
        idle: Sequence[int],
    ) -> Clean | None:
        """Compares along several sweeps; None if one of them is off."""
        found = Clean([])
        for sweep in range(MOST):
            if (
                sweep >= SWEEPS
                and not found.doubtful
                and not self._crosses(found, group)
            ):
                break
            one = None
            if idle and sweep == SWEEPS - 1:
                one = self._with_idle(group, shares, step, idle)
            one = one or self._steady(group, shares, step, anew=sweep >= SWEEPS)
            if one is None:
                return None
            found |= one
        return found

    def _crosses(self, found: Clean, group: Sequence[int]) -> bool:
        """Whether other directions may prove what these do not, of some variable."""
        own: dict[int, list[SlopeComparison]] = {k: [] for k in group}
        for item in found.items:
            own.get(item.direction.variable, []).append(item)
        return any(
            all(
                i.word == MATCH or abs(i.analytic) < CROSSES * self.norms[k]
                for i in items
            )
            for k, items in own.items()
            if not any(i.proves(self.comparator.tolerance) for i in items)
        )

    def _steady(
        self, group: Sequence[int], shares: dict[int, float], step: float, anew: bool
    ) -> Clean | None:
        """Compares along one sweep, at a step at which nothing is off; None if none."""
        sweep = self._draw(group, shares, anew)
        slopes = self._analytic(sweep)
        clean: dict[float, list[SlopeComparison]] = {}
        seen: dict[float, float] = {}
        for factor in dict.fromkeys([self.usual, *RETRIES]):
            off, items = self._compare(sweep, slopes, factor * step)
            if any(_is_off(item) for item in items):
                if not np.isfinite(off):  # or it raises: a smaller step may not
                    continue
                if any(abs(off - other) <= STAYS * abs(off) for other in seen.values()):
                    return None
                seen[factor] = off
            elif _matches(items) >= ENOUGH * len(items):
                self.usual = factor
                return Clean(items)
            else:
                clean[factor] = items
            for finer, tried in clean.items():
                if seen and self._tells(tried, finer * step, seen, finer):
                    self.usual = finer
                    lost = {i.direction.variable for i in tried if i.word != MATCH}
                    return Clean(tried, lost)
        # Noise must not hide what another step shows.
        if seen or not clean:
            return None
        return Clean(max(clean.values(), key=_matches))

    def _tells(
        self,
        items: Sequence[SlopeComparison],
        step: float,
        seen: dict[float, float],
        factor: float,
    ) -> bool:
        """Whether a clean step says that kinks are what is off in larger ones."""
        shows = 2 * self.noise / step <= min(map(abs, seen.values()))
        enough = _matches(items) >= HALF * len(items)
        return factor < min(seen) and shows and enough

    def _with_idle(
        self,
        group: Sequence[int],
        shares: dict[int, float],
        step: float,
        idle: Sequence[int],
    ) -> Clean | None:
        """Compares along one sweep that moves idle variables far; None unless clean."""
        step *= self.usual
        far = self._draw(idle, dict.fromkeys(idle, LARGEST / step))
        near = self._draw(group, shares)
        sweep = Sweep(near.parts + far.parts, near.lengths + far.lengths)
        _, items = self._compare(sweep, self._analytic(sweep), step)
        own, others = items[: len(group)], items[len(group) :]
        if (
            any(_is_off(item) for item in own)
            or any(item.word != ZERO for item in others)
            or _matches(own) < ENOUGH * len(own)
        ):
            return None
        return Clean(items)

    def _still(self, group: Sequence[int]) -> list[SlopeComparison] | None:
        """Compares variables that, by their gradients, don't move the loss."""
        sweep = self._draw(group, dict.fromkeys(group, 1.0))
        _, items = self._compare(sweep, self._analytic(sweep), LARGEST)
        exact = all(not np.any(self._gradient(k)) for k in group)
        for item in items:
            if item.word != ZERO or (exact and item.slope.numerical != 0):
                return None
        return items

    def _draw(
        self, group: Sequence[int], shares: dict[int, float], anew: bool = False
    ) -> Sweep:
        """Random signs, and lengths that are no multiples of one another.

        Two mistakes can then cancel out only by chance.

        Args:
            group: The variables.
            shares: How far each is moved, in its units.
            anew: Whether signs that a gradient crosses are drawn anew.
        """
        parts = [self._direction(k, REDRAWS if anew else 0) for k in group]
        spread = self.comparator.rng.uniform(0.5, 1.0, len(parts))
        lengths = [
            float(s * shares[k] * self.units[k])
            for s, k in zip(spread, group, strict=True)
        ]
        return Sweep(tuple(parts), tuple(lengths))

    def _direction(self, variable: int, redraws: int) -> Direction:
        size, norm = self.problem.sizes[variable], self.norms.get(variable, 0.0)
        direction = Direction(variable, signs=draw_signs(size, self.comparator.rng))
        slope = abs(direction.slope(self._gradient(variable))) if redraws else norm
        if slope >= CROSSES * norm:
            return direction
        return self._direction(variable, redraws - 1)

    def _gradient(self, variable: int) -> np.ndarray:
        gradient = self.problem.gradients[variable]
        return np.zeros(1) if gradient is None else gradient

    def _analytic(self, sweep: Sweep) -> list[float]:
        gradients = [self.problem.gradients[d.variable] for d in sweep.parts]
        return [
            0.0 if g is None else d.slope(g)
            for d, g in zip(sweep.parts, gradients, strict=True)
        ]

    def _compare(
        self, sweep: Sweep, slopes: Sequence[float], step: float
    ) -> tuple[float, list[SlopeComparison]]:
        """What the slope along a sweep is off by, and what that makes of each."""
        self.pairs += 1
        plus, minus = self.problem.losses([(sweep, step), (sweep, -step)])
        error = float(self.bound.at(plus, minus))
        off = (plus - minus) / (2 * step) - np.dot(sweep.lengths, slopes)
        items = []
        for part, length, analytic in zip(
            sweep.parts, sweep.lengths, slopes, strict=True
        ):
            k = part.variable
            slope = Slope(
                numerical=float(analytic + off / length),
                error_bar=error / (step * length),
                step=step * length,
                unit_roundoff=error / self.units[k],
            )
            known = analytic, self.norms.get(k, 0.0)
            items.append(self.comparator.judged(part, slope, known, len(sweep.parts)))
        return off, items


def _is_off(item: SlopeComparison) -> bool:
    return item.word not in (MATCH, NOISY, ZERO) or item.deviates


def _matches(items: Sequence[SlopeComparison]) -> int:
    return sum(item.word == MATCH for item in items)
