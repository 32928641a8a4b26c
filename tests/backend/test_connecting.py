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
from twisted_fcgi.backend.connecting import DirectEndpoint, EagerConnection

__all__ = ["DirectEndpointTests"]


class FakeSocket:
    """A socket whose connect goes as it is told."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.family = socket.AF_INET
        self.options: list[tuple[int, ...]] = []
        self.closed = False

    def connect_ex(self, name: Any) -> int:
        return self.codes.pop(0)

    def getsockopt(self, *option: int) -> int:
        return self.codes.pop(0)

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)

    def setblocking(self, blocking: bool) -> None: ...

    def fileno(self) -> int:
        return 99

    def close(self) -> None:
        self.closed = True


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

    def fake(self, *codes: int) -> tuple[Any, FakeSocket]:
        """A connect that goes as it is told."""
        fake = FakeSocket(*codes)
        self.patch(socket, "socket", lambda *_: fake)
        return DirectEndpoint(self.reactor, socket.AF_INET, ("127.0.0.1", 1)), fake

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
            connecting = DirectEndpoint(self.reactor, socket.AF_UNIX, name).connect(self.factory)
            self.assertNoResult(connecting)
            self.reactor.advance(0)
            error: Any = self.failureResultOf(connecting, ConnectError).value
            self.assertEqual(code, error.osError)

    def test_backlog(self) -> None:
        """A UNIX socket's full backlog is a failure with EAGAIN."""
        name = self.listen(socket.AF_UNIX, self.mktemp()[-90:])
        endpoint = DirectEndpoint(self.reactor, socket.AF_UNIX, name)
        for _ in range(5):
            connecting = endpoint.connect(self.factory)
            if connecting.called:
                transport = self.successResultOf(connecting).transport
                self.addCleanup(transport.connectionLost, Failure(ConnectionDone()))
                continue
            self.reactor.advance(0)
            error: Any = self.failureResultOf(connecting, ConnectError).value
            self.assertEqual(errno.EAGAIN, error.osError)
            break
        else:
            self.fail("the backlog was never full")

    def test_noDescriptor(self) -> None:
        """Without a descriptor left, the connect fails."""

        def none(*_: Any) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        self.patch(socket, "socket", none)
        endpoint = DirectEndpoint(self.reactor, socket.AF_UNIX, "/x")
        connecting = endpoint.connect(self.factory)
        self.reactor.advance(0)
        error: Any = self.failureResultOf(connecting).value
        self.assertEqual(errno.EMFILE, error.osError)

    def test_later(self) -> None:
        """A connect that goes on is over when the socket can be written to."""
        endpoint, fake = self.fake(errno.EINPROGRESS, errno.EALREADY, 0)
        established = []
        endpoint.established = lambda *a: established.append(a) or "protocol"
        connecting = endpoint.connect(self.factory)
        self.assertNoResult(connecting)
        self.assertEqual(1, len(self.reactor.writers))
        self.reactor.turn()
        self.assertEqual("protocol", self.successResultOf(connecting))
        self.assertEqual([(fake, self.factory)], established)
        self.assertEqual(set(), self.reactor.writers)

    def test_refusedLater(self) -> None:
        """It may fail then; so it does when the kernel tells a hang-up instead."""
        for tell in ("turn", "lost"):
            endpoint, fake = self.fake(errno.EINPROGRESS, errno.EINPROGRESS, errno.ECONNREFUSED)
            connecting = endpoint.connect(self.factory)
            (handshake,) = self.reactor.writers
            if tell == "turn":
                self.reactor.turn()
            else:
                handshake.connectionLost(Failure(ConnectionLost()))
            handshake.connectionLost(Failure(ConnectionLost()))
            self.failureResultOf(connecting, ConnectionRefusedError)
            self.assertTrue(fake.closed)
            self.assertEqual(set(), self.reactor.writers)

    def test_cancelled(self) -> None:
        """A connect that goes on can be cancelled."""
        endpoint, fake = self.fake(errno.EINPROGRESS, errno.EALREADY)
        connecting = endpoint.connect(self.factory)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertTrue(fake.closed)
        self.assertEqual(set(), self.reactor.writers)

    def test_cancelledFailure(self) -> None:
        """So can one that has failed, but was not told yet."""
        endpoint, _ = self.fake(errno.ECONNREFUSED)
        connecting = endpoint.connect(self.factory)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertEqual([], self.reactor.getDelayedCalls())
