"""What one run of a training step gave, and what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.dtypes import is_float
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.nonfinite.marks import Mark, Visit, fixed, is_finite
from keras_gradwatch.replica.recorder import Recording, Update


@dataclass(eq=False)
class Run:
    """What one run of the step gave.

    Attributes:
        losses: What was differentiated, before it was scaled.
        gradients: Triples of the number of the loss, a variable and its gradient.
        updates: What optimizers were handed.
        marks: What was not finite.
        visits: The calls of layers and losses, in order.
        added: Pairs of a layer and a loss or regulariser that it adds.
        values: What all variables hold after the step, by their ids.
    """

    losses: list[tf.Tensor]
    gradients: list[tuple]
    updates: list[Update]
    marks: list[Mark]
    visits: list[Visit]
    added: list[tuple]
    values: dict[int, tf.Tensor]

    @property
    def loss_fails(self) -> bool:
        """Whether a loss is not finite."""
        return not all(is_finite(loss) for loss in self.losses)

    def bad_gradients(self) -> list[tuple]:
        """Those of `gradients` that are not finite."""
        return [g for g in self.gradients if not is_finite(g[2])]

    @property
    def handed(self) -> list[tuple]:
        """Pairs of a variable and what an optimizer was handed for it."""
        return [
            (v, dense(gradient))
            for update in self.updates
            for gradient, v in zip(update.gradients, update.variables, strict=False)
            if gradient is not None
        ]

    def bad_handed(self) -> list[tuple]:
        """Those of `handed` that are not finite."""
        return [pair for pair in self.handed if not is_finite(pair[1])]


class Replay(Protocol):
    """Runs a step that is over again, at the values from before it.

    Attributes:
        model: The live model. It is left as it is.
        values: Values of its variables, by id; live ones where there is none.
    """

    model: keras.Model
    values: Mapping[int, tf.Tensor]

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""

    def run(self, batch: Any, clean: Any = None, with_gradients: bool = True) -> Run:
        """Runs the step on a batch.

        Args:
            batch: What `train_step` is handed.
            clean: What to put something finite in the place of: None for nothing,
                `"all"`, or a set of keys of marks. Data that is not finite goes by the
                keys `("data", k)`.
            with_gradients: Whether to go backward as well.
        """

    def value(self, variable: Any) -> tf.Tensor:
        """The value of a Keras variable before the step."""


def gradients_of(recording: Recording) -> list[tuple]:
    """The gradients of a step, as `Run` has them."""
    return [
        (k, v, dense(call.gradients[id(v)]))
        for k, call in enumerate(recording.calls)
        for v in call.variables
        if call.gradients[id(v)] is not None
    ]


def bad_data(batch: Any) -> dict[tuple, tf.Tensor]:
    """What of a batch is not finite, by the keys that `Replay.run` cleans by."""
    return {
        ("data", k): leaf
        for k, leaf in enumerate(tf.nest.flatten(batch))
        if _is_float_data(leaf) and not is_finite(leaf)
    }


def cleaned(batch: Any, clean: Any) -> Any:
    """A batch with something finite in it where that is wanted.

    Args:
        batch: What `train_step` is handed.
        clean: As for `Replay.run`.
    """
    leaves = tf.nest.flatten(batch)
    bad = bad_data(batch)
    new = [
        fixed(clean, ("data", k), leaf) if ("data", k) in bad else leaf
        for k, leaf in enumerate(leaves)
    ]
    return tf.nest.pack_sequence_as(batch, new)


def _is_float_data(leaf):
    return isinstance(leaf, tf.Tensor | np.ndarray) and is_float(leaf.dtype)
