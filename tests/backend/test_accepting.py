"""Tests for :mod:`twisted_fcgi.backend.accepting`, with real sockets and a scripted reactor."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import tempfile
from itertools import pairwise
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Port
from twisted.internet.unix import Port as UNIXPort
from twisted.internet.unix import Server as UNIXServer
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.backend.sockets import PollingReactor
from twisted_fcgi.backend import accepting
from twisted_fcgi.backend.accepting import PAUSE, WARNED, EagerServer, acceptEagerly
from twisted_fcgi.backend.hub import BATCH, hubOf, turn
from twisted_fcgi.backend.sockets import accept

__all__ = ["AcceptTests"]


class Echo(Protocol):
    """Says what it is told; and remembers it."""

    def connectionMade(self) -> None:
        self.heard = b""
        self.factory.made.append(self)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.transport.write(data)  # type: ignore[union-attr]


class Short:
    """The kernel when it can't give connections, for so many times."""

    def __init__(self, code: int, times: int = 1) -> None:
        self.code = code
        self.times = times

    def accept(self, listening: Any, family: int) -> Any:
        if self.times:
            self.times -= 1
            raise OSError(self.code, "no")
        return accept(listening, family)


class AcceptTests(SynchronousTestCase):
    """Tests for :func:`acceptEagerly`."""

    def setUp(self) -> None:
        # A test may be run by what a socket just told.
        self.patch(turn, "collected", None)
        self.reactor = PollingReactor()
        self.hub = hubOf(self.reactor)
        self.factory: Any = Factory.forProtocol(Echo)
        self.factory.noisy = False
        self.factory.made = []
        self.port = self.listen()

    def listen(self, interface: str = "127.0.0.1") -> Any:
        port: Any = Port(0, self.factory, BATCH + 50, interface, self.reactor)
        port.startListening()
        self.addCleanup(self.stop, port)
        acceptEagerly(port)
        return port

    def stop(self, port: Any) -> None:
        for echo in self.factory.made:
            if echo.transport.connected:
                echo.transport.connectionLost(Failure(ConnectionError()))
        if port.connected:
            port.stopListening()
            self.reactor.advance(PAUSE)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def connect(self, port: Any = None, host: str = "127.0.0.1") -> socket.socket:
        """A client."""
        number = (port or self.port).getHost().port
        client = socket.create_connection((host, number), timeout=5)
        self.addCleanup(client.close)
        return client

    @property
    def made(self) -> list[Any]:
        return self.factory.made  # type: ignore[no-any-return]

    def test_sameTurn(self) -> None:
        """What is there behind a connection is read, and answered, in the turn that accepts it."""
        client = self.connect()
        client.sendall(b"hello")
        self.hub.doRead()
        self.assertEqual(client.recv(100), b"hello")
        self.assertIsInstance(self.made[0].transport, EagerServer)

    def test_later(self) -> None:
        """What comes later is read then; so is the client's end."""
        client = self.connect()
        self.hub.doRead()
        self.assertEqual(self.made[0].heard, b"")
        client.sendall(b"hello")
        self.hub.doRead()
        self.assertEqual(client.recv(100), b"hello")
        client.close()
        self.hub.doRead()
        self.assertFalse(self.made[0].transport.connected)
        self.assertEqual(set(self.hub._sockets.values()), {self.port})

    def test_closedInRead(self) -> None:
        """Who closes while he reads is told of the end, even one who is told of halves."""
        for size in (1, 10_000_000):
            told: list[str] = []

            @implementer(IHalfCloseableProtocol)
            class Leaving(Echo):
                def dataReceived(self, data: bytes, size: int = size) -> None:
                    self.transport.write(bytes(size))  # type: ignore[union-attr]
                    self.transport.loseConnection()  # type: ignore[union-attr]

                def readConnectionLost(self, told: list[str] = told) -> None:
                    told.append("read")

                def writeConnectionLost(self, told: list[str] = told) -> None:
                    told.append("write")

                def connectionLost(self, reason: Failure, told: list[str] = told) -> None:  # type: ignore[override]
                    told.append("all")

            self.factory.protocol = Leaving
            client = self.connect()
            client.sendall(b"hello")
            self.hub.doRead()
            client.setblocking(False)
            left = size
            while left:
                try:
                    left -= len(client.recv(1 << 20))
                except BlockingIOError:
                    self.hub.doRead()
            self.hub.doRead()
            self.assertEqual(["all"], told)
            self.assertEqual(set(self.hub._sockets.values()), {self.port})

    def test_paused(self) -> None:
        """A protocol that does not want to be told anything yet is told nothing."""
        self.patch(Echo, "makeConnection", lambda echo, transport: transport.pauseProducing())
        self.connect().sendall(b"hello")
        heard: list[bytes] = []
        self.patch(Echo, "dataReceived", lambda echo, data: heard.append(data))
        self.hub.doRead()
        self.hub.doRead()
        self.assertEqual(heard, [])

    def test_batch(self) -> None:
        """However many wait, a turn accepts only so many; and all come in, soon."""
        number = BATCH + 40
        clients = [self.connect() for _ in range(number)]
        accepted = [0]
        while len(self.made) < number:
            self.hub.doRead()
            accepted.append(len(self.made))
        steps = [after - before for before, after in pairwise(accepted)]
        self.assertTrue(all(0 < step <= BATCH for step in steps), steps)
        self.assertLess(len(steps), 10)
        self.assertEqual(len({echo.transport.getPeer() for echo in self.made}), len(clients))

    def test_othersAreServed(self) -> None:
        """Connections that are there are looked after in the same turn as new ones."""
        old = self.connect()
        self.hub.doRead()
        for _ in range(5):
            self.connect()
        old.sendall(b"hello")
        self.hub.doRead()
        self.assertEqual(old.recv(100), b"hello")

    def test_addresses(self) -> None:
        """Both ends have the addresses that Twisted's transports say."""
        port = self.listen("0.0.0.0")
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
            client = self.connect(port, host)
            self.hub.doRead()
            transport = self.made[-1].transport
            self.assertEqual(transport.getPeer(), IPv4Address("TCP", *client.getsockname()))
            self.assertEqual(transport.getHost(), IPv4Address("TCP", *client.getpeername()))

    def test_addressesOfIPv6(self) -> None:
        """So they have with IPv6."""
        if not socket.has_ipv6:
            return
        try:
            port = self.listen("::1")
        except Exception as error:
            self.assertIn("::1", str(error), "no IPv6 on this machine")
            return
        client = self.connect(port, "::1")
        self.hub.doRead()
        transport = self.made[-1].transport
        self.assertEqual(transport.getPeer(), IPv6Address("TCP", *client.getsockname()))
        self.assertEqual(transport.getHost(), IPv6Address("TCP", *client.getpeername()))

    def test_noDelay(self) -> None:
        """Small parts leave at once, without a word to the kernel for each connection."""
        self.connect()
        self.hub.doRead()
        transport = self.made[0].transport
        transport.setTcpNoDelay(True)
        self.assertTrue(transport.getTcpNoDelay())
        for enabled in (False, True):
            transport.setTcpNoDelay(enabled)
            self.assertEqual(transport.getTcpNoDelay(), enabled)

    def test_short(self) -> None:
        """Without descriptors or memory nothing is accepted for a while, and then again."""
        for code in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL):
            before = len(self.made)
            client = self.connect()
            client.sendall(b"hello")
            self.patch(accepting, "accept", Short(code, 2).accept)
            with capturedLogs() as said:
                for _ in range(2):
                    self.hub.doRead()
                    self.assertNotIn(self.port, self.hub._known)
                    self.hub.doRead()
                    self.reactor.advance(PAUSE)
                self.assertEqual(len(self.made), before)
                self.hub.doRead()
            self.assertEqual(client.recv(100), b"hello")
            self.assertEqual([event["log_level"] for event in said], [LogLevel.warn])
            self.reactor.advance(WARNED)

    def test_shortAtTheEnd(self) -> None:
        """A port that is closed meanwhile stays closed."""
        self.patch(accepting, "accept", Short(errno.EMFILE).accept)
        self.connect()
        with capturedLogs():
            self.hub.doRead()
        self.port.stopListening()
        self.reactor.advance(PAUSE)
        self.assertEqual(self.hub._known, {})
        self.assertFalse(self.port.connected)

    def test_clientsGone(self) -> None:
        """Those that left before they were accepted are in nobody's way."""
        for code in (errno.ECONNABORTED, errno.EPERM):
            client = self.connect()
            client.sendall(b"hello")
            self.patch(accepting, "accept", Short(code).accept)
            with capturedLogs() as said:
                self.hub.doRead()
                self.hub.doRead()
            self.assertEqual(client.recv(100), b"hello")
            self.assertEqual(list(said), [])

    def test_refused(self) -> None:
        """A connection for which there is no protocol is closed."""
        self.factory.buildProtocol = lambda address: None
        client = self.connect()
        self.hub.doRead()
        self.assertEqual(client.recv(100), b"")

    def test_mistake(self) -> None:
        """A protocol that fails at its beginning costs that connection, and no other."""
        for name in ("buildProtocol", "makeConnection"):

            def fail(*_: object) -> None:
                raise ValueError("a mistake")

            owner = self.factory if name == "buildProtocol" else Echo
            patch = self.patch(owner, name, fail)
            client = self.connect()
            self.hub.doRead()
            self.assertEqual(client.recv(100), b"")
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
            patch.restore()
        self.assertEqual(set(self.hub._known), {self.port})
        client = self.connect()
        client.sendall(b"hello")
        self.hub.doRead()
        self.assertEqual(client.recv(100), b"hello")

    def test_closed(self) -> None:
        """A port that is closed is forgotten by the hub."""
        self.port.stopListening()
        self.reactor.advance(0)
        self.assertEqual(self.hub._known, {})
        self.assertEqual(self.reactor.readers, set())

    def test_others(self) -> None:
        """Ports of other kinds stay as they are; without a hub only the transport is ours."""
        acceptEagerly(object())
        unix = UNIXPort(b"/x", self.factory, reactor=Clock())
        acceptEagerly(unix)
        self.assertIs(unix.transport, UNIXServer)
        port: Any = Port(0, self.factory, interface="127.0.0.1", reactor=Clock())
        acceptEagerly(port)
        self.assertIs(port.transport, EagerServer)
        self.assertNotIn("doRead", vars(port))

    def test_unix(self) -> None:
        """Clients of a UNIX socket are accepted alike, whatever name they have."""
        path = os.path.join(tempfile.mkdtemp(), "socket")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        port: Any = UNIXPort(path.encode(), self.factory, reactor=self.reactor)
        port.startListening()
        self.addCleanup(self.stop, port)
        acceptEagerly(port)
        for name in ("", "\0abc", "\0" + "a" * 30):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.bind(name) if name else None
            client.settimeout(5)
            client.connect(path)
            client.sendall(b"hello")
            self.hub.doRead()
            self.assertEqual(client.recv(100), b"hello")
            transport = self.made[-1].transport
            self.assertIsInstance(transport, EagerServer)
            self.assertEqual(transport.getHost(), UNIXAddress(path))
            self.assertIsInstance(transport.getPeer(), UNIXAddress)
            transport.setTcpNoDelay(True)
            self.assertIn("EagerServer", repr(transport))
            self.assertIn("Echo", transport.logPrefix())

    def test_subclass(self) -> None:
        """A port that may do more than Twisted's does that; what it accepts is ours."""

        class Special(Port): ...

        port: Any = Special(0, self.factory, 50, "127.0.0.1", self.reactor)
        port.startListening()
        self.addCleanup(self.stop, port)
        acceptEagerly(port)
        self.assertNotIn("doRead", vars(port))
        client = self.connect(port)
        self.hub.doRead()
        transport = self.made[0].transport
        self.assertIsInstance(transport, EagerServer)
        self.assertFalse(transport.getHandle().getblocking())
        self.assertEqual(transport.getPeer(), IPv4Address("TCP", *client.getsockname()))
        client.sendall(b"hello")
        self.hub.doRead()
        self.assertEqual(client.recv(100), b"hello")
