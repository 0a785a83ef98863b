"""What was found for one variable: frozen data."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gradwatch.findings import sentences
from keras_gradwatch.findings.causes import Cause
from keras_gradwatch.findings.handed import Handed
from keras_gradwatch.findings.vocabulary import LOSS


@dataclass(frozen=True)
class Comparison:
    """One coordinate or one random direction, both slopes, and the word for it.

    Args:
        kind: `"coordinate"`, `"direction"`, or `"screen"` for a direction in which
            other variables were moved too. All that such a slope is off by is then
            held against this variable.
        index: Index of the entry, a tuple with one integer for each axis of the
            variable. None for a direction, which moves every entry.
        word: `"match"`, `"mismatch"`, `"kink"`, `"jump"`, `"noisy"`, `"zero"`
            or `"nonfinite"`.
        analytic: Slope that `tf.GradientTape` gives. None if it gave none.
        numerical: Centred difference. None if no loss nearby was finite.
        error_bar: How far `numerical` may be off.
        relative_error: `|a - n| / (|a| + |n|)`; along a direction, `|a|` is at
            least a tenth of the norm of the gradient.
        step: Step of the difference, in the units of the weights.
        among: How many variables were moved at once.
    """

    kind: str
    index: tuple[int, ...] | None
    word: str
    analytic: float | None
    numerical: float | None
    error_bar: float | None
    relative_error: float | None
    step: float | None
    among: int = 1


@dataclass(frozen=True)
class VariableReport:
    """What was found for one variable.

    Args:
        path: Path of the variable in the model, such as `"dense/kernel"`.
        target: Which of the losses of a `train_step` of several, by the name of
            the optimizer that its gradients reach; or which output or added loss of
            a layer or function. Empty if there is only one.
        shape: Its shape.
        verdict: `"PASS"`, `"ZERO"`, `"UNUSED"`, `"BLOCKED"`, `"FAIL"`,
            `"EXPECTED"` or `"INCONCLUSIVE"`.
        cause: Why, a `causes.Cause`. None where PASS says it all.
        relative_error: `|a - n| / (|a| + |n|)`, norms over all that was
            compared; where that would hide what failed, of the worst mismatch. None
            if nothing was compared, or if what failed is not finite.
        error_bar: The part of it that errors of the differences may explain.
        resolution: The smallest relative error that could have been seen.
        coverage: Share of the entries that was compared, singly or along a
            direction, from 0 to 1.
        coordinates: A `Comparison` for each coordinate.
        directions: A `Comparison` for each random direction.
        training_error: `|g - a| / (|g| + |a|)` of the gradient `g` in the
            precision of training and the float64 one `a`, norms over the entries
            that are finite in both. None if there is nothing to compare.
        vanished: Share of the entries of `a` above round-off that are exactly
            zero in `g`.
        overflowed: Share of the entries of `a` that are NaN or infinite in `g`.
        handed: What the training step hands to the optimizer instead of the
            gradient. None if it is the gradient itself.
        coverage_so_far: The same as `coverage`, of this check and all before it in
            the same fit. None in old reports.
        entries_so_far: How many entries were compared singly, in this check and all
            before it.
        subject: What was differentiated: `"loss"`, `"output"` or `"gradient"`.
    """

    path: str
    target: str
    shape: tuple[int, ...]
    verdict: str
    cause: Cause | None
    relative_error: float | None
    error_bar: float | None
    resolution: float | None
    coverage: float
    coordinates: tuple[Comparison, ...]
    directions: tuple[Comparison, ...]
    training_error: float | None = None
    vanished: float | None = None
    overflowed: float | None = None
    handed: Handed | None = None
    coverage_so_far: float | None = None
    entries_so_far: int | None = None
    subject: str = LOSS

    @property
    def label(self) -> str:
        """The path, with the target where there are several."""
        return f"{self.path} ({self.target})" if self.target else self.path

    @property
    def reason(self) -> str:
        """Why, in a few words. Empty where PASS says it all."""
        return sentences.because(self.cause, self.subject)

    @property
    def applied(self) -> str:
        """What the training step hands to the optimizer instead of the gradient.

        In words, such as `"0.5 times the gradient"`. Empty if it is the gradient
        itself.
        """
        return sentences.handed_on(self.handed)
