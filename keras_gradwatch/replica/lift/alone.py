"""One operation of a loss, cut out: its outputs and its backward pass alone."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_gradwatch.replica.lift.lifted import Lifted
from keras_gradwatch.replica.lift.shares import Step


class Alone:
    """An operation as a function of its inputs, and of what it is handed.

    What a hand-written backward pass replaces is computed anew, from the arguments of
    the function that it stands in.

    Args:
        lifted: The loss.
        step: The operation.
        flat: What `Lifted.flat` returned.

    Attributes:
        inputs: Its inputs that get a gradient, where training has them.
        handed: What its outputs are handed in training.
    """

    def __init__(self, lifted: Lifted, step: Step, flat: Sequence[tf.Tensor]):
        # Of an input that is read twice, the gradients are added up.
        self._made: dict[int, list[tf.Tensor]] = {}
        arguments: dict[int, tf.Tensor] = {}
        for t, gradient in step.made:
            arguments[id(t)] = t
            self._made.setdefault(id(t), []).append(gradient)
        self._arguments = list(arguments.values())
        self._outputs = [t for t, _ in step.given]
        self._upstream = [u for _, u in step.given]
        self._flat, self._lifted = list(flat), lifted
        wanted = [*self._arguments, *self._upstream]
        known = self.values(wanted)
        self.inputs = known[: len(self._arguments)]
        self.handed = known[len(self._arguments) :]
        outputs = lifted.evaluated(self._outputs, self._arguments)

        def weighted(flat, inputs):
            pairs = zip(outputs(flat, inputs), self.handed, strict=True)
            return tf.add_n([tf.reduce_sum(y * u) for y, u in pairs])

        self._output = self._compiled(weighted, self.inputs)
        gradients = [g for row in self._made.values() for g in row]
        self._of_gradients = self._compiled(lifted.evaluated(gradients, wanted), known)

    def values(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Tensors of the trace, as training has them.

        Args:
            tensors: Which.
        """
        return self._compiled(self._lifted.evaluated(tensors))()

    def output(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """What is handed times the outputs, summed up: a scalar.

        Args:
            inputs: A tensor for each of `inputs`.
        """
        return self._output(*inputs)

    def gradients(
        self, inputs: Sequence[tf.Tensor], times: float = 1.0
    ) -> list[tf.Tensor]:
        """What the backward pass returns for each of `inputs`.

        Args:
            inputs: A tensor for each of them.
            times: A factor of what is handed.
        """
        found = iter(self._of_gradients(*inputs, *(times * u for u in self.handed)))
        return [tf.add_n([next(found) for _ in row]) for row in self._made.values()]

    def _compiled(self, function, given=()):
        """A function of tensors like some; what else it reads stays as it is."""
        specs = [tf.TensorSpec(t.shape, t.dtype) for t in given]

        def values(*arguments):
            return function([tf.identity(t) for t in self._flat], arguments)

        return tf.compat.v1.wrap_function(values, specs)
