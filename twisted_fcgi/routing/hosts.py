"""
Which virtual host a request is for (httpd: ``server/vhost.c``).

First the address that the client connected to: an exact address goes before
``*``, and there an exact port before any.  If several hosts share that address,
the first whose ServerName or ServerAlias fits is taken, else the first of all.
Only when no address fits at all it is the main server.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from twisted_fcgi.message import Address
from twisted_fcgi.settings import Settings, VirtualHost

__all__ = ["Hosts", "isNamed", "nameThatFits"]

_ANY = frozenset({b"*", b"_default_", b"0.0.0.0", b"::"})


class _Chain:
    """The hosts of one address, in their order."""

    def __init__(self) -> None:
        self.hosts: list[VirtualHost] = []
        self._names: dict[bytes, int] = {}
        self._wildcards: list[tuple[int, re.Pattern[bytes]]] = []
        self._addresses: dict[bytes, int] = {}

    def add(self, host: VirtualHost, address: bytes) -> None:
        place = len(self.hosts)
        self.hosts.append(host)
        self._addresses.setdefault(address.lower(), place)
        for alias in (host.name, *host.aliases):
            name = alias.encode("utf-8", "surrogateescape")
            if b"*" in name or b"?" in name:
                self._wildcards.append((place, _wildcard(name)))
            else:
                self._names.setdefault(name.lower(), place)

    def choose(self, hostname: bytes | None) -> VirtualHost:
        if hostname is None:
            return self.hosts[0]
        place = self._names.get(hostname, len(self.hosts))
        for wild, pattern in self._wildcards:
            if wild >= place:
                break
            if pattern.fullmatch(hostname):
                place = wild
        if place == len(self.hosts):
            place = self._addresses.get(hostname, 0)
        return self.hosts[place]


class Hosts:
    """
    The servers of a configuration, by address and name.

    :param settings: the configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._main = settings.main
        self._chains: dict[tuple[bytes | None, int | None], _Chain] = {}
        for host in settings.hosts:
            for text in host.addresses:
                address, port = _parse(text)
                key = (None if address in _ANY else address, port)
                self._chains.setdefault(key, _Chain()).add(host, address)
        self._wild = [chain for key, chain in self._chains.items() if key[0] is None]

    def choose(self, server: Address, hostname: bytes | None) -> VirtualHost:
        """
        The host for a request.

        :param server: our end of the connection.
        :param hostname: the name that the client asked for, in lower case, or ``None``.
        """
        chain = self._chain(server)
        return self._main if chain is None else chain.choose(hostname)

    def isStrange(self, server: Address, hostname: bytes | None) -> bool:
        """Whether StrictHostCheck refuses a name, since it is no server's."""
        if hostname is None or not self.choose(server, None).strictHost:
            return False
        hosts = self.sharing(server) or [self._main]
        return all(nameThatFits(host, hostname) is None for host in hosts)

    def sharing(self, server: Address) -> list[VirtualHost]:
        """The hosts among whom the name decides, in their order; none: it is the main server."""
        chain = self._chain(server)
        return [] if chain is None else chain.hosts

    def _chain(self, server: Address) -> _Chain | None:
        for key in _keys(server):
            chain = self._chains.get(key)
            if chain is not None:
                return chain
        # A UNIX socket has no port to compare.
        return self._wild[0] if not server.host and self._wild else None


def nameThatFits(host: VirtualHost, hostname: bytes | None) -> str | None:
    """The ServerName or ServerAlias of a host that a name fits, as it is written."""
    for alias in (host.name, *host.aliases):
        name = alias.encode("utf-8", "surrogateescape")
        if hostname is not None and _wildcard(name).fullmatch(hostname):
            return alias
    return None


def isNamed(host: VirtualHost, hostname: bytes, port: int) -> bool:
    """Whether a name and port are a host's (``ap_matches_request_vhost``)."""
    for address, number in map(_parse, host.addresses):
        if address == hostname and number in (None, port):
            return True
    return port == (host.port or 0) and nameThatFits(host, hostname) is not None


def _wildcard(name: bytes) -> re.Pattern[bytes]:
    """Both signs stand for dots too (ap_strcasecmp_match)."""
    return re.compile(re.escape(name).replace(rb"\*", b".*").replace(rb"\?", b"."), re.I | re.S)


def _keys(server: Address) -> Iterable[tuple[bytes | None, int | None]]:
    return (server.host, server.port), (server.host, None), (None, server.port), (None, None)


def _parse(text: str) -> tuple[bytes, int | None]:
    """An address of a ``<VirtualHost>``: host and port, which is ``None`` for any."""
    host, colon, port = text.encode("utf-8", "surrogateescape").rpartition(b":")
    if not colon or port.endswith(b"]"):
        host, port = text.encode("utf-8", "surrogateescape"), b"*"
    return host.strip(b"[]").lower(), int(port) if port.isdigit() else None
