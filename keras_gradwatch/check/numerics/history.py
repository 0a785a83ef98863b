"""What the checks of one loss have seen so far, so that the next sees other things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from keras_gradwatch.check.numerics.beyond import Beyond
from keras_gradwatch.check.numerics.comparison import SlopeComparison
from keras_gradwatch.check.numerics.judgement import MATCH, MISMATCH, ZERO
from keras_gradwatch.check.numerics.noise import Noise
from keras_gradwatch.findings.pattern import ENTRY, SLICE, Pattern

_SEEN = (MATCH, MISMATCH, ZERO)


@dataclass(frozen=True)
class Failure:
    """How a variable was found wrong, so that it can be shown again.

    Args:
        entry: The entry along which it showed; None for any direction.
        step: The step at which it did.
        error: The relative error there.
        pattern: What the mistake looks like, if that is known.
        proven: The number of the check in which it was.
    """

    entry: int | None
    step: float
    error: float
    pattern: Pattern | None
    proven: int


class History:
    """Earlier checks of one loss.

    Args:
        sizes: Number of entries of each variable.

    Attributes:
        looks: How often each variable was looked at alone.
        checks: How many checks there were.
        failed: Variables that were wrong when they were last seen clearly.
        even: Variables that are right along symmetric changes, with the parity and a
            step that told it.
        pending: Variables that the last check suspected, and did not look at.
        beyond: What was found away from the point of variables of which all was zero
            there, too, by their positions.
    """

    def __init__(self, sizes: Sequence[int]):
        self.sizes = list(sizes)
        self.looks = [0] * len(sizes)
        self.checks = 0
        self.failed: dict[int, Failure] = {}
        self.even: dict[int, tuple[int, float]] = {}
        self.pending: set[int] = set()
        self.beyond: dict[int, Beyond] = {}
        self._whole = [False] * len(sizes)
        self._entries: list[set[int]] = [set() for _ in sizes]
        self._noise: tuple[Noise, float] | None = None  # and where it was measured

    def add(self, items: Iterable[SlopeComparison]) -> None:
        """Takes note of the comparisons of a check."""
        alone = set()
        for item in items:
            k = item.direction.variable
            if item.among == 1:
                alone.add(k)
            if item.word not in _SEEN:
                continue
            if item.direction.entry is not None:
                self._entries[k].add(item.direction.entry)
            else:
                self._whole[k] = True
        for k in alone:
            self.looks[k] += 1

    def learn(
        self,
        items: Sequence[SlopeComparison],
        patterns: Mapping[int, Pattern | None],
        pending: Iterable[int],
        even: Mapping[int, tuple[int, float]],
    ) -> None:
        """Takes note of what a check found.

        Args:
            items: Its comparisons.
            patterns: What mistakes look like.
            pending: Variables that it suspects, and did not look at.
            even: Variables that are right along symmetric changes, as in `even`.
        """
        self.checks += 1
        self.pending = set(pending)
        own: dict[int, list[SlopeComparison]] = {}
        for item in items:
            own.setdefault(item.direction.variable, []).append(item)
        for k, mine in own.items():
            wrong = [i for i in mine if i.word == MISMATCH]
            if wrong:
                self.failed[k] = _failure(wrong, patterns.get(k), self.checks)
            elif k in self.failed and _is_right(mine, self.sizes[k]):
                del self.failed[k]
        self.even = dict(even)

    def coverage(self, variable: int) -> float:
        """Share of the entries of a variable that any check has compared."""
        if self._whole[variable]:
            return 1.0
        return self.entries(variable) / max(1, self.sizes[variable])

    def entries(self, variable: int) -> int:
        """How many entries of a variable were compared singly."""
        return len(self._entries[variable])

    def least_seen(
        self, variables: Iterable[int], rng: np.random.Generator
    ) -> list[int]:
        """Variables in the order in which they are due, ties in random order."""
        order = [int(k) for k in rng.permutation(list(variables))]
        return sorted(order, key=lambda k: self.looks[k])

    def remember(self, noise: Noise, base: float) -> None:
        """Keeps how noisy the loss was at a value."""
        if base and np.isfinite(noise.floor):
            self._noise = noise, base

    def noise(self, base: float) -> Noise | None:
        """About how noisy the loss is at this value, if that was ever measured.

        With the root of the value, between two cases: the rounding of the value
        itself, and that of what cancels out in it, which stays as it is.
        """
        if self._noise is None:
            return None
        noise, measured = self._noise
        floor = float(noise.at(measured)) * np.sqrt(abs(base / measured))
        floor = max(floor, 2 * np.finfo(np.float64).eps * abs(base))
        return Noise(floor, floor / abs(base) if base else noise.share)


def _failure(
    wrong: Sequence[SlopeComparison], pattern: Pattern | None, check: int
) -> Failure:
    """The mismatch to look for again: any direction's, or that of the wrong part."""
    entries = [i for i in wrong if i.direction.is_coordinate]
    whole = [i for i in wrong if not i.direction.is_coordinate]
    is_part = pattern is not None and pattern.kind in (ENTRY, SLICE)
    chosen = entries if not whole or (is_part and entries) else whole
    worst = max(chosen, key=lambda i: i.judgement.relative_error or 0.0)
    return Failure(
        entry=worst.direction.entry,
        step=worst.slope.step,
        error=worst.judgement.relative_error or 0.0,
        pattern=pattern,
        proven=check,
    )


def _is_right(items: Sequence[SlopeComparison], size: int) -> bool:
    """Whether a variable is right, as a whole or in each of its entries."""
    right = [i for i in items if i.word == MATCH]
    if any(not i.direction.is_coordinate and not i.deviates for i in right):
        return True
    return len({i.direction.entry for i in right}) == size
