"""Where in a model, and in the code, a group of operations stands."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_gradwatch.findings.place import CODE, LOSS, Line, Place
from keras_gradwatch.framework import lines
from keras_gradwatch.framework.graphs import suspects_inside, title_of
from keras_gradwatch.replica.lift.shares import Step
from keras_gradwatch.replica.lift.trace import Trace
from keras_gradwatch.replica.places import Places, full_names
from keras_gradwatch.replica.replica import Replica


def place_of(replica: Replica, trace: Trace, group: Sequence[Step]) -> Place:
    """The layer or loss that made some operations, and their line.

    Args:
        replica: The `Replica`.
        trace: What its code was traced to.
        group: The operations.
    """
    # Of a loop with its lists, that is the loop.
    step = max(group, key=lambda s: len(s.operation.inputs))
    name = step.operation.name
    layer, loss = trace.places.owner(name), trace.places.loss(name)
    line, operation = _code(step, trace.places)
    where = None if line is None else Line(*line)
    if layer is not None and not _is_ours(layer):
        known = full_names(replica.model).get(id(layer), layer.name)
        return Place(known, type(layer).__name__, where, operation)
    return Place(loss, LOSS if loss else CODE, where, operation)


def _is_ours(layer: object) -> bool:
    """Whether it stands for a function that is checked by itself."""
    ours = __name__.partition(".")[0]
    return type(layer).__module__.partition(".")[0] == ours


def _code(step: Step, places: Places) -> tuple[tuple[str, int, str] | None, str]:
    """The line, and what the operation is called.

    Of a loop, a branch or a call it is the one suspect inside, wherever that is called.
    """
    operation = step.operation
    if step.is_handwritten:
        return _handwritten(operation, step.backward)
    inside = [places.handwritten(name) for name in suspects_inside(operation)]
    found = {None if call is None else _handwritten(call) for call in inside}
    only = found.pop() if len(found) == 1 else None
    return only or (lines.line_of(operation), title_of(operation))


def _handwritten(
    operation: tf.Operation, backward: Sequence[tf.Operation] = ()
) -> tuple[tuple[str, int, str] | None, str]:
    """The same of the call of a function whose backward pass is hand-written.

    Args:
        operation: The call.
        backward: What its backward pass made, if that is known.
    """
    behind = (t.op for t in operation.inputs)
    found = (lines.decorated_by(op, operation) for op in behind)
    decorated = next((line for line in found if line is not None), None)
    line = lines.line_of_backward(backward) or decorated or lines.line_of(operation)
    if line is None:
        return None, operation.type
    name = (decorated or line)[2]
    return (*line[:2], name), name
