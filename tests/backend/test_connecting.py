"""
Tests for :mod:`twisted_fcgi.backend.connecting`.

The sockets are real, and local to the test; the reactor is not.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.backend.sockets import Reactor, Recorder
from twisted_fcgi.backend import connecting
from twisted_fcgi.backend.connecting import DirectEndpoint, EagerConnection

__all__ = ["DirectEndpointTests"]


class FakeSocket:
    """A socket whose connect has gone on, and ends as it is told."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.closed = False

    def getsockopt(self, *option: int) -> int:
        return self.codes.pop(0)

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        self.closed = True


class Recording(DirectEndpoint):
    """Keeps what it is given when a connection is there."""

    def established(self, skt: Any, factory: Any) -> Any:
        self.given = skt, factory
        return "protocol"


class DirectEndpointTests(SynchronousTestCase):
    """Tests for :class:`DirectEndpoint`."""

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.factory = Factory.forProtocol(Recorder)
        self.factory.noisy = False

    def listen(self, family: int, name: Any) -> Any:
        """The name at which a socket listens now."""
        server = socket.socket(family)
        self.addCleanup(server.close)
        server.bind(name)
        server.listen(1)
        return server.getsockname()

    def fake(self, code: int, *codes: int) -> tuple[Any, FakeSocket]:
        """A connect that goes as it is told."""
        fake = FakeSocket(*codes)
        self.patch(connecting, "connect", lambda *_: (fake, code))
        return Recording(self.reactor, socket.AF_INET, ("127.0.0.1", 1)), fake

    def test_interface(self) -> None:
        """It is a client's endpoint."""
        endpoint = DirectEndpoint(self.reactor, socket.AF_UNIX, "/x")
        verifyObject(IStreamClientEndpoint, endpoint)
        self.assertIn("/x", repr(endpoint))

    def test_atOnce(self) -> None:
        """Local connections are there when connect() returns, with the right addresses."""
        families = [(socket.AF_UNIX, self.mktemp()[-90:]), (socket.AF_INET, ("127.0.0.1", 0))]
        if socket.has_ipv6:
            families.append((socket.AF_INET6, ("::1", 0)))
        for family, name in families:
            try:
                listening = self.listen(family, name)
            except OSError:
                self.assertEqual(socket.AF_INET6, family, "no IPv6 on this machine")
                continue
            endpoint = DirectEndpoint(self.reactor, family, listening)
            protocol = self.successResultOf(endpoint.connect(self.factory))
            transport = protocol.transport
            self.assertEqual(endpoint.address, transport.getPeer())
            self.assertEqual(type(endpoint.address), type(transport.getHost()))
            self.assertIn(transport, self.reactor.readers)
            if family != socket.AF_UNIX:
                self.assertTrue(transport.getTcpNoDelay())
            transport.connectionLost(Failure(ConnectionDone()))

    def test_reach(self) -> None:
        """So it is without a Deferred, for who can do without; a failure is one all the same."""
        name = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        protocol = DirectEndpoint(self.reactor, socket.AF_INET, name).reach(self.factory)
        assert isinstance(protocol, Recorder)
        self.addCleanup(protocol.transport.connectionLost, Failure(ConnectionDone()))  # type: ignore[union-attr]
        self.assertIsInstance(protocol.transport, EagerConnection)
        failing = DirectEndpoint(self.reactor, socket.AF_UNIX, self.mktemp()[-90:])
        reached = failing.reach(self.factory)
        assert isinstance(reached, Deferred)
        self.reactor.advance(0)
        self.failureResultOf(reached, ConnectError)

    def test_refused(self) -> None:
        """A failure is told in a later turn, with the kernel's number."""
        for name, code in ((self.mktemp()[-90:], errno.ENOENT), ("x" * 200, errno.ENAMETOOLONG)):
            reached = DirectEndpoint(self.reactor, socket.AF_UNIX, name).connect(self.factory)
            self.assertNoResult(reached)
            self.reactor.advance(0)
            error: Any = self.failureResultOf(reached, ConnectError).value
            self.assertEqual(code, error.osError)

    def test_backlog(self) -> None:
        """A UNIX socket's full backlog is a failure with EAGAIN."""
        name = self.listen(socket.AF_UNIX, self.mktemp()[-90:])
        endpoint = DirectEndpoint(self.reactor, socket.AF_UNIX, name)
        for _ in range(5):
            reached = endpoint.connect(self.factory)
            if reached.called:
                transport = self.successResultOf(reached).transport
                self.addCleanup(transport.connectionLost, Failure(ConnectionDone()))
                continue
            self.reactor.advance(0)
            error: Any = self.failureResultOf(reached, ConnectError).value
            self.assertEqual(errno.EAGAIN, error.osError)
            break
        else:
            self.fail("the backlog was never full")

    def test_noDescriptor(self) -> None:
        """Without a descriptor left, the connect fails."""

        self.patch(connecting, "connect", lambda *_: (None, errno.EMFILE))
        endpoint = DirectEndpoint(self.reactor, socket.AF_UNIX, "/x")
        reached = endpoint.connect(self.factory)
        self.reactor.advance(0)
        error: Any = self.failureResultOf(reached).value
        self.assertEqual(errno.EMFILE, error.osError)

    def test_later(self) -> None:
        """A connect that goes on is over when the socket can be written to."""
        endpoint, fake = self.fake(errno.EALREADY, 0)
        reached = endpoint.connect(self.factory)
        self.assertNoResult(reached)
        self.assertEqual(1, len(self.reactor.writers))
        self.reactor.turn()
        self.assertEqual("protocol", self.successResultOf(reached))
        self.assertEqual((fake, self.factory), endpoint.given)
        self.assertEqual(set(), self.reactor.writers)

    def test_refusedLater(self) -> None:
        """It may fail then; so it does when the kernel tells a hang-up instead."""
        for tell in ("turn", "lost"):
            endpoint, fake = self.fake(errno.EINPROGRESS, errno.ECONNREFUSED)
            reached = endpoint.connect(self.factory)
            (handshake,) = self.reactor.writers
            if tell == "turn":
                self.reactor.turn()
            else:
                handshake.connectionLost(Failure(ConnectionLost()))
            handshake.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(reached, ConnectionRefusedError)
            self.assertTrue(fake.closed)
            self.assertEqual(set(), self.reactor.writers)

    def test_cancelled(self) -> None:
        """A connect that goes on can be cancelled."""
        endpoint, fake = self.fake(errno.EALREADY)
        reached = endpoint.connect(self.factory)
        reached.cancel()
        self.failureResultOf(reached, ConnectingCancelledError)
        self.assertTrue(fake.closed)
        self.assertEqual(set(), self.reactor.writers)

    def test_cancelledFailure(self) -> None:
        """So can one that has failed, but was not told yet."""
        endpoint, _ = self.fake(errno.ECONNREFUSED)
        reached = endpoint.connect(self.factory)
        reached.cancel()
        self.failureResultOf(reached, ConnectingCancelledError)
        self.assertEqual([], self.reactor.getDelayedCalls())
