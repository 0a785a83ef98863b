"""Running one training step again, on a copy, with everything looked at.

A `StepReplay` runs a step that is over: at the values from before it, eagerly, so that
probes see what goes in and out of every layer. That is slow, and done a few times a
fit at most. `TrainingStep` of `check/` and `Gauge` of `stats/` run the step that comes
next: at the live weights, compiled (a `DryRun`), and see only gradients, what
optimizers are handed, or figures of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.dtypes import is_float
from keras_gradwatch.framework.graphs import dense
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.nonfinite.probes import Mark, Probes, Visit, is_finite
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.recorder import Update
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.train_step import Objective


@dataclass(eq=False)
class Run:
    """What one run of the step gave.

    Attributes:
        losses: What was differentiated, before it was scaled.
        gradients: Triples of the number of the loss, a variable and its gradient.
        updates: What optimizers were handed.
        marks: What the probes noted.
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


class StepReplay:
    """A model's training step at given values, run eagerly on a `Replica`.

    In the precision of training, with the draws that training made. Every call of
    a layer is seen, those in the loop of a recurrent layer too.

    Args:
        model: The live model. It is left as it is.
        values: Values of its variables, by id; live ones where there is none.
    """

    def __init__(self, model: keras.Model, values: Mapping[int, tf.Tensor]):
        everything = Objective("", None, tuple(model.trainable_variables))
        self.model, self.values = model, dict(values)
        self.replica = Replica(model, "freeze", everything, TRAINING)
        self.replica.inlined = True

    def run(self, batch: Any, clean: Any = None, with_gradients: bool = True) -> Run:
        """Runs the step on a batch.

        Args:
            batch: What `train_step` is handed.
            clean: As for `Probes`. Data that is not finite goes by the keys
                `("data", k)`.
            with_gradients: Whether to go backward as well.
        """
        probes = Probes(clean)
        values: dict[int, tf.Tensor] = {}
        added: list[tuple] = []
        variables = self.replica.variables

        def at_end(value_of):
            values.update({id(v): value_of(v) for v in variables})
            added.extend(
                (layer, loss)
                for layer in self.replica.layers
                for loss in map(tf.convert_to_tensor, layer.losses)
            )

        with same_raw_variables(self.replica.layers):
            weights = [tf.Variable(v) for v in self.replica.values(self.value)]
            states = self.replica.states(self.value)
            with probes.in_place():
                recording = self.replica.train_step(
                    weights,
                    states,
                    _cleaned(batch, probes),
                    with_gradients=with_gradients,
                    at_end=at_end,
                )
        targets = [loss for call in recording.calls for loss in call.targets]
        return Run(
            losses=[t for t in probes.unscaled or targets if t is not None],
            gradients=[
                (k, v, dense(call.gradients[id(v)]))
                for k, call in enumerate(recording.calls)
                for v in call.variables
                if with_gradients and call.gradients[id(v)] is not None
            ],
            updates=recording.updates,
            marks=probes.marks,
            visits=probes.visits,
            added=added,
            values=values,
        )

    def value(self, variable: Any) -> tf.Tensor:
        """The value of a Keras variable before the step."""
        known = self.values.get(id(variable))
        return read_variable(variable) if known is None else known


def bad_data(batch: Any) -> dict[tuple, tf.Tensor]:
    """What of a batch is not finite, by the keys that `StepReplay.run` cleans by."""
    return {
        ("data", k): leaf
        for k, leaf in enumerate(tf.nest.flatten(batch))
        if _is_float_data(leaf) and not is_finite(leaf)
    }


def _cleaned(batch, probes):
    leaves = tf.nest.flatten(batch)
    bad = bad_data(batch)
    fixed = [
        probes.fix(("data", k), leaf) if ("data", k) in bad else leaf
        for k, leaf in enumerate(leaves)
    ]
    return tf.nest.pack_sequence_as(batch, fixed)


def _is_float_data(leaf):
    return isinstance(leaf, tf.Tensor | np.ndarray) and is_float(leaf.dtype)
