"""Which examples of a batch are to blame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_gradwatch.findings.text import some_of

_MOST = 8


@dataclass(frozen=True)
class Blame:
    """Examples that are to blame, and how that is known.

    Args:
        examples: Their indices, None if it is the batch as a whole.
        note: A sentence.
    """

    examples: tuple[int, ...] | None
    note: str


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
        return Blame((0,), "The batch has one example.")
    hint = sorted(set(hint))
    if 0 < len(hint) < count:
        rest = _without(range(count), hint)
        if fails(hint[:1]) and not fails(rest) and not fails(rest[:1]):
            return _named(hint, count)
    tried = sorted({0, count // 2, count - 1})
    if all(fails([k]) for k in tried):
        return Blame(
            None,
            "No single example is to blame: each that was tried alone "
            f"({some_of(tried, len(tried))} of {count}) gives the same.",
        )
    found: list[int] = []
    rest = list(range(count))
    while len(found) < _MOST and rest and (not found or fails(rest)):
        one = _smallest(rest, fails)
        if len(one) > 1:
            break
        found += one
        rest = _without(rest, one)
    if not found:
        return Blame(
            None,
            f"No example alone gives the same: the batch of {count} as a whole does.",
        )
    if not rest or not fails(rest):
        return _named(sorted(found), count)
    return Blame(
        tuple(sorted(found)),
        f"Examples {some_of(sorted(found), _MOST)} of the batch of {count}, and "
        "others, give the same alone.",
    )


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


def _named(found, count):
    if len(found) == 1:
        text = (
            f"Example {found[0]} of the batch of {count} is to blame: alone it gives "
            "the same, and without it the batch does not."
        )
    else:
        text = (
            f"Examples {some_of(found, _MOST)} of the batch of {count} are to blame: "
            "without them the batch does not give it."
        )
    return Blame(tuple(found), text)


def _without(rows, some):
    some = set(some)
    return [k for k in rows if k not in some]
