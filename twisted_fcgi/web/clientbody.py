"""
A request's body on our HTTP/1 channel: from the client's framing to who takes it.

Strategy: a decoder finds the end of the body, :class:`ClientBody` pushes what is
before it.  Until it is asked for, or while it is paused, it holds
:data:`BODY_BUFFER` bytes and then stops the client.  Once it is done it is deaf, so
that a late call can't reach the connection's next request.

Chunked framing is llhttp's.  It gets each chunked body behind a head of our own, so
that nothing a client says elsewhere can change its mind, and it ends at the body's
last byte.  Extensions and trailers are checked and dropped, and bounded by
:data:`CHUNK_OVERHEAD`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpRequestParser
from zope.interface import implementer

from twisted_fcgi.errors import BadRequest, RequestError
from twisted_fcgi.interfaces import IBody, IBodyConsumer
from twisted_fcgi.web.http1 import findEmptyLine

if TYPE_CHECKING:
    from twisted_fcgi.web.channel import HTTPChannel

__all__ = [
    "BODY_BUFFER",
    "CHUNK_OVERHEAD",
    "DRAIN_LIMIT",
    "ChunkedDecoder",
    "ClientBody",
    "LengthDecoder",
]

#: Bytes of a body that wait for whoever takes it.
BODY_BUFFER = 64 * 1024

#: Bytes of an unwanted body that are read so that the connection can go on.
DRAIN_LIMIT = 64 * 1024

#: Bytes of chunk sizes, extensions and trailers beyond 16 for each byte of data
#: (Go has the same rule since CVE-2023-39326).
CHUNK_OVERHEAD = 16 * 1024

_HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class LengthDecoder:
    """
    A body of a known length.

    :ivar remaining: the bytes that are still to come.
    """

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining = length

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        :returns: a part of the body; what came behind its end, ``None`` before it.
        """
        remaining, size = self.remaining, len(data)
        if size < remaining:
            self.remaining = remaining - size
            return data, None
        self.remaining = 0
        if size == remaining:
            return data, b""
        return data[:remaining], data[remaining:]


class ChunkedDecoder:
    """
    A chunked body.

    :ivar remaining: 0, since nobody knows.
    """

    __slots__ = ("_complete", "_overhead", "_parser", "_parts", "_tail")

    remaining = 0

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._complete = False
        self._overhead = 0
        self._tail = b""
        # No on_header: then httptools keeps nothing of the trailers.
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        # "5 \r\n" is what old servers send; httpd takes it.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self._parser.feed_data(_HEAD)

    def on_body(self, data: bytes) -> None:
        """httptools calls this for each part of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """httptools calls this at the end of the body."""
        self._complete = True

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        :returns: a part of the body; what came behind its end, ``None`` before it.
        :raises BadRequest: the framing is wrong.
        """
        assert self._parser is not None, "behind the end"
        feed = self._parser.feed_data
        # httptools does not say where a message ended.  It can only be at an empty
        # line, so llhttp is never given a byte behind one before it was asked.
        window = self._tail + data
        behind = len(self._tail)
        at = 0
        try:
            while at < len(data) and not self._complete:
                emptyLine = findEmptyLine(window, max(0, at + behind - 3))
                end = len(data) if emptyLine is None else emptyLine.end() - behind
                feed(data if end - at == len(data) else data[at:end])
                at = end
        except HttpParserError as error:
            status = 413 if "overflow" in str(error) else 400
            raise BadRequest(f"malformed chunked body: {error}", status) from None
        self._tail = window[-3:]
        parts = self._parts
        piece = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._overhead = max(0, self._overhead + at - 17 * len(piece))
        if self._overhead > CHUNK_OVERHEAD:
            raise BadRequest("a chunked body with too much between its data")
        if not self._complete:
            return piece, None
        # The parser and its callbacks are a circle.
        self._parser = None
        return piece, data[at:]


@implementer(IBody)
class ClientBody:
    """
    A request's body, as it comes.

    :param length: its length, ``None`` when it is chunked.
    :ivar complete: whether the client sent all of it.
    :ivar replayable: until it is delivered or discarded; no part of it is kept.
    """

    __slots__ = ("_channel", "_consumer", "_decoder", "_discarded", "_dropped", "_error", "_held",
                 "_paused", "_size", "complete", "length", "replayable")

    def __init__(self, channel: HTTPChannel, length: int | None) -> None:
        self._channel = channel
        self.length = length
        self._decoder = ChunkedDecoder() if length is None else LengthDecoder(length)
        self._consumer: IBodyConsumer | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._paused = False
        self._discarded = False
        self._error: RequestError | None = None
        self.complete = False
        self.replayable = True

    # The channel's side.

    def receive(self, data: bytes) -> bytes | None:
        """
        :returns: what came behind the body's end; ``None`` while that did not come.
        :raises BadRequest: the framing is wrong.
        """
        piece, rest = self._decoder.decode(data)
        self.complete = rest is not None
        if self._discarded:
            self._dropped += len(piece)
        else:
            if piece:
                self._held.append(piece)
                self._size += len(piece)
            self._pump()
        return rest

    def fail(self, error: RequestError) -> None:
        """The rest will not come."""
        self._held.clear()
        self._size = 0
        self._error = error
        self._pump()

    @property
    def awaited(self) -> bool:
        """Whether someone waits for the client to send."""
        return (self._consumer is not None and not self._paused) or self._discarded

    @property
    def wanted(self) -> bool:
        """Whether the client may send more."""
        return self.drainable if self._discarded else self._size < BODY_BUFFER

    @property
    def untouched(self) -> bool:
        """Whether nothing of it came."""
        return not self._size and not self.complete

    @property
    def surplus(self) -> bool:
        """Whether no one wants the rest, and it is too much to be read all the same."""
        return self._discarded and not self.drainable

    @property
    def drainable(self) -> bool:
        """Whether the rest is so small that it is read for the next request's sake."""
        return self.complete or self._dropped + self._decoder.remaining <= DRAIN_LIMIT

    # The gateway's side.

    def deliver(self, consumer: IBodyConsumer) -> None:
        self.replayable = False
        self._consumer = consumer
        self._paused = False
        if self.untouched:
            self._channel.bodyAsked()
        self._pump()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._pump()

    def discard(self) -> None:
        if not self._discarded:
            self._discarded = True
            self.replayable = False
            self._consumer = None
            self._dropped += self._size
            self._held.clear()
            self._size = 0
            self._channel.bodyChanged(self)

    def _pump(self) -> None:
        # Each call out may pause, resume or discard before it returns.
        while self._held and self._consumer is not None and not self._paused:
            data = self._held[0] if len(self._held) == 1 else b"".join(self._held)
            self._held.clear()
            self._size = 0
            self._consumer.write(data)
        consumer = self._consumer
        if consumer is not None and not self._paused:
            if self._error is not None:
                self._consumer = None
                consumer.fail(self._error)
            elif self.complete:
                self._consumer = None
                consumer.finish()
        self._channel.bodyChanged(self)
