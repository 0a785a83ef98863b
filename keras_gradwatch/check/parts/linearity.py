"""Whether a backward pass is linear in its upstream gradient.

A gradient that agrees with differences does so under one upstream gradient, with
entries from 0.5 to 1.5 in size. A loss elsewhere may hand down another: a thousand
times as large, small, zero in places. For each, what should come out is known without
any difference, since the derivative of an output is linear: a multiple of what came out
for the first. So each trial costs one gradient, and is exact up to round-off. Zeros are
tried beside small numbers: what is put in their place then shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.parts.derivatives import FirstOrder
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.settings import Settings, is_declared
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.findings.causes import NotLinear
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import EXPECTED, FAIL

# Powers of two: to multiply by them rounds nothing. By 2^20, about a million, upstream
# gradients are beyond a loss scale (2^15 at first), and by 2^-20 below those of a mean
# over a large batch. Where code computes in half precision, whose largest number is
# 65504, by no more than 2^4.
_FACTOR, _CAUTIOUS = 2.0**20, 2.0**4
# Round-off of an entry, as a share of the largest one of its variable: sums cancel, in
# another order under another upstream. Ten times that of `check/problem.py`, for the
# largest one of all. Chosen, not measured.
_OWN, _OF_ALL = 1e-9, 10.0
# What is used of `check/problem.py` where all gradients are zero.
_LEAST = 1e-13


def is_silent_without_upstream(evaluator: Evaluator, batch: Any) -> bool:
    """Whether outputs whose upstream gradient is zero leave no trace in a gradient.

    They don't, where a backward pass ignores its upstream, or makes NaN of a zero.

    Args:
        evaluator: Of a `FirstOrder`.
        batch: What `train_step` is handed.
    """
    try:
        found = _gradients(evaluator, batch, 0.0, 0.0)
    except UncheckableError:
        return False  # of one of them, perhaps: the others may do by themselves
    return not any(np.any(g != 0) for g in found if g is not None)


def with_linearity(
    evaluator: Evaluator,
    problem: ReplicaProblem,
    batch: Any,
    variables: tuple[VariableReport, ...],
    settings: Settings,
) -> tuple[VariableReport, ...]:
    """Tries the backward pass under other upstream gradients.

    Args:
        evaluator: Of a `FirstOrder`.
        problem: What was compared.
        batch: What `train_step` is handed.
        variables: What was found for each variable.
        settings: The `Settings` of the check.
    """
    factor = _FACTOR if problem.is_precise else _CAUTIOUS
    small = 1 / factor
    halves = [
        _gradients(evaluator, batch, *upstream)
        for upstream in ((small, 0.0), (0.0, small))
    ]
    large = _gradients(evaluator, batch, factor, factor)
    trials = [
        _Trial(factor, False, [large], problem),
        _Trial(small, True, halves, problem),
    ]
    # Keras' own quantised layers round and saturate the upstream on purpose.
    is_quantised = any(stage.is_quantized for stage in problem.stages)
    result = []
    for k, report in enumerate(variables):
        causes = [] if k in problem.misshapen else [t.of(k, settings) for t in trials]
        cause = next(filter(None, causes), None)
        if report.verdict not in (FAIL, EXPECTED) and cause is not None:
            meant = is_quantised or is_declared(report.path, settings.expected)
            verdict = EXPECTED if meant else FAIL
            error = _relative(cause.analytic, cause.linear)
            report = replace(report, verdict=verdict, cause=cause, relative_error=error)
        result.append(report)
    return tuple(result)


class _Trial:
    """Gradients under another upstream, beside what they should be.

    Args:
        factor: How many times as large it is.
        is_partial: Whether it comes in two halves.
        parts: The gradients, whose sum counts.
        problem: What was compared.
    """

    def __init__(self, factor, is_partial, parts, problem: ReplicaProblem):
        self._factor, self._is_partial = factor, is_partial
        self._parts, self._usual = parts, problem.gradients
        self._is_precise = problem.is_precise
        size = max(problem.peaks, default=0.0)
        share = problem.roundoff / size if size else _LEAST
        self._own = _OWN if self._is_precise else _OF_ALL * share
        largest = max(factor * size, *map(_peak, parts))
        self._everywhere = _OF_ALL * share * largest

    def of(self, k: int, settings: Settings) -> NotLinear | None:
        """What is wrong with one variable; None if nothing is, or can be told.

        Args:
            k: The number of the variable.
            settings: The `Settings` of the check.
        """
        usual = self._usual[k]
        if usual is None or not np.isfinite(usual).all():
            return None
        parts = [part[k] for part in self._parts]
        with np.errstate(invalid="ignore", over="ignore"):
            right = self._factor * usual
            found = np.sum(parts, axis=0)
            difference = np.abs(found - right)
        largest = max(_peak([array]) for array in (*parts, right))
        bar = self._own * largest + self._everywhere
        allowed = settings.tolerance * (np.abs(found) + np.abs(right)) + bar
        # In half precision, what is large overflows.
        is_off = ~(difference <= allowed) if self._is_precise else difference > allowed
        is_off &= np.isfinite(right)
        if not is_off.any():
            return None
        worst = int(
            np.argmax(np.where(is_off, np.nan_to_num(difference, nan=np.inf), -1))
        )
        return NotLinear(
            self._factor, self._is_partial, float(found[worst]), float(right[worst])
        )


def _gradients(
    evaluator: Evaluator, batch: Any, first: float, second: float
) -> list[np.ndarray | None]:
    """The flat gradients under another upstream gradient."""
    replica = cast(FirstOrder, evaluator.replica)
    values = [tf.cast(value, tf.float64) for value in replica.values()]
    states = replica.states_under(first, second)
    _, found = evaluator.gradient(values, states, batch)
    # Copied: the next call may write to the same memory.
    return [None if g is None else np.array(g).ravel() for g in found]


def _peak(gradients: Sequence[np.ndarray | None]) -> float:
    """The largest finite entry of all."""
    return max(
        (
            float(np.max(np.abs(g), initial=0.0, where=np.isfinite(g)))
            for g in gradients
            if g is not None
        ),
        default=0.0,
    )


def _relative(one: float, other: float) -> float | None:
    total = abs(one) + abs(other)
    return abs(one - other) / total if np.isfinite(total) and total else None
