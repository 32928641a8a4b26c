"""
Whether an application that closed a request's connection is about to end.

It may be that the request ended the process that served it; then nobody should send it
again.  Or the whole application ends, to be restarted; then it is the same for all
requests, and those may be sent again to whoever comes next.  A new connection tells: an
application that ends refuses it, or takes it and closes it soon; another one leaves it
open.  So does one that was restarted before we looked.  That is seen when its UNIX socket
is another one, or when several requests were lost at once, which one request does not do.
A single request that is lost over TCP to an application that is back already is taken for
the one that ended its process.

Time in which this process does not run says nothing about the other: see :data:`LOOKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from errno import ECONNREFUSED, ECONNRESET, ENOENT
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

__all__ = ["GONE", "LOOKS", "WATCHED", "Departure"]

#: Errors of a connect to an application that is not there.
GONE = (ECONNREFUSED, ECONNRESET, ENOENT)

#: Seconds after which a connection that is still open means that nobody leaves.  php-fpm's
#: processes end within some milliseconds of each other, on a busy machine in many more.
WATCHED = 0.5

#: In how many steps they are counted.  However long this process is stopped, one step ends
#: meanwhile, and what has happened is heard of before the next one does.
LOOKS = 10


class Departure:
    """
    Watches an application; one watch serves all who ask meanwhile.

    :param endpoint: connects to it.
    :param path: its UNIX socket, if it has one.
    """

    def __init__(
        self, endpoint: IStreamClientEndpoint, reactor: Any, path: str | None = None
    ) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._path = path
        self._socket: tuple[int, int] | None = None
        self._looks = 0
        self._askers: list[Callable[[bool], None]] = []
        self._watch: _Watch | None = None
        self._connecting: Deferred[Any] = Deferred()
        self._call: IDelayedCall | None = None

    def met(self) -> None:
        """It is there, maybe for the first time: its next one will be another."""
        self._socket = self._socketNow()

    def ask(self, told: Callable[[bool], None]) -> None:
        """
        Find out.

        :param told: called with whether it leaves; at once, if it has left.
        """
        self._askers.append(told)
        if self._isAnother():
            self._end(True)
        elif self._call is None:
            self._looks = LOOKS
            self._call = self._reactor.callLater(WATCHED / LOOKS, self._look)
            watch = self._watch = _Watch(partial(self._end, True))
            factory = Factory.forProtocol(lambda: watch)
            factory.noisy = False
            self._connecting = self._endpoint.connect(factory)
            self._connecting.addErrback(self._failed)

    def stop(self) -> None:
        """It is of no interest any more."""
        self._end(False)

    def _failed(self, failure: Failure) -> None:
        if getattr(failure.value, "osError", None) in GONE:
            self._end(True)

    def _look(self) -> None:
        self._looks -= 1
        if self._looks:
            self._call = self._reactor.callLater(WATCHED / LOOKS, self._look)
        else:
            self._end(len(self._askers) > 1 or self._isAnother())

    def _isAnother(self) -> bool:
        """Whether somebody else listens than when it was met; who is met by that."""
        known, self._socket = self._socket, self._socketNow()
        return self._socket != known

    def _socketNow(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_ctime_ns

    def _end(self, leaves: bool) -> None:
        call, self._call = self._call, None
        watch, self._watch = self._watch, None
        if call is not None and call.active():
            call.cancel()
        if watch is not None:
            watch.stop()
            self._connecting.cancel()
        askers, self._askers = self._askers, []
        for told in askers:
            told(leaves)


class _Watch(Protocol):
    """
    Tells that its connection was closed.

    :param closed: called then, unless it was stopped.
    """

    def __init__(self, closed: Callable[[], None]) -> None:
        self._closed: Callable[[], None] | None = closed

    def connectionMade(self) -> None:
        if self._closed is None:
            self.stop()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()

    def stop(self) -> None:
        self._closed = None
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()
