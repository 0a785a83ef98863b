"""What TensorFlow knows of its own operations: signatures, kernels, running eagerly.

The only private modules of TensorFlow in this package; there is no public way to any.
`tests/framework/test_operations.py` says what changed when one breaks.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tensorflow import is_symbolic_tensor
from tensorflow.python.eager import context, execute, record
from tensorflow.python.framework import kernels, op_def_registry, ops
from tensorflow.python.ops import stateful_random_ops

from keras_gradwatch.framework.patches import Replacement

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


def run(
    name: str, inputs: Sequence[Any], attributes: tuple[Any, ...], count: int
) -> list[Any]:
    """Runs an operation at once, with the kernel that a graph would run.

    Args:
        name: Name of the operation.
        inputs: Tensors.
        attributes: What `python_attributes` returned.
        count: How many outputs it has.
    """
    return list(
        execute.execute(name, count, list(inputs), attributes, context.context())
    )


def python_attributes(name: str, attributes: Mapping[str, Any]) -> tuple[Any, ...]:
    """The attributes of an operation as `run` takes them.

    Args:
        name: Name of the operation.
        attributes: Each attribute, an `AttrValue`, by its name.
    """
    found: list[Any] = []
    for attribute in definition(name).attr:
        if attribute.name in attributes:
            value = _python(attribute.type, attributes[attribute.name])
            found += [attribute.name, value]
    return tuple(found)


_FIELDS = {"string": "s", "int": "i", "float": "f", "bool": "b", "type": "type"}


def _python(kind, value):
    if kind.startswith("list("):
        kind = kind[len("list(") : -1]
        if kind == "shape":
            return list(map(_dimensions, value.list.shape))
        return list(getattr(value.list, _FIELDS[kind]))
    return (
        _dimensions(value.shape)
        if kind == "shape"
        else getattr(value, _FIELDS.get(kind, kind))
    )


def _dimensions(shape):
    return None if shape.unknown_rank else [d.size for d in shape.dim]


def graph_of_function(graph: Any, name: str) -> Any:
    """The graph of a function that operations of a graph call, None if there is none.

    Args:
        graph: A `tf.Graph`.
        name: Name of the function.
    """
    return getattr(graph._get_function(name), "graph", None)


def watched_gradients(seen: Callable) -> list[Replacement]:
    """Tells for which operations a tape, or a loop, makes those of a backward pass.

    Args:
        seen: Called with the graph, the numbers of its operations before and after,
            and the operation: its type, `inputs` and `outputs`, None where not needed.
    """

    registry = ops.gradient_registry

    def noted(gradient, operation, *upstream):
        graph = ops.get_default_graph()
        start = graph.version
        try:
            return gradient(*upstream)
        finally:
            seen(graph, start, graph.version, operation)

    def lookup(original, asked, name):
        gradient = original(asked, name)
        if gradient is None or asked is not registry:
            return gradient

        @functools.wraps(gradient)
        def watched(operation, *upstream):
            known = functools.partial(gradient, operation)
            return noted(known, operation, *upstream)

        return watched

    def record_operation(
        original,
        op_type,
        output_tensors,
        input_tensors,
        backward_function,
        *rest,
        **named,
    ):
        """By hand, or of a function that is called."""
        made = (t.op for t in output_tensors if is_symbolic_tensor(t))
        operation, known = next(made, None), backward_function
        if operation is not None:
            known = functools.partial(noted, backward_function, operation)
        return original(op_type, output_tensors, input_tensors, known, *rest, **named)

    return [
        Replacement(type(registry), "lookup", lookup),
        Replacement(record, "record_operation", record_operation),
    ]


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


def eager_stream() -> object:
    """Where the stream stands that eager draws of `tf.random` take their seeds from.

    Returns:
        What can be compared with what was returned before; None if no seed was set.
    """
    stream = context.context().__dict__.get("_rng")
    return None if stream is None else stream.getstate()


def state_of_global_generator() -> list[Any]:
    """The state of `tf.random.get_global_generator()`; empty if nobody asked for it."""
    generator = stateful_random_ops.global_generator
    return [] if generator is None else [generator.state]


def eager_mode() -> Any:
    """A context in which operations run at once, whatever graph is the default one."""
    return context.eager_mode()
