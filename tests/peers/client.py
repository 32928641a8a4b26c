"""An HTTP client for the tests: one request, one connection, nothing made up."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.peers.process import LIMIT, Address

__all__ = ["BLOCK", "Answer", "ask", "begin", "checksumOfStream"]

#: What the peers' ``stream`` repeats.
BLOCK = (b"abcdefghijklmnopqrstuvw" * 2850)[:65536]


@dataclass(frozen=True)
class Answer:
    """
    A whole response, its body counted.

    :ivar body: the first 64 KiB.
    :ivar length: of the whole body.
    :ivar checksum: CRC-32 of the whole body.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    length: int
    checksum: int


def begin(
    address: Address,
    target: str,
    do: Mapping[str, object] = {},
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] = {},
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """
    Send a request and read the head of the answer; the caller closes the connection.

    :param do: the query's fields, if any.
    :param body: posted; a Content-Length is sent for bytes, else chunks.
    """
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=LIMIT)
    try:
        connection.request(
            "GET" if body is None else "POST",
            f"{target}?{urlencode(do)}" if do else target,
            body=body,
            headers=dict(headers),
            encode_chunked=body is not None and not isinstance(body, bytes),
        )
        return connection, connection.getresponse()
    except BaseException:
        connection.close()
        raise


def ask(
    address: Address,
    target: str,
    do: Mapping[str, object] = {},
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] = {},
) -> Answer:
    """
    As :func:`begin`, and read the whole answer.

    :raises http.client.IncompleteRead: when it ends early.
    """
    connection, response = begin(address, target, do, body=body, headers=headers)
    with closing(connection):
        first, length, checksum = b"", 0, 0
        while part := response.read(1 << 18):
            first = first or part[:65536]
            length += len(part)
            checksum = zlib.crc32(part, checksum)
        if response.length:
            raise http.client.IncompleteRead(first, response.length)
        return Answer(response.status, response.headers, first, length, checksum)


def checksumOfStream(length: int) -> int:
    """CRC-32 of what ``stream`` sends."""
    checksum = 0
    while length > 0:
        checksum = zlib.crc32(BLOCK[:length], checksum)
        length -= len(BLOCK)
    return checksum
