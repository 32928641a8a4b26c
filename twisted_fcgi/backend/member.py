"""
One FastCGI server: its connections, its queue, and what becomes of a request.

:class:`Member` does what :class:`~twisted_fcgi.backend.pool.Pool` decides.  An
idle connection is used before :meth:`Member.open` returns.  Three clocks run
one after the other and are told apart in what is logged: ``acquire`` (a place),
``connectionTimeout`` (a connection), ``timeout`` (an answer).

- A request whose connection fails before it gave a byte may be sent again:
  :mod:`~twisted_fcgi.backend.retries` decides that.
- An application that took connections until now and refuses them is restarting:
  connects are repeated, for ``patience`` seconds at most since the first one that it
  refused.  After that, and before its first connection, each failure counts.
- Some applications end kept connections soon after an answer, as children of
  php-fpm do that reached their ``pm.max_requests``.  Once a member was seen to,
  a request that can't be sent twice takes only connections that have been idle
  for :data:`SETTLED` seconds, or a new one.
- Before a connection is used again its socket is looked at, as httpd does: what
  has come meanwhile, its end or bytes that belong to nobody, closes it.  Bytes that
  come even later are told from the next answer when the last one may not have been
  over: see :class:`~twisted_fcgi.wire.ClientConnection`.  To give each request an id
  of its own would tell them always, but everybody sends id 1 to applications that
  do not multiplex, and some know no other.
- With ``multiplex``, requests may share a connection:
  :mod:`~twisted_fcgi.backend.sharing` finds out how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, inf
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from twisted_fcgi.backend.attempt import Attempt
from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.departure import GONE, Departure, listenerOf
from twisted_fcgi.backend.endpoints import memberEndpoint
from twisted_fcgi.backend.pool import MAX_IDLE_IN_ALL, Decision, Pool
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.backend.retries import (
    IDEMPOTENT,
    mayBeSentTwice,
    pauseBeforeNext,
    wasRefused,
)
from twisted_fcgi.backend.sharing import MAX_SHARED, Sharing
from twisted_fcgi.backend.stderr import StderrLog
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.backend.unread import Spool
from twisted_fcgi.errors import AcquireTimedOut, ConnectFailed, RequestError
from twisted_fcgi.interfaces import IBody, IMember, IStream, IStreamReceiver
from twisted_fcgi.settings import MemberSettings, Multiplex
from twisted_fcgi.wire import Pair

__all__ = ["DEFAULT_TIMEOUT", "IDEMPOTENT", "Member"]

#: When nobody says how long: httpd's Timeout.
DEFAULT_TIMEOUT = 60.0

#: Seconds after an answer in which an application that ends connections does so.
SETTLED = 0.1

#: Seconds for which a member that did so is expected to do it again.
CAUTION = 3600.0

#: For each reactor, the idle connections of all of its members.
_idle: WeakKeyDictionary[Any, dict[FastCGIClientProtocol, None]] = WeakKeyDictionary()


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
        self._reach = getattr(self.endpoint, "reach", self.endpoint.connect)
        self._deadlines = Deadlines(reactor)
        self._departure = Departure(self.endpoint, reactor, partial(listenerOf, settings))
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
                spool=Spool(settings.maxSpool),
            )
        )
        self.factory.noisy = False
        shares = settings.reuse and settings.multiplex is not Multiplex.OFF
        self._everyone = _idle.setdefault(reactor, {})
        self._pool: Pool[FastCGIClientProtocol, Stream] = Pool(
            reuse=settings.reuse,
            max=MAX_SHARED if shares and settings.max is None else settings.max,
            maxIdle=settings.max if settings.ttl or settings.smax is None else settings.smax,
            maxQueue=settings.maxQueue,
            everyone=self._everyone,
        )
        self._timeout = settings.timeout
        self._ttl = settings.ttl
        self._maxRequests = settings.maxRequests
        self._cautiousUntil = 0.0
        self._worked = False
        self._patientUntil = 0.0
        self._attempts: dict[Attempt, None] = {}
        self._unaccepted = _Unaccepted(self)
        self._stopped: list[Deferred[None]] = []
        self._requests = self._connects = self._failures = self._retries = self._refused = 0
        self._sharing = Sharing(self, self._pool) if shares else None

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
            "busy": pool.connections - len(pool.idle),
            "idle": len(pool.idle),
            "connecting": pool.connecting,
            "waiting": max(0, len(pool.waiting) - pool.connecting * pool.streams),
            "requests": self._requests,
            "connects": self._connects,
            "failures": self._failures,
            "retries": self._retries,
            "refused": self._refused,
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
        self._requests += 1
        pool = self._pool
        if pool.closed:
            stream.ended(ConnectFailed(f"{self.address} is not used any more"))
            return stream
        cautious = self._cautiousUntil and not mayBeSentTwice(stream)
        isSettled = self._isSettled if cautious else None
        chosen = pool.assign(stream, isSettled)
        while isinstance(chosen, FastCGIClientProtocol):
            connection: FastCGIClientProtocol = chosen
            if connection.streams or connection.isQuiet():
                self._give(connection, stream)
                return stream
            connection.close()
            chosen = pool.assign(stream, isSettled)
        if chosen is Decision.REFUSE:
            queue = self.settings.maxQueue
            self._refuse(stream, f"{self.address}: {queue} requests (maxqueue) already wait")
            return stream
        self.perform(chosen, timeout)
        if chosen is Decision.WAIT or chosen is Decision.REPLACE:
            self._limitWaiting(stream)
        return stream

    def stop(self) -> Deferred[None]:
        """
        Use it no more: idle connections are closed, requests go on to their end.

        :returns: fires when its last connection is gone.
        """
        self._pool.closed = True
        self._departure.stop()
        if self._sharing is not None:
            self._sharing.stop()
        for connection in list(self._pool.idle):
            connection.close()
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        self._rested()
        return stopped

    def askWhetherItLeaves(self, told: Callable[[bool], None]) -> None:
        """See :meth:`twisted_fcgi.interfaces.IMember.askWhetherItLeaves`."""
        if self.settings.patience and not self._pool.closed:
            self._departure.ask(told)
        else:
            told(False)

    # What attempts say

    def isPatient(self, code: int | None) -> bool:
        """See :meth:`twisted_fcgi.backend.attempt.AttemptOwner.isPatient`."""
        if code not in GONE or self._pool.closed:
            return False
        now = self.reactor.seconds()
        if self._worked:
            self._worked = False
            self._patientUntil = now + self.settings.patience
        return now < self._patientUntil

    def connected(self, attempt: Attempt, connection: FastCGIClientProtocol) -> None:
        """An attempt gave a connection."""
        self._forget(attempt)
        self._connected(connection)

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
        self._failures += 1
        stream, decision = self._pool.connectFailed()
        self.perform(decision)
        if stream is not None:
            self._deadlines.forget(stream)
            stream.ended(error)
        self._rested()

    # ConnectionOwner

    def connectionHeard(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionHeard`."""
        self._pool.heard(connection)

    def connectionFreed(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionFreed`."""
        pool = self._pool
        if pool.waiting or pool.loads:
            if not self._serve(connection):
                return
        elif not pool.keep(connection, connection.heardAt):
            connection.close()
            return
        if self._ttl:
            connection.idleUntil(self.reactor.seconds() + self._ttl)
        if len(self._everyone) > MAX_IDLE_IN_ALL:
            next(iter(self._everyone)).close()
        if pool.unheard:
            self._lookAfterUnaccepted()

    def connectionClosing(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionClosing`."""
        self._pool.closing(connection)

    def connectionEnded(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionEnded`."""
        if connection.deserted:
            now = self.reactor.seconds()
            if now - connection.heardAt < SETTLED:
                self._cautiousUntil = now + CAUTION
        if self._sharing is not None:
            self._sharing.ended(connection)
        decision = self._pool.lost(connection)
        if decision is not Decision.WAIT:
            self.perform(decision)
        if self._stopped:
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
        seconds = self.settings.acquire
        self._refuse(stream, f"{self.address}: no free connection within {seconds:g} s (acquire)")

    def takesOver(self, stream: Stream, error: RequestError) -> bool:
        """See :meth:`twisted_fcgi.backend.stream.StreamOwner.takesOver`."""
        pause = pauseBeforeNext(stream, error)
        if pause is None:
            return False
        stream.again += 1
        self._retries += 1
        if wasRefused(error) and self._sharing is not None:
            self._sharing.refused(error)
        chosen = self._pool.again(stream, anew=error.untouched)
        if isinstance(chosen, FastCGIClientProtocol):
            self._give(chosen, stream)
        else:
            self.perform(chosen, stream.timeout, pause)
            self._limitWaiting(stream)
        return True

    # SharingOwner

    def perform(self, decision: Decision, timeout: float | None = None, pause: float = 0.0) -> None:
        """See :meth:`twisted_fcgi.backend.sharing.SharingOwner.perform`."""
        if decision is Decision.EXCHANGE or decision is Decision.REPLACE:
            next(iter(self._pool.idle)).close()
        if decision is Decision.CONNECT or decision is Decision.EXCHANGE:
            self._connect(timeout or self._timeout or DEFAULT_TIMEOUT, pause)

    # Inside

    def _serve(self, connection: FastCGIClientProtocol) -> bool:
        """
        Give a connection to those that wait.

        :returns: whether it is idle now.
        """
        streams = connection.streams
        while True:
            if self._pool.waiting and not streams and not connection.isQuiet():
                connection.close()
                return False
            freed = self._pool.freed(connection, len(streams), connection.heardAt)
            if freed is True:
                return not streams
            if freed is False:
                connection.close()
                return False
            self._give(connection, freed)
            if len(streams) >= connection.room:
                return False

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
        if self._maxRequests is not None and connection.requests == self._maxRequests:
            connection.retire()

    def _refuse(self, stream: Stream, reason: str) -> None:
        self._refused += 1
        # The queue has been as long as that, at least; longer than a minute nobody waits.
        wait = min(ceil(self.settings.acquire or 1), 60)
        stream.ended(AcquireTimedOut(reason, wait))

    def _connect(self, timeout: float, pause: float = 0.0) -> None:
        settings = self.settings
        if self._sharing is not None:
            self._sharing.connects()
        self._connects += 1
        connecting = None if pause else self._reach(self.factory)
        if isinstance(connecting, FastCGIClientProtocol):
            self._connected(connecting)
            return
        attempt = Attempt(self, settings.connectTimeout or timeout)
        self._attempts[attempt] = None
        self._deadlines.watch(attempt, attempt.dueAt())
        if connecting is None:
            attempt.beginAfter(pause)
        else:
            attempt.wait(connecting)

    def _lookAfterUnaccepted(self) -> None:
        """Give up idle connections when new ones get no answer; or look again later."""
        pool, everyone = self._pool, self._everyone
        others = []
        if pool.unheard and len(everyone) > len(pool.idle):
            others = [c for c in everyone if c.name == self.address and c not in pool.idle]
        surplus, due = pool.overdue(self.reactor.seconds(), others)
        for connection in surplus:
            connection.close()
        if due is not None:
            self._unaccepted.due = due
            self._deadlines.watch(self._unaccepted, due)

    def _connected(self, connection: FastCGIClientProtocol) -> None:
        if not self._worked:
            self._worked = True
            self._departure.met()
        transport, settings = connection.transport, self.settings
        transport.bufferSize = settings.readSize
        if settings.keepalive and settings.socket is None:
            transport.setTcpKeepAlive(True)
        pool = self._pool
        stream = pool.connected(connection, self.reactor.seconds())
        if self._sharing is not None:
            self._sharing.connected(connection)
        if stream is None:
            self.connectionFreed(connection)
            return
        self._give(connection, stream)
        if pool.unheard:
            self._lookAfterUnaccepted()
        if pool.streams > 1 and not connection.closing:
            self.connectionFreed(connection)

    def _forget(self, attempt: Attempt) -> None:
        self._attempts.pop(attempt, None)
        self._deadlines.forget(attempt)

    def _rested(self) -> None:
        """After something ended: whether that was the last of it."""
        pool = self._pool
        if self._stopped and not (pool.connections or pool.connecting or pool.waiting):
            self._stderrLog.expired()
            self._deadlines.stop()
            stopped, self._stopped = self._stopped, []
            for deferred in stopped:
                deferred.callback(None)


class _Unaccepted:
    """
    Looks after the connections that the application may not have accepted.

    :ivar due: when to look.
    """

    def __init__(self, member: Member) -> None:
        self._member = member
        self.due = inf

    def dueAt(self) -> float:
        """See :class:`~twisted_fcgi.backend.deadlines.Watched`."""
        return self.due

    def expired(self) -> None:
        """See :class:`~twisted_fcgi.backend.deadlines.Watched`."""
        self._member._lookAfterUnaccepted()
