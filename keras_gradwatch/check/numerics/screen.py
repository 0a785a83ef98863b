"""The cheapest question first: the gradients of many variables at once.

A sweep moves all variables of a group, each so far that it has an equal share in
the slope: a small gradient is not drowned by a large one. Whatever the slope is
off by is held against each variable in turn, as if all others were right. Only
where that is a match for every one of them the group is clean; else it is halved,
down to the variables that are to be looked at alone. Of a healthy model, two
losses a sweep say of each variable what a direction of its own would say. Variables
without influence, such as a bias before batch normalisation, don't disturb a sweep:
they come along in the last one, moved much further. Those whose gradient shows in
large steps alone are swept in such: that they agree there says as much; that they do
not, nothing.

It ends: a group is swept at most `MOST` times with at most one try for each of
`RETRIES`, each half is smaller than its group, and halving stops when the pairs of
losses that are affordable are spent.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.differences import LADDER
from keras_gradwatch.check.numerics.judgement import ZERO
from keras_gradwatch.check.numerics.loss_at_point import Problem
from keras_gradwatch.check.numerics.sweeping import (
    CLEARANCE,
    LARGEST,
    SMALL,
    Sweeper,
)


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
    sweeper = Sweeper(comparator)
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
    chosen = set(range(len(comparator.problem.sizes)) if among is None else among)
    near, far, quiet, silent, faint = (
        [k for k in group if k in chosen] for group in (*groups, faint)
    )
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
    if not single and not rest:  # else there is better use for the time
        items += sweeper.look_far(faint)
    still = {*quiet, *silent}
    proven = {
        i.direction.variable
        for i in items
        # A gradient that is not zero may be crossed by all directions so far.
        if (i.word == ZERO and i.direction.variable in still)
        or i.proves(comparator.tolerance)
    }
    clean = dict.fromkeys(i.direction.variable for i in items)
    suspects = [*single, *rest]
    unproven = [k for k in [*clean, *faint] if k not in proven and k not in suspects]
    return Screened(items, suspects, unproven)


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
