"""Reports and digests as the bytes of an event, and back."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from keras_gradwatch.findings.alert import Alert
from keras_gradwatch.findings.digest import Digest, digest
from keras_gradwatch.findings.report import GradientReport

# What reading bytes that are no report, or no longer one, may raise.
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, zlib.error)
# A record: the length of its data and a checksum, the data and a checksum.
_HEAD, _TAIL = struct.Struct("<QI"), struct.Struct("<I")


def pack(item: GradientReport | Digest | Alert) -> bytes:
    """The bytes that stand for a report, a digest or an alert in an event."""
    return zlib.compress(item.to_json().encode("ascii"))


def unpack_report(data: bytes) -> GradientReport:
    """The report in the bytes of an event; raises one of `DAMAGE` if there is none."""
    return GradientReport.from_json(_text(data))


def unpack_alert(data: bytes) -> Alert:
    """The alert in the bytes of an event; raises one of `DAMAGE` if there is none."""
    return Alert.from_json(_text(data))


# TensorBoard hands over all digests of a run at each reload: 5,000 checks of a fit.
@functools.lru_cache(maxsize=5_000)
def unpack_digest(data: bytes) -> Digest:
    """The digest in the bytes of an event; raises one of `DAMAGE` if there is none."""
    text = _text(data)
    # The first events held plain reports and no digests.
    if text.startswith("{"):
        return digest(GradientReport.from_json(text))
    return Digest.from_json(text)


def read_records(path: Path) -> Iterator[bytes]:
    """The records of an event file; what a crash cut off at its end is left out.

    Without TensorFlow, which would take seconds to load. Checksums are not looked
    at: what is packed brings its own.

    Args:
        path: The event file.
    """
    left = path.stat().st_size
    with path.open("rb") as file:
        while left >= _HEAD.size:
            length, _ = _HEAD.unpack(file.read(_HEAD.size))
            left -= _HEAD.size + length + _TAIL.size
            if left < 0:
                return
            yield file.read(length)
            file.read(_TAIL.size)


def _text(data: bytes) -> str:
    return (data if data[:1] == b"{" else zlib.decompress(data)).decode()
