"""What becomes of each gradient in the precision of training, and after the tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics.rounding import handed_on, rounding
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.training_step import Trained, TrainingStep
from keras_gradwatch.findings.causes import OverflowInTraining
from keras_gradwatch.findings.handed import Handed
from keras_gradwatch.findings.notes import (
    HandedOn,
    LeftOut,
    LossNotScaled,
    Note,
    Overflow,
    RoundedOff,
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
# Relative error of one rounding (2^-8, 2^-11, 2^-24, 2^-53), times 8 to 170: room for
# the sums in an optimizer's wrapper, which round again and again.
_PRECISION = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-12}


def with_training(
    problem: ReplicaProblem,
    reports: Sequence[VariableReport],
    step: TrainingStep,
    trained: Trained,
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
    """
    # By size: one of them may have been handed to the wrong variable.
    of_size: dict[int, dict[str, np.ndarray]] = {}
    for report, gradient in zip(reports, trained.gradients, strict=True):
        if gradient is not None:
            of_size.setdefault(gradient.size, {})[report.path] = gradient
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
            other = handed_on(
                gradient,
                handed,
                {} if gradient is None else of_size[gradient.size],
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
) -> Iterator[Note]:
    """What in the precision of training, or after the tape, is worth knowing.

    Args:
        reports: Of all variables, with what training makes of them.
        step: The training step.
        trained: What it did, for each loss.
        losses: The same losses in float64.
    """
    for own, exact in zip(trained, losses, strict=True):
        if not np.isfinite(own.loss) and np.isfinite(exact):
            yield TrainingLossNotFinite(step.dtype, own.loss, exact)
    left_out = step.left_out()
    if left_out:
        yield LeftOut(tuple(left_out))
    for optimizer in step.unscaled():
        yield LossNotScaled(optimizer)
    yield from _on_underflow(reports, step)
    yield from _on_overflow(reports, step)
    yield from _on_error(reports, step)
    yield from _on_optimizers(reports)


def _spoils(report, step, trained, handed):
    if not report.overflowed or report.verdict in (FAIL, EXPECTED):
        return False
    reaches = handed is None or any(
        h is not None and not np.isfinite(h).all() for h in handed
    )
    return step.loss_scale is None and np.isfinite(trained.loss) and reaches


def _on_underflow(reports, step):
    found = [v for v in reports if (v.vanished or 0) >= NOTABLE_SHARE]
    if found:
        worst = max(found, key=lambda v: v.vanished)
        labels = _worst_first(worst, found)
        yield Underflow(step.dtype, worst.vanished, labels, step.loss_scale)


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


def _on_optimizers(reports):
    groups: dict[Handed, list[VariableReport]] = {}
    for report in reports:
        if report.handed is not None:
            # Distances differ from variable to variable.
            alike = replace(report.handed, distance=None)
            groups.setdefault(alike, []).append(report)
    for alike, found in groups.items():
        handed = found[0].handed if len(found) == 1 else None
        yield HandedOn(tuple(v.label for v in found), handed or alike)


def _worst_first(worst, found):
    return (worst.label, *(v.label for v in found if v is not worst))
