"""
The way of a request, from a front to an application and back.

::

    front          bytes -> message.Request, IBody
    routing/       Request -> Route
    web/relay      the exchange: body spooled if its length is unknown, an attempt
                   for each member, the response parsed and written on
    cgi/params     (Request, Route, member) -> the variables
    backend/       member -> connection -> stream
    cgi/response   stdout -> head, body
    web/static     what no mapping claims

A gateway knows no front.  It is made from :class:`~twisted_fcgi.settings.Settings`
and owns the live members; making one connects to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.backend.member import Member
from twisted_fcgi.balance import Balancer
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IBody, IExchange, IGateway, IMember, IResponse
from twisted_fcgi.message import REASONS, Request, ResponseHead, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.settings import MemberSettings, Settings
from twisted_fcgi.web.attempts import BalancedAttempts
from twisted_fcgi.web.errorpage import writeErrorPage
from twisted_fcgi.web.relay import Exchange
from twisted_fcgi.web.static import serveFile

__all__ = ["Gateway"]

log = Logger()


@implementer(IExchange)
class _Answered:
    """The exchange of a request that was answered at once."""

    def clientGone(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


_ANSWERED = _Answered()


@implementer(IGateway)
class Gateway:
    """
    Serves requests as a configuration says.

    :param settings: the configuration.
    :param reactor: for connections and timers.
    :param makeMember: makes a live member of its settings; another one in tests.
    """

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        makeMember: Callable[[MemberSettings, Any], IMember] = Member,
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._router = Router(settings)
        self._makeMember = makeMember
        # Hosts that inherit a balancer share its state.
        live: dict[int, Balancer] = {}
        self._balancers = {
            (id(host), balancer.name): live.setdefault(id(balancer), Balancer(balancer))
            for host in (settings.main, *settings.hosts)
            for balancer in host.balancers
        }
        # By the identity of their settings, which the configuration keeps alive; so
        # this table does not grow with requests.  Equal settings share a member.
        self._members: dict[int, IMember] = {}

    def serve(self, request: Request, body: IBody | None, response: IResponse) -> IExchange:
        try:
            route = self._router.route(request)
        except Exception:
            # Ours to mend; the client gets an answer all the same.
            log.failure("while routing {request!r}", request=request)
            main = self.settings.main
            route = Route(RouteKind.REFUSE, main, main.directory, status=500, reason="see above")
        if route.kind == RouteKind.FASTCGI:
            exchange = Exchange(
                request,
                route,
                body,
                response,
                zip(route.members, repeat(route))
                if route.balancer is None
                else BalancedAttempts(
                    self._balancers[id(route.host), route.balancer],
                    request,
                    route,
                    self._router.elected,
                    self._reactor.seconds,
                ),
                self._live,
                self._reactor,
            )
            exchange.start()
            return exchange
        if body is not None:
            body.discard()
        if route.kind == RouteKind.STATIC:
            return serveFile(request, route, response, self._reactor)
        if route.kind == RouteKind.ANSWER:
            response.writeHead(
                ResponseHead(
                    route.status, REASONS[route.status], Headers(route.fields), len(route.body)
                )
            )
            if route.body:
                response.write(route.body)
            response.finish()
            return _ANSWERED
        headers = Headers(route.fields)
        if route.kind == RouteKind.REDIRECT:
            headers.add(b"Location", route.location)
        else:
            log.info(
                "{request!r} from {client} refused with {status}: {reason}",
                request=request,
                client=request.client.host.decode("ascii"),
                status=route.status,
                reason=route.reason,
            )
        writeErrorPage(response, route.status, headers)
        return _ANSWERED

    def _live(self, settings: MemberSettings) -> IMember:
        member = self._members.get(id(settings))
        if member is None:
            equal = (live for live in self._members.values() if live.settings == settings)
            member = next(equal, None) or self._makeMember(settings, self._reactor)
            self._members[id(settings)] = member
        return member

    @property
    def members(self) -> tuple[IMember, ...]:
        """Every member that was asked so far."""
        return tuple(dict.fromkeys(self._members.values()))

    def stop(self) -> Deferred[Any]:
        """
        Let running requests end, then close all connections.

        :returns: a Deferred that fires when every connection is closed.
        """
        return DeferredList([member.stop() for member in self.members])
