"""Running one training step again eagerly, with probes in what Python calls.

For what has no graph: code that needs values to run, or that a graph would do something
else besides. The user's Python runs anew each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.framework.model import read_variable
from keras_gradwatch.nonfinite.probes import Probes
from keras_gradwatch.nonfinite.run import Run, cleaned, gradients_of
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.train_step import Objective


class EagerReplay:
    """A model's training step at given values, run eagerly: a `Replay`.

    In the precision of training, with the draws that training made. Every call of
    a layer is seen, those in the loop of a recurrent layer too.

    Args:
        model: The live model. It is left as it is.
        values: Values of its variables, by id; live ones where there is none.
    """

    def __init__(self, model: keras.Model, values: Mapping[int, tf.Tensor]):
        everything = Objective("", None, tuple(model.trainable_variables))
        self.model, self.values = model, values
        self._replica = Replica(model, "freeze", everything, TRAINING)
        self._replica.inlined = True

    @property
    def layers(self) -> list:
        """Every layer of the model, the model itself first."""
        return self._replica.layers

    def run(self, batch: Any, clean: Any = None, with_gradients: bool = True) -> Run:
        """Runs the step on a batch, see `Replay`."""
        probes = Probes(clean)
        values: dict[int, tf.Tensor] = {}
        added: list[tuple] = []
        variables = self._replica.variables

        def at_end(value_of):
            values.update({id(v): value_of(v) for v in variables})
            added.extend(
                (layer, loss)
                for layer in self.layers
                for loss in map(tf.convert_to_tensor, layer.losses)
            )

        with same_raw_variables(self.layers):
            weights = [tf.Variable(v) for v in self._replica.values(self.value)]
            states = self._replica.states(self.value)
            with probes.in_place():
                recording = self._replica.train_step(
                    weights,
                    states,
                    cleaned(batch, clean),
                    with_gradients=with_gradients,
                    at_end=at_end,
                )
        targets = [loss for call in recording.calls for loss in call.targets]
        return Run(
            losses=[t for t in probes.unscaled or targets if t is not None],
            gradients=gradients_of(recording) if with_gradients else [],
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
