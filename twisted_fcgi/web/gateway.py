"""
The way of a request, from a front to an application and back.

::

    front          bytes -> message.Request, IBody
    routing/       Request -> Route
    web/relay      the exchange: body spooled if its length is unknown, an attempt
                   for each member, the response parsed and written on
    web/balancing  who is asked, where a balancer has the members
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
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel
from zope.interface import implementer

from twisted_fcgi.backend.endpoints import isNamed
from twisted_fcgi.backend.member import Member
from twisted_fcgi.cgi.metadata import addMetadata
from twisted_fcgi.errors import quoted
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import DROPS_CONNECTION, REASONS
from twisted_fcgi.interfaces import IBody, IExchange, IGateway, IMember, IResponse
from twisted_fcgi.message import Request, ResponseHead, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.settings import MemberSettings, Settings
from twisted_fcgi.web.accessfiles import AccessFileCache
from twisted_fcgi.web.errorpage import ANSWERED, Refusal, errorDocument, writeErrorPage
from twisted_fcgi.web.livemembers import LiveMembers
from twisted_fcgi.web.outgoing import ChangedResponse
from twisted_fcgi.web.relay import Exchange
from twisted_fcgi.web.static import serveFile
from twisted_fcgi.web.steering import KeptResponse, SteeredResponse, isSteered
from twisted_fcgi.web.terms import Terms

if TYPE_CHECKING:
    from twisted_fcgi.balance import Heartbeat
    from twisted_fcgi.web.attempts import LiveBalancer
    from twisted_fcgi.web.balancing import Balancing

__all__ = ["Gateway"]

log = Logger()

_FASTCGI = RouteKind.FASTCGI


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
        self.reactor = reactor
        self._router = Router(settings, AccessFileCache(reactor.seconds))
        self._makeMember = makeMember
        self._members = LiveMembers(self._make)
        self._balancing: Balancing | None = None
        self._starting: list[Callable[[], None]] = []
        # Much, and for few: it is imported for those, and before anybody is served.
        if any(host.balancers for host in (settings.main, *settings.hosts)):
            from twisted_fcgi.web.balancing import Balancing

            self._balancing = Balancing(settings, self._router.elected, reactor, self._members)
            self._starting.append(self._balancing.start)
        named = [member for member in settings.alone if isNamed(member)]
        if named:
            from twisted_fcgi.backend.names import reportUnknown

            self._starting.append(partial(reportUnknown, named, reactor))
        usual = settings.main.kept
        self._keepAlive: dict[int, tuple[float, int]] = {
            id(host): host.kept for host in settings.hosts if host.kept != usual
        }

    def start(self) -> None:
        """Begin to look up names, and to check the health of members (``hcmethod``)."""
        for start in self._starting:
            start()

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
        if self._keepAlive and (keepAlive := self._keepAlive.get(id(route.host))) is not None:
            response = KeptResponse(response, keepAlive)
        if route.complaints:
            self._reportComplaints(request, route)
        if body is not None and route.kind != _FASTCGI:
            _holdToLimit(route, body)
        return self._answer(route.request or request, route, body, response)

    def _relay(
        self, request: Request, route: Route, body: IBody | None, response: IResponse
    ) -> IExchange:
        """Ask an application."""
        terms: Terms | None = route.terms
        if terms is None:
            live = None if self._balancing is None else self._balancing.of(route)
            terms = route.terms = Terms(route, live)
        attempts = None
        if terms.balancer is not None:
            attempts = terms.balancer.attempts(request, route)
        if terms.changesFields:
            changed = ChangedResponse(request, route, response)
            exchange = Exchange(self, request, route, body, changed, attempts)
            changed.told = exchange.told
        else:
            exchange = Exchange(self, request, route, body, response, attempts)
        exchange.start()
        return exchange

    def _answer(
        self, request: Request, route: Route, body: IBody | None, response: IResponse
    ) -> IExchange:
        """Do what a route says."""
        if route.kind == _FASTCGI:
            return self._relay(request, route, body, response)
        if route.changesFields:
            response = ChangedResponse(request, route, response)
        if body is not None and route.bodyRead:
            body.discard()
            body, request.contentLength = None, 0
        if route.kind in (RouteKind.REFUSE, RouteKind.REDIRECT):
            if route.kind == RouteKind.REFUSE:
                self._reportRefusal(request, route)
            refusal = Refusal(route.status, Headers(route.fields))
            if route.location:
                refusal.fields.add(b"Location", route.location)
            return self.refuse(request, route, body, response, refusal)
        if body is not None:
            body.discard()
        if route.kind == RouteKind.STATIC:
            refuse = partial(self.refuse, request, route, None, response)
            return serveFile(request, route, response, self.reactor, refuse)
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

    def refuse(
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
                url = quoted(document.url)
                page.reason = f"{url}, the ErrorDocument of this {refusal.status}: {page.reason}"
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
            log.error(
                '[client {client}] "{line}": {complaint}',
                client=request.client.host.decode("ascii"),
                line=_lineOf(request),
                complaint=complaint,
            )

    def _reportRefusal(self, request: Request, route: Route) -> None:
        """As httpd: what is our fault, or not allowed, is an error; what is not there is none."""
        log.emit(
            LogLevel.error if route.status >= 500 or route.status == 403 else LogLevel.info,
            '[client {client}] "{line}": {status}: {reason}',
            client=request.client.host.decode("ascii"),
            line=_lineOf(request),
            status=route.status,
            reason=route.reason,
        )

    def memberOf(self, settings: MemberSettings) -> IMember:
        """The live member of some settings."""
        return self._members.of(settings)

    def _make(self, settings: MemberSettings) -> IMember:
        member = self._makeMember(settings, self.reactor)
        if self._balancing is not None:
            self._balancing.made(member)
        return member

    def heard(self, host: str, beat: Heartbeat) -> None:
        """A host of members said how busy it is."""
        if self._balancing is not None:
            self._balancing.heard(host, beat)

    @property
    def balancers(self) -> tuple[LiveBalancer, ...]:
        """Every balancer."""
        return () if self._balancing is None else self._balancing.balancers

    @property
    def members(self) -> tuple[IMember, ...]:
        """Every member that was asked so far."""
        return tuple(self._members)

    def stop(self) -> Deferred[Any]:
        """
        Let running requests end, then close all connections.

        :returns: a Deferred that fires when every connection is closed.
        """
        if self._balancing is not None:
            self._balancing.stop()
        return self._members.stop()


def _lineOf(request: Request) -> str:
    """A request's first line, for the log."""
    return request.line.decode("latin-1").encode("unicode_escape").decode("ascii")


def _holdToLimit(route: Route, body: IBody) -> None:
    """
    LimitRequestBody for what no application is asked for: httpd reads the body before it
    answers, unless the connection ends anyway.
    """
    if 0 < route.bodyLimit < (body.length or 0) and route.status not in DROPS_CONNECTION:
        route.kind, route.status, route.fields = RouteKind.REFUSE, 413, ()
        route.location = b""
        route.reason = f"Content-Length {body.length} is over LimitRequestBody {route.bodyLimit}"
