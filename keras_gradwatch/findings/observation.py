"""What was seen of a set-up, as data; `sentences/setups.py` has the words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RIGHT, WRONG, LOOK, NOT_TOLD = "right", "wrong", "worth a look", "not told"
# The worst first.
STATES = (WRONG, LOOK, NOT_TOLD, RIGHT)


@dataclass(frozen=True)
class Observation:
    """One thing that was seen.

    Args:
        kind: Which, a key of `IN_DATA` or `IN_MODEL` in `sentences/`.
        state: What it means for the question, one of `STATES`.
        names: Of what it was seen: layers, weights, inputs, outputs, reasons.
        figures: The numbers, in the order of the sentence.
    """

    kind: str
    state: str
    names: tuple[str, ...] = ()
    figures: tuple[float, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Args:
        state: `"right"`, `"wrong"`, `"worth a look"` or `"not told"`: the worst of
            what was seen.
        observations: What was seen.
    """

    state: str
    observations: tuple[Observation, ...]


def answer(observations: Iterable[Observation]) -> Answer:
    """The answer that some observations make.

    Args:
        observations: At least one.
    """
    found = tuple(observations)
    state = min((o.state for o in found), key=STATES.index)
    return Answer(state, tuple(sorted(found, key=lambda o: STATES.index(o.state))))


def wrong(kind: str, names: Iterable[str] = (), *figures: float) -> Observation:
    """Something that is wrong."""
    return _seen(kind, WRONG, names, figures)


def look(kind: str, names: Iterable[str] = (), *figures: float) -> Observation:
    """Something that is worth a look."""
    return _seen(kind, LOOK, names, figures)


def right(kind: str, names: Iterable[str] = (), *figures: float) -> Observation:
    """Something that is right."""
    return _seen(kind, RIGHT, names, figures)


def not_told(kind: str, names: Iterable[str] = (), *figures: float) -> Observation:
    """Something that can't be told."""
    return _seen(kind, NOT_TOLD, names, figures)


def _seen(kind, state, names, figures):
    return Observation(kind, state, tuple(map(str, names)), tuple(map(float, figures)))
