"""
One attempt to connect to a member.

A full backlog of a UNIX socket (EAGAIN) is no failure: the connect is repeated
after short pauses, for as long as the attempt may take.  So is one that is refused
by an application that is restarting, for as long as its owner is patient.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.python.failure import Failure

from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.errors import ConnectFailed, RequestError
from twisted_fcgi.settings import MemberSettings

__all__ = ["FIRST_PAUSE", "LONGEST_PAUSE", "Attempt", "AttemptOwner"]

#: Seconds between two attempts that are repeated: the first, the longest.
FIRST_PAUSE = 0.002
LONGEST_PAUSE = 0.1


class AttemptOwner(Protocol):
    """Who wants a connection."""

    reactor: Any
    settings: MemberSettings
    endpoint: IStreamClientEndpoint
    factory: Any

    def isPatient(self, code: int | None) -> bool:
        """
        Whether a connect that failed is to be repeated.

        :param code: the system's number of the failure, if it has one.
        """

    def connected(self, attempt: Attempt, connection: FastCGIClientProtocol) -> None:
        """Here it is."""

    def attemptEnded(self, attempt: Attempt, error: RequestError | None) -> None:
        """
        There is none.

        :param error: why, or ``None`` when the attempt was cancelled.
        """


class Attempt:
    """
    A connection that is coming about.

    :param owner: gets it.
    :param seconds: that this may take; the owner's deadlines look after it.
    """

    __slots__ = ("_call", "_deferred", "_limit", "_owner", "_pause", "_seconds")

    def __init__(self, owner: AttemptOwner, seconds: float) -> None:
        self._owner = owner
        self._seconds = seconds
        self._limit = owner.reactor.seconds() + seconds
        self._pause = FIRST_PAUSE
        self._call: IDelayedCall | None = None
        self._deferred: Deferred[Any] | None = None

    def beginAfter(self, pause: float) -> None:
        """Connect after so many seconds."""
        self._call = self._owner.reactor.callLater(pause, self.begin)

    def begin(self) -> None:
        """Connect."""
        self._call = None
        owner = self._owner
        self.wait(owner.endpoint.connect(owner.factory))

    def wait(self, connecting: Deferred[Any]) -> None:
        """Go on with what an endpoint has begun."""
        self._deferred = connecting
        connecting.addCallbacks(self._connected, self._failed)

    def cancel(self, error: RequestError | None = None) -> None:
        """Nobody needs it any more, or it took too long."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        deferred, self._deferred = self._deferred, None
        self._owner.attemptEnded(self, error)
        if deferred is not None:
            deferred.cancel()

    def dueAt(self) -> float:
        """When it has taken too long."""
        return self._limit

    def expired(self) -> None:
        """It has."""
        address = self._owner.settings.address
        self.cancel(ConnectFailed(f"no connection to {address} within {self._seconds:g} s"))

    def _connected(self, connection: FastCGIClientProtocol) -> None:
        if self._deferred is None:  # an endpoint that can't be cancelled
            connection.transport.abortConnection()
        else:
            self._deferred = None
            self._owner.connected(self, connection)

    def _failed(self, failure: Failure) -> None:
        if self._deferred is None:
            return
        self._deferred = None
        owner = self._owner
        error: Any = failure.value
        code = getattr(error, "osError", None)
        if _backlogIsFull(error, owner.settings) or owner.isPatient(code):
            pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
            self.beginAfter(pause)
            return
        if isinstance(error, RequestError):
            owner.attemptEnded(self, error)
            return
        # A name that is not known is a 500 of httpd's: no server is down.
        status = 500 if isinstance(error, DNSLookupError) else None
        reason = f"no connection to {owner.settings.address}: {_reasonOf(error)}"
        owner.attemptEnded(self, ConnectFailed(reason, status))


def _backlogIsFull(error: BaseException, settings: MemberSettings) -> bool:
    """Whether a connect met EAGAIN, which only a UNIX socket with a full backlog has."""
    if settings.socket is None or not isinstance(error, ConnectError):
        return False
    # Twisted takes EAGAIN for a connect that goes on, and then finds no connection.
    return error.osError in (None, errno.EAGAIN) and type(error) is ConnectError


def _reasonOf(error: BaseException) -> str:
    code = getattr(error, "osError", None)
    if isinstance(code, int):
        return f"{os.strerror(code)} ({errno.errorcode.get(code, code)})"
    return str(error) or type(error).__name__
