"""Tests for :mod:`twisted_fcgi.backend.departure`."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.internet.error import ConnectionLost, ConnectionRefusedError, TCPTimedOutError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import MemoryEndpoint, Transport
from tests.peers.process import freePort
from twisted_fcgi.backend import departure
from twisted_fcgi.backend.departure import LOOKS, WATCHED, Departure, listenerOf
from twisted_fcgi.backend.member import Member
from twisted_fcgi.settings import MemberSettings

__all__ = ["DepartureTests", "ListenerTests", "MemberTests", "SocketTests"]


class DepartureTests(SynchronousTestCase):
    """An application that may be about to leave."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()
        self.departure = Departure(self.endpoint, self.clock)
        self.told: list[bool] = []
        self.departure.ask(self.told.append)

    def tearDown(self) -> None:
        """Nothing is left behind."""
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertEqual([], self.endpoint.attempts)

    def accept(self) -> tuple[object, Transport]:
        """The connection is taken."""
        factory, attempt = self.endpoint.attempts.pop(0)
        protocol, transport = factory.buildProtocol(None), Transport()
        protocol.makeConnection(transport)
        attempt.callback(protocol)
        return protocol, transport

    def test_refuses(self) -> None:
        """Who refuses connections leaves, or has left."""
        self.endpoint.refuse(ConnectionRefusedError(errno.ECONNREFUSED))
        self.assertEqual([True], self.told)

    def watched(self) -> None:
        """Time passes, in which we are not stopped."""
        self.clock.pump([WATCHED / LOOKS] * LOOKS)

    def test_closes(self) -> None:
        """Who takes a connection and closes it soon leaves."""
        protocol, _ = self.accept()
        self.clock.advance(WATCHED / 2)
        protocol.connectionLost(Failure(ConnectionLost()))  # type: ignore[attr-defined]
        self.assertEqual([True], self.told)

    def test_stays(self) -> None:
        """Who leaves it open stays; the connection is closed."""
        _, transport = self.accept()
        self.watched()
        self.assertEqual([False], self.told)
        self.assertTrue(transport.disconnected)

    def test_several(self) -> None:
        """Who lost several requests at once has left, whoever takes the connection now."""
        self.accept()
        self.departure.ask(self.told.append)
        self.watched()
        self.assertEqual([True, True], self.told)

    def test_stopped(self) -> None:
        """While we were stopped ourselves nobody was watched: what happened meanwhile is heard."""
        protocol, _ = self.accept()
        self.clock.advance(60 * WATCHED)
        self.assertEqual([], self.told)
        protocol.connectionLost(Failure(ConnectionLost()))  # type: ignore[attr-defined]
        self.assertEqual([True], self.told)

    def test_unreachable(self) -> None:
        """Who can't be reached, or not in time, is not known to leave."""
        self.endpoint.refuse(TCPTimedOutError(errno.ETIMEDOUT))
        self.assertEqual([], self.told)
        self.watched()
        self.departure.ask(self.told.append)
        self.watched()
        self.assertEqual(([False, False], 1), (self.told, self.endpoint.cancelled))

    def test_shared(self) -> None:
        """All who ask meanwhile are told by the same connection, and may ask again at once."""
        self.departure.ask(lambda leaves: self.departure.ask(self.told.append))
        self.assertEqual(1, len(self.endpoint.attempts))
        self.endpoint.refuse(ConnectionRefusedError(errno.ECONNREFUSED))
        self.assertEqual([True], self.told)
        self.endpoint.refuse(ConnectionRefusedError(errno.ECONNREFUSED))
        self.assertEqual([True, True], self.told)

    def test_stop(self) -> None:
        """When it is of no interest any more, nobody is known to leave."""
        self.departure.stop()
        self.assertEqual(([False], 1), (self.told, self.endpoint.cancelled))


class SocketTests(SynchronousTestCase):
    """An application that was restarted at its UNIX socket before we looked."""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = Path(directory.name) / "socket"
        self.path.touch()
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()
        settings = MemberSettings("fcgi://m", socket=str(self.path))
        self.departure = Departure(self.endpoint, self.clock, lambda: listenerOf(settings))
        self.departure.met()
        self.told: list[bool] = []

    def restart(self) -> None:
        """Another socket is there."""
        new = self.path.with_name("new")
        new.touch()
        os.rename(new, self.path)

    def test_another(self) -> None:
        """It has left, which is told soon, and once for each time that it is another."""
        self.restart()
        self.departure.ask(self.told.append)
        self.clock.pump([WATCHED / LOOKS] * 2)
        self.assertEqual([True], self.told)
        self.departure.ask(self.told.append)
        self.clock.pump([WATCHED / LOOKS] * LOOKS)
        self.assertEqual([True, False], self.told)

    def test_oneAfterTheOther(self) -> None:
        """Who finds out later what was lost with it, since we were stopped, is told the same."""
        self.restart()
        self.departure.ask(self.told.append)
        self.clock.advance(60 * WATCHED)
        self.departure.ask(self.told.append)
        self.clock.advance(60 * WATCHED)
        self.assertEqual([True, True], self.told)

    def test_removed(self) -> None:
        """It has left as well when there is none, for now."""
        self.path.unlink()
        self.departure.ask(self.told.append)
        self.clock.pump([WATCHED / LOOKS] * 2)
        self.assertEqual([True], self.told)

    def test_meanwhile(self) -> None:
        """It may become another while it is watched."""
        self.departure.ask(self.told.append)
        self.restart()
        self.clock.pump([WATCHED / LOOKS] * LOOKS)
        self.assertEqual([True], self.told)

    def test_met(self) -> None:
        """Who was met since is no other."""
        self.restart()
        self.departure.met()
        self.departure.ask(self.told.append)
        self.clock.pump([WATCHED / LOOKS] * LOOKS)
        self.assertEqual([False], self.told)


class ListenerTests(SynchronousTestCase):
    """Who listens at a port of this machine."""

    def listen(self, port: int) -> socket.socket:
        """A socket at a port."""
        listening = socket.socket()
        self.addCleanup(listening.close)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        return listening

    def test_another(self) -> None:
        """It is the same until another one listens, or nobody."""
        port = freePort()
        first = self.listen(port)
        settings = MemberSettings("fcgi://m", host="127.0.0.1", port=port)
        known = listenerOf(settings)
        self.assertTrue(known)
        self.assertEqual(known, listenerOf(settings))
        with socket.create_connection(("127.0.0.1", port)):
            self.assertEqual(known, listenerOf(settings))
        first.close()
        self.assertEqual([], listenerOf(settings))
        self.listen(port)
        self.assertNotIn(listenerOf(settings), (known, []))

    def test_elsewhere(self) -> None:
        """Of another machine nothing is known, nor where the system has no such tables."""
        port = freePort()
        self.listen(port)
        self.assertIsNone(listenerOf(MemberSettings("fcgi://m", host="192.0.2.1", port=port)))
        self.patch(departure, "_TABLES", ("/nowhere",))
        nobody = listenerOf(MemberSettings("fcgi://m", host="127.0.0.1", port=port))
        self.assertEqual([], nobody)


class MemberTests(SynchronousTestCase):
    """A member that is asked."""

    def test_impatient(self) -> None:
        """An application that nobody waits for is not watched."""
        endpoint = MemoryEndpoint()
        member = Member(MemberSettings("fcgi://m", patience=0.0), Clock(), endpoint)
        told: list[bool] = []
        member.askWhetherItLeaves(told.append)
        self.assertEqual(([False], []), (told, endpoint.attempts))
