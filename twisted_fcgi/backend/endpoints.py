"""
Where a member listens, as a Twisted endpoint.

A numeric address and a UNIX socket are connected to directly.  What a name or TLS needs is
only imported for who has it.

None of these endpoints has a clock of its own for the whole of a connect:
whoever connects cancels what takes too long.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.posixbase import PosixReactorBase

from twisted_fcgi.backend.connecting import DirectEndpoint
from twisted_fcgi.settings import MemberSettings

__all__ = ["isNamed", "memberEndpoint", "scoped"]

# Twisted's own timers are not started, or not waited for.
_NEVER: Any = None
_LONG = 86400.0


def isNamed(member: MemberSettings) -> bool:
    """Whether a member's host is to be looked up."""
    host = member.host.strip("[]")
    return member.socket is None and not (isIPAddress(host) or isIPv6Address(host))


def memberEndpoint(settings: MemberSettings, reactor: Any) -> IStreamClientEndpoint:
    """
    The endpoint of a member.

    :param reactor: one that polls file descriptors gets the faster endpoints.
    """
    endpoint = _plainEndpoint(settings, reactor)
    if settings.tls is None:
        return endpoint
    # It needs pyOpenSSL, which need not be there for plain members.
    from twisted_fcgi.backend.tls import TLSEndpoint

    return TLSEndpoint(endpoint, settings, reactor)


def _plainEndpoint(settings: MemberSettings, reactor: Any) -> IStreamClientEndpoint:
    direct = isinstance(reactor, PosixReactorBase)
    if settings.socket is not None:
        if direct:
            return DirectEndpoint(reactor, socket.AF_UNIX, settings.socket)
        return UNIXClientEndpoint(reactor, settings.socket, timeout=_NEVER)
    host, port = settings.host.strip("[]"), settings.port
    buffer = settings.receiveBuffer
    if isIPAddress(host):
        if direct:
            return DirectEndpoint(reactor, socket.AF_INET, (host, port), buffer)
        return TCP4ClientEndpoint(reactor, host, port, timeout=_NEVER)
    if isIPv6Address(host):
        if direct:
            return DirectEndpoint(reactor, socket.AF_INET6, scoped(host, port), buffer)
        return TCP6ClientEndpoint(reactor, host, port, timeout=_NEVER)
    if direct:
        from twisted_fcgi.backend.names import NamedEndpoint
        from twisted_fcgi.backend.resolver import resolverOf

        resolver = resolverOf(settings.resolver, reactor)
        return NamedEndpoint(reactor, host, port, settings.addressTtl, buffer, resolver)
    return HostnameEndpoint(reactor, host, port, timeout=_LONG)


def scoped(host: str, port: int) -> Any:
    """An IPv6 address as a socket takes it, with the number of its zone (``%eth0``)."""
    return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0][4]
