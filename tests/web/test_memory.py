"""What connections and requests hold while they wait, without their sockets."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_fcgi.backend.member import Member
from twisted_fcgi.config import loads
from twisted_fcgi.web.channel import HTTPChannel
from twisted_fcgi.web.factory import SWEEP, HTTPFactory
from twisted_fcgi.web.gateway import Gateway
from twisted_fcgi.wire.records import RecordType, encodeHeader, encodeRecord

__all__ = ["MemoryTests"]

#: Connections that are made; another number of them is to make no difference.
CLIENTS = 500

#: Most bytes of a client of which nothing is to be done, of a request that is not answered
#: and its client.
IDLE, WAITING = 2000, 10500

FIELDS = (
    b"Host: www.example.test\r\nAccept: text/html\r\nAccept-Language: en\r\n"
    b"Accept-Encoding: gzip\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0)\r\n"
)

#: A whole response to the first request of a connection.
ANSWER = (
    encodeRecord(RecordType.STDOUT, 1, b"Content-Type: text/plain\r\n\r\nhello")
    + encodeHeader(RecordType.STDOUT, 1)
    + encodeRecord(RecordType.END_REQUEST, 1, bytes(8))
)


class Transport:
    """One end of any connection, without a buffer: nothing of it is counted."""

    connected = True
    disconnecting = False
    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def writeSequence(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 4000)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.2", 80)

    def __getattr__(self, name: str) -> Any:
        if name in ("dataBuffer", "getHandle", "unread", "sent"):
            raise AttributeError(name)
        return lambda *arguments: None


TRANSPORT = Transport()


@implementer(IStreamClientEndpoint)
class Endpoint:
    """Connects at once."""

    def __init__(self) -> None:
        self.connections: list[Any] = []

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        connection = protocolFactory.buildProtocol(None)
        connection.makeConnection(TRANSPORT)
        self.connections.append(connection)
        return succeed(connection)


class MemoryTests(SynchronousTestCase):
    """What :mod:`tracemalloc` says, which is the same each time."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = Endpoint()
        settings = loads('KeepAliveTimeout 60\nProxyPass "/" "fcgi://a.test/" enablereuse=on\n')
        gateway = Gateway(settings, self.clock, lambda s, r: Member(s, r, self.endpoint))
        self.factory = HTTPFactory(gateway, settings.main.limits, self.clock)
        self.addCleanup(self.factory.drain)
        self.serve(self.clients(80))  # what is made once

    def clients(self, number: int = CLIENTS) -> list[HTTPChannel]:
        """Connections."""
        channels = [self.factory.buildProtocol(None) for _ in range(number)]
        for channel in channels:
            channel.makeConnection(TRANSPORT)
        return channels

    def ask(self, channels: list[HTTPChannel]) -> None:
        """A request of each, of which no two have the same fields."""
        for number, channel in enumerate(channels):
            head = b"GET /page HTTP/1.1\r\n%bCookie: session=%032d\r\n\r\n" % (FIELDS, number)
            channel.dataReceived(head)

    def serve(self, channels: list[HTTPChannel]) -> None:
        """A request of each, and its response."""
        for start in range(0, len(channels), 10):
            self.ask(channels[start : start + 10])
            for connection in self.endpoint.connections:
                if connection.streams and not connection.closing:
                    connection.dataReceived(ANSWER)
        self.endpoint.connections = [c for c in self.endpoint.connections if not c.closing]

    def held(self, what: Callable[[], object]) -> float:
        """The bytes for each client that something leaves."""
        gc.collect()
        tracemalloc.start()
        try:
            result = what()
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertIsNotNone(result)
        return size / CLIENTS

    def test_new(self) -> None:
        """A client that sent nothing yet takes little."""
        self.assertLess(self.held(self.clients), IDLE)

    def test_idle(self) -> None:
        """A client that was served and rests takes no more than a new one."""

        def served() -> list[HTTPChannel]:
            clients = self.clients()
            self.serve(clients)
            for _ in range(4):
                self.clock.advance(SWEEP)
            return clients

        self.assertLess(self.held(served), IDLE)

    def test_waiting(self) -> None:
        """A request that the application has not answered takes some kilobytes."""

        def waiting() -> list[HTTPChannel]:
            clients = self.clients()
            self.ask(clients)
            return clients

        self.assertLess(self.held(waiting), WAITING)
        self.assertEqual(sum(bool(c.streams) for c in self.endpoint.connections), CLIENTS)
