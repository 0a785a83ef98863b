"""What the questions ask: the model on its data, each thing computed once."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.replica.steps import Steps
from keras_gradwatch.setup.attempts import arr, attempt, told
from keras_gradwatch.setup.guess import Guess, guess_of
from keras_gradwatch.setup.kinds_of_outputs import (
    BINARY,
    CATEGORICAL,
    SPARSE,
    kind_of_loss,
)
from keras_gradwatch.setup.rehearsal import Forward, Rehearsal
from keras_gradwatch.setup.sampled import few
from keras_gradwatch.setup.watched import Entropy, LayerCall

# How far to move weights to see what numbers outputs can be: far enough that what is
# not bounded leaves the bounds, and near, where large ones overflow.
_FAR = (0.1, 1.0, 10.0)
# How many times the loss of a guess a network may begin at. Of cross-entropy: initial
# logits of a standard deviation of 3, as deep networks without normalisation have them,
# give two times; of squares, targets that lie 30 standard deviations off give 1,000.
_OF_CLASSES, _OF_NUMBERS = 4.0, 1e3
# How close two ways to compute a loss come in float32.
_SAME = 1e-4


class Case:
    """One model with one sample of its data.

    Args:
        model: The live model.
        many: Examples for figures of the data, as `train_step` is handed them.

    Attributes:
        part: A few of them, to run the model on.
        count: How many those are; None if that is not known.
        several: How many losses its training step differentiates, if several.
        refusal: Why its training step can't be followed; empty if it can.
        rehearsal: The model on a copy.
    """

    def __init__(self, model: keras.Model, many: Any):
        self.model, self.many, self.part = model, many, few(many)
        self.count = batches.batch_size(self.part, ragged=True)
        self.objectives, self.refusal = self._objectives()
        outer = [o for o in self.objectives if not o.inner]
        self.several = len(outer) if len(outer) > 1 else 0
        self.rehearsal = Rehearsal(model, outer[0] if len(outer) == 1 else None)
        if self.in_training[0] is None and self.part is not many:
            # It may be one graph, of which a part is nothing.
            whole = attempt(lambda: self.rehearsal.forward(many, True))
            if whole[0] is not None:
                self.part, self.in_training = many, whole
                self.count = batches.batch_size(many)

    def _objectives(self):
        steps = Steps(self.model)
        try:
            return steps.objectives("bypass", self.part), ""
        except Exception as error:
            return (), told(error)

    @functools.cached_property
    def is_default(self) -> bool:
        """Whether what is trained is the compiled loss of the model's outputs.

        A `train_step` of the user's own may well compute just that.
        """
        if self.rehearsal.is_default:
            return True
        forward, found = self.in_training[0], self.trained[0]
        if forward is None or found is None:
            return False
        data, _ = attempt(lambda: self._data_loss(self.part, forward))
        if data is None:
            return False
        total = data + sum(float(tf.reduce_sum(t)) for t in forward.added)
        return abs(total - found[0]) <= _SAME * abs(total)

    @property
    def y(self) -> Any:
        """The targets of the few examples."""
        return keras.utils.unpack_x_y_sample_weight(self.part)[1]

    @functools.cached_property
    def in_inference(self) -> tuple[Forward | None, str]:
        """The outputs in inference, or why there are none."""
        return attempt(lambda: self.rehearsal.forward(self.part, False))

    @functools.cached_property
    def in_training(self) -> tuple[Forward | None, str]:
        """The outputs in training, or why there are none."""
        return attempt(lambda: self.rehearsal.forward(self.part, True))

    @functools.cached_property
    def into_layers(self) -> tuple[tuple[list[LayerCall], list[Any]] | None, str]:
        """The calls of layers in inference and what went into each, or why not."""

        def run():
            into = self.rehearsal.seen(self.part, _first_input)
            return self.rehearsal.calls, into

        return attempt(run)

    @functools.cached_property
    def elsewhere(self) -> list[np.ndarray]:
        """The outputs at moved weights, flat, one array for each output."""
        found = []
        for seed, far in enumerate(_FAR):
            with self.rehearsal.moved(seed, far):
                forward, _ = attempt(lambda: self.rehearsal.forward(self.part, True))
            if forward is not None:
                outputs = [arr(t) for t in tf.nest.flatten(forward.outputs)]
                if all(np.all(np.isfinite(values)) for values in outputs):
                    found.append(outputs)
        return [np.stack(same) for same in zip(*found, strict=True)]

    @functools.cached_property
    def entropies(self) -> list[tuple[Entropy, np.ndarray, np.ndarray, np.ndarray]]:
        """As `losses`, for the cross-entropies that code of the user's own calls."""
        run = self.rehearsal
        first, _ = attempt(lambda: run.entropies(self.part))
        if not first:
            return []
        found = []
        for seed, far in enumerate(_FAR):
            with run.moved(seed, far):
                outputs = [arr(p) for _, _, p in run.entropies(self.part)]
            if all(np.all(np.isfinite(values)) for values in outputs):
                found.append(outputs)
        elsewhere = [np.stack(same) for same in zip(*found, strict=True)]
        return [
            (entropy, arr(y), arr(p), away)
            for (entropy, y, p), away in zip(first, elsewhere, strict=False)
        ]

    @functools.cached_property
    def trained(self) -> tuple[tuple[float, list[Any]] | None, str]:
        """The training loss and its gradients, or why there are none."""
        if self.refusal or self.several:
            return None, self.refusal or "several losses"
        return attempt(lambda: self.rehearsal.loss(self.part))

    @property
    def why(self) -> str:
        """Why there is no training loss, for all questions but the one about it."""
        if self.refusal:
            return "the training step can't be followed"
        if self.trained[0] is not None:
            return ""
        what = "it can't be followed" if self.is_refused else "it raises"
        return f"{what}, see `outputs`"

    @property
    def is_without_targets(self) -> bool:
        """Whether a loss was compiled that raises for want of them."""
        is_compiled = getattr(self.model, "loss", None) is not None
        runs = self.in_training[0] is not None and self.trained[0] is not None
        return self.y is None and is_compiled and not runs and not self.several

    @property
    def is_refused(self) -> bool:
        """Whether its code runs, and its gradient can't be taken on a copy."""
        return UncheckableError.__name__ in self.trained[1]

    @functools.cached_property
    def first_data_loss(self) -> float | None:
        """The compiled loss at the present weights, without what layers add."""
        return self.data_loss(self.part, self.in_training[0])

    @functools.cached_property
    def guess(self) -> Guess | None:
        """The loss of who knows nothing of the inputs."""
        return self.guess_on(self.part, self.in_training[0])

    def guess_on(self, batch: Any, forward: Forward | None) -> Guess | None:
        """The loss of a guess for some examples; None if none can be made.

        Args:
            batch: What `train_step` is handed.
            forward: Outputs for them.
        """
        if forward is None or not self.losses:
            return None
        losses, of_targets, of_outputs = zip(*self.pairs, strict=True)
        if len(set(of_outputs)) < len(of_outputs):
            return None  # who has two losses may have two best guesses
        y = tf.nest.flatten(keras.utils.unpack_x_y_sample_weight(batch)[1])
        ours = tf.nest.flatten(forward.outputs)

        def value(guesses):
            given = dict(zip(of_outputs, guesses, strict=True))
            outputs = [given.get(k, own) for k, own in enumerate(ours)]
            return self.data_loss(batch, _with(forward, outputs))

        targets, outputs = [y[k] for k in of_targets], [ours[k] for k in of_outputs]
        return guess_of(losses, targets, outputs, value)

    @property
    def is_of_classes(self) -> bool:
        """Whether all compiled losses are cross-entropies."""
        kinds = [kind_of_loss(loss) for loss, *_ in self.losses]
        return bool(kinds) and set(kinds) <= {CATEGORICAL, SPARSE, BINARY}

    @functools.cached_property
    def starts_far_off(self) -> bool:
        """Whether the first loss is far above that of a guess."""
        loss, guess = self.first_data_loss, self.guess
        if loss is None or guess is None or not guess.is_known:
            return False
        most = _OF_CLASSES if self.is_of_classes else _OF_NUMBERS
        return loss > most * guess.of_nothing > 0

    def data_loss(self, batch: Any, forward: Forward | None) -> float | None:
        """The compiled loss of some outputs; None if there is none.

        Args:
            batch: What `train_step` is handed.
            forward: The outputs.
        """
        if forward is None or not self.is_default:
            return None
        return attempt(lambda: self._data_loss(batch, forward))[0]

    def _data_loss(self, batch, forward):
        return self.rehearsal.data_loss(batch, forward.outputs, forward.masks)

    @functools.cached_property
    def pairs(self) -> list[tuple[Any, int, int]]:
        """The compiled losses, each with the numbers of its targets and outputs."""
        forward, _ = self.in_training
        if forward is None or self.y is None or not self.is_default:
            return []
        ours, targets = tf.nest.flatten(forward.outputs), tf.nest.flatten(self.y)
        if not internals.has_default_loss(self.model):
            count = len(ours) if len(ours) == len(targets) else 0
            found = [(self.model.compute_loss, k, k) for k in range(count)]
        else:
            self.data_loss(self.part, forward)  # which pairs them
            found = self.rehearsal.pairs
        return [pair for pair in found if tf.is_tensor(targets[pair[1]])]

    @functools.cached_property
    def losses(self) -> list[tuple[Any, tf.Tensor, np.ndarray, np.ndarray]]:
        """For each compiled loss: it, its targets, its outputs, and those elsewhere."""
        if not self.pairs:
            return []
        assert self.in_training[0] is not None
        ours = [arr(t) for t in tf.nest.flatten(self.in_training[0].outputs)]
        targets = tf.nest.flatten(self.y)
        elsewhere = self.elsewhere or [values[None] for values in ours]
        return [(loss, targets[y], ours[p], elsewhere[p]) for loss, y, p in self.pairs]


def _with(forward, outputs):
    return Forward(
        tf.nest.pack_sequence_as(forward.outputs, outputs), forward.masks, forward.added
    )


def _first_input(call):
    """The first input of a layer with weights, if it is numbers."""
    if not call.layer.weights or not call.inputs:
        return []
    tensor = call.inputs[0]
    return [tensor] if tensor.dtype.is_floating or tensor.dtype.is_integer else []
