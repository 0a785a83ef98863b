"""What was traced, kept for each signature of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from keras_gradwatch.framework import batch as batches

# A `fit` has two signatures: that of its batches, and that of the last one, which is
# shorter. Sequences of every length have one each, and must not pile up.
_MOST = 4


T = TypeVar("T")


class Traces(Generic[T]):
    """Traces once for each signature of the data, and keeps a few.

    Args:
        trace: Called with a batch, and what else is needed; returns what was traced.
        signature: What two batches share if one trace serves both.
    """

    def __init__(
        self,
        trace: Callable[..., T],
        signature: Callable[[Any], Any] = batches.signature,
    ):
        self._trace, self._signature = trace, signature
        self._known: dict[Any, T] = {}
        self._refused: dict[Any, Exception] = {}

    def known(self, batch: Any) -> T | None:
        """What there is for this batch."""
        return self._known.get(self._signature(batch))

    def of(self, batch: Any, *more: Any) -> T:
        """What was traced for batches like this one; now, if none came before.

        Args:
            batch: The batch.
            *more: What else `trace` is called with.

        Raises:
            Exception: What `trace` raises; the same when asked again.
        """
        key = self._signature(batch)
        if key in self._refused:  # it would be again
            raise self._refused[key].with_traceback(None) from None
        if key not in self._known:
            try:
                found = self._trace(batch, *more)
            except Exception as error:
                self._refused[self._signature(batch)] = error
                raise
            # By what it turned out to serve.
            key = self._signature(batch)
            self._known[key] = found
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        return self._known[key]
