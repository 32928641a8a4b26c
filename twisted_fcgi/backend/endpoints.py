"""
Where a member listens, as a Twisted endpoint.

A numeric address and a UNIX socket are connected to directly.  A name is looked
up, and its addresses are tried one after the other as RFC 8305 has it, the one
that worked last before the others.  What a name stood for is remembered for
``addressttl`` seconds, and looked up again after a connect that failed on
all of them: containers come back with new addresses.

None of these endpoints has a clock of its own for the whole of a connect:
whoever connects cancels what takes too long.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
)
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.transports import DirectEndpoint
from twisted_fcgi.settings import MemberSettings

__all__ = ["ADDRESS_TTL", "ATTEMPT_DELAY", "NamedEndpoint", "memberEndpoint"]

#: Seconds for which the addresses of a name are believed.
ADDRESS_TTL = 60.0

#: Seconds after which the next address is tried beside the one before (RFC 8305, 5).
ATTEMPT_DELAY = 0.25

#: Of a name's addresses, how many are tried.
MAX_ADDRESSES = 16

# Twisted's own timers are not started, or not waited for.
_NEVER: Any = None
_LONG = 86400.0


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
            return DirectEndpoint(reactor, socket.AF_INET6, _scoped(host, port), buffer)
        return TCP6ClientEndpoint(reactor, host, port, timeout=_NEVER)
    if direct:
        return NamedEndpoint(reactor, host, port, settings.addressTtl, buffer)
    return HostnameEndpoint(reactor, host, port, timeout=_LONG)


def _scoped(host: str, port: int) -> Any:
    """An IPv6 address as a socket takes it, with the number of its zone (``%eth0``)."""
    return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0][4]


def _interleaved(addresses: list[Any]) -> list[Any]:
    """IPv6 and IPv4 in turn, beginning with the kind that the resolver put first."""
    kinds: list[list[Any]] = [[], []]
    first = isinstance(addresses[0], IPv6Address) if addresses else False
    for address in addresses:
        kinds[isinstance(address, IPv6Address) is not first].append(address)
    result = []
    while any(kinds):
        result += [kind.pop(0) for kind in kinds if kind]
    return result[:MAX_ADDRESSES]


@implementer(IStreamClientEndpoint)
class NamedEndpoint:
    """
    A host name and a port.

    :param reactor: provides ``IReactorPluggableNameResolver``.
    :param addressTtl: seconds for which addresses are believed.
    :param receiveBuffer: see :class:`~twisted_fcgi.backend.transports.DirectEndpoint`.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        addressTtl: float = ADDRESS_TTL,
        receiveBuffer: int = 0,
    ) -> None:
        self.reactor = reactor
        self._host = host
        self._port = port
        self._addressTtl = addressTtl
        self._receiveBuffer = receiveBuffer
        self._endpoints: list[IStreamClientEndpoint] = []
        self._believedUntil = 0.0
        self._lookup: list[Deferred[None]] = []

    def __repr__(self) -> str:
        return f"<NamedEndpoint {self._host}:{self._port}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        if self._endpoints and self.reactor.seconds() < self._believedUntil:
            looked: Deferred[None] = succeed(None)
        else:
            looked = self._lookUp()
        connecting: Deferred[Any] = looked.addCallback(
            lambda _: _Race(self, list(self._endpoints), protocolFactory).begin()
        )
        return connecting

    def worked(self, endpoint: IStreamClientEndpoint) -> None:
        """An address took a connection: it is the first to be tried from now on."""
        if self._endpoints[0] is not endpoint and endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)

    def allFailed(self) -> None:
        """No address did: the name may stand for others by now."""
        self._believedUntil = 0.0

    def endpointOf(self, address: Any) -> IStreamClientEndpoint:
        """The endpoint of one address."""
        host, port = address.host, address.port
        if isinstance(address, IPv6Address):
            family, name = socket.AF_INET6, _scoped(host, port)
        else:
            family, name = socket.AF_INET, (host, port)
        return DirectEndpoint(self.reactor, family, name, self._receiveBuffer)

    def _lookUp(self) -> Deferred[None]:
        """One look-up for all who ask while it goes on."""
        waiting: Deferred[None] = Deferred(lambda d: self._lookup.remove(d))
        self._lookup.append(waiting)
        if len(self._lookup) == 1:
            self.reactor.nameResolver.resolveHostName(
                _Addresses(self._lookedUp), self._host, portNumber=self._port
            )
        return waiting

    def _lookedUp(self, addresses: list[Any]) -> None:
        waiting, self._lookup = self._lookup, []
        if addresses:
            self._endpoints = [self.endpointOf(a) for a in _interleaved(addresses)]
            self._believedUntil = self.reactor.seconds() + self._addressTtl
        for one in waiting:
            if addresses:
                one.callback(None)
            else:
                one.errback(DNSLookupError(f"the name {self._host} has no address"))


@implementer(IResolutionReceiver)
class _Addresses:
    """Gathers what a look-up finds."""

    def __init__(self, done: Any) -> None:
        self._done = done
        self._found: list[Any] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See ``IResolutionReceiver``."""

    def addressResolved(self, address: IAddress) -> None:
        """See ``IResolutionReceiver``."""
        self._found.append(address)

    def resolutionComplete(self) -> None:
        """See ``IResolutionReceiver``."""
        self._done(self._found)


class _Race:
    """One connect to several addresses: the first that answers wins (RFC 8305, 5)."""

    def __init__(
        self, name: NamedEndpoint, endpoints: list[IStreamClientEndpoint], factory: Any
    ) -> None:
        self._name = name
        self._endpoints = endpoints
        self._factory = factory
        self._running: list[Deferred[Any]] = []
        self._call: IDelayedCall | None = None
        self._done: Deferred[Any] = Deferred(self._cancelled)

    def begin(self) -> Deferred[Any]:
        """Try the first address, then the others."""
        self._next()
        return self._done

    def _next(self) -> None:
        self._call = None
        endpoint = self._endpoints.pop(0)
        connecting: Deferred[Any] = endpoint.connect(self._factory)
        self._running.append(connecting)
        if self._endpoints:
            self._call = self._name.reactor.callLater(ATTEMPT_DELAY, self._next)
        connecting.addCallbacks(
            self._won, self._lost, callbackArgs=(endpoint, connecting), errbackArgs=(connecting,)
        )

    def _won(self, protocol: Any, endpoint: Any, connecting: Any) -> None:
        self._running.remove(connecting)
        self._stop()
        self._name.worked(endpoint)
        self._done.callback(protocol)

    def _lost(self, failure: Failure, connecting: Any) -> None:
        self._running.remove(connecting)
        if self._done.called:
            return
        if self._endpoints:
            if self._call is not None:
                self._call.cancel()
            self._next()
        elif not self._running:
            self._name.allFailed()
            self._done.errback(failure)

    def _stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
        running, self._running = self._running, []
        for connecting in running:
            connecting.addErrback(lambda _: None)
            connecting.cancel()

    def _cancelled(self, done: Deferred[Any]) -> None:
        self._stop()
        done.errback(ConnectingCancelledError(None))
