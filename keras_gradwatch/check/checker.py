"""One gradient check, from a model and a batch to a report."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import operator
import time

import numpy as np

from keras_gradwatch.check.budget import Budget, Clock
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.localisation import where_to_look
from keras_gradwatch.check.numerics.compare import Plan, compare
from keras_gradwatch.check.numerics.history import History
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.progress import SILENCE, Silence
from keras_gradwatch.check.reporting import is_telling, overall, variable_report
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.subset import Excerpt
from keras_gradwatch.check.training_effects import remarks, with_training
from keras_gradwatch.check.training_step import TrainingStep
from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import FAIL, PASS
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework.batch import length
from keras_gradwatch.framework.devices import outside_strategies
from keras_gradwatch.framework.dtypes import PRECISIONS
from keras_gradwatch.framework.isolation import ONE_AT_A_TIME
from keras_gradwatch.framework.model import assert_ready
from keras_gradwatch.framework.optimizers import iterations
from keras_gradwatch.replica.replica import Replica, unreplayable
from keras_gradwatch.replica.train_step import objectives


class GradientChecker:
    """Checks one model again and again; copies and traces it once.

    Args:
        model: A built and compiled `keras.Model`.
        settings: The `Settings` of the checks.
        part: Says which part of each batch to check. All of it if None.

    Attributes:
        close_seconds: How long the last check looked closely at what may be wrong.
    """

    def __init__(self, model, settings: Settings, part: Excerpt | None = None):
        self.model = model
        self.settings = settings
        self._part = part
        self.close_seconds = 0.0
        self._trained: list | None = None
        self._evaluators: list[Evaluator] = []
        self._step: TrainingStep | None = None
        self._step_seconds = 0.0  # of what comes after the comparison
        self._past: dict[int, History] = {}

    def check(
        self, batch, budget: Budget | None = None, progress: Silence = SILENCE
    ) -> GradientReport:
        """Checks the gradients at the present weights on one batch.

        Args:
            batch: What `train_step` is handed, nested tensors.
            budget: How long it may take; the `time_budget` of the settings if None.
            progress: Is told what is being done.

        Returns:
            A `GradientReport`; INCONCLUSIVE, with the reason, where this model
            or this batch can't be checked.
        """
        count, part = length(batch), self._part and self._part.of(batch)
        if part is not None:
            report = self._of_part(part, budget, progress)
            if report is not None:
                return dataclasses.replace(report, examples=(length(part), count))
            self._part.give_up()
            # With it goes what was given up of float64, to no avail.
            self._trained = None
        report, _ = self._check(batch, budget, progress)
        return dataclasses.replace(report, examples=count and (count, count))

    def _of_part(self, part, budget, progress) -> GradientReport | None:
        """A report on a part of the batch; None if that does not tell all."""
        try:
            report, is_complete = self._check(part, budget, progress)
        except Exception:  # the whole batch may do, or says it again
            return None
        return report if is_complete else None

    def _check(self, batch, budget, progress):
        """Checks on all of what is given.

        Returns:
            A report, and whether it tells all that can be told of each loss.
        """
        started = time.perf_counter()
        step = iterations(self.model)
        rng = np.random.default_rng([self.settings.seed, step])
        problems, compared, notes, refusals = [], {}, [], []
        self.close_seconds = 0.0
        if budget is None:
            budget = Budget(self.settings.time_budget or math.inf)
        budget = budget.without(self._step_seconds)
        with ONE_AT_A_TIME, outside_strategies():
            progress.stage("tracing")
            evaluators = self._prepare(batch, refusals)
            for k, evaluator in enumerate(evaluators):
                try:
                    begun, traces = time.perf_counter(), evaluator.traces
                    double = batches.as_double(batch)
                    if evaluator.is_traced_for(double):
                        progress.stage("computing the gradient")
                    problem = ReplicaProblem(evaluator, double, rng, progress=progress)
                    problems.append(problem)
                    problem.assert_checkable()
                    if evaluator.traces != traces:  # tracing comes on top
                        begun = time.perf_counter()
                    clock = Clock(
                        budget / len(evaluators), begun, lambda p=problem: p.seconds
                    )
                    past = self._past_of(evaluator)
                    found = self._compare(problem, past, clock, progress)
                    self.close_seconds += clock.close_seconds()
                except UncheckableError as error:
                    name = evaluator.replica.objective.name
                    refusals.append(f"{name}: {error}" if name else str(error))
                else:
                    compared[k] = problem, found
            progress.stage("taking the step in the precision of training")
            reports, said, is_seen = self._in_training(batch, compared)
        variables = tuple(v for found in reports for v in found)
        for (problem, _), found in zip(compared.values(), reports, strict=True):
            if any(v.verdict == FAIL for v in found):
                notes.append(self._where_to_look(problem, found))
            notes += _notes(problem)
        notes += said
        verdict, reason = overall(variables, refusals)
        if variables:
            notes += [*refusals, *self._notes_on_expected(variables)]
        report = GradientReport(
            verdict=verdict,
            reason=reason,
            step=step,
            loss=problems[0].level if problems else None,
            dtype=_lowest(problem.dtype for problem in problems),
            tolerance=self.settings.tolerance,
            seed=self.settings.seed,
            evaluations=sum(problem.evaluations for problem in problems),
            seconds=time.perf_counter() - started,
            notes=tuple(dict.fromkeys(filter(None, notes))),
            variables=variables,
            training_dtype=self._step.dtype if variables else "",
        )
        return report, is_seen and not refusals and is_telling(variables)

    def _prepare(self, batch, refusals) -> list[Evaluator]:
        """An evaluator for each loss that the training step differentiates.

        Made once, and anew if other weights are trained by now.
        """
        now = self.model.trainable_variables
        if self._trained is None or not _same(now, self._trained):
            assert_ready(self.model)
            try:
                found = objectives(self.model, batch)
            except UncheckableError as error:
                refusals.append(str(error))
                return []
            except Exception as error:
                refusals.append(str(unreplayable(error)))
                return []
            self._evaluators = list(map(Evaluator, self._replicas(found)))
            self._step = TrainingStep(self.model, self.settings.dropout, found)
            self._step_seconds, self._past = 0.0, {}
            self._trained = list(now)
        return self._evaluators

    def _replicas(self, found) -> list[Replica]:
        """A replica for each loss that the training step differentiates."""
        return [Replica(self.model, self.settings.dropout, o) for o in found]

    def _past_of(self, evaluator):
        sizes = [math.prod(weight.shape) for weight in evaluator.replica.weights]
        return self._past.setdefault(id(evaluator), History(sizes))

    def _compare(self, problem, past, clock, progress) -> tuple[VariableReport, ...]:
        """Compares the gradients of one loss, and judges each variable."""
        settings = self.settings
        plan = Plan(settings.samples, settings.directions, settings.tolerance)
        shapes = [weight.shape for weight in problem.weights]
        tell, rng = progress.stage, problem.rng
        found = compare(problem, shapes, plan, past, clock, rng, tell)
        return tuple(
            variable_report(problem, k, found, past, settings)
            for k in range(len(shapes))
        )

    def _in_training(self, batch, compared):
        """Adds what training itself makes of the gradients that were compared.

        Args:
            batch: What `train_step` is handed.
            compared: By the number of the loss, its problem and reports.

        Returns:
            The reports of each loss, notes on them, and whether it could be seen.
        """
        reports = [found for _, found in compared.values()]
        if not compared:
            return reports, [], False
        began, is_traced = time.perf_counter(), self._step.is_traced_for(batch)
        try:
            trained = self._step.run(batch)
        except Exception as error:
            note = (
                "What becomes of the gradients in the precision of training could not "
                f"be seen. {type(error).__name__}: {error}"
            )
            return reports, [note], False
        reports = [
            with_training(problem, found, self._step, trained[k])
            for k, (problem, found) in compared.items()
        ]
        everything = [v for found in reports for v in found]
        losses = [problem.level for problem, _ in compared.values()]
        run = [trained[k] for k in compared]
        notes = list(remarks(everything, self._step, run, losses))
        if is_traced:  # tracing comes on top
            self._step_seconds = time.perf_counter() - began
        return reports, notes, True

    def _where_to_look(self, problem, variables) -> str:
        return where_to_look(problem.stages, variables)

    def _notes_on_expected(self, variables):
        """What of `expected` is out of date: the list must not rot."""
        for pattern in self.settings.expected:
            matching = [v for v in variables if fnmatch.fnmatchcase(v.path, pattern)]
            if not matching:
                yield f"expected={pattern!r} matches no variable."
            elif all(v.verdict == PASS for v in matching):
                yield (
                    f"expected={pattern!r} matches only variables whose gradient is "
                    "right by now: it can go."
                )


def _notes(problem):
    """What else a reader should know of one loss."""
    for dtype, layers in sorted(problem.low_precision.items()):
        names = ", ".join(layers[:5]) + (" and others" if len(layers) > 5 else "")
        yield (
            f"The loss goes through {dtype} in {names}: differences are less "
            "accurate there, and the error bars wider."
        )


def _lowest(dtypes):
    return min(dtypes, key=PRECISIONS.index, default=PRECISIONS[-1])


def _same(one, other):
    return len(one) == len(other) and all(map(operator.is_, one, other))
