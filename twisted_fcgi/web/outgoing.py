"""
Responses that something is done to on their way to the front.

The gateway and the exchange put one around a response only where the configuration, or a
variable, asks for that.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import Request, ResponseHead, Route, RouteKind
from twisted_fcgi.routing.heads import changedHead

__all__ = ["GATHER_LIMIT", "ChangedResponse", "GatheringResponse", "OutgoingResponse"]

#: httpd's ProxyIOBufferSize: what ``flushpackets=auto`` holds at most.
GATHER_LIMIT = 8192


@implementer(IResponse)
class OutgoingResponse:
    """
    A response whose head is changed.

    :ivar original: the front's, or another one around that.
    """

    def __init__(self, original: IResponse) -> None:
        self.original = original
        self.write = original.write
        self.flush = original.flush
        self.finish = original.finish
        self.abort = original.abort

    def writeHead(self, head: ResponseHead) -> None:
        self.original.writeHead(head)


class ChangedResponse(OutgoingResponse):
    """
    A response with the fields that its route's Header lines make.

    :ivar told: gives the variables that an application was told.
    """

    told: Callable[[], dict[bytes, bytes]] | None = None

    def __init__(self, request: Request, route: Route, original: IResponse) -> None:
        super().__init__(original)
        self._request = request
        self._route = route

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


@implementer(IResponse)
class GatheringResponse:
    """
    ``flushpackets=auto``: what comes within ``flushwait`` leaves together.

    :param response: the front's response.
    :param wait: seconds without further data after which all is sent on.
    """

    def __init__(self, response: IResponse, wait: float, reactor: IReactorTime) -> None:
        self._response = response
        self._wait = wait
        self._reactor = reactor
        self._parts: list[bytes] = []
        self._size = 0
        self._timer: IDelayedCall | None = None

    def writeHead(self, head: ResponseHead) -> None:
        self._response.writeHead(head)
        self._timer = self._reactor.callLater(self._wait, self._waited)

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= GATHER_LIMIT:
            self._release()
        elif self._timer is None:
            self._timer = self._reactor.callLater(self._wait, self._waited)
        else:
            self._timer.reset(self._wait)

    def _waited(self) -> None:
        self._timer = None
        self.flush()

    def _release(self) -> None:
        """Write what was gathered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._response.write(data)

    def flush(self) -> None:
        self._release()
        self._response.flush()

    def finish(self) -> None:
        self._release()
        self._response.finish()

    def forget(self) -> None:
        """The client left: drop what was gathered, and write nothing more."""
        self._parts.clear()
        self._release()

    def abort(self) -> None:
        self.forget()
        self._response.abort()
