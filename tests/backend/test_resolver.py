"""Tests for :mod:`twisted_fcgi.backend.resolver`, with scripted answers."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSQueryRefusedError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.resolver import (
    MAX_FOUND,
    Answer,
    Found,
    LookupFailed,
    Resolver,
    resolverOf,
)

__all__ = ["ResolverTests"]

NAME = "_php._tcp.example.org"


def record(name: str, payload: Any, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name, payload.TYPE, ttl=ttl, payload=payload)


def srv(
    target: str, port: int = 9000, priority: int = 0, weight: int = 0, ttl: int = 60
) -> dns.RRHeader:
    return record(NAME, dns.Record_SRV(priority, weight, port, target), ttl)


def a(name: str, address: str, ttl: int = 60) -> dns.RRHeader:
    return record(name, dns.Record_A(address), ttl)


def aaaa(name: str, address: str, ttl: int = 60) -> dns.RRHeader:
    return record(name, dns.Record_AAAA(address), ttl)


class Client:
    """
    Answers as :mod:`twisted.names` does.

    :ivar records: by name and kind: those of the answer, or why there is none.
    :ivar additional: what comes with a service's answer.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[Any] | Exception] = {}
        self.additional: list[Any] = []
        self.asked: list[tuple[str, str]] = []

    def _lookUp(self, name: str, kind: str) -> Deferred[Any]:
        self.asked.append((name, kind))
        told = self.records.get((name, kind), DNSNameError(None))
        if isinstance(told, Exception):
            return fail(told)
        return succeed((told, [], self.additional if kind == "SRV" else []))

    def lookupService(self, name: str) -> Deferred[Any]:
        return self._lookUp(name, "SRV")

    def lookupAddress(self, name: str) -> Deferred[Any]:
        return self._lookUp(name, "A")

    def lookupIPV6Address(self, name: str) -> Deferred[Any]:
        return self._lookUp(name, "AAAA")


class System:
    """The system's resolver, of a reactor."""

    def __init__(self, *addresses: Any) -> None:
        self.addresses = addresses

    def resolveHostName(self, receiver: Any, name: str) -> None:
        receiver.resolutionBegan(None)
        for address in self.addresses:
            receiver.addressResolved(address)
        receiver.resolutionComplete()


class ResolverTests(SynchronousTestCase):
    """Tests for :class:`Resolver`."""

    def setUp(self) -> None:
        self.client = Client()
        self.clock: Any = Clock()
        self.resolver = Resolver(("127.0.0.1:53",), self.clock, self.client)

    def service(self) -> Answer:
        return self.successResultOf(self.resolver.service(NAME))

    def fails(self, asking: Callable[[str], Deferred[Answer]], name: str) -> str:
        return str(self.failureResultOf(asking(name), LookupFailed).value)

    def test_service(self) -> None:
        """A service's members are its targets' addresses, with port, priority and weight."""
        self.client.records[NAME, "SRV"] = [
            srv("b.example.org", 9002, 1, 5),
            srv("a.example.org", 9001, 0, 7),
        ]
        self.client.records["a.example.org", "A"] = [a("a.example.org", "192.0.2.1", 20)]
        self.client.records["a.example.org", "AAAA"] = [aaaa("a.example.org", "2001:db8::1")]
        self.client.records["b.example.org", "AAAA"] = [aaaa("b.example.org", "2001:db8::2")]
        found = (Found("192.0.2.1", 9001, 0, 7), Found("2001:db8::2", 9002, 1, 5))
        self.assertEqual(Answer(found, 20.0), self.service())

    def test_additional(self) -> None:
        """Addresses that come with the answer are not asked for."""
        self.client.records[NAME, "SRV"] = [srv("A.example.org", 9001)]
        self.client.additional = [
            a("a.Example.org", "192.0.2.1", 5),
            a("other.example.org", "192.0.2.9"),
            record("a.example.org", dns.Record_TXT(b"x")),
        ]
        self.assertEqual(Answer((Found("192.0.2.1", 9001),), 5.0), self.service())
        self.assertEqual([(NAME, "SRV")], self.client.asked)

    def test_sameAnswer(self) -> None:
        """In whatever order records come, the answer is the same."""
        records = [srv(f"{name}.example.org", port) for name in "ab" for port in (1, 2)]
        self.client.additional = [a(f"{n}.example.org", f"192.0.2.{i}") for i, n in enumerate("ab")]
        self.client.records[NAME, "SRV"] = list(records)
        first = self.service()
        self.client.records[NAME, "SRV"] = records[::-1]
        self.client.additional.reverse()
        self.assertEqual(first, self.service())

    def test_nobody(self) -> None:
        """No such name, no records, and the target "." are a service without members."""
        for told in (DNSNameError(None), [], [srv("")]):
            self.client.records[NAME, "SRV"] = told
            self.assertEqual((), self.service().found)

    def test_noHost(self) -> None:
        """A target that can't be a host's name is left out, and nobody is asked for it."""
        bad = dns.Record_SRV(0, 0, 1)
        bad.target.name = b"a\n[error] \x1b[2J"
        self.client.records[NAME, "SRV"] = [record(NAME, bad), srv("a.example.org", 9001)]
        self.client.additional = [a("a.example.org", "192.0.2.1")]
        self.assertEqual((Found("192.0.2.1", 9001),), self.service().found)
        self.assertEqual([(NAME, "SRV")], self.client.asked)

    def test_noAnswer(self) -> None:
        """A server that fails, refuses or is silent says nothing about a name."""
        for error in (DNSServerError(None), DNSQueryRefusedError(None), TimeoutError(), OSError()):
            self.client.records[NAME, "SRV"] = error
            self.assertIn(NAME, self.fails(self.resolver.service, NAME))

    def test_targetWithoutAnswer(self) -> None:
        """Nor does one that says nothing about a target: half a service is not taken for all."""
        self.client.records[NAME, "SRV"] = [srv("a.example.org"), srv("b.example.org")]
        self.client.records["a.example.org", "A"] = [a("a.example.org", "192.0.2.1")]
        for kind in ("A", "AAAA"):
            self.client.records["b.example.org", kind] = DNSServerError(None)
        self.assertIn("b.example.org", self.fails(self.resolver.service, NAME))

    def test_targetWithoutAddress(self) -> None:
        """A target that has no address is left out."""
        self.client.records[NAME, "SRV"] = [srv("a.example.org"), srv("b.example.org")]
        self.client.records["a.example.org", "A"] = [a("a.example.org", "192.0.2.1")]
        self.assertEqual((Found("192.0.2.1", 9000),), self.service().found)

    def test_bounded(self) -> None:
        """Of very many members, and of very many addresses, some are used."""
        self.client.records[NAME, "SRV"] = [
            srv("a.example.org", port) for port in range(1, MAX_FOUND + 50)
        ]
        self.client.additional = [a("a.example.org", "192.0.2.1"), a("a.example.org", "192.0.2.2")]
        self.assertEqual(MAX_FOUND, len(self.service().found))
        self.client.records["x.example", "A"] = [
            a("x.example", f"10.0.{n // 256}.{n % 256}") for n in range(MAX_FOUND + 50)
        ]
        answer = self.successResultOf(self.resolver.addresses("x.example"))
        self.assertEqual(MAX_FOUND, len(answer.found))

    def test_addresses(self) -> None:
        """A host's addresses are those of both kinds, with the shortest TTL of them."""
        self.client.records["x.example", "A"] = [
            record("x.example", dns.Record_CNAME("y.example"), 3),
            a("y.example", "192.0.2.1", 60),
        ]
        self.client.records["x.example", "AAAA"] = [aaaa("x.example", "2001:db8::1", 30)]
        answer = self.successResultOf(self.resolver.addresses("x.example"))
        self.assertEqual(Answer((Found("192.0.2.1"), Found("2001:db8::1")), 3.0), answer)

    def test_oneKind(self) -> None:
        """Addresses of one kind are enough when the question for the other is not answered."""
        self.client.records["x.example", "A"] = [a("x.example", "192.0.2.1")]
        self.client.records["x.example", "AAAA"] = DNSServerError(None)
        answer = self.successResultOf(self.resolver.addresses("x.example"))
        self.assertEqual((Found("192.0.2.1"),), answer.found)
        self.client.records["x.example", "A"] = []
        self.fails(self.resolver.addresses, "x.example")

    def test_system(self) -> None:
        """Without servers the system is asked, and for ``localhost`` in any case."""
        self.clock.nameResolver = System(
            IPv4Address("TCP", "192.0.2.1", 0), IPv6Address("TCP", "2001:db8::1", 0)
        )
        wanted = Answer((Found("192.0.2.1"), Found("2001:db8::1")), inf)
        for resolver, name in (
            (Resolver((), self.clock), "x.example"),
            (self.resolver, "localhost"),
        ):
            self.assertEqual(wanted, self.successResultOf(resolver.addresses(name)))
        self.assertEqual([], self.client.asked)

    def test_systemFails(self) -> None:
        """The system does not tell why there is no address: nobody knows."""
        self.clock.nameResolver = System()
        self.fails(Resolver((), self.clock).addresses, "x.example")
        del self.clock.nameResolver
        self.fails(Resolver((), self.clock).addresses, "x.example")

    def test_shared(self) -> None:
        """A reactor has one resolver for the same servers."""
        self.assertIs(resolverOf(("[::1]:53",), self.clock), resolverOf(("[::1]:53",), self.clock))
        self.assertIsNot(resolverOf((), self.clock), resolverOf(("[::1]:53",), self.clock))

    def test_questions(self) -> None:
        """Servers are asked over UDP; a silent one is given up in the end."""
        reactor: Any = Clock()
        asked: list[Any] = []

        class Port:
            def write(self, data: bytes, address: Any) -> None:
                asked.append((dns.Message(), address))
                asked[-1][0].fromStr(data)

            def stopListening(self) -> None:
                pass

        def listenUDP(port: int, protocol: Any, interface: str = "", maxPacketSize: int = 0) -> Any:
            protocol.makeConnection(Port())

        reactor.listenUDP = listenUDP
        asking = Resolver(("127.0.0.1:5353", "[::1]:53"), reactor).service(NAME)
        reactor.pump([1.0] * 60)
        self.failureResultOf(asking, LookupFailed)
        self.assertEqual({("127.0.0.1", 5353), ("::1", 53)}, {address for _, address in asked})
        self.assertEqual({NAME.encode()}, {m.queries[0].name.name for m, _ in asked})
        self.assertEqual([], reactor.getDelayedCalls())
