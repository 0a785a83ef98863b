"""Which term of a derivative a hand-written backward pass has wrong.

The forward pass beside it says what the derivative is: a sum over all the ways that
lead from an argument through its operations to a result. What goes by one of them is
known when that way is cut. If a gradient differs from the derivative by a multiple of
what goes by one way, and of no other, that is the term to look at. All of it is
computed on the values of training, without any difference, so that the two agree to
round-off or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import tensorflow as tf

from keras_gradwatch.check.numerics.directions import norm_of
from keras_gradwatch.findings.pattern import INNER, TERM, TRANSPOSED, Pattern
from keras_gradwatch.framework import lines, operations
from keras_gradwatch.framework.graphs import behind, view
from keras_gradwatch.replica.lift.alone import Alone
from keras_gradwatch.replica.lift.shares import Step, plain
from keras_gradwatch.replica.lift.trace import Trace

# What stands for the call of a function with a backward pass of its own: it hands on
# results, and then arguments.
_CALL = "IdentityN"
# Ways to cut at most: a long forward pass has too many to try each.
_MOST = 60
# How well a term must explain a mistake, as a share of it: round-off, in float64.
_FIT = 1e-7


@dataclass(frozen=True)
class _Change:
    """A change of the derivative.

    Args:
        operation: Where it is made.
        place: Which of its inputs is handed something else; None for all.
        made: What that is, of the operation and what its output is handed; None if
            it is handed nothing.
        kind: What a gradient with just this change has wrong. Of one with a multiple
            of the change it is known for a `TERM` only.
        part: What of the operation it is about, where that is not all of it.
    """

    operation: tf.Operation
    place: int | None = None
    made: Callable | None = None
    kind: str = TERM
    part: str = ""

    def pattern(self, factor: float) -> Pattern:
        """What is wrong.

        Args:
            factor: How much there is of a term.
        """
        line = lines.line_of(self.operation)
        return Pattern(
            self.kind,
            factor=factor if self.kind == TERM else None,
            operation=f"{self.part}{self.operation.type}",
            line=f"{PurePath(line[0]).name}:{line[1]}" if line else "",
        )


def wrong_term(step: Step, alone: Alone, trace: Trace) -> Pattern | None:
    """The term that a backward pass leaves out, or has by a wrong factor.

    Args:
        step: The operation.
        alone: The same, cut out.
        trace: What it stands in.

    Returns:
        The `Pattern`; None if no single term explains the mistake.
    """
    if step.operation.type != _CALL or not step.is_handwritten:
        return None
    derivative = _Derivative(step, trace)
    changes = list(derivative.changes())
    if not 0 < len(changes) <= _MOST:
        return None
    found, right = _values(alone, [derivative.found, derivative.of()])
    if not np.isfinite(norm_of(found) + norm_of(right)):
        return None

    def terms_without(idle):
        rows = [derivative.of(change, *idle) for change in changes]
        return [right - other for other in _values(alone, rows)]

    terms = terms_without(())
    pattern = _likeliest(changes, terms, found - right)
    # By some ways, such as the largest entry that a softmax takes off, nothing goes on
    # the whole: a backward pass may do without them.
    idle = [
        change
        for change, term in zip(changes, terms, strict=True)
        if change.kind == TERM and norm_of(term) <= _FIT * norm_of(right)
    ]
    if pattern is not None or not idle:
        return pattern
    return _likeliest(changes, terms_without(idle), found - right)


def _values(alone: Alone, rows: Sequence[Sequence[tf.Tensor]]) -> list[np.ndarray]:
    """Each row of tensors as one flat array."""
    flat = iter(alone.values([t for row in rows for t in row]))
    return [np.concatenate([view(next(flat)).ravel() for _ in row]) for row in rows]


def _likeliest(
    changes: Sequence[_Change], terms: Sequence[np.ndarray], mistake: np.ndarray
) -> Pattern | None:
    """The pattern of the change that explains a mistake.

    What is left out comes first, and then what has the wrong sign: of a product of two
    equal factors, one cannot be told from both otherwise.

    Args:
        changes: All changes.
        terms: What each of them takes away from the derivative.
        mistake: The gradient that was found less the derivative.
    """
    whole, found = norm_of(mistake), list[tuple[int, Pattern]]()
    for change, term in zip(changes, terms, strict=True):
        size = norm_of(term)
        if not size or not np.isfinite(size):
            continue
        more = float((mistake / size) @ (term / size))
        if norm_of(mistake - more * term) > _FIT * whole:
            continue
        usual = [factor for factor in (0.0, -1.0) if abs(1 + more - factor) <= _FIT]
        factor = usual[0] if usual else 1 + more
        if change.kind == TERM or factor == 0:
            rank = 0 if factor == 0 else 1 if usual else 2
            found.append((rank, change.pattern(factor)))
    return min(found, key=lambda pair: pair[0], default=(0, None))[1]


def _without_sum(operation: tf.Operation, upstream: tf.Tensor) -> tf.Tensor:
    """A softmax as if what its exponentials are divided by stood still."""
    is_plain = operation.type == "Softmax"
    return upstream * operation.outputs[0] if is_plain else tf.identity(upstream)


def _passed_by(operation: tf.Operation, upstream: tf.Tensor) -> tf.Tensor:
    """An operation as if it were the identity."""
    return tf.identity(upstream)


def _not_turned(place: int) -> Callable:
    """A product whose other factor is not transposed."""

    def made(operation, upstream):
        other = operation.inputs[1 - place]
        pair = (upstream, other) if place == 0 else (other, upstream)
        return tf.matmul(*pair)

    return made


class _Derivative:
    """The derivative of a forward pass, as it is or changed in one place.

    Of functions that it calls, whose backward pass is hand-written too, it takes the
    forward pass.

    Args:
        step: The call of a function with a backward pass of its own.
        trace: What it stands in.

    Attributes:
        found: What its backward pass returns instead, for each of its arguments.
    """

    def __init__(self, step: Step, trace: Trace):
        call, self._trace = step.operation, trace
        rows: dict[int, list[tf.Tensor]] = {}
        self._arguments = list({id(t): t for t, _ in step.made}.values())
        for t, gradient in step.made:
            rows.setdefault(id(t), []).append(gradient)
        with trace.graph.as_default():
            self.found = [tf.add_n(rows[id(t)]) for t in self._arguments]
        outputs = list(call.outputs)
        places = [
            next(k for k, o in enumerate(outputs) if o is t) for t, _ in step.given
        ]
        self._results = [
            (call.inputs[k], u) for k, (_, u) in zip(places, step.given, strict=True)
        ]
        self._operations, self._moving = self._between(call)

    def changes(self) -> Iterator[_Change]:
        """All changes, those next to the arguments first."""
        for operation in self._operations:
            ways = [k for k, t in enumerate(operation.inputs) if id(t) in self._moving]
            yield _Change(operation)
            if len({id(operation.inputs[k]) for k in ways}) > 1:
                yield from (_Change(operation, k) for k in ways)
            if operation.type in ("Softmax", "LogSoftmax"):
                yield _Change(operation, 0, _without_sum, part="the sum of ")
            if _is_plain_product(operation):
                for k in ways:
                    if _is_square(operation.inputs[1 - k]):
                        yield _Change(operation, k, _not_turned(k), TRANSPOSED)
            if len(ways) == 1 and _is_like(operation.inputs[ways[0]], operation):
                yield _Change(operation, ways[0], _passed_by, INNER)

    def of(self, *changes: _Change) -> Sequence[tf.Tensor]:
        """What comes out for each argument.

        Args:
            changes: The changes; of the derivative itself none.
        """
        with self._trace.graph.as_default(), self._trace.replayed():
            return self._made_of(changes)

    def _made_of(self, changes):
        given: dict[int, list[tf.Tensor]] = {}
        for t, upstream in self._results:
            given.setdefault(id(t), []).append(upstream)
        for operation in reversed(self._operations):
            handed = [given.get(id(t)) for t in operation.outputs]
            if not any(handed):
                continue
            made = self._made(operation, handed, changes)
            for t, gradient in zip(operation.inputs, made, strict=False):
                if gradient is not None and id(t) in self._moving:
                    given.setdefault(id(t), []).append(gradient)
        return [
            tf.add_n(given[id(t)]) if id(t) in given else tf.zeros_like(t)
            for t in self._arguments
        ]

    def _made(self, operation, handed, changes):
        whole = [
            tf.zeros_like(t) if row is None else tf.add_n(row)
            for t, row in zip(operation.outputs, handed, strict=True)
        ]
        found = whole if operation.type == _CALL else _asked(operation, whole)
        for change in changes:
            if change.operation is operation:
                other = change.made and change.made(operation, whole[0])
                found = [
                    other if change.place in (None, k) else gradient
                    for k, gradient in enumerate(found)
                ]
        return found

    def _between(self, call):
        """The operations from the arguments to the results, and what moves there."""
        moving = {id(t) for t in self._arguments}
        own = {id(op) for op in behind(t.op for t, _ in self._results)}
        found = []
        for operation in call.graph.get_operations():
            if id(operation) in own and any(id(t) in moving for t in operation.inputs):
                moving |= {id(t) for t in operation.outputs}
                found.append(operation)
        return found, moving


def _asked(operation, handed):
    """What the backward pass of an operation makes of what it is handed."""
    backward = operations.backward_of(operation)
    found = None if backward is None else backward(operation, *handed)
    found = [found] if found is None or tf.is_tensor(found) else list(found)
    return [None if g is None else plain(g) for g in found]


def _is_like(t, operation):
    """Whether a tensor has the shape and the type of what an operation returns."""
    (out, *more), shape = operation.outputs, t.shape
    is_known = shape.rank is not None and out.shape.rank is not None
    alike = is_known and shape.as_list() == out.shape.as_list()
    return alike and t.dtype == out.dtype and not more


def _is_plain_product(operation):
    """Whether it is a product of two matrices, neither transposed."""
    names = {
        "MatMul": ("transpose_a", "transpose_b"),
        "BatchMatMulV2": ("adj_x", "adj_y"),
    }
    asked = names.get(operation.type)
    return asked is not None and not any(map(operation.get_attr, asked))


def _is_square(t):
    return t.shape.rank and t.shape[-1] is not None and t.shape[-1] == t.shape[-2]
