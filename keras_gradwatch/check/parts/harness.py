"""A layer, a loss or a function as a model whose loss can be differentiated."""

from __future__ import annotations

import logging
import re
from typing import Any

import keras
import tensorflow as tf

from keras_gradwatch.check.parts.call_arguments import CallArguments
from keras_gradwatch.errors import InvalidArgumentError
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.replica.replay import full_tracebacks

logger = logging.getLogger("keras_gradwatch")

# Weights of outputs are multiples of a 64th: with 0.5 to 1.5 that takes 7 bits, and
# bfloat16, the coarsest float type, has 8.
_STEPS = 64


class Harness(keras.Model):
    """A model without data that calls a thing on variables of its own.

    Its loss is the sum of all outputs, each times a fixed random number: what the
    thing is asked for is then its gradient for any weighting of its outputs, and
    an error in one of them can't be cancelled by another. What layers add with
    `add_loss` and regularisers comes on top.

    Args:
        thing: A `keras.Layer`, a `keras.Loss`, or any callable.
        given: The `CallArguments` arguments.
        seed: Seed of the random numbers.
        dtype: The dtype policy that the model is to have.
        training: What layers are told with `training`.
    """

    def __init__(self, thing, given: CallArguments, seed: int, dtype, training=True):
        super().__init__(name=_name_of(thing), dtype=dtype, autocast=False)
        self.thing = thing
        self.given = given
        self.variables_given = given.variables
        self.seed = seed
        self.mode = training
        self.built = True
        with internals.same_global_state():
            self.compile(
                keras.optimizers.SGD(), jit_compile=False, auto_scale_loss=False
            )

    def __call__(self, batch, training=None):
        return super().__call__(batch, training=self.mode)

    def call(self, batch: Any, training: bool | None = None) -> tf.Tensor:
        args, kwargs = self.given.arguments()
        return weighted_sum(self.thing(*args, **kwargs), self.seed)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        added = [tf.reduce_sum(tf.cast(loss, tf.float64)) for loss in self.losses]
        return tf.add_n([y_pred, *added])

    def batch(self) -> tuple[tf.Tensor]:
        """What `train_step` is to be handed."""
        return (tf.zeros([1]),)

    def prepare(self) -> None:
        """Builds the layer if it is not, and tries the thing out.

        Nothing is computed, where possible, and nothing left behind but what
        building makes.

        Raises:
            InvalidArgumentError: If no output is a float.
            Exception: Whatever the thing raises by itself.
        """
        layers = internals.all_layers(self)[1:]
        if not all(layer.built for layer in layers):
            args, kwargs = self.given.symbols()
            internals.build_by_call(self.thing, args, kwargs)
        try:
            self._try_out()
        except InvalidArgumentError:
            raise
        except Exception:  # the thing's own code may need values
            logger.debug("%s could not be traced.", self.name, exc_info=True)
            self.run_eagerly = True
            self._try_out()

    def _try_out(self):
        present = [
            (v, internals.raw_value(v))
            for v in self.variables
            if internals.raw_value(v) is not None
        ]
        scope = keras.StatelessScope(present, collect_losses=True)
        # Without Keras' words around what the thing itself raises.
        with untouched(self), full_tracebacks(), scope:
            internals.trace(self, lambda: self(self.batch()))


def weighted_sum(outputs: Any, seed: int) -> tf.Tensor:
    """All floats of a structure, each times a fixed random number, summed up.

    Args:
        outputs: Nested tensors. Of complex ones, real and imaginary parts are
            outputs of their own; integers and the like are left out.
        seed: Seed of the random numbers, of either sign, from 0.5 to 1.5 in size.

    Returns:
        A float64 scalar.

    Raises:
        InvalidArgumentError: If there are no floats in it.
    """
    leaves = [
        tf.convert_to_tensor(leaf)
        for leaf in tf.nest.flatten(outputs, expand_composites=True)
        if leaf is not None
    ]
    parts = []
    for leaf in leaves:
        if leaf.dtype.is_complex:
            parts += [tf.math.real(leaf), tf.math.imag(leaf)]
        elif leaf.dtype.is_floating:
            parts.append(leaf)
    if not parts:
        kinds = ", ".join(dict.fromkeys(leaf.dtype.name for leaf in leaves)) or "none"
        raise InvalidArgumentError(
            "There is nothing to differentiate: no output holds floats. "
            f"Received outputs of dtype: {kinds}"
        )
    # No more precise than the least precise output: who differences the sum reads
    # from its digits how precise it is.
    low = any(part.dtype != tf.float64 for part in parts)
    dtype = tf.float32 if low else tf.float64
    total = tf.add_n(
        [
            tf.reduce_sum(
                tf.cast(part, dtype) * _weights(tf.shape(part), seed, k, dtype)
            )
            for k, part in enumerate(parts)
        ]
    )
    return tf.cast(total, tf.float64)


def _weights(shape, seed, k, dtype):
    """Numbers from 0.5 to 1.5, of either sign, that any float type holds exactly."""
    # Drawn as integers: a draw of floats depends on the precision that it is made in.
    drawn = tf.random.stateless_uniform(
        shape, [seed % (1 << 31), k], -_STEPS, _STEPS, tf.int32
    )
    size = tf.cast(tf.abs(drawn), dtype) / _STEPS + 0.5
    return tf.where(drawn < 0, -size, size)


def _name_of(thing):
    """A name that TensorFlow takes, and that no layer inside has."""
    if isinstance(thing, keras.Layer):
        return f"inputs_of_{thing.name}"
    name = getattr(thing, "__name__", None) or type(thing).__name__
    while hasattr(thing, "func"):  # of functools.partial
        thing = thing.func
        name = getattr(thing, "__name__", name)
    return re.sub(r"\W", "_", name).strip("_") or "function"
