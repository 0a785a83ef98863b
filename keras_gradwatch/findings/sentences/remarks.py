"""A note, as a sentence or a few."""

from __future__ import annotations

from keras_gradwatch.findings import handed, notes, pattern
from keras_gradwatch.findings.intentions import FLAWS
from keras_gradwatch.findings.sentences.phrases import handed_on, places, spot
from keras_gradwatch.findings.text import and_others, first_of, share_of
from keras_gradwatch.findings.vocabulary import LOSS

# Names shown before "and others": as many as fit on a line.
_LAYERS = 5
# Places shown before the number of the others: each has a line of its own, or nearly.
_SPOTS = 4


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
                f"{and_others(layers, _LAYERS)}: differences are less accurate there, "
                "and the error bars wider."
            )
        case notes.RaisedNearby(text):
            return (
                f"The {subject} can't be computed at some points nearby, so that other "
                f"steps were taken there, smaller ones or to one side. {text}"
            )
        case notes.SymmetricOnly(labels):
            return (
                f"Only one triangle of {first_of(labels)} is read by what takes it for "
                "a symmetric matrix, such as a Cholesky factor, and the gradient is "
                "that for changes that keep it symmetric: it was compared along such "
                "changes."
            )
        case notes.Stairs(height, operation, layer):
            what = f"{operation} in {layer}" if operation else "an operation in it"
            return (
                f"The {subject} moves in stairs of about {height:.0e} of its value: "
                f"{what} rounds, though its type is float64. There the steps of the "
                "differences are larger than the stairs, and the error bars wider."
            )
        case notes.RoundedConstants(layers):
            return (
                f"The backward pass of {and_others(layers, _LAYERS)} computes with "
                "constants that its code rounds to half precision: a gradient that is "
                "off by less than a percent may be so for this reason alone."
            )
        case notes.TrainingUnseen(error):
            return (
                "What becomes of the gradients in the precision of training could not "
                f"be seen. {error}"
            )
        case notes.LeftOut(paths):
            return f"The training step takes no gradient for {first_of(paths)}."
        case notes.NotDifferentiated(paths, kinds):
            each = [f"{p} ({k})" for p, k in zip(paths, kinds, strict=True)]
            return f"Not differentiated: {', '.join(each)}."
        case notes.LossNotScaled(optimizer):
            return (
                f"{_not_scaled(optimizer)} Differentiate "
                f"`self.{optimizer}.scale_loss(loss)`."
            )
        case notes.ScaledInVain(optimizer, other):
            return (
                f"{_in_vain(optimizer, other)} Hand the gradients to "
                f"`self.{optimizer}`, or differentiate the loss as it is."
            )
        case notes.HandedOn(labels, what):
            return (
                f"For {first_of(labels)} the training step hands the optimizer "
                f"{handed_on(what)}{_effect(what) if _is_severe(found) else ''}."
            )
        case notes.AssignedAndRead(layers):
            return (
                f"In {and_others(layers, _LAYERS)} a variable is read after it was "
                "assigned in the same step: no gradient flows through an assignment, "
                "but differences see what it does. Compute with what is assigned "
                "instead of reading it again, or pass it through `tf.stop_gradient` "
                "and declare that with `expected`."
            )
        case notes.FlawedOperation(operation, layers):
            return _flawed(operation, layers)
        case notes.ExpectedMatchesNothing(path):
            return f"expected={path!r} matches no variable."
        case notes.ExpectedIsRight(path):
            return (
                f"expected={path!r} matches only variables whose gradient is right by "
                "now: it can go."
            )
    return _in_training(found, subject)


def brief(found: notes.Note, subject: str = LOSS) -> str:
    """A severe note in one sentence, for a headline: what is wrong, no remedy.

    Args:
        found: The `Note`.
        subject: What was differentiated, one of `vocabulary.SUBJECTS`.
    """
    match found:
        case notes.LossNotScaled(optimizer):
            return _not_scaled(optimizer)
        case notes.ScaledInVain(optimizer, other):
            return _in_vain(optimizer, other)
        case notes.Underflow():
            return f"{_vanishes(found)}."
    return note(found, subject)


def _is_severe(found):
    return found.severity == notes.SEVERE


def _effect(what):
    """What comes of it that an optimizer is handed something wrong."""
    if what.kind in (handed.NOTHING, handed.ZEROS):
        return ", so these weights do not learn"
    if what.kind == handed.OF_ANOTHER:
        return ", so these weights move by what is meant for others"
    if what.factor is not None and what.factor < 0:
        return ", so the step goes uphill"
    return ""


def _not_scaled(optimizer):
    return (
        f"The training step hands gradients to {optimizer!r}, an optimizer that "
        "divides them by a loss scale, but does not scale the loss."
    )


def _in_vain(optimizer, other):
    return (
        f"The training step scales the loss for the optimizer {optimizer!r}, but hands "
        f"the gradients to {other!r}, which does not divide them by the scale."
    )


def _in_training(found, subject):
    match found:
        case notes.TrainingLossNotFinite(dtype, loss, exact):
            return (
                f"In {dtype}, the precision of training, {_value(subject)} is {loss}; "
                f"in float64 it is {exact:.4g}."
            )
        case notes.Underflow():
            return _underflow(found)
        case notes.Overflow(dtype, share, labels, is_scaled):
            then = ": the optimizer skips such a step, and halves the scale of the loss"
            return (
                f"In {dtype}, the precision of training, {share_of(share)} of the "
                f"gradient of {first_of(labels)} is NaN or infinite"
                f"{then if is_scaled else ''}."
            )
        case notes.RoundedOff(dtype, error, labels):
            return (
                f"In {dtype}, the precision of training, the gradient of "
                f"{first_of(labels)} is off by {error:.0%}: what rounding leaves of "
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
            what = f"{_value(subject)} is {loss}: there is no gradient to check. Look "
            sums = "" if subject == LOSS else ", unless it is the sum that overflows"
            what += f"for what first returns NaN or infinity{sums}."
            return what[0].upper() + what[1:]
        case notes.LossNotRepeatable(_, once, again):
            return (
                f"The {subject} differs between two evaluations at the same weights "
                f"({once!r} and {again!r}): it has something random in it that can't "
                "be replayed. Draw random numbers with `keras.random` and a "
                "`keras.random.SeedGenerator`."
            )
        case notes.HandedUnseen(_, paths):
            return (
                f"For {first_of(paths)} the training step hands the optimizer "
                "something that no `tape.gradient` of its losses returned: it could "
                "not be compared."
            )
    raise TypeError(f"Expected a refusal. Received: {found!r}")


def _value(subject):
    """What has one value: a loss, or what is made of an output."""
    if subject == LOSS:
        return f"the {subject}"
    return f"the sum of the {subject}, its entries times 0.5 to 1.5 in size,"


def _flawed(operation, layers):
    flaw = FLAWS[operation]
    where = f" ({flaw.issue})" if flaw.issue else ""
    return (
        f"On the way is {flaw.name}, in {and_others(layers, _LAYERS)}: TensorFlow's "
        f"own gradient of it is wrong {flaw.when}{where}."
    )


def _look(found):
    if isinstance(found, notes.LookHere):
        return _look_here(found.places)
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


def _look_here(found):
    shown = [f"{spot(place)}{_looks_like(place.pattern)}" for place in found[:_SPOTS]]
    if len(found) > _SPOTS:
        shown.append(f"{len(found) - _SPOTS} more places")
    many = len(found) > 1
    what = "each of these backward passes" if many else "this backward pass"
    return (
        f"Look first at {'; and at '.join(shown)}. Checked by itself, on the values "
        f"that it has here, {what} is wrong."
    )


def why_there(found: notes.Look) -> str:
    """Why to look there: what `note` says after the places, for those who know them.

    Args:
        found: The note.
    """
    if not isinstance(found, notes.LookHere):
        rest = _look(found).removeprefix(f"Look first at {places(found.places)}")
        rest = rest.lstrip(":. ")
        return f"{rest[:1].upper()}{rest[1:]}"
    if len(found.places) > 1:
        return _look(found)
    alike = _alike(found.places[0].pattern)
    return (
        "Checked by itself, on the values that it has here, this backward pass is "
        f"wrong{alike and ': '}{alike}."
    )


def _looks_like(found):
    """What a mistake looks like, in brackets; empty if that is not known."""
    alike = _alike(found)
    return f" ({alike})" if alike else ""


def _alike(found):
    """What a mistake looks like; empty if that is not known."""
    match found.kind if found else None:
        case None:
            return ""
        case pattern.SCALED:
            text = (
                f"its gradient is {found.factor or 0:.4g} times what differences give"
            )
        case pattern.SIGN:
            text = "its gradient has the wrong sign"
        case pattern.ZERO:
            text = "its gradient is zero"
        case pattern.TRANSPOSED if found.operation:
            text = f"a matrix of {_inside(found)} is not transposed"
        case pattern.TRANSPOSED:
            text = "its gradient is transposed"
        case pattern.REVERSED:
            text = f"its gradient is reversed along axis {found.axis}"
        case pattern.ENTRY:
            text = f"only entry {list(found.index)} of its gradient is wrong"
        case pattern.SLICE:
            name = {0: "row", 1: "column"}.get(found.axis, "slice")
            where = f"{name} {found.index} (axis {found.axis})"
            text = f"only {where} of its gradient is wrong"
        case pattern.UNSCALED:
            text = "its gradient is not multiplied by the upstream gradient"
        case pattern.TERM:
            text = f"the term that comes by way of {_inside(found)} {_share(found)}"
        case pattern.INNER:
            text = f"the derivative of {_inside(found)} is left out"
        case pattern.UNSUMMED:
            text = "its gradient is not summed over the axes that were broadcast"
        case _:
            raise ValueError(f"Expected a kind of pattern. Received: {found!r}")
    return text


def _inside(found):
    """An operation of the forward pass, and its line."""
    return f"{found.operation}, {found.line}," if found.line else found.operation


def _share(found):
    """How much there is of a term."""
    if not found.factor:
        return "is left out"
    if abs(found.factor + 1) < 1e-6:
        return "has the wrong sign"
    return f"is {found.factor:.4g} times what it should be"


def _underflow(found):
    what = f"{_vanishes(found)}."
    if found.dtype != "float16":
        return what
    if found.loss_scale is None:
        return (
            f"{what} Scale the loss: wrap the optimizer in "
            "`keras.optimizers.LossScaleOptimizer`. (`compile` does so by itself only "
            "for a model whose own dtype policy is mixed_float16.)"
        )
    return (
        f"{what} Raise `initial_scale`, or keep the layers where it gets small in "
        "float32."
    )


def _vanishes(found):
    what = (
        f"In {found.dtype}, the precision of training, {share_of(found.share)} of the "
        f"gradient of {first_of(found.labels)} is exactly zero and in float64 it is "
        "not"
    )
    if found.dtype != "float16":
        return f"{what}: it is too small for that precision"
    scaled = ""
    if found.loss_scale is not None:
        scaled = f" although the loss is scaled by {found.loss_scale:g}"
    end = ", and what has no gradient does not learn" if _is_severe(found) else ""
    return f"{what}: it underflows{scaled}{end}"
