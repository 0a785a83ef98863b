"""What was traced of a replica, kept for each signature of the data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import tensorflow as tf

from keras_gradwatch.errors import UncheckableError
from keras_gradwatch.framework import batch as batches

logger = logging.getLogger("keras_gradwatch")

# A `fit` has two signatures: that of its batches, and that of the last one, which is
# shorter. Sequences of every length have one each, and must not pile up.
_MOST = 4


T = TypeVar("T")


def _give_up(error: Exception) -> None:
    raise error


class Traces(Generic[T]):
    """Traces a replica once for each signature of the data, and keeps a few.

    Args:
        trace: Called with states and a batch; returns what was traced.
        refuse: Called with an error of the model's own code while it was traced;
            raises one.
    """

    def __init__(
        self,
        trace: Callable[[list[tf.Tensor], Any], T],
        refuse: Callable[[Exception], None] = _give_up,
    ):
        self._trace, self._refuse = trace, refuse
        self._known: dict[tuple, T] = {}
        self._refused: dict[tuple, UncheckableError] = {}

    def has(self, batch: Any) -> bool:
        """Whether there is something for this batch."""
        return batches.signature(batch) in self._known

    def of(self, states: list[tf.Tensor], batch: Any) -> T:
        """What was traced for batches like this one; now, if none came before.

        Raises:
            UncheckableError: If the model can't be replayed.
            Exception: What `refuse` raises.
        """
        key = batches.signature(batch)
        if key in self._refused:  # it would be again
            raise self._refused[key].with_traceback(None) from None
        if key not in self._known:
            try:
                self._known[key] = self._trace(states, batch)
            except UncheckableError as error:
                self._refused[key] = error
                raise
            except Exception as error:  # the model's own code runs, and may do all
                logger.debug("Tracing the model failed.", exc_info=True)
                self._refuse(error)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return self._known[key]
