"""A layer, a loss or a function as a model whose losses can be differentiated."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_gradwatch.check.parts.call_arguments import CallArguments
from keras_gradwatch.check.parts.outputs import Outputs, outputs_of, weighted_sum
from keras_gradwatch.check.parts.wanted import Seen, Wanted, seen_of
from keras_gradwatch.errors import InvalidArgumentError, UncheckableError
from keras_gradwatch.framework import keras_internals as internals
from keras_gradwatch.framework.isolation import untouched
from keras_gradwatch.replica.replay import full_tracebacks

logger = logging.getLogger("keras_gradwatch")


class Harness(keras.Model):
    """A model without data that calls a thing on variables of its own.

    What it can be asked for is a sum of terms. Each output is a term: its entries,
    each times a fixed random number, summed up: what comes out right for that, is
    right for any weighting, and an error in one entry can't be cancelled by another.
    What layers add with `add_loss` and regularisers are terms, too. `halves` says
    which terms count: each has a loss of its own, so that none hides behind a
    larger one, and all share one graph.

    Args:
        thing: A `keras.Layer`, a `keras.Loss`, or any callable.
        given: The `CallArguments` arguments.
        seed: Seed of the random numbers.
        dtype: The dtype policy that the model is to have.
        training: What layers are told with `training`.
        with_upstream: Whether the upstream gradients of outputs are variables.

    Attributes:
        wanted: A `Wanted` for each loss, once it is prepared.
        others: Path and kind of each argument and each output that can't be
            differentiated, such as `("output/1", "int32")`.
        halves: A variable with two numbers for each term: the factors of either half
            of the upstream gradient of an output, `outputs.weighted_sum` says more.
        upstream: Variables: the upstream gradient of each output, in units of its
            random numbers. Empty unless `with_upstream`.
    """

    def __init__(
        self,
        thing: Any,
        given: CallArguments,
        seed: int,
        dtype: Any,
        training: bool = True,
        with_upstream: bool = False,
    ):
        super().__init__(name=_name_of(thing), dtype=dtype, autocast=False)
        self.thing = thing
        self.given = given
        self.variables_given = given.variables
        self.seed = seed
        self.mode = training
        self.with_upstream = with_upstream
        self.wanted: tuple[Wanted, ...] = ()
        self.others: tuple[tuple[str, str], ...] = ()
        self.halves: Any = None
        self.upstream: tuple[keras.Variable, ...] = ()
        self._alone: int | None = None
        self._look: Callable[[Outputs], None] = _look_away
        self.built = True
        with internals.same_global_state():
            self.compile(
                keras.optimizers.SGD(), jit_compile=False, auto_scale_loss=False
            )

    def __call__(self, batch, training=None):
        return super().__call__(batch, training=self.mode)

    def call(self, batch: Any, training: bool | None = None) -> Any:
        args, kwargs = self.given.arguments()
        found = outputs_of(self.thing(*args, **kwargs))
        self._look(found)
        return [] if self.halves is None else self._terms(found)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        halves = tf.cast(self.halves, tf.float64)
        added = [
            tf.math.multiply_no_nan(_total(loss), halves[len(y_pred) + k, 0])
            for k, loss in enumerate(self.losses)
        ]
        terms = [*y_pred, *added]
        if len(terms) != halves.shape[0]:
            raise UncheckableError(
                "What it returns, and the losses that it adds, are not the same each "
                f"time. Received: {len(terms)} where {halves.shape[0]} were before"
            )
        if self._alone is not None:
            terms = [terms[k] for k in self.wanted[self._alone].terms]
        return tf.add_n(terms)

    def batch(self) -> tuple[tf.Tensor]:
        """What `train_step` is to be handed."""
        return (tf.zeros([1]),)

    @contextlib.contextmanager
    def alone(self, number: int | None) -> Iterator[None]:
        """Leaves all losses but one out of what is differentiated, while it is traced.

        Args:
            number: Its place among `wanted`; None leaves nothing out.
        """
        self._alone = number
        try:
            yield
        finally:
            self._alone = None

    def factors(self, number: int, first: float, second: float) -> np.ndarray:
        """What `halves` is to hold for one loss.

        Args:
            number: Its place among `wanted`.
            first: The factor of one half of its upstream gradient.
            second: The factor of the other half.
        """
        factors = np.zeros(self.halves.shape)
        factors[list(self.wanted[number].terms)] = first, second
        return factors

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
            look = self._try_out()
        except InvalidArgumentError:
            raise
        except Exception:  # the thing's own code may need values
            logger.debug("%s could not be traced.", self.name, exc_info=True)
            self.run_eagerly = True
            look = self._try_out()
        self.wanted = look.wanted
        self.others = (*self.given.others, *look.others)
        with internals.same_global_state():
            self._make_variables(look)

    def _try_out(self) -> Seen:
        """Calls the thing once, to see what it returns."""
        present = [
            (v, internals.raw_value(v))
            for v in self.variables
            if internals.raw_value(v) is not None
        ]
        found: list[Outputs] = []
        seen: list[Seen] = []

        def look():
            self(self.batch())
            added = [tf.convert_to_tensor(loss) for loss in self.losses]
            seen.append(seen_of(found[-1], added, present))

        scope = keras.StatelessScope(present, collect_losses=True)
        self._look = found.append
        try:
            # Without Keras' words around what the thing itself raises.
            with untouched(self), full_tracebacks(), scope:
                internals.trace(self, look)
        finally:
            self._look = _look_away
        return seen[-1]

    def _make_variables(self, look: Seen) -> None:
        upstream = []
        for path, shape in look.shapes if self.with_upstream else ():
            # Trainable in the eyes of TensorFlow, so that tapes watch it, and no
            # weight of this model: the first derivative does not ask for it.
            variable = keras.Variable(np.ones(shape), dtype="float64", autocast=False)
            variable.trainable = False
            internals.set_path(variable, path)
            upstream.append(variable)
        count = 1 + max(k for wanted in look.wanted for k in wanted.terms)
        self.upstream = tuple(upstream)
        self.halves = keras.Variable(
            np.ones((count, 2)), dtype="float64", trainable=False, autocast=False
        )

    def _terms(self, found: Outputs) -> list[tf.Tensor]:
        """The weighted sum of each output."""
        halves = tf.cast(self.halves, tf.float64)
        upstream = map(tf.convert_to_tensor, self.upstream or [1.0] * len(found.floats))
        return [
            tf.cast(
                weighted_sum(output.tensor, self.seed, k, factor, halves[k]),
                tf.float64,
            )
            for k, (output, factor) in enumerate(
                zip(found.floats, upstream, strict=False)
            )
        ]


def _look_away(found: Outputs) -> None:
    """Once it is known what comes, there is nothing to look at."""


def _total(loss: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(loss, tf.float64))


def _name_of(thing):
    """A name that TensorFlow takes, and that no layer inside has."""
    if isinstance(thing, keras.Layer):
        return f"inputs_of_{thing.name}"
    name = getattr(thing, "__name__", None) or type(thing).__name__
    while hasattr(thing, "func"):  # of functools.partial
        thing = thing.func
        name = getattr(thing, "__name__", name)
    return re.sub(r"\W", "_", name).strip("_") or "function"
