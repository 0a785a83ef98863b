"""What TensorFlow knows of its own operations: signatures, kernels, running eagerly.

The only private modules of TensorFlow in this package; there is no public way to any.
`tests/framework/test_operations.py` says what changed when one breaks.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tensorflow.python.eager import context
from tensorflow.python.framework import kernels, op_def_registry, ops

# Seed of the draws of code that runs for a check only.
_APART = "keras_gradwatch"


def definition(name: str) -> Any:
    """The `OpDef` of an operation, None if there is none of this name."""
    return op_def_registry.get(name)


def has_kernel(name: str, attributes: Mapping[str, Any], device: str = "CPU") -> bool:
    """Whether a device can run an operation with these attributes.

    Args:
        name: Name of the operation.
        attributes: Each attribute, an `AttrValue`, by its name.
        device: `"CPU"` or `"GPU"`.
    """
    known = [k for k in _kernels(name) if k.device_type in (device, "DEFAULT")]
    if not known:
        return not _kernels(name)  # what is no kernel at all: loops, calls, arguments
    return any(
        all(_allows(constraint, attributes) for constraint in kernel.constraint)
        for kernel in known
    )


def backward_of(operation: Any) -> Callable | None:
    """What a tape calls for the gradient of an operation of a graph.

    Args:
        operation: A `tf.Operation`.

    Returns:
        A function of the operation and a gradient for each of its outputs, the one of
        a `tf.custom_gradient` too; None if no gradient goes through.
    """
    try:
        return ops.get_gradient_function(operation)
    except LookupError:
        return None


@functools.cache
def _kernels(name):
    return tuple(kernels.get_registered_kernels_for_op(name).kernel)


def _allows(constraint, attributes):
    allowed = set(constraint.allowed_values.list.type)
    given = attributes[constraint.name]
    types = [given.type] if given.type else list(given.list.type)
    return not allowed or allowed.issuperset(types)


@contextlib.contextmanager
def other_eager_draws() -> Iterator[None]:
    """Lets operations that draw eagerly do so from another stream.

    What is drawn after `tf.random.set_seed` is then what would have been drawn. To put
    the stream back would not do: kernels are kept by their seeds, and go on.
    """
    state = context.context().__dict__
    before = state.get("_rng")
    if before is None:  # no seed was set, so no draws are owed
        yield
        return
    state["_rng"] = random.Random(_APART)
    try:
        yield
    finally:
        state["_rng"] = before


def eager_mode() -> Any:
    """A context in which operations run at once, whatever graph is the default one."""
    return context.eager_mode()
