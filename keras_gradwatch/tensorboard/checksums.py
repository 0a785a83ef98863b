"""The checksums of event files: CRC-32C, masked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Bytes of a piece: as long as most records, so that most are one.
_PIECE = 256


def checksum(data: bytes) -> int:
    """The checksum of some bytes. For a few: it goes through them one by one.

    Args:
        data: The bytes.
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return _masked(crc ^ 0xFFFFFFFF)


def broken(records: Sequence[tuple[bytes, int]]) -> set[int]:
    """Which of some records do not have the checksum that was written with them.

    All of them go through it side by side: 600,000 records of 130 bytes, the scalars of
    2,000 checks of 300 variables, would take ten seconds one after the other. Long ones
    are cut, and their pieces go side by side, too.

    Args:
        records: Data and checksum of each.

    Returns:
        Their positions.
    """
    # Those of most pieces first: those that have one more are then the first ones.
    order = sorted(range(len(records)), key=lambda k: len(records[k][0]), reverse=True)
    pieces = [_cut(records[k][0]) for k in order]
    counts = np.array([len(found) for found in pieces], np.int64)
    firsts = np.cumsum(counts) - counts
    states = _states([piece for found in pieces for piece in found], firsts)
    crc = states[firsts]
    for number in range(1, int(counts.max(initial=1))):
        some = slice(int(np.searchsorted(-counts, -number, side="left")))
        # A checksum is linear: what was before moves on, and the piece comes to it.
        crc[some] = _moved_on(crc[some]) ^ states[firsts[some] + number]
    told = np.array([records[k][1] for k in order], np.uint64)
    wrong = np.flatnonzero(_masked((crc ^ 0xFFFFFFFF).astype(np.uint64)) != told)
    return {order[k] for k in wrong}


def _cut(data: bytes) -> list[bytes]:
    """Pieces of `_PIECE` bytes, but the first, which may be shorter."""
    first = (len(data) - 1) % _PIECE + 1 if data else 0
    rest = range(first, len(data), _PIECE)
    return [data[:first], *(data[at : at + _PIECE] for at in rest)]


def _states(pieces: Sequence[bytes], firsts: np.ndarray) -> np.ndarray:
    """The sum of each piece, as if it stood alone; a record begins with the first."""
    lengths = np.array([len(data) for data in pieces], np.int64)
    # The longest first: those that a column has a byte of are then the first ones.
    order = np.argsort(-lengths, kind="stable")
    below = -lengths[order]
    ends = np.cumsum(lengths)[order]
    flat = np.frombuffer(b"".join(pieces), np.uint8)
    states = np.zeros(len(pieces), np.uint32)
    states[firsts] = 0xFFFFFFFF
    crc = states[order]
    # The ends are aligned, not the beginnings: none is ever through too early.
    for left in range(int(lengths.max(initial=0)), 0, -1):
        count = int(np.searchsorted(below, -left, side="right"))
        part = crc[:count]
        found = flat[ends[:count] - left]
        crc[:count] = part >> 8 ^ _ROWS[(part ^ found) & 0xFF]
    states[order] = crc
    return states


def _moved_on(crc: np.ndarray) -> np.ndarray:
    """The sum after `_PIECE` bytes of zeros, by a table for each of its four bytes."""
    parts = [_MOVED[k][crc >> 8 * k & 0xFF] for k in range(4)]
    return parts[0] ^ parts[1] ^ parts[2] ^ parts[3]


def _masked(crc):
    """As event files have it: a checksum of data that hold checksums tells little."""
    return (crc >> 15 | crc << 17) + 0xA282EAD8 & 0xFFFFFFFF


def _row(number: int) -> int:
    for _ in range(8):
        number = number >> 1 ^ (0x82F63B78 if number & 1 else 0)
    return number


_TABLE = tuple(map(_row, range(256)))
_ROWS = np.array(_TABLE, np.uint32)


def _zeros_behind(crc: np.ndarray) -> np.ndarray:
    for _ in range(_PIECE):
        crc = crc >> 8 ^ _ROWS[crc & 0xFF]
    return crc


_MOVED = [_zeros_behind(np.arange(256, dtype=np.uint32) << 8 * k) for k in range(4)]
