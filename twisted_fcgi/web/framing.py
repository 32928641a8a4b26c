"""
A body and a response of our HTTP/1 channel: the framing on the client's side.

Strategy: both are objects of one request that call back into their channel, and
both are deaf once they are done, so that a late call can't reach the connection's
next request.

- :class:`ClientBody` decodes what the client sends and pushes it on.  Until it is
  asked for, or while it is paused, it holds :data:`BODY_BUFFER` bytes and then
  stops the client.
- :class:`ClientResponse` holds the head until the first part of the body is there,
  so that a small response leaves in one write, and with Content-Length: 0 when
  there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.errors import RequestError
from twisted_fcgi.interfaces import IBody, IBodyConsumer, IResponse
from twisted_fcgi.message import DROPS_CONNECTION, REASONS, Request, ResponseHead
from twisted_fcgi.web.http1 import ChunkedDecoder, LengthDecoder

if TYPE_CHECKING:
    from twisted_fcgi.web.channel import HTTPChannel

__all__ = ["BODY_BUFFER", "DRAIN_LIMIT", "ClientBody", "ClientResponse"]

log = Logger()

#: Bytes of a request body that wait for whoever takes it.
BODY_BUFFER = 64 * 1024

#: Bytes of an unwanted body that are read so that the connection can go on.
DRAIN_LIMIT = 64 * 1024

# From here on a body is not copied to go out with its head or chunk size.
_COPIED = 16 * 1024

_BODYLESS = frozenset((204, 304))

_STATUS_LINES = {
    status: b"HTTP/1.1 %d %b" % (status, reason) for status, reason in REASONS.items()
}


@implementer(IBody)
class ClientBody:
    """
    A request's body, as it comes.

    :param length: its length, ``None`` when it is chunked.
    :ivar complete: whether the client sent all of it.
    """

    __slots__ = ("_channel", "_consumer", "_decoder", "_discarded", "_dropped", "_error", "_held",
                 "_paused", "_size", "complete", "length")

    replayable = False

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
        return self._dropped + (self._decoder.remaining or 0) <= DRAIN_LIMIT

    # The gateway's side.

    def deliver(self, consumer: IBodyConsumer) -> None:
        self._consumer = consumer
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


@implementer(IResponse)
class ClientResponse:
    """
    The response to one request.

    :param request: ``None`` when the client sent none that can be understood.
    :param current: whether the client speaks HTTP/1.1 or later.
    :param persistent: whether the connection may go on after it.
    :param keepAlive: whether the client asked for that in words.
    :ivar head: the response's head, once it is known.
    :ivar sent: bytes of the body that were written.
    :ivar persistent: from the head on, what was said to the client.
    """

    __slots__ = ("_bodyless", "_channel", "_chunked", "_current", "_done", "_held", "_keepAlive",
                 "_remaining", "head", "persistent", "request", "sent")

    def __init__(
        self,
        channel: HTTPChannel,
        request: Request | None,
        current: bool,
        persistent: bool,
        keepAlive: bool,
    ) -> None:
        self._channel = channel
        self.request = request
        self.persistent = persistent
        self._current = current
        self._keepAlive = keepAlive
        self._bodyless = request is not None and request.method == b"HEAD"
        self._chunked = False
        self._done = False
        self._held = False
        self._remaining: int | None = None
        self.head: ResponseHead | None = None
        self.sent = 0

    @property
    def begun(self) -> bool:
        """Whether anything of it was written."""
        return self.head is not None and not self._held

    def writeHead(self, head: ResponseHead) -> None:
        if not self._done:
            self.head = head
            self._held = True

    def write(self, data: bytes) -> None:
        if self._done or not data:
            return
        size = len(data)
        prefix = b""
        if self._held:
            prefix = self._takeHead(False)
            if self._done:
                return
        if self._bodyless:
            if prefix:
                self._channel.transport.write(prefix)
            return
        if self._remaining is not None:
            if size > self._remaining:
                # Whoever parsed the head has to enforce it: here it must not desync.
                log.error("a response exceeds its Content-Length; the excess is cut")
                data = data[: self._remaining]
                size = len(data)
            self._remaining -= size
        self.sent += size
        transport = self._channel.transport
        if size < _COPIED:
            if self._chunked:
                transport.write(b"%b%x\r\n%b\r\n" % (prefix, size, data))
            else:
                transport.write(prefix + data)
        elif self._chunked:
            transport.writeSequence((b"%b%x\r\n" % (prefix, size), data, b"\r\n"))
        else:
            transport.writeSequence((prefix, data))

    def flush(self) -> None:
        if self._held and not self._done and (head := self._takeHead(False)):
            self._channel.transport.write(head)

    def finish(self) -> None:
        if self._done:
            return
        if self._held:
            end = self._takeHead(True)
            if self._done:
                return
        elif self._remaining:
            log.error("a response is shorter than its Content-Length; the client is cut off")
            self.abort()
            return
        else:
            end = b"0\r\n\r\n" if self._chunked else b""
        if end:
            self._channel.transport.write(end)
        self._done = True
        self._channel.responseFinished(self)

    def abort(self) -> None:
        if not self._done:
            self._done = True
            # A client sees that chunks or a length are cut; without them only a reset
            # tells it.
            framed = self.begun and (self._chunked or bool(self._remaining))
            self._channel.responseAborted(self, framed)

    def forget(self) -> None:
        """The client is gone."""
        self._done = True

    def _takeHead(self, last: bool) -> bytes:
        """
        Choose the framing.

        :param last: whether no body follows.
        """
        head = self.head
        self._held = False
        status = head.status
        length = head.contentLength
        framing = b""
        if status in _BODYLESS:
            self._bodyless = True
        elif length is not None or (last and not self._bodyless):
            if not self._bodyless:
                self._remaining = length or 0
                if last and length:
                    log.error("a response is shorter than its Content-Length")
                    self.abort()
                    return b""
            framing = b"Content-Length: %d\r\n" % (length or 0)
        elif self._bodyless:
            pass
        elif self._current:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self.persistent = False
        if head.close or status in DROPS_CONNECTION:
            self.persistent = False
        channel = self._channel
        if self.persistent and channel.mayPersist():
            if self._keepAlive:
                framing += channel.keepAliveFields()
        else:
            self.persistent = False
            framing += b"Connection: close\r\n"
        pairs = head.headers.pairs
        fields = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
        reason = head.reason
        if reason == REASONS.get(status):
            line = _STATUS_LINES[status]
        else:
            line = b"HTTP/1.1 %d %b" % (status, reason)
        # cgi/response let none of these pass; a split response would be the price.
        lines = fields.count(b"\n")
        if lines != len(pairs) or lines != fields.count(b"\r") or b"\n" in line or b"\r" in line:
            log.critical("a response head with a line end inside: {head!r}", head=head)
            self.abort()
            return b""
        ours = channel.factory.dateAndServer()
        if b"date:" in (lower := fields.lower()) or b"server:" in lower:
            # The application's own go before ours, as in httpd.
            ours = b"".join(
                [line for line in ours.splitlines(True)
                 if line.partition(b":")[0].lower() not in head.headers]
            )
        return b"%b\r\n%b%b%b\r\n" % (line, ours, fields, framing)
