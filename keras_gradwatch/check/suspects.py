"""Where a mistake stands: the operations whose backward pass is wrong by itself."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.by_itself import pattern_of
from keras_gradwatch.check.numerics.guilt import (
    DIRECTIONS,
    SIGNED_STEPS,
    guilty,
    slopes_of,
)
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.terms import wrong_term
from keras_gradwatch.findings.causes import Mismatch
from keras_gradwatch.findings.notes import LookHere
from keras_gradwatch.findings.pattern import ZERO, Pattern
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL
from keras_gradwatch.replica.lift.shares import Shares, Step
from keras_gradwatch.replica.spots import place_of

logger = logging.getLogger("keras_gradwatch")

# How many operations are cut out, to see what their mistakes look like: as many as a
# note shows.
_PATTERNS = 4
_LOOPS = ("While", "StatelessWhile")
# Operations that read one triangle of a symmetric matrix, and whose gradient is the one
# for changes that keep it symmetric.
_SYMMETRIC = ("Cholesky",)


def look_here(
    problem: ReplicaProblem, variables: Sequence[VariableReport]
) -> LookHere | None:
    """The operations that spoil the gradients that failed, None if none is known to.

    Args:
        problem: The loss at the point.
        variables: The reports of its variables, some of them wrong.
    """
    try:
        shares = problem.shares
        if shares is None:  # code that has no graph
            return None
        places = _places_of(problem, shares, variables)
    except Exception:  # the code of a backward pass, asked once more
        logger.debug("The places of a mistake could not be told.", exc_info=True)
        return None
    return LookHere(places) if places else None


def _places_of(
    problem: ReplicaProblem, shares: Shares, variables: Sequence[VariableReport]
) -> tuple[Place, ...]:
    """The places of what is wrong at the point, and of what is so nearby alone."""
    hidden = [v.verdict == FAIL and _is_hidden(v) for v in variables]
    shown = [v.verdict == FAIL and not _is_hidden(v) for v in variables]
    points = [(problem, shown)] if any(shown) else []
    nearby = problem.nearby() if any(hidden) else None
    if nearby is not None:
        points.append((nearby, hidden))
    found: dict[Place, None] = {}
    for point, wrong in points:
        groups = _guilty_groups(point, shares, wrong)
        # A gradient for symmetric changes alone is not what makes it a failure.
        others = [group for group in groups if not _is_of_symmetric(group)]
        found |= dict.fromkeys(_places(point, shares, others or groups))
    return tuple(found)


def _is_hidden(variable: VariableReport) -> bool:
    """Whether it is wrong nearby, and at the point itself nothing shows."""
    return isinstance(variable.cause, Mismatch) and bool(variable.cause.at)


def is_symmetric(problem: ReplicaProblem, variable: int) -> bool:
    """Whether nothing parts a gradient from differences but that it is symmetric.

    Args:
        problem: The loss at the point.
        variable: Position of a variable whose gradient looks wrong.
    """
    alone = [k == variable for k in range(len(problem.sizes))]
    try:
        shares = problem.shares
        groups = () if shares is None else _guilty_groups(problem, shares, alone)
    except Exception:  # as above
        logger.debug("What makes a gradient symmetric is unknown.", exc_info=True)
        return False
    return bool(groups) and all(map(_is_of_symmetric, groups))


def _is_of_symmetric(group: Sequence[Step]) -> bool:
    return all(
        step.operation.type in _SYMMETRIC and not step.is_handwritten for step in group
    )


def _places(
    problem: ReplicaProblem, shares: Shares, groups: Sequence[list[Step]]
) -> tuple[Place, ...]:
    """The places of some groups, in the order of the forward pass."""
    replica, trace = problem.traced
    found: dict[Place, Place] = {}
    for group in reversed(groups):
        place = place_of(replica, trace, group)
        if place not in found:
            known = len(found) < _PATTERNS
            pattern = _pattern(problem, shares, group) if known else None
            found[place] = replace(place, pattern=pattern)
    return tuple(found.values())


def _pattern(
    problem: ReplicaProblem, shares: Shares, group: Sequence[Step]
) -> Pattern | None:
    """What the mistake of one operation looks like."""
    if len(group) > 1:  # with lists between
        return None
    (step,), known, (_, trace) = group, shares.patterns, problem.traced
    if step.operation.type in _LOOPS:  # of its rounds together, not of what is in it
        return None
    if step.misshapen is not None:
        return Pattern(step.misshapen)
    if not step.made:
        return Pattern(ZERO)
    if step not in known:
        try:
            alone = problem.alone(step)
            known[step] = pattern_of(alone) or wrong_term(step, alone, trace)
        except Exception:  # cut out, code may do what it never did before
            logger.debug("An operation could not be cut out.", exc_info=True)
            known[step] = None
    return known[step]


def _guilty_groups(
    problem: ReplicaProblem, shares: Shares, wrong: Sequence[bool]
) -> Sequence[list[Step]]:
    misshapen = [
        g for g in shares.groups if any(step.misshapen is not None for step in g)
    ]
    if misshapen:
        return misshapen
    rng = np.random.default_rng(0)
    moves = []
    for _ in range(DIRECTIONS):
        direction = [
            scale * rng.standard_normal(size) * is_wrong
            for scale, size, is_wrong in zip(
                problem.scales, problem.sizes, wrong, strict=True
            )
        ]
        moves += [[step * u for u in direction] for step in SIGNED_STEPS]
    handed, returned = map(slopes_of, problem.changes(shares, moves))
    groups, count = shares.groups, len(shares.groups)
    found = guilty(handed[..., :count], returned[..., :count])
    # Of what training hands zeros, or nothing, what is made up tells.
    heard = {
        step.operation
        for k, group in enumerate(groups)
        for step in group
        if handed[..., k].any()
    }
    tried = [k for k, s in enumerate(shares.tried) if s.operation not in heard]
    columns = [count + k for k in tried]
    hidden = guilty(handed[..., columns], returned[..., columns]) if tried else ()
    return [*(groups[k] for k in found), *([shares.tried[tried[k]]] for k in hidden)]
