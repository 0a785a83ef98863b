"""The cause of a verdict, as a sentence."""

from __future__ import annotations

from keras_gradwatch.findings import causes, pattern
from keras_gradwatch.findings.text import and_others, counted, share_of
from keras_gradwatch.findings.vocabulary import LOSS, derivative_of

# Names shown before "and others": as many as fit on a line.
_LABELS = 3


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
        case causes.StillWrong():
            return "Found wrong in an earlier check, and not shown to be right since."
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
                f"{variable}: {_advice_on_shape(gradient, variable)}."
            )
        case causes.NotLinear():
            return _not_linear(cause, derivative)
        case causes.OverflowInTraining(dtype, share):
            return (
                f"In {dtype}, the precision of training, {share_of(share)} of the "
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
                f"{and_others(labels, _LABELS)}."
            )
        case causes.OnlyExpected():
            return "Only mismatches that were declared as expected."
        case causes.NothingTold():
            return "Nothing could be compared."
        case causes.OnlyFirstOrder():
            return "Only the gradient could be compared."
    raise TypeError(f"Expected a cause. Received: {cause!r}")


def _not_linear(found, derivative):
    upstream = f"an upstream gradient {found.factor:,.7g} times as large"
    if found.is_partial:
        upstream += ", one half of it at a time and the rest zero,"
    return (
        "The backward pass is not linear in its upstream gradient, as if it clipped, "
        f"normalised or ignored it: under {upstream} the {derivative} comes to "
        f"{found.analytic + 0.0:.4g} instead of {found.linear + 0.0:.4g}."
    )


def _advice_on_shape(gradient, variable):
    if len(gradient) == len(variable) and sorted(gradient) == sorted(variable):
        return "it is transposed"
    aligned = gradient[len(gradient) - len(variable) :]
    is_broadcast = len(gradient) >= len(variable) and all(
        own in (1, size) for own, size in zip(variable, aligned, strict=True)
    )
    if is_broadcast:
        return "sum it over the axes that are broadcast"
    return "a gradient has the shape of its variable"


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
