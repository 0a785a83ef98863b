"""A model's own code on a copy of its weights: what training would see.

Nothing of the live model is called or written: `Replica` puts other values in the place
of its variables, and what its code does besides is left out of the graph. Dropout is
off, and other draws are the same each time as far as Keras makes them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import same_raw_variables
from keras_gradwatch.framework.patches import Patch, applied
from keras_gradwatch.replica.lift import draws
from keras_gradwatch.replica.lift.pure import Pure
from keras_gradwatch.replica.precision import TRAINING
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.train_step import Objective
from keras_gradwatch.setup.watched import (
    Entropy,
    LayerCall,
    watched_entropies,
    watched_layers,
    watched_losses,
)

# How far weights are moved, as a share of the size of the largest entry of each: far
# enough that what is zero by initialisation is not, near enough to be a usual network.
NEAR = 0.1
# Of a weight that is zero.
_SMALL = 0.1


@dataclass(frozen=True)
class Forward:
    """What a model makes of a batch.

    Args:
        outputs: Nested tensors, as the model returns them.
        masks: The mask that Keras has for each of them, or None, flat.
        added: What layers add to the loss.
    """

    outputs: Any
    masks: list[Any]
    added: list[tf.Tensor]


class Rehearsal:
    """Runs a model on a copy of its weights.

    Args:
        model: The live model.
        objective: The loss that its training step differentiates; None if there is none
            that can be followed.
    """

    def __init__(self, model: keras.Model, objective: Objective | None):
        self.model = model
        self.is_default = internals.has_default_train_step(model)
        own = Objective("", None, tuple(model.trainable_variables))
        self._replica = Replica(model, "bypass", objective or own, TRAINING)
        self._replica.inlined = True
        self.variables = self._replica.trainable
        self.paths = [weight.path for weight in self._replica.weights]
        self._start = self._replica.values()
        self.values = [tf.Variable(value) for value in self._start]
        self.states = self._replica.states()
        self.pairs: list[tuple[Any, int, int]] = []
        self.has_gradient: list[bool] = []
        self._entropies: list[Entropy] = []
        self.calls: list[LayerCall] = []
        self.raw: list[tf.Variable] = []
        self._known: dict[Any, Callable] = {}

    @contextlib.contextmanager
    def moved(self, seed: int = 0, far: float = NEAR) -> Iterator[None]:
        """Moves all weights of the copy at random, and puts them back.

        Args:
            seed: Of the draw.
            far: Standard deviation, as a share of the largest entry of each.
        """
        rng = np.random.default_rng(seed)
        for value, start in zip(self.values, self._start, strict=True):
            largest = np.max(np.abs(start), initial=_SMALL)
            noise = rng.normal(scale=far * float(largest), size=start.shape)
            value.assign(start + tf.cast(noise, start.dtype))
        try:
            yield
        finally:
            self.reset()

    def reset(self) -> None:
        """Gives the copy the live weights."""
        for value, start in zip(self.values, self._start, strict=True):
            value.assign(start)

    def _other_draws(self, number):
        """The states with the seeds of other draws."""
        return [
            state + tf.cast(number, state.dtype) if _is_seed(variable) else state
            for variable, state in zip(self._replica.others, self.states, strict=True)
        ]

    def loss(self, batch: Any, draw: int = 0) -> tuple[float, list[Any]]:
        """The training loss, and its gradients.

        Args:
            batch: What `train_step` is handed.
            draw: Number of the draws, 0 for those of the model's own seeds.

        Returns:
            A tuple of the loss and a tensor or None for each weight, in float32 or
            float64.
        """
        draws.number().assign(draw)
        states = self._other_draws(draw) if draw else self.states
        target, gradients = self.step(batch)(states, batch)
        return float(target), self._whole(gradients)

    def step(self, batch: Any) -> Callable:
        """A graph of the loss and of its gradients.

        Args:
            batch: One like those that it is to run on.

        Returns:
            A function of states and a batch.
        """

        def run(states, batch):
            call = self._replica.differentiated(self.values, states, batch)
            found = [call.gradients.get(id(v)) for v in self.variables]
            self.has_gradient = [g is not None for g in found]
            given = [graphs.dense(g) for g in found if g is not None]
            single = [tf.cast(t, tf.float32) for t in (call.target, *given)]
            return single[0], single[1:]

        return self._graph("step", run, self.states, batch)

    def _whole(self, gradients):
        rest = iter(gradients)
        return [next(rest) if there else None for there in self.has_gradient]

    def forward(
        self, batch: Any, training: bool, patches: Sequence[Patch] = ()
    ) -> Forward:
        """What the model itself makes of a batch.

        Args:
            batch: What `train_step` is handed.
            training: In which mode.
            patches: What to change for that, always the same.
        """

        def run(states, batch):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            with self._replica.replayed(self.values, states), applied(patches):
                y_pred = internals.predicted(self.model, x, training)
                masks = [internals.mask_of(t) for t in tf.nest.flatten(y_pred)]
                added = [tf.cast(loss, tf.float32) for loss in self.model.losses]
            return y_pred, masks, added

        key = ("forward", training, bool(patches))
        return Forward(*self._graph(key, run, self.states, batch)(self.states, batch))

    def seen(self, batch: Any, figures: Callable[[LayerCall], Any]) -> list[Any]:
        """Runs the model as in inference, and looks at each call of a layer.

        Args:
            batch: What `train_step` is handed.
            figures: Makes nested tensors of a call.

        Returns:
            What it made; `calls` are the calls, and `raw` the variables that it reads
            and Keras does not know.
        """

        def run(states, batch):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            replayed = self._replica.replayed(self.values, states)
            with replayed, watched_layers() as calls:
                internals.predicted(self.model, x, False)
            self.calls = calls
            graph = tf.compat.v1.get_default_graph()
            here = [c for c in calls if all(t.graph is graph for t in c.outputs)]
            self.calls = here
            return [figures(call) for call in here]

        function = self._traced(run, self.states, batch)
        self.raw = self._unknown(function.graph.variables)
        return self._quiet(function)(self.states, batch)

    def _unknown(self, variables):
        replica = self._replica
        known = [*self.values, *replica.live_weights, *replica.live_states]
        ids = {id(variable) for variable in known}
        return [variable for variable in variables if id(variable) not in ids]

    @property
    def is_single(self) -> bool:
        """Whether all is computed in float32 at least."""
        return internals.lowest_compute_dtype(self.model) in ("float32", "float64")

    def entropies(self, batch: Any) -> list[tuple[Entropy, tf.Tensor, tf.Tensor]]:
        """The cross-entropies of Keras that the training step computes.

        Args:
            batch: What `train_step` is handed.

        Returns:
            For each what is known of it, its targets and its outputs.
        """

        def run(states, batch):
            with watched_entropies() as found:
                self._replica.differentiated(self.values, states, batch)
            graph = tf.compat.v1.get_default_graph()
            pairs = [(e, [tf.convert_to_tensor(t) for t in ts]) for e, ts in found]
            here = [(e, ts) for e, ts in pairs if all(t.graph is graph for t in ts)]
            self._entropies = [entropy for entropy, _ in here]
            return [tensors for _, tensors in here]

        found = self._graph("entropies", run, self.states, batch)(self.states, batch)
        return [(e, y, p) for e, (y, p) in zip(self._entropies, found, strict=True)]

    def data_loss(self, batch: Any, outputs: Any, masks: Sequence[Any]) -> float:
        """The compiled loss of given outputs, without what layers add.

        `pairs` are then its losses, each with the number of its targets and outputs
        among all: as Keras pairs them, whatever their structures are.

        Args:
            batch: What `train_step` is handed.
            outputs: In place of those of the model.
            masks: Of each of them, as of a `Forward`.
        """

        def run(states, batch, outputs, masks):
            for tensor, mask in zip(tf.nest.flatten(outputs), masks, strict=True):
                internals.give_mask(tensor, mask)
            with self._replica.replayed(self.values, states), watched_losses() as calls:
                loss = internals.loss_of_outputs(self.model, batch, outputs)
            self.pairs = _numbered(calls, batch, outputs)
            return tf.cast(tf.reduce_sum(loss), tf.float32)

        arguments = (self.states, batch, outputs, list(masks))
        return float(self._graph("data", run, *arguments)(*arguments))

    def _graph(self, key, run, *arguments):
        """A graph for arguments like these; one for batches of any size if possible."""
        key = (key, batches.signature_of_any_size(arguments[1:]))
        exact = (key, batches.signature(arguments[1:]))
        for known in (key, exact):
            if known in self._known:
                return self._known[known]
        wide = [arguments[0], *map(batches.of_any_size, arguments[1:])]
        try:
            self._known[key] = self._quiet(self._traced(run, *wide))
        except Exception as error:  # the model's own code, which may need the size
            internals.logger.debug("No graph for any size: %r.", error)
            self._known[exact] = self._exact(run, *arguments)
            return self._known[exact]
        return self._known[key]

    def _exact(self, run, *arguments):
        try:
            return self._quiet(self._traced(run, *arguments))
        except Exception as error:  # the model's own code, which may need values
            if not self.model.run_eagerly:
                raise
            internals.logger.debug("No graph: %r.", error)
            return self._eagerly(run)

    def _eagerly(self, run):
        def function(*arguments):
            with same_raw_variables(self._replica.layers):
                return run(*arguments)

        return function

    def _traced(self, run, *arguments):
        compiled = tf.function(run, autograph=False)
        return compiled.get_concrete_function(*arguments)

    def _quiet(self, function):
        """The same without what it does besides."""
        if graphs.is_quiet(function.graph):
            return function
        structure = function.structured_outputs
        flat = tf.nest.flatten(structure)
        pure = Pure(function, [t for t in flat if t is not None])

        def run(*arguments):
            rest = iter(pure(*arguments))
            found = [None if t is None else next(rest) for t in flat]
            return tf.nest.pack_sequence_as(structure, found)

        return run


def _numbered(calls, batch, outputs):
    _, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    numbers = [
        {id(t): k for k, t in enumerate(tf.nest.flatten(structure))}
        for structure in (y, outputs)
    ]
    found = [
        (loss, *(known.get(id(t)) for known, t in zip(numbers, given, strict=True)))
        for loss, *given in calls
    ]
    return [pair for pair in found if None not in pair]


def _is_seed(variable):
    return "seed_generator_state" in variable.path
