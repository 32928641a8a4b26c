"""Tests for the choice of a virtual host."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.message import Address
from twisted_fcgi.routing.hosts import Hosts
from twisted_fcgi.settings import Settings, VirtualHost

HERE = Address(b"127.0.0.1", 8080)


def host(name: str, *addresses: str, aliases: tuple[str, ...] = ()) -> VirtualHost:
    """A virtual host."""
    return VirtualHost(name=name, addresses=addresses, aliases=aliases)


class HostsTests(SynchronousTestCase):
    """Tests for :class:`Hosts`."""

    def choice(self, hosts: list[VirtualHost], name: bytes | None, server: Address = HERE) -> str:
        """The name of the host that is chosen."""
        settings = Settings(main=VirtualHost(name="main"), hosts=tuple(hosts))
        return Hosts(settings).choose(server, name).name

    def test_noAddressFits(self) -> None:
        """Where no virtual host has the address, the main server answers, whatever the name."""
        hosts = [host("one.test", "*:81"), host("two.test", "127.0.0.2:8080")]
        self.assertEqual("main", self.choice(hosts, b"one.test"))
        self.assertEqual("main", self.choice([], b"one.test"))

    def test_byName(self) -> None:
        """Of several hosts at an address, ServerName, ServerAlias and wildcards choose one."""
        hosts = [
            host("one.test", "*:8080"),
            host("Two.test", "*:8080", aliases=("deux.test", "*.two.test", "t?o.test")),
        ]
        for name, expected in [
            (b"one.test", "one.test"),
            (b"two.test", "Two.test"),
            (b"deux.test", "Two.test"),
            (b"a.b.two.test", "Two.test"),
            (b"txo.test", "Two.test"),
            (b"two.test.evil", "one.test"),
            (b"xtwo.test", "one.test"),
            (None, "one.test"),
        ]:
            self.assertEqual(expected, self.choice(hosts, name), name)

    def test_firstOfEqualNames(self) -> None:
        """The order of the hosts decides, not whether a name or a wildcard fits."""
        hosts = [
            host("zero.test", "*:8080"),
            host("one.test", "*:8080", aliases=("*.test",)),
            host("two.test", "*:8080"),
        ]
        self.assertEqual("one.test", self.choice(hosts, b"two.test"))
        self.assertEqual("two.test", self.choice([hosts[0], hosts[2], hosts[1]], b"two.test"))

    def test_theMoreExactAddressFirst(self) -> None:
        """An exact address goes before ``*``, and an exact port before any."""
        exact = host("exact", "127.0.0.1:8080")
        anyPort = host("anyPort", "127.0.0.1")
        anyAddress = host("anyAddress", "*:8080")
        anything = host("anything", "_default_:*")
        hosts = [anything, anyAddress, anyPort, exact]
        for expected in ["exact", "anyPort", "anyAddress", "anything"]:
            self.assertEqual(expected, self.choice(hosts, b"anything"))
            hosts.pop()

    def test_aloneAtItsAddress(self) -> None:
        """A host that is alone at its address answers under any name."""
        hosts = [host("one.test", "127.0.0.1:8080"), host("two.test", "*:8080")]
        self.assertEqual("one.test", self.choice(hosts, b"two.test"))

    def test_nameOfTheAddress(self) -> None:
        """Where no name fits, the text of the address counts as one."""
        hosts = [host("one.test", "*:8080"), host("two.test", "*:8080", "127.0.0.1:8080")]
        self.assertEqual("two.test", self.choice(hosts, b"127.0.0.1"))
        self.assertEqual("one.test", self.choice(hosts, b"127.0.0.3", Address(b"10.0.0.1", 8080)))

    def test_ipv6(self) -> None:
        """An IPv6 address stands in brackets, with or without a port."""
        there = Address(b"::1", 8080)
        self.assertEqual("one", self.choice([host("one", "[::1]:8080")], None, there))
        self.assertEqual("one", self.choice([host("one", "[::1]")], None, there))
        self.assertEqual("main", self.choice([host("one", "[::1]:81")], None, there))

    def test_unixSocket(self) -> None:
        """A UNIX socket has no port, so that any host for all addresses fits."""
        hosts = [host("one.test", "*:80"), host("two.test", "*:80")]
        self.assertEqual("two.test", self.choice(hosts, b"two.test", Address(b"", 0)))
        self.assertEqual("main", self.choice([host("x", "127.0.0.1:80")], b"x", Address(b"", 0)))
