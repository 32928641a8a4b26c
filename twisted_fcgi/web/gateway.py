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
from functools import partial
from itertools import repeat
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from zope.interface import implementer

from twisted_fcgi.backend.checks import HealthChecks
from twisted_fcgi.backend.member import Member
from twisted_fcgi.backend.probes import Probes
from twisted_fcgi.balance import Balancer, Heartbeat
from twisted_fcgi.cgi.metadata import addMetadata
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IBody, IExchange, IGateway, IMember, IResponse
from twisted_fcgi.message import REASONS, Request, ResponseHead, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.settings import MemberSettings, Settings
from twisted_fcgi.web.accessfiles import AccessFileCache
from twisted_fcgi.web.attempts import BalancedAttempts, LiveBalancer
from twisted_fcgi.web.errorpage import ANSWERED, Refusal, errorDocument, writeErrorPage
from twisted_fcgi.web.outgoing import ChangedResponse
from twisted_fcgi.web.relay import Exchange
from twisted_fcgi.web.static import serveFile
from twisted_fcgi.web.steering import SteeredResponse, isSteered

__all__ = ["Gateway"]

log = Logger()


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
        self._router = Router(settings, AccessFileCache(reactor.seconds))
        self._makeMember = makeMember
        # Hosts that inherit a balancer share its state.
        live: dict[int, LiveBalancer] = {}
        self._balancers: dict[tuple[int, str], LiveBalancer] = {}
        for host in (settings.main, *settings.hosts):
            for balancer in host.balancers:
                if id(balancer) not in live:
                    live[id(balancer)] = LiveBalancer(
                        balancer, self._router.elected, reactor, self._probes
                    )
                self._balancers[id(host), balancer.name] = live[id(balancer)]
        # By the identity of their settings, which the configuration keeps alive; so
        # this table does not grow with requests.  Equal settings share a member.
        self._members: dict[int, IMember] = {}
        self._checks = HealthChecks(
            lambda: (live.balancer for live in self.balancers), reactor, self._endpoint
        )

    def start(self) -> None:
        """Begin to check the health of members that are to be (``hcmethod``)."""
        self._checks.start()

    def serve(self, request: Request, body: IBody | None, response: IResponse) -> IExchange:
        try:
            route = self._router.route(request)
        except Exception:
            # Ours to mend; the client gets an answer all the same.
            log.failure("while routing {request!r}", request=request)
            main = self.settings.main
            route = Route(RouteKind.REFUSE, main, main.directory, status=500, reason="see above")
        if route.environment and isSteered(route.environment):
            response = SteeredResponse(response, route.environment)
        if route.complaints:
            self._reportComplaints(request, route)
        return self._answer(route.request or request, route, body, response)

    def _answer(
        self, request: Request, route: Route, body: IBody | None, response: IResponse
    ) -> IExchange:
        """Do what a route says."""
        changed = None
        if route.directory.responseFields is not None or route.early is not None:
            response = changed = ChangedResponse(request, route, response)
        if route.kind == RouteKind.FASTCGI:
            exchange = Exchange(
                request,
                route,
                body,
                response,
                zip(route.members, repeat(route))
                if route.balancer is None
                else BalancedAttempts(
                    self._balancers[id(route.host), route.balancer], request, route
                ),
                self._live,
                self._refuse,
                self._reactor,
            )
            if changed is not None:
                changed.told = exchange.told
            exchange.start()
            return exchange
        if route.kind in (RouteKind.REFUSE, RouteKind.REDIRECT):
            if route.kind == RouteKind.REFUSE:
                self._reportRefusal(request, route)
            refusal = Refusal(route.status, Headers(route.fields))
            if route.location:
                refusal.fields.add(b"Location", route.location)
            return self._refuse(request, route, body, response, refusal)
        if body is not None:
            body.discard()
        if route.kind == RouteKind.STATIC:
            refuse = partial(self._refuse, request, route, None, response)
            return serveFile(request, route, response, self._reactor, refuse)
        fields = Headers(route.fields)
        if route.described is not None:
            addMetadata(fields, route)
        if request.vary:
            fields.vary(request.vary)
        response.writeHead(
            ResponseHead(route.status, REASONS[route.status], fields, len(route.body))
        )
        if route.body:
            response.write(route.body)
        response.finish()
        return ANSWERED

    def _refuse(
        self,
        request: Request,
        route: Route,
        body: IBody | None,
        response: IResponse,
        refusal: Refusal,
    ) -> IExchange:
        """
        Answer with an error or a redirect: its ErrorDocument, or our own page (``ap_die``).

        What fails while it makes the page about an error leaves that error and our own page.

        :param body: what a script that makes the page may read.
        """
        text = None
        if route.status and route.kind in (RouteKind.FASTCGI, RouteKind.STATIC):
            refusal = Refusal(route.status, Headers(route.fields))
        elif (document := errorDocument(request, route, refusal.status)) is not None:
            if document.url.startswith(b"/") and route.authority is not None:
                page = self._router.redirected(
                    request,
                    route,
                    refusal.status,
                    document.url,
                    {**refusal.told, **route.environment, b"REQUEST_METHOD": request.method},
                )
                if page.kind in (RouteKind.FASTCGI, RouteKind.STATIC):
                    page.fields = tuple(refusal.fields)
                    if isinstance(response, ChangedResponse):
                        response = response.original  # the page has settings of its own
                    return self._answer(page.request or request, page, body, response)
                self._reportRefusal(request, page)
            elif document.url:
                refusal = Refusal(302, refusal.fields, close=refusal.close)
                refusal.fields.set(b"Location", document.url)
            else:
                text = document.text
        if body is not None:
            body.discard()
        writeErrorPage(response, refusal, text)
        return ANSWERED

    def _reportComplaints(self, request: Request, route: Route) -> None:
        for complaint in route.complaints:
            log.error("{request!r}: {complaint}", request=request, complaint=complaint)

    def _reportRefusal(self, request: Request, route: Route) -> None:
        log.info(
            "{request!r} from {client} refused with {status}: {reason}",
            request=request,
            client=request.client.host.decode("ascii"),
            status=route.status,
            reason=route.reason,
        )

    def _live(self, settings: MemberSettings) -> IMember:
        member = self._members.get(id(settings))
        if member is None:
            equal = (live for live in self._members.values() if live.settings == settings)
            member = next(equal, None) or self._makeMember(settings, self._reactor)
            self._members[id(settings)] = member
        return member

    def _probes(self, balancer: Balancer) -> Probes:
        return Probes(balancer, self._reactor, self._endpoint)

    def _endpoint(self, settings: MemberSettings) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = self._live(settings).endpoint
        return endpoint

    def heard(self, host: str, beat: Heartbeat) -> None:
        """A host of members said how busy it is."""
        for live in self.balancers:
            live.balancer.heard(host, beat)

    @property
    def balancers(self) -> tuple[LiveBalancer, ...]:
        """Every balancer."""
        return tuple(dict.fromkeys(self._balancers.values()))

    @property
    def members(self) -> tuple[IMember, ...]:
        """Every member that was asked so far."""
        return tuple(dict.fromkeys(self._members.values()))

    def stop(self) -> Deferred[Any]:
        """
        Let running requests end, then close all connections.

        :returns: a Deferred that fires when every connection is closed.
        """
        self._checks.stop()
        for balancer in self.balancers:
            balancer.stop()
        return DeferredList([member.stop() for member in self.members])
