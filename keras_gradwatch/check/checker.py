"""One gradient check, from a subject and a batch to a report.

Read on in `problem.py` (a loss at one point), `numerics/compare.py` (what is compared,
in which order), `reporting.py` (what the report says of it) and `training_effects.py`
(what training makes of the gradients).
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
import operator
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_gradwatch.check.budget import Budget, Clock
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.numerics.compare import compare
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.numerics.plan import Plan
from keras_gradwatch.check.on_purpose import notes_on
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.progress import SILENCE, Silence
from keras_gradwatch.check.reporting import (
    is_telling,
    on_edges,
    on_expected,
    on_precision,
    on_symmetric,
    refusal,
    variable_report,
)
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subject import Subject
from keras_gradwatch.check.subset import Subset
from keras_gradwatch.check.suspects import is_symmetric, look_here
from keras_gradwatch.check.training_effects import (
    gradients_by_size,
    remarks,
    with_training,
)
from keras_gradwatch.check.training_step import TrainingStep
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.findings.notes import Note, Refusal, TrainingUnseen
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL
from keras_gradwatch.framework.batch import batch_size
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.dtypes import lowest
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import assert_ready
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.replica import unreplayable

logger = logging.getLogger("keras_gradwatch")


@dataclass(frozen=True)
class Checked:
    """What came out of one check.

    Args:
        report: The report.
        is_complete: Whether it tells all that can be told of each loss.
        close_seconds: How long what may be wrong was looked at closely.
    """

    report: GradientReport
    is_complete: bool
    close_seconds: float


@dataclass(frozen=True)
class _Loss:
    """What one check found for one loss.

    Args:
        problem: The loss at the point; None if not even that could be computed.
        refusal: Why it was not compared; None if it was.
        variables: The reports of its variables, if it was compared.
        stairs: How high its stairs are, if it has some.
        close_seconds: How long it was looked at closely.
        symmetric: Variables that were compared along symmetric changes alone.
    """

    problem: ReplicaProblem | None = None
    refusal: Refusal | None = None
    variables: tuple[VariableReport, ...] = ()
    stairs: float = 0.0
    close_seconds: float = 0.0
    symmetric: frozenset[int] = frozenset()


@dataclass
class _Prepared:
    """What is made once, and serves as long as the same weights are trained.

    Args:
        trained: The variables that are trained.
        evaluators: One for each loss.
        past: For each loss, what its checks have seen so far.
        step: The training step in its own precision.
        step_seconds: How long that took the last time, tracing apart.
    """

    trained: list[keras.Variable]
    evaluators: list[Evaluator]
    past: list[History]
    step: TrainingStep
    step_seconds: float = 0.0


class GradientChecker:
    """Checks one subject again and again; copies and traces it once.

    Args:
        subject: What to check.
        settings: The `Settings` of the checks.
        subset: Says which part of each batch to check. All of it if None.
    """

    def __init__(
        self, subject: Subject, settings: Settings, subset: Subset | None = None
    ):
        self._subject = subject
        self._settings = settings
        self._subset = subset
        self._prepared: _Prepared | None = None

    def check(
        self, batch: Any, budget: Budget | None = None, progress: Silence = SILENCE
    ) -> Checked:
        """Checks the gradients at the present weights on one batch.

        Args:
            batch: What `train_step` is handed, nested tensors.
            budget: How long it may take; the `time_budget` of the settings if None.
            progress: Is told what is being done.

        Returns:
            A `Checked`. Its report is INCONCLUSIVE, with the reason, where this model
            or this batch can't be checked.
        """
        if budget is None:
            budget = Budget(self._settings.time_budget or math.inf)
        count = batch_size(batch, ragged=False)
        if self._subset is not None and (part := self._subset.of(batch)) is not None:
            checked = self._check_part(part, budget, progress)
            if checked is not None:
                return _on_examples(checked, batch_size(part), count)
            self._subset.give_up()
        return _on_examples(self._check(batch, budget, progress), count, count)

    def _check_part(self, part, budget, progress) -> Checked | None:
        """Checks a part of the batch; None if that does not tell all."""
        try:
            checked = self._check(part, budget, progress)
        except Exception:  # the whole batch may do, or says it again
            logger.debug("A part of the batch could not be checked.", exc_info=True)
            return None
        return checked if checked.is_complete else None

    def _check(self, batch, budget, progress) -> Checked:
        """Checks on all of what is given."""
        started = time.perf_counter()
        step = iterations(self._subject.model)
        rng = np.random.default_rng([self._settings.seed, step])
        notes: list[Note] = []
        prepared, is_seen = None, False
        with ONE_AT_A_TIME, outside_strategies():
            draws.number().assign(step)
            progress.stage("tracing")
            try:
                prepared = self._prepare(batch)
            except UncheckableError as error:
                losses = [_Loss(refusal=refusal(error))]
            else:
                losses = self._compare_all(prepared, batch, budget, rng, progress)
                progress.stage("taking the step in the precision of training")
                losses, notes, is_seen = self._look_at_training(prepared, batch, losses)
        dtype = self._training_dtype(prepared)
        report = self._report(losses, notes, step, dtype, time.perf_counter() - started)
        is_told = is_telling(report.variables) and not any(x.refusal for x in losses)
        return Checked(
            report=report,
            is_complete=is_seen and is_told,
            close_seconds=sum(loss.close_seconds for loss in losses),
        )

    def _prepare(self, batch) -> _Prepared:
        """An evaluator for each loss that the training step differentiates.

        Made once, and anew if other weights are trained by now.

        Raises:
            UncheckableError: If the training step can't be followed.
        """
        model, dropout = self._subject.model, self._settings.dropout
        now = list(model.trainable_variables)
        if self._prepared is None or not _same(now, self._prepared.trained):
            assert_ready(model)
            try:
                found = self._subject.steps.objectives(dropout, batch)
            except UncheckableError:
                raise
            except Exception as error:  # of the model's own code
                logger.debug("The training step could not be traced.", exc_info=True)
                raise unreplayable(error) from error
            evaluators = self._subject.evaluators(found, batch)
            self._prepared = _Prepared(
                trained=now,
                evaluators=evaluators,
                past=[History(_sizes(e)) for e in evaluators],
                step=self._subject.training_step(found),
            )
        return self._prepared

    def _compare_all(self, prepared, batch, budget, rng, progress) -> list[_Loss]:
        """Compares each loss, within an equal share of the budget."""
        each = budget.without(prepared.step_seconds) / len(prepared.evaluators)
        return [
            self._compare(k, prepared, batch, each, rng, progress)
            for k in range(len(prepared.evaluators))
        ]

    def _compare(self, number, prepared, batch, budget, rng, progress) -> _Loss:
        """Compares the gradients of one loss, and judges each variable."""
        evaluator, past = prepared.evaluators[number], prepared.past[number]
        settings, problem = self._settings, None
        plan = Plan(settings.samples, settings.directions, settings.tolerance)
        function = self._subject.function_of(number)
        try:
            began, is_traced = time.perf_counter(), evaluator.is_traced_for(batch)
            if is_traced:
                progress.stage("computing the gradient")
            problem = ReplicaProblem(evaluator, batch, rng, progress=progress)
            problem.assert_checkable()
            if not is_traced:  # tracing comes on top
                began = time.perf_counter()
            clock = Clock(budget, began, lambda: problem.seconds)
            shapes = [weight.shape for weight in problem.weights]
            found = compare(
                problem,
                shapes,
                plan,
                past,
                clock,
                rng,
                progress.stage,
                functools.partial(is_symmetric, problem),
            )
        except UncheckableError as error:
            return _Loss(problem, refusal(error, evaluator.replica.objective.name))
        variables = tuple(
            variable_report(problem, k, found, past, settings, function)
            for k in range(len(shapes))
        )
        variables = self._subject.probed(number, evaluator, problem, batch, variables)
        return _Loss(
            problem,
            None,
            variables,
            found.stairs,
            clock.close_seconds(),
            frozenset(found.symmetric),
        )

    def _look_at_training(
        self, prepared, batch, losses
    ) -> tuple[list[_Loss], list[Note], bool]:
        """Adds what training itself makes of the gradients that were compared.

        Returns:
            The losses, notes on them, and whether it could be seen.
        """
        step = prepared.step
        compared = [k for k, loss in enumerate(losses) if loss.refusal is None]
        taken = [k for k in compared if self._subject.is_trained(k, step.dtype)]
        if not taken:
            return losses, [], bool(compared)
        began, is_traced = time.perf_counter(), step.is_ready_for(batch)
        try:
            trained = step.run(batch)
        except Exception as error:  # of the model's own code
            logger.debug("The training step could not be run.", exc_info=True)
            note = TrainingUnseen(f"{type(error).__name__}: {error}")
            return losses, [note], False
        losses, own_trained = list(losses), [trained[k] for k in taken]
        of_size = gradients_by_size([losses[k].variables for k in taken], own_trained)
        for k in taken:
            own = losses[k]
            variables = with_training(
                own.problem, own.variables, step, trained[k], of_size
            )
            losses[k] = replace(own, variables=variables)
        everything = [v for k in taken for v in losses[k].variables]
        exact = [losses[k].problem.level for k in taken]
        declared = self._subject.declared(self._settings.expected)
        notes = list(remarks(everything, step, own_trained, exact, declared))
        if is_traced:  # tracing comes on top
            prepared.step_seconds = time.perf_counter() - began
        return losses, notes, True

    def _training_dtype(self, prepared) -> str:
        """The precision of training; empty if none of the losses is looked at in it."""
        if prepared is None:
            return ""
        dtype, numbers = prepared.step.dtype, range(len(prepared.evaluators))
        return dtype if any(self._subject.is_trained(k, dtype) for k in numbers) else ""

    def _report(self, losses, in_training, step, dtype, seconds) -> GradientReport:
        """Puts together what was found."""
        settings, notes = self._settings, []
        variables = tuple(
            v for k, x in enumerate(losses) for v in self._subject.rows(k, x.variables)
        )
        problems = [loss.problem for loss in losses if loss.problem is not None]
        refusals = [loss.refusal for loss in losses if loss.refusal is not None]
        others = self._subject.remarks()
        for loss in losses:
            if loss.refusal is None:
                notes += self._notes_on(loss)
        notes += [*in_training, *refusals, *others]
        refusals += [note for note in others if isinstance(note, Refusal)]
        if variables:
            notes += on_expected(settings.expected, variables)
        verdict, cause = self._subject.overall(variables, refusals)
        return GradientReport(
            verdict=verdict,
            cause=cause,
            step=step,
            loss=problems[0].level if problems else None,
            dtype=lowest(problem.dtype for problem in problems),
            tolerance=settings.tolerance,
            seed=settings.seed,
            evaluations=sum(problem.evaluations for problem in problems),
            seconds=seconds,
            remarks=tuple(dict.fromkeys(notes)),
            variables=variables,
            training_dtype=dtype if variables else "",
            subject=self._subject.function,
            switched_off=_all_of(problem.switched_off for problem in problems),
            drawn_once=_all_of(problem.drawn_once for problem in problems),
        )

    def _notes_on(self, loss):
        """What else a reader should know of one loss."""
        problem, variables, look = loss.problem, loss.variables, None
        if any(v.verdict == FAIL for v in variables):
            look = look_here(problem, variables) or self._subject.where_to_look(
                problem.stages, variables
            )
            if look is not None:
                yield look
        yield from notes_on(problem, variables, look)
        yield from on_precision(problem, loss.stairs)
        yield from on_edges(problem)
        yield from on_symmetric(loss.symmetric, variables)


def _on_examples(checked, used, there):
    examples = (used, there) if there else None
    report = replace(checked.report, examples=examples)
    return replace(checked, report=report)


def _all_of(rows: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(rows)))


def _sizes(evaluator):
    return [math.prod(weight.shape) for weight in evaluator.replica.weights]


def _same(one: Sequence[object], other: Sequence[object]) -> bool:
    return len(one) == len(other) and all(map(operator.is_, one, other))
