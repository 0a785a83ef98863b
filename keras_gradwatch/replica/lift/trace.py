"""A model's loss and its gradient, traced once, in the model's own precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.replica.places import Places
from keras_gradwatch.replica.replica import Replica


@dataclass(frozen=True)
class Trace:
    """One trace of what a training step differentiates, and of what its tape returns.

    Args:
        function: A concrete function `(states, batch) -> (targets, weights,
            gradients)`. It reads variables for the weights.
        moved: For each weight, the handles of the variables that stand for it where
            the loss depends on it.
        still: The same where it does not: outside of the tape of a `train_step`.
        known: For each state, the handle of its live variable.
        weighted: For each target, whether it is weighted.
        present: For each weight, whether the tape returned a gradient.
        shapes: The shapes of the weights.
        places: Which layer made which operation.
    """

    function: Any
    moved: tuple[tuple[Any, ...], ...]
    still: tuple[tuple[Any, ...], ...]
    known: tuple[tuple[Any, ...], ...]
    weighted: tuple[bool, ...]
    present: tuple[bool, ...]
    shapes: tuple[tuple[int, ...], ...]
    places: Places

    @property
    def graph(self) -> tf.Graph:
        """The graph in the model's own precision."""
        return self.function.graph


def traced(replica: Replica, states: Sequence[tf.Tensor], batch: Any) -> Trace:
    """Traces what a replica differentiates. Nothing is computed.

    Args:
        replica: The `Replica`.
        states: What `Replica.states` returned.
        batch: What `train_step` is handed, in the precision of training.

    Raises:
        UncheckableError: If the model assigns to a trainable weight.
        Exception: What the model's own code raises.
    """
    moved, still = replica.stand_ins()
    weighted: list[bool] = []
    present: list[bool] = []

    def step(states, batch):
        found = replica.differentiated(moved, still, states, batch)
        weights = found.weights or [None] * len(found.targets)
        weighted[:] = [w is not None for w in weights]
        present[:] = [g is not None for g in found.gradients]
        # Each an operation of its own, that the surgery can ask for.
        return (
            [tf.identity(t) for t in found.targets],
            [tf.identity(w) for w in weights if w is not None],
            [tf.identity(dense(g)) for g in found.gradients if g is not None],
        )

    places, compiled = Places(), tf.function(step, autograph=False)
    with places.recording():
        function = compiled.get_concrete_function(states, batch)
    places.settle(function.graph)
    return Trace(
        function=function,
        moved=_handles(moved, replica.live_weights),
        still=_handles([None] * len(moved) if still is None else still),
        known=_handles(replica.live_states),
        weighted=tuple(weighted),
        present=tuple(present),
        shapes=tuple(weight.shape for weight in replica.weights),
        places=places,
    )


def _handles(*rows: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """The handles of some variables, in each column those that stand for one thing."""
    return tuple(
        tuple(v.handle for v in column if hasattr(v, "handle"))
        for column in zip(*rows, strict=True)
    )
