"""
Records: the unit of everything that FastCGI 1.0 sends (section 3.3).

::

     0       1       2       3       4       5       6         7
    +-------+-------+-------+-------+-------+-------+---------+----------+
    |version| type  |   requestId   | contentLength | padding | reserved |
    +-------+-------+-------+-------+-------+-------+---------+----------+
    | content: contentLength bytes, padding: that many bytes, to be skipped |

We pad to a multiple of 8 bytes, as section 3.3 recommends, and fill with
zeros.  A stream that is longer than one record is cut into pieces of 65528
bytes, the most that needs no padding.
"""

from __future__ import annotations

import enum
import struct
from typing import TypeVar

__all__ = [
    "HEADER_LENGTH",
    "KEEP_CONN",
    "MANAGEMENT_ID",
    "MAX_CONTENT",
    "MAX_REQUEST_ID",
    "PADDING",
    "PIECE",
    "VERSION",
    "Bytes",
    "ProtocolStatus",
    "RecordType",
    "Role",
    "encodeHeader",
    "encodeRecord",
    "encodeStream",
]

#: What a body comes in; the one kind or the other.
Bytes = TypeVar("Bytes", bytes, memoryview)

VERSION = 1
HEADER_LENGTH = 8

#: The request id of records that are about the connection, not about a request.
MANAGEMENT_ID = 0
MAX_REQUEST_ID = 0xFFFF
MAX_CONTENT = 0xFFFF

#: Content of each record of a long stream but its last.
PIECE = 0xFFF8

#: BEGIN_REQUEST's flag: do not close the connection after the response.
KEEP_CONN = 1


class RecordType(enum.IntEnum):
    """What a record is about (section 8)."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


class Role(enum.IntEnum):
    """What an application is asked to be (section 6)."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class ProtocolStatus(enum.IntEnum):
    """How a request ended for the protocol (section 5.5)."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


_HEADER = struct.Struct(">BBHHBx")

#: What a record is filled up with, by the number of bytes.
PADDING = tuple(bytes(n) for n in range(8))


def encodeHeader(kind: int, requestId: int, length: int = 0, padding: int = 0) -> bytes:
    """The eight bytes before a record's content."""
    return _HEADER.pack(VERSION, kind, requestId, length, padding)


def encodeRecord(kind: int, requestId: int, content: bytes = b"") -> bytes:
    """
    One whole record.

    :param content: at most 65535 bytes; without any, the end of a stream.
    """
    length = len(content)
    padding = -length & 7
    header = _HEADER.pack(VERSION, kind, requestId, length, padding)
    return header + content + PADDING[padding] if length else header


def encodeStream(kind: int, requestId: int, data: Bytes) -> list[bytes | Bytes]:
    """
    A part of a stream, as the pieces to be written one after the other.

    ``data`` of up to :data:`PIECE` bytes is handed back as it is, between its
    header and its padding; a view of more is cut without a copy.  No data is no
    record: that would end the stream.
    """
    size = len(data)
    if size <= PIECE:
        if not size:
            return []
        padding = -size & 7
        header = _HEADER.pack(VERSION, kind, requestId, size, padding)
        return [header, data, PADDING[padding]] if padding else [header, data]
    whole = _HEADER.pack(VERSION, kind, requestId, PIECE, 0)
    pieces: list[bytes | Bytes] = []
    at = 0
    while size - at > PIECE:
        pieces += whole, data[at : at + PIECE]
        at += PIECE
    return pieces + encodeStream(kind, requestId, data[at:])
