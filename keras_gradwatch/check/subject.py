"""What is checked: a model, or something that is looked at as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras

from keras_gradwatch.check.evaluation.evaluator import Evaluator
from keras_gradwatch.check.localisation import where_to_look
from keras_gradwatch.check.problem import ReplicaProblem
from keras_gradwatch.check.reporting import overall
from keras_gradwatch.check.training_step import TrainingStep
from keras_gradwatch.findings.causes import Cause
from keras_gradwatch.findings.notes import HandedUnseen, Look, Note, Refusal
from keras_gradwatch.findings.variable import VariableReport
from keras_gradwatch.findings.vocabulary import LOSS
from keras_gradwatch.replica.outline import Stage
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.replica.train_step import Objective


class Subject(Protocol):
    """What a `GradientChecker` asks of what it checks.

    Attributes:
        model: A built and compiled `keras.Model`.
        steps: Its training step, traced.
        function: What is differentiated: `"loss"` or `"output"`.
    """

    model: keras.Model
    steps: Steps
    function: str

    def evaluators(
        self, objectives: Sequence[Objective], batch: Any
    ) -> list[Evaluator]:
        """An evaluator for each function that is to be differentiated.

        Args:
            objectives: What the model's training step differentiates.
            batch: What `train_step` is handed.
        """

    def training_step(self, objectives: Sequence[Objective]) -> TrainingStep:
        """The training step in its own precision.

        Args:
            objectives: As for `evaluators`.
        """

    def function_of(self, number: int) -> str:
        """What one of them is: `"loss"`, `"output"` or `"gradient"`.

        Args:
            number: Its place among the evaluators.
        """

    def probed(
        self,
        number: int,
        evaluator: Evaluator,
        problem: ReplicaProblem,
        batch: Any,
        variables: tuple[VariableReport, ...],
    ) -> tuple[VariableReport, ...]:
        """What was found for one of them, in the light of more than differences.

        Args:
            number: Its place among the evaluators.
            evaluator: Its evaluator.
            problem: What was compared.
            batch: What `train_step` is handed.
            variables: What was found for each of its variables.
        """

    def rows(
        self, number: int, variables: tuple[VariableReport, ...]
    ) -> tuple[VariableReport, ...]:
        """What of the findings for one of them is worth a row in the report.

        Args:
            number: Its place among the evaluators.
            variables: What was found for each of its variables.
        """

    def remarks(self) -> Sequence[Note]:
        """What should be known of the whole check."""

    def is_trained(self, number: int, dtype: str) -> bool:
        """Whether to look at what training makes of the gradient of one of them.

        Args:
            number: Its place among the evaluators.
            dtype: The precision of training.
        """

    def declared(self, expected: Sequence[str]) -> Sequence[str]:
        """Patterns of paths for which nothing that training does is severe.

        Args:
            expected: What the user declared.
        """

    def where_to_look(
        self, stages: Sequence[Stage], variables: Sequence[VariableReport]
    ) -> Look | None:
        """What bounds the mistake, None if nothing does.

        Args:
            stages: The layers in the order of the forward pass.
            variables: The reports of all variables of one loss, some of them wrong.
        """

    def overall(
        self, variables: Sequence[VariableReport], refusals: Sequence[Refusal]
    ) -> tuple[str, Cause | None]:
        """The verdict of the whole check, and the cause where not all was told.

        Args:
            variables: The reports of all variables.
            refusals: What was not looked at.
        """


class WholeModel:
    """A compiled model: each loss that its training step differentiates.

    Args:
        model: The live model.
        dropout: `"bypass"` or `"freeze"`, as for `Replica`.
        steps: Its training step, if that is traced for others too.
    """

    function = LOSS

    def __init__(self, model: keras.Model, dropout: str, steps: Steps | None = None):
        self.model = model
        self.steps = steps or Steps(model)
        self._dropout = dropout
        self._unseen: tuple[str, ...] = ()

    def evaluators(
        self, objectives: Sequence[Objective], batch: Any
    ) -> list[Evaluator]:
        self._unseen = objectives[0].unseen
        replicas = [Replica(self.model, self._dropout, o) for o in objectives]
        return [Evaluator(replica, self.steps.loss) for replica in replicas]

    def training_step(self, objectives: Sequence[Objective]) -> TrainingStep:
        return TrainingStep(self.steps, self._dropout, objectives)

    def function_of(self, number: int) -> str:
        return LOSS

    def probed(
        self,
        number: int,
        evaluator: Evaluator,
        problem: ReplicaProblem,
        batch: Any,
        variables: tuple[VariableReport, ...],
    ) -> tuple[VariableReport, ...]:
        return variables

    def rows(
        self, number: int, variables: tuple[VariableReport, ...]
    ) -> tuple[VariableReport, ...]:
        return variables

    def remarks(self) -> Sequence[Note]:
        return (HandedUnseen("", self._unseen),) if self._unseen else ()

    def is_trained(self, number: int, dtype: str) -> bool:
        return True

    def declared(self, expected: Sequence[str]) -> Sequence[str]:
        return expected

    def where_to_look(
        self, stages: Sequence[Stage], variables: Sequence[VariableReport]
    ) -> Look | None:
        return where_to_look(stages, variables)

    def overall(
        self, variables: Sequence[VariableReport], refusals: Sequence[Refusal]
    ) -> tuple[str, Cause | None]:
        return overall(variables, refusals)
