"""
The factory of our HTTP/1.1 front: its connections, and their deadlines.

These are looked at for all channels together every :data:`SWEEP` seconds, so one may
come up to two sweeps late, and none costs anything before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

from twisted_fcgi.interfaces import IGateway
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.channel import HTTPChannel
from twisted_fcgi.web.clientresponse import ClientResponse
from twisted_fcgi.web.front import Front

__all__ = ["SWEEP", "HTTPFactory"]

#: Seconds between two looks at the deadlines.
SWEEP = 0.5


@implementer(IProtocolNegotiationFactory)
class HTTPFactory(Factory):
    """
    Makes the channels of all listeners, and looks after their deadlines.

    :param gateway: gets the requests.
    :param limits: of every client.
    :param clientTimeout: seconds for which a client may neither send an awaited body
        nor take its response (httpd: Timeout).
    :param accessLog: called with each :class:`~twisted_fcgi.web.clientresponse.ClientResponse`
        that was finished or cut off.
    :ivar front: what the connections have in common.
    :ivar channels: the open connections.
    """

    noisy = False

    def __init__(
        self,
        gateway: IGateway,
        limits: Limits,
        reactor: IReactorTime,
        serverName: bytes = b"twisted_fcgi",
        clientTimeout: float = 60.0,
        accessLog: Callable[[ClientResponse], None] | None = None,
    ) -> None:
        self.front = Front(gateway, limits, reactor, serverName, clientTimeout, accessLog)
        self.channels: set[HTTPChannel] = set()
        self._reactor = reactor
        self._sweeping: IDelayedCall | None = None
        self._draining: Deferred[None] | None = None

    def buildProtocol(self, addr: Any) -> HTTPChannel:  # type: ignore[override]
        return HTTPChannel(self)

    def acceptableProtocols(self) -> list[bytes]:
        """What TLS clients are offered (ALPN); Twisted refuses those that ask and get none."""
        return [b"http/1.1", b"http/1.0"]

    def channelOpened(self, channel: HTTPChannel) -> None:
        self.channels.add(channel)
        if self._sweeping is None:
            self._sweeping = self._reactor.callLater(SWEEP, self._sweep)

    def channelClosed(self, channel: HTTPChannel) -> None:
        self.channels.discard(channel)
        if self.channels:
            return
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        if self._draining is not None:
            draining, self._draining = self._draining, None
            draining.callback(None)

    def drain(self) -> Deferred[None]:
        """
        End all connections: idle ones now, the others after their response.

        :returns: a Deferred that fires when none is left.
        """
        self.front.ending = True
        for channel in tuple(self.channels):
            channel.endIfIdle()
        if not self.channels:
            return succeed(None)
        self._draining = Deferred()
        return self._draining

    def _sweep(self) -> None:
        now = self._reactor.seconds()
        self._sweeping = self._reactor.callLater(SWEEP, self._sweep)
        for channel in tuple(self.channels):
            channel.sweep(now)
