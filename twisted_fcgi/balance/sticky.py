"""
What a request says of where it belongs, and what its application is told of it.

httpd finds a session's route in what the application itself put into a cookie or
a URL: ``stickysession=JSESSIONID``, ``JSESSIONID=A1B2.route``.  PHP adds no route;
for such applications there is a cookie of our own, :class:`RouteCookie`.

Differences to httpd: a parameter's name has to be whole in a URL too (there,
``XSID=`` is taken for ``SID``); a parameter without a value has none (there, it
takes the next parameter for it).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from twisted_fcgi.balance.members import MemberState
from twisted_fcgi.message import Request
from twisted_fcgi.settings import BalancerSettings

__all__ = ["RouteCookie", "Session", "balancerVariables", "findSession", "hashKey"]


@dataclass(frozen=True)
class Session:
    """
    The session that a request names.

    :ivar name: the parameter's or cookie's name by which it was found.
    :ivar route: the route in it; may be empty.
    """

    name: bytes
    route: bytes


def findSession(settings: BalancerSettings, url: bytes, cookies: bytes) -> Session | None:
    """
    The session of a request: that of its URL, else that of its cookie.

    :param url: the path, undecoded or decoded, and the query.
    :param cookies: the Cookie field's value, or empty.
    :returns: ``None`` when there is none, or none with a separator before its route.
    """
    if not settings.stickySession:
        return None
    name = settings.stickyPath
    match = _parameter(name, settings.semicolonSeparates).search(url)
    if match is None:
        name = settings.stickySession
        match = _cookie(name).search(cookies)
        if match is None:
            return None
    route = match[1]
    if settings.stickySeparator:
        _, found, route = route.partition(_encode(settings.stickySeparator))
        if not found:
            return None
    return Session(_encode(name), route)


def balancerVariables(
    settings: BalancerSettings, state: MemberState, session: Session | None
) -> list[tuple[bytes, bytes]]:
    """
    What an application is told of the balancer.

    :param state: the member that was elected.
    :param session: the session that the request named.
    """
    pairs = [
        (b"BALANCER_NAME", _encode(settings.name)),
        (b"BALANCER_WORKER_NAME", _encode(state.settings.url)),
        (b"BALANCER_WORKER_ROUTE", state.route),
    ]
    if session is not None:
        pairs.append((b"BALANCER_SESSION_STICKY", session.name))
        pairs.append((b"BALANCER_SESSION_ROUTE", session.route))
    # So with each request that has no route yet: the application may take the chance.
    if settings.stickySession and not (session and session.route and session.route == state.route):
        pairs.append((b"BALANCER_ROUTE_CHANGED", b"1"))
    return pairs


def hashKey(settings: BalancerSettings, request: Request) -> bytes | None:
    """
    What of a request is hashed by ``lbmethod=hash``.

    :returns: ``None`` when the request has none of that.
    """
    kind, _, name = settings.hashKey.partition(":")
    if kind == "uri":
        return request.target.partition(b"?")[0]
    if kind == "client":
        return request.client.host
    if kind == "header":
        return request.headers.get(_encode(name).lower())
    match = _cookie(name).search(request.headers.get(b"cookie") or b"")
    return match[1] if match else None


class RouteCookie:
    """
    The cookie that is set for applications that add no route.

    It holds the member's :attr:`~MemberState.cookieRoute` and a signature, so that
    a client can't choose a member, or learn by trying which there are.  It has to be
    set when the route that came with a request is not that of who was elected.

    :ivar name: the cookie's name.
    :param settings: ``routeCookie`` and ``routeSecret``.
    """

    def __init__(self, settings: BalancerSettings) -> None:
        self.name = _encode(settings.routeCookie)
        self._pattern = _cookie(settings.routeCookie)
        # One balancer's cookies are no good at another one.
        self._key = sha256(_encode(f"{settings.name}\0{settings.routeSecret}")).digest()

    def make(self, state: MemberState, secure: bool = False) -> bytes:
        """
        A Set-Cookie field's value for a client whose requests are to go to a member.

        :param secure: whether the client's connection is.
        """
        route = state.cookieRoute
        cookie = b"%s=%s.%s; Path=/; HttpOnly; SameSite=Lax" % (self.name, self._sign(route), route)
        return cookie + b"; Secure" if secure else cookie

    def check(self, cookies: bytes) -> bytes | None:
        """
        The route in a request's cookies, for :meth:`~twisted_fcgi.balance.Balancer.elect`.

        :param cookies: the Cookie field's value, or empty.
        :returns: ``None`` when there is none that we made.
        """
        match = self._pattern.search(cookies)
        if match is None:
            return None
        signature, _, route = match[1].partition(b".")
        return route if hmac.compare_digest(signature, self._sign(route)) else None

    def _sign(self, route: bytes) -> bytes:
        return hmac.digest(self._key, route, "sha256").hex()[:32].encode("ascii")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=256)
def _parameter(name: str, semicolonSeparates: bool) -> re.Pattern[bytes]:
    """Finds the value of a path's or a query's parameter."""
    rest = rb"[^?&;]+" if semicolonSeparates else rb"[^?&]+"
    return re.compile(rb"[;?&]%s=(%s)" % (re.escape(_encode(name)), rest))


@lru_cache(maxsize=256)
def _cookie(name: str) -> re.Pattern[bytes]:
    """Finds the value of a cookie, which a comma ends too."""
    return re.compile(rb"(?:^|[;,\s])%s\s*=(?!\Z)([^;,]*)" % re.escape(_encode(name)))
