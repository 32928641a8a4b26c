"""Tests for :mod:`twisted_fcgi.backend.tlsserver`, both ends in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.test_tls import Recorder, Serving
from tests.peers.tls import Authority
from twisted_fcgi.backend.hub import turn
from twisted_fcgi.backend.tlsserver import RECORD, TLSServer, encryptEagerly

__all__ = ["TLSServerTests"]


class Transport(StringTransport):
    """Keeps each write by itself."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.reactor = clock
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


class TLSServerTests(SynchronousTestCase):
    """Tests for :class:`TLSServer`."""

    def setUp(self) -> None:
        # A test may be run by what a socket just told.
        self.patch(turn, "collected", None)
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        own = str(Authority(Path(directory.name)).issue("localhost"))
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(own)
        context.use_privatekey_file(own)
        self.clock = Clock()
        factory = TLSMemoryBIOFactory(Serving(context), False, Factory.forProtocol(Recorder))
        encryptEagerly(factory)
        self.server: Any = factory.buildProtocol(None)
        self.wire = Transport(self.clock)
        self.client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        self.client.set_connect_state()
        self.server.makeConnection(self.wire)
        for _ in range(3):
            self.shake()
        self.wire.writes.clear()

    def shake(self) -> None:
        """Carry a part of the handshake both ways."""
        try:
            self.client.do_handshake()
        except SSL.WantReadError:
            pass
        try:
            self.server.dataReceived(self.client.bio_read(65536))
        except SSL.WantReadError:
            pass
        for data in self.wire.writes:
            self.client.bio_write(data)
        self.wire.writes.clear()

    def received(self) -> bytes:
        """All that came at the client since the last call; an ``!`` for the end."""
        for data in self.wire.writes:
            self.client.bio_write(data)
        self.wire.writes.clear()
        data = b""
        while True:
            try:
                data += self.client.recv(65536)
            except SSL.WantReadError:
                return data
            except SSL.ZeroReturnError:
                return data + b"!"

    def test_inTurn(self) -> None:
        """What is written while sockets are read leaves as one when they have read."""
        sends = turn.begin()
        self.server.write(b"one")
        self.server.writeSequence([b"two", b"three"])
        self.assertEqual(self.wire.writes, [])
        turn.end(sends)
        self.assertEqual(len(self.wire.writes), 1)
        self.assertEqual(self.received(), b"onetwothree")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_atOtherTimes(self) -> None:
        """What is written at other times leaves as one with the reactor's next turn."""
        for _ in range(2):
            self.server.write(b"one")
            self.server.write(b"two")
            self.assertEqual(self.wire.writes, [])
            self.clock.advance(0)
            self.assertEqual(len(self.wire.writes), 1)
            self.assertEqual(self.received(), b"onetwo")

    def test_both(self) -> None:
        """What waits for the reactor and what a turn adds leave together, in order."""
        self.server.write(b"one")
        sends = turn.begin()
        self.server.write(b"two")
        turn.end(sends)
        self.clock.advance(0)
        self.assertEqual(len(self.wire.writes), 1)
        self.assertEqual(self.received(), b"onetwo")

    def test_much(self) -> None:
        """What fills a record is not held, nor what was written before it."""
        sends = turn.begin()
        self.server.write(b"one")
        self.server.write(b"x" * RECORD)
        self.assertEqual(self.received(), b"one" + b"x" * RECORD)
        self.server.write(b"two")
        turn.end(sends)
        self.assertEqual(self.received(), b"two")
        self.server.write(b"y" * RECORD)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.received(), b"y" * RECORD)

    def test_loseConnection(self) -> None:
        """What was written before the end arrives before it, and nothing behind."""
        sends = turn.begin()
        self.server.write(b"last")
        self.server.loseConnection()
        self.server.write(b"too late")
        turn.end(sends)
        self.assertEqual(self.received(), b"last!")

    def test_loseConnectionWithProducer(self) -> None:
        """The end waits for a producer, and all that it writes arrives before."""
        self.server.registerProducer(self, True)
        self.server.loseConnection()
        self.server.write(b"last")
        self.server.unregisterProducer()
        self.assertEqual(self.received(), b"last!")

    def pauseProducing(self) -> None:
        """Never asked for."""

    def test_connectionLost(self) -> None:
        """When the connection is gone nothing is left to do, and what is written is dropped."""
        self.server.write(b"one")
        sends = turn.begin()
        self.server.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        told = list(self.wire.writes)  # an alert
        self.server.write(b"two")
        turn.end(sends)
        self.assertEqual(self.wire.writes, told)

    def test_encryptEagerly(self) -> None:
        """Factories of other protocols, and of TLS that somebody changed, stay as they are."""
        plain = WrappingFactory(Factory.forProtocol(Protocol))
        own = TLSMemoryBIOFactory(Serving(SSL.Context(SSL.TLS_SERVER_METHOD)), False, plain)
        own.protocol = type("Own", (TLSServer,), {})
        for factory in plain, own, None:
            before = getattr(factory, "protocol", None)
            encryptEagerly(factory)
            self.assertIs(getattr(factory, "protocol", None), before)
