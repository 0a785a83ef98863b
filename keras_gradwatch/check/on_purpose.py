"""What of a gradient libraries are known to intend, and what TensorFlow gets wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.findings.causes import (
    AtJump,
    AtKink,
    Cause,
    Dead,
    Intended,
    TooNoisy,
)
from keras_gradwatch.findings.intentions import OVERWRITTEN, QUANTISED
from keras_gradwatch.findings.notes import (
    AssignedAndRead,
    FlawedOperation,
    Look,
    LookHere,
    Note,
)
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
)
from keras_gradwatch.replica.known import Known, flawed

# What differences see of rounding that passes the gradient on: steps, or noise.
_STEPS = (AtJump, AtKink, TooNoisy)


def intended(
    problem: ReplicaProblem, variable: int, verdict: str, cause: Cause | None
) -> tuple[str, Cause | None]:
    """The verdict of a variable, in the light of what libraries intend.

    Where the losses that were compared do without it, a mistake that is left is one,
    and what agrees is as it is meant to be. Elsewhere nothing can be told.

    Args:
        problem: The problem that was compared.
        variable: Position of the variable.
        verdict: The verdict of the comparisons.
        cause: Its cause.
    """
    if problem.weights[variable].is_overwritten:
        return EXPECTED, Intended(OVERWRITTEN, "", is_compared=False)
    found = [one for one in problem.intended if variable in one.weights]
    opaque = [one for one in found if not one.is_left_out]
    is_mismatch = verdict == FAIL or (
        verdict == INCONCLUSIVE and isinstance(cause, _STEPS)
    )
    if opaque and is_mismatch:
        name = problem.name_of(opaque[0].layer)
        return EXPECTED, Intended(opaque[0].key, name, is_compared=False)
    # Far away, what is held has another value: that is no way for a gradient.
    is_dead = verdict == BLOCKED and isinstance(cause, Dead)
    if found and not opaque and (verdict == PASS or is_dead):
        name = problem.name_of(found[0].layer)
        return EXPECTED, Intended(found[0].key, name, is_compared=True)
    layer = _quantised(problem, variable) if is_mismatch else None
    if layer is not None:
        return EXPECTED, Intended(QUANTISED, layer, is_compared=False)
    return verdict, cause


def _quantised(problem, variable):
    """Name of a layer behind a variable that rounds, where no graph tells."""
    if problem.trace is not None:
        return None
    path, stages = problem.weights[variable].path, problem.stages
    after = next((i for i, s in enumerate(stages) if path in s.paths), len(stages))
    return next((s.name for s in stages[after + 1 :] if s.is_quantized), None)


def notes_on(
    problem: ReplicaProblem,
    variables: Sequence[VariableReport],
    look: Look | None = None,
) -> Iterator[Note]:
    """What is known of the way from wrong variables to the loss.

    Args:
        problem: The problem that was compared.
        variables: The reports of its variables.
        look: Where to look. A wrong gradient of TensorFlow's elsewhere is none here.
    """
    wrong = {k for k, v in enumerate(variables) if v.verdict == FAIL}
    if not wrong or problem.trace is None:
        return
    read = [one for one in problem.assigned if one.weights & wrong]
    if read:
        yield AssignedAndRead(_names(problem, read))
    flaws = [one for one in flawed(problem.trace) if one.weights & wrong]
    if isinstance(look, LookHere):
        guilty = {place.operation for place in look.places}
        flaws = [one for one in flaws if one.key in guilty]
    for operation in dict.fromkeys(one.key for one in flaws):
        own = [one for one in flaws if one.key == operation]
        yield FlawedOperation(operation, _names(problem, own))


def _names(problem: ReplicaProblem, found: Iterable[Known]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(problem.name_of(one.layer) for one in found))
