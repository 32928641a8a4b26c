"""
One FastCGI server: its connections, its queue, and what becomes of a request.

:class:`Member` does what :class:`~twisted_fcgi.backend.pool.Pool` decides.  An
idle connection is used before :meth:`Member.open` returns.  Three clocks run
one after the other and are told apart in what is logged: ``acquire`` (a place),
``connectionTimeout`` (a connection), ``timeout`` (an answer).

- A kept connection that is found dead before it gave a byte says nothing about
  the application, which has just been restarted, or reached its
  ``pm.max_requests``.  The request is sent once more, on a new connection, when
  that does no harm: nothing of it was sent, or its method is idempotent (RFC
  9110, 9.2.2); and its body, if any, can be had again.
- Some applications end kept connections soon after an answer, as children of
  php-fpm do that reached their ``pm.max_requests``.  Once a member was seen to,
  a request that can't be sent twice takes only connections that have been idle
  for :data:`SETTLED` seconds, or a new one.
- Before a connection is used again its socket is looked at, as httpd does: what
  has come meanwhile, its end or bytes that belong to nobody, closes it.  Bytes
  that come even later can't be told from the next answer; no server of FastCGI
  can do that as long as all requests have the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from socket import MSG_PEEK, socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from twisted_fcgi.backend.attempt import Attempt
from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.endpoints import memberEndpoint
from twisted_fcgi.backend.pool import Decision, Pool
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.backend.stderr import StderrLog
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.errors import AcquireTimedOut, ConnectFailed, ConnectionDied, RequestError
from twisted_fcgi.interfaces import IBody, IMember, IStream, IStreamReceiver
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.wire import Pair

__all__ = ["DEFAULT_TIMEOUT", "IDEMPOTENT", "Member"]

#: When nobody says how long: httpd's Timeout.
DEFAULT_TIMEOUT = 60.0

#: Methods whose requests may be sent twice (RFC 9110, 9.2.2).
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

#: Seconds after an answer in which an application that ends connections does so.
SETTLED = 0.1

#: Seconds for which a member that did so is expected to do it again.
CAUTION = 3600.0


@implementer(IMember)
class Member:
    """
    See :class:`twisted_fcgi.interfaces.IMember`.

    :ivar settings: how it is used.
    :ivar address: where it listens, for logs.
    :ivar endpoint: connects to it.
    :ivar factory: makes its connections.
    """

    def __init__(
        self,
        settings: MemberSettings,
        reactor: Any,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self.settings = settings
        self.reactor = reactor
        self.address = settings.address
        self.endpoint = memberEndpoint(settings, reactor) if endpoint is None else endpoint
        self._deadlines = Deadlines(reactor)
        self._stderrLog = StderrLog(self.address, reactor, self._deadlines)
        self.factory = Factory.forProtocol(
            partial(
                FastCGIClientProtocol,
                reactor,
                name=self.address,
                owner=self,
                deadlines=self._deadlines,
                stderrLog=self._stderrLog,
                keepConnection=settings.reuse,
                abortGrace=settings.abortGrace,
                maxStreamBuffer=settings.maxStreamBuffer,
            )
        )
        self.factory.noisy = False
        self._pool: Pool[FastCGIClientProtocol, Stream] = Pool(
            reuse=settings.reuse,
            max=settings.max,
            maxIdle=settings.max if settings.ttl or settings.smax is None else settings.smax,
            maxQueue=settings.maxQueue,
        )
        self._timeout = settings.timeout
        self._cautiousUntil = 0.0
        self._attempts: dict[Attempt, None] = {}
        self._stopped: list[Deferred[None]] = []
        self._figures = dict.fromkeys(("requests", "connects", "failures", "retries", "refused"), 0)

    def __repr__(self) -> str:
        figures = self.describe()
        return (
            f"<Member {self.address}: {figures['busy']} busy, {figures['idle']} idle, "
            f"{figures['connecting']} connecting, {figures['waiting']} waiting"
            f"{', stopping' if self._pool.closed else ''}>"
        )

    def describe(self) -> dict[str, int]:
        """Figures for a status page: connections by state, and what was counted so far."""
        pool = self._pool
        return {
            "busy": pool.open - len(pool.idle),
            "idle": len(pool.idle),
            "connecting": pool.connecting,
            "waiting": max(0, len(pool.waiting) - pool.connecting),
            **self._figures,
        }

    def open(
        self,
        params: Sequence[Pair] | bytes,
        body: IBody | None,
        receiver: IStreamReceiver,
        role: int = 1,
        timeout: float | None = None,
    ) -> IStream:
        """See :meth:`twisted_fcgi.interfaces.IMember.open`."""
        timeout = self._timeout or timeout or DEFAULT_TIMEOUT
        stream = Stream(params, body, receiver, role, timeout, self)
        self._figures["requests"] += 1
        if self._pool.closed:
            stream.ended(ConnectFailed(f"{self.address} is not used any more"))
            return stream
        cautious = self._cautiousUntil and not _mayBeSentTwice(stream)
        isSettled = self._isSettled if cautious else None
        chosen = self._pool.assign(stream, isSettled)
        while isinstance(chosen, FastCGIClientProtocol):
            if _isQuiet(chosen):
                self._give(chosen, stream)
                return stream
            chosen.close()
            chosen = self._pool.assign(stream, isSettled)
        if chosen is Decision.CONNECT:
            self._connect(timeout)
        elif chosen is Decision.REPLACE:
            next(iter(self._pool.idle)).close()
            self._limitWaiting(stream)
        elif chosen is Decision.REFUSE:
            self._figures["refused"] += 1
            stream.ended(
                AcquireTimedOut(
                    f"{self.address}: {self.settings.maxQueue} requests (maxqueue) already wait"
                )
            )
        else:
            self._limitWaiting(stream)
        return stream

    def stop(self) -> Deferred[None]:
        """
        Use it no more: idle connections are closed, requests go on to their end.

        :returns: fires when its last connection is gone.
        """
        self._pool.closed = True
        for connection in list(self._pool.idle):
            connection.close()
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        self._rested()
        return stopped

    # What attempts say

    def connected(self, attempt: Attempt, connection: FastCGIClientProtocol) -> None:
        """An attempt gave a connection."""
        self._forget(attempt)
        stream = self._pool.connected()
        if stream is None:
            self.connectionFreed(connection)
        else:
            self._give(connection, stream)

    def attemptEnded(self, attempt: Attempt, error: RequestError | None) -> None:
        """
        An attempt gave no connection.

        :param error: why, or ``None`` when it was not needed any more.
        """
        self._forget(attempt)
        if error is None:
            self._pool.connecting -= 1
            self._rested()
            return
        self._figures["failures"] += 1
        stream, decision = self._pool.connectFailed()
        self._perform(decision)
        if stream is not None:
            self._deadlines.forget(stream)
            stream.ended(error)
        self._rested()

    # ConnectionOwner

    def connectionFreed(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.protocol.ConnectionOwner.connectionFreed`."""
        if self._pool.waiting and not _isQuiet(connection):
            connection.close()
            return
        freed = self._pool.freed(connection)
        if freed is True:
            if self.settings.ttl:
                connection.idleUntil(self.reactor.seconds() + self.settings.ttl)
        elif freed is False:
            connection.close()
        else:
            self._give(connection, freed)

    def connectionClosing(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.protocol.ConnectionOwner.connectionClosing`."""
        self._pool.idle.pop(connection, None)

    def connectionEnded(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.protocol.ConnectionOwner.connectionEnded`."""
        now = self.reactor.seconds()
        if connection.deserted and now - connection.heardAt < SETTLED:
            self._cautiousUntil = now + CAUTION
        self._perform(self._pool.lost(connection))
        self._rested()

    # StreamOwner

    def withdrawn(self, stream: Stream) -> None:
        """See :meth:`twisted_fcgi.backend.stream.StreamOwner.withdrawn`."""
        self._deadlines.forget(stream)
        if self._pool.withdraw(stream):
            next(reversed(self._attempts)).cancel()

    def waitedTooLong(self, stream: Stream) -> None:
        """See :meth:`twisted_fcgi.backend.stream.StreamOwner.waitedTooLong`."""
        if not self._pool.queued(stream):
            stream.limit = inf  # it has a place; what it waits for is a connect
            return
        self._pool.withdraw(stream)
        self._figures["refused"] += 1
        stream.ended(
            AcquireTimedOut(
                f"{self.address}: no free connection within {self.settings.acquire:g} s (acquire)"
            )
        )

    def takesOver(self, stream: Stream, error: RequestError) -> bool:
        """See :meth:`twisted_fcgi.backend.stream.StreamOwner.takesOver`."""
        if not (isinstance(error, ConnectionDied) and error.untouched):
            return False
        replayable = stream.body is None or stream.body.replayable
        if not (_mayBeSentTwice(stream) or (error.retryable and replayable)):
            return False
        self._figures["retries"] += 1
        self._perform(self._pool.again(stream), stream.timeout)
        self._limitWaiting(stream)
        return True

    # Inside

    def _isSettled(self, connection: FastCGIClientProtocol) -> bool:
        now = self.reactor.seconds()
        return now - connection.heardAt >= SETTLED or now >= self._cautiousUntil

    def _limitWaiting(self, stream: Stream) -> None:
        if self.settings.acquire is not None:
            stream.limit = self.reactor.seconds() + self.settings.acquire
            self._deadlines.watch(stream, stream.limit)

    def _give(self, connection: FastCGIClientProtocol, stream: Stream) -> None:
        try:
            connection.start(stream)
        except RequestError as error:
            connection.close()
            stream.ended(error)

    def _connect(self, timeout: float) -> None:
        settings = self.settings
        seconds = settings.connectTimeout or timeout
        attempt = Attempt(self, seconds)
        self._attempts[attempt] = None
        self._figures["connects"] += 1
        self._deadlines.watch(attempt, attempt.dueAt())
        attempt.begin()

    def _perform(self, decision: Decision, timeout: float | None = None) -> None:
        if decision is Decision.CONNECT:
            self._connect(timeout or self._timeout or DEFAULT_TIMEOUT)

    def _forget(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt, None)
        self._deadlines.forget(attempt)

    def _rested(self) -> None:
        """After something ended: whether that was the last of it."""
        pool = self._pool
        if self._stopped and not (pool.open or pool.connecting or pool.waiting):
            self._stderrLog.expired()
            self._deadlines.stop()
            stopped, self._stopped = self._stopped, []
            for deferred in stopped:
                deferred.callback(None)


def _mayBeSentTwice(stream: Stream) -> bool:
    """Whether a second time does no harm (RFC 9110, 9.2.2) and the body can be had again."""
    if stream.body is not None and not stream.body.replayable:
        return False
    return any(n == b"REQUEST_METHOD" and value in IDEMPOTENT for n, value in stream.pairs)


def _isQuiet(connection: FastCGIClientProtocol) -> bool:
    """Whether nothing has come on a connection without a request, such as its end."""
    unread = getattr(connection.transport, "unread", None)
    if unread is not None:
        return not unread()
    getHandle = getattr(connection.transport, "getHandle", None)
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
