"""Checksums of event files, many at once."""

import pytest

from keras_gradwatch.tensorboard.checksums import broken, checksum

PIECE = 256
LENGTHS = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 7, 5]


def test_it_is_that_of_event_files():
    # CRC-32C of the Internet's iSCSI (RFC 3720, B.4): 32 bytes of zeros, then masked.
    crc = 0x8A9136AA
    assert checksum(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@pytest.mark.parametrize("lengths", [[], *([n] for n in LENGTHS), LENGTHS])
def test_records_of_all_lengths(rng, lengths):
    whole = [(data, checksum(data)) for data in map(rng.bytes, lengths)]
    assert broken(whole) == set()
    for k, (data, told) in enumerate(whole):
        for at in {0, len(data) // 2, len(data) - 1} if data else ():
            other = bytearray(data)
            other[at] ^= 1 << int(rng.integers(8))
            hurt = [*whole[:k], (bytes(other), told), *whole[k + 1 :]]
            assert broken(hurt) == {k}
    assert broken([(data, told ^ 1) for data, told in whole]) == set(range(len(whole)))
