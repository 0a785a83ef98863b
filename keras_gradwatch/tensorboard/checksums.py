"""The checksums of event files: CRC-32C, masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def checksum(data: bytes) -> int:
    """The checksum of some bytes. For a few: it goes through them one by one.

    Args:
        data: The bytes.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return _masked(crc ^ 0xFFFFFFFF)


def broken(records: Sequence[tuple[bytes, int]]) -> int:
    """How many of some records do not have the checksum that was written with them.

    All of them go through it side by side: 600,000 records of 130 bytes, the scalars of
    2,000 checks of 300 variables, would take ten seconds one after the other.

    Args:
        records: Data and checksum of each.
    """
    # The longest first: those that a column has a byte of are then the first ones.
    ordered = sorted(records, key=lambda record: len(record[0]), reverse=True)
    lengths = np.array([len(data) for data, _ in ordered], np.int64)
    ends = np.cumsum(lengths)
    flat = np.frombuffer(b"".join(data for data, _ in ordered), np.uint8)
    crc = np.full(len(ordered), 0xFFFFFFFF, np.uint32)
    for column in range(lengths.max(initial=0)):
        # The ends are aligned, not the beginnings: none is ever through too early.
        left = lengths.max() - column
        count = int(np.searchsorted(-lengths, -left, side="right"))
        part = crc[:count]
        found = flat[ends[:count] - left]
        crc[:count] = part >> 8 ^ _ROWS[(part ^ found) & 0xFF]
    told = np.array([crc for _, crc in ordered], np.uint64)
    return int(np.sum(_masked((crc ^ 0xFFFFFFFF).astype(np.uint64)) != told))


def _masked(crc):
    """As event files have it: a checksum of data that hold checksums tells little."""
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _row(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


_TABLE = tuple(map(_row, range(256)))
_ROWS = np.array(_TABLE, np.uint32)
