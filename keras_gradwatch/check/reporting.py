"""From what was compared to what the report says of each variable, and of all."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keras_gradwatch.check.numerics.compare import Found
from keras_gradwatch.check.numerics.conclusion import conclude, coverage
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.loss_at_point import is_still
from keras_gradwatch.check.on_purpose import intended
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.settings import Settings, is_declared
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.findings import causes
from keras_gradwatch.findings.causes import Cause
from keras_gradwatch.findings.notes import (
    ExpectedIsRight,
    ExpectedMatchesNothing,
    LowPrecision,
    Note,
    RaisedNearby,
    Refusal,
    Refused,
    RoundedConstants,
    Stairs,
    SymmetricOnly,
)
from keras_gradwatch.findings.variable import Comparison, VariableReport
from keras_gradwatch.findings.verdicts import (
    BLOCKED,
    CLEAN,
    EXPECTED,
    FAIL,
    INCONCLUSIVE,
    PASS,
    ZERO,
)
from keras_gradwatch.findings.vocabulary import GRADIENT

# Characters of what was raised: one line of a console.
_LINE = 120


def variable_report(
    problem: ReplicaProblem,
    variable: int,
    found: Found,
    past: History,
    settings: Settings,
    function: str,
) -> VariableReport:
    """What was found for one variable.

    Args:
        problem: The problem that was compared.
        variable: Position of the variable.
        found: What `compare` returned.
        past: The checks of this loss so far, this one included.
        settings: The `Settings` of the check.
        function: What was differentiated, one of `vocabulary.SUBJECTS`.
    """
    items = found.of(variable)
    weight = problem.weights[variable]
    gradient = problem.gradients[variable]
    if gradient is not None:
        gradient = gradient.reshape(weight.shape)
    pattern = found.patterns.get(variable)
    is_zero = is_still(problem, variable)
    beyond = found.beyond.get(variable)
    answer = conclude(gradient, items, settings.tolerance, pattern, is_zero, beyond)
    verdict, cause = _judged(problem, variable, answer, found, settings, function)
    compared = [_comparison(i, weight.shape) for i in items]
    coordinates = tuple(c for c in compared if c.kind == "coordinate")
    directions = tuple(c for c in compared if c.kind != "coordinate")
    return VariableReport(
        path=weight.path,
        target=problem.target,
        shape=weight.shape,
        verdict=verdict,
        cause=cause,
        relative_error=answer.relative_error,
        error_bar=answer.error_bar,
        resolution=answer.resolution,
        coverage=coverage(items, problem.sizes[variable]),
        coordinates=coordinates,
        directions=directions,
        coverage_so_far=past.coverage(variable),
        entries_so_far=past.entries(variable),
        subject=function,
    )


def _judged(
    problem, variable, answer, found, settings, function
) -> tuple[str, Cause | None]:
    """The verdict of the comparisons, in the light of what is known besides."""
    weight, verdict, cause = problem.weights[variable], answer.verdict, answer.cause
    if variable in problem.misshapen:
        shape = tuple(problem.misshapen[variable])
        verdict, cause = FAIL, causes.Misshapen(shape, weight.shape)
    if verdict not in (FAIL, PASS) and variable in found.pending:
        verdict, cause = INCONCLUSIVE, causes.Pending()
    if variable in found.known and verdict != FAIL:
        verdict, cause = FAIL, causes.StillWrong()
    elif function == GRADIENT and verdict == BLOCKED:
        verdict, cause = ZERO, causes.Piecewise()
    elif function != GRADIENT and verdict in (BLOCKED, FAIL, INCONCLUSIVE):
        verdict, cause = _blocked(problem, variable, verdict, cause)
    if isinstance(cause, causes.TrulyZero):
        cause = _taken_away(problem, variable)
    if verdict in (FAIL, BLOCKED) and is_declared(weight.path, settings.expected):
        verdict = EXPECTED
    return intended(problem, variable, verdict, cause)


def _taken_away(problem, variable) -> causes.TrulyZero:
    """What takes the influence of a variable away, where that is sure."""
    layer, _, name = problem.weights[variable].path.rpartition("/")
    others = [
        k
        for k, weight in enumerate(problem.weights)
        if weight.path.rpartition("/")[0] == layer and k != variable
    ]
    # Where its layer has no other weight that counts, the reason lies elsewhere.
    if not name.startswith("bias") or all(is_still(problem, k) for k in others):
        return causes.TrulyZero()
    next_one = problem.follower(variable)
    if next_one is None:
        return causes.TrulyZero()
    if next_one.kind.endswith("Normalization"):
        return causes.TrulyZero(causes.NORMALISATION, next_one)
    if next_one.kind.endswith("Attention") and layer.endswith("key"):
        return causes.TrulyZero(causes.SOFTMAX, next_one)
    return causes.TrulyZero()


def _blocked(problem, variable, verdict, cause) -> tuple[str, Cause | None]:
    """The verdict, in the light of what stands between a variable and the loss."""
    gradient = problem.gradients[variable]
    if not is_still(problem, variable) or variable in problem.misshapen:
        return verdict, cause
    cut = problem.cut(variable)
    if cut is None and verdict == BLOCKED:
        # Nothing cuts it: what it acts through is flat here.
        if gradient is None:
            return INCONCLUSIVE, causes.Untold()
        if problem.cancels_out(variable):
            return ZERO, causes.CancelsOut()
        return BLOCKED, causes.Dead()
    # Of many jumps at once, differences make slopes.
    is_seen = verdict == FAIL or isinstance(cause, _SEEN)
    if cut is not None and (verdict == BLOCKED or (cut.is_whole and is_seen)):
        missing = gradient is None
        return BLOCKED, causes.Blocked(cut.operation, cut.place, cut.line, missing)
    return verdict, cause


# Something was seen to change along a variable.
_SEEN = (causes.AtJump, causes.AtKink, causes.TooNoisy, causes.Untold)


def overall(
    variables: Sequence[VariableReport], refusals: Sequence[Refusal]
) -> tuple[str, Cause | None]:
    """The verdict of a check, and the cause where not all was told.

    Args:
        variables: The reports of all variables.
        refusals: Why some losses were not looked at.
    """
    verdicts = [v.verdict for v in variables]
    if FAIL in verdicts:
        return FAIL, None
    if verdicts and not refusals and set(verdicts) <= set(CLEAN):
        return PASS, None
    pending = tuple(v.label for v in variables if _is_pending(v))
    if pending and not refusals:
        return INCONCLUSIVE, causes.VariablesPending(pending)
    if not {BLOCKED, *CLEAN} & set(verdicts):
        return INCONCLUSIVE, causes.NothingTold()
    return INCONCLUSIVE, causes.NotAllTold(
        blocked=tuple(v.label for v in variables if v.verdict == BLOCKED),
        untold=tuple(v.label for v in variables if v.verdict == INCONCLUSIVE),
        refused=tuple(refusal.target for refusal in refusals),
        right=sum(verdict in CLEAN for verdict in verdicts),
        count=len(verdicts),
    )


def is_telling(variables: Sequence[VariableReport]) -> bool:
    """Whether the gradient of any variable showed, right or wrong."""
    return any(v.verdict in (FAIL, PASS, EXPECTED) or _is_pending(v) for v in variables)


def on_precision(problem: ReplicaProblem, stairs: float) -> Iterator[Note]:
    """Where one loss goes through less than float64.

    Args:
        problem: The problem that was compared.
        stairs: How high the stairs of the loss are, as far as they were seen.
    """
    if stairs:
        operation, layer = problem.rounding() or ("", "")
        yield Stairs(stairs / abs(problem.level), operation, layer)
    for dtype, layers in sorted(problem.low_precision.items()):
        yield LowPrecision(dtype, tuple(layers))
    if problem.rounded:
        yield RoundedConstants(problem.rounded)


def on_symmetric(
    symmetric: Iterable[int], variables: Sequence[VariableReport]
) -> Iterator[Note]:
    """Which variables were compared along symmetric changes alone.

    Args:
        symmetric: Their positions.
        variables: The reports of all variables of the loss.
    """
    if labels := tuple(variables[k].label for k in sorted(symmetric)):
        yield SymmetricOnly(labels)


def on_edges(problem: ReplicaProblem) -> Iterator[Note]:
    """Where one loss raised at moved points."""
    if problem.edges:
        yield RaisedNearby(_in_short(problem.edges[0]))


def on_expected(
    patterns: Sequence[str], variables: Sequence[VariableReport]
) -> Iterator[Note]:
    """What of `expected` is out of date.

    Args:
        patterns: Patterns of paths.
        variables: The reports of all variables.
    """
    for pattern in patterns:
        matching = [v for v in variables if fnmatch.fnmatchcase(v.path, pattern)]
        if not matching:
            yield ExpectedMatchesNothing(pattern)
        elif all(v.verdict == PASS for v in matching):
            yield ExpectedIsRight(pattern)


def refusal(error: UncheckableError, target: str = "") -> Refusal:
    """The note on what could not be looked at.

    Args:
        error: What was in the way.
        target: Name of the loss; empty for a single one, or for all.
    """
    if isinstance(error.why, Refusal):
        return error.why.of(target)
    return Refused(target, str(error))


def _in_short(error):
    """What was raised, without where in the graph, and no longer than a line."""
    text = str(getattr(error, "message", None) or error)
    text = re.sub(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*?\]", " ", text, flags=re.DOTALL)
    first = next((line for line in text.splitlines() if line.strip()), "")
    text = " ".join(f"{type(error).__name__}: {first}".split())
    return text if len(text) <= _LINE else f"{text[:_LINE]}..."


def _is_pending(variable):
    return isinstance(variable.cause, causes.Pending)


def _comparison(item, shape):
    entry, slope = item.direction.entry, item.slope
    index = None
    if entry is not None:
        index = tuple(int(i) for i in np.unravel_index(entry, shape)) if shape else ()
    seen = not np.isnan(slope.numerical)
    kind = "coordinate" if item.direction.is_coordinate else "direction"
    return Comparison(
        kind=kind if item.among == 1 else "screen",
        index=index,
        word=item.word,
        analytic=item.analytic,
        numerical=slope.numerical if seen else None,
        error_bar=slope.error_bar if seen else None,
        relative_error=item.judgement.relative_error,
        step=slope.step if seen else None,
        among=item.among,
    )
