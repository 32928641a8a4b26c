"""Tests for :mod:`twisted_fcgi.backend.probes`."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import MemoryEndpoint
from twisted_fcgi.backend.probes import MOST_PROBES, PROBE_LIMIT, Probes
from twisted_fcgi.balance import Balancer
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["ProbesTests"]


class ProbesTests(SynchronousTestCase):
    """Members that failed, and an endpoint for all of them."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()

    def probes(self, count: int = 1, **settings: object) -> Probes:
        """The probes of members that have just failed."""
        members = tuple(
            MemberSettings(f"fcgi://m{n}", **settings)  # type: ignore[arg-type]
            for n in range(count)
        )
        self.balancer = Balancer(BalancerSettings("balancer://b", members))
        probes = Probes(self.balancer, self.clock, lambda settings: self.endpoint, lambda: 0.0)
        for state in self.balancer.members:
            self.balancer.failed(state, 0.0)
            probes.watch(state)
        return probes

    def pass_(self, seconds: float) -> None:
        """Time passes while the balancer is asked for members."""
        self.balancer.elect(self.clock.seconds(), self.balancer.members)
        self.clock.advance(seconds)

    def test_backOff(self) -> None:
        """Probes come ever later, but at least once in a retry."""
        self.probes(retry=3.0)
        times = []
        for _ in range(100):
            self.pass_(0.125)
            # As soon as retry is over a request finds out that it is still down.
            self.balancer.failed(self.balancer.members[0], self.clock.seconds())
            if self.endpoint.attempts:
                times.append(self.clock.seconds())
                self.endpoint.refuse(ConnectionRefusedError())
        waits = [later - sooner for sooner, later in zip([0.0, *times], times)]
        self.assertEqual([0.5, 1.0, 2.0, 3.0, 3.0, 3.0], waits)

    def test_back(self) -> None:
        """A member that takes a connection is back; the connection is closed."""
        self.probes()
        self.pass_(0.5)
        application = self.endpoint.accept()
        self.assertEqual("", self.balancer.members[0].status)
        self.assertTrue(application.closed)

    def test_limit(self) -> None:
        """A connect that takes too long has failed, and is tried again."""
        self.probes()
        self.pass_(0.5)
        self.clock.advance(PROBE_LIMIT)
        self.assertEqual((1, []), (self.endpoint.cancelled, self.endpoint.attempts))
        self.pass_(1.0)
        self.assertEqual(1, len(self.endpoint.attempts))

    def test_most(self) -> None:
        """No more than so many connects go on at a time; the others have their turn."""
        self.probes(3 * MOST_PROBES)
        reached = 0
        for _ in range(5):
            self.pass_(0.5)
            self.assertLessEqual(len(self.endpoint.attempts), MOST_PROBES)
            while self.endpoint.attempts:
                self.endpoint.accept()
                reached += 1
        self.assertEqual(3 * MOST_PROBES, reached)

    def test_gone(self) -> None:
        """Who was taken out, by hand or by the configuration, is probed no more."""
        for change in ("D", "S", None):
            self.probes()
            state = self.balancer.members[0]
            if change:
                self.balancer.setStatus(state, change, True, 0.0)
            else:
                self.balancer.update(BalancerSettings("balancer://b"))
            self.pass_(0.5)
            self.assertEqual(([], []), (self.endpoint.attempts, self.clock.getDelayedCalls()))

    def test_stop(self) -> None:
        """Probes that are stopped leave nothing behind."""
        probes = self.probes(2)
        self.pass_(0.5)
        probes.stop()
        self.assertEqual(2, self.endpoint.cancelled)
        self.assertEqual([], self.clock.getDelayedCalls())
