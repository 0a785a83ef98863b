"""Where something arose, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.text import listed
from keras_gradwatch.nonfinite.failure import Failure, Seen
from keras_gradwatch.nonfinite.marks import IN, Visit

NOT_ALONE = (
    "Several places give something that is not finite, and none of them alone would "
    "have been enough; the first is named."
)
NOT_HELD = (
    "The step can't be replayed: the model had no weights before it, or it was "
    "taken by neither `fit` nor `train_on_batch`."
)
LOSS_OF_STEP = (
    "it arose in the loss, in the code of the training step, after all layers and "
    "losses that Keras knows gave finite values"
)
BACKWARD_OF_STEP = (
    "the loss is finite; it arose in the backward pass in the code of the training step"
)
# How much growth, over the last steps, is called divergence.
_GROWTH, _LOSS_GROWTH = 10.0, 1e3


def seen(what: Seen) -> str:
    """What was noticed: losses, and variables, that are not finite."""
    parts = [
        f"{'the ' if name == 'loss' else ''}{name} is {value}"
        for name, value in what.losses.items()
    ]
    bad = what.variables
    if bad:
        verb = "are" if len(bad) > 1 else "is"
        paths = listed([v.path for v in bad], shown=1)
        parts.append(f"{paths} {verb} not finite after it")
    return ", ".join(parts)


def harmless(step: int, what: Seen) -> str:
    """A loss of the user's own that was logged and changes nothing."""
    return (
        f"At step {step} {seen(what)}, but what the training step differentiates is "
        "finite in a replay, and so are the weights: this is not counted as a failure."
    )


def notes(failure: Failure) -> tuple[str, ...]:
    """Remarks on how the step was looked at, and which part of it."""
    found = []
    if failure.check_freq != 1:
        found.append(
            f"Looked at every {failure.check_freq} steps only: it may have arisen "
            "between. `check_freq=1` looks at each."
        )
    if failure.devices > 1:
        found.append(
            f"The batch is the part on device {failure.device + 1} of "
            f"{failure.devices}."
        )
    if failure.number is not None:
        found.append(
            f"It is step {failure.number + 1} of the {len(failure.batches)} that Keras "
            "took at once (`steps_per_execution`)."
        )
    return tuple(found)


def not_replayable(error: Exception) -> str:
    """A remark on a step that a copy can't take."""
    return f"The step could not be replayed on a copy. {type(error).__name__}: {error}"


def is_loss(thing: Any) -> bool:
    """Whether it is a loss, not a layer."""
    return isinstance(thing, keras.Loss)


def path(thing: Any) -> str:
    """The path of a layer, or the name of an operation or a loss."""
    return getattr(thing, "path", None) or thing.name


def named(thing: Any) -> str:
    """What it is, with its class."""
    if is_loss(thing):
        return f"loss {thing.name!r}"
    kind = "layer" if isinstance(thing, keras.Layer) else "operation"
    return f"{kind} {path(thing)!r} ({type(thing).__name__})"


def forward(visit: Visit, side: str, visits: Sequence[Visit]) -> str:
    """Where a value arose on the way forward.

    Args:
        visit: At which call.
        side: `IN` or `OUT`.
        visits: All calls.
    """
    if side == IN:
        return f"it arose in the forward pass, in {_code(visit.parent)}, {_gap(visit)}"
    if is_loss(visit.thing):
        return f"it arose in the {named(visit.thing)}; what the layers gave is finite"
    inner = [v for v in visits if v.parent is visit]
    after = f", after its inner {named(inner[-1].thing)}" if inner else ""
    again = f" (call {visit.number + 1})" if visit.number else ""
    return f"it arose in the forward pass of {named(visit.thing)}{again}{after}"


def backward(visit: Visit, side: str, visits: Sequence[Visit]) -> str:
    """Where a gradient arose on the way back.

    Args:
        visit: As for `forward`.
        side: As for `forward`.
        visits: As for `forward`.
    """
    if side == IN:
        first = next((v for v in visits if v.parent is visit), None)
        until = f", before its inner {named(first.thing)}" if first is not None else ""
        again = f" (call {visit.number + 1})" if visit.number else ""
        return (
            f"the loss is finite; it arose in the backward pass of "
            f"{named(visit.thing)}{again}{until}, to which a finite gradient came"
        )
    return (
        f"the loss is finite; it arose in the backward pass in {_code(visit.parent)}, "
        f"between {named(visit.thing)} and what uses it"
    )


def own_gradient(variable: str, layer: keras.Layer) -> str:
    """A gradient that arose for one weight alone."""
    return (
        f"the loss is finite; it arose in the backward pass, in the gradient of "
        f"{named(layer)}, or of a regulariser, for the weight {variable} itself"
    )


def added_loss(layer: keras.Layer) -> str:
    """A loss that a layer adds."""
    return f"it arose in a loss or regulariser that {named(layer)} adds"


def weight_before(paths: list[str], is_gapless: bool) -> str:
    """Weights that were bad before the step."""
    others = f", and {len(paths) - 1} others," if len(paths) > 1 else ""
    was = "were" if len(paths) > 1 else "was"
    text = f"the weight {paths[0]}{others} {was} not finite already before the step"
    if not is_gapless:
        return text
    return (
        f"{text}: no step of this training wrote it, but a fit before, a callback, or "
        "a file of weights"
    )


def handed(variable: str) -> str:
    """A gradient that the step itself spoilt."""
    return (
        f"the loss and its gradients are finite; what the training step makes of them, "
        f"and hands to the optimizer for {variable}, is not"
    )


def update(paths: list[str], variable: str, rate: float | None) -> str:
    """An update that gave it."""
    those = listed(sorted(paths, key=lambda path: path != variable), shown=1)
    at = f", at learning rate {rate:.4g}" if rate is not None else ""
    return (
        "the loss and its gradients are finite; it arose in the update of "
        f"{those} by the optimizer{at}"
    )


def update_not_repeated(variable: str, rate: float | None) -> str:
    """An update that must have given it: all before is finite in the replay."""
    at = f", at learning rate {rate:.4g}" if rate is not None else ""
    return (
        "in a replay of the step the loss and its gradients are finite; so it arose in "
        f"the update of {variable} by the optimizer{at}. What that kept from the steps "
        "before is not known, so the update itself could not be repeated"
    )


def update_not_shown(variable: str, loss: float) -> str:
    """An update that gave it in training, and does not in the replay."""
    return (
        f"the weight {variable} was finite before the step and is not after it, but in "
        f"a replay of the step the loss ({loss:.4g}), the gradients and the update are "
        "finite. So it came from something that is not the same each time, or is so "
        "only in the compiled step"
    )


def not_shown(loss: float) -> str:
    """A loss that is finite in the replay."""
    return (
        f"a replay of the step gives a finite loss ({loss:.4g}) and finite gradients. "
        "So it came from something that is not the same each time, such as a random "
        "draw that is not of `keras.random`, or that is so only in the compiled step"
    )


def data(part: str) -> str:
    """Data that was bad from the start."""
    return f"it was in the data: {part}"


def part_of_batch(batch: Any, number: int) -> str:
    """Which part of a batch a leaf is, such as `"y"` or `"x['left']"`."""
    paths = [name for name, _ in _leaves(batch, "")]
    name = paths[number]
    if not isinstance(batch, tuple | list) or len(batch) > 3:
        return f"data{name}"
    for k, part in enumerate(("x", "y", "sample_weight")):
        if name.startswith(f"[{k}]"):
            return part + name[len(f"[{k}]") :]
    return f"data{name}"


def half_overflow(value: Any) -> list[str]:
    """A remark where float16 was too small."""
    if value.dtype == tf.float16 and np.isinf(value.numpy()).any():
        return ["It is in float16 there, which holds no more than 65504."]
    return []


def growth(failure: Failure) -> list[str]:
    """A remark where training ran away."""
    sizes = [size for _, size in failure.growth]
    losses = [loss for _, loss in failure.history if np.isfinite(loss)]
    parts = []
    if len(sizes) > 1 and sizes[-1] > _GROWTH * max(min(sizes), 1e-3):
        parts.append(
            f"the weights grew from {min(sizes):.3g} to {sizes[-1]:.3g} "
            "(root mean square)"
        )
    low = min(map(abs, losses), default=0.0)
    if len(losses) > 1 and low and abs(losses[-1]) > _LOSS_GROWTH * low:
        parts.append(f"the logged loss grew from {low:.3g} to {losses[-1]:.3g}")
    if not parts:
        return []
    first = min(k for k, _ in (*failure.growth, *failure.history))
    text = f"Training diverged: since step {first} {' and '.join(parts)}."
    if failure.rate is None:
        return [text]
    return [
        f"{text} The learning rate is {failure.rate:.4g}: lower it, or clip gradients."
    ]


def _code(parent):
    if parent is None:
        return "the code of the training step"
    return f"the code of {named(parent.thing)}"


def _gap(visit):
    if visit.before is None:
        return f"before {named(visit.thing)}"
    return f"between {named(visit.before.thing)} and {named(visit.thing)}"


def _leaves(structure, name):
    """Pairs of a name and a leaf, in the order of `tf.nest.flatten`."""
    if isinstance(structure, dict):
        for key in sorted(structure):
            yield from _leaves(structure[key], f"{name}[{key!r}]")
    elif isinstance(structure, tuple | list):
        for k, item in enumerate(structure):
            yield from _leaves(item, f"{name}[{k}]")
    else:
        yield name, structure
