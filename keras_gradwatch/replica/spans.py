"""While a training step is traced: which operations each of its tapes records.

A loss depends on the weights only while its own tape records. A step may have several
tapes, one after the other or one within another: in one trace, a read of a weight is
told to be of a tape by where in the graph it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.replica.recorder import Span
from keras_gradwatch.replica.replay import Replay


class Tapes(Replay):
    """The values that stand in for variables while a whole step is traced.

    Variables stand for the weights, so each use is a read of its own.

    Attributes:
        refused: Why the loss of a tape can't be checked, by the tape's number.
    """

    def __init__(self, scope, trainable, paths, values):
        super().__init__(scope, trainable, paths, values)
        self.refused: dict[int | None, UncheckableError] = {}
        self._spans: list[tuple[int | None, tf.Graph, Span]] = []
        self._began: dict[int | None, tuple[tf.Graph, int]] = {}
        self._outside: dict[int | None, list] = {}
        self._known: dict[int | None, list] = {}

    def spans(self, graph: tf.Graph) -> dict[int | None, tuple[Span, ...]]:
        """What of a graph each tape recorded, by its number."""
        found: dict[int | None, tuple[Span, ...]] = {}
        for number, own, span in self._spans:
            if own is graph:
                found[number] = (*found.get(number, ()), span)
        return found

    def begin(self, number: int | None, is_outermost: bool) -> None:
        if is_outermost:  # the step itself may have moved its weights
            self._given = list(map(self.scope.get_current_value, self.trainable))
        # As far from where the step has put it as it is to be moved: what is read
        # within the span less what is read before it.
        before = {k: tf.identity(self._values[k]) for k in self._put_elsewhere()}
        graph = tf.compat.v1.get_default_graph()
        self._began[number] = graph, graph.version
        self._outside[number] = given = list(self._given)
        if before:
            given = list(given)
            for k, still in before.items():
                given[k] += tf.cast(
                    tf.identity(self._values[k]) - still, given[k].dtype
                )
            self._given = self.fill(self.trainable, given)
        self._known[number] = self._given

    def watch(self, tape: tf.GradientTape) -> None:
        super().watch(tape)
        if tape not in self.scope.tapes:
            self.scope.tapes.append(tape)

    def end(self, number: int | None, tape: tf.GradientTape) -> None:
        if tape in self.scope.tapes:
            self.scope.tapes.remove(tape)
        graph, start = self._began.pop(number)
        self._spans.append((number, graph, (start, graph.version)))
        changed = self._assigned[number] = self._changed()
        outside = self._outside.pop(number)
        if changed:  # from then on, that is what the tape knows
            known = self._known[number] = list(self._known[number])
            for k in changed:
                known[k] = self.scope.get_current_value(self.trainable[k])
        for k in self._put_elsewhere():
            if k not in changed:
                self.scope.give(self.trainable[k], outside[k])
        self._given = outside

    def value_of(self, variable: Any, number: int | None = None) -> Any:
        known = self._known.get(number, self._given)
        by_id = dict(zip(map(id, self.trainable), known, strict=True))
        return {**self._others, **by_id}[id(variable)]

    def assert_not_assigned(self, number: int | None = None) -> None:
        """Notes if the model's code gave a trainable weight another value."""
        refusal = self._refusal(number)
        if refusal is not None:
            self.refused[number] = refusal

    def _put_elsewhere(self) -> Sequence[int]:
        """The weights that the step itself has moved before."""
        both = zip(self._given, self._start, strict=True)
        return [k for k, (now, start) in enumerate(both) if now is not start]
