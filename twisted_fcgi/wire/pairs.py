"""
Name-value pairs, as PARAMS and GET_VALUES carry them (section 3.4).

Two lengths, name and value: a length below 128 is one byte, any other is four
with the highest bit set.  :func:`decodePairs` takes what is whole;
:class:`PairsDecoder` takes pieces cut anywhere, holds at most the pair that is
unfinished, and bounds both the bytes and the number of pairs, since an empty
pair of two bytes becomes a hundred in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from twisted_fcgi.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_LENGTH", "Pair", "PairsDecoder", "PairsTooLarge", "decodePairs", "encodePairs"]

Pair = tuple[bytes, bytes]

#: The most that four bytes can say.
MAX_LENGTH = 0x7FFFFFFF

_SHORT = tuple(bytes((length,)) for length in range(128))
_LONG = 0x80000000
_packLength = struct.Struct(">I").pack
_unpackLength = struct.Struct(">I").unpack_from


class PairsTooLarge(RemoteProtocolError):
    """More bytes or more pairs than we take."""


def encodePairs(pairs: Iterable[Pair]) -> bytes:
    """
    Names and values, encoded; any number, in the order given.

    :raises LocalProtocolError: for a name or value of 2 GiB or more.
    """
    parts: list[bytes] = []
    for name, value in pairs:
        nameLength = len(name)
        valueLength = len(value)
        if nameLength < 128 and valueLength < 128:
            parts += _SHORT[nameLength], _SHORT[valueLength], name, value
        else:
            parts += _encodeLength(nameLength), _encodeLength(valueLength), name, value
    return b"".join(parts)


def _encodeLength(length: int) -> bytes:
    if length < 128:
        return _SHORT[length]
    if length > MAX_LENGTH:
        raise LocalProtocolError(f"a name or value of {length} bytes can't be sent")
    return _packLength(length | _LONG)


def decodePairs(data: bytes) -> list[Pair]:
    """
    All pairs of a whole stream or record.

    :raises RemoteProtocolError: when it ends inside of a pair.
    """
    pairs: list[Pair] = []
    end, _ = _decodeInto(pairs, data, len(data))
    if end < len(data):
        raise RemoteProtocolError(f"name-value pairs that end inside of a pair, at byte {end}")
    return pairs


class PairsDecoder:
    """
    Decodes a stream of pairs that comes in pieces.

    :param maxLength: the most bytes of the whole stream.
    :param maxPairs: the most pairs.
    :ivar pairs: what has come so far.
    """

    def __init__(self, maxLength: int, maxPairs: int) -> None:
        self.pairs: list[Pair] = []
        self._room = maxLength
        self._maxPairs = maxPairs
        self._rest = bytearray()
        self._wanted = 0

    def feed(self, data: bytes) -> None:
        """
        Take the next piece.

        :raises PairsTooLarge: as soon as a limit is sure to be passed, which the
            lengths before a pair may tell.
        """
        self._room -= len(data)
        if self._room >= 0:
            self._rest += data
            if len(self._rest) >= self._wanted:
                # Only now another pair may be whole: a long value is gone over once.
                data = bytes(self._rest)
                end, self._wanted = _decodeInto(self.pairs, data, self._maxPairs)
                del self._rest[:end]
            if not self._rest or self._wanted - len(self._rest) <= self._room:
                return
        raise PairsTooLarge("more bytes of name-value pairs than are taken")

    def finish(self) -> list[Pair]:
        """
        The stream is over.

        :returns: all pairs.
        :raises RemoteProtocolError: when it is over inside of a pair.
        """
        if self._rest:
            raise RemoteProtocolError(
                f"name-value pairs that end {len(self._rest)} bytes into a pair"
            )
        return self.pairs


def _decodeInto(pairs: list[Pair], data: bytes, maxPairs: int) -> tuple[int, int]:
    """
    Append the pairs that are whole.

    :returns: where the unfinished pair begins, and how long it is at least.
    """
    at = 0
    size = len(data)
    end = 2
    while end <= size:
        start = at + 1
        nameLength = data[at]
        if nameLength >= 128:
            start = at + 4
            end = start + 1
            if end > size:
                break
            nameLength = _unpackLength(data, at)[0] & MAX_LENGTH
        valueLength = data[start]
        if valueLength >= 128:
            end = start + 4
            if end > size:
                break
            valueLength = _unpackLength(data, start)[0] & MAX_LENGTH
            start = end
        else:
            start += 1
        middle = start + nameLength
        end = middle + valueLength
        if end > size:
            break
        if len(pairs) >= maxPairs:
            raise PairsTooLarge(f"more than {maxPairs} name-value pairs")
        pairs.append((data[start:middle], data[middle:end]))
        at = end
        end += 2
    return at, end - at
