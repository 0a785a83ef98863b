"""Looking at what goes into and out of each layer, forward and backward.

For a step that runs eagerly: in a graph there is nothing to look at yet.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.patches import Replacement, replaced
from keras_gradwatch.nonfinite.marks import IN, OUT, Mark, Visit, fixed, is_finite


class Probes:
    """Notes what is not finite while a training step runs eagerly.

    Args:
        clean: What to put something finite in the place of: None for nothing,
            `"all"`, or a set of keys of marks.

    Attributes:
        marks: In the order in which they were seen.
        visits: In the order in which they began.
        unscaled: Losses that were handed to an optimizer to be scaled.
    """

    def __init__(self, clean: Any = None):
        self.marks: list[Mark] = []
        self.visits: list[Visit] = []
        self.unscaled: list[tf.Tensor] = []
        self._clean = clean
        self._open: list[Visit] = []
        self._last: dict[int, Visit] = {}
        self._calls: Counter = Counter()
        self._passes = 0

    def in_place(self) -> AbstractContextManager[None]:
        """A context in which the probes are there. Only this thread is affected."""
        return replaced(
            [
                Replacement(keras.Operation, "__call__", self._call),
                Replacement(keras.Loss, "__call__", self._call),
                Replacement(tf.GradientTape, "gradient", self._gradient),
                *(
                    Replacement(owner, "scale_loss", self._scale)
                    for owner in (
                        keras.optimizers.Optimizer,
                        keras.optimizers.LossScaleOptimizer,
                    )
                ),
            ]
        )

    def _scale(self, original, optimizer, loss):
        self.unscaled.append(loss)
        return original(optimizer, loss)

    def _gradient(self, original, tape, *args, **kwargs):
        self._passes += 1
        return original(tape, *args, **kwargs)

    def _call(self, original, thing, *args, **kwargs):
        parent = self._open[-1] if self._open else None
        visit = Visit(
            thing,
            self._calls[id(thing)],
            len(self.visits),
            parent,
            self._last.get(id(parent)),
        )
        self._calls[id(thing)] += 1
        self.visits.append(visit)
        args, kwargs = self._through((args, kwargs), visit, IN)
        self._open.append(visit)
        try:
            outputs = original(thing, *args, **kwargs)
        finally:
            self._open.pop()
        self._last[id(parent)] = visit
        return self._through(outputs, visit, OUT)

    def _through(self, structure, visit, side):
        count = iter(range(1_000_000))
        return keras.tree.map_structure(
            lambda leaf: self._leaf(leaf, visit, side, next(count)), structure
        )

    def _leaf(self, leaf, visit, side, number):
        if not _is_float_tensor(leaf):
            return leaf
        key = (id(visit.thing), visit.number, side, number)
        if side == IN:
            visit.inputs.append(leaf)
        value = self._seen(leaf, key, visit, side, is_backward=False)

        @tf.custom_gradient
        def probe(value):
            def gradient(upstream):
                upstream = tf.convert_to_tensor(upstream)
                if side == OUT:
                    visit.arrived.append(upstream)
                if not _is_float_tensor(upstream):
                    return upstream
                back = (*key, self._passes)
                return self._seen(upstream, back, visit, side, is_backward=True)

            return tf.identity(value), gradient

        return internals.take_mask(leaf, probe(value))

    def _seen(self, value, key, visit, side, is_backward):
        if is_finite(value):
            return value
        self.marks.append(Mark(key, visit, side, is_backward, value))
        return fixed(self._clean, key, value)


def _is_float_tensor(value: Any) -> bool:
    """Whether it is a tensor of real numbers that can be looked at now."""
    return (
        isinstance(value, tf.Tensor)
        and not tf.is_symbolic_tensor(value)
        and value.dtype.is_floating
    )
