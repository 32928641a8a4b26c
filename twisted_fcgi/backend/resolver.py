"""
What DNS says of a name: its addresses, or the members of a service.

Two ways, since neither does for everything.  The system's (``getaddrinfo`` in Twisted's
pool of threads) knows /etc/hosts, search lists and whatever else the machine is set up
with, which is what people mean by a host's name; but it tells no TTL, can't tell a name
that does not exist from a server that does not answer, and knows no services.
:mod:`twisted.names` does all that, and nothing else.  So the addresses of names come from
the system unless FcgiResolver names servers, and services (SRV, RFC 2782) from those
or else from the servers of /etc/resolv.conf.

An answer is believed as any is: whoever can forge DNS chooses the members.  Over TLS they
still have to prove who they are (:mod:`~twisted_fcgi.backend.tls`).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Iterable
from math import inf
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from twisted.internet.defer import (
    Deferred,
    DeferredSemaphore,
    FirstError,
    TimeoutError,
    gatherResults,
)
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorFDSet,
    IReadDescriptor,
    IResolutionReceiver,
)
from twisted.logger import Logger
from twisted.names.error import DNSNameError, DomainError
from zope.interface import implementer

__all__ = ["MAX_FOUND", "Answer", "Found", "LookupFailed", "Resolver", "resolverOf"]

log = Logger()

#: Addresses that one name may stand for, and members that a service may have.
MAX_FOUND = 256

#: Names of a service's members that are looked up at a time.
AT_A_TIME = 8

#: Seconds that the servers are waited for: in the first round, and in the next ones.
PATIENCE = (1, 2, 4)

#: Bytes of an answer over UDP; a longer one is asked for over TCP.
MAX_DATAGRAM = 4096

#: A host's name, as DNS has it.
_HOST = re.compile(rb"[A-Za-z0-9_.-]+")

RESOLV_CONF = "/etc/resolv.conf"

# Types of records (RFC 1035, 3596, 2782).
_A, _AAAA, _SRV = 1, 28, 33


class LookupFailed(Exception):
    """Nobody knows: there was no answer, or one that says nothing about the name."""


class Found(NamedTuple):
    """
    One address.

    :ivar port: of a service; 0 for a name's address.
    :ivar priority: of a service: lower ones are asked first.
    :ivar weight: of a service: its share.
    """

    host: str
    port: int = 0
    priority: int = 0
    weight: int = 0


class Answer(NamedTuple):
    """
    What a name stands for.

    :ivar found: nothing, when there is no such name, or there is nothing behind it.
    :ivar ttl: seconds for which that holds.
    """

    found: tuple[Found, ...]
    ttl: float


class Resolver:
    """
    Looks names up.

    :param servers: each ``address:port``; none for the system's.
    :param names: asks them; another one in tests.
    """

    def __init__(self, servers: tuple[str, ...], reactor: Any, names: Any = None) -> None:
        self._servers = servers
        self._reactor = reactor
        self._names = names

    def addresses(self, name: str) -> Deferred[Answer]:
        """
        The addresses of a host.

        :raises LookupFailed: when nobody knows.
        """
        if not self._servers or name == "localhost" or name.endswith(".localhost"):
            return self._system(name)
        return Deferred.fromCoroutine(self._addresses(name))

    def service(self, name: str) -> Deferred[Answer]:
        """
        The members of a service.

        :raises LookupFailed: when nobody knows, of the service or of one of its members.
        """
        return Deferred.fromCoroutine(self._service(name))

    def _system(self, name: str) -> Deferred[Answer]:
        done: Deferred[Answer] = Deferred(lambda _: None)  # a thread can't be stopped
        resolver = getattr(self._reactor, "nameResolver", None)
        if resolver is None:
            done.errback(LookupFailed("this reactor looks up no names"))
        else:
            resolver.resolveHostName(_Addresses(name, done), name)
        return done

    async def _addresses(self, name: str) -> Answer:
        names = self._client()
        both = [
            Deferred.fromCoroutine(self._records(lookUp, name))
            for lookUp in (names.lookupAddress, names.lookupIPV6Address)
        ]
        answers = [answer for answer in await gatherResults(both) if answer is not None]
        if len(answers) < 2 and not any(answer[0] for answer in answers):
            raise LookupFailed(f"no answer to the question for {name}")
        records = [record for answer in answers for record in answer[0]]
        found = tuple(Found(host) for host in _hosts(records))
        if len(found) > MAX_FOUND:
            _limited(name, len(found))
        return Answer(found[:MAX_FOUND], _ttl(records))

    async def _service(self, name: str) -> Answer:
        answer = await self._records(self._client().lookupService, name)
        if answer is None:
            raise LookupFailed(f"no answer to the question for {name}")
        answers, additional = answer
        records = [record for record in answers if record.type == _SRV]
        services = sorted((r.payload for r in records), key=_order)
        services = [s for s in services if _isHost(name, s.target.name)]
        if len(services) > MAX_FOUND:
            _limited(name, len(services))
            services = services[:MAX_FOUND]
        targets = sorted({_text(service.target.name) for service in services})
        given: dict[str, list[Any]] = {target: [] for target in targets}
        for record in additional:
            given.get(_text(record.name.name), []).append(record)
        limit = DeferredSemaphore(AT_A_TIME)
        asked = [limit.run(self._target, target, given[target]) for target in targets]
        try:
            hosts = dict(zip(targets, await gatherResults(asked, consumeErrors=True)))
        except FirstError as error:
            raise LookupFailed(f"{name}: {error.subFailure.getErrorMessage()}") from None
        found = tuple(
            Found(one.host, service.port, service.priority, service.weight)
            for service in services
            for one in hosts[_text(service.target.name)].found
        )
        ttl = min((_ttl(records), *(answer.ttl for answer in hosts.values())))
        if len(found) > MAX_FOUND:
            _limited(name, len(found))
        return Answer(found[:MAX_FOUND], ttl)

    def _target(self, target: str, given: list[Any]) -> Deferred[Answer]:
        return Deferred.fromCoroutine(self._targetOf(target, given))

    async def _targetOf(self, target: str, given: list[Any]) -> Answer:
        """The addresses of a service's member: those of one kind, or it would be there twice."""
        answer = Answer(tuple(map(Found, _hosts(given))), _ttl(given))
        if not answer.found:
            answer = await self._addresses(target)
        if not answer.found:
            log.warn("{target}, which a service names, has no address", target=target)
        old = tuple(one for one in answer.found if ":" not in one.host)
        return Answer(old or answer.found, answer.ttl)

    async def _records(
        self, lookUp: Callable[[str], Awaitable[Any]], name: str
    ) -> tuple[list[Any], list[Any]] | None:
        """Answers and what came with them; ``None`` when there was no answer."""
        try:
            answers, _, additional = await lookUp(name)
        except DNSNameError:
            return [], []
        except (DomainError, TimeoutError, OSError, ValueError) as error:
            log.debug("{name}: {error!r}", name=name, error=error)
            return None
        return answers, additional

    def _client(self) -> Any:
        """What asks servers; made when it is needed, since it watches /etc/resolv.conf."""
        if self._names is None:
            from twisted.names.client import Resolver as Client  # a megabyte, for few

            servers = []
            for server in self._servers:
                host, _, port = server.rpartition(":")
                servers.append((host.strip("[]"), int(port)))
            resolv = None if servers else RESOLV_CONF
            self._names = Client(resolv, servers, PATIENCE, _Ports(self._reactor))
        return self._names


class _Ports:
    """A reactor to :mod:`twisted.names`, which opens a port for each question."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def listenUDP(self, port: int, protocol: Any, *rest: Any, **more: Any) -> Any:
        protocol.noisy = False
        if IReactorFDSet.providedBy(self._reactor):
            protocol.makeConnection(_Question(self._reactor, protocol))
            return protocol.transport
        return self._reactor.listenUDP(port, protocol, *rest, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IReadDescriptor)
class _Question:
    """
    A datagram's socket that is connected: the kernel lets nobody answer but who was asked.

    Twisted's ports take answers from anybody, and write two lines to the log for each question.
    """

    _socket: socket.socket | None = None

    def __init__(self, reactor: Any, protocol: Any) -> None:
        self._reactor = reactor
        self._protocol = protocol

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        """Ask; that it can't be sent is the same to us as that nobody answers."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            self._socket = asked = socket.socket(family, socket.SOCK_DGRAM)
            asked.setblocking(False)
            asked.connect(address)
            asked.send(data)
        except OSError as error:
            log.debug("{address}: {error}", address=address, error=error)
        else:
            self._address = address
            self._reactor.addReader(self)

    def doRead(self) -> None:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        assert self._socket is not None
        try:
            data = self._socket.recv(MAX_DATAGRAM)
        except OSError:
            return  # nobody is there; another server may be
        self._protocol.datagramReceived(data, self._address)

    def stopListening(self) -> None:
        """See :meth:`twisted.internet.interfaces.IListeningPort.stopListening`."""
        self._reactor.removeReader(self)
        self.connectionLost(None)
        self._protocol.doStop()

    def connectionLost(self, reason: object) -> None:
        """Nobody is there, or the reactor ends."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def fileno(self) -> int:
        """See :meth:`twisted.internet.interfaces.IFileDescriptor.fileno`."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return "DNS"


def _isHost(service: str, target: bytes) -> bool:
    """Whether a service's target can be a host; "." says that there is none (RFC 2782)."""
    if target and not _HOST.fullmatch(target):
        host = target[:255].decode("ascii", "backslashreplace")
        log.warn("{name} names {host!r}, which is no host", name=service, host=host)
    return _HOST.fullmatch(target) is not None


def _text(name: bytes) -> str:
    return name.decode("ascii", "replace").lower()


def _order(service: Any) -> Any:
    """So that equal answers give equal members, in whatever order they come."""
    return service.priority, -service.weight, service.target.name, service.port


def _hosts(records: Iterable[Any]) -> list[str]:
    """The addresses in records."""
    hosts = dict.fromkeys(
        record.payload.dottedQuad()
        if record.type == _A
        else socket.inet_ntop(socket.AF_INET6, record.payload.address)
        for record in records
        if record.type in (_A, _AAAA)
    )
    return sorted(hosts)


def _ttl(records: Iterable[Any]) -> float:
    return min((float(record.ttl) for record in records), default=inf)


def _limited(name: str, number: int) -> None:
    log.warn(
        "{name} stands for {number} addresses, only {most} are used",
        name=name,
        number=number,
        most=MAX_FOUND,
    )


@implementer(IResolutionReceiver)
class _Addresses:
    """Gathers what the system finds."""

    def __init__(self, name: str, done: Deferred[Answer]) -> None:
        self._name = name
        self._done = done
        self._found: dict[Found, None] = {}

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See ``IResolutionReceiver``."""

    def addressResolved(self, address: IAddress) -> None:
        """See ``IResolutionReceiver``."""
        if len(self._found) < MAX_FOUND:
            self._found[Found(getattr(address, "host", ""))] = None

    def resolutionComplete(self) -> None:
        """See ``IResolutionReceiver``."""
        if self._done.called:
            return
        if self._found:
            self._done.callback(Answer(tuple(self._found), inf))
        else:
            self._done.errback(LookupFailed(f"the name {self._name} has no address"))


_resolvers: WeakKeyDictionary[Any, dict[tuple[str, ...], Resolver]] = WeakKeyDictionary()


def resolverOf(servers: tuple[str, ...], reactor: Any) -> Resolver:
    """The resolver for some servers: for each reactor one, that asks one question once."""
    known = _resolvers.setdefault(reactor, {})
    resolver = known.get(servers)
    if resolver is None:
        resolver = known[servers] = Resolver(servers, reactor)
    return resolver
