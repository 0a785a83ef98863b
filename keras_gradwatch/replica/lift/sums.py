"""What is summed up to the gradient of a weight, as over the examples of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_gradwatch.framework.graphs import view
from keras_gradwatch.replica.lift.lifted import Lifted

# The gradient of a number that many read, as a bias is; and what stands between such a
# sum and the gradient that the tape returned.
_SUMS = ("BiasAddGrad", "Sum")
_BETWEEN = ("AddN", "AddV2", "Cast", "Identity", "Reshape")


class Sums:
    """Tells a gradient that is zero as a sum from one of zeros.

    Args:
        lifted: The loss and its gradient.
    """

    def __init__(self, lifted: Lifted):
        self._lifted = lifted
        self._terms: dict[int, Callable] = {}

    def cancel_out(self, flat: Sequence[tf.Tensor], weight: int) -> bool:
        """Whether terms that are not zero go into the gradient of a weight.

        Args:
            flat: What `Lifted.flat` returned.
            weight: Position of the weight.
        """
        if weight not in self._terms:
            gradient = self._lifted.trace.gradients[weight]
            terms = list(_summed(gradient)) if tf.is_tensor(gradient) else []
            self._terms[weight] = self._lifted.compiled(_function(self._lifted, terms))
        return any(np.any(view(t)) for t in self._terms[weight](*flat))


def _function(lifted, tensors):
    values = lifted.evaluated(tensors)
    return lambda *flat: values(flat)


def _summed(gradient: tf.Tensor) -> Iterator[tf.Tensor]:
    """What is added up to a gradient."""
    waiting = [gradient.op]
    while waiting:
        op = waiting.pop()
        if op.type in _SUMS:
            yield op.inputs[0]
        elif op.type in _BETWEEN:
            waiting += [t.op for t in op.inputs]
