"""What becomes of each gradient in the precision of training, and after the tape."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics.rounding import handed_on, is_telling, rounding
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.settings import is_declared
from keras_gradwatch.check.training_step import Trained, TrainingStep
from keras_gradwatch.findings.causes import OverflowInTraining
from keras_gradwatch.findings.handed import (
    MULTIPLE,
    NOTHING,
    OF_ANOTHER,
    ZEROS,
    Handed,
)
from keras_gradwatch.findings.notes import (
    HINT,
    SEVERE,
    HandedOn,
    LeftOut,
    LossNotScaled,
    Note,
    Overflow,
    RoundedOff,
    ScaledInVain,
    TrainingLossNotFinite,
    Underflow,
)
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, PASS

# Share of entries, or relative error, from which a note is worth reading: a lone entry
# of a hundred underflows in many healthy trainings in half precision, and rounding
# alone is off by some percent there.
NOTABLE_SHARE = 0.01
NOTABLE_ERROR = 0.1
# Share of the entries that underflow from which on a variable counts as one that does
# not learn. Chosen, not measured.
_LOST_SHARE = 0.5
# Relative error of one rounding (2^-8, 2^-11, 2^-24, 2^-53), times 8 to 170: room for
# the sums in an optimizer's wrapper, which round again and again.
_PRECISION = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-12}


def gradients_by_size(
    reports: Sequence[Sequence[VariableReport]], trained: Sequence[Trained]
) -> dict[int, dict[str, np.ndarray]]:
    """All gradients of a step, by size: one may be handed to the wrong variable.

    Args:
        reports: For each loss, what was found for each of its weights.
        trained: What the step did with each of these losses.
    """
    of_size: dict[int, dict[str, np.ndarray]] = {}
    for variables, own in zip(reports, trained, strict=True):
        for report, gradient in zip(variables, own.gradients, strict=True):
            if gradient is not None:
                of_size.setdefault(gradient.size, {})[report.label] = gradient
    return of_size


def with_training(
    problem: ReplicaProblem,
    reports: Sequence[VariableReport],
    step: TrainingStep,
    trained: Trained,
    of_size: Mapping[int, Mapping[str, np.ndarray]],
) -> tuple[VariableReport, ...]:
    """Adds to the reports of one loss what training makes of its gradients.

    A gradient that is right in float64 and not finite in the precision of
    training spoils the weights: it fails, unless the loss is scaled, where
    optimizers skip such a step.

    Args:
        problem: The `ReplicaProblem` that was compared.
        reports: What was found for each of its weights.
        step: The training step.
        trained: What it did with this loss.
        of_size: What `gradients_by_size` returned.
    """
    result = []
    for k, report in enumerate(reports):
        gradient, exact = trained.gradients[k], problem.gradients[k]
        if exact is not None and gradient is not None:
            found = rounding(exact, gradient, problem.roundoff)
            report = replace(
                report,
                training_error=found.error,
                vanished=found.vanished,
                overflowed=found.overflowed,
            )
        handed = trained.handed[k]
        if handed is not None:
            size = next((h.size for h in handed if h is not None), 0)
            other = handed_on(
                gradient,
                handed,
                of_size.get(size, {}),
                _PRECISION[step.dtype],
                trained.siblings[k],
            )
            report = replace(report, handed=other)
        if _spoils(report, step, trained, handed):
            cause = OverflowInTraining(step.dtype, report.overflowed or 0.0)
            # What float64 gives is right: its error is not what failed.
            report = replace(report, verdict=FAIL, cause=cause, relative_error=None)
        result.append(report)
    return tuple(result)


def remarks(
    reports: Sequence[VariableReport],
    step: TrainingStep,
    trained: Sequence[Trained],
    losses: Sequence[float],
    expected: Sequence[str] = (),
) -> Iterator[Note]:
    """What in the precision of training, or after the tape, is worth knowing.

    The severe notes first. What is declared is told, too, and not severe.

    Args:
        reports: Of all variables, with what training makes of them.
        step: The training step.
        trained: What it did, for each loss.
        losses: The same losses in float64.
        expected: Patterns of paths for which all of this is declared.
    """
    found = [
        *_on_losses(step, trained, losses),
        *_on_scales(reports, step, expected),
        *_on_underflow(reports, step, expected),
        *_on_optimizers(reports, step, expected),
        *_on_overflow(reports, step),
        *_on_error(reports, step),
    ]
    left_out = step.left_out()
    if left_out:
        found.append(LeftOut(tuple(left_out)))
    yield from sorted(found, key=lambda note: note.severity != SEVERE)


def _on_losses(step, trained, losses):
    # Where the loss is scaled, the optimizer skips such a step.
    severity = SEVERE if step.loss_scale is None else HINT
    for own, exact in zip(trained, losses, strict=True):
        if not np.isfinite(own.loss) and np.isfinite(exact):
            yield TrainingLossNotFinite(step.dtype, own.loss, exact, severity=severity)


def _on_scales(reports, step, expected):
    as_they_are = {v.path for v in reports if v.handed is None}
    for one in step.forgotten():
        is_meant = all(is_declared(path, expected) for path in one.paths)
        severity = HINT if is_meant else SEVERE
        if not as_they_are & set(one.paths):
            continue  # the step scales them by itself
        if one.other:
            yield ScaledInVain(one.optimizer, one.other, severity=severity)
        else:
            yield LossNotScaled(one.optimizer, severity=severity)


def _spoils(report, step, trained, handed):
    if not report.overflowed or report.verdict in (FAIL, EXPECTED):
        return False
    reaches = handed is None or any(
        h is not None and not np.isfinite(h).all() for h in handed
    )
    return step.loss_scale is None and np.isfinite(trained.loss) and reaches


def _on_underflow(reports, step, expected):
    found = [v for v in reports if (v.vanished or 0) >= NOTABLE_SHARE]
    idle = [v for v in found if _is_lost(v) and not is_declared(v.path, expected)]
    if found:
        worst = max(idle or found, key=lambda v: v.vanished)
        yield Underflow(
            step.dtype,
            worst.vanished,
            _worst_first(worst, found),
            step.loss_scale,
            severity=SEVERE if idle else HINT,
        )


def _is_lost(report):
    """Whether underflow takes a good part of what a variable learns by."""
    error = report.training_error or 0
    return report.vanished >= _LOST_SHARE or error >= NOTABLE_ERROR


def _on_overflow(reports, step):
    found = [v for v in reports if v.overflowed and v.verdict != FAIL]
    if found:
        worst = max(found, key=lambda v: v.overflowed)
        labels, is_scaled = _worst_first(worst, found), step.loss_scale is not None
        yield Overflow(step.dtype, worst.overflowed, labels, is_scaled)


def _on_error(reports, step):
    found = [
        v
        for v in reports
        if v.verdict in (PASS, EXPECTED, FAIL)  # of what is zero, round-off is all
        and (v.training_error or 0) >= NOTABLE_ERROR
        and (v.vanished or 0) < NOTABLE_SHARE
        and not v.overflowed
    ]
    if found:
        worst = max(found, key=lambda v: v.training_error)
        yield RoundedOff(step.dtype, worst.training_error, _worst_first(worst, found))


def _on_optimizers(reports, step, expected):
    groups: dict[tuple[str, Handed], list[VariableReport]] = {}
    wrong = _wrong(reports, _PRECISION[step.dtype])
    for report in reports:
        if report.handed is not None:
            is_severe = report.label in wrong and not is_declared(report.path, expected)
            # Distances differ from variable to variable.
            alike = replace(report.handed, distance=None)
            key = SEVERE if is_severe else HINT, alike
            groups.setdefault(key, []).append(report)
    for (severity, alike), found in groups.items():
        handed = found[0].handed if len(found) == 1 else None
        labels = tuple(v.label for v in found)
        yield HandedOn(labels, handed or alike, severity=severity)


def _wrong(reports, precision):
    """Labels of the variables whose optimizers get what keeps them from learning."""
    # The factors of what is long enough to tell.
    told = {
        v.handed.factor
        for v in reports
        if _is(v, MULTIPLE) and is_telling(math.prod(v.shape), precision)
    }
    # A step that hands on nothing but zeros waits, as one that adds gradients up.
    waits = all(_is(v, ZEROS) for v in reports)
    found = set()
    for v in reports:
        if _is(v, MULTIPLE) and v.handed.factor < 0:
            is_wrong = v.handed.factor in told or v.handed.factor == -1
        else:
            is_wrong = _is(v, OF_ANOTHER, NOTHING) or (_is(v, ZEROS) and not waits)
        if is_wrong:
            found.add(v.label)
    return found


def _is(report, *kinds):
    """Whether an optimizer gets something of a kind, and not the gradient as well."""
    handed = report.handed
    return handed is not None and handed.kind in kinds and not handed.is_beside


def _worst_first(worst, found):
    return (worst.label, *(v.label for v in found if v is not worst))
