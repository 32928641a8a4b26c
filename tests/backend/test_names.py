"""Tests for :mod:`twisted_fcgi.backend.names`."""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.names import (
    ADDRESS_TTL,
    ATTEMPT_DELAY,
    LOOKUP_PATIENCE,
    MAX_ADDRESSES,
    NamedEndpoint,
    reportUnknown,
)
from twisted_fcgi.backend.resolver import Answer, Found, LookupFailed
from twisted_fcgi.settings import MemberSettings

__all__ = ["NamedEndpointTests", "ReportUnknownTests"]

REFUSED = ConnectionRefusedError(111, "refused")


class Resolver:
    """Finds what it is told, when it is told."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, str, int]] = []

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0) -> None:
        self.asked.append((receiver, name, portNumber))

    def find(self, *hosts: str) -> None:
        receiver, _, port = self.asked.pop(0)
        receiver.resolutionBegan(None)
        for host in hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            receiver.addressResolved(kind("TCP", host, port))
        receiver.resolutionComplete()


class Named(NamedEndpoint):
    """Connects to addresses when a test says so."""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        super().__init__(reactor, host, port)
        self.attempts: dict[str, Deferred[Any]] = {}
        self.tried: list[str] = []
        self.cancelled: list[str] = []

    def endpointOf(self, address: Any) -> Any:
        named = self

        class Address:
            def connect(self, factory: Any) -> Deferred[Any]:
                named.tried.append(address.host)
                attempt: Deferred[Any] = Deferred(
                    lambda d: (
                        named.cancelled.append(address.host),
                        d.errback(ConnectingCancelledError(None)),
                    )
                )
                named.attempts[address.host] = attempt
                return attempt

        return Address()


class Told:
    """Knows one answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def addresses(self, name: str) -> Deferred[Answer]:
        self.asked.append(name)
        return succeed(self.answer)


class NamedEndpointTests(SynchronousTestCase):
    """Tests for :class:`NamedEndpoint`."""

    def setUp(self) -> None:
        self.clock: Any = Clock()
        self.resolver = self.clock.nameResolver = Resolver()
        self.endpoint = Named(self.clock, "app.example", 9000)

    def connect(self, *hosts: str) -> Deferred[Any]:
        connecting = self.endpoint.connect(None)  # type: ignore[arg-type]
        if hosts:
            self.resolver.find(*hosts)
        return connecting

    def test_oneAddress(self) -> None:
        """A name is looked up, and its address connected to."""
        connecting = self.endpoint.connect(None)  # type: ignore[arg-type]
        self.assertEqual(["app.example"], [name for _, name, _ in self.resolver.asked])
        self.resolver.find("192.0.2.1")
        self.endpoint.attempts["192.0.2.1"].callback("connection")
        self.assertEqual("connection", self.successResultOf(connecting))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_unknown(self) -> None:
        """A name without an address is a look-up's failure, and is looked up again."""
        connecting = self.connect()
        self.resolver.find()
        self.failureResultOf(connecting, DNSLookupError)
        self.connect()
        self.assertEqual(1, len(self.resolver.asked))

    def test_remembered(self) -> None:
        """What was found is believed for ADDRESS_TTL seconds."""
        self.connect("192.0.2.1")
        self.clock.advance(ADDRESS_TTL - 1)
        self.connect()
        self.assertEqual(["192.0.2.1"] * 2, self.endpoint.tried)
        self.clock.advance(1)
        self.connect("192.0.2.2")
        self.assertEqual("192.0.2.2", self.endpoint.tried[-1])

    def test_oneLookUp(self) -> None:
        """Those who connect while a name is looked up wait for the same answer."""
        both = [self.endpoint.connect(None) for _ in range(2)]  # type: ignore[arg-type]
        both.append(self.endpoint.connect(None))  # type: ignore[arg-type]
        self.assertEqual(1, len(self.resolver.asked))
        both[2].cancel()
        self.failureResultOf(both[2])
        self.resolver.find("192.0.2.1")
        self.assertEqual(["192.0.2.1"] * 2, self.endpoint.tried)

    def test_lookUpAfterFailure(self) -> None:
        """After a connect that failed on all addresses, the name is looked up again."""
        connecting = self.connect("192.0.2.1")
        self.endpoint.attempts["192.0.2.1"].errback(REFUSED)
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.connect("192.0.2.2")
        self.assertEqual("192.0.2.2", self.endpoint.tried[-1])

    def test_lookAgain(self) -> None:
        """When all that was remembered failed, the same connect goes on to new addresses."""
        self.connect("192.0.2.1")
        again = self.connect()
        self.endpoint.attempts["192.0.2.1"].errback(REFUSED)
        self.assertNoResult(again)
        self.resolver.find("192.0.2.2")
        self.endpoint.attempts["192.0.2.2"].callback("connection")
        self.assertEqual("connection", self.successResultOf(again))

    def test_noOthers(self) -> None:
        """When there are no new addresses, or nobody knows, the failure is told."""
        for found in ((), ("192.0.2.1",)):
            self.setUp()
            self.connect("192.0.2.1")
            again = self.connect()
            self.endpoint.attempts["192.0.2.1"].errback(REFUSED)
            self.resolver.find(*found)
            self.failureResultOf(again, ConnectionRefusedError)

    def test_lastGoodAnswer(self) -> None:
        """While nobody knows a name, what it stood for last is used, and it is asked for later."""
        self.connect("192.0.2.1")
        self.clock.advance(ADDRESS_TTL)
        self.connect()
        self.resolver.find()
        self.assertEqual(["192.0.2.1"] * 2, self.endpoint.tried)
        self.connect()
        self.assertEqual(([], 3), (self.resolver.asked, len(self.endpoint.tried)))
        self.clock.advance(ADDRESS_TTL)
        self.connect()
        self.assertEqual(1, len(self.resolver.asked))

    def test_slowLookUp(self) -> None:
        """A look-up that takes long is not waited for when there are addresses from before."""
        self.connect("192.0.2.1")
        self.clock.advance(ADDRESS_TTL)
        self.connect()
        self.clock.advance(LOOKUP_PATIENCE)
        self.assertEqual(["192.0.2.1"] * 2, self.endpoint.tried)
        self.resolver.find("192.0.2.2")
        self.connect()
        self.assertEqual("192.0.2.2", self.endpoint.tried[-1])

    def test_cancelledWhileLookingUp(self) -> None:
        """A connect that is cancelled while the name is looked up again connects to nothing."""
        self.connect("192.0.2.1")
        self.clock.advance(ADDRESS_TTL)
        connecting = self.connect()
        connecting.cancel()
        self.failureResultOf(connecting)
        self.resolver.find("192.0.2.2")
        self.assertEqual(["192.0.2.1"], self.endpoint.tried)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_timeToLive(self) -> None:
        """Where the TTL is known, it counts, within a second and addressttl."""
        for ttl, seconds in ((0.0, 1.0), (5.0, 5.0), (1e6, ADDRESS_TTL)):
            clock: Any = Clock()
            endpoint = Named(clock, "app.example", 9000)
            told: Any = Told(Answer((Found("192.0.2.1"),), ttl))
            endpoint._resolver = told
            for moment in (0.0, seconds / 2, seconds / 2):
                clock.advance(moment)
                endpoint.connect(None)  # type: ignore[arg-type]
            self.assertEqual(["app.example"] * 2, told.asked)

    def test_order(self) -> None:
        """Both kinds of addresses are tried in turn, ATTEMPT_DELAY apart (RFC 8305, 4 and 5)."""
        self.connect("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1")
        self.clock.pump([ATTEMPT_DELAY] * 5)
        self.assertEqual(
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"], self.endpoint.tried
        )

    def test_nextAtOnce(self) -> None:
        """An address that fails is followed by the next at once."""
        connecting = self.connect("192.0.2.1", "192.0.2.2")
        self.endpoint.attempts["192.0.2.1"].errback(REFUSED)
        self.endpoint.attempts["192.0.2.2"].callback("connection")
        self.assertEqual("connection", self.successResultOf(connecting))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_firstWins(self) -> None:
        """The first address that answers wins, and the others are given up."""
        connecting = self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.advance(ATTEMPT_DELAY)
        self.endpoint.attempts["192.0.2.2"].callback("connection")
        self.assertEqual("connection", self.successResultOf(connecting))
        self.assertEqual(["192.0.2.1"], self.endpoint.cancelled)
        self.clock.advance(10)
        self.assertEqual(["192.0.2.1", "192.0.2.2"], self.endpoint.tried)

    def test_winnerFirst(self) -> None:
        """The address that worked is the first to be tried by the next connect."""
        self.connect("2001:db8::1", "192.0.2.1")
        self.endpoint.attempts["2001:db8::1"].errback(REFUSED)
        self.endpoint.attempts["192.0.2.1"].callback("connection")
        self.connect()
        self.assertEqual("192.0.2.1", self.endpoint.tried[-1])

    def test_allFail(self) -> None:
        """When all addresses fail, the last failure is told, and once."""
        connecting = self.connect("192.0.2.1", "192.0.2.2")
        self.clock.advance(ATTEMPT_DELAY)
        self.endpoint.attempts["192.0.2.2"].errback(REFUSED)
        self.assertNoResult(connecting)
        self.endpoint.attempts["192.0.2.1"].errback(ConnectionRefusedError(111, "last"))
        failure = self.failureResultOf(connecting, ConnectionRefusedError)
        self.assertIn("last", str(failure.value))

    def test_atOnce(self) -> None:
        """A connection that is there at once is there without a race, and without a Deferred."""
        name = Named(self.clock, "x.example", 80)
        there = object()

        class Address:
            connect = None

            def reach(self, factory: Any) -> Any:
                return there

        self.patch(name, "endpointOf", lambda address: Address())
        connecting = name.connect(Factory())
        self.resolver.find("192.0.2.1", "192.0.2.2")
        self.assertIs(self.successResultOf(connecting), there)
        self.assertIs(name.reach(Factory()), there)
        self.assertIs(self.successResultOf(name.connect(Factory())), there)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """A connect can be cancelled: its attempts are given up."""
        connecting = self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.advance(ATTEMPT_DELAY)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError)
        self.assertEqual(["192.0.2.1", "192.0.2.2"], self.endpoint.cancelled)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_bounded(self) -> None:
        """Of a name with very many addresses only some are tried."""
        self.connect(*(f"192.0.2.{n}" for n in range(200)))
        self.clock.pump([ATTEMPT_DELAY] * 250)
        self.assertEqual(MAX_ADDRESSES, len(self.endpoint.tried))


class ReportUnknownTests(SynchronousTestCase):
    """Tests for :func:`reportUnknown`."""

    def test_unknown(self) -> None:
        """Names that nobody knows, and those without an address, are a warning each."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        answers: dict[str, Deferred[Answer]] = {
            "a": succeed(Answer((Found("192.0.2.1"),), inf)),
            "b": succeed(Answer((), inf)),
            "c": fail(LookupFailed("?")),
        }

        class Resolver:
            addresses = answers.pop

        members = [MemberSettings(f"fcgi://{name}", name) for name in ("a", "b", "c", "a")]
        reportUnknown(members, None, lambda servers, reactor: Resolver())  # type: ignore[arg-type, return-value]
        texts = [event["log_format"].format(**event) for event in events]
        self.assertEqual(["b", "c"], [text.split()[0] for text in texts])
        self.assertEqual({}, answers)
