"""What training differentiates: the loss of the default step, or a model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.framework.optimizers import optimizers
from keras_gradwatch.framework.patches import applied
from keras_gradwatch.replica.recorder import Recording, recorded


@dataclass(frozen=True, eq=False)
class Objective:
    """One loss that a training step differentiates.

    Args:
        name: Tells it from others of the same step, empty if it is the only one.
        call: Which of the step's gradient computations it is. None for the
            default step.
        variables: The Keras variables that it is differentiated for.
        nested: Whether gradients for weights are part of the loss itself.
        inner: Whether its gradients are part of another loss of the step.
        tape: Number of the tape that records it, in the order of the step.
        weighted: Whether it is weighted with `output_gradients`, which count as
            constants.
        unseen: Paths of the variables for which the step hands optimizers something
            that no tape returned for any of its losses.
    """

    name: str
    call: int | None
    variables: tuple
    nested: bool = False
    inner: bool = False
    tape: int | None = None
    weighted: bool = False
    unseen: tuple[str, ...] = ()


def in_recording(
    model: keras.Model, recording: Recording, graph: tf.Graph | None = None
) -> tuple[Objective, ...]:
    """What a training step of a model's own differentiated.

    Args:
        model: The live model.
        recording: What the step did.
        graph: The graph that it was traced to; None if it ran eagerly.

    Raises:
        UncheckableError: If it does not differentiate with a `tf.GradientTape`.
    """
    targets = [t for call in recording.calls for t in call.targets]
    if graph is not None and any(t.graph is not graph for t in targets):
        raise UncheckableError(
            "The model's own `train_step` differentiates inside a branch or a loop "
            "of the graph (`tf.cond`, `tf.while_loop`), where it can't be "
            "followed. Decide in Python, or take the gradient outside."
        )
    unseen = _unseen(recording, model.trainable_variables)
    found = _objectives(recording, optimizers(model), graph is None, unseen)
    if not found:
        raise UncheckableError(
            "The model's own `train_step` takes no gradient for its variables with "
            "`tape.gradient(loss, self.trainable_variables)`: there is nothing to "
            "compare with differences."
        )
    return tuple(found)


def objectives_eagerly(model: keras.Model, batch: Any) -> tuple[Objective, ...]:
    """Finds out what a step differentiates that has no graph.

    Runs it once, with no gradient computed and nothing left behind, but for the loss
    objects that Keras makes when it first sees the structure of data.

    Raises:
        UncheckableError: If it does not differentiate with a `tf.GradientTape`.
    """
    present = [
        (v, internals.raw_value(v))
        for v in model.variables
        if internals.raw_value(v) is not None
    ]
    recording = Recording()
    with (
        untouched(model, losses=False),
        applied(internals.hidden_metrics(model)),
        keras.StatelessScope(present),
        recorded(model, recording),
    ):
        model.train_step(batch)
    return in_recording(model, recording)


def _objectives(recording, known, has_no_graph, unseen):
    calls = recording.calls
    made = [
        [
            g.values if isinstance(g, tf.IndexedSlices) else g
            for g in call.gradients.values()
            if g is not None
        ]
        for call in calls
    ]

    def depends(target, number):
        return not has_no_graph and graphs.depends_on(target, made[number])

    return [
        Objective(
            name=name,
            call=k,
            variables=call.variables,
            # Without a graph there is no telling: then every gradient is computed.
            nested=has_no_graph
            or any(depends(t, i) for i in range(k) for t in _computed(call)),
            tape=call.tape,
            weighted=call.weights is not None,
            inner=any(depends(t, k) for c in calls[k + 1 :] for t in _computed(c)),
            unseen=unseen,
        )
        for k, (call, name) in enumerate(
            zip(calls, _names(recording, known), strict=True)
        )
    ]


def _unseen(recording, trainable):
    """Paths of what is trained by something else than a gradient of the recording."""
    taken = {id(v) for call in recording.calls for v in call.variables}
    missing = {id(v) for v in trainable} - taken
    return tuple(
        dict.fromkeys(
            variable.path
            for update in recording.updates
            for gradient, variable in zip(
                update.gradients, update.variables, strict=False
            )
            if gradient is not None and id(variable) in missing
        )
    )


def _computed(call):
    """What is differentiated, and what that is weighted with."""
    return [*call.targets, *(w for w in call.weights or () if w is not None)]


def _names(recording, known):
    """Names of the optimizers that the gradients reach, if that tells them apart."""
    if len(recording.calls) == 1:
        return [""]
    attributes = {id(optimizer): name for name, optimizer in known}
    names = []
    for call in recording.calls:
        own = {id(v) for v in call.variables}
        reached = {
            attributes.get(id(update.optimizer), update.optimizer.name)
            for update in recording.updates
            if own & {id(v) for v in update.variables}
        }
        names.append(reached.pop() if len(reached) == 1 else "")
    if len(set(names)) == len(names) and all(names):
        return names
    return [f"target {k + 1}" for k in range(len(names))]
