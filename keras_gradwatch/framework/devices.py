"""Several devices, and what `tf.distribute` changes for the code that runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from keras_gradwatch.framework import operations


@contextlib.contextmanager
def outside_strategies() -> Iterator[None]:
    """Leaves the scope of a `tf.distribute` strategy, if one is open.

    In the scope each new `tf.Variable` is made on all devices, and on all
    machines at the same time. A check works on one device, by itself.
    """
    if not tf.distribute.has_strategy():
        yield
        return
    # All that a scope changes hangs on the default graph, eagerly too; there is no
    # public way to leave one.
    with tf.Graph().as_default(), operations.eager_mode():
        yield


def local_parts(variable: Any) -> tuple[Any, ...]:
    """The copies of a `tf.Variable` that are here, one for each device."""
    if isinstance(variable, tf.distribute.DistributedValues):
        strategy = variable.distribute_strategy
        return tuple(strategy.experimental_local_results(variable))
    return (variable,)


def local_variable(variable: Any) -> Any:
    """A `tf.Variable`, of several copies the first one here."""
    return local_parts(variable)[0]


def local_value(variable: Any) -> tf.Tensor:
    """The value of a `tf.Variable`, of several copies that of the first one here.

    Nothing is asked of another device or machine.
    """
    return tf.convert_to_tensor(local_variable(variable))
