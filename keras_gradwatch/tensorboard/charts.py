"""Whether the events that TensorBoard draws charts of are as they were written.

Nobody reads them here but TensorBoard, which would show their damage as truth.
"""

from __future__ import annotations

import logging
from typing import Any

from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2, types_pb2

from keras_gradwatch.tensorboard.checksums import broken
from keras_gradwatch.tensorboard.tags import (
    ALERT_TAG,
    DIGEST_TAG,
    GROUP,
    HISTOGRAM_GROUP,
    HISTORY_TAG,
    MOMENT_TAG,
    PLUGIN,
    REPORT_TAG,
)

logger = logging.getLogger("keras_gradwatch")

# Where an event tells its tag: after the time, the step, and some lengths.
HEAD = 160
# Bytes of a point of a chart: names of 10,000 characters have room.
LARGEST = 2**16
# What is looked at side by side: some megabytes.
_BYTES_AT_ONCE = 2**23
# What an event of ours has in it that is no chart.
_MARKS = [m.encode() for m in (PLUGIN, REPORT_TAG, DIGEST_TAG, ALERT_TAG, MOMENT_TAG)]
_GROUP, _HISTORY = GROUP.encode(), HISTORY_TAG.encode()
_HISTOGRAMS = HISTOGRAM_GROUP.encode()
# A tensor of one float32: all but what makes some of a histogram. To parse 600,000
# would take seconds.
_ONE_FLOAT = b'B\n\x08\x01\x12\x00"\x04'
_BINS = 1000


def is_finding(record: bytes) -> bool:
    """Whether there is something of ours in an event that is no chart, by its bytes.

    Args:
        record: The event, or all of it that fits.
    """
    return any(mark in record for mark in _MARKS)


class Charts:
    """Looks at the events of charts, many at once.

    Attributes:
        broken: How many have not the checksum that was written with them.
        odd: How many hold something else than a point of a chart of ours.
    """

    def __init__(self) -> None:
        self.broken = 0
        self.odd = 0
        self._records: list[tuple[bytes, int]] = []
        self._bytes = 0

    def wants(self, head: bytes, length: int) -> bool:
        """Whether an event is to be given to `look`, whole.

        Args:
            head: Its first bytes, `HEAD` at least if there are so many.
            length: Its length.
        """
        # Texts look damaged if they are.
        if length <= LARGEST:
            return _HISTORY not in head
        self.odd += _GROUP in head and _HISTORY not in head
        return False

    def look(self, record: bytes, told: int) -> None:
        """Looks at one event.

        Args:
            record: The event.
            told: The checksum that was written with it.
        """
        self._records.append((record, told))
        self._bytes += len(record)
        if self._bytes >= _BYTES_AT_ONCE:
            self.end()

    def end(self) -> None:
        """Looks at what is still to be looked at."""
        wrong = broken(self._records)
        whole = [one for k, (one, _) in enumerate(self._records) if k not in wrong]
        self.broken += len(wrong)
        self.odd += sum(map(_is_odd, whole))
        self._records, self._bytes = [], 0


def _is_odd(record: bytes) -> bool:
    if _GROUP not in record or (_ONE_FLOAT in record and _HISTOGRAMS not in record):
        return False
    try:
        values = event_pb2.Event.FromString(record).summary.value
    except DecodeError:
        logger.debug("An event can't be read.", exc_info=True)
        return True
    ours = [value for value in values if value.tag.startswith(GROUP)]
    return not all(map(_is_a_point, ours))


def _is_a_point(value: Any) -> bool:
    found = value.tensor
    shape = [dim.size for dim in found.tensor_shape.dim]
    if value.tag.startswith(HISTORY_TAG):
        return found.dtype == types_pb2.DT_STRING and not shape
    if value.tag.startswith(HISTOGRAM_GROUP):
        is_table = len(shape) == 2 and 0 <= shape[0] <= _BINS and shape[1] == 3
        size = len(found.tensor_content)
        return is_table and found.dtype == types_pb2.DT_DOUBLE and _fits(shape, size)
    return found.dtype == types_pb2.DT_FLOAT and not shape


def _fits(shape: list[int], size: int) -> bool:
    # An empty tensor has no content; a double takes eight bytes.
    return size == 8 * shape[0] * shape[1]
