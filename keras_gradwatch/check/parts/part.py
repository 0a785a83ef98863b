"""A part of a model, to be checked: a layer, a loss, or any function of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from keras_gradwatch.arguments import refuse
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.localisation import where_to_look
from keras_gradwatch.check.parts.call_arguments import CallArguments
from keras_gradwatch.check.parts.derivatives import FirstOrder, SecondOrder
from keras_gradwatch.check.parts.harness import Harness
from keras_gradwatch.check.reporting import overall
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.findings.causes import Cause, NotAllTold, OnlyFirstOrder
from keras_gradwatch.findings.notes import Look, Refusal
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.verdicts import CLEAN, INCONCLUSIVE
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
    harness = Harness(thing, given, settings.seed, dtype, training)
    harness.prepare()
    if not harness.trainable_variables:
        raise InvalidArgumentError(
            "There is nothing to differentiate for: no argument holds floats "
            "(sparse and ragged ones are taken as they are), and there are no "
            f"trainable weights. Received: {thing!r}"
        )
    part = Part(harness, settings, order, is_loss)
    return GradientChecker(part, settings).check(harness.batch()).report


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

    def evaluators(self, objectives: Sequence[Objective]) -> list[Evaluator]:
        (objective,) = objectives
        dropout, seed = self._settings.dropout, self._settings.seed
        if self._order == 1:
            return [Evaluator(FirstOrder(self.model, dropout, objective))]
        first, second = (replace(objective, name=name) for name in (FIRST, SECOND))
        return [
            Evaluator(FirstOrder(self.model, dropout, first)),
            Evaluator(SecondOrder(self.model, dropout, second, seed)),
        ]

    def function_of(self, number: int) -> str:
        return self.function if number == 0 else GRADIENT

    def is_trained(self, number: int, dtype: str) -> bool:
        # Of float64 there is nothing that rounding could make, and what training
        # makes of it is asked of the gradient alone.
        return number == 0 and dtype != "float64"

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
            first = [v.verdict for v in variables if v.target == FIRST]
            second = [k for k, v in enumerate(variables) if v.target == SECOND]
            is_open = all(variables[k].verdict == INCONCLUSIVE for k in second)
            if is_open and first and set(first) <= set(CLEAN):
                return verdict, OnlyFirstOrder(tuple(second))
        return verdict, cause
