"""
How many requests share a connection.

An application says with FCGI_GET_VALUES what it takes at a time.  It is asked when it
is first connected to, and again at the first connect after :data:`ASK_AGAIN` seconds, on
a connection of its own: php-fpm closes the one that it was asked on, and some servers
close on what they don't know.  Until it has answered, a connection has one request.

How many requests it takes on one connection FastCGI has no way to say.  An application
that refuses one beside others is believed, and that many are the limit from then on,
until it is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from twisted_fcgi.backend.pool import Decision, Pool
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.errors import ApplicationOverloaded, CannotMultiplex
from twisted_fcgi.settings import MemberSettings, Multiplex

__all__ = [
    "ASK_AGAIN",
    "ASK_LIMIT",
    "MAX_SHARED",
    "Capacity",
    "Sharing",
    "SharingOwner",
    "askValues",
    "capacityOf",
]

#: Seconds that an application may take to answer, and after which it is asked again.
ASK_LIMIT = 1.0
ASK_AGAIN = 60.0

#: Connections to an application that multiplexes, unless ``max`` says how many.
MAX_SHARED = 64

_NAMES = (b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS")


class Capacity(NamedTuple):
    """
    What may be asked of an application at a time.

    :ivar streams: requests on one connection.
    :ivar connections: connections; ``None`` for no limit.
    :ivar requests: requests in all; ``None`` for no limit.
    """

    streams: int
    connections: int | None
    requests: int | None = None


def capacityOf(values: Mapping[bytes, bytes], settings: MemberSettings) -> Capacity:
    """
    What an application's answer means.

    :param values: the answer; empty for none.
    """
    multiplexes = values.get(b"FCGI_MPXS_CONNS")
    wanted = settings.multiplex
    if multiplexes != b"1" and (wanted is not Multiplex.ON or multiplexes == b"0"):
        return Capacity(1, settings.max)
    requests = _number(values.get(b"FCGI_MAX_REQS", b""))
    streams = settings.maxStreams if requests is None else min(settings.maxStreams, requests)
    if streams == 1:
        return Capacity(1, settings.max)
    connections = MAX_SHARED if settings.max is None else settings.max
    most = _number(values.get(b"FCGI_MAX_CONNS", b""))
    return Capacity(streams, connections if most is None else min(connections, most), requests)


def _number(value: bytes) -> int | None:
    return int(value) or None if value.isdigit() and len(value) < 10 else None


async def askValues(endpoint: IStreamClientEndpoint, reactor: Any, name: str) -> dict[bytes, bytes]:
    """
    Ask an application.

    :param name: of the application, for logs.
    :returns: its answer; empty when it does not know the question.
    """
    factory = Factory.forProtocol(partial(FastCGIClientProtocol, reactor, name=name))
    factory.noisy = False
    connection: Any = await endpoint.connect(factory)
    try:
        answer: dict[bytes, bytes] = await connection.getValues(_NAMES)
    finally:
        connection.close()
    return answer


class SharingOwner(Protocol):
    """Whose connections are shared."""

    reactor: Any
    address: str
    settings: MemberSettings
    endpoint: IStreamClientEndpoint

    def connectionFreed(self, connection: FastCGIClientProtocol) -> None:
        """A connection has room."""

    def perform(self, decision: Decision) -> None:
        """Do what the pool decided."""


class Sharing:
    """
    Finds out how many requests share the connections of a pool, and lets them.

    :ivar capacity: what the application said; ``None`` before.
    """

    def __init__(self, owner: SharingOwner, pool: Pool[FastCGIClientProtocol, Stream]) -> None:
        self.capacity: Capacity | None = None
        self._owner = owner
        self._pool = pool
        self._connections: dict[FastCGIClientProtocol, None] = {}
        self._askAt = 0.0
        self._asking: Deferred[Any] | None = None

    def connected(self, connection: FastCGIClientProtocol) -> None:
        """There is one more connection."""
        self._connections[connection] = None
        connection.multiplex(self._pool.streams)

    def ended(self, connection: FastCGIClientProtocol) -> None:
        """A connection is gone."""
        self._connections.pop(connection, None)

    def connects(self) -> None:
        """The application is connected to: ask it, if it is time."""
        owner = self._owner
        now = owner.reactor.seconds()
        if self._asking is None and now >= self._askAt:
            self._askAt = now + ASK_AGAIN
            self._asking = Deferred.fromCoroutine(
                askValues(owner.endpoint, owner.reactor, owner.address)
            )
            self._asking.addTimeout(ASK_LIMIT, owner.reactor)
            self._asking.addCallbacks(self._answered, self._notAnswered)

    def refused(self, error: ApplicationOverloaded) -> None:
        """The application did not take a request beside others."""
        limit = 1 if isinstance(error, CannotMultiplex) else error.others
        if limit < self._pool.streams:
            self._share(limit)

    def stop(self) -> None:
        """Wait for no answer."""
        if self._asking is not None:
            self._asking.cancel()

    def _answered(self, values: dict[bytes, bytes]) -> None:
        self._asking = None
        self.capacity = capacityOf(values, self._owner.settings)
        self._share(self.capacity.streams)

    def _notAnswered(self, failure: Failure) -> None:
        self._asking = None
        if self.capacity is None and not self._pool.closed:
            self._answered({})

    def _share(self, streams: int) -> None:
        """Let so many requests share a connection."""
        pool, capacity, connections = self._pool, self.capacity, self._connections
        assert capacity is not None
        for connection in connections:
            connection.multiplex(streams)
        if streams > 1:
            loads = {c: len(c.streams) for c in connections if c.streams and c.room}
            pool.share(streams, capacity.connections, capacity.requests, loads)
            for connection in loads:
                self._owner.connectionFreed(connection)
        else:
            pool.share(1, self._owner.settings.max, None, {})
        while (decision := pool.next()) is not Decision.WAIT:
            self._owner.perform(decision)
