"""What was found, in English: the one place where findings become sentences.

Nothing reads them but people. Whoever wants to know what was found asks the data.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings import causes, handed, notes, pattern
from keras_gradwatch.findings.manner import (
    FACTOR,
    IN_WORDS,
    MISSING,
    NONFINITE,
    NONFINITE_IN_TRAINING,
    ZERO,
    Manner,
)
from keras_gradwatch.findings.place import Place
from keras_gradwatch.findings.text import counted
from keras_gradwatch.findings.vocabulary import LOSS, derivative_of

# Names shown before "and others".
_PLACES, _LABELS, _LAYERS = 4, 3, 5


def because(cause: causes.Cause | None, subject: str = LOSS) -> str:
    """Why a variable or a check has its verdict; empty if there is no more to say.

    Args:
        cause: The `Cause`.
        subject: What was differentiated, one of `vocabulary.SUBJECTS`.
    """
    derivative = derivative_of(subject)
    match cause:
        case None:
            return ""
        case causes.Told(text):
            return text
        case causes.Mismatch():
            return _mismatch(cause, subject)
        case causes.NonFiniteGradient(count, size, first):
            return (
                f"{count} of {size} entries of the {derivative} are NaN or infinite, "
                f"the first of them {list(first)}, while the {subject} is finite."
            )
        case causes.MissingGradient():
            return (
                f"The tape returned no {derivative} (None), but the {subject} depends "
                "on it."
            )
        case causes.Misshapen(gradient, variable):
            return (
                f"The {derivative} has the shape {gradient}, and the variable "
                f"{variable}: sum it over the axes that are broadcast."
            )
        case causes.OverflowInTraining(dtype, share):
            return (
                f"In {dtype}, the precision of training, {_share(share)} of the "
                f"{derivative} is NaN or infinite; in float64 it is finite."
            )
        case causes.Partial(share):
            return f"Only {share:.1%} of its entries could be compared."
        case causes.NoInfluence():
            return f"No {derivative}, and the {subject} does not depend on it."
        case causes.NotCompared():
            return "Not compared in this check."
        case causes.Pending():
            return (
                "A sweep over this and other variables is off; there was no time left "
                "to look at this one alone."
            )
        case causes.Untold():
            return (
                f"The tape returned no {derivative} (None), and differences can't tell "
                f"whether the {subject} depends on it."
            )
        case causes.Dead():
            return (
                f"The {derivative} is zero everywhere, and so are all differences: "
                "dead (saturated or switched-off units), or without influence here."
            )
        case causes.WithoutInfluence():
            return (
                f"The {derivative} is zero up to round-off, and so are all "
                "differences: such a weight has no influence here, as a bias before "
                "batch normalisation."
            )
        case causes.AtKink():
            return (
                f"The {subject} has a kink just here, where a {derivative} may have "
                "many values: differences can't tell whether this one is right."
            )
        case causes.AtJump():
            return (
                f"The {subject} is discontinuous here: differences give no derivative."
            )
        case causes.TooNoisy():
            return (
                "Too noisy: the error bar of the differences is larger than the "
                "tolerance."
            )
        case causes.NonFiniteNearby():
            return f"The {subject} is not finite nearby: no difference can be formed."
        case causes.TooSmall():
            return "What agreed is too small to have shown an error."
        case causes.NothingCompared():
            return "Nothing could be compared."
        case causes.StraightThrough(layer):
            return (
                f"Layer {layer!r} after it is quantised: it rounds, and passes the "
                "gradient straight through, so differences can't tell whether it is "
                "right."
            )
        case causes.VariablesPending(labels):
            return (
                f"A sweep over {counted(len(labels), 'variable')} is off; no time was "
                "left to look at each of them alone: "
                f"{_and_others(labels, _LABELS)}."
            )
        case causes.OnlyExpected():
            return "Only mismatches that were declared as expected."
        case causes.NothingTold():
            return "Nothing could be compared."
        case causes.OnlyFirstOrder():
            return "Only the gradient could be compared."
    raise TypeError(f"Expected a cause. Received: {cause!r}")


def note(found: notes.Note, subject: str = LOSS) -> str:
    """A note in one sentence or a few.

    Args:
        found: The `Note`.
        subject: What was differentiated, one of `vocabulary.SUBJECTS`.
    """
    match found:
        case notes.Said(text):
            return text
        case notes.Look():
            return _look(found)
        case notes.Refusal():
            start = f"{found.target}: " if found.target else ""
            return f"{start}{refusal(found, subject)}"
        case notes.LowPrecision(dtype, layers):
            return (
                f"The {subject} goes through {dtype} in "
                f"{_and_others(layers, _LAYERS)}: differences are less accurate there, "
                "and the error bars wider."
            )
        case notes.TrainingUnseen(error):
            return (
                "What becomes of the gradients in the precision of training could not "
                f"be seen. {error}"
            )
        case notes.LeftOut(paths):
            return f"The training step takes no gradient for {_first_of(paths)}."
        case notes.LossNotScaled(optimizer):
            return (
                f"The training step hands gradients to {optimizer!r}, a "
                "LossScaleOptimizer that divides them by its scale, but does not scale "
                f"the loss. Differentiate `self.{optimizer}.scale_loss(loss)`."
            )
        case notes.HandedOn(labels, what):
            return (
                f"For {_first_of(labels)} the training step hands the optimizer "
                f"{handed_on(what)}."
            )
        case notes.ExpectedMatchesNothing(path):
            return f"expected={path!r} matches no variable."
        case notes.ExpectedIsRight(path):
            return (
                f"expected={path!r} matches only variables whose gradient is right by "
                "now: it can go."
            )
    return _in_training(found, subject)


def _in_training(found, subject):
    match found:
        case notes.TrainingLossNotFinite(dtype, loss, exact):
            return (
                f"In {dtype}, the precision of training, the {subject} is {loss}; in "
                f"float64 it is {exact:.4g}."
            )
        case notes.Underflow():
            return _underflow(found)
        case notes.Overflow(dtype, share, labels, is_scaled):
            then = ": the optimizer skips such a step, and halves the scale of the loss"
            return (
                f"In {dtype}, the precision of training, {_share(share)} of the "
                f"gradient of {_first_of(labels)} is NaN or infinite"
                f"{then if is_scaled else ''}."
            )
        case notes.RoundedOff(dtype, error, labels):
            return (
                f"In {dtype}, the precision of training, the gradient of "
                f"{_first_of(labels)} is off by {error:.0%}: what rounding leaves of "
                "it."
            )
    raise TypeError(f"Expected a note. Received: {found!r}")


def refusal(found: notes.Refusal, subject: str = LOSS) -> str:
    """Why a loss was not looked at.

    Args:
        found: The `Refusal`.
        subject: What was differentiated, one of `vocabulary.SUBJECTS`.
    """
    match found:
        case notes.Refused(_, text):
            return text
        case notes.LossNotFinite(_, loss):
            return (
                f"The {subject} is {loss}: there is no gradient to check. Look for "
                "what first returns NaN or infinity."
            )
        case notes.LossNotRepeatable(_, once, again):
            return (
                f"The {subject} differs between two evaluations at the same weights "
                f"({once!r} and {again!r}): it has something random in it that can't "
                "be replayed. Draw random numbers with `keras.random` and a "
                "`keras.random.SeedGenerator`."
            )
    raise TypeError(f"Expected a refusal. Received: {found!r}")


def places(found: Sequence[Place]) -> str:
    """The names of layers, such as `"'a' (Dense) and 'b' (Swish)"`.

    Args:
        found: The layers, in the order of the forward pass.
    """
    shown = [_place(place) for place in found[:_PLACES]]
    if len(found) > _PLACES:
        shown.append(f"{len(found) - _PLACES} more up to {_place(found[-1])}")
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def manner(found: Manner | None) -> str:
    """How a gradient is wrong, to end the sentence "The gradient is ...".

    Args:
        found: The `Manner`; None if the relative error says all there is to say.
    """
    if found is None:
        return ""
    if found.kind == FACTOR:
        return _by_a_factor(found.factor or 0.0)
    return {
        NONFINITE: "not finite",
        MISSING: "missing",
        NONFINITE_IN_TRAINING: "not finite in the precision of training",
        ZERO: "zero",
        IN_WORDS: found.text,
    }[found.kind]


def handed_on(found: handed.Handed | None) -> str:
    """What an optimizer is handed instead of a gradient; empty if it is the gradient.

    Args:
        found: The `Handed`.
    """
    if found is None:
        return ""
    what = _what(found)
    return f"the gradient, and {what}" if found.is_beside else what


def _what(found):
    factor = found.factor
    match found.kind:
        case handed.UNRETURNED:
            return "a gradient that the tape did not return"
        case handed.NOTHING | handed.ZEROS:
            return found.kind
        case handed.MULTIPLE:
            return f"{factor:.3g} times the gradient"
        case handed.OF_ANOTHER:
            times = "" if factor is None else f"{factor:.3g} times "
            return f"{times}the gradient of {found.path}"
        case handed.PART_OF_SUM:
            return f"{factor:.3g} times the gradient, added to that of another loss"
        case handed.INSTEAD_OF_NONFINITE:
            return "another value: the gradient is not finite"
        case handed.ANOTHER_VALUE if found.distance is None:
            return "another value"
        case handed.ANOTHER_VALUE:
            away = f"{found.distance:.0%}"
            return f"another value, {away} of the gradient's norm away from it"
        case handed.IN_WORDS:
            return found.text
    raise ValueError(f"Expected a kind of `handed`. Received: {found!r}")


def _mismatch(found, subject):
    derivative = derivative_of(subject)
    figures = (
        f"a slope of {found.analytic + 0.0:.4g} where differences give "
        f"{found.numerical:.4g} +- {found.error_bar:.1g}."
    )
    seen = found.pattern
    match seen.kind if seen else None:
        case None:
            return f"The {derivative} gives {figures}"
        case pattern.ENTRY:
            return f"Only entry {list(seen.index)} is wrong: it has {figures}"
        case pattern.SLICE:
            name = {0: "row", 1: "column"}.get(seen.axis, "slice")
            return (
                f"Only {name} {seen.index} (axis {seen.axis}) is wrong. There the "
                f"{derivative} gives {figures}"
            )
        case pattern.ZERO:
            return (
                f"The {derivative} is zero everywhere, but the {subject} depends on "
                f"it: it gives {figures}"
            )
        case pattern.SIGN:
            return f"The {derivative} has the wrong sign: it gives {figures}"
        case pattern.SCALED:
            return (
                f"The {derivative} is {seen.factor or 0:.4g} times what differences "
                "give."
            )
        case pattern.TRANSPOSED:
            return (
                f"The {derivative} is transposed: with its last two axes swapped it "
                "agrees with differences."
            )
        case pattern.REVERSED:
            return (
                f"The {derivative} is reversed along axis {seen.axis}: flipped back it "
                "agrees with differences."
            )
    raise ValueError(f"Expected a kind of pattern. Received: {seen!r}")


def _look(found):
    look = f"Look first at {places(found.places)}"
    match found:
        case notes.LookAtOwnWeights():
            return (
                f"{look}: only its own weights are wrong, and what lies before it is "
                "right, so its gradient for its weights is to blame."
            )
        case notes.LookToTheLoss(wrong=wrong):
            return (
                f"{look}. No layer after {wrong!r} is known to be right, so the loss "
                "may be to blame as well."
            )
        case notes.LookBetween(wrong=wrong, right=right):
            return (
                f"{look}. The mistake lies in the backward pass between {wrong!r}, "
                f"whose gradient is wrong, and {right!r}, whose gradient is right."
            )
    return f"{look}."


def _underflow(found):
    what = (
        f"In {found.dtype}, the precision of training, {_share(found.share)} of the "
        f"gradient of {_first_of(found.labels)} is exactly zero and in float64 it is "
        "not"
    )
    if found.dtype != "float16":
        return f"{what}: it is too small for that precision."
    if found.loss_scale is None:
        return (
            f"{what}: it underflows, and these weights do not learn. Scale the loss: "
            "wrap the optimizer in `keras.optimizers.LossScaleOptimizer`. (`compile` "
            "does so by itself only for a model whose own dtype policy is "
            "mixed_float16.)"
        )
    return (
        f"{what}: it underflows although the loss is scaled by {found.loss_scale:g}. "
        "Raise `initial_scale`, or keep the layers where it gets small in float32."
    )


def _by_a_factor(factor):
    size, words = abs(factor), []
    if factor < 0:
        words.append("of the wrong sign")
    if size != 1:
        side = "large" if size > 1 else "small"
        words.append(f"too {side} by a factor of {max(size, 1 / size):.3g}")
    return " and ".join(words)


def _place(place):
    return f"{place.name!r} ({place.kind})"


def _first_of(labels):
    more = f" (and {len(labels) - 1} more)" if len(labels) > 1 else ""
    return f"{labels[0]}{more}"


def _and_others(names, shown):
    return ", ".join(names[:shown]) + (" and others" if len(names) > shown else "")


def _share(share):
    return f"{share:.0%}" if share >= 0.01 else "less than 1%"
