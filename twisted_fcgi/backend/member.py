"""
One FastCGI server: its connections, its queue, and what becomes of a request.

:class:`Member` does what :class:`~twisted_fcgi.backend.pool.Pool` decides.  An
idle connection is used before :meth:`Member.open` returns.  Three clocks run
one after the other and are told apart in what is logged: ``acquire`` (a place),
``connectionTimeout`` (a connection), ``timeout`` (an answer).

- A connection that is kept, and is found dead before it gave a byte, says nothing
  about the application, which has just been restarted, or reached its
  ``pm.max_requests``.  The request is sent once more, on a new connection, when
  that does no harm: nothing of it was sent, or its method is idempotent (RFC
  9110, 9.2.2); and its body, if any, can be had again.  See also :data:`PAUSES`.
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
- With ``multiplex``, the application is asked what it takes when it is first
  connected to, and again at the first connect after :data:`ASK_AGAIN` seconds.
  Meanwhile a connection has one request.  An application that then refuses a request
  beside others is believed, and the request goes elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import ECONNREFUSED, ENOENT
from functools import partial
from math import ceil, inf
from socket import MSG_PEEK, socket
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.attempt import Attempt
from twisted_fcgi.backend.capacity import MAX_SHARED, Capacity, askValues, capacityOf
from twisted_fcgi.backend.deadlines import Deadlines
from twisted_fcgi.backend.endpoints import memberEndpoint
from twisted_fcgi.backend.pool import MAX_IDLE_IN_ALL, Decision, Pool
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.backend.stderr import StderrLog
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.backend.unread import Spool
from twisted_fcgi.errors import (
    AcquireTimedOut,
    ApplicationOverloaded,
    CannotMultiplex,
    ConnectFailed,
    ConnectionDied,
    RequestError,
)
from twisted_fcgi.interfaces import IBody, IMember, IStream, IStreamReceiver
from twisted_fcgi.settings import MemberSettings, Multiplex
from twisted_fcgi.wire import Pair

__all__ = ["ASK_AGAIN", "ASK_LIMIT", "DEFAULT_TIMEOUT", "IDEMPOTENT", "Member"]

#: When nobody says how long: httpd's Timeout.
DEFAULT_TIMEOUT = 60.0

#: Methods whose requests may be sent twice (RFC 9110, 9.2.2).
IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

#: Seconds after an answer in which an application that ends connections does so.
SETTLED = 0.1

#: Seconds for which a member that did so is expected to do it again.
CAUTION = 3600.0

#: How often a request is sent again, and after how many seconds; more than once only if
#: it was refused beside others, or its new connection was reset, as those are that wait to
#: be accepted by an application that stops.
PAUSES = (0.0, 0.02, 0.1, 0.5)

#: Seconds that an application may take to say whether it multiplexes, and after which it
#: is asked again.
ASK_LIMIT = 1.0
ASK_AGAIN = 60.0

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
        self._maxRequests = settings.maxRequests
        self._cautiousUntil = 0.0
        self._worked = False
        self._patientUntil = 0.0
        self._attempts: dict[Attempt, None] = {}
        self._unaccepted = _Unaccepted(self)
        self._stopped: list[Deferred[None]] = []
        self._figures = dict.fromkeys(("requests", "connects", "failures", "retries", "refused"), 0)
        # What concerns an application that multiplexes.
        self._connections: dict[FastCGIClientProtocol, None] | None = {} if shares else None
        self._capacity: Capacity | None = None
        self._askAt = 0.0 if shares else inf
        self._asking: Deferred[Any] | None = None

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
            if chosen.streams or _isQuiet(chosen):
                self._give(chosen, stream)
                return stream
            chosen.close()
            chosen = self._pool.assign(stream, isSettled)
        if chosen is Decision.REFUSE:
            queue = self.settings.maxQueue
            self._refuse(stream, f"{self.address}: {queue} requests (maxqueue) already wait")
            return stream
        self._perform(chosen, timeout)
        if chosen is Decision.WAIT or chosen is Decision.REPLACE:
            self._limitWaiting(stream)
        return stream

    def stop(self) -> Deferred[None]:
        """
        Use it no more: idle connections are closed, requests go on to their end.

        :returns: fires when its last connection is gone.
        """
        self._pool.closed = True
        if self._asking is not None:
            self._asking.cancel()
        for connection in list(self._pool.idle):
            connection.close()
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        self._rested()
        return stopped

    # What attempts say

    def isPatient(self, code: int | None) -> bool:
        """See :meth:`twisted_fcgi.backend.attempt.AttemptOwner.isPatient`."""
        if code not in (ECONNREFUSED, ENOENT) or self._pool.closed:
            return False
        now = self.reactor.seconds()
        if self._worked:
            self._worked = False
            self._patientUntil = now + self.settings.patience
        return now < self._patientUntil

    def connected(self, attempt: Attempt, connection: FastCGIClientProtocol) -> None:
        """An attempt gave a connection."""
        self._forget(attempt)
        self._worked = True
        transport, settings = connection.transport, self.settings
        transport.bufferSize = settings.readSize
        if settings.keepalive and settings.socket is None:
            transport.setTcpKeepAlive(True)
        pool = self._pool
        stream = pool.connected(connection, self.reactor.seconds())
        if self._connections is not None:
            self._connections[connection] = None
            connection.multiplex(pool.streams)
        if stream is None:
            self.connectionFreed(connection)
            return
        self._give(connection, stream)
        self._lookAfterUnaccepted()
        if pool.streams > 1 and not connection.closing:
            self.connectionFreed(connection)

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

    def connectionHeard(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionHeard`."""
        self._pool.heard(connection)

    def connectionFreed(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionFreed`."""
        pool = self._pool
        streams = connection.streams
        while True:
            if pool.waiting and not streams and not _isQuiet(connection):
                connection.close()
                return
            freed = pool.freed(connection, len(streams), connection.heardAt)
            if freed is True:
                break
            if freed is False:
                connection.close()
                return
            self._give(connection, freed)
            if len(streams) >= connection.room:
                return
        if not streams:
            if self.settings.ttl:
                connection.idleUntil(self.reactor.seconds() + self.settings.ttl)
            if len(self._everyone) > MAX_IDLE_IN_ALL:
                next(iter(self._everyone)).close()
            if pool.unheard:
                self._lookAfterUnaccepted()

    def connectionClosing(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionClosing`."""
        self._pool.closing(connection)

    def connectionEnded(self, connection: FastCGIClientProtocol) -> None:
        """See :meth:`twisted_fcgi.backend.connection.ConnectionOwner.connectionEnded`."""
        now = self.reactor.seconds()
        if connection.deserted and now - connection.heardAt < SETTLED:
            self._cautiousUntil = now + CAUTION
        if self._connections is not None:
            self._connections.pop(connection, None)
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
        seconds = self.settings.acquire
        self._refuse(stream, f"{self.address}: no free connection within {seconds:g} s (acquire)")

    def takesOver(self, stream: Stream, error: RequestError) -> bool:
        """See :meth:`twisted_fcgi.backend.stream.StreamOwner.takesOver`."""
        refused = isinstance(error, ApplicationOverloaded) and error.others > 0
        if not (refused or error.untouched) or stream.again == len(PAUSES):
            return False
        unaccepted = isinstance(error, ConnectionDied) and error.unaccepted
        if stream.again and not (refused or unaccepted):
            return False
        replayable = stream.body is None or stream.body.replayable
        if not (_mayBeSentTwice(stream) or (error.retryable and replayable)):
            return False
        if isinstance(error, ApplicationOverloaded):
            limit = 1 if isinstance(error, CannotMultiplex) else error.others
            if limit < self._pool.streams:
                self._share(limit)
        pause = PAUSES[stream.again]
        stream.again += 1
        self._figures["retries"] += 1
        chosen = self._pool.again(stream, not refused)
        if isinstance(chosen, FastCGIClientProtocol):
            self._give(chosen, stream)
        else:
            self._perform(chosen, stream.timeout, pause)
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
        if connection.requests == self._maxRequests:
            connection.retire()

    def _refuse(self, stream: Stream, reason: str) -> None:
        self._figures["refused"] += 1
        # The queue has been as long as that, at least; longer than a minute nobody waits.
        wait = min(ceil(self.settings.acquire or 1), 60)
        stream.ended(AcquireTimedOut(reason, wait))

    def _connect(self, timeout: float, pause: float = 0.0) -> None:
        settings = self.settings
        if self._asking is None and self.reactor.seconds() >= self._askAt:
            self._ask()
        seconds = settings.connectTimeout or timeout
        attempt = Attempt(self, seconds)
        self._attempts[attempt] = None
        self._figures["connects"] += 1
        self._deadlines.watch(attempt, attempt.dueAt())
        if pause:
            attempt.beginAfter(pause)
        else:
            attempt.begin()

    def _perform(
        self, decision: Decision, timeout: float | None = None, pause: float = 0.0
    ) -> None:
        if decision is Decision.EXCHANGE or decision is Decision.REPLACE:
            next(iter(self._pool.idle)).close()
        if decision is Decision.CONNECT or decision is Decision.EXCHANGE:
            self._connect(timeout or self._timeout or DEFAULT_TIMEOUT, pause)

    def _lookAfterUnaccepted(self) -> None:
        """Give up idle connections when new ones get no answer; or look again later."""
        surplus, due = self._pool.overdue(self.reactor.seconds())
        for connection in surplus:
            connection.close()
        if due is not None:
            self._unaccepted.due = due
            self._deadlines.watch(self._unaccepted, due)

    def _ask(self) -> None:
        """Find out what the application takes at a time."""
        self._askAt = self.reactor.seconds() + ASK_AGAIN
        self._asking = Deferred.fromCoroutine(askValues(self.endpoint, self.reactor, self.address))
        self._asking.addTimeout(ASK_LIMIT, self.reactor)
        self._asking.addCallbacks(self._answered, self._notAnswered)

    def _answered(self, values: dict[bytes, bytes]) -> None:
        self._asking = None
        self._capacity = capacityOf(values, self.settings)
        self._share(self._capacity.streams)

    def _notAnswered(self, failure: Failure) -> None:
        self._asking = None
        if self._capacity is None and not self._pool.closed:
            self._answered({})

    def _share(self, streams: int) -> None:
        """Let so many requests share a connection, and no more than it has capacity for."""
        pool, capacity, connections = self._pool, self._capacity, self._connections
        if capacity is None or connections is None:
            return
        streams = min(streams, capacity.streams)
        for connection in connections:
            connection.multiplex(streams)
        if streams > 1:
            loads = {c: len(c.streams) for c in connections if c.streams and c.room}
            pool.share(streams, capacity.connections, capacity.requests, loads)
            for connection in loads:
                self.connectionFreed(connection)
        else:
            pool.share(1, self.settings.max, None, {})
        while (decision := pool.next()) is not Decision.WAIT:
            self._perform(decision)

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
