"""
Balancers whose members DNS names.

A member that was described by a service (``srv+fcgi://_php._tcp.example.org``) stands for
those that the service has; one that was described by a host's name with several addresses
stands for each of them.  What that comes to is decided by :class:`Source`, which knows no
clock and asks nobody; :class:`Discovery` asks, and tells the balancer.

- A name is asked for again when its TTL is over, within :data:`SHORTEST` and the member's
  ``addressttl``, and at once when a connect to one of its members failed.
- While nobody knows, the last good answer holds, for as long as that takes: members that
  work are no worse for a DNS server that doesn't, and those that don't are left alone as any.
  Questions are repeated after a second, then ever later, up to :data:`LONGEST`.
- An answer that there is nobody is not taken at its word for :data:`DOUBT` seconds, and
  then the balancer is empty: 503.
- A name that nobody knows at start is a warning; a service has no members until then.
- Members that go get no new requests; those that they have go on to their end.
- Of a host's addresses those of one kind are members, the kind of which there are more,
  since a host that has both would be there twice.  A host with one of each stays one
  member, whose addresses are tried side by side (RFC 8305).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from math import inf
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.endpoints import isNamed
from twisted_fcgi.backend.resolver import Answer, Found, LookupFailed, Resolver, resolverOf
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["DOUBT", "LONGEST", "SHORTEST", "Discovery", "Source", "membersOf"]

log = Logger()

#: Seconds after which a name is asked for again, at the earliest.
SHORTEST = 1.0

#: Seconds between questions that nobody answers, at most.
LONGEST = 30.0

#: Seconds for which a name that had members, and now has none, is asked for again.
DOUBT = 30.0

#: Seconds for which any answer is believed, at most.
FOREVER = 86400.0

#: Seconds that an answer is waited for, whoever is asked.
PATIENCE = 60.0

#: A service's weights are made factors of at most so much (in hundredths).
MOST_FACTOR = 10000


def membersOf(template: MemberSettings, found: Iterable[Found]) -> tuple[MemberSettings, ...]:
    """
    The members that a name stands for.

    :param template: what was configured, with the name as its host.
    """
    addresses = tuple(dict.fromkeys(found))
    if template.isService:
        heaviest = max((one.weight for one in addresses), default=0)
        return tuple(_member(template, one, heaviest) for one in addresses)
    six = sorted(one.host for one in addresses if ":" in one.host)
    four = sorted(one.host for one in addresses if ":" not in one.host)
    hosts = four if len(four) >= len(six) else six
    if len(hosts) < 2:
        return (template,)
    return tuple(_member(template, Found(host, template.port)) for host in hosts)


def _member(template: MemberSettings, found: Found, heaviest: int = 0) -> MemberSettings:
    host, port = found.host, found.port
    place = f"[{host}]" if ":" in host else host
    shown = place if port == MemberSettings.port else f"{place}:{port}"
    factor = template.loadFactor
    if heaviest:
        # A weight of 0 among others is a small chance (RFC 2782).
        share = (
            found.weight * 100
            if heaviest * 100 <= MOST_FACTOR
            else (found.weight * MOST_FACTOR // heaviest)
        )
        factor = max(1, share * template.loadFactor // 100)
    route = template.route
    return replace(
        template,
        url=re.sub("://[^/]*", lambda _: f"://{shown}", template.url.removeprefix("srv+"), count=1),
        host=host,
        port=port,
        loadFactor=factor,
        lbset=template.lbset + found.priority,
        route=route and f"{route}-{re.sub('[^0-9A-Za-z]+', '-', f'{host}-{port}')}",
        origin=template.host,
    )


class Source:
    """
    What is known of one name.

    :param template: the member that was described by it.
    :param random: gives a number from 0 to below 1.
    :ivar members: whom it stands for.
    :ivar nextAt: when it is to be asked for again.
    :ivar failures: questions since the last answer.
    """

    def __init__(self, template: MemberSettings, random: Callable[[], float]) -> None:
        self.template = template
        self._none = () if template.isService else (template,)
        self.members: tuple[MemberSettings, ...] = self._none
        self.nextAt = 0.0
        self.failures = 0
        self._random = random
        self._answered = False
        self._askedAt = -inf
        self._noneSince: float | None = None

    @property
    def doubted(self) -> bool:
        """Whether it seems to be nobody any more."""
        return self._noneSince is not None

    def began(self, now: float) -> None:
        """It is asked for."""
        self._askedAt = now

    def answered(self, answer: Answer, now: float) -> None:
        """There is an answer."""
        self.failures = 0
        if answer.found:
            self._noneSince = None
            self.members = self._kept(membersOf(self.template, answer.found))
            ttl = min(answer.ttl, self.template.addressTtl, FOREVER)
        else:
            if self._noneSince is None:
                self._noneSince = now
            if now - self._noneSince >= DOUBT:
                self.members = self._none
            ttl = DOUBT / 10
        # Not at the moment at which all others ask, too.
        self.nextAt = now + max(SHORTEST, ttl) * (0.9 + 0.2 * self._random())

    def failed(self, now: float) -> None:
        """Nobody knows."""
        self.failures += 1
        pause = min(LONGEST, SHORTEST * 2.0 ** min(self.failures - 1, 16))
        self.nextAt = now + max(SHORTEST, pause * (0.5 + 0.5 * self._random()))

    def suspected(self, now: float) -> None:
        """A connect to one of its members failed: it may stand for others by now."""
        self.nextAt = min(self.nextAt, max(now, self._askedAt + SHORTEST))

    def _kept(self, members: tuple[MemberSettings, ...]) -> tuple[MemberSettings, ...]:
        """Those that are there already are the same objects as before."""
        known = {member: member for member in self.members}
        return tuple(known.get(member, member) for member in members)


@implementer(IStreamClientEndpoint)
class _Suspicious:
    """
    An endpoint, and what is to be done when it fails.

    :param suspected: that.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, suspected: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._suspected = suspected

    def __repr__(self) -> str:
        return repr(self._endpoint)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        return self._endpoint.connect(protocolFactory).addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        self._suspected()
        return failure


class _Watched:
    """A balancer: its members, and the sources of those that have one."""

    def __init__(self, settings: BalancerSettings, random: Callable[[], float]) -> None:
        self.settings = settings
        self.sources = [Source(m, random) for m in settings.members if isNamed(m)]
        self._by = {id(source.template): source for source in self.sources}
        self.members = self.current()

    def current(self) -> tuple[MemberSettings, ...]:
        """Whom it has now; of two with the same URL the first one."""
        members: dict[str, MemberSettings] = {}
        for member in self.settings.members:
            source = self._by.get(id(member))
            for one in (member,) if source is None else source.members:
                members.setdefault(f"{one.url}|{one.socket}", one)
        return tuple(members.values())


class Discovery:
    """
    Keeps the members of balancers up to date.

    :param changed: told a balancer's settings, and whom it has now.
    :param resolver: looks names up, for some servers.
    :param random: gives a number from 0 to below 1.
    """

    def __init__(
        self,
        reactor: Any,
        changed: Callable[[BalancerSettings, tuple[MemberSettings, ...]], None],
        resolver: Callable[[tuple[str, ...], Any], Resolver] = resolverOf,
        random: Callable[[], float] | None = None,
    ) -> None:
        self._reactor = reactor
        self._changed = changed
        self._resolver = resolver
        self._random = random or Random().random
        self._watched: list[_Watched] = []
        self._calls: dict[Source, IDelayedCall | None] = {}

    def watch(self, settings: BalancerSettings) -> tuple[MemberSettings, ...]:
        """
        Look after a balancer.

        :returns: its members before anybody was asked.
        """
        watched = _Watched(settings, self._random)
        if watched.sources:
            self._watched.append(watched)
        return watched.members

    def start(self) -> None:
        """Ask for all names, again and again from now on."""
        for watched in self._watched:
            for source in watched.sources:
                if source not in self._calls:
                    self._ask(watched, source)

    def stop(self) -> None:
        """Ask no more."""
        calls, self._calls = self._calls, {}
        for call in calls.values():
            if call is not None:
                call.cancel()

    def endpointOf(
        self, member: MemberSettings, endpoint: IStreamClientEndpoint
    ) -> IStreamClientEndpoint:
        """
        The endpoint of a member that was found, whose failures raise suspicion.

        :param endpoint: connects to it.
        """
        return _Suspicious(endpoint, partial(self.suspected, member))

    def suspected(self, member: MemberSettings) -> None:
        """A connect to a member failed."""
        now = self._reactor.seconds()
        for watched in self._watched:
            for source in watched.sources:
                call = self._calls.get(source)
                if call is not None and member in source.members:
                    source.suspected(now)
                    call.reset(max(0.0, source.nextAt - now))

    def _ask(self, watched: _Watched, source: Source) -> None:
        self._calls[source] = None
        source.began(self._reactor.seconds())
        asking = Deferred.fromCoroutine(self._lookUp(watched, source))
        asking.addErrback(lambda failure: log.failure("while a name was looked up", failure))

    async def _lookUp(self, watched: _Watched, source: Source) -> None:
        template = source.template
        resolver = self._resolver(template.resolver, self._reactor)
        ask = resolver.service if template.isService else resolver.addresses
        answer: Answer | None = None
        reason = "there is nobody behind it"
        try:
            answer = await ask(template.host).addTimeout(PATIENCE, self._reactor)
        except LookupFailed as error:
            reason = str(error)
        except TimeoutError:
            reason = f"no answer within {PATIENCE:g} s"
        except Exception as error:
            log.failure("while {name} was looked up", name=template.host)
            reason = repr(error)
        if source not in self._calls:
            return  # stopped meanwhile
        now = self._reactor.seconds()
        failing = source.failures > 0 or source.doubted
        if answer is None:
            source.failed(now)
        else:
            source.answered(answer, now)
        if (source.failures or source.doubted) and not failing:
            log.warn(
                "{balancer}: {name}: {reason}; {number} members stay",
                balancer=watched.settings.name,
                name=template.host,
                reason=reason,
                number=len(source.members),
            )
        self._calls[source] = self._reactor.callLater(
            source.nextAt - now, self._ask, watched, source
        )
        self._tell(watched)

    def _tell(self, watched: _Watched) -> None:
        """Say who has come and gone, if anybody has."""
        before, members = watched.members, watched.current()
        if members == before:
            return
        watched.members = members
        log.info(
            "{balancer}: members now: {members}",
            balancer=watched.settings.name,
            members=", ".join(member.address for member in members) or "none",
        )
        self._changed(watched.settings, members)
