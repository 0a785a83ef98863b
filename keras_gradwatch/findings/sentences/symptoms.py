"""Symptoms of gradients, as the message of an alert."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gradwatch.findings import symptom
from keras_gradwatch.findings.alert import (
    DEAD,
    EXPLODING,
    NONFINITE,
    SATURATED,
    STILL,
    VANISHING,
)
from keras_gradwatch.findings.symptom import Symptom
from keras_gradwatch.findings.text import some_of

# Layers named beside the worst: as many as fit on a line.
_LAYERS = 3


def alarm(found: Sequence[Symptom]) -> str:
    """What was seen, where else, what it may come from, and what to do.

    Args:
        found: Symptoms of one kind, the worst first.
    """
    worst, *others = found
    if isinstance(worst, symptom.BrokenRule):
        return " ".join(f"{one.where}: {_seen(one)}" for one in found)
    parts = [_seen(worst)]
    if others:
        more = some_of([other.where for other in others], _LAYERS)
        parts.append(f"So it is with {len(others)} more: {more}.")
    return " ".join([*parts, _advice(worst)])


def _seen(found):
    where, value = found.where, found.value
    match found:
        case symptom.SmallGradient(largest=largest):
            return (
                f"The gradient of {where!r} has {value:.1e} times the norm of that "
                f"of {largest!r}, which has the largest."
            )
        case symptom.LargeGradient(loss=loss, norm=norm):
            return (
                f"A change of the weights by {1 / value:.0e} of their size would "
                f"change the loss by {loss:.1e}, most of it by way of {where!r}, "
                f"whose gradient has norm {norm:.1e}."
            )
        case symptom.LargeUpdate(path=path):
            return (
                f"A step moves the weights by {value:.1e} times their own size, most "
                f"of all {path!r}."
            )
        case symptom.LostWeights(norm=norm):
            return (
                "Finite gradients made weights NaN or infinite in a step: the norm of "
                f"all gradients was {norm:.1e}."
            )
        case symptom.NonFiniteEntries():
            return f"{_entries(found)}."
        case symptom.OvergrownEntries(first=first, last=last):
            grew = f"after its norm had grown from {first:.1e} to {last:.1e}"
            return f"{_entries(found)}, {grew}."
        case symptom.NoGradient():
            return f"No gradient reaches {where!r}: all are exactly zero."
        case symptom.IdleUnits():
            return (
                f"{100 * value:.0f}% of the units of {where!r} get a gradient of "
                "exactly zero."
            )
        case symptom.UnderflowingGradient(peak=peak):
            return (
                f"{100 * value:.0f}% of the units of {where!r}, which computes in "
                "float16, get a gradient of exactly zero, and no entry is larger than "
                f"{peak:.1e}: what is below 6e-08 underflows in float16."
            )
        case symptom.SaturatedUnits():
            return (
                f"{100 * value:.0f}% of what {where!r} puts out is within 1% of its "
                "range from an end of it, where the slope is nearly zero."
            )
        case symptom.SmallSteps(steps=steps) if not value:
            return f"No weight has moved in {steps} steps, though there is a gradient."
        case symptom.SmallSteps(steps=steps):
            return (
                f"A step moves the weights by {value:.0e} times their size at most, "
                f"for {steps} steps by now."
            )
        case symptom.StillWeights(steps=steps):
            return (
                f"{where!r} has a gradient, and was not seen to move in {steps} steps, "
                "while other weights do."
            )
        case symptom.FadingScale(first=first) | symptom.SwellingScale(first=first):
            return (
                f"At initialisation {where!r} puts out numbers {value:.0e} times as "
                f"large as {first!r}, the first layer."
            )
        case symptom.BrokenRule(message=message):
            return message
    raise TypeError(f"Expected a symptom. Received: {found!r}")


def _entries(found):
    return (
        f"{found.value:.0f} entries of the gradient for {found.where!r} are NaN or "
        "infinite"
    )


def _advice(found):
    match found:
        case symptom.UnderflowingGradient(scale=1.0):
            return f"{_SCALE} What is zero then as well is dead, not small."
        case symptom.UnderflowingGradient(scale=scale):
            return (
                f"The loss is scaled by {scale:g}: raise `initial_scale`, or keep the "
                "layers where it gets small in float32."
            )
        case symptom.SmallGradient(underflows=True):
            return f"It computes in float16, where so small a number is lost. {_SCALE}"
        case (
            symptom.NoGradient(may_underflow=True)
            | symptom.IdleUnits(may_underflow=True)
        ):
            return (
                f"{_ADVICE[DEAD]} It computes in float16 and the loss is not scaled: "
                "what is too small for float16 is zero as well."
            )
        case symptom.StillWeights():
            return (
                "Is it handed to the optimizer? In half precision, a small step is "
                f"rounded away. {_MOVES}"
            )
        case symptom.FadingScale():
            return f"Gradients fade on the way back as well. {_INITIALISE}"
        case symptom.SwellingScale():
            return f"The first losses and steps are as large. {_INITIALISE}"
    return _ADVICE[found.kind]


_SCALE = (
    "Scale the loss: wrap the optimizer in `keras.optimizers.LossScaleOptimizer`. "
    "`compile` does so by itself only for a model whose own dtype policy is "
    "mixed_float16."
)
# The page that says more of what layers put out, and of steps.
_PAGE = "See docs/layers-and-steps.md"
_MOVES = f"{_PAGE}#weights-that-do-not-move."
_INITIALISE = (
    "Take `he_normal` for ReLU and `glorot_uniform` for tanh and sigmoid, or put "
    f"normalisation layers between. {_PAGE}#scale-at-initialisation."
)
_ADVICE = {
    SATURATED: (
        "Its units hardly learn. Scale the inputs to about 1, take smaller initial "
        "weights or a lower learning rate, or normalise before the activation. "
        f"{_PAGE}#saturated-activations."
    ),
    STILL: (
        "Is the learning rate what it is meant to be, in its unit and its schedule, "
        f"and does each step reach the optimizer? {_MOVES}"
    ),
    VANISHING: (
        "It hardly learns. Deep stacks of saturating activations do this: try "
        "activations like ReLU, He initialisation, normalisation layers or residual "
        "connections."
    ),
    EXPLODING: (
        "Clip the gradients (`clipnorm` or `global_clipnorm` of the optimizer), lower "
        "the learning rate, or look at the initialisation of recurrent weights."
    ),
    DEAD: (
        "Units of ReLU that are never active do this (a large negative bias, too high "
        "a learning rate), and so do parts that the loss does not depend on, "
        "`tf.stop_gradient`, sample weights of zero, and batch normalisation of a "
        "single example."
    ),
    NONFINITE: "`keras_gradwatch.NonFiniteLocator` finds where they come from.",
}
