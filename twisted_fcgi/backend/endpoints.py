"""
Where a member listens, as a Twisted endpoint.

A numeric address and a UNIX socket are connected to directly, a name as RFC
8305 has it (all of its addresses, IPv4 and IPv6 in turn).  None of these
endpoints has a clock of its own: whoever connects limits the whole of it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from twisted_fcgi.settings import MemberSettings

__all__ = ["memberEndpoint"]

#: Twisted's own timers are not started, or not waited for.
_NEVER: Any = None
_LONG = 86400.0


@implementer(IStreamClientEndpoint)
class _PromptEndpoint:
    """A TCP endpoint whose connections send small writes at once (TCP_NODELAY)."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addCallback(self._connected)

    def _connected(self, protocol: Any) -> IProtocol:
        protocol.transport.setTcpNoDelay(True)
        return protocol


def memberEndpoint(settings: MemberSettings, reactor: Any) -> IStreamClientEndpoint:
    """
    The endpoint of a member.

    :param reactor: provides what the kind of address needs.
    """
    if settings.socket is not None:
        return UNIXClientEndpoint(reactor, settings.socket, timeout=_NEVER)
    host, port = settings.host.strip("[]"), settings.port
    if isIPAddress(host):
        return _PromptEndpoint(TCP4ClientEndpoint(reactor, host, port, timeout=_NEVER))
    if isIPv6Address(host):
        return _PromptEndpoint(TCP6ClientEndpoint(reactor, host, port, timeout=_NEVER))
    return _PromptEndpoint(HostnameEndpoint(reactor, host, port, timeout=_LONG))
