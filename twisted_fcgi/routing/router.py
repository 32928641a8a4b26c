"""
From a request to what is done with it.

A :class:`Router` follows httpd's order: the target and the host it names, the
virtual host, SetEnvIf, then what the path leads to (:mod:`~twisted_fcgi.routing.site`),
and at last who serves that (:mod:`~twisted_fcgi.routing.serving`).

All that does not depend on a request is prepared when the router is made.  Names
that clients use are remembered, up to a bound, and so are decisions that rest on the
target, who was asked, and what is easily looked at again, such as the kind of some files
(``os.stat``): that is done before another request is given such a decision
(:mod:`~twisted_fcgi.routing.grounds`).  It does nothing else to the world.
"""

from __future__ import annotations

from dataclasses import replace

from twisted_fcgi.errors import BadRequest, MethodNotAllowed, RequestError
from twisted_fcgi.http import METHODS
from twisted_fcgi.message import Address, Authority, Request, Route, RouteKind
from twisted_fcgi.pcre import effort, searchFailures
from twisted_fcgi.routing.canon import nameUrl
from twisted_fcgi.routing.decisions import Decisions
from twisted_fcgi.routing.environment import Environment, isTooLarge
from twisted_fcgi.routing.fields import Early
from twisted_fcgi.routing.files import DIRECTORY
from twisted_fcgi.routing.grounds import Basis
from twisted_fcgi.routing.hosts import Hosts
from twisted_fcgi.routing.look import Look
from twisted_fcgi.routing.mapping import Destination
from twisted_fcgi.routing.notes import Notes
from twisted_fcgi.routing.sections import AccessFiles
from twisted_fcgi.routing.serving import allowedMethods, answer, holdToBlocks, leaveFields, serve
from twisted_fcgi.routing.site import Site
from twisted_fcgi.settings import MemberSettings, Settings, VirtualHost
from twisted_fcgi.uri import Target, parseAuthority, parseTarget, roughPath

__all__ = ["Router"]

#: Names under which we were asked that are remembered, and how long one may be.
MAX_AUTHORITIES = 1024
MAX_AUTHORITY = 262

#: Members of balancers whose URLs are remembered taken apart.
MAX_DESTINATIONS = 4096

#: Methods that make no difference where an application is asked.
_ALIKE = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH"))


class Router:
    """
    Decides about requests as a configuration says.

    :param settings: the configuration.
    :param accessFiles: finds ``.htaccess`` files; without, there are none.
    """

    def __init__(self, settings: Settings, accessFiles: AccessFiles | None = None) -> None:
        self._main = settings.main
        self._hosts = Hosts(settings)
        self._sites = {
            id(host): Site(host, accessFiles) for host in (settings.main, *settings.hosts)
        }
        self._authorities: dict[tuple[object, ...], Authority] = {}
        self._decisions = Decisions()
        self._accessFiles = accessFiles
        self._generation = 0
        #: Of balancers' members, by the identity of their settings.
        self._destinations: dict[int, Destination] = {}

    def route(self, request: Request) -> Route:
        """
        Decide what is done with a request.

        :returns: a route that other requests may be given, too.
        """
        asked = self._decisions.askedBy(request)
        routes = asked.routes
        method = request.method
        if routes is None or not (method == b"GET" or method in _ALIKE):
            return self._routed(request, asked.field)[0]
        known = routes.get(request.target)
        if known is not None:
            route, basis = known
            if basis is None or basis.holds(request):
                return route
        route, basis = self._routed(request, asked.field)
        if basis is not None:
            if self._isOutdated():
                self._decisions.clear()
            route.lasting = self._decisions.remember(asked, request.target, route, basis or None)
        return route

    def _isOutdated(self) -> bool:
        """Whether there are other ``.htaccess`` files since one looked; routes keep them alive."""
        before = self._generation
        if self._accessFiles is not None:
            self._generation = self._accessFiles.generation
        return before != self._generation

    def explained(self, request: Request) -> tuple[Route, Notes]:
        """What :meth:`route` decides, and why."""
        notes = Notes()
        return self._routed(request, request.headers.get(b"host"), notes)[0], notes

    def siteOf(self, host: VirtualHost) -> Site:
        """A virtual host, prepared."""
        return self._sites[id(host)]

    def hostsFor(self, server: Address) -> list[VirtualHost]:
        """As :meth:`Hosts.sharing`."""
        return self._hosts.sharing(server)

    def _routed(
        self, request: Request, field: bytes | None, notes: Notes | None = None
    ) -> tuple[Route, Basis | None]:
        effort.begin()
        route = Route(RouteKind.REFUSE, self._main, self._main.directory)
        basis = None
        try:
            target = parseTarget(request.method, request.target)
            authority = route.authority = self._authority(request, target, field)
            route.host = authority.host
            route.directory = authority.host.directory
            route.hostname = authority.hostname
            route.query = target.query
            basis = self._decide(request, target, authority, route, notes)
        except _failures() as error:
            _refuse(route, error)
        return route, basis

    # Who is asked.

    def _authority(self, request: Request, target: Target, field: bytes | None) -> Authority:
        """The virtual host and the name it was asked by (``ap_update_vhost_from_headers``)."""
        absolute = target.scheme == (b"https" if request.secure else b"http")
        value = None
        if absolute and target.authority is not None:
            value = target.authority.removesuffix(b":")  # a URL's port may be empty
        key = (field, value, request.server, request.secure)
        authority = self._authorities.get(key)
        if authority is None:
            hostname = port = None
            if value is not None or field:
                hostname, port = parseAuthority(field or b"" if value is None else value)
            shown = field
            if value is not None and field is not None and hostname is not None:
                # The target's name is the one that counts, also for the application.
                shown = b"[%b]" % hostname if b":" in hostname else hostname
                shown += b"" if port is None else b":%d" % port
            host = self._hosts.choose(request.server, hostname)
            if self._hosts.isStrange(request.server, hostname):
                raise BadRequest("by StrictHostCheck no ServerName or ServerAlias")
            authority = Authority(host, hostname, port, shown, request.server, request.secure)
            if max(len(field or b""), len(value or b"")) <= MAX_AUTHORITY:
                if len(self._authorities) >= MAX_AUTHORITIES:
                    self._authorities.clear()
                self._authorities[key] = authority
        if request.protocol not in (b"HTTP/1.0", b"HTTP/0.9") and (
            authority.hostname is None or (field is None and request.protocol == b"HTTP/1.1")
        ):
            raise BadRequest("no Host")
        return authority

    # What is done.

    def _decide(
        self,
        request: Request,
        target: Target,
        authority: Authority,
        route: Route,
        notes: Notes | None,
    ) -> Basis | None:
        """
        Fill in a route.

        :returns: what it rests on besides the target and who was asked, when it is to be
            remembered: an application is asked.
        """
        host = authority.host
        site = route.site = self._sites[id(host)]
        if request.method == b"CONNECT":
            raise MethodNotAllowed("CONNECT is for forward proxies", allowedMethods(host))
        if host.registeredOnly and request.method not in METHODS.union(host.methods):
            raise MethodNotAllowed("nobody registered the method", b"TRACE", 501)
        if target.path == b"*":
            if host.directory.earlyFields is not None:
                route.early = site.start(request, authority, target.path, {}).early
            leaveFields(route)
            answer(route)
            return None
        sent = target.path if target.query is None else target.path + b"?" + target.query
        try:
            look = site.start(request, authority, sent, {}, notes=notes)
        except BadRequest:
            route.uri = roughPath(target.path)  # for its ErrorDocument
            raise
        look = self._follow(look, route)
        if route.kind != RouteKind.FASTCGI or look.early is not None:
            return None
        return _basis(look) if not (request.vary or look.complaints) else None

    def _follow(self, look: Look, route: Route) -> Look:
        """Look, follow internal redirects, and fill in a route with what is found."""
        while True:
            if look.notes is not None:
                look.notes.looks.append(look)
            try:
                look.site.look(look)
                if isTooLarge(look.environment):
                    look.environment = {}
                    raise RequestError("the variables are too large", 500)
            finally:
                # Also of what is refused, for its ErrorDocument.
                route.directory = look.directory
                route.environment = look.environment
                if look.complaints:
                    route.complaints = tuple(look.complaints)
                route.uri = look.uri
                route.query = look.query
                route.filename = look.filename
                route.pathInfo = look.pathInfo
                if look.early is not None or look.directory.requestFields is not None:
                    route.request = look.request
                    route.authority = look.authority
                    route.early = look.early
            if look.internal is None:
                look.internal = look.site.action(look)
            if look.internal is None:
                break
            look = self._next(look, look.internal, route)
        if look.previous is not None:
            route.initial = False
            look.environment[b"REDIRECT_URL"] = (
                _wholeUrl(look.previous, look)
                if look.directory.wholeRedirectUrl
                else look.previous.uri
            )
            if look.previous.query is not None:
                look.environment[b"REDIRECT_QUERY_STRING"] = look.previous.query
        if look.notes is not None and look.mapped is None:
            look.notes.file = look.filename, look.kind
        serve(look, route)
        return look

    def _next(self, look: Look, url: bytes, route: Route) -> Look:
        """An internal redirect."""
        redirects, before = 1, look.previous
        while before is not None:
            redirects, before = redirects + 1, before.previous
        if redirects > look.site.host.internalRedirects:
            raise RequestError(f"more than {redirects - 1} internal redirects", 500)
        environment = {b"REDIRECT_" + name: value for name, value in look.environment.items()}
        environment[b"REDIRECT_STATUS"] = b"%d" % (route.status or 200)
        asked = route.request or look.request
        found = look.site.start(asked, look.authority, url, environment, look, look.notes)
        found.settled = route.directory
        return found

    # What becomes of it later.

    def redirected(
        self, request: Request, route: Route, status: int, url: bytes, told: Environment
    ) -> Route:
        """
        Where an internal redirect leads: to a page about an error
        (``ap_internal_redirect`` of ``ap_die``).

        :param request: as it came, or as the configuration changed it.
        :param route: that ended with an error.
        :param status: of that error.
        :param url: a local one.
        :param told: variables of the request so far.
        :returns: a route of its own; its status is that of the error.
        """
        effort.begin()
        before = Look.of(request, route)
        before.environment = told
        before.early = route.early and Early(route.early.always)
        page = Route(
            RouteKind.REFUSE,
            route.host,
            route.directory,
            status=status,
            authority=route.authority,
            hostname=route.hostname,
            request=request.changed(method=b"GET"),
            site=route.site,
        )
        assert page.request is not None
        page.request.vary = ()  # of its own: another answer's fields are gone
        try:
            self._follow(self._next(before, url, page), page)
        except _failures() as error:
            _refuse(page, error)
        return page

    def elected(self, request: Request, route: Route, member: MemberSettings) -> Route:
        """
        A balancer's route for one of its members (mod_proxy_balancer: ``balancer_fixup``).

        The member's own path comes before the request's; only now the URL has its
        final form.

        :param route: as :meth:`route` made it.
        :returns: another route, with the filename, script and PATH_INFO for that member.
        :raises RequestError: when the URL is not allowed.
        """
        holdToBlocks(member, route.host)
        rest = route.filename[len(b"proxy:balancer://") :]
        destination = self._destinations.get(id(member))
        if destination is None:
            # Where nobody asks DNS, a service stands for its members.
            url = member.url.removeprefix("srv+")
            destination = Destination(url.encode("utf-8", "surrogateescape"), member)
            if len(self._destinations) >= MAX_DESTINATIONS:
                self._destinations.clear()  # of members that DNS has long replaced
            self._destinations[id(member)] = destination
        look = Look.of(request, route)
        path = destination.path + rest[rest.index(b"/") :]
        nameUrl(look, destination, path, route.raw, route.directory)
        elected = replace(
            route,
            filename=look.filename,
            script=look.script,
            pathInfo=look.pathInfo,
            told=None,
            lasting=False,
        )
        if look.pathInfo != route.pathInfo:
            info = look.pathInfo
            elected.pathTranslated = info and look.site.pathTranslated(info, look)
        return elected


def _basis(look: Look) -> Basis | None:
    """
    What a look rests on, if that can be looked at again.

    :param look: that led to an application.
    """
    grounds = look.grounds
    # Where a ProxyPass claims the path at once, it was not taken for a file's; a look leaves
    # two sets of rules.
    ofFiles = look.mapped is None or len(grounds.rules) > 2
    if not all(rules.lastingForFiles if ofFiles else rules.lasting for rules in grounds.rules):
        return None
    it: Look | None = look
    while it is not None:
        if it.kind == DIRECTORY:
            return None  # what it becomes without an index depends on the method
        it = it.previous
    return grounds.basis()


def _failures() -> tuple[type[Exception], ...]:
    """What a request is refused for."""
    return (RequestError, *searchFailures())


def _refuse(route: Route, error: Exception) -> None:
    if not isinstance(error, RequestError):
        error = RequestError(f"an expression of the configuration: {error}", 500)
    route.kind = RouteKind.REFUSE
    route.status = error.status
    route.reason = error.reason
    if isinstance(error, MethodNotAllowed):
        route.fields = ((b"Allow", error.allowed),)


def _wholeUrl(previous: Look, look: Look) -> bytes:
    """What led to an internal redirect, as QualifyRedirectURL wants it told."""
    query = b"" if previous.query is None else b"?" + previous.query
    return look.authority.url(previous.uri, look.directory) + query
