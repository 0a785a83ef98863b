"""The cause of a verdict, as a sentence."""

from __future__ import annotations

from keras_gradwatch.findings import causes, pattern
from keras_gradwatch.findings.intentions import INTENTIONS, OVERWRITTEN
from keras_gradwatch.findings.text import and_others, counted, listed, share_of
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
            where = ""
            if cause.at:
                here = _here(cause.at, subject)
                where = f"{here}. A thousandth away, with all weights moved: "
            return where + _mismatch(cause, subject)
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
        case causes.RightNearby():
            return _right_nearby(cause, subject)
        case causes.NoInfluence():
            return (
                f"No {derivative}, and the {subject} does not depend on it: it stays "
                "the same however far this is moved."
            )
        case causes.TrulyZero():
            return _truly_zero(cause, subject)
        case causes.CancelsOut():
            return (
                f"The {derivative} is zero, and so are all differences nearby: its "
                "terms cancel out, as signs do in a mean of absolute errors. The "
                f"{subject} changes if this is moved far."
            )
        case causes.Piecewise():
            return (
                f"The {derivative} is zero, and so are all differences: the {subject} "
                "is constant piece by piece."
            )
        case causes.Blocked():
            return _blocked(cause, subject)
        case causes.Dead():
            return (
                f"The {derivative} is zero, and so are all differences nearby, but the "
                f"{subject} changes if this is moved far: all that it acts through is "
                "switched off or saturated (a dead ReLU, a clip). Here it does not "
                "learn."
            )
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
        case causes.ZeroSoFar():
            return (
                f"The {derivative} is zero, and so are all differences here; there was "
                "no time left to look further away."
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
        case causes.Intended():
            return _intended(cause, derivative)
        case causes.VariablesPending(labels):
            return (
                f"A sweep over {counted(len(labels), 'variable')} is off; no time was "
                "left to look at each of them alone: "
                f"{and_others(labels, _LABELS)}."
            )
        case causes.NotAllTold():
            return _not_all_told(cause, subject)
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


def _right_nearby(found, subject):
    figure = f"relative error {found.relative_error:.1e}"
    return (
        f"{_here(found.at, subject)}. A thousandth away, with all weights moved, the "
        f"{derivative_of(subject)} is right ({figure})."
    )


def _here(at, subject):
    """What the point itself is."""
    return {
        causes.AT_ZERO: f"The {derivative_of(subject)} is zero just here, and so are "
        "all differences (another factor is zero, or an extremum)",
        causes.AT_KINK: f"The {subject} has a kink just here",
        causes.AT_JUMP: f"The {subject} is discontinuous just here",
    }[at]


def _truly_zero(found, subject):
    zero = (
        f"The {derivative_of(subject)} is zero, and so are all differences, in large "
        "steps and a thousandth away, too"
    )
    layer = f" {found.place.name!r}" if found.place else ""
    why = {
        causes.NORMALISATION: f": the normalisation{layer} takes away what this adds.",
        causes.SOFTMAX: ": it adds the same to all scores of a query, and the softmax "
        f"of the attention{layer} takes that away.",
        "": f": here the {subject} does not depend on it.",
    }
    return zero + why[found.by]


def _blocked(found, subject):
    derivative = derivative_of(subject)
    none = f"No {derivative}" if found.is_missing else f"The {derivative} is zero"
    layer = ""
    if found.place:
        layer = f" in {found.place.name!r} ({found.place.kind})"
    line = f" at {found.line}" if found.line else ""
    stands = "something without a derivative (rounding, a comparison, a choice)"
    if found.operation:
        stands = f"`{found.operation}`{layer}{line}, which has no derivative,"
    return (
        f"{none}, but the {subject} changes in jumps if this is moved far: {stands} "
        "stands between. It never learns."
    )


def _not_all_told(found, subject):
    parts = []
    if found.blocked:
        names = listed(found.blocked, _LABELS)
        parts.append(f"no {derivative_of(subject)} gets through to {names} (BLOCKED)")
    if found.refused:
        names = listed([repr(name) for name in found.refused if name], _LABELS)
        parts.append(f"not looked at: {names or f'the {subject}'}")
    if found.untold:
        parts.append(f"not told: {listed(found.untold, _LABELS)}")
    missing = "; ".join(parts)
    return (
        f"{missing[:1].upper()}{missing[1:]}. {found.right} of "
        f"{counted(found.count, 'variable')} right."
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


def _intended(found, derivative):
    known = INTENTIONS[found.key]
    if found.key == OVERWRITTEN:
        who, rest = f"Its {derivative} is none: the variable", "nothing to compare"
    else:
        who = f"Layer {found.layer!r} after it" if found.layer else "What follows it"
        rest = (
            "but for that, it agrees with differences"
            if found.is_compared
            else f"so differences can't tell whether the {derivative} is right up to it"
        )
    return f"{who} {known.what}, as its library intends ({known.source}): {rest}."


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
