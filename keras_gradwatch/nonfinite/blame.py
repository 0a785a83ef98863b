"""Which examples of a batch are to blame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_gradwatch.findings.examples import (
    AMONG_OTHERS,
    EACH,
    ONLY,
    THESE,
    TOGETHER,
    Blame,
)

# Examples that are looked for one by one: as many as fit on a line. In a batch of 32
# each takes 11 replays at most, two for each halving.
_MOST = 8


def rows_of(chosen: Sequence[int], count: int) -> list[int]:
    """Which example to put in each place of a batch, so that only some are in it.

    Each stays in its place, where it is met by the same random draws; the others
    are overwritten.
    """
    stays, chosen = set(chosen), list(chosen)
    return [i if i in stays else chosen[i % len(chosen)] for i in range(count)]


def blame(count: int, hint: Sequence[int], fails: Callable) -> Blame:
    """Finds the examples that are to blame, by bisection.

    Args:
        count: How many examples the batch has.
        hint: Examples in whose rows something is not finite, if that is known.
        fails: Takes indices of examples; whether the step fails when the batch is
            made of these only.
    """
    if count == 1:
        return Blame(ONLY, (0,), count)
    hint = sorted(set(hint))
    if 0 < len(hint) < count:
        rest = _without(range(count), hint)
        if fails(hint[:1]) and not fails(rest) and not fails(rest[:1]):
            return Blame(THESE, tuple(hint), count)
    tried = sorted({0, count // 2, count - 1})
    if all(fails([k]) for k in tried):
        return Blame(EACH, None, count, tuple(tried))
    found: list[int] = []
    rest = list(range(count))
    while len(found) < _MOST and rest and (not found or fails(rest)):
        one = _smallest(rest, fails)
        if len(one) > 1:
            break
        found += one
        rest = _without(rest, one)
    if not found:
        return Blame(TOGETHER, None, count)
    others_fail = bool(rest) and fails(rest)
    kind = AMONG_OTHERS if others_fail else THESE
    return Blame(kind, tuple(sorted(found)), count)


def _smallest(rows, fails):
    """Halves what fails, until it is one example or no half fails by itself."""
    while len(rows) > 1:
        half = len(rows) // 2
        rows, old = (
            next((part for part in (rows[:half], rows[half:]) if fails(part)), None),
            rows,
        )
        if rows is None:
            return old
    return rows


def _without(rows, some):
    some = set(some)
    return [k for k in rows if k not in some]
