"""A part of a model, to be checked: a layer, a loss, or any function of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import keras

from keras_gradwatch.arguments import refuse
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.localisation import where_to_look
from keras_gradwatch.check.parts.call_arguments import CallArguments
from keras_gradwatch.check.parts.derivatives import FirstOrder, SecondOrder
from keras_gradwatch.check.parts.harness import Harness
from keras_gradwatch.check.parts.linearity import (
    is_silent_without_upstream,
    with_linearity,
)
from keras_gradwatch.check.parts.step_per_output import StepPerOutput
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.reporting import overall
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.check.training_step import TrainingStep
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.findings.causes import Cause, NotAllTold, OnlyFirstOrder
from keras_gradwatch.findings.notes import Look, NotDifferentiated, Note, Refusal
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import CLEAN, FAIL, INCONCLUSIVE
from keras_gradwatch.findings.vocabulary import FIRST, GRADIENT, LOSS, OUTPUT, SECOND
from keras_gradwatch.replica.outline import Stage
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.train_step import Objective

ORDERS = (1, 2)


def check_part(
    thing: Any,
    given: CallArguments,
    order: int,
    options: dict[str, Any],
    dtype: Any,
    *,
    training: bool = True,
    is_loss: bool = False,
) -> GradientReport:
    """Checks the gradients of something that is no model by itself.

    Args:
        thing: A `keras.Layer`, a `keras.Loss`, or any callable.
        given: The `CallArguments` arguments of the call.
        order: The highest derivative to check, 1 or 2.
        options: What `Settings` takes.
        dtype: The dtype policy in which the thing is called.
        training: What layers are told with `training`.
        is_loss: Whether the thing is a loss.

    Raises:
        InvalidArgumentError: If an argument is wrong, or there is nothing to
            differentiate.
    """
    settings = settings_from(order, options)
    harness = Harness(thing, given, settings.seed, dtype, training, order == 2)
    if not isinstance(thing, keras.Layer):  # which may get weights yet
        _assert_variables(harness)
    harness.prepare()
    _assert_variables(harness)
    part = Part(harness, settings, order, is_loss)
    return GradientChecker(part, settings).check(harness.batch()).report


def _assert_variables(harness):
    if not harness.trainable_variables:
        others = [f"{path} ({kind})" for path, kind in harness.given.others]
        raise InvalidArgumentError(
            "There is nothing to differentiate for: no argument holds floats, and "
            "there are no trainable weights. Received: "
            f"{', '.join([repr(harness.thing), *others])}"
        )


def settings_from(order: int, options: dict[str, Any]) -> Settings:
    """The `Settings` of a check.

    Raises:
        InvalidArgumentError: If `order` or an option is wrong.
    """
    if isinstance(order, bool) or order not in ORDERS:
        refuse("order", "1 or 2", order)
    known = [field.name for field in fields(Settings)]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InvalidArgumentError(
            f"The options are {', '.join(known)}. Received: {', '.join(unknown)}"
        )
    return Settings(**options)


class Part:
    """A `Subject` for `GradientChecker`: what a harness calls.

    Args:
        harness: The `Harness`, prepared.
        settings: The `Settings` of the check.
        order: With 2, the second derivative is checked after the gradient.
        is_loss: Whether it calls a loss.
    """

    def __init__(self, harness: Harness, settings: Settings, order: int, is_loss: bool):
        self.model, self.steps = harness, Steps(harness)
        self.function = LOSS if is_loss else OUTPUT
        self._settings, self._order = settings, order
        self._count = len(harness.wanted)

    def evaluators(
        self, objectives: Sequence[Objective], batch: Any
    ) -> list[Evaluator]:
        (objective,) = objectives
        first = self._sharing(lambda k, alone: self._first(objective, k, alone), batch)
        if self._order == 1:
            return first
        # Upstream gradients are no weights: of the slope alone they are variables.
        variables = (*objective.variables, *self.model.upstream)
        objective = replace(objective, variables=variables)
        return first + self._sharing(
            lambda k, alone: self._second(objective, k, alone), batch
        )

    def _first(self, objective, number, is_alone):
        objective = replace(objective, name=self._name(FIRST, number))
        return FirstOrder(
            self.model, self._settings.dropout, objective, number, is_alone
        )

    def _second(self, objective, number, is_alone):
        dropout, seed = self._settings.dropout, self._settings.seed
        objective = replace(objective, name=self._name(SECOND, number))
        return SecondOrder(self.model, dropout, objective, number, seed, is_alone)

    def _name(self, derivative, number):
        path = self.model.wanted[number].path
        if self._count == 1:
            return "" if self._order == 1 else derivative
        return path if derivative == FIRST else f"{path}, {derivative}"

    def _sharing(self, make, batch) -> list[Evaluator]:
        """An evaluator for each output, of one trace if none sees the others."""
        one = Evaluator(make(0, False))
        if self._count == 1:
            return [one]
        others = range(1, self._count)
        if is_silent_without_upstream(one, batch):
            return [one, *(Evaluator(make(k, False), like=one) for k in others)]
        return [Evaluator(make(k, True)) for k in range(self._count)]

    def training_step(self, objectives: Sequence[Objective]) -> TrainingStep:
        return StepPerOutput(self.steps, self._settings.dropout, objectives)

    def function_of(self, number: int) -> str:
        return self.function if number < self._count else GRADIENT

    def is_trained(self, number: int, dtype: str) -> bool:
        # Of float64 there is nothing that rounding could make, and what training
        # makes of it is asked of the gradient alone.
        return number < self._count and dtype != "float64"

    def probed(
        self,
        number: int,
        evaluator: Evaluator,
        problem: ReplicaProblem,
        batch: Any,
        variables: tuple[VariableReport, ...],
    ) -> tuple[VariableReport, ...]:
        if number >= self._count:
            return variables
        return with_linearity(evaluator, problem, batch, variables, self._settings)

    def rows(
        self, number: int, variables: tuple[VariableReport, ...]
    ) -> tuple[VariableReport, ...]:
        if self._count == 1 or not variables:
            return variables
        wanted, first = (
            self.model.wanted[number % self._count],
            number % self._count == 0,
        )
        known = [*self.model.trainable_variables, *self.model.upstream]
        return tuple(
            report
            for report, variable in zip(variables, known, strict=False)
            # One that nothing depends on has its row all the same: the first.
            if report.verdict == FAIL
            or self._belongs(variable, wanted)
            or (first and not self._is_used(variable))
        )

    def _belongs(self, variable, wanted):
        upstream = self.model.upstream
        places = [k for k, u in enumerate(upstream) if u is variable]
        return set(places) <= set(wanted.terms) and (
            bool(places) or wanted.may_depend_on(variable)
        )

    def _is_used(self, variable):
        return any(self._belongs(variable, wanted) for wanted in self.model.wanted)

    def remarks(self) -> Sequence[Note]:
        if not self.model.others:
            return ()
        paths, kinds = zip(*self.model.others, strict=True)
        return (NotDifferentiated(paths, kinds),)

    def declared(self, expected: Sequence[str]) -> Sequence[str]:
        return ("*",)  # a part learns nothing by itself

    def where_to_look(
        self, stages: Sequence[Stage], variables: Sequence[VariableReport]
    ) -> Look | None:
        # The arguments are variables of the harness, but it is no layer.
        stages = [
            replace(stage, name="inputs", kind="", is_own=False)
            if stage.name == self.model.name
            else stage
            for stage in stages
        ]
        if sum(bool(stage.kind) for stage in stages) < 2:
            return None  # the rows of the report say it all
        return where_to_look(stages, variables, has_loss=False)

    def overall(
        self, variables: Sequence[VariableReport], refusals: Sequence[Refusal]
    ) -> tuple[str, Cause | None]:
        verdict, cause = overall(variables, refusals)
        if self._order == 2 and isinstance(cause, NotAllTold):
            first = [v.verdict for v in variables if v.subject != GRADIENT]
            second = [k for k, v in enumerate(variables) if v.subject == GRADIENT]
            is_open = all(variables[k].verdict == INCONCLUSIVE for k in second)
            if is_open and first and set(first) <= set(CLEAN):
                return verdict, OnlyFirstOrder(tuple(second))
        return verdict, cause
