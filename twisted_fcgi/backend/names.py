"""
Members that have a name: it is looked up, and its addresses are tried.

They are tried one after the other as RFC 8305 has it, the one that worked last before the
others.  What a name stood for is remembered for ``addressttl`` seconds, or for its TTL where
that is shorter and known, and looked up again, within the same connect, after all of them
failed: containers come back with new addresses.  While it can't be looked up, what it stood
for last is used.

No endpoint has a clock of its own for the whole of a connect: whoever connects cancels what
takes too long.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.connecting import DirectEndpoint
from twisted_fcgi.backend.endpoints import scoped
from twisted_fcgi.backend.resolver import Answer, LookupFailed, Resolver, resolverOf
from twisted_fcgi.settings import MemberSettings

__all__ = ["ADDRESS_TTL", "ATTEMPT_DELAY", "NamedEndpoint", "reportUnknown"]

log = Logger()

#: Seconds for which the addresses of a name are believed.
ADDRESS_TTL = 60.0

#: Seconds after which the next address is tried beside the one before (RFC 8305, 5).
ATTEMPT_DELAY = 0.25

#: Seconds for which they are, at least, whatever their TTL.
SHORTEST_TTL = 1.0

#: Seconds that a look-up is waited for, when there are addresses from before.
LOOKUP_PATIENCE = 1.0

#: Of a name's addresses, how many are tried.
MAX_ADDRESSES = 16

_LATER = "it is looked up again when it is needed"


def reportUnknown(
    members: Iterable[MemberSettings],
    reactor: Any,
    resolver: Callable[[tuple[str, ...], Any], Resolver] = resolverOf,
) -> None:
    """
    Look names up once, and warn of those that nobody knows.

    :param resolver: looks names up, for some servers.
    """
    for name, servers in dict.fromkeys((member.host, member.resolver) for member in members):
        checking = Deferred.fromCoroutine(_check(name, resolver(servers, reactor)))
        checking.addErrback(lambda failure: log.failure("while a name was looked up", failure))


async def _check(name: str, resolver: Resolver) -> None:
    try:
        known = bool((await resolver.addresses(name)).found)
    except LookupFailed:
        known = False
    if not known:
        log.warn("{name} is no host's name, for now: {why}", name=name, why=_LATER)


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
    :param receiveBuffer: see :class:`~twisted_fcgi.backend.connecting.DirectEndpoint`.
    :param resolver: looks the name up; by default the system does.
    """

    def __init__(
        self,
        reactor: Any,
        host: str,
        port: int,
        addressTtl: float = ADDRESS_TTL,
        receiveBuffer: int = 0,
        resolver: Resolver | None = None,
    ) -> None:
        self.reactor = reactor
        self._host = host
        self._port = port
        self._addressTtl = addressTtl
        self._receiveBuffer = receiveBuffer
        self._resolver = resolverOf((), reactor) if resolver is None else resolver
        self._hosts: frozenset[str] = frozenset()
        self._endpoints: list[IStreamClientEndpoint] = []
        self._believedUntil = 0.0
        self._failures = 0
        self._lookup: list[Deferred[None]] = []
        self._isLookingUp = False

    def __repr__(self) -> str:
        return f"<NamedEndpoint {self._host}:{self._port}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        reached = self.reach(protocolFactory)
        return reached if isinstance(reached, Deferred) else succeed(reached)

    def reach(self, protocolFactory: IProtocolFactory) -> IProtocol | Deferred[IProtocol]:
        """See :meth:`twisted_fcgi.backend.connecting.DirectEndpoint.reach`."""
        if self._endpoints and self.reactor.seconds() < self._believedUntil:
            hosts = self._hosts
            reached = _Race(self, list(self._endpoints), protocolFactory).begin()
            if isinstance(reached, Deferred):
                reached.addErrback(self._lookAgain, hosts, protocolFactory)
            return reached
        return self._lookUp().addCallback(
            lambda _: _Race(self, list(self._endpoints), protocolFactory).begin()
        )

    def _lookAgain(self, failure: Failure, hosts: frozenset[str], factory: IProtocolFactory) -> Any:
        """All addresses that were remembered failed: perhaps there are others by now."""
        if failure.check(ConnectingCancelledError, CancelledError):
            return failure

        def others(_: object) -> Any:
            if self._hosts == hosts:
                return failure
            return _Race(self, list(self._endpoints), factory).begin()

        return self._lookUp().addCallbacks(others, lambda _: failure)

    def worked(self, endpoint: IStreamClientEndpoint) -> None:
        """An address took a connection: it is the first to be tried from now on."""
        if self._endpoints[0] is not endpoint and endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)

    def allFailed(self) -> None:
        """No address did: the name may stand for others by now."""
        self._believedUntil = 0.0

    def endpointOf(self, address: IPv4Address | IPv6Address) -> IStreamClientEndpoint:
        """The endpoint of one address."""
        host, port = address.host, address.port
        name: Any
        if isinstance(address, IPv6Address):
            family, name = socket.AF_INET6, scoped(host, port)
        else:
            family, name = socket.AF_INET, (host, port)
        return DirectEndpoint(self.reactor, family, name, self._receiveBuffer)

    def _lookUp(self) -> Deferred[None]:
        """One look-up for all who ask while it goes on."""
        waiting: Deferred[None] = Deferred(lambda d: self._lookup.remove(d))
        self._lookup.append(waiting)
        if not self._isLookingUp:
            self._isLookingUp = True
            looking = self._resolver.addresses(self._host)
            looking.addCallbacks(self._found, self._notFound)
        if self._endpoints and not waiting.called:
            # What was there before is better than nothing for long.
            call = self.reactor.callLater(LOOKUP_PATIENCE, self._waited, waiting)

            def answered(result: Any) -> Any:
                if call.active():
                    call.cancel()
                return result

            waiting.addBoth(answered)
        return waiting

    def _waited(self, waiting: Deferred[None]) -> None:
        if waiting in self._lookup:
            self._lookup.remove(waiting)
            waiting.callback(None)

    def _found(self, answer: Answer) -> None:
        if not answer.found:
            self._notFound(None)
            return
        addresses = [
            (IPv6Address if ":" in one.host else IPv4Address)("TCP", one.host, self._port)
            for one in answer.found
        ]
        hosts = frozenset(one.host for one in answer.found)
        if hosts != self._hosts:  # else those that work stay in front
            self._hosts = hosts
            self._endpoints = [self.endpointOf(address) for address in _interleaved(addresses)]
        self._failures = 0
        ttl = max(SHORTEST_TTL, min(answer.ttl, self._addressTtl))
        self._lookedUp(ttl)

    def _notFound(self, failure: Failure | None) -> None:
        self._failures += 1
        self._lookedUp(min(ADDRESS_TTL, SHORTEST_TTL * 2.0 ** min(self._failures, 16)))

    def _lookedUp(self, seconds: float) -> None:
        """
        A look-up is over.

        :param seconds: for how long what there is now is believed.
        """
        self._isLookingUp = False
        if self._endpoints:
            self._believedUntil = self.reactor.seconds() + seconds
        waiting, self._lookup = self._lookup, []
        for one in waiting:
            if self._endpoints:
                one.callback(None)
            else:
                one.errback(DNSLookupError(f"the name {self._host} has no address"))


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

    def begin(self) -> Any:
        """
        Try the first address, then the others.

        :returns: what the first one gives, if it does at once; else a Deferred.
        """
        endpoint = self._endpoints.pop(0)
        reached = getattr(endpoint, "reach", endpoint.connect)(self._factory)
        if not isinstance(reached, Deferred):
            return reached
        self._follow(endpoint, reached)
        return self._done

    def _next(self) -> None:
        self._call = None
        endpoint = self._endpoints.pop(0)
        self._follow(endpoint, endpoint.connect(self._factory))

    def _follow(self, endpoint: IStreamClientEndpoint, connecting: Deferred[Any]) -> None:
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
