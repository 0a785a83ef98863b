"""The model's whole training step, run on a copy in the precision of training."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf

from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.isolation import restored
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.replica import Replica
from keras_gradwatch.replica.train_step import Objective

# Signatures of data whose graphs are kept.
_SIGNATURES = 4


class Rehearsal:
    """Runs the training step of a model without updating anything.

    Args:
        model: The live model.
        dropout: `"bypass"` or `"freeze"`, as for the check.
        variables: The Keras variables that gradients are taken for.
        wanted: Called with the `Recording` of a step while that is traced. Returns
            the tensors that `run` is to return, and what is to be said of them.
    """

    def __init__(self, model, dropout: str, variables: tuple, wanted: Callable):
        self._model, self._wanted = model, wanted
        self._replica = Replica(model, dropout, Objective("", None, variables))
        self._replica.keep_native(model)
        self._steps: dict[tuple, _Traced] = {}

    def is_traced_for(self, batch) -> bool:
        """Whether there is a graph for this batch."""
        return batches.signature(batch) in self._steps

    def run(self, batch) -> tuple[list[tf.Tensor], object]:
        """Runs the step on one batch.

        Args:
            batch: What `train_step` is handed, in the precision of training.

        Returns:
            What `wanted` returned, the tensors with their values.
        """
        states = self._replica.copy_weights()
        key = batches.signature(batch)
        while key not in self._steps:
            # What it raises first is mended by the time of the second try.
            with contextlib.suppress(diagnose.LiveReadError):
                self._steps[key] = self._trace(states, batch)
        while len(self._steps) > _SIGNATURES:
            del self._steps[next(iter(self._steps))]
        traced = self._steps[key]
        with restored(traced.handles):
            tensors = traced.function(states, batch)
        return tensors, traced.about

    def _trace(self, states, batch):
        traced = _Traced()

        def step(states, batch):
            recording = self._replica.train_step(states, batch)
            tensors, traced.about = self._wanted(recording)
            return tensors

        function = tf.function(step, autograph=False)
        try:
            function = function.get_concrete_function(states, batch)
        except Exception:
            if not self._model.run_eagerly:  # else it may need values
                raise
        else:
            live = self._replica.live_handles()
            diagnose.assert_replayable(self._replica, function.graph, live)
            own = {id(v.handle) for v in self._replica.values}
            handles = graphs.captured_handles(function.graph)
            traced.handles = [h for h in handles if id(h) not in own]
        traced.function = step if self._model.run_eagerly else function
        return traced


@dataclass
class _Traced:
    function: Callable | None = None
    handles: list = field(default_factory=list)
    about: object = None
