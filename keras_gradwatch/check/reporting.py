"""From what was compared to what the report says of each variable, and of all."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from keras_gradwatch.check.localisation import straight_through
from keras_gradwatch.check.numerics.compare import Found
from keras_gradwatch.check.numerics.conclusion import conclude, coverage
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.settings import Settings
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
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE, PASS

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
    answer = conclude(gradient, items, settings.tolerance, pattern)
    verdict, cause = _judged(problem, variable, answer, found, settings)
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


def _judged(problem, variable, answer, found, settings) -> tuple[str, Cause | None]:
    """The verdict of the comparisons, in the light of what is known besides."""
    weight, verdict, cause = problem.weights[variable], answer.verdict, answer.cause
    if variable in problem.misshapen:
        shape = tuple(problem.misshapen[variable])
        verdict, cause = FAIL, causes.Misshapen(shape, weight.shape)
    if verdict not in (FAIL, PASS) and variable in found.pending:
        verdict, cause = INCONCLUSIVE, causes.Pending()
    if variable in found.known and verdict != FAIL:
        verdict, cause = FAIL, causes.StillWrong()
    if verdict == FAIL and _is_expected(weight.path, settings.expected):
        verdict = EXPECTED
    if verdict == FAIL:
        meant = straight_through(problem.stages, weight.path)
        verdict, cause = (INCONCLUSIVE, meant) if meant else (FAIL, cause)
    return verdict, cause


def overall(variables: Sequence[VariableReport]) -> tuple[str, Cause | None]:
    """The verdict of a check, and the cause where nothing was compared.

    Args:
        variables: The reports of all variables.
    """
    verdicts = [v.verdict for v in variables]
    if FAIL in verdicts:
        return FAIL, None
    pending = tuple(v.label for v in variables if _is_pending(v))
    if pending:
        return INCONCLUSIVE, causes.VariablesPending(pending)
    if PASS in verdicts:
        return PASS, None
    if EXPECTED in verdicts:
        return INCONCLUSIVE, causes.OnlyExpected()
    return INCONCLUSIVE, causes.NothingTold()


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


def _is_expected(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


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
