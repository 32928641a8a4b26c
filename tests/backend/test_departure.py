"""Tests for :mod:`twisted_fcgi.backend.departure`."""

from __future__ import annotations

import errno

from twisted.internet.error import ConnectionLost, ConnectionRefusedError, TCPTimedOutError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import MemoryEndpoint, Transport
from twisted_fcgi.backend.departure import WATCHED, Departure
from twisted_fcgi.backend.member import Member
from twisted_fcgi.settings import MemberSettings

__all__ = ["DepartureTests", "MemberTests"]


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

    def test_closes(self) -> None:
        """Who takes a connection and closes it soon leaves."""
        protocol, _ = self.accept()
        self.clock.advance(WATCHED / 2)
        protocol.connectionLost(Failure(ConnectionLost()))  # type: ignore[attr-defined]
        self.assertEqual([True], self.told)

    def test_stays(self) -> None:
        """Who leaves it open stays; the connection is closed."""
        _, transport = self.accept()
        self.clock.advance(WATCHED)
        self.assertEqual([False], self.told)
        self.assertTrue(transport.disconnected)

    def test_several(self) -> None:
        """Who lost several requests at once has left, whoever takes the connection now."""
        self.accept()
        self.departure.ask(self.told.append)
        self.clock.advance(WATCHED)
        self.assertEqual([True, True], self.told)

    def test_unreachable(self) -> None:
        """Who can't be reached, or not in time, is not known to leave."""
        self.endpoint.refuse(TCPTimedOutError(errno.ETIMEDOUT))
        self.assertEqual([], self.told)
        self.clock.advance(WATCHED)
        self.departure.ask(self.told.append)
        self.clock.advance(WATCHED)
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


class MemberTests(SynchronousTestCase):
    """A member that is asked."""

    def test_impatient(self) -> None:
        """An application that nobody waits for is not watched."""
        endpoint = MemoryEndpoint()
        member = Member(MemberSettings("fcgi://m", patience=0.0), Clock(), endpoint)
        told: list[bool] = []
        member.askWhetherItLeaves(told.append)
        self.assertEqual(([False], []), (told, endpoint.attempts))
