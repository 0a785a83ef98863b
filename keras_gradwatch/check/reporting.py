"""From what was compared to what the report says of each variable, and of all."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import numpy as np

from keras_gradwatch.check.localisation import straight_through
from keras_gradwatch.check.numerics.compare import Found
from keras_gradwatch.check.numerics.conclusion import conclude, coverage
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.findings.text import counted
from keras_gradwatch.findings.variable import Comparison, VariableReport
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE, PASS

PENDING = (
    "A sweep over this and other variables is off; there was no time left to look at "
    "this one alone."
)


def variable_report(
    problem, variable: int, found: Found, past: History, settings: Settings
) -> VariableReport:
    """What was found for one variable.

    Args:
        problem: The `ReplicaProblem` that was compared.
        variable: Position of the variable.
        found: What `compare` returned.
        past: The checks of this loss so far, this one included.
        settings: The `Settings` of the check.
    """
    items = found.of(variable)
    weight = problem.weights[variable]
    gradient = problem.gradients[variable]
    if gradient is not None:
        gradient = gradient.reshape(weight.shape)
    pattern = found.patterns.get(variable)
    answer = conclude(gradient, items, settings.tolerance, pattern)
    verdict, reason = answer.verdict, answer.reason
    if variable in problem.misshapen:
        verdict, reason = (
            FAIL,
            (
                f"The gradient has the shape {problem.misshapen[variable]}, and the "
                f"variable {weight.shape}: sum it over the axes that are broadcast."
            ),
        )
    if verdict not in (FAIL, PASS) and variable in found.pending:
        verdict, reason = INCONCLUSIVE, PENDING
    if verdict == FAIL and _is_expected(weight.path, settings.expected):
        verdict = EXPECTED
    if verdict == FAIL:
        meant = straight_through(problem.stages, weight.path)
        verdict, reason = (INCONCLUSIVE, meant) if meant else (FAIL, reason)
    compared = [_comparison(i, weight.shape) for i in items]
    coordinates = tuple(c for c in compared if c.kind == "coordinate")
    directions = tuple(c for c in compared if c.kind != "coordinate")
    return VariableReport(
        path=weight.path,
        target=problem.target,
        shape=weight.shape,
        verdict=verdict,
        reason=reason,
        relative_error=answer.relative_error,
        error_bar=answer.error_bar,
        resolution=answer.resolution,
        coverage=coverage(items, problem.sizes[variable]),
        coordinates=coordinates,
        directions=directions,
        coverage_so_far=past.coverage(variable),
        entries_so_far=past.entries(variable),
    )


def overall(
    variables: Sequence[VariableReport], refusals: Sequence[str]
) -> tuple[str, str]:
    """The verdict of a check, and the reason where nothing was compared."""
    verdicts = [v.verdict for v in variables]
    if FAIL in verdicts:
        return FAIL, ""
    pending = [v.label for v in variables if v.reason == PENDING]
    if pending:
        return INCONCLUSIVE, (
            f"A sweep over {counted(len(pending), 'variable')} is off; no time was "
            f"left to look at each of them alone: {', '.join(pending[:3])}"
            f"{' and others' if len(pending) > 3 else ''}."
        )
    if PASS in verdicts:
        return PASS, ""
    if EXPECTED in verdicts:
        return INCONCLUSIVE, "Only mismatches that were declared as expected."
    reasons = dict.fromkeys([*refusals, *(v.reason for v in variables)])
    return INCONCLUSIVE, "Nothing could be compared. " + " ".join(reasons)


def is_telling(variables: Sequence[VariableReport]) -> bool:
    """Whether the gradient of any variable showed, right or wrong."""
    return any(
        v.verdict in (FAIL, PASS, EXPECTED) or v.reason == PENDING for v in variables
    )


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
