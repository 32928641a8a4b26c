"""
One connection to a FastCGI application: what is said on it.

:class:`FastCGIClientProtocol` puts the FastCGI of :mod:`twisted_fcgi.wire` on a
transport.  It can be used without the rest of this package::

    connecting = connectProtocol(endpoint, FastCGIClientProtocol(reactor))
    connecting.addCallback(lambda c: c.open(params, None, receiver))

- A request leaves in one write, with as much of its body as there is.
- A connection takes another request only when the last one's END_REQUEST came,
  its body was sent whole and nothing came behind.  All else closes it.
- While a client does not take a response, what comes is held up to
  ``maxStreamBuffer``, then the connection is not read.
- While the application does not read, the bodies are paused.

With an application that multiplexes, :meth:`~OwnedConnection.multiplex` lets it
take several requests at a time:

- What they write in one turn of the reactor leaves in one write: that is the
  transport's doing (:mod:`twisted_fcgi.backend.hub`).
- FastCGI has no window for a single stream.  So a slow client never stops the
  reading: what it does not take goes to a file, and beyond ``maxspool`` its stream is
  aborted.  A connection is stopped for a client that has it for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from twisted_fcgi.backend.connection import ConnectionOwner, OwnedConnection
from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.stderr import StderrLog
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.backend.unread import Spool
from twisted_fcgi.backend.uploads import Uploads
from twisted_fcgi.errors import LocalProtocolError, RequestError
from twisted_fcgi.interfaces import IBody, IStream, IStreamReceiver
from twisted_fcgi.wire import (
    EndRequest,
    Event,
    Pair,
    Response,
    Role,
    Stderr,
    StderrEnded,
    Stdout,
    StdoutEnded,
    UnknownType,
    Values,
    Violation,
    joined,
)

__all__ = ["FastCGIClientProtocol"]

#: Events of a response that comes in one read: a part, the end of STDOUT, END_REQUEST.
_USUAL = 3

#: Bytes of a read that is a part of a large response, rather than several small ones.
_LARGE = 32768


class FastCGIClientProtocol(OwnedConnection):
    """
    One connection to a FastCGI application.

    :param spool: for what slow clients leave unread; one of its own by default.
    :ivar deserted: whether the application ended it, although it was to be kept and
        no answer had begun.
    """

    deserted = False
    _asked: Deferred[dict[bytes, bytes]] | None = None

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        name: str = "application",
        owner: ConnectionOwner | None = None,
        deadlines: Deadlines | None = None,
        stderrLog: StderrLog | None = None,
        keepConnection: bool = True,
        abortGrace: float = 5.0,
        maxStreamBuffer: int = 65536,
        spool: Spool | None = None,
    ) -> None:
        super().__init__(
            reactor, name, owner, deadlines, keepConnection, abortGrace, maxStreamBuffer, spool
        )
        self.stderrLog = (
            StderrLog(name, reactor, self.deadlines) if stderrLog is None else stderrLog
        )

    # Requests

    def open(
        self,
        params: Sequence[Pair] | bytes,
        body: IBody | None,
        receiver: IStreamReceiver,
        role: int = Role.RESPONDER,
        timeout: float = 60.0,
    ) -> IStream:
        """
        Send a request on this connection.

        :param params: the ``(name, value)`` pairs, or what ``encodePairs`` makes of them.
        :param body: an :class:`~twisted_fcgi.interfaces.IBody`, or ``None``.
        :param receiver: takes the response; may be called before this returns.
        :param role: a :class:`~twisted_fcgi.wire.Role`.
        :param timeout: seconds of silence that are borne.
        :raises LocalProtocolError: when the connection takes no request now.
        """
        stream = Stream(params, body, receiver, role, timeout)
        self.start(stream)
        return stream

    def start(self, stream: Stream) -> None:
        """Send a request that was waiting."""
        if len(self.streams) >= self.room:
            raise LocalProtocolError(f"{self!r} takes no request now")
        now = self._seconds()
        body = stream.body
        transport = self.transport
        self._limit = inf
        requestId, begin = self.wire.begin(
            stream.params,
            role=stream.role,
            keepConnection=self._keep,
            stdin=b"" if body is None else None,
        )
        self.streams[requestId] = stream
        self.requests += 1
        self._untaken = None
        if stream.limit is not inf:
            stream.limit = inf  # it waits for a connection no longer
            self.deadlines.forget(stream)
        stream.connection = self
        stream.requestId = requestId
        stream.markedAt = now
        stream.heardThen = self._heard
        stream.sentThen = getattr(transport, "sent", None)
        if self._held:
            self._readOn()
        if body is None:
            transport.write(begin)
        else:
            if self.uploads is None:
                self.uploads = Uploads(self)
            self.uploads.begin(stream, begin)
        self.deadlines.hasten(now + stream.timeout)

    def abort(self, stream: Stream) -> None:
        """Ask the application to end a stream whose response nobody wants."""
        if stream.uploading:
            stream.uploading = False
            self._uploadEnded(stream)
        stream.limit = self._seconds() + self.abortGrace
        self.deadlines.hasten(stream.limit)
        try:
            abort = self.wire.abort(stream.requestId)
        except LocalProtocolError:
            # Its end is among the events that are just being told.  As httpd has it, an
            # application whose answer is not wanted is not trusted with another request.
            self._unwanted = self.maxStreams == 1
            return
        if self.uploads is None:
            self.transport.write(abort)
        else:
            self.uploads.write([abort])
        self._readAgain()

    def expect(self, stream: Stream) -> None:
        """From now on it is the application's turn to do something for a stream."""
        stream.markedAt = now = self._seconds()
        self.deadlines.hasten(now + stream.timeout)

    def resumed(self, stream: Stream) -> None:
        """A stream delivers again."""
        self.expect(stream)
        self._readAgain()

    def getValues(self, names: Sequence[bytes]) -> Deferred[dict[bytes, bytes]]:
        """
        Ask what the application can do, with FCGI_GET_VALUES.

        :param names: such as ``FCGI_MAX_CONNS``, ``FCGI_MAX_REQS``, ``FCGI_MPXS_CONNS``.
        :returns: the values of the names that it knows; none at all when it does
            not know the question.
        :raises LocalProtocolError: while another question has no answer.
        """
        if self._asked is not None:
            raise LocalProtocolError(f"{self!r} was asked already")
        self.transport.write(self.wire.getValues(names))
        self._asked = Deferred()
        return self._asked

    # IProtocol

    def dataReceived(self, data: bytes) -> None:
        """A part of what the application says."""
        if self.closing:
            return
        self.heardAt = self._seconds()
        self._heard += 1
        if self._heard == 1 and self._owner is not None:
            self._owner.connectionHeard(self)
        response: Response | None = self.wire.response(data) if len(data) < _LARGE else None
        if response is None or response.stop < len(data):
            self._read(data, response)
            return
        # Most reads are this, one small response.
        stream: Stream | None = self._responded(response)
        self._settle()
        if stream is not None:
            stream.ended(response.end)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The transport is gone."""
        if self._keep and self.requests and not self.closing:
            self.deserted = all(s.heardThen == self._heard for s in self.streams.values())
        if self._owner is not None and not self.closing and not self.retired:
            self._owner.connectionClosing(self)
        self.closing = True
        self.room = 0
        self.wire.lost()
        self.deadlines.forget(self)
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.errback(reason)
        try:
            if self.streams:
                self._endAll(reason)
        finally:
            if self._owner is not None:
                self._owner.connectionEnded(self)
            if self._ownDeadlines:
                self.stderrLog.expired()
                self.deadlines.stop()

    # Inside

    def _read(self, data: bytes, response: Response | None) -> None:
        """Several things came; ``response`` is the first of them, if it is one."""
        over: list[tuple[Stream, EndRequest | RequestError]] = []
        wire = self.wire
        at: int = 0
        while response is not None:
            stream: Stream | None = self._responded(response)
            if stream is not None:
                over.append((stream, response.end))
            at = response.stop
            response = wire.response(data, at)
        expected = bool(self.streams)
        events: list[Any] = (
            wire.receive(data[at:]) if len(data) < _LARGE else wire.receiveLarge(data)
        )
        if len(events) > _USUAL:
            events = joined(events)
        # Whoever is told of a part may begin another request, which gets the id of one that
        # ends here.
        leaving: dict[int, Stream | None] = {}
        if self.maxStreams > 1:
            for event in events:
                if type(event) is EndRequest:
                    leaving[event.requestId] = self._popped(event.requestId)
        for event in events:
            kind = type(event)
            if kind is Stdout:
                stream = leaving.get(event.requestId) or self.streams.get(event.requestId)
                if stream is not None:
                    self._partReceived(stream, event.data)
            elif kind is EndRequest:
                stream = leaving.get(event.requestId) or self._popped(event.requestId)
                if stream is not None:
                    status = event.protocolStatus
                    over.append((stream, stream.refusal(event, self.name) if status else event))
            elif kind is StdoutEnded:
                stream = leaving.get(event.requestId) or self.streams.get(event.requestId)
                if stream is not None:
                    stream.stdoutEnded = True
            elif kind is Stderr:
                stream = leaving.get(event.requestId) or self.streams.get(event.requestId)
                if stream is not None:
                    stream.markedAt = self.heardAt
                    stream.stderrReceived(event.data)
            elif kind is not StderrEnded:
                expected = self._otherwise(event) or expected
        if over:
            # Whoever is told that a response is over may have the next request at hand.
            self._settle()
            for stream, last in over:
                stream.ended(last)
        elif not expected and not self.closing:
            self._heardWhileIdle()

    def _partReceived(self, stream: Stream, data: bytes) -> None:
        """A part of a response came."""
        stream.markedAt = self.heardAt
        if stream.stdoutReceived(data):
            self._isFull(stream)

    def _responded(self, response: Response) -> Stream | None:
        """A response came whole; returns whose it is, for its end."""
        stream: Stream | None = self.streams.get(response.requestId)
        if stream is not None:
            isShared: bool = self.maxStreams > 1
            if isShared:
                self._popped(response.requestId)  # first, as in _read()
            self._partReceived(stream, response.data)
            if not isShared:
                self._popped(response.requestId)
        return stream

    def _popped(self, requestId: int) -> Stream | None:
        """A request is over; returns its stream."""
        stream: Stream | None = self.streams.pop(requestId, None)
        if stream is not None and stream.uploading:
            self._uploadEnded(stream)
        return stream

    def _otherwise(self, event: Event) -> bool:
        """An event that is rare; returns whether it was to be expected."""
        if isinstance(event, Violation):
            self._complain(event.error.reason)
            self._fail(event.error)
            return True
        if isinstance(event, (Values, UnknownType)) and self._asked is not None:
            asked, self._asked = self._asked, None
            asked.callback(event.values if isinstance(event, Values) else {})
            return True
        self._complain(f"sent a record that means nothing here: {event}")
        return False

    def _heardWhileIdle(self) -> None:
        """Bytes came, and there is no request that they could be for."""
        if self._settling:
            self._settle()
        elif self._asked is None:
            self._complain("sent bytes while there was no request")
            self.close()
