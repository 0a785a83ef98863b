"""What training differentiates: the loss of the default step, or a model's own."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.replica import keras_internals as internals
from keras_gradwatch.replica.isolation import untouched
from keras_gradwatch.replica.patches import Patch, applied


@dataclass(frozen=True, eq=False)
class Objective:
    """One loss that a training step differentiates.

    Args:
        name: Tells it from others of the same step, empty if it is the only one.
        call: Which of the step's gradient computations it is. None for the
            default step.
        variables: The Keras variables that it is differentiated for.
    """

    name: str
    call: int | None
    variables: tuple


@dataclass(eq=False)
class Call:
    """One call of `GradientTape.gradient` for weights of the model.

    Attributes:
        target: What was differentiated, summed up.
        gradients: What came out, by the id of the Keras variable.
        variables: For which variables.
    """

    target: tf.Tensor
    gradients: dict
    variables: tuple


@dataclass(eq=False)
class Recording:
    """What a training step did.

    Attributes:
        calls: Its gradient computations.
        stand_ins: Zeros that took the place of gradients that were not wanted.
        updates: Name of an optimizer, and the ids of the variables handed to it.
    """

    calls: list[Call] = field(default_factory=list)
    stand_ins: list[tf.Tensor] = field(default_factory=list)
    updates: list[tuple[str, set]] = field(default_factory=list)


def objectives(model, batch) -> tuple[Objective, ...]:
    """Finds out what the model's training step differentiates.

    Runs the step once, with nothing computed and nothing left behind, but for
    the loss objects that Keras makes when it first sees the structure of data.

    Raises:
        UncheckableError: If it does not differentiate with a `tf.GradientTape`.
    """
    if internals.has_default_train_step(model):
        with untouched(model, losses=False):
            internals.build_losses(model, batch)
        return (Objective("", None, tuple(model.trainable_variables)),)
    present = [
        (v, internals.raw_value(v))
        for v in model.variables
        if internals.raw_value(v) is not None
    ]
    found = Recording()

    def step():
        found.calls.clear()
        with keras.StatelessScope(present), recorded(model, found):
            model.train_step(batch)

    with untouched(model, losses=False), applied(internals.hidden_metrics(model)):
        internals.trace(model, step)
    if not found.calls:
        raise UncheckableError(
            "The model's own `train_step` does not differentiate its weights with "
            "`tf.GradientTape.gradient`: there is nothing to compare with differences."
        )
    names = _names(found)
    return tuple(
        Objective(names[k], k, call.variables) for k, call in enumerate(found.calls)
    )


@contextlib.contextmanager
def recorded(
    model,
    recording: Recording,
    wanted: int | None = None,
    before=lambda: None,
    watch=lambda is_watched: None,
):
    """Records a training step instead of letting it update anything.

    Gradients for weights are computed only for one call; elsewhere zeros stand
    in for them. Gradients for anything else, as for a gradient penalty, are part
    of the loss and computed as ever.

    Args:
        model: The model whose `train_step` runs inside.
        recording: What is filled.
        wanted: Which call to compute, none if None.
        before: Called before a gradient is recorded.
        watch: Called with True where a tape begins to watch, and with False once
            its gradient was taken: what a step computes before its tape is no
            part of what it differentiates.
    """
    weights = {id(v) for v in model.trainable_variables}
    thread = threading.get_ident()
    original, original_enter = tf.GradientTape.gradient, tf.GradientTape.__enter__

    def gradient(tape, target, sources, output_gradients=None, *args, **kwargs):
        flat = tf.nest.flatten(sources)
        if threading.get_ident() != thread or not any(id(s) in weights for s in flat):
            return original(tape, target, sources, output_gradients, *args, **kwargs)
        before()
        if len(recording.calls) == wanted:
            result = original(tape, target, sources, output_gradients, *args, **kwargs)
        else:
            result = tf.nest.map_structure(
                lambda s: tf.identity(tf.zeros_like(tf.convert_to_tensor(s))), sources
            )
            recording.stand_ins += tf.nest.flatten(result)
        found = dict(zip(map(id, flat), tf.nest.flatten(result), strict=True))
        variables = tuple(s for s in flat if id(s) in weights)
        total = _total(target, output_gradients)
        recording.calls.append(Call(total, found, variables))
        watch(False)
        return result

    def enter(tape):
        if threading.get_ident() == thread:
            watch(True)
        return original_enter(tape)

    patches = [
        Patch(optimizer, "apply", _recorder(recording, name))
        for name, optimizer in optimizers(model)
    ]
    tf.GradientTape.gradient, tf.GradientTape.__enter__ = gradient, enter
    try:
        with applied(patches):
            yield
    finally:
        tf.GradientTape.gradient = original
        tf.GradientTape.__enter__ = original_enter


def _recorder(recording, name):
    def apply(grads, trainable_variables=None):
        recording.updates.append((name, {id(v) for v in trainable_variables or ()}))

    return apply


def optimizers(model) -> list[tuple[str, keras.optimizers.Optimizer]]:
    """The optimizers that a model holds, with the names of their attributes."""
    return [
        (name, value)
        for name, value in model.__dict__.items()
        if isinstance(value, keras.optimizers.Optimizer)
    ]


def _total(target, output_gradients):
    """A target as the scalar that is in effect differentiated."""
    targets = tf.nest.flatten(target)
    weights = tf.nest.flatten(output_gradients) if output_gradients is not None else []
    if weights:
        targets = [t * w for t, w in zip(targets, weights, strict=True)]
    return tf.add_n([tf.reduce_sum(tf.cast(t, tf.float64)) for t in targets])


def _names(found):
    """Names of the optimizers that the gradients reach, if that tells them apart."""
    if len(found.calls) == 1:
        return [""]
    names = []
    for call in found.calls:
        own = {id(v) for v in call.variables}
        reached = [name for name, ids in found.updates if ids & own]
        names.append(reached[0] if len(set(reached)) == 1 else "")
    if len(set(names)) == len(names) and all(names):
        return names
    return [f"target {k + 1}" for k in range(len(names))]
