"""The whole comparison: screen, look, look closely, confirm, locate, explain."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from keras_gradwatch.check.numerics.anew import Anew, prove_anew
from keras_gradwatch.check.numerics.beyond import Beyond, is_open, look_beyond
from keras_gradwatch.check.numerics.bisection import locate
from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.confirm import confirm
from keras_gradwatch.check.numerics.differences import LADDER
from keras_gradwatch.check.numerics.directions import Direction
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.judgement import MISMATCH
from keras_gradwatch.check.numerics.looks import first_looks, look_again, second_looks
from keras_gradwatch.check.numerics.loss_at_point import Problem
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.check.numerics.patterns import find_pattern, still_fits
from keras_gradwatch.check.numerics.plan import Clock, Draws, Plan, choose
from keras_gradwatch.check.numerics.plateaus import with_stairs
from keras_gradwatch.check.numerics.screen import Screened, screen
from keras_gradwatch.check.numerics.symmetric import Even, along_symmetric
from keras_gradwatch.findings.pattern import Pattern
from keras_gradwatch.findings.text import counted

# What a close look and what follows from it costs, in pairs of losses: one here, one
# nearby, and as much for the search.
CLOSE_LOOK = 3 * len(LADDER)
# What the search for one entry costs: log2(1e6) = 20 pairs, and one close look of 17.
SEARCH = 40
# Share of the time left that first looks may take: what they find may ask for more.
# A trade: the more they take, the more is compared, and the less of it is settled.
FIRST = 0.8


@dataclass(frozen=True)
class Found:
    """What a comparison found.

    Args:
        items: All comparisons.
        patterns: What the mistake of a variable looks like, where that is known.
        pending: Variables whose group is off in the screen, or that looked wrong
            at first sight, and that were not looked at closely.
        symmetric: Variables that were compared along symmetric changes alone.
        known: Variables that an earlier check found wrong, and of which this one shows
            neither that nor that they are right.
        beyond: What was found away from the point, of variables of which nothing
            shows there.
        stairs: How high the stairs of the loss are, where such were found.
    """

    items: list[SlopeComparison]
    patterns: dict[int, Pattern | None] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    symmetric: dict[int, Even] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    beyond: dict[int, Beyond] = field(default_factory=dict)
    stairs: float = 0.0

    def of(self, variable: int) -> list[SlopeComparison]:
        """The comparisons of one variable."""
        return [i for i in self.items if i.direction.variable == variable]


def compare(
    problem: Problem,
    shapes: Sequence[Sequence[int]],
    plan: Plan,
    past: History,
    clock: Clock,
    rng: np.random.Generator,
    tell: Callable[..., None] = lambda doing, variables=None: None,
    is_symmetric: Callable[[int], bool] = lambda variable: False,
) -> Found:
    """Compares the gradients of all variables, as far as the time allows.

    What earlier checks found wrong is proven anew, and needs no other look. All other
    variables are screened in any case, and at least one that the screen
    suspects is looked at alone. What time is left goes to the variables that were
    looked at least so far.

    Args:
        problem: The loss and its analytic gradient.
        shapes: Shape of each variable.
        plan: How much to compare at most.
        past: Earlier checks of this loss; takes note of this one.
        clock: Tells how many pairs of losses there is time for.
        rng: Source of randomness.
        tell: Called with what comes next, in a few words, and of how many variables
            one by one.
        is_symmetric: Asked of a variable that looks wrong: whether that is because its
            gradient is one for symmetric changes, by what is known of the code.

    Returns:
        What was `Found`.
    """
    comparing = _Comparing(problem, shapes, plan, past, clock, rng, tell, is_symmetric)
    drawn = Draws(problem, plan, rng)
    # First of all asks the clock, which then times one loss if none was timed yet.
    is_roomy = drawn.count() <= clock.pairs()
    again = comparing.prove_anew(is_roomy)
    screened = comparing.screen(is_roomy, again.settled)
    affordable, spare = FIRST * clock.pairs(), FIRST * clock.usual_pairs()
    if is_roomy:
        affordable = math.inf
    settled = again.settled
    directions = choose(drawn, screened, past, affordable, spare, rng, settled)
    found = comparing.with_known(comparing.look_alone(directions, screened), again)
    past.add(found.items)
    past.learn(found.items, found.patterns, found.pending, found.symmetric)
    wrong = _wrong(found.items)
    known = {k for k in past.failed if k not in wrong}
    return replace(found, known=known, beyond=comparing.look_beyond(found))


@dataclass(frozen=True, eq=False)
class _Comparing:
    """The steps of one comparison, in their order; the fields are as in `compare`."""

    problem: Problem
    shapes: Sequence[Sequence[int]]
    plan: Plan
    past: History
    clock: Clock
    rng: np.random.Generator
    tell: Callable[..., None]
    is_symmetric: Callable[[int], bool]

    def prove_anew(self, is_roomy: bool) -> Anew:
        """Looks at what earlier checks found wrong."""
        past = self.past
        if not past.failed and not past.even:
            return Anew()
        known = sorted({*past.failed, *past.even})
        several = counted(len(known), "variable")
        self.tell(f"looking again at {several}", len(known))
        comparator = self._comparator(self._noise(known))
        affordable = math.inf if is_roomy else FIRST * self.clock.pairs()
        return prove_anew(comparator, self.shapes, past, affordable)

    def with_known(self, found: Found, again: Anew) -> Found:
        """Adds what was proven anew, its patterns not searched for where they fit."""
        patterns = dict(found.patterns)
        for k in sorted(again.wrong):
            own = [i for i in again.items if i.direction.variable == k]
            known, gradient = self.past.failed[k].pattern, self.problem.gradients[k]
            if known and still_fits(known, gradient, self.shapes[k], own[0]):
                patterns[k] = known
            elif self.clock.pairs() > 0:
                comparator = self._comparator(self._noise([k]))
                patterns[k] = find_pattern(comparator, k, self.shapes[k], own)
        even = {k: self.past.even[k] for k in again.even}
        items = [*again.items, *found.items]
        return replace(
            found, items=items, patterns=patterns, symmetric={**found.symmetric, **even}
        )

    def screen(self, is_roomy: bool, settled: Collection[int]) -> Screened:
        """The screen, with noise as it is remembered.

        Where that is off, noise is measured, and groups are halved, unless there is
        time to look at each variable anyway.
        """
        everyone = [k for k in range(len(self.problem.sizes)) if k not in settled]
        if not everyone:
            return Screened([], [], [])
        if not self.problem.is_precise:  # noise asks for steps that cross many kinks
            return Screened([], [], everyone)
        self.tell("screening all variables at once")
        screened = screen(self._comparator(self._noise(everyone)), 0, everyone)
        if is_roomy or not screened.suspects:
            return screened
        # Once more: by chance a sweep may pass over kinks that others don't.
        comparator = self._comparator(self._measured(everyone))
        screened = screen(comparator, 0, everyone)
        if not screened.suspects:
            return screened
        self.clock.suspect()
        return screen(comparator, self.clock.pairs() / 2, everyone)

    def look_alone(self, directions: Sequence[Direction], screened: Screened) -> Found:
        """Looks at variables one by one, and adds that to what was screened."""
        pending = set(screened.suspects)
        if not directions:
            return Found(list(screened.items), pending=pending)
        variables = _variables(directions)
        noise = self._remembered()
        is_fresh = noise is None or bool(pending) or self.clock.pairs() == math.inf
        if noise is None or is_fresh:
            self.tell("measuring the noise of the loss")
            noise = self._measured(variables)
        comparator = self._comparator(noise)
        self.tell(f"comparing {counted(len(variables), 'variable')}", len(variables))
        items, unclear = first_looks(comparator, directions)
        items, unclear = look_again(comparator, items, unclear, self.clock.pairs())
        closely = self._close_looks(items, unclear)
        if closely >= 1 and unclear and not is_fresh:  # not by a noise of the past
            comparator = self._comparator(self._measured(variables))
        stairs = 0.0
        if self.problem.is_precise and unclear:
            comparator, stairs, again = with_stairs(comparator, items, unclear)
            items, unclear = self._past_stairs(comparator, items, unclear, again)
        left_out: list[SlopeComparison] = []
        if unclear:
            items, left_out = self._look_closely(comparator, items, unclear, closely)
        items, symmetric = self._settle(comparator, items)
        wrong = _wrong(items)
        pending -= {i.direction.variable for i in items}
        pending |= _wrong(left_out) - wrong
        # Lost in noise, and not worth a close look: they were compared all the same.
        items += [item for item in left_out if item.is_faint]
        patterns = self._patterns(comparator, items, sorted(wrong))
        found = [*items, *screened.items]
        return Found(found, patterns, pending, symmetric, stairs=stairs)

    def _past_stairs(
        self,
        comparator: Comparator,
        items: list[SlopeComparison],
        unclear: list[int],
        again: list[int],
    ) -> tuple[list[SlopeComparison], list[int]]:
        """Compares anew, with larger steps, where the loss turned out to be rounded."""
        if not again:
            return items, unclear
        self.tell("looking past rounding inside the loss")
        found, still = first_looks(comparator, [items[i].direction for i in again])
        found, still = look_again(comparator, found, still, self.clock.pairs())
        for i, item in zip(again, found, strict=True):
            items[i] = item
        unclear = [i for i in unclear if i not in again]
        return items, sorted([*unclear, *(again[i] for i in still)])

    def look_beyond(self, found: Found) -> dict[int, Beyond]:
        """Looks away from the point at variables of which nothing shows there."""
        problem, tolerance = self.problem, self.plan.tolerance
        variables = [
            k
            for k in range(len(problem.sizes))
            if k not in found.pending and is_open(problem, k, found.of(k), tolerance)
        ]
        known = {k: self.past.beyond[k] for k in variables if k in self.past.beyond}
        new = [k for k in variables if k not in known]
        if not new:
            return known
        several = counted(len(new), "variable")
        self.tell(f"looking beyond the point at {several}", len(new))
        everyone = list(range(len(problem.sizes)))
        comparator = self._comparator(self._noise(everyone))
        beyond = look_beyond(comparator, new, self.shapes, self.clock.pairs())
        self.past.beyond |= {k: b for k, b in beyond.items() if b.is_settled}
        return known | beyond

    def _close_looks(
        self, items: Sequence[SlopeComparison], unclear: Sequence[int]
    ) -> float:
        """How many close looks there is time for.

        At least one, unless all that is unclear is merely faint.
        """
        least = not all(items[i].is_faint for i in unclear)
        return max(least, self.clock.pairs() / CLOSE_LOOK)

    def _look_closely(
        self,
        comparator: Comparator,
        items: Sequence[SlopeComparison],
        unclear: Sequence[int],
        affordable: float,
    ) -> tuple[list[SlopeComparison], list[SlopeComparison]]:
        """Close looks at what is unclear: what they make clear, and what is left."""
        suspects = len(_variables([items[i].direction for i in unclear]))
        several = counted(suspects, "variable")
        self.tell(f"looking closely at {several}", suspects)
        return second_looks(comparator, items, unclear, affordable)

    def _settle(
        self, comparator: Comparator, items: Sequence[SlopeComparison]
    ) -> tuple[list[SlopeComparison], dict[int, Even]]:
        """Confirms what is wrong, and looks for the entries where it is.

        Returns:
            The comparisons, and of which variables they are along symmetric changes
            alone.
        """
        wrong = len(_wrong(items))
        if wrong:
            several = counted(wrong, "variable")
            self.tell(f"looking at what is wrong with {several}", wrong)
        items, symmetric = confirm(comparator, items), {}
        for k in sorted(_wrong(items)):
            own = [i for i in items if i.direction.variable == k]
            if even := along_symmetric(
                comparator, own, k, self.shapes[k], self.is_symmetric
            ):
                own, symmetric[k] = even
                items = [i for i in items if i.direction.variable != k] + own
        searches = max(1, self.clock.pairs() / SEARCH)
        return items + locate(comparator, items, searches), symmetric

    def _patterns(
        self,
        comparator: Comparator,
        items: Sequence[SlopeComparison],
        wrong: Sequence[int],
    ) -> dict[int, Pattern | None]:
        """What the mistakes look like: the first in any case, others in time."""
        patterns: dict[int, Pattern | None] = {}
        for k in wrong:
            own = [i for i in items if i.direction.variable == k]
            if not patterns or self.clock.pairs() > 0:
                patterns[k] = find_pattern(comparator, k, self.shapes[k], own)
        return patterns

    def _comparator(self, noise: Sequence[Noise]) -> Comparator:
        return Comparator(self.problem, noise, self.plan.tolerance, self.rng)

    def _noise(self, variables: Sequence[int]) -> list[Noise]:
        """The noise as it is remembered; else that of some variables, measured here."""
        return self._remembered() or self._measured(variables)

    def _remembered(self) -> list[Noise] | None:
        """The noise of each variable, as an earlier check measured it."""
        noise = self.past.noise(self.problem.level)
        return None if noise is None else [noise] * len(self.problem.sizes)

    def _measured(self, variables: Sequence[int]) -> list[Noise]:
        """The noise of some variables, measured here, and remembered."""
        self.problem.assert_repeatable()
        noise = self.problem.noise(variables)
        if self.problem.is_precise:
            self.past.remember(noise[0], self.problem.level)
        return noise


def _variables(directions: Iterable[Direction]) -> list[int]:
    return sorted({d.variable for d in directions})


def _wrong(items: Iterable[SlopeComparison]) -> set[int]:
    """The variables with a mismatch."""
    return {i.direction.variable for i in items if i.word == MISMATCH}
