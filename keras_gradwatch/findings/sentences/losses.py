"""Symptoms of a loss, as the message of an alert: symptom, evidence, remedy."""

from __future__ import annotations

from keras_gradwatch.findings import loss_symptom as symptom
from keras_gradwatch.findings.loss_symptom import LossSymptom
from keras_gradwatch.findings.text import counted, listed


def about_loss(found: LossSymptom) -> str:
    """What was seen, by what it is known, and what to do.

    Args:
        found: The symptom.
    """
    return f"{_seen(found)} {_advice(found)}"


def _seen(found):
    name, value = found.loss, found.value
    match found:
        case symptom.Spike(level=level, highest=highest, steps=steps, number=number):
            more = f" It is spike number {number} of this training." * (number > 1)
            return (
                f"{name!r} rose to {value:.4g} for {counted(steps, 'step')} and came "
                f"back. Its median was {level:.4g}, the highest of the batches before "
                f"{highest:.4g}.{more}"
            )
        case symptom.BlowUp(first=first, steps=steps, is_lost=is_lost):
            then = ", and is not finite now" if is_lost else ""
            return (
                f"{name!r} grew from {first:.4g} to {value:.4g}, in each of "
                f"{counted(steps, 'step')}{then}."
            )
        case symptom.Rise(best=best, start=start, threshold=limit, ago=ago):
            return (
                f"{name!r} rose to {value:.4g} and has stayed above {limit:.4g} for "
                f"most of {counted(ago, 'step')}; it began at {start:.4g} and had come "
                f"down to {best:.4g}. The learning rate was not raised meanwhile."
            )
        case symptom.Stalled(layers=layers, share=share, ago=ago):
            return (
                f"{name!r} has not fallen for {counted(ago, 'step')}, and the gradient "
                f"is exactly zero for {share:.0%} of the units of "
                f"{listed([repr(layer) for layer in layers])}."
            )
        case symptom.Overshooting(looks=looks, ago=ago):
            return (
                f"{name!r} has not fallen for {counted(ago, 'step')}, though single "
                f"steps change it by much: the {looks} that were looked at changed the "
                f"loss of the very batch that they were made for by {value:.0%} on "
                "average, and others undid it."
            )
        case symptom.Uninformed(start=start, own=own, swapped=swapped, ago=ago):
            return (
                f"{name!r} has not fallen for {counted(ago, 'step')}; it began at "
                f"{start:.4g}. The model does not know its targets: the loss of some "
                f"batches is {own:.4g}, and {swapped:.4g} with the targets of other "
                "examples."
            )
        case symptom.Parted(best=best, epoch=epoch):
            return (
                f"{name!r} was {best:.4g} after epoch {epoch} and is {value:.4g} now, "
                f"while the training loss fell from {found.trained_then:.4g} to "
                f"{found.trained_now:.4g}."
            )
    raise TypeError(f"Expected a symptom of a loss. Received: {found!r}")


def _advice(found):
    return _ADVICE[type(found)]


_LOWER = (
    "Lower the learning rate, warm it up, or clip the gradients (`global_clipnorm` of "
    "the optimizer)"
)
_ADVICE = {
    symptom.Spike: (
        f"Look at the data of that batch for outliers and wrong targets. {_LOWER}."
    ),
    symptom.BlowUp: f"{_LOWER}.",
    symptom.Rise: (
        f"{_LOWER}, and go on from weights that were saved before. "
        "`keras_gradwatch.GradientStats` shows whether gradients grew."
    ),
    symptom.Stalled: (
        "Units of ReLU that are never active do this, after too large a step or with a "
        "large negative bias, and so does saturation. Lower the learning rate, use "
        "LeakyReLU or GELU, and look at the scale of the inputs."
    ),
    symptom.Overshooting: "Lower the learning rate, by a factor of 10 at first.",
    symptom.Uninformed: (
        "Check that inputs and targets belong together (each shuffled by itself?) and "
        "that the inputs arrive in a sane scale; try other learning rates, and whether "
        "a small batch can be learned by heart. `keras_gradwatch.check_gradients` "
        "tells whether the gradient is right."
    ),
    symptom.Parted: (
        "The model learns its training data by heart. Stop earlier "
        "(`keras.callbacks.EarlyStopping`), use more data, augmentation, dropout or "
        "weight decay, or a smaller model."
    ),
}
