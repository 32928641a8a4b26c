"""
A connection as somebody's property: in use, idle, retired, closing, gone.

What is said on it is :mod:`~twisted_fcgi.backend.protocol`'s.
"""

from __future__ import annotations

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
from twisted_fcgi.errors import ClientTooSlow
from twisted_fcgi.wire import ClientConnection

__all__ = ["ConnectionOwner", "OwnedConnection", "ending"]

#: Bytes that a connection of nobody's holds in files.
MAX_SPOOL = 268435456


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
