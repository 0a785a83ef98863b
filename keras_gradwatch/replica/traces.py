"""What was traced of a replica, kept for each signature of the data."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches
from keras_gradwatch.framework import graphs
from keras_gradwatch.framework.isolation import restored
from keras_gradwatch.replica import diagnose
from keras_gradwatch.replica.replica import Replica

logger = logging.getLogger("keras_gradwatch")

# A `fit` has two signatures: that of its batches, and that of the last one, which is
# shorter. Sequences of every length have one each, and must not pile up.
_MOST = 4


class Traced(Protocol):
    """What is traced for one signature."""

    @property
    def handles(self) -> list[tf.Tensor]:
        """Handles of the variables of others that running it may write to."""


T = TypeVar("T", bound=Traced)


def _give_up(error: Exception) -> None:
    raise error


class Traces(Generic[T]):
    """Traces a replica once for each signature of the data, and keeps a few.

    Args:
        trace: Called with states and a batch; returns what was traced.
        mend: Called with an error of the model's own code while it was traced.
            Changes something, so that the next try may succeed, or raises.

    Attributes:
        count: How often something was traced so far.
    """

    def __init__(
        self,
        trace: Callable[[list[tf.Tensor], Any], T],
        mend: Callable[[Exception], None] = _give_up,
    ):
        self._trace, self._mend = trace, mend
        self._known: dict[tuple, T] = {}
        self.count = 0

    def has(self, batch: Any) -> bool:
        """Whether there is something for this batch."""
        return batches.signature(batch) in self._known

    def of(self, states: list[tf.Tensor], batch: Any) -> T:
        """What was traced for batches like this one; now, if none came before.

        Raises:
            UncheckableError: If the model can't be replayed.
            Exception: What `mend` raises.
        """
        key = batches.signature(batch)
        while key not in self._known:
            self.count += 1
            try:
                self._known[key] = self._trace(states, batch)
            except UncheckableError:
                raise
            except diagnose.LiveReadError:
                self._known.clear()  # traced with functions that read past us
            except Exception as error:  # the model's own code runs, and may do all
                logger.debug("Tracing the model failed.", exc_info=True)
                self._mend(error)
                self._known.clear()  # traced for other values
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return self._known[key]

    @contextlib.contextmanager
    def running(self, states: list[tf.Tensor], batch: Any) -> Iterator[T]:
        """What was traced, to be run: what it writes to is put back afterwards."""
        traced = self.of(states, batch)
        with restored(traced.handles):
            yield traced


def handles_of_others(replica: Replica, graph: tf.Graph) -> list[tf.Tensor]:
    """Handles of the variables that a graph may write to, but for the replica's own."""
    own = {id(v.handle) for v in replica.values}
    return [h for h in graphs.captured_handles(graph) if id(h) not in own]
