"""The check of a part of a model: a layer, a loss, or any function of tensors."""

from __future__ import annotations

from dataclasses import fields, replace

from keras_gradwatch.arguments import refuse
from keras_gradwatch.check.checker import GradientChecker
from keras_gradwatch.check.localisation import where_to_look
from keras_gradwatch.check.parts.call_arguments import Given
from keras_gradwatch.check.parts.derivatives import FirstOrder, SecondOrder
from keras_gradwatch.check.parts.harness import Harness
from keras_gradwatch.check.settings import Settings
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.findings.verdicts import INCONCLUSIVE, PASS

ORDERS = (1, 2)
# The sections of a report with both.
FIRST, SECOND = "gradient", "second derivative"
# In what is said of a gradient, what is another word for a second derivative.
_OF_SECOND = {
    "The gradient": "The second derivative",
    "o gradient": "o second derivative",
    "The loss": "The gradient",
    "the loss": "the gradient",
}


def check_part(
    thing,
    given: Given,
    order: int,
    options: dict,
    dtype,
    *,
    training: bool = True,
    is_loss: bool = False,
) -> GradientReport:
    """Checks the gradients of something that is no model by itself.

    Args:
        thing: A `keras.Layer`, a `keras.Loss`, or any callable.
        given: The `Given` arguments of the call.
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
    return PartChecker(harness, settings, order, is_loss).check(harness.batch())


def settings_from(order, options: dict) -> Settings:
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


class PartChecker(GradientChecker):
    """Checks a `Harness`.

    Args:
        harness: The `Harness`, prepared.
        settings: The `Settings` of the check.
        order: With 2, the second derivative is checked after the gradient.
        is_loss: Whether it calls a loss.
    """

    def __init__(self, harness: Harness, settings: Settings, order: int, is_loss: bool):
        super().__init__(harness, settings)
        self._order = order
        self._is_loss = is_loss

    def _replicas(self, found):
        (objective,) = found
        dropout, seed = self.settings.dropout, self.settings.seed
        if self._order == 1:
            return [FirstOrder(self.model, dropout, objective)]
        first, second = (replace(objective, name=name) for name in (FIRST, SECOND))
        return [
            FirstOrder(self.model, dropout, first),
            SecondOrder(self.model, dropout, second, seed),
        ]

    @property
    def _is_double(self):
        return self._step is not None and self._step.dtype == "float64"

    def check(self, batch, budget=None):
        report = super().check(batch, budget)
        if self._is_double:  # there is nothing that rounding could make of it
            report = replace(report, training_dtype="")
        if self._order == 2 and report.verdict == PASS:
            report = _of_both(report)
        return replace(
            report,
            reason=self._worded(report.reason),
            notes=tuple(map(self._worded, report.notes)),
        )

    def _compare(self, problem, past, clock, progress):
        def worded(reason):
            if problem.target != SECOND:
                return self._worded(reason)
            for before, after in _OF_SECOND.items():
                reason = reason.replace(before, after)
            return reason

        return tuple(
            replace(v, reason=worded(v.reason))
            for v in super()._compare(problem, past, clock, progress)
        )

    def _worded(self, text):
        """Says "output" for "loss" where there is none."""
        if self._is_loss:
            return text
        return text.replace("The loss", "The output").replace("the loss", "the output")

    def _in_training(self, batch, compared):
        if self._is_double:
            return [reports for _, reports in compared.values()], [], True
        # What training makes of it is asked of the gradient alone.
        first = {k: v for k, v in compared.items() if k == 0}
        reports, notes, is_seen = super()._in_training(batch, first)
        reports = [*reports, *(v for k, (_, v) in compared.items() if k)]
        return reports, notes, is_seen

    def _where_to_look(self, problem, variables):
        stages = [
            replace(stage, name="inputs", kind="", is_own=False)
            if stage.name == self.model.name
            else stage
            for stage in problem.stages
        ]
        if sum(bool(stage.kind) for stage in stages) < 2:
            return ""  # the rows of the report say it all
        return where_to_look(stages, variables, has_loss=False)


def _of_both(report):
    """The same report; INCONCLUSIVE if only the first derivative is known."""
    second = [v for v in report.variables if v.target == SECOND]
    if any(v.verdict != INCONCLUSIVE for v in second):
        return report
    # Zero where differences are zero, too: so it is where a function is linear.
    open_rows = [
        v
        for v in second
        if any(c.word != "zero" for c in (*v.coordinates, *v.directions))
    ]
    if second and not open_rows:
        return report
    reasons = [v.reason for v in open_rows]
    reasons += [note for note in report.notes if note.startswith(SECOND)]
    return replace(
        report,
        verdict=INCONCLUSIVE,
        reason="Only the gradient could be compared. "
        + " ".join(dict.fromkeys(reasons)),
    )
