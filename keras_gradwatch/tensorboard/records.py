"""Reports, digests, alerts and moments as the bytes of an event, and back.

What is read may be damaged, of a newer version, or made to do harm: whatever it is, it
costs a bounded time and memory, and raises one of `DAMAGE` at worst.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import Digest, digest
from keras_gradwatch.findings.moment import Moment
from keras_gradwatch.findings.report import GradientReport
from keras_gradwatch.tensorboard.checksums import checksum

# What reading bytes that are no report, or no longer one, may raise.
DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    zlib.error,
)
# Of the JSON of one event. A report of 1,000 variables takes 2 MB, and what a hostile
# one makes of this much takes less than 1 GB.
_LARGEST = 32 * 2**20
# Stands after what is packed, and before a checksum of it. That of zlib is of what
# comes out: to look at it takes ten times as long.
_SEAL = b"crc:"
# Of a record. Ours are packed JSON.
_LARGEST_RECORD = _LARGEST
# A record: the length of its data and a checksum, the data and a checksum.
_HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")
# How far to look for the next record where one is broken: further than one is long.
_SEARCHED = 2 * 2**20
# So many broken records, and a file is given up.
_GAPS = 20


def pack(item: GradientReport | Digest | Alert | Moment) -> bytes:
    """The bytes that stand for what was found in an event.

    Raises:
        ValueError: If it is larger than what is read back.
    """
    text = item.to_json().encode("ascii")
    if len(text) > _LARGEST:
        raise ValueError(
            f"Expected at most {_LARGEST:,} bytes for an event. Received: {len(text):,}"
        )
    data = zlib.compress(text)
    return data + _SEAL + zlib.crc32(data).to_bytes(4, "little")


def assert_whole(data: bytes) -> None:
    """Makes sure, in little time, that the bytes of a report are as they were written.

    Raises one of `DAMAGE` if they are not.
    """
    end = len(data) - len(_SEAL) - 4
    if data[end:-4] != _SEAL:  # somebody else wrote them
        unpack_report(data)
    elif zlib.crc32(data[:end]) != int.from_bytes(data[-4:], "little"):
        raise ValueError(f"Expected an event as it was written. Received: {data!r:.80}")


def unpack_report(data: bytes) -> GradientReport:
    """The report in the bytes of an event; raises one of `DAMAGE` if there is none."""
    report = GradientReport.from_json(unpack(data))
    # Here, what is shown of it may fail to be said; later it may not.
    digest(report)
    _said(report)
    return report


def _said(report: GradientReport) -> str:
    words = [variable.reason + variable.applied for variable in report.variables]
    return "\n".join([str(report), *words])


def unpack_alert(data: bytes) -> Alert:
    """The alert in the bytes of an event; raises one of `DAMAGE` if there is none."""
    return Alert.from_json(unpack(data))


# As digests are: those of 20 runs of a thousand readings.
@functools.lru_cache(maxsize=20_000)
def unpack_moment(data: bytes) -> Moment:
    """The moment in the bytes of an event; raises one of `DAMAGE` if there is none."""
    return Moment.from_json(unpack(data))


# TensorBoard hands over all digests of a run at each reload: 5,000 checks of a fit.
@functools.lru_cache(maxsize=5_000)
def unpack_digest(data: bytes) -> Digest:
    """The digest in the bytes of an event; raises one of `DAMAGE` if there is none."""
    text = unpack(data)
    # The first events held plain reports and no digests.
    if text.startswith("{"):
        return digest(unpack_report(data))
    return Digest.from_json(text)


def unpack(data: bytes) -> str:
    """The JSON in the bytes of an event; raises one of `DAMAGE` if there is none."""
    if data[:1] == b"{":
        return data.decode()
    stream = zlib.decompressobj()
    text = stream.decompress(data, _LARGEST)
    if not stream.eof:
        raise ValueError(f"Expected at most {_LARGEST:,} bytes, and all of them.")
    return text.decode()


def read_records(file: IO[bytes], size: int) -> Iterator[tuple[bytes, int] | None]:
    """The records of an event file, and where one is broken.

    Without TensorFlow, which would take seconds to load. Checksums of the data are not
    looked at: what is packed brings its own, `checksums.broken` looks at others.

    Args:
        file: The event file, open.
        size: How many bytes it has.

    Yields:
        Data and checksum of a record. None in place of what can't be read: where the
        length of a record is damaged, the next one is looked for.
    """
    for begin, length in places(file, size, 0):
        if length is None or length > _LARGEST_RECORD:
            yield None
        else:
            file.seek(begin)
            data = file.read(length)
            yield data, TAIL.unpack(file.read(TAIL.size))[0]


def places(file: IO[bytes], size: int, at: int) -> Iterator[tuple[int, int | None]]:
    """Where the data of each record begins, and its length, without reading them.

    Args:
        file: The event file, open.
        size: How many bytes it has.
        at: Where a record begins, to look from there on.

    Yields:
        A tuple `(begin, length)`; the length is None if the record is broken.
    """
    gaps = 0
    while at < size:
        file.seek(at)
        length = _length(file.read(_HEAD.size))
        begin = at + _HEAD.size
        if length is not None and begin + length + TAIL.size <= size:
            yield begin, length
            at = begin + length + TAIL.size
            continue
        yield at, None
        gaps += 1
        found = _next_record(file, at + 1, size) if gaps < _GAPS else None
        if found is None:
            return
        at = found


def _next_record(file: IO[bytes], start: int, size: int) -> int | None:
    """Where the next record begins that is whole."""
    file.seek(start)
    window = file.read(min(size - start, _SEARCHED))
    # Of any length below 4 GB the upper half is zero.
    at = window.find(bytes(4), 4)
    while at >= 0:
        length = _length(window[at - 4 : at - 4 + _HEAD.size])
        begin = start + at - 4
        if length and begin + _HEAD.size + length + TAIL.size <= size:
            return begin
        at = window.find(bytes(4), at + 1)
    return None


# The same lengths come again and again: most events of a file are alike.
@functools.lru_cache(maxsize=10_000)
def _length(head: bytes) -> int | None:
    """The length of a record, by its head; None if that is damaged."""
    if len(head) < _HEAD.size:
        return None
    length, told = _HEAD.unpack(head)
    return length if checksum(head[:8]) == told else None
