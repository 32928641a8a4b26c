"""
Whether an application that closed a request's connection is about to end.

It may be that the request ended the process that served it; then nobody should send it
again.  Or the whole application ends, to be restarted; then it is the same for all
requests, and those may be sent again to whoever comes next.  A new connection tells: an
application that ends refuses it, or takes it and closes it soon; another one leaves it
open.  So does one that was restarted before we looked.  That is seen when the socket that
listens is another one (:func:`listenerOf`), or when several requests were lost at once,
which one request does not do.  A single request that is lost to an application of another
machine or container that is back already is taken for the one that ended its process.

Time in which this process does not run says nothing about the other: see :data:`LOOKS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from errno import ECONNREFUSED, ECONNRESET, ENOENT
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from twisted_fcgi.settings import MemberSettings

__all__ = ["GONE", "LOOKS", "WATCHED", "Departure", "listenerOf"]

#: Errors of a connect to an application that is not there.
GONE = (ECONNREFUSED, ECONNRESET, ENOENT)

#: Seconds after which a connection that is still open means that nobody leaves.  php-fpm's
#: processes end within some milliseconds of each other, on a busy machine in many more.
WATCHED = 0.5

#: In how many steps they are counted.  However long this process is stopped, one step ends
#: meanwhile, and what has happened is heard of before the next one does.
LOOKS = 10

#: Linux's tables of TCP sockets; in each, those that listen come first.
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def listenerOf(settings: MemberSettings) -> object:
    """
    Who listens at a member's address, told from who does later.

    :returns: what is equal for the same socket; ``None`` if that can't be known here.
    """
    path, host = settings.socket, settings.host
    if path is not None:
        with suppress(OSError):
            status = os.stat(path)
            return status.st_ino, status.st_ctime_ns
    elif host in ("localhost", "::1") or host.startswith("127."):
        # At another address of ours the same port may be another's; that is rare and harmless.
        return [inode for table in _TABLES for inode in _listening(table, settings.port)]
    return None


def _listening(table: str, port: int) -> Iterator[str]:
    """The inodes of the sockets that listen at a port."""
    with suppress(OSError), open(table, encoding="ascii") as rows:
        next(rows)
        for row in rows:
            _, local, _, state, _, _, _, _, _, inode, *_ = row.split()
            if state != "0A":
                return
            if local.endswith(f":{port:04X}"):
                yield inode


class Departure:
    """
    Watches an application; one watch serves all who ask meanwhile.

    :param endpoint: connects to it.
    :param listener: see :func:`listenerOf`.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        reactor: Any,
        listener: Callable[[], object] = lambda: None,
    ) -> None:
        self._endpoint = endpoint
        self._reactor = reactor
        self._listenerNow = listener
        self._listener: object = None
        self._looks = 0
        self._hasLeft = False
        self._askers: list[Callable[[bool], None]] = []
        self._watch: _Watch | None = None
        self._connecting: Deferred[Any] = Deferred()
        self._call: IDelayedCall | None = None

    def met(self) -> None:
        """It is there, maybe for the first time: its next one will be another."""
        self._listener = self._listenerNow()

    def ask(self, told: Callable[[bool], None]) -> None:
        """
        Find out.

        :param told: called later, with whether it leaves.
        """
        self._askers.append(told)
        if self._call is None:
            self._looks = LOOKS
            self._hasLeft = False
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
        if self._hasLeft or not self._looks:
            self._end(self._hasLeft or len(self._askers) > 1)
        else:
            # Told the next time: until then all whom it took with it have asked.
            self._hasLeft = self._isAnother()
            self._call = self._reactor.callLater(WATCHED / LOOKS, self._look)

    def _isAnother(self) -> bool:
        """Whether somebody else listens than when it was met; who is met by that."""
        known, self._listener = self._listener, self._listenerNow()
        return self._listener != known

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
