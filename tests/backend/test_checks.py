"""Tests for :mod:`twisted_fcgi.backend.checks`, in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import Application, MemoryEndpoint
from twisted_fcgi.backend.checks import LONGEST_SLEEP, MOST_CHECKS, HealthChecks
from twisted_fcgi.balance import Balancer, MemberState
from twisted_fcgi.settings import (
    BalancerSettings,
    CheckMethod,
    CheckSettings,
    MemberSettings,
)

__all__ = ["ChecksTests"]

PING = CheckSettings(CheckMethod.GET, interval=10.0, uri="/ping")
STATUS = (
    b"Content-Type: application/json\r\n\r\n"
    b'{"pool":"www","active processes":3,"idle processes":1,"listen queue":2,'
    b'"max listen queue":5,"max children reached":6,"slow requests":7}'
)


def balancerOf(*members: str, check: CheckSettings = PING, **settings: Any) -> BalancerSettings:
    """A balancer whose members are all checked alike."""
    made = [
        MemberSettings(f"fcgi://{name}", host=name, check=check, **settings) for name in members
    ]
    return BalancerSettings("balancer://b", tuple(made))


class ChecksTests(SynchronousTestCase):
    """
    Tests for :class:`HealthChecks`.

    :ivar endpoints: of the members, by name.
    :ivar events: what was logged.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoints: dict[str, MemoryEndpoint] = {}
        self.balancers: list[Balancer] = []
        self.checks = self.checker()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def checker(self) -> HealthChecks:
        return HealthChecks(lambda: self.balancers, self.clock, self.endpoint, lambda: 0.0)

    def endpoint(self, settings: MemberSettings) -> MemoryEndpoint:
        return self.endpoints.setdefault(settings.host, MemoryEndpoint())

    def start(self, settings: BalancerSettings) -> list[MemberState]:
        """Begin to check a balancer's members."""
        self.balancers.append(Balancer(settings))
        self.checks.start()
        return list(self.balancers[-1].members)

    def asked(self) -> list[str]:
        """The members that are being connected to."""
        return [name for name, endpoint in self.endpoints.items() if endpoint.attempts]

    def accept(self, name: str) -> Application:
        """A member takes the connection of its check."""
        return self.endpoints[name].accept().read()

    def answer(self, name: str, status: int) -> None:
        """A member takes its check, and answers."""
        application = self.accept(name)
        application.say(b"Status: %d\r\n\r\npong" % status)
        application.close()

    def rounds(self, name: str, statuses: str) -> str:
        """Let checks pass (+) or fail (-), and see what the member is after each."""
        [state] = self.balancers[-1].members
        seen = ""
        for status in statuses:
            self.clock.advance(10.0)
            self.answer(name, 200 if status == "+" else 500)
            seen += state.status or "."
        return seen

    def test_thresholds(self) -> None:
        """A member is taken out and brought back by so many checks in a row; each is logged."""
        self.start(balancerOf("a", check=replace(PING, passes=2, fails=3)))
        self.assertEqual(".....CCCC.", self.rounds("a", "--+---+-++"))
        self.assertEqual(
            [
                "balancer://b: health check DISABLING a:8000: answered with 500",
                "balancer://b: health check ENABLING a:8000",
            ],
            [
                event["log_format"].format(**event)
                for event in self.events
                if event.get("log_namespace") == "twisted_fcgi.backend.checks"
            ],
        )
        self.checks.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_inError(self) -> None:
        """Checks that pass bring a member back from error state, too."""
        [state] = self.start(balancerOf("a"))
        self.balancers[0].failed(state, 0.0, "gone")
        self.assertEqual(".", self.rounds("a", "+"))

    def test_when(self) -> None:
        """The first check is after an interval, and then one after each; never two at a time."""
        self.start(balancerOf("a", timeout=30.0))
        self.clock.pump([5.0, 4.9])
        self.assertEqual([], self.asked())
        self.clock.advance(0.1)
        application = self.accept("a")
        self.clock.pump([1.0] * 9)
        self.assertEqual([], self.asked())
        application.say(b"Status: 200\r\n\r\n")
        self.assertEqual([], self.asked())
        self.clock.advance(1.0)
        self.assertEqual(["a"], self.asked())

    def test_often(self) -> None:
        """Intervals are kept, however short, beside longer ones."""
        often, seldom = (
            member
            for name, interval in (("a", 0.5), ("b", 30.0))
            for member in balancerOf(name, check=replace(PING, interval=interval)).members
        )
        self.start(BalancerSettings("balancer://b", (often, seldom)))
        for _ in range(480):
            self.clock.advance(0.125)
            for name in self.asked():
                self.answer(name, 200)
        connects = [len(self.endpoints[name].applications) for name in "ab"]
        self.assertEqual([120, 2], connects)

    def test_startsOut(self) -> None:
        """A member that begins with status=C is checked at once."""
        [state] = self.start(balancerOf("a", "b", status=frozenset("C")))[:1]
        self.assertEqual(["a", "b"], self.asked())
        self.answer("a", 200)
        self.assertEqual("", state.status)

    def test_tooLong(self) -> None:
        """A check takes no longer than the member's timeout, nor than the interval."""
        for timeout, longest in (None, 10.0), (2.0, 2.0), (90.0, 10.0):
            self.setUp()
            [state] = self.start(balancerOf("a", timeout=timeout))
            self.clock.advance(10.0)
            self.accept("a")
            self.clock.advance(longest - 0.1)
            self.assertEqual("", state.status)
            self.clock.advance(0.1)
            self.assertEqual("C", state.status)
            self.assertEqual(f"a:8000 did not answer within {longest:g} s", state.health.complaint)

    def test_tooBusy(self) -> None:
        """No answer from a member that is full, and answers others, counts neither way."""
        for limit, busy, read, status in [
            (2, 2, 100, ""),
            (2, 2, 0, "C"),
            (2, 1, 100, "C"),
            (None, 2, 100, "C"),
        ]:
            self.setUp()
            [state] = self.start(balancerOf("a", max=limit))
            for _ in range(3):
                self.balancers[0].began(state)
            for _ in range(2 - busy):
                self.balancers[0].finished(state)
            self.clock.advance(10.0)
            self.accept("a")
            self.balancers[0].finished(state, received=read)
            self.clock.advance(10.0)
            self.assertEqual(status, state.status, (limit, busy, read))

    def test_stopped(self) -> None:
        """A member that is stopped is not checked, as in httpd; a disabled one is."""
        one, other = self.start(balancerOf("a", "b"))
        self.balancers[0].setStatus(one, "S", True, 0.0)
        self.balancers[0].setStatus(other, "D", True, 0.0)
        self.clock.advance(10.0)
        self.assertEqual(["b"], self.asked())

    def test_atATime(self) -> None:
        """No more than so many are asked at a time; the others follow, each one once."""
        names = [f"m{n}" for n in range(MOST_CHECKS + 4)]
        self.start(balancerOf(*names))
        self.clock.advance(10.0)
        self.assertEqual(names[:MOST_CHECKS], self.asked())
        self.answer("m3", 200)
        self.assertEqual({*names[: MOST_CHECKS + 1]} - {"m3"}, {*self.asked()})
        while self.asked():
            self.answer(self.asked()[-1], 200)
        connects = [len(self.endpoints[name].applications) for name in names]
        self.assertEqual([1] * len(names), connects)

    def test_atOnce(self) -> None:
        """Members that refuse at once, however many, are all told of."""
        names = [f"m{n}" for n in range(3000)]
        states = self.start(balancerOf(*names))

        class Refusing(MemoryEndpoint):
            def connect(self, factory: Any) -> Any:
                attempt = super().connect(factory)
                self.refuse(OSError("refused"))
                return attempt

        self.endpoints = {name: Refusing() for name in names}
        self.clock.advance(10.0)
        self.assertEqual({"C"}, {state.status for state in states})

    def test_comeAndGo(self) -> None:
        """Members that have come are checked, and those that have gone are not judged."""
        both = balancerOf("a", "b")
        first, _ = self.start(both)
        self.clock.advance(10.0)
        application = self.accept("a")
        self.balancers[0].update(balancerOf("b", "c"))
        application.say(b"Status: 500\r\n\r\n")
        self.assertEqual("", first.status)
        self.clock.pump([LONGEST_SLEEP] * 3)
        self.assertIn("c", self.asked())
        self.assertNotIn("a", self.asked())

    def test_otherCheck(self) -> None:
        """What a check says that is not wanted in this form any more is not heard."""
        [state] = self.start(balancerOf("a"))
        self.clock.advance(10.0)
        application = self.accept("a")
        self.balancers[0].update(balancerOf("a", check=replace(PING, uri="/other")))
        application.say(b"Status: 500\r\n\r\n")
        self.assertEqual("", state.status)

    def test_figures(self) -> None:
        """What php-fpm's status page says is kept, also while the checks fail."""
        [state] = self.start(balancerOf("a"))
        self.clock.advance(10.0)
        self.accept("a").say(STATUS)
        found = state.health.figures
        assert found is not None
        self.assertEqual((3, 1, 2, 5, 6, 7), found[1:])
        self.assertEqual(10.0, state.health.checkedAt)
        self.rounds("a", "-")
        self.assertEqual(found, state.health.figures)

    def test_stop(self) -> None:
        """To stop gives up what goes on, and keeps what was found."""
        states = self.start(balancerOf("a", "b", "c"))
        self.clock.advance(10.0)
        self.answer("a", 500)
        application = self.accept("b")
        self.checks.stop()
        self.assertTrue(application.transport.disconnecting or application.transport.disconnected)
        application.close()
        self.assertEqual([], self.asked())
        self.assertEqual(["C", "", ""], [state.status for state in states])
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_reload(self) -> None:
        """Who goes on in the place of another knows what that one found."""
        self.start(balancerOf("a", check=replace(PING, fails=2)))
        self.rounds("a", "-")
        self.checks.stop()
        self.balancers = [Balancer(self.balancers[0].settings, self.balancers[0])]
        self.checks = self.checker()
        self.checks.start()
        self.assertEqual("C", self.rounds("a", "-"))

    def test_nothingToCheck(self) -> None:
        """There is no timer before there are members that are to be checked, and while stopped."""
        self.start(balancerOf("a", check=CheckSettings()))
        self.assertEqual([], self.clock.getDelayedCalls())
        self.balancers[0].update(balancerOf("a", "b"))
        self.checks.changed()
        self.clock.advance(10.0)
        self.assertEqual(["a", "b"], self.asked())
        self.checks.stop()
        self.checks.changed()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_changed(self) -> None:
        """Who was told of is looked for at once, with what goes on going on."""
        self.start(balancerOf("a"))
        self.clock.advance(10.0)
        self.balancers[0].update(balancerOf("a", "b", status=frozenset("C")))
        self.checks.changed()
        self.clock.advance(0.05)
        self.assertEqual(["a", "b"], self.asked())
        self.assertEqual(1, len(self.endpoints["a"].attempts))
