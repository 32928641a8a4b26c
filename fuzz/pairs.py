"""
Whatever bytes come and however they are cut, the decoder of pairs gives what
:func:`decodePairs` gives or refuses what it refuses, encodes again to the same
pairs, and holds and accepts no more than its limits.

An input's first byte is the size of the pieces in which the rest is fed.
"""

from __future__ import annotations

from random import Random

from twisted_fcgi.errors import RemoteProtocolError
from twisted_fcgi.wire import PairsDecoder, decodePairs, encodePairs
from twisted_fcgi.wire.pairs import PairsTooLarge

__all__ = ["generate", "target"]

MAX_LENGTH = 1000
MAX_PAIRS = 20


def target(data: bytes) -> None:
    """
    Check the invariant.

    :raises AssertionError: if it does not hold.
    """
    if not data:
        return
    step = data[0] + 1
    data = data[1:]
    try:
        pairs = decodePairs(data)
    except RemoteProtocolError:
        pairs = None
    else:
        assert decodePairs(encodePairs(pairs)) == pairs
    decoder = PairsDecoder(MAX_LENGTH, MAX_PAIRS)
    try:
        for at in range(0, len(data), step):
            decoder.feed(data[at : at + step])
            assert len(decoder._rest) <= MAX_LENGTH
        assert decoder.finish() == pairs
    except PairsTooLarge:
        assert pairs is None or len(data) > MAX_LENGTH or len(pairs) > MAX_PAIRS
    except RemoteProtocolError:
        assert pairs is None
    else:
        assert len(data) <= MAX_LENGTH and len(pairs) <= MAX_PAIRS
    assert len(decoder.pairs) <= MAX_PAIRS


def generate(random: Random) -> bytes:
    """An input: pairs of all lengths, now and then cut, spoiled or too many."""
    data = bytearray((random.choice((0, 1, 2, 3, 50, 255)),))
    for _ in range(random.choice((0, 1, 2, 5, 19, 20, 21, 25))):
        lengths = [random.choice((0, 1, 3, 127, 128, 300)) // random.choice((1, 9)) for _ in "nv"]
        for length in lengths:
            long = length > 127 or random.random() < 0.1
            data += (length | 0x80000000).to_bytes(4, "big") if long else bytes((length,))
        data += random.randbytes(sum(lengths))
    if random.random() < 0.2:
        data[random.randrange(len(data))] = random.randrange(256)
    return bytes(data[: random.choice((len(data), len(data), random.randrange(len(data) + 1)))])
