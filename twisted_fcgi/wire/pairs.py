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

_LONG = 0x80000000
_LONG_LENGTH = struct.Struct(">I")
_LENGTHS = struct.Struct(">II")


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
            parts.append(b"%c%c%b%b" % (nameLength, valueLength, name, value))
        else:
            parts += _encodeLength(nameLength), _encodeLength(valueLength), name, value
    return b"".join(parts)


def _encodeLength(length: int) -> bytes:
    if length < 128:
        return b"%c" % length
    if length > MAX_LENGTH:
        raise LocalProtocolError(f"a name or value of {length} bytes can't be sent")
    return _LONG_LENGTH.pack(length | _LONG)


def decodePairs(data: bytes) -> list[Pair]:
    """
    All pairs of a whole stream or record.

    :raises RemoteProtocolError: when it ends inside of a pair.
    """
    pairs: list[Pair] = []
    rest = _decodeInto(pairs, data)
    if rest < len(data):
        raise RemoteProtocolError(f"name-value pairs end inside of a pair, at byte {rest}")
    return pairs


def _decodeInto(pairs: list[Pair], data: bytes) -> int:
    """Append the whole pairs of ``data``; returns where the unfinished one begins."""
    at = 0
    size = len(data)
    while size - at >= 2:
        start = at + 1
        nameLength = data[at]
        if nameLength >= 128:
            if size - at < 5:
                break
            nameLength = _LONG_LENGTH.unpack_from(data, at)[0] & MAX_LENGTH
            start = at + 4
        valueLength = data[start]
        if valueLength >= 128:
            if size - start < 4:
                break
            valueLength = _LONG_LENGTH.unpack_from(data, start)[0] & MAX_LENGTH
            start += 4
        else:
            start += 1
        middle = start + nameLength
        end = middle + valueLength
        if end > size:
            break
        pairs.append((data[start:middle], data[middle:end]))
        at = end
    return at
