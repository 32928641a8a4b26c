"""What all connections of our HTTP/1.1 front have in common."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from twisted_fcgi.interfaces import IGateway
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.clientresponse import ClientResponse
from twisted_fcgi.web.knownlines import KnownLines
from twisted_fcgi.web.sentheads import SentHeads

__all__ = ["Front"]


class Front:
    """
    Who serves the requests, within which limits, and what is remembered of them.

    The parameters are those of :class:`~twisted_fcgi.web.factory.HTTPFactory`.

    :ivar keepAlive: KeepAliveTimeout and MaxKeepAliveRequests, unless a virtual host has
        others.
    :ivar ending: whether every connection ends after its response.
    :ivar knownLines: those of requests that were read lately.
    :ivar sentHeads: makes the heads of responses.
    """

    __slots__ = (
        "accessLog",
        "callLater",
        "clientTimeout",
        "ending",
        "gateway",
        "keepAlive",
        "knownLines",
        "limits",
        "seconds",
        "sentHeads",
    )

    def __init__(
        self,
        gateway: IGateway,
        limits: Limits,
        reactor: IReactorTime,
        serverName: bytes,
        clientTimeout: float,
        accessLog: Callable[[ClientResponse], None] | None,
    ) -> None:
        self.gateway = gateway
        self.limits = limits
        self.keepAlive = limits.keepAliveTimeout, limits.keepAliveRequests
        self.ending = False
        self.clientTimeout = clientTimeout
        self.accessLog = accessLog
        self.seconds = reactor.seconds
        self.callLater = reactor.callLater
        self.knownLines = KnownLines()
        self.sentHeads = SentHeads(serverName)
