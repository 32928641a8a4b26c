"""Tests for :mod:`twisted_fcgi.backend.discovery`, with scripted answers."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_fcgi.backend.discovery import (
    DOUBT,
    FOREVER,
    LONGEST,
    MOST_FACTOR,
    PATIENCE,
    SHORTEST,
    Discovery,
    Source,
    membersOf,
)
from twisted_fcgi.backend.resolver import Answer, Found, LookupFailed
from twisted_fcgi.settings import BalancerSettings, MemberSettings, TLSSettings

__all__ = ["DiscoveryTests", "MembersOfTests", "SourceTests"]

SERVICE = MemberSettings("srv+fcgi://_php._tcp.example.org/srv", "_php._tcp.example.org")
HOST = MemberSettings("fcgi://app.example.org:9000/srv", "app.example.org", 9000)

NOBODY = Answer((), inf)


def answer(*hosts: str, ttl: float = 10.0) -> Answer:
    """A service's members, or a host's addresses."""
    return Answer(tuple(Found(host, 9000) for host in hosts), ttl)


class MembersOfTests(SynchronousTestCase):
    """Tests for :func:`membersOf`."""

    def test_service(self) -> None:
        """Each has its own address and port, and all else that the service was given."""
        template = replace(SERVICE, timeout=5.0, reuse=True, tls=TLSSettings(), lbset=1)
        one, two = membersOf(
            template, [Found("192.0.2.1", 9000, 0, 1), Found("2001:db8::1", 8000, 4, 1)]
        )
        self.assertEqual("fcgi://192.0.2.1:9000/srv", one.url)
        self.assertEqual("fcgi://[2001:db8::1]/srv", two.url)
        self.assertEqual(("2001:db8::1", 8000), (two.host, two.port))
        self.assertEqual([1, 5], [one.lbset, two.lbset])
        known = {"timeout": 5.0, "reuse": True, "tls": TLSSettings(), "origin": SERVICE.host}
        for name, value in known.items():
            self.assertEqual(value, getattr(one, name))

    def test_weights(self) -> None:
        """Weights are shares; without any, all are equal."""
        cases = (
            ((0, 0), (100, 100)),
            ((1, 1), (100, 100)),
            ((10, 30), (1000, 3000)),
            ((0, 100), (1, MOST_FACTOR)),
            ((65535, 6553), (MOST_FACTOR, 999)),
        )
        for weights, factors in cases:
            found = [Found(f"192.0.2.{n}", 1, 0, weight) for n, weight in enumerate(weights)]
            members = membersOf(SERVICE, found)
            self.assertEqual(factors, tuple(member.loadFactor for member in members))

    def test_factor(self) -> None:
        """A factor that was configured multiplies them."""
        found = [Found("192.0.2.1", 1, 0, 3)]
        self.assertEqual(600, membersOf(replace(SERVICE, loadFactor=200), found)[0].loadFactor)

    def test_addresses(self) -> None:
        """Of a host's addresses those of the kind are members of which there are more."""
        cases = (
            (("192.0.2.1",), None),
            (("192.0.2.1", "2001:db8::1"), None),
            (("192.0.2.2", "192.0.2.1"), ["192.0.2.1", "192.0.2.2"]),
            (("192.0.2.2", "192.0.2.1", "2001:db8::1"), ["192.0.2.1", "192.0.2.2"]),
            (("2001:db8::2", "192.0.2.1", "2001:db8::1"), ["2001:db8::1", "2001:db8::2"]),
            (("192.0.2.2", "2001:db8::2", "192.0.2.1", "2001:db8::1"), ["192.0.2.1", "192.0.2.2"]),
        )
        for hosts, wanted in cases:
            members = membersOf(HOST, map(Found, hosts))
            if wanted is None:
                self.assertEqual((HOST,), members)
            else:
                self.assertEqual(wanted, [member.host for member in members])
                self.assertEqual({9000}, {member.port for member in members})

    def test_routes(self) -> None:
        """Members of one name have routes of their own, if it was given one."""
        template = replace(SERVICE, route="app")
        members = membersOf(template, [Found("192.0.2.1", 9000), Found("2001:db8::1", 9000)])
        self.assertEqual(
            ["app-192-0-2-1-9000", "app-2001-db8-1-9000"], [member.route for member in members]
        )
        self.assertEqual("", membersOf(SERVICE, [Found("192.0.2.1", 1)])[0].route)

    def test_twice(self) -> None:
        """An address that is told twice is one member."""
        found = [Found("192.0.2.1", 9000)] * 2
        self.assertEqual(1, len(membersOf(SERVICE, found)))


class SourceTests(SynchronousTestCase):
    """Tests for :class:`Source`."""

    def source(self, template: MemberSettings = SERVICE, random: float = 0.5) -> Source:
        return Source(template, lambda: random)

    def hosts(self, source: Source) -> list[str]:
        return [member.host for member in source.members]

    def test_begin(self) -> None:
        """A service has no members before there is an answer; a host's name is one."""
        self.assertEqual((), self.source().members)
        self.assertEqual((HOST,), self.source(HOST).members)

    def test_ttl(self) -> None:
        """It is asked for again after its TTL, within SHORTEST, addressttl and FOREVER."""
        forever = replace(SERVICE, addressTtl=inf)
        cases = (
            (SERVICE, 10.0, 10.0),
            (SERVICE, 0.0, SHORTEST),
            (SERVICE, 1e6, SERVICE.addressTtl),
            (SERVICE, inf, SERVICE.addressTtl),
            (forever, inf, FOREVER),
        )
        for template, ttl, wanted in cases:
            source = self.source(template)
            source.answered(answer("192.0.2.1", ttl=ttl), 100.0)
            self.assertEqual(100.0 + wanted, source.nextAt)

    def test_jitter(self) -> None:
        """Not all ask at the same moment."""
        for random, wanted in ((0.0, 9.0), (1.0, 11.0)):
            source = self.source(random=random)
            source.answered(answer("192.0.2.1"), 0.0)
            self.assertAlmostEqual(wanted, source.nextAt)

    def test_failures(self) -> None:
        """While nobody knows, the last answer holds for ever, and questions become rarer."""
        source = self.source(random=1.0)
        source.answered(answer("192.0.2.1"), 0.0)
        now, pauses = 0.0, []
        for _ in range(40):
            source.failed(now)
            pauses.append(source.nextAt - now)
            now = source.nextAt
        self.assertEqual([1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST], pauses[:7])
        self.assertEqual({LONGEST}, set(pauses[5:]))
        self.assertEqual(["192.0.2.1"], self.hosts(source))
        source.answered(answer("192.0.2.2"), now)
        self.assertEqual((["192.0.2.2"], 0), (self.hosts(source), source.failures))

    def test_backOffJitter(self) -> None:
        """Pauses are of random length, and never shorter than SHORTEST."""
        source = self.source(random=0.0)
        pauses = []
        for _ in range(8):
            source.failed(0.0)
            pauses.append(source.nextAt)
        self.assertEqual([1.0, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0], pauses)

    def test_doubt(self) -> None:
        """That there is nobody any more is believed after DOUBT seconds only."""
        source = self.source()
        source.answered(answer("192.0.2.1"), 0.0)
        now = 10.0
        source.answered(NOBODY, now)
        self.assertTrue(source.doubted)
        while now < 10.0 + DOUBT - 4:
            now = source.nextAt
            source.answered(NOBODY, now)
            self.assertEqual(["192.0.2.1"], self.hosts(source))
        source.answered(NOBODY, 10.0 + DOUBT)
        self.assertEqual([], self.hosts(source))
        source.answered(answer("192.0.2.1"), 50.0)
        self.assertEqual((["192.0.2.1"], False), (self.hosts(source), source.doubted))

    def test_doubtOver(self) -> None:
        """An answer that there is somebody begins it anew."""
        source = self.source()
        source.answered(answer("192.0.2.1"), 0.0)
        source.answered(NOBODY, 10.0)
        source.answered(answer("192.0.2.1"), 20.0)
        source.answered(NOBODY, 20.0 + DOUBT)
        self.assertEqual(["192.0.2.1"], self.hosts(source))

    def test_hostDoubt(self) -> None:
        """A host that has no address any more is the one member that was configured."""
        source = self.source(HOST)
        source.answered(Answer((Found("192.0.2.1"), Found("192.0.2.2")), 1.0), 0.0)
        self.assertEqual(2, len(source.members))
        source.answered(NOBODY, 0.0)
        source.answered(NOBODY, DOUBT)
        self.assertEqual((HOST,), source.members)

    def test_suspected(self) -> None:
        """A connect that failed is a reason to ask at once, but not more often than SHORTEST."""
        source = self.source()
        source.began(100.0)
        source.answered(answer("192.0.2.1"), 100.0)
        source.suspected(100.25)
        self.assertEqual(100.0 + SHORTEST, source.nextAt)
        source.answered(answer("192.0.2.1"), 100.0)
        source.suspected(105.0)
        self.assertEqual(105.0, source.nextAt)
        source.suspected(106.0)
        self.assertEqual(105.0, source.nextAt)

    def test_same(self) -> None:
        """Members that were there before are the same objects."""
        source = self.source()
        source.answered(answer("192.0.2.1", "192.0.2.2"), 0.0)
        before = source.members
        source.answered(answer("192.0.2.2", "192.0.2.3"), 0.0)
        self.assertIs(before[1], source.members[0])


class Names:
    """A resolver that answers when a test says so."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Deferred[Answer]]] = []

    def service(self, name: str) -> Deferred[Answer]:
        self.asked.append((name, Deferred()))
        return self.asked[-1][1]

    addresses = service

    def tell(self, told: Answer | Exception) -> str:
        """Answer the oldest question; returns its name."""
        name, asking = self.asked.pop(0)
        if isinstance(told, Answer):
            asking.callback(told)
        else:
            asking.errback(told)
        return name


@implementer(IStreamClientEndpoint)
class Refusing:
    """Nobody is there."""

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        return fail(ConnectionRefusedError(111, "refused"))


class DiscoveryTests(SynchronousTestCase):
    """
    Tests for :class:`Discovery`.

    :ivar told: what balancers were told.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.names = Names()
        self.told: list[tuple[BalancerSettings, list[str]]] = []
        self.asked: list[tuple[str, ...]] = []
        self.discovery = Discovery(self.clock, self.changed, self.resolver, lambda: 0.5)
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def resolver(self, servers: tuple[str, ...], reactor: Any) -> Any:
        self.asked.append(servers)
        return self.names

    def changed(self, settings: BalancerSettings, members: tuple[MemberSettings, ...]) -> None:
        self.told.append((settings, [member.host for member in members]))

    def watch(self, *members: MemberSettings) -> BalancerSettings:
        balancer = BalancerSettings("balancer://app", members)
        self.before = self.discovery.watch(balancer)
        self.discovery.start()
        return balancer

    def warnings(self) -> list[str]:
        return [
            event["log_format"].format(**event)
            for event in self.events
            if event["log_level"].name == "warn"
        ]

    def test_numeric(self) -> None:
        """Balancers of addresses and sockets are none of its business."""
        self.watch(
            MemberSettings("fcgi://192.0.2.1", "192.0.2.1"),
            MemberSettings("fcgi://[2001:db8::1]", "2001:db8::1"),
            MemberSettings("fcgi://app", "app", socket="/run/app"),
        )
        self.assertEqual(3, len(self.before))
        self.assertEqual(([], []), (self.names.asked, self.clock.getDelayedCalls()))

    def test_service(self) -> None:
        """A service's members come beside the others, and are asked for again."""
        other = MemberSettings("fcgi://192.0.2.9", "192.0.2.9")
        balancer = self.watch(SERVICE, other)
        self.assertEqual((other,), self.before)
        self.names.tell(answer("192.0.2.1", "192.0.2.2"))
        self.assertEqual([(balancer, ["192.0.2.1", "192.0.2.2", "192.0.2.9"])], self.told)
        self.clock.advance(10)
        self.names.tell(answer("192.0.2.2"))
        self.assertEqual(["192.0.2.2", "192.0.2.9"], self.told[-1][1])

    def test_unchanged(self) -> None:
        """An answer that says nothing new changes nothing."""
        self.watch(SERVICE)
        for _ in range(3):
            self.names.tell(answer("192.0.2.1"))
            self.clock.advance(10)
        self.assertEqual(1, len(self.told))

    def test_sameTwice(self) -> None:
        """Of two members with the same URL the first is there, once."""
        self.watch(MemberSettings("fcgi://192.0.2.1:9000/srv", "192.0.2.1", 9000), SERVICE)
        self.names.tell(answer("192.0.2.1", "192.0.2.2"))
        self.assertEqual(["192.0.2.1", "192.0.2.2"], self.told[-1][1])

    def test_failing(self) -> None:
        """A name that nobody knows is one warning, and is asked for until somebody does."""
        self.watch(SERVICE)
        for _ in range(5):
            self.assertEqual(SERVICE.host, self.names.tell(LookupFailed("no answer")))
            self.clock.advance(LONGEST)
        self.assertEqual(
            ["balancer://app: _php._tcp.example.org: no answer; 0 members stay"], self.warnings()
        )
        self.names.tell(answer("192.0.2.1"))
        self.assertEqual(["192.0.2.1"], self.told[-1][1])
        self.clock.advance(10)
        self.names.tell(LookupFailed("no answer"))
        self.assertEqual(2, len(self.warnings()))
        self.assertEqual(1, len(self.told))

    def test_broken(self) -> None:
        """A mistake of ours in a look-up is logged, and is no end of looking."""
        self.watch(SERVICE)
        self.names.tell(ZeroDivisionError())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.clock.advance(LONGEST)
        self.assertEqual(1, len(self.names.asked))

    def test_silence(self) -> None:
        """A question that is never answered is asked again."""
        self.watch(SERVICE)
        self.names.asked.clear()
        self.clock.advance(PATIENCE)
        self.assertEqual([], self.names.asked)
        self.clock.advance(SHORTEST)
        self.assertEqual(1, len(self.names.asked))

    def test_servers(self) -> None:
        """The servers that the configuration names are asked."""
        self.watch(replace(SERVICE, resolver=("127.0.0.1:53",)), HOST)
        self.assertEqual([("127.0.0.1:53",), ()], self.asked)

    def test_startTwice(self) -> None:
        """It asks once, however often it is started."""
        self.watch(SERVICE)
        self.discovery.start()
        self.assertEqual(1, len(self.names.asked))

    def test_stop(self) -> None:
        """When it is stopped nobody is asked or told any more."""
        self.watch(SERVICE, HOST)
        self.names.tell(answer("192.0.2.1"))
        self.discovery.stop()
        self.names.tell(answer("192.0.2.1", "192.0.2.2"))
        self.assertEqual(([], 1), (self.clock.getDelayedCalls(), len(self.told)))

    def test_suspicion(self) -> None:
        """A failed connect to a member that was found leads to a question, once in SHORTEST."""
        self.watch(replace(SERVICE, addressTtl=inf))
        member = membersOf(replace(SERVICE, addressTtl=inf), [Found("192.0.2.1", 9000)])[0]
        self.names.tell(answer("192.0.2.1", ttl=1e5))
        endpoint = self.discovery.endpointOf(member, Refusing())
        verifyObject(IStreamClientEndpoint, endpoint)
        for _ in range(3):
            factory: Any = None
            self.failureResultOf(endpoint.connect(factory), ConnectionRefusedError)
        self.clock.advance(SHORTEST)
        self.assertEqual(1, len(self.names.asked))
        self.failureResultOf(endpoint.connect(factory), ConnectionRefusedError)
        self.names.tell(answer("192.0.2.2"))
        self.assertEqual(["192.0.2.2"], self.told[-1][1])
