"""
A gateway's side of balancers: they are made of its settings, and kept up to date by DNS, by
health checks and by what members' servers say.

What only balancers need is imported from here, and this where a configuration has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted_fcgi.backend.checks import HealthChecks
from twisted_fcgi.backend.discovery import Discovery
from twisted_fcgi.backend.probes import Probes
from twisted_fcgi.balance import Balancer, Heartbeat
from twisted_fcgi.interfaces import IMember
from twisted_fcgi.message import Request, Route
from twisted_fcgi.settings import BalancerSettings, MemberSettings, Settings
from twisted_fcgi.web.attempts import LiveBalancer
from twisted_fcgi.web.livemembers import LiveMembers

__all__ = ["Balancing"]


class Balancing:
    """
    All balancers of a configuration.

    :param elected: makes the route for a member; may raise a
        :class:`~twisted_fcgi.errors.RequestError`.
    :param members: the gateway's.
    :ivar balancers: each one once, though hosts that inherit one share its state.
    """

    def __init__(
        self,
        settings: Settings,
        elected: Callable[[Request, Route, MemberSettings], Route],
        reactor: Any,
        members: LiveMembers,
    ) -> None:
        self._reactor = reactor
        self._members = members
        self._discovery = Discovery(reactor, self._discovered)
        # By the identity of their settings, which the configuration keeps alive.
        self._live: dict[int, LiveBalancer] = {}
        self._named: dict[tuple[int, str], LiveBalancer] = {}
        for host in (settings.main, *settings.hosts):
            for balancer in host.balancers:
                live = self._live.get(id(balancer))
                if live is None:
                    known = replace(balancer, members=self._discovery.watch(balancer))
                    live = LiveBalancer(known, elected, reactor, self._probes)
                    self._live[id(balancer)] = live
                self._named[id(host), balancer.name] = live
        self.balancers = tuple(self._live.values())
        self._checks = HealthChecks(
            lambda: (live.balancer for live in self.balancers), reactor, members.endpoint
        )

    def start(self) -> None:
        """Begin to look up names, and to check the health of members (``hcmethod``)."""
        self._discovery.start()
        self._checks.start()

    def of(self, route: Route) -> LiveBalancer | None:
        """Who elects the members of a route; ``None`` when it has the only one."""
        name = route.balancer
        return None if name is None else self._named[id(route.host), name]

    def made(self, member: IMember) -> None:
        """There is a new live member."""
        settings = member.settings
        if settings.origin:
            member.endpoint = self._discovery.endpointOf(settings, member.endpoint)

    def heard(self, host: str, beat: Heartbeat) -> None:
        """A host of members said how busy it is."""
        for live in self.balancers:
            live.balancer.heard(host, beat)

    def stop(self) -> None:
        """Ask nobody any more."""
        self._discovery.stop()
        self._checks.stop()
        for live in self.balancers:
            live.stop()

    def _discovered(self, settings: BalancerSettings, members: tuple[MemberSettings, ...]) -> None:
        """DNS names other members of a balancer."""
        balancer = self._live[id(settings)].balancer
        balancer.update(replace(balancer.settings, members=members))
        self._checks.changed()
        self._members.leave(
            state.settings for live in self.balancers for state in live.balancer.members
        )

    def _probes(self, balancer: Balancer) -> Probes:
        return Probes(balancer, self._reactor, self._members.endpoint)
