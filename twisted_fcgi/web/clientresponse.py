"""
A response on our HTTP/1 channel: from the gateway to the client's framing.

Strategy: the head is held until the first part of the body is there, so that a small
response leaves in one write, and with ``Content-Length: 0`` when it has no body.
Then the framing is chosen once (RFC 9112, 6.3): the length when it is known, else
chunks, else the end of the connection, for HTTP/1.0.  Once it is done a response is
deaf, so that a late call can't reach the connection's next one.

Lengths and line ends are enforced below; what is looked at here again is what would
let one response become two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.http import DROPS_CONNECTION
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import Request, ResponseHead
from twisted_fcgi.web.sentheads import SentHeads

if TYPE_CHECKING:
    from twisted_fcgi.web.channel import HTTPChannel

__all__ = ["ClientResponse"]

log = Logger()

# From here on a part is not copied to leave with its head or chunk size.
_COPIED = 16 * 1024

# The lines before small chunks, by their sizes.
_CHUNK_SIZES = tuple(b"%x\r\n" % size for size in range(1024))


@implementer(IResponse)
class ClientResponse:
    """
    The response to one request.

    :param transport: the channel's.
    :param heads: makes its head.
    :param request: ``None`` when the client sent none that can be understood.
    :param current: whether the client speaks HTTP/1.1 or later.
    :param persistent: whether the client lets the connection go on.
    :param keepAlive: whether it asked for that in words.
    :ivar head: the response's head, once it is known.
    :ivar sent: bytes of the body that were written.
    :ivar persistent: whether the connection goes on; final when the head was written.
    """

    head: ResponseHead | None = None
    sent = 0

    _bodyless = False
    _chunked = False
    _done = False
    _held: ResponseHead | None = None
    _remaining: int | None = None

    def __init__(
        self,
        channel: HTTPChannel,
        transport: Any,
        heads: SentHeads,
        request: Request | None,
        current: bool,
        persistent: bool,
        keepAlive: bool,
    ) -> None:
        self._channel = channel
        self._transport = transport
        self._heads = heads
        self.request = request
        self.persistent = persistent
        self._current = current
        self._keepAlive = keepAlive
        if request is not None and request.method == b"HEAD":
            self._bodyless = True

    @property
    def begun(self) -> bool:
        """Whether anything of it was written."""
        return self.head is not None and self._held is None

    def writeHead(self, head: ResponseHead) -> None:
        if not self._done:
            self.head = self._held = head

    def write(self, data: bytes) -> None:
        if self._done or not data:
            return
        transport = self._transport
        prefix = b""
        if self._held is not None:
            prefix = self._framedHead(self._held, False)
            if not prefix:
                return
        if self._bodyless:
            if prefix:
                transport.write(prefix)
            return
        size: int = len(data)
        if self._remaining is not None:
            if size > self._remaining:
                log.error("a response exceeds its Content-Length; the excess is cut")
                data = data[: self._remaining]
                size = len(data)
            self._remaining -= size
        self.sent += size
        if not self._chunked:
            if size < _COPIED:
                transport.write(prefix + data)
            else:
                transport.writeSequence((prefix, data))
            return
        line = _CHUNK_SIZES[size] if size < len(_CHUNK_SIZES) else b"%x\r\n" % size
        if size < _COPIED:
            transport.write(b"".join((prefix, line, data, b"\r\n")))
        else:
            transport.writeSequence((prefix + line, data, b"\r\n"))

    def flush(self) -> None:
        if self._held is not None and not self._done:
            head = self._framedHead(self._held, False)
            if head:
                self._transport.write(head)

    def finish(self) -> None:
        if self._done:
            return
        if self._held is not None:
            end = self._framedHead(self._held, True)
            if not end:
                return
        elif self._chunked:
            end = b"0\r\n\r\n"
        else:
            end = b""
        if self._remaining:
            log.error("a response is shorter than its Content-Length; the client is cut off")
            self.abort()
            return
        if end:
            self._transport.write(end)
        self._done = True
        self._channel.responseFinished(self)

    def abort(self) -> None:
        if not self._done:
            self._done = True
            # A client sees that chunks or a length are cut; what ends with the
            # connection needs a reset to be seen.
            framed = self._chunked or self._remaining is not None
            self._channel.responseAborted(self, self.begun and framed)

    def forget(self) -> None:
        """The client is gone."""
        self._done = True

    def _framedHead(self, head: ResponseHead, last: bool) -> bytes:
        """
        Choose the framing.

        :param last: whether no body follows.
        :returns: nothing when the response had to be aborted.
        """
        self._held = None
        channel = self._channel
        status: int = head.status
        length = head.contentLength
        framing = b""
        connection = b""
        if status in (204, 304):
            self._bodyless = True
        elif length is not None:
            framing = b"Content-Length: %d\r\n" % length
            if not self._bodyless:
                self._remaining = length
        elif self._bodyless:
            # What it would be for GET is not known.
            pass
        elif last:
            framing = b"Content-Length: 0\r\n"
        elif self._current and not head.unchunked:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            self.persistent = False
        if (
            self.persistent
            and not head.close
            and status not in DROPS_CONNECTION
            and channel.mayPersist(head.keepAlive)
        ):
            if self._keepAlive:
                connection = channel.keepAliveFields()
        else:
            self.persistent = False
            connection = b"Connection: close\r\n\r\n"
        try:
            return self._heads.framed(head, framing, connection)
        except ValueError:
            log.critical("a response head with a line end inside: {head!r}", head=head)
            self.abort()
            return b""
