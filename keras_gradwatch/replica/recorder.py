"""Recording a training step instead of letting it update anything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Replacement, replaced

# From one version of a graph to another: the operations made meanwhile.
Span = tuple[int, int]


@dataclass(eq=False)
class Call:
    """One call of `GradientTape.gradient` for weights of the model.

    Attributes:
        targets: What was differentiated.
        weights: With what each target was weighted, None if with nothing
            (`output_gradients`).
        gradients: What came out, by the id of the Keras variable.
        variables: For which variables.
        tape: Number of the tape, in the order in which tapes began to record.
    """

    targets: list[tf.Tensor]
    weights: list[Any] | None
    gradients: dict
    variables: tuple
    tape: int | None = None

    @property
    def target(self) -> tf.Tensor:
        """What was differentiated, as one scalar."""
        return total(self.targets, self.weights)


@dataclass(eq=False)
class Update:
    """One call of an optimizer's `apply`.

    Attributes:
        optimizer: The optimizer.
        gradients: What it was handed, in the order of `variables`.
        variables: The Keras variables.
    """

    optimizer: keras.optimizers.Optimizer
    gradients: tuple
    variables: tuple


@dataclass(eq=False)
class Scaling:
    """One call of an optimizer's `scale_loss`.

    Attributes:
        loss: What it was handed.
        factor: By what it scales.
        scaled: What came out.
    """

    loss: tf.Tensor
    factor: tf.Tensor
    scaled: tf.Tensor


@dataclass(eq=False)
class Part:
    """A step on the first examples of a batch.

    Attributes:
        run: Runs it, and returns its `Recording`.
        is_wanted: Whether it is to be run, a tensor.
        examples: How many examples that are.
        of: How many there are in all.
    """

    run: Callable[[], Recording]
    is_wanted: tf.Tensor
    examples: int
    of: int


@dataclass(eq=False)
class Recording:
    """What a training step did, in order.

    Attributes:
        calls: Its gradient computations.
        updates: What it handed to optimizers.
        scaled: Ids of the optimizers that it asked to scale a loss.
        scalings: What they scaled, as they did.
        scaled_by_hand: Ids of those by whose scale it multiplied a loss without asking;
            without a graph there is no telling.
        assigned: Ids of the trainable variables that it gave values by itself.
        left: What variables hold after it, by their ids; of a step that is traced.
        strange: How many Keras variables it wrote that the model does not hold.
        spans: For each tape, by its number, which operations of the graph it recorded.
        refused: Why the loss of a tape can't be checked, by the number of the tape.
        outputs: What else of the graph a dry run was asked for.
        part: The same step on the first examples alone; None if that can't be had.
    """

    calls: list[Call] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)
    scaled: set[int] = field(default_factory=set)
    scalings: list[Scaling] = field(default_factory=list)
    scaled_by_hand: set[int] = field(default_factory=set)
    assigned: set[int] = field(default_factory=set)
    left: dict[int, tf.Tensor] = field(default_factory=dict)
    strange: int = 0
    spans: dict[int | None, tuple[Span, ...]] = field(default_factory=dict)
    refused: dict[int | None, UncheckableError] = field(default_factory=dict)
    outputs: list[tf.Tensor] = field(default_factory=list)
    part: Part | None = None


class Stage:
    """What the recorder asks of whoever provides the values of the weights."""

    def begin(self, number: int | None, is_outermost: bool) -> None:
        """Tells that a tape is about to record."""

    def watch(self, tape: tf.GradientTape) -> None:
        """Makes a tape that records watch the values."""

    def end(self, number: int | None, tape: tf.GradientTape) -> None:
        """Tells that a tape does not record any more."""

    def value_of(self, variable: Any, number: int | None = None) -> Any:
        """What stands for a variable of the model: what a tape knows it as."""
        return variable

    def assert_not_assigned(self, number: int | None = None) -> None:
        """Raises if a weight was changed while its tape recorded."""


@contextlib.contextmanager
def recorded(
    model: keras.Model,
    recording: Recording,
    is_wanted: Callable[[int], bool] = lambda call: False,
    stage: Stage | None = None,
) -> Iterator[None]:
    """Records a training step instead of letting it update anything.

    Gradients for weights are computed only where they are wanted; elsewhere zeros
    stand in for them. Gradients for anything else, as for a gradient penalty, are
    part of the loss and computed as ever. Only this thread is affected.

    Args:
        model: The model whose `train_step` runs inside.
        recording: What is filled.
        is_wanted: Whether to compute the gradients of a call, by its number.
        stage: Where the values of the weights come from.
    """
    stage = stage or Stage()
    weights = {id(v) for v in model.trainable_variables}
    numbers: dict[int, int] = {}
    open_tapes: list[Any] = []
    running: list[Any] = []  # those whose backward pass runs
    entered: list[Any] = []  # kept alive, so that no other tape gets the id of one

    def enter(original, tape):
        numbers[id(tape)] = number = len(entered)
        entered.append(tape)
        stage.begin(number, is_outermost=not open_tapes)
        original(tape)
        open_tapes.append(tape)
        stage.watch(tape)
        return tape

    def leave(original, tape, *error):
        if tape in open_tapes:
            open_tapes.remove(tape)
            stage.end(numbers[id(tape)], tape)
        return original(tape, *error)

    @contextlib.contextmanager
    def stop_recording(original, tape):
        stage.end(numbers.get(id(tape)), tape)
        with original(tape):
            yield
        stage.begin(numbers.get(id(tape)), is_outermost=False)
        stage.watch(tape)

    def gradient(original, tape, target, sources, output_gradients=None, *args, **kw):
        # The value of a variable stands for it, as in `[v.value for v in variables]`;
        # within a backward pass, such as that of `tf.recompute_grad`, for itself.
        if not running:
            values = [(v.value, v) for v in model.trainable_variables]
            owners = {id(value): variable for value, variable in values}
            sources = tf.nest.map_structure(lambda s: owners.get(id(s), s), sources)
        flat = tf.nest.flatten(sources)
        if not any(id(s) in weights for s in flat):
            return original(tape, target, sources, output_gradients, *args, **kw)
        number = numbers.get(id(tape))
        stage.assert_not_assigned(number)
        if is_wanted(len(recording.calls)):
            known = tf.nest.map_structure(
                lambda s: stage.value_of(s, number) if id(s) in weights else s, sources
            )
            running.append(tape)
            try:
                result = original(tape, target, known, output_gradients, *args, **kw)
            finally:
                running.pop()
            # Each an operation of its own, that what depends on it is known by.
            result = tf.nest.map_structure(_identity, result)
        else:
            result = tf.nest.map_structure(
                lambda s: tf.identity(tf.zeros_like(tf.convert_to_tensor(s))), sources
            )
        recording.calls.append(
            Call(
                targets=tf.nest.flatten(target),
                weights=(
                    None
                    if output_gradients is None
                    else tf.nest.flatten(output_gradients)
                ),
                gradients=dict(
                    zip(map(id, flat), tf.nest.flatten(result), strict=True)
                ),
                variables=tuple(s for s in flat if id(s) in weights),
                tape=number,
            )
        )
        return result

    with replaced(
        [
            Replacement(tf.GradientTape, "__enter__", enter),
            Replacement(tf.GradientTape, "__exit__", leave),
            Replacement(tf.GradientTape, "stop_recording", stop_recording),
            Replacement(tf.GradientTape, "gradient", gradient),
            *_for_optimizers(recording),
        ]
    ):
        yield


def _for_optimizers(recording) -> list[Replacement]:
    """For every class of optimizers: they may be held anywhere."""

    def apply(original, optimizer, grads, trainable_variables=None, **options):
        variables = trainable_variables or internals.tracked_by(optimizer)
        update = Update(optimizer, tuple(grads), tuple(variables))
        recording.updates.append(update)

    def scale_loss(original, optimizer, loss):
        recording.scaled.add(id(optimizer))
        scaled = original(optimizer, loss)
        if tf.is_tensor(loss) and scaled is not loss and not tf.executing_eagerly():
            factor = original(optimizer, tf.ones((), loss.dtype))
            recording.scalings.append(Scaling(loss, factor, scaled))
        return scaled

    base = keras.optimizers.Optimizer
    return [
        Replacement(owner, name, instead)
        for owner in _subclasses(base)
        for name, instead in (("apply", apply), ("scale_loss", scale_loss))
        if owner is base or name in vars(owner)
    ]


def _identity(gradient):
    if gradient is None or tf.executing_eagerly():
        return gradient
    if isinstance(gradient, tf.IndexedSlices):
        values, rows = tf.identity(gradient.values), gradient.indices
        return tf.IndexedSlices(values, rows, gradient.dense_shape)
    return tf.identity(gradient)


def _subclasses(kind):
    found = [kind]
    for child in kind.__subclasses__():
        found += _subclasses(child)
    return list(dict.fromkeys(found))


def total(targets: Sequence[tf.Tensor], weights: Any = None) -> tf.Tensor:
    """Targets, weighted, as the scalar that is in effect differentiated."""
    if weights is not None:
        targets = [
            t if w is None else tf.cast(t, tf.float64) * tf.cast(w, tf.float64)
            for t, w in zip(targets, weights, strict=True)
        ]
    return tf.add_n([tf.reduce_sum(tf.cast(t, tf.float64)) for t in targets])
