"""
What is the same for all exchanges with a route.

A route that is remembered is given to many requests, and an application most often repeats
its heads.  So what follows from a route and its settings is worked out once and kept with it
(``Route.terms``), together with the head that came last and was passed on as it was: output
that begins with all of it, the empty line included, needs not be read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_fcgi.interfaces import IMember
from twisted_fcgi.message import ResponseHead, Route
from twisted_fcgi.settings import Flush, MemberSettings

if TYPE_CHECKING:
    from twisted_fcgi.web.attempts import LiveBalancer

__all__ = ["MAX_USUAL", "Terms"]

#: The longest head that is remembered with each route.
MAX_USUAL = 512


class Terms:
    """
    What a route says of its exchanges.

    :ivar changesFields: as :attr:`~twisted_fcgi.message.Route.changesFields`.
    :ivar overrides: whether ProxyErrorOverride is for its responses.
    :ivar timeout: seconds of silence that are borne.
    :ivar balancer: who has the members, or ``None``.
    :ivar member: who is asked; ``None`` before somebody is.
    :ivar live: the live member, unless it may come and go.
    :ivar maxHead: most bytes of a response's head.
    :ivar flushes: whether ``flushpackets`` is on or auto.
    :ivar usual: the head that came last and was passed on unchanged; others may have it, too.
    :ivar usualLines: that head as it came, with the empty line.
    """

    member: MemberSettings | None = None
    live: IMember | None = None
    maxHead = 0
    flushes = False
    usual: ResponseHead | None = None
    usualLines: bytes = b""

    def __init__(self, route: Route, balancer: LiveBalancer | None = None) -> None:
        self.balancer = balancer
        host, directory = route.host, route.directory
        self.changesFields: bool = route.changesFields
        self.overrides: bool = bool(directory.overridesErrors and route.initial)
        self.timeout = host.timeout if host.proxyTimeout is None else host.proxyTimeout
        self._overridden = directory.overriddenStatuses

    def meet(self, member: MemberSettings, live: IMember) -> None:
        """Be about another member."""
        self.member = member
        self.live = None if member.origin else live  # those that DNS names
        self.maxHead = member.maxResponseHead
        self.flushes = member.flush is not Flush.OFF
        self.usual = None

    def remember(self, head: ResponseHead, lines: bytes) -> None:
        """
        A head was passed on unchanged.

        :param lines: as it came, with the empty line.
        """
        if len(lines) <= MAX_USUAL:
            self.usual = head
            self.usualLines = lines

    def isOverridden(self, status: int) -> bool:
        """Whether another page is sent in a response's place (``ap_proxy_should_override``)."""
        if not self.overrides:
            return False
        return status in self._overridden if self._overridden else status >= 400
