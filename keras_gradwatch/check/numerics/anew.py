"""What failed before is proven anew, by one direction each.

A known failure is neither screened nor searched for again: one pair of losses along
the direction that showed it, at the step that did, tells whether it is still there.
What that does not tell gets a close look, and what is right by now goes through the
check as all others do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from keras_gradwatch.check.numerics.comparator import Comparator
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.directions import Direction, draw_signs
from keras_gradwatch.check.numerics.history import Failure, History
from keras_gradwatch.check.numerics.judgement import MATCH, MISMATCH
from keras_gradwatch.check.numerics.screen import screen
from keras_gradwatch.check.numerics.symmetric import symmetric

# A failure is the one that is known if it is at least this share of what it was: what
# kinks do to a gradient that is right by now is smaller. A trade, not measured.
_ALIKE = 0.1


@dataclass(frozen=True)
class Anew:
    """What became of what earlier checks found.

    Args:
        items: Comparisons made now.
        wrong: Variables that are wrong again.
        even: Variables that are right again along symmetric changes.
        left: Variables whose failure was neither seen nor refuted: there was no time
            to look at each, and a sweep over them does not prove them right.
    """

    items: list[SlopeComparison] = field(default_factory=list)
    wrong: set[int] = field(default_factory=set)
    even: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)

    @property
    def settled(self) -> set[int]:
        """Variables that need no other look in this check."""
        return self.wrong | self.even | self.left


def prove_anew(
    comparator: Comparator,
    shapes: Sequence[Sequence[int]],
    past: History,
    affordable: float,
) -> Anew:
    """Looks at what earlier checks found wrong, least recently proven first.

    Args:
        comparator: What compares.
        shapes: Shape of each variable.
        past: The earlier checks.
        affordable: Pairs of losses for it; one failure is looked at in any case.
    """
    found = Anew()
    order = sorted(past.failed, key=lambda k: past.failed[k].proven)
    count = int(min(len(order), max(1, affordable)))
    for k in order[:count]:
        item = _again(comparator, k, past.failed[k])
        found.items.append(item)
        if item.word == MISMATCH:
            found.wrong.add(k)
    for k, (parity, step) in past.even.items():
        signs = draw_signs(comparator.problem.sizes[k], comparator.rng)
        way = symmetric(Direction(k, signs=signs), shapes[k], parity)
        [item] = comparator.at_one_step([way], [step])
        if item.word == MATCH and not item.deviates:
            found.items.append(item)
            found.even.add(k)
    rest = order[count:]
    if rest:
        swept = screen(comparator, 0, rest)
        found.items.extend(swept.items)
        found.left.update(swept.suspects, swept.unproven)
    return found


def _again(comparator: Comparator, variable: int, known: Failure) -> SlopeComparison:
    """Compares along one direction: at one step and, if that tells nothing, at all."""
    signs = draw_signs(comparator.problem.sizes[variable], comparator.rng)
    way = Direction(variable, signs=signs)
    if known.entry is not None:
        way = Direction(variable, entry=known.entry)
    [item] = comparator.at_one_step([way], [known.step])
    error = item.judgement.relative_error or 0.0
    is_alike = item.word == MISMATCH and error >= _ALIKE * known.error
    is_right = item.word == MATCH and (way.is_coordinate or not item.deviates)
    return item if is_alike or is_right else comparator.at_all_steps([way])[0]
