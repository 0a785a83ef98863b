"""What becomes of each gradient in the precision of training, and after the tape."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from keras_gradwatch.check.numerics.rounding import handed_on, rounding
from keras_gradwatch.check.training_step import Trained, TrainingStep
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL, INCONCLUSIVE

# Share of entries, or relative error, from which a note is worth reading.
NOTABLE_SHARE = 0.01
NOTABLE_ERROR = 0.1
# Relative error of one rounding, with room for a few.
_PRECISION = {"bfloat16": 3e-2, "float16": 4e-3, "float32": 1e-5, "float64": 1e-12}
_SHOWN = 3


def with_training(
    problem, reports: Sequence[VariableReport], step: TrainingStep, trained: Trained
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
            words = handed_on(
                gradient,
                handed,
                {} if gradient is None else of_size[gradient.size],
                _PRECISION[step.dtype],
                trained.siblings[k],
            )
            report = replace(report, applied=words)
        if _spoils(report, step, trained, handed):
            report = replace(
                report,
                verdict=FAIL,
                reason=(
                    f"In {step.dtype}, the precision of training, "
                    f"{_share(report.overflowed)} of the gradient is NaN or infinite; "
                    "in float64 it is finite."
                ),
            )
        result.append(report)
    return tuple(result)


def remarks(
    reports: Sequence[VariableReport],
    step: TrainingStep,
    trained: Sequence[Trained],
    losses: Sequence[float],
) -> Iterator[str]:
    """Says what in the precision of training, or after the tape, is worth knowing."""
    for own, exact in zip(trained, losses, strict=True):
        if not np.isfinite(own.loss) and np.isfinite(exact):
            yield (
                f"In {step.dtype}, the precision of training, the loss is {own.loss}; "
                f"in float64 it is {exact:.4g}."
            )
    left_out = step.left_out()
    if left_out:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        yield f"The training step takes no gradient for {left_out[0]}{more}."
    for optimizer in step.unscaled():
        yield (
            f"The training step hands gradients to {optimizer!r}, a LossScaleOptimizer"
            " that divides them by its scale, but does not scale the loss. "
            f"Differentiate `self.{optimizer}.scale_loss(loss)`."
        )
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
    if not found:
        return
    worst = max(found, key=lambda v: v.vanished)
    what = (
        f"In {step.dtype}, the precision of training, {_share(worst.vanished)} of the "
        f"gradient of {_names(worst, found)} is exactly zero and in float64 it is not"
    )
    if step.dtype != "float16":
        yield f"{what}: it is too small for that precision."
    elif step.loss_scale is None:
        yield (
            f"{what}: it underflows, and these weights do not learn. Scale the loss: "
            "wrap the optimizer in `keras.optimizers.LossScaleOptimizer`. "
            "(`compile` does so by itself only for a model whose own dtype policy is "
            "mixed_float16.)"
        )
    else:
        yield (
            f"{what}: it underflows although the loss is scaled by "
            f"{step.loss_scale:g}. Raise `initial_scale`, or keep the layers where "
            "it gets small in float32."
        )


def _on_overflow(reports, step):
    found = [v for v in reports if v.overflowed and v.verdict != FAIL]
    if found:
        worst = max(found, key=lambda v: v.overflowed)
        scaled = step.loss_scale is not None
        end = (
            ": the optimizer skips such a step, and halves the scale of the loss"
            if scaled
            else ""
        )
        yield (
            f"In {step.dtype}, the precision of training, {_share(worst.overflowed)} "
            f"of the gradient of {_names(worst, found)} is NaN or infinite{end}."
        )


def _on_error(reports, step):
    found = [
        v
        for v in reports
        if v.verdict != INCONCLUSIVE
        and (v.training_error or 0) >= NOTABLE_ERROR
        and (v.vanished or 0) < NOTABLE_SHARE
        and not v.overflowed
    ]
    if found:
        worst = max(found, key=lambda v: v.training_error)
        yield (
            f"In {step.dtype}, the precision of training, the gradient of "
            f"{_names(worst, found)} is off by {worst.training_error:.0%}: what "
            "rounding leaves of it."
        )


def _on_optimizers(reports):
    groups: dict[str, list[VariableReport]] = {}
    for report in reports:
        if report.applied:
            # Shares and distances differ from variable to variable.
            kind = re.sub(r", [^,]*%.*", "", report.applied)
            groups.setdefault(kind, []).append(report)
    for words, found in groups.items():
        if len(found) == 1:
            words = found[0].applied
        yield (
            f"For {_names(found[0], found)} the training step hands the optimizer "
            f"{words}."
        )


def _names(first, found):
    others = len(found) - 1
    more = f" (and {others} more)" if others else ""
    return f"{first.label}{more}"


def _share(share):
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"
