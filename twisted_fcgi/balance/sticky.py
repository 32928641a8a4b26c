"""
Which session a request belongs to, and what its application is told of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from twisted_fcgi.balance.members import MemberState
from twisted_fcgi.settings import BalancerSettings

__all__ = ["Session", "balancerVariables", "findSession"]


@dataclass(frozen=True)
class Session:
    """
    The session that a request names.

    :ivar name: the parameter's or cookie's name by which it was found.
    :ivar route: the route in it.
    """

    name: bytes
    route: bytes


def findSession(settings: BalancerSettings, url: bytes, cookies: bytes = b"") -> Session | None:
    """
    The session of a request: that of its URL, else that of its cookie.

    :param url: the path and the query.
    :param cookies: the Cookie header's value.
    :returns: ``None`` when there is none, or none with a route.
    """
    if not settings.stickySession:
        return None
    for name, text, pattern in (
        (settings.stickyPath, url,
         rb"[;?&]%s=([^?&;]+)" if settings.semicolonSeparates else rb"[;?&]%s=([^?&]+)"),
        (settings.stickySession, cookies, rb"(?:^|[;,\s])%s\s*=(?=[\0-\xff])([^;,]*)"),
    ):  # fmt: skip
        bare = name.encode("utf-8", "surrogateescape")
        match = re.search(pattern % re.escape(bare), text)
        if match:
            route = match[1]
            if settings.stickySeparator:
                separator = settings.stickySeparator.encode("utf-8", "surrogateescape")
                _, found, route = route.partition(separator)
                if not found:
                    return None
            return Session(bare, route)
    return None


def balancerVariables(
    settings: BalancerSettings, state: MemberState, session: Session | None
) -> list[tuple[bytes, bytes]]:
    """
    What httpd tells an application of the balancer.

    :param state: the member that was elected.
    :param session: the session that the request named.
    """
    pairs = [
        (b"BALANCER_NAME", settings.name.encode("utf-8", "surrogateescape")),
        (b"BALANCER_WORKER_NAME", state.settings.url.encode("utf-8", "surrogateescape")),
        (b"BALANCER_WORKER_ROUTE", state.route),
    ]
    if session is not None:
        pairs.append((b"BALANCER_SESSION_STICKY", session.name))
        pairs.append((b"BALANCER_SESSION_ROUTE", session.route))
    if settings.stickySession and (
        session is None or not session.route or session.route != state.route
    ):
        pairs.append((b"BALANCER_ROUTE_CHANGED", b"1"))
    return pairs
