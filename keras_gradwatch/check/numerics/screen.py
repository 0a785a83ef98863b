"""The cheapest question first: the gradients of many variables at once.

A sweep moves all variables of a group, each so far that it has an equal share in
the slope: a small gradient is not drowned by a large one. Whatever the slope is
off by is held against each variable in turn, as if all others were right. Only
where that is a match for every one of them the group is clean; else it is halved,
down to the variables that are to be looked at alone. Of a healthy model, two
losses a sweep say of each variable what a direction of its own would say. Variables
without influence, such as a bias before batch normalisation, don't disturb a sweep:
they come along in the last one, moved much further.

It ends: a group is swept at most `MOST` times with at most one try for each of
`RETRIES`, each half is smaller than its group, and halving stops when the pairs of
losses that are affordable are spent.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.differences import LADDER, Slope
from keras_gradwatch.check.numerics.directions import (
    Direction,
    Sweep,
    draw_signs,
    norm_of,
)
from keras_gradwatch.check.numerics.judgement import MATCH, NOISY, ZERO
from keras_gradwatch.check.numerics.loss_at_point import Problem
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


@dataclass(frozen=True)
class Screened:
    """What the screen found.

    Args:
        items: Comparisons of variables in clean groups, as if along a direction
            of each variable alone; of each variable, one a sweep.
        suspects: Variables of groups that are off, those singled out first.
        unproven: Other variables of which the screen proves nothing.
    """

    items: list[SlopeComparison]
    suspects: list[int]
    unproven: list[int]


def screen(
    comparator: Comparator,
    affordable: float = np.inf,
    among: Collection[int] | None = None,
) -> Screened:
    """Sweeps over all variables, and halves the groups that are off.

    Args:
        comparator: What compares. If its noise is too small, healthy groups look as
            if they were off, never the other way round.
        affordable: Pairs of losses to spend on halving.
        among: The variables; all of them if None.

    Returns:
        A `Screened`. All of a group that was not halved is suspect.
    """
    sweeper = _Sweeper(comparator)
    items: list[SlopeComparison] = []
    single: list[int] = []
    rest: list[int] = []
    halves: list[list[int]] = []

    def look(group: list[int], idle: Sequence[int] = ()) -> None:
        found = sweeper.look(group, idle)
        if found is not None:
            items.extend(found.items)
            single.extend(found.doubtful)
        elif len(group) == 1:
            single.extend(group)
        else:
            middle = len(group) // 2
            # The later half first: near the loss, fewer are wrong.
            halves.extend([group[middle:], group[:middle]])

    groups, faint = _groups(
        comparator.problem, sweeper.units, sweeper.norms, sweeper.noise
    )
    if among is not None:
        near, far, quiet, silent = ([k for k in g if k in among] for g in groups)
        faint = [k for k in faint if k in among]
    else:
        near, far, quiet, silent = groups
    for group in (near, far, quiet, silent):
        seen = {i.direction.variable for i in items}
        if group and not seen.issuperset(group):
            look(group, [k for k in quiet if k not in seen] if group is near else ())
    while halves:
        group = halves.pop(0)
        if affordable <= 0:
            rest += group
            continue
        before = sweeper.pairs
        look(group)
        affordable -= sweeper.pairs - before
    still = {*quiet, *silent}
    proven = {
        i.direction.variable
        for i in items
        # A gradient that is not zero may be crossed by all directions so far.
        if (i.word == ZERO and i.direction.variable in still)
        or _is_proof(i, comparator.tolerance)
    }
    clean = dict.fromkeys(i.direction.variable for i in items)
    suspects = [*single, *rest]
    unproven = [k for k in [*clean, *faint] if k not in proven and k not in suspects]
    return Screened(items, suspects, unproven)


def _is_proof(item: SlopeComparison, tolerance: float) -> bool:
    return item.word == MATCH and item.has_teeth(tolerance)


def _groups(
    problem: Problem,
    units: Sequence[float],
    norms: dict[int, float],
    error: float,
) -> tuple[tuple[list[int], list[int], list[int], list[int]], list[int]]:
    """Groups to sweep over, and variables too faint for any of them.

    Those with a gradient to see in small steps; in larger steps; zero up to
    round-off; and exactly zero or None.
    """
    near: list[int] = []
    far: list[int] = []
    quiet: list[int] = []
    silent: list[int] = []
    faint: list[int] = []
    roundoff = problem.roundoff
    for k, gradient in enumerate(problem.gradients):
        norm = norms.get(k, 0.0)
        if not norm and (gradient is None or not np.any(gradient)):
            silent.append(k)
            continue
        if not norm or not np.isfinite(norm):  # a norm may also under- or overflow
            faint.append(k)
            continue
        needed = CLEARANCE * error / (norm * units[k])
        if needed <= SMALL:
            near.append(k)
        elif needed <= LARGEST:
            far.append(k)
        elif needed <= CLEARANCE * LADDER[0]:  # a large step may show it
            (faint if norm > roundoff * np.sqrt(problem.sizes[k]) else quiet).append(k)
        else:
            quiet.append(k)
    return (near, far, quiet, silent), faint


@dataclass
class _Clean:
    """Comparisons in which nothing is off.

    Args:
        items: The comparisons.
        doubtful: Variables that none of them proves, while something was off in
            larger steps.
    """

    items: list[SlopeComparison]
    doubtful: set[int] = field(default_factory=set)

    def __or__(self, other: _Clean) -> _Clean:
        items = self.items + other.items
        matching = {i.direction.variable for i in items if i.word == MATCH}
        return _Clean(items, (self.doubtful | other.doubtful) - matching)


class _Sweeper:
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

    def look(self, group: Sequence[int], idle: Sequence[int] = ()) -> _Clean | None:
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
        return _Clean(items) if items else None

    def _swept(
        self,
        group: Sequence[int],
        shares: dict[int, float],
        step: float,
        idle: Sequence[int],
    ) -> _Clean | None:
        """Compares along several sweeps; None if one of them is off."""
        found = _Clean([])
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

    def _crosses(self, found: _Clean, group: Sequence[int]) -> bool:
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
            if not any(_is_proof(i, self.comparator.tolerance) for i in items)
        )

    def _steady(
        self, group: Sequence[int], shares: dict[int, float], step: float, anew: bool
    ) -> _Clean | None:
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
                return _Clean(items)
            else:
                clean[factor] = items
            for finer, tried in clean.items():
                if seen and self._tells(tried, finer * step, seen, finer):
                    self.usual = finer
                    lost = {i.direction.variable for i in tried if i.word != MATCH}
                    return _Clean(tried, lost)
        # Noise must not hide what another step shows.
        if seen or not clean:
            return None
        return _Clean(max(clean.values(), key=_matches))

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
    ) -> _Clean | None:
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
        return _Clean(items)

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
