"""What each operation of a loss adds to the error of its gradient.

Let the weights move along a direction. Each tensor of the forward pass then has a
tangent `t`, its true slope, and the backward pass hands each a gradient `u`. For an
operation with inputs `x` and outputs `y`, whose backward pass makes `v` out of `u`,

    share = u(y) . t(y) - v(x) . t(x)

is zero if its backward pass is right, for these values and this `u`. What is handed to
a tensor is the sum of what its readers make, so the shares of all operations add up to
the slope of the loss less that of the gradient: to the error. An error thus has its
places, however many they are; and code that is right as a whole, such as a softmax that
stops the gradient of a maximum which cancels out, has none.

An operation that is handed zeros, or nothing, adds nothing to the error and may be
wrong all the same: what hides it is a mistake behind it. If its backward pass is
hand-written, it is tried once more with a `u` that is made up.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from keras_gradwatch.findings.pattern import TRANSPOSED, UNSUMMED, Pattern
from keras_gradwatch.framework import operations
from keras_gradwatch.framework.graphs import backward_name, dense, view
from keras_gradwatch.replica.lift.lifted import Lifted

logger = logging.getLogger("keras_gradwatch")


@dataclass(eq=False)
class Step:
    """An operation of the forward pass, and its backward pass.

    Args:
        operation: The operation.
        given: Its outputs, each with the gradient that it is handed.
        made: Its inputs, each with the gradient that comes out.
        backward: The operations of its backward pass, where that is hand-written.
        misshapen: A kind of pattern, if a gradient has another shape than its input.
    """

    operation: tf.Operation
    given: list[tuple[tf.Tensor, tf.Tensor]] = field(default_factory=list)
    made: list[tuple[tf.Tensor, tf.Tensor]] = field(default_factory=list)
    backward: list[tf.Operation] = field(default_factory=list)
    misshapen: str | None = None

    @property
    def terms(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """All tensors with their gradients, outputs first."""
        return [*self.given, *self.made]

    @property
    def is_handwritten(self) -> bool:
        """Whether its backward pass is not that of its type."""
        return bool(backward_name(self.operation))


class Shares:
    """The steps of a loss, and what each adds to the error of its gradient.

    The backward pass of each operation is asked for once more, in the graph of the
    trace.

    Args:
        lifted: The loss.

    Attributes:
        groups: The steps, together where what lies between has no numbers of its own,
            as a list of tensors.
        tried: The hand-written ones, each with what is made up for its outputs.
        patterns: What the mistakes of steps look like, as far as that was asked.
    """

    def __init__(self, lifted: Lifted):
        self._lifted = lifted
        trace = lifted.trace
        with trace.graph.as_default(), trace.replayed():
            operations = self._forward(trace.call.targets)
            steps = self._backward(operations)
            tried = [_tried(o, trace) for o in operations[::-1] if backward_name(o)]
        self.groups = _grouped(steps)
        self.tried = [step for step in tried if step is not None]
        self.patterns: dict[Step, Pattern | None] = {}
        self._columns = [*self.groups, *([step] for step in self.tried)]
        terms = [pair for group in self._columns for s in group for pair in s.terms]
        tensors = {id(t): t for t, _ in terms if id(t) not in trace.inside}
        self._keys = list(tensors)
        self._values = self._compiled(list(tensors.values()))
        self._gradients = self._compiled([gradient for _, gradient in terms])

    def changes(
        self, flat: Sequence[tf.Tensor], moved: Iterable[Sequence[tf.Tensor]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What each group says of the change of the loss to some other points.

        Args:
            flat: What `Lifted.flat` returned.
            moved: The same for weights that were moved.

        Returns:
            Two arrays with a row for each point and a column for each group, and then
            for each of `tried`: what outputs say, `u(y) . (change of y)`, and what
            inputs say.
        """
        gradients = [np.conj(view(g)) for g in self._gradients(*flat)]
        at = self._known(flat)
        rows = [self._row(gradients, at, self._known(point)) for point in moved]
        handed, returned = np.array(rows).transpose(1, 0, 2)
        return handed, returned

    def _row(self, gradients, at, there):
        rest = iter(gradients)
        row = np.zeros((2, len(self._columns)))
        for k, group in enumerate(self._columns):
            for step in group:
                for side, pairs in enumerate((step.given, step.made)):
                    for t, _ in pairs:
                        change = there[id(t)] - at[id(t)]
                        row[side, k] += np.sum(next(rest) * change).real
        return row

    def _known(self, flat):
        values = dict(zip(self._keys, map(view, self._values(*flat)), strict=True))
        return values | {
            key: view(flat[k]) for key, k in self._lifted.trace.inside.items()
        }

    def _compiled(self, tensors):
        values = self._lifted.evaluated(tensors)
        return self._lifted.compiled(lambda *flat: values(flat))

    # The backward pass, once more.

    def _backward(self, operations):
        call = self._lifted.trace.call
        targets, weights = call.targets, call.weights or [None] * len(call.targets)
        given: dict[int, list[tf.Tensor]] = {}
        for target, weight in zip(targets, weights, strict=True):
            one = tf.ones_like(target) if weight is None else weight
            given.setdefault(id(target), []).append(tf.cast(one, target.dtype))
        steps = []
        for operation in reversed(operations):
            handed = [_sum(given.get(id(t), [])) for t in operation.outputs]
            if all(gradient is None for gradient in handed):
                continue
            step, passed_on = _taken(operation, handed, self._lifted.trace)
            steps.append(step)
            for t, gradient in passed_on:
                given.setdefault(id(t), []).append(gradient)
        return steps

    def _forward(self, targets):
        """The operations from the weights to the loss, inputs first."""
        order: list[tf.Operation] = []
        seen: set[tf.Operation] = set()
        waiting = [(t.op, False) for t in targets]
        while waiting:
            operation, is_open = waiting.pop()
            if is_open:
                order.append(operation)
            elif operation not in seen:
                seen.add(operation)
                waiting.append((operation, True))
                waiting += [(t.op, False) for t in operation.inputs]
        # A weight that is read outside of the tape does not move.
        trace = self._lifted.trace
        moving, found = set[int](), []
        for operation in order:
            reads = operation.name in trace.moving
            if any(
                id(t) in moving or (reads and id(t) in trace.inside)
                for t in operation.inputs
            ):
                moving |= {id(t) for t in operation.outputs}
                found.append(operation)
        return found


def _taken(operation, handed, trace):
    """A step, and all gradients that it passes on, each with its tensor."""
    step, passed_on = Step(operation), []
    step.given = [
        (t, u)
        for t, u in zip(operation.outputs, handed, strict=True)
        if u is not None and _has_numbers(t)
    ]
    for t, gradient in zip(operation.inputs, _asked(step, handed), strict=False):
        if gradient is None:
            continue
        if not t.shape.is_compatible_with(gradient.shape) and _has_numbers(t):
            step.misshapen = _kind(gradient.shape, t.shape)
            continue
        if _has_numbers(t) or id(t) in trace.inside:
            step.made.append((t, gradient))
        passed_on.append((t, gradient))
    return step, passed_on


def _tried(operation, trace):
    """A step with what is made up for its outputs, as far as they are read."""
    handed = [
        _made_up(t) if _has_numbers(t) and t.consumers() else None
        for t in operation.outputs
    ]
    try:
        return _taken(operation, handed, trace)[0]
    except Exception:  # code that is never asked, perhaps
        logger.debug("A backward pass could not be tried.", exc_info=True)
        return None


def _made_up(t):
    """Numbers from -1 to 1 of the shape of a tensor: cosines, as good as random."""
    count = tf.range(tf.size(t), dtype=tf.int32)
    return tf.reshape(
        tf.cast(tf.cos(tf.cast(count, tf.float64) ** 2), t.dtype), tf.shape(t)
    )


def _asked(step, handed):
    """What the backward pass of an operation makes of what it is handed."""
    operation = step.operation
    backward = operations.backward_of(operation)
    if backward is None:
        return []
    # What is read no further is handed zeros, as a tape does.
    whole = [
        tf.zeros_like(t) if u is None and _is_handed(t) else u
        for t, u in zip(list(operation.outputs), handed, strict=True)
    ]
    graph = operation.graph
    start = graph.version
    found = backward(operation, *whole)
    if step.is_handwritten:
        step.backward = graph.get_operations()[start:]
    found = [found] if found is None or tf.is_tensor(found) else list(found)
    return [None if g is None else plain(g) for g in found]


def plain(gradient: tf.Tensor | tf.IndexedSlices) -> tf.Tensor:
    """A gradient as a tensor of the precision that it has.

    Args:
        gradient: What a backward pass returned.
    """
    if isinstance(gradient, tf.IndexedSlices):
        return tf.cast(dense(gradient), gradient.values.dtype)
    return tf.convert_to_tensor(gradient)


def _kind(gradient, own):
    if gradient.rank is not None and gradient.rank == own.rank:
        return TRANSPOSED if sorted(gradient) == sorted(own) else UNSUMMED
    return UNSUMMED


def _has_numbers(t):
    return t.dtype.is_floating or t.dtype.is_complex


def _is_handed(t):
    return _has_numbers(t) or t.dtype == tf.variant


def _sum(gradients):
    if len(gradients) > 1:
        return tf.add_n(gradients)
    return gradients[0] if gradients else None


def _grouped(steps):
    """Steps together where a tensor without numbers of its own goes from one to one."""
    found = {step.operation: step for step in steps}
    group = {operation: operation for operation in found}

    def root(operation):
        while group[operation] is not operation:
            operation = group[operation]
        return operation

    for operation in found:
        for t in operation.inputs:
            if t.dtype == tf.variant and t.op in found:
                group[root(operation)] = root(t.op)
    rows: dict[tf.Operation, list[Step]] = {}
    for operation, step in found.items():
        rows.setdefault(root(operation), []).append(step)
    return list(rows.values())
