"""
The bodies on their way to one application.

A body leaves as it comes: the part that is there leaves along with its request,
the end along with the last part.  While the transport is full the bodies are
paused, those that are larger than :data:`SMALL_BODY`; a smaller one is no more
than what a transport buffers in any case before it pauses a producer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from twisted_fcgi.errors import LocalProtocolError

if TYPE_CHECKING:
    from twisted_fcgi.backend.protocol import FastCGIClientProtocol
    from twisted_fcgi.backend.stream import Stream

__all__ = ["SMALL_BODY", "Uploads"]

#: Bytes of a body that is sent without back-pressure.
SMALL_BODY = 65536


@implementer(IPushProducer)
class Uploads:
    """
    All bodies of a connection, as its transport sees them.

    :ivar stalled: whether the application does not read at present.
    """

    def __init__(self, connection: FastCGIClientProtocol) -> None:
        self.stalled = False
        self._connection = connection
        self._transport: Any = connection.transport
        # A large part is cut into records, of which none need be a copy.
        views = getattr(self._transport, "takesViews", False)
        self._part: Any = memoryview if views else bytes
        self._streams: dict[Stream, None] = {}
        self._isProducer = False
        # What leaves together with BEGIN_REQUEST, and how many bytes of a body are in it.
        self._pieces: list[bytes] | None = None
        self._size = 0

    def begin(self, stream: Stream, begin: bytes) -> None:
        """Send a request and as much of its body as there is."""
        body = stream.body
        assert body is not None
        stream.uploading = True
        stream.received = 0
        self._streams[stream] = None
        if not self._isProducer and (body.length is None or body.length > SMALL_BODY):
            self._isProducer = True
            self._transport.registerProducer(self, True)
        self._pieces = [begin]
        self._size = 0
        body.deliver(stream)
        self._leave()

    def send(self, stream: Stream, data: bytes, last: bool) -> None:
        """Send a part of a body, possibly empty, and its end if it is the last one."""
        wire = self._connection.wire
        try:
            pieces = wire.stdin(stream.requestId, self._part(data)) if data else []
            if last:
                pieces.append(wire.endStdin(stream.requestId))
        except LocalProtocolError:
            return  # its end is among the events that are just being told
        if last:
            stream.uploading = False
            self._connection.expect(stream)
        self.write(pieces, len(data))
        if last:
            self.ended(stream)

    def write(self, pieces: list[bytes], size: int = 0) -> None:
        """Write what belongs behind that; ``size`` bytes of it are a body's."""
        if self._pieces is None:
            self._transport.writeSequence(pieces)
            return
        self._pieces += pieces
        self._size += size
        if self._size >= SMALL_BODY:
            self._leave()

    def ended(self, stream: Stream) -> None:
        """Nothing more is sent of a body."""
        self._streams.pop(stream, None)
        if not self._streams:
            self.close()

    def close(self) -> None:
        """Be the transport's producer no longer: with one, it would never close."""
        if self._isProducer:
            self._isProducer = self.stalled = False
            self._transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """The application does not read as fast as the bodies come."""
        if not self.stalled:
            self.stalled = True
            for stream in list(self._streams):
                assert stream.body is not None
                stream.body.pause()
                self._connection.expect(stream)

    def resumeProducing(self) -> None:
        """It has read what there was."""
        self.stalled = False
        for stream in list(self._streams):
            if stream in self._streams and not self.stalled:
                assert stream.body is not None
                stream.body.resume()

    def stopProducing(self) -> None:
        """The transport is gone, which its protocol is told as well."""
        self._isProducer = False

    def _leave(self) -> None:
        pieces, self._pieces = self._pieces, None
        if pieces is not None:
            self._transport.write(b"".join(pieces))
