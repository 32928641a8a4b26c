"""
A connection as somebody's property: in use, idle, retired, closing, gone.

What becomes of it, and with it of the requests on it, is here; what is said on it is
:mod:`~twisted_fcgi.backend.protocol`'s.

- Each stream is silent for itself.  One of several that is silent for too long is
  aborted, and the others go on; but the connection takes no further request when
  nothing at all came on it, or when the application does not end what was aborted.
- When the connection fails, those streams of which nothing came may be tried again,
  each by its own rules.
"""

from __future__ import annotations

from copy import copy
from math import inf
from socket import MSG_PEEK, socket
from typing import Any
from typing import Protocol as TypingProtocol

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.backend.unread import Spool
from twisted_fcgi.backend.uploads import Uploads
from twisted_fcgi.errors import (
    ClientTooSlow,
    ConnectionDied,
    PeerRefused,
    RemoteProtocolError,
    RequestError,
    ResponseTimedOut,
)
from twisted_fcgi.wire import ClientConnection, EndRequest

__all__ = ["LAST_LOOK", "ConnectionOwner", "OwnedConnection", "ending"]

#: Bytes that a connection of nobody's holds in files.
MAX_SPOOL = 268435456

#: Seconds in which an application that seems silent has to take some of what was sent.
LAST_LOOK = 1.0

#: What says of the connection, rather than of a stream, that it is of no use.
_BROKEN = (ConnectionDied, RemoteProtocolError)

_NOT_ENDED = "{} did not end a request that was aborted"


def ending(reason: Failure) -> str:
    """What an application did when its connection ended, in the words of a log."""
    if isinstance(reason.value, ConnectionDone):
        return "closed the connection"
    if isinstance(reason.value, ConnectionLost):
        return "broke off the connection"
    return f"lost the connection ({reason.getErrorMessage()})"


class ConnectionOwner(TypingProtocol):
    """Who keeps connections; each is told of at most once as heard, closing and ended."""

    def connectionHeard(self, connection: Any) -> None:
        """It gave its first byte."""

    def connectionFreed(self, connection: Any) -> None:
        """It can take a request; or be closed with :meth:`OwnedConnection.close`."""

    def connectionClosing(self, connection: Any) -> None:
        """It takes no request any more."""

    def connectionEnded(self, connection: Any) -> None:
        """It is gone."""


class OwnedConnection(Protocol):
    """
    The life of a connection.

    :ivar streams: the streams that were begun and have not ended, by request id.
    :ivar maxStreams: how many there may be at a time.
    :ivar room: how many it takes at a time; none any more once it is retired.
    :ivar requests: how many were begun.
    :ivar uploads: the bodies of its streams; ``None`` as long as there was none.
    :ivar wire: the FastCGI on it.
    :ivar retired: whether it takes no request any more, but those that it has go on.
    :ivar closing: whether it is to end.
    :ivar heardAt: when the last byte came.
    """

    log = Logger(namespace="twisted_fcgi.backend")
    transport: Any

    # What few connections change: with more than 30 attributes of its own, each of an
    # object's would be slower to read.
    uploads: Uploads | None = None
    _oddities = 0

    def __init__(
        self,
        reactor: IReactorTime,
        name: str,
        owner: ConnectionOwner | None,
        deadlines: Deadlines | None,
        keepConnection: bool,
        abortGrace: float,
        maxStreamBuffer: int,
        spool: Spool | None,
    ) -> None:
        self.name = name
        self.abortGrace = abortGrace
        self.maxStreamBuffer = maxStreamBuffer
        self.streams: dict[int, Stream] = {}
        self.maxStreams = self.room = 1
        self.requests = 0
        self.wire = ClientConnection()
        self.retired = False
        self.closing = False
        self.deadlines: Deadlines = Deadlines(reactor) if deadlines is None else deadlines
        self._ownDeadlines = deadlines is None
        self._owner = owner
        self._seconds = reactor.seconds
        self._limit = inf
        self._spool = Spool(MAX_SPOOL) if spool is None else spool
        self._held = False
        self._settling = False
        self._keep = keepConnection
        self._heard = 0
        self._unwanted = False
        self.heardAt = 0.0
        self._untaken: tuple[int, int] | None = None

    def __repr__(self) -> str:
        if self.closing:
            state = "closing"
        elif self.retired:
            state = "retired"
        elif self.streams:
            state = "busy"
        else:
            state = "idle"
        return f"<connection to {self.name}: {state}, {self.requests} requests>"

    @property
    def reused(self) -> bool:
        """Whether its last request was not the first."""
        return self.requests > 1

    @property
    def takesMuch(self) -> bool:
        """Whether nothing that comes now has to be held, for a client that does not take it."""
        return not any(stream.paused for stream in self.streams.values())

    def connectionMade(self) -> None:
        """From now on it is looked after, and so are the streams on it."""
        self._unread = getattr(self.transport, "unread", None)
        self.deadlines.watch(self, self._limit)

    def multiplex(self, most: int) -> None:
        """Take so many requests at a time from now on."""
        self.maxStreams = self.wire.maxStreams = most
        if self.room:
            self.room = most

    def isQuiet(self) -> bool:
        """Whether nothing has come, such as its end, while there is no request."""
        unread = self._unread
        if unread is not None:
            return not unread()
        getHandle = getattr(self.transport, "getHandle", None)
        handle = None if getHandle is None else getHandle()
        if not isinstance(handle, socket):
            return True  # TLS can't be peeked at
        try:
            handle.recv(1, MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def idleUntil(self, moment: float) -> None:
        """Close it then, unless it is given a request before."""
        self._limit = moment
        self.deadlines.watch(self, moment)

    def retire(self) -> None:
        """Take no request any more, and close when those that it has are over."""
        if not self.retired and not self.closing:
            self.retired = True
            self.room = 0
            if self._owner is not None:
                self._owner.connectionClosing(self)
            if not self.streams:
                self.close()

    def close(self) -> None:
        """Take no request any more, and end the connection once what was written has left."""
        if not self.closing:
            self.closing = True
            self.room = 0
            if self.uploads is not None:
                self.uploads.close()
            self.idleUntil(self._seconds() + self.abortGrace)
            if self._owner is not None and not self.retired:
                self._owner.connectionClosing(self)
            self.transport.loseConnection()

    def dueAt(self) -> float:
        """When its being idle, its closing or the waiting of a stream has lasted too long."""
        due = self._limit
        for stream in self.streams.values():
            due = min(due, stream.dueAt())
        return due

    def expired(self) -> None:
        """It has."""
        self.deadlines.watch(self, inf)
        now = self._seconds()
        for stream in list(self.streams.values()):
            if stream.dueAt() <= now:
                self.deadlines.end(stream)
        if self._limit > now:
            return
        self._limit = inf
        if self.closing:
            self.transport.abortConnection()
        else:
            if self._settling:
                self._complain("sent bytes behind the end of a response")
            self.close()

    def silent(self, stream: Stream) -> None:
        """The application said nothing for a stream until the moment that it had."""
        shared = any(not s.aborted for s in self.streams.values() if s is not stream)
        if stream.aborted:
            stream.limit = inf
            if shared:
                self.retire()
            else:
                self._fail(ConnectionDied(_NOT_ENDED.format(self.name)))
            return
        look = getattr(self.transport, "untaken", None)
        untaken = None if look is None else look()
        if untaken is not None and untaken != self._untaken:
            # It may read slowly: the first look is only there for the second to compare.
            wait = LAST_LOOK if self._untaken is None else stream.timeout
            stream.markedAt = self._seconds() - stream.timeout + wait
            self._untaken = untaken
            return
        error = ResponseTimedOut(f"{self.name} was silent for {stream.timeout:g} s")
        if not shared:
            self._fail(error)
            return
        if self.heardAt <= stream.markedAt:
            self.retire()  # nor did it say anything for the others
        stream.cancel(error)

    def _settle(self) -> None:
        """A request is over: make the connection free, or close it."""
        if self._held:
            self._readAgain()
        if self.closing:
            return
        if self.streams or self.retired:
            self._settleOthers()
        elif self.wire.isReusable() and not self._unwanted:
            self._settling = False
            if self._owner is not None:
                self._limit = inf
                self._owner.connectionFreed(self)
        elif self._keep and self.wire.pending:
            # The padding of END_REQUEST is still to come, or else something is wrong.
            self._settling = True
            self.idleUntil(self._seconds() + self.abortGrace)
        else:
            self.close()

    def _settleOthers(self) -> None:
        """A request is over, and it was not the only one, or the last."""
        if self.retired:
            if not self.streams:
                self.close()
            elif all(stream.aborted for stream in self.streams.values()):
                self._fail(ConnectionDied(_NOT_ENDED.format(self.name)))
        elif self._owner is not None and len(self.streams) < self.room:
            self._owner.connectionFreed(self)

    def _fail(self, error: RequestError) -> None:
        """Close, and end all streams."""
        self.close()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            own = error
            if self.reused and stream.untouched and isinstance(error, _BROKEN):
                # It may be another's fault: of one beside it, or of the one before it.
                own = copy(error)
                own.untouched = True
            self._finish(stream, own)

    def _finish(self, stream: Stream, error: RequestError) -> None:
        """End a stream without its END_REQUEST."""
        if stream.uploading:
            self._uploadEnded(stream)
        # A response whose end was said is whole; httpd takes it, too.
        stream.ended(EndRequest(stream.requestId, 0, 0) if stream.stdoutEnded else error)

    def _endAll(self, reason: Failure) -> None:
        """The transport is gone, and with it whatever was asked for."""
        text = f"{self.name} {ending(reason)} before it ended the request"
        sent = getattr(self.transport, "sent", None)
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            untouched = self._keep and (
                stream.untouched if self.maxStreams > 1 else stream.heardThen == self._heard
            )
            unsent = sent is not None and stream.sentThen == sent
            if isinstance(reason.value, PeerRefused) and not self._heard:
                self._finish(stream, reason.value)  # it judges us only after the handshake
                continue
            error = ConnectionDied(text, untouched=untouched, retryable=unsent)
            error.unaccepted = not self._heard and not reason.check(ConnectionDone)
            self._finish(stream, error)

    def _uploadEnded(self, stream: Stream) -> None:
        assert self.uploads is not None
        self.uploads.ended(stream)

    def _isFull(self, stream: Stream) -> None:
        """A stream holds as much as it may in memory, or more."""
        unread = stream.unread
        assert unread is not None
        if unread.broken:
            stream.cancel(ClientTooSlow(unread.broken))
        elif len(self.streams) == 1:
            if not self._held:
                self._held = True
                self.transport.pauseProducing()
        else:
            unread.spool = self._spool

    def _readAgain(self) -> None:
        """Read on, unless a stream holds as much as it may."""
        if self._held and all(s.holdsLess(self.maxStreamBuffer) for s in self.streams.values()):
            self._readOn()

    def _readOn(self) -> None:
        self._held = False
        if not self.closing:
            self.transport.resumeProducing()

    def _complain(self, what: str) -> None:
        """Log what the application did; once for a connection, whatever it goes on with."""
        self._oddities += 1
        if self._oddities == 1:
            self.log.warn("{member} {what}", member=self.name, what=what)
