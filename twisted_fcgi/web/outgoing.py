"""
Header: a response whose head is changed on its way to the front.

The gateway puts one around a response only where the configuration asks for that.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import Request, ResponseHead, Route, RouteKind
from twisted_fcgi.routing.heads import changedHead

__all__ = ["ChangedResponse"]


@implementer(IResponse)
class ChangedResponse:
    """
    A response with the fields that its route's Header lines make.

    :ivar original: the front's response.
    :ivar told: gives the variables that an application was told.
    """

    told: Callable[[], dict[bytes, bytes]] | None = None

    def __init__(self, request: Request, route: Route, original: IResponse) -> None:
        self._request = request
        self._route = route
        self.original = original
        self.write = original.write
        self.flush = original.flush
        self.finish = original.finish
        self.abort = original.abort

    def writeHead(self, head: ResponseHead) -> None:
        route, told = self._route, self.told
        self.told = None  # it refers to whoever refers to this
        carried: frozenset[bytes] = frozenset()
        if route.kind == RouteKind.STATIC:
            carried = frozenset(name.lower() for name, _ in route.fields)
        self.original.writeHead(
            changedHead(
                route.directory.responseFields or (),
                head,
                self._request,
                route,
                proxied=route.kind == RouteKind.FASTCGI,
                told=told,
                early=route.early,
                carried=carried,
            )
        )
