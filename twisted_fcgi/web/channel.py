"""
Our own HTTP/1.1 front: a connection and its factory.

Strategy: the channel gives one request at a time to the gateway; what a client
sends ahead stays unparsed bytes until the response before it is finished, and no
more is read once :data:`READ_AHEAD` bytes or ``Limits.pipelined`` heads wait.

Time: no delayed call for a request.  The factory looks at all its channels every
:data:`SWEEP` seconds; a channel only clears ``quietSince`` when something moved, so
a deadline may come up to two sweeps late and costs nothing until then.

The end: as httpd does it, our side is closed first and what the client still
sends is read and dropped for a while (:data:`LINGER`, :data:`LINGER_BYTES`), or the
reset that it would get could overtake the answer (RFC 9112, 9.6).

A client that closed its sending side (FIN) may still read, and gets its answer; that
it is gone altogether shows with a reset or a failed write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.errors import AbortedByClient, BadRequest
from twisted_fcgi.interfaces import IExchange, IGateway
from twisted_fcgi.message import Address, Headers, Request, ResponseHead
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.errorpage import errorPage
from twisted_fcgi.web.framing import ClientBody, ClientResponse
from twisted_fcgi.web.http1 import RequestReader

__all__ = ["LINGER", "LINGER_BYTES", "READ_AHEAD", "SWEEP", "HTTPChannel", "HTTPFactory"]

#: Bytes that may wait behind the request that is being served.
READ_AHEAD = 64 * 1024

#: Seconds between two looks at the deadlines.
SWEEP = 0.5

#: Seconds of silence after which a closing connection is cut (httpd: SECONDS_TO_LINGER),
#: and seconds that closing may take in all (MAX_SECS_TO_LINGER).
LINGER = 2.0
LINGER_TOTAL = 30.0

#: Bytes that are read and dropped from a client that did not notice the end.
LINGER_BYTES = 16 * 1024 * 1024

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def addressOf(address: object) -> Address:
    """
    :param address: of a transport.
    """
    if isinstance(address, IPv4Address):
        return Address(address.host.encode("ascii"), address.port)
    if isinstance(address, IPv6Address):
        # A scope ("%eth0") is no part of what an application knows as an address.
        host = address.host.partition("%")[0]
        mapped = ip_address(host).ipv4_mapped  # type: ignore[union-attr]
        return Address(str(mapped or host).encode("ascii"), address.port)
    return Address(b"", 0)


@implementer(IHalfCloseableProtocol, IPushProducer)
class HTTPChannel(Protocol):
    """
    One client's connection.

    :ivar quietSince: when the factory first saw that nothing moved; 0 after a move.
    """

    factory: HTTPFactory

    def __init__(self, factory: HTTPFactory) -> None:
        self.factory = factory
        self.quietSince = 0.0
        self._secure = False
        self._reader: RequestReader | None = None
        self._response: ClientResponse | None = None
        self._exchange: IExchange | None = None
        self._body: ClientBody | None = None
        self._served = 0
        self._expecting = False
        self._advancing = False
        self._inputEnded = False
        self._readingPaused = False
        self._writingPaused = False
        self._closingSince: float | None = None
        self._lingered = 0
        self._progress: object = None

    def __repr__(self) -> str:
        if self._closingSince is not None:
            state = "closing"
        elif self._response is not None:
            state = repr(self._response.request)
        else:
            state = "idle" if not self._reader else "reading a head"
        return f"<HTTPChannel {state}, {self._served} served>"

    def connectionMade(self) -> None:
        transport = self.transport
        self._secure = ISSLTransport.providedBy(transport)
        self._reader = RequestReader(
            self.factory.limits,
            addressOf(transport.getPeer()),
            addressOf(transport.getHost()),
            self._secure,
        )
        transport.registerProducer(self, True)
        self.factory.channelOpened(self)

    # What the client sends.

    def dataReceived(self, data: bytes) -> None:
        if self._closingSince is not None:
            self._linger(data)
            return
        body = self._body
        if body is not None:
            self.quietSince = 0.0
            try:
                rest = body.receive(data)
            except BadRequest as error:
                self._body = None
                self._inputFailed(body, error)
                return
            if rest is None:
                if self._response is None and body.surplus:
                    self._close()
                return
            self._body = None
            data = rest
            if not data:
                if self._response is None:
                    self._advance()
                return
        reader = self._reader
        if self._response is None:
            if not len(reader):
                # The first byte of a head; the others do not move its deadline.
                self.quietSince = 0.0
            reader.receive(data)
            self._advance()
        else:
            reader.receive(data)
            self._adjustReading()

    def _advance(self) -> None:
        """Serve what waits, one request after the other."""
        if self._advancing:
            return
        self._advancing = True
        try:
            while (
                self._response is None
                and self._body is None
                and self._closingSince is None
                and not self._writingPaused
            ):
                try:
                    request = self._reader.next(self.factory.seconds())
                except BadRequest as error:
                    self._refuse(error)
                    break
                if request is None:
                    if self._inputEnded:
                        self._close()
                    break
                self._serve(request)
        finally:
            self._advancing = False
        self._adjustReading()

    def _serve(self, request: Request) -> None:
        reader = self._reader
        self.quietSince = 0.0
        self._served += 1
        response = self._response = ClientResponse(
            self, request, reader.current, reader.persistent, reader.keepAlive
        )
        body = None
        if request.contentLength != 0:
            body = self._body = ClientBody(self, request.contentLength)
            if len(reader):
                self.dataReceived(reader.rest())
        self._expecting = False
        if reader.expectation is not None:
            if reader.expectation != b"100-continue":
                if body is not None:
                    body.discard()
                self._answer(417)
                return
            self._expecting = True
        exchange = self.factory.gateway.serve(request, body, response)
        if self._response is response:
            self._exchange = exchange
            if self._writingPaused:
                exchange.pauseProducing()

    def _refuse(self, error: BadRequest) -> None:
        """Answer bytes that are no request."""
        self._response = ClientResponse(self, None, True, False, False)
        self._answer(error.status)

    def _answer(self, status: int) -> None:
        reason, page = errorPage(status)
        headers = Headers([(b"Content-Type", b"text/html; charset=iso-8859-1")])
        response = self._response
        response.writeHead(ResponseHead(status, reason, headers, len(page)))
        response.write(page)
        response.finish()

    def _inputFailed(self, body: ClientBody, error: BadRequest) -> None:
        """The place in the client's bytes is lost."""
        if self._response is None:
            self._close()
            return
        self._response.persistent = False
        body.fail(error)

    def readConnectionLost(self) -> None:
        """The client closed its sending side."""
        self._inputEnded = True
        if self._closingSince is not None:
            self.transport.loseConnection()
        elif (body := self._body) is not None:
            self._body = None
            self._inputFailed(body, BadRequest("the client ended inside a request's body"))
        elif self._response is None:
            if len(self._reader) and self._reader.lineRead:
                self._refuse(BadRequest("the client ended inside a request's head"))
            else:
                self._close()

    def writeConnectionLost(self) -> None:
        """Our sending side is closed; the client's is awaited."""

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.factory.channelClosed(self)
        self._closingSince = 0.0
        body, response, exchange = self._body, self._response, self._exchange
        self._body = self._response = self._exchange = None
        if response is not None:
            response.forget()
            if body is not None:
                body.fail(AbortedByClient("the client left inside a request's body"))
            if exchange is not None:
                exchange.clientGone()
            self.factory.responseEnded(response)

    # What a body and a response ask for.

    def bodyAsked(self) -> None:
        """Someone waits for a body of which nothing came."""
        if self._expecting and self._response is not None and not self._response.begun:
            self._expecting = False
            if self._reader.current:
                self.transport.write(_CONTINUE)

    def bodyChanged(self, body: ClientBody) -> None:
        """It wants more or less than before."""
        if body is self._body:
            self.quietSince = 0.0
            self._adjustReading()

    def mayPersist(self) -> bool:
        """
        Whether another request may follow on this connection.

        Never when the client waits for a 100 that was not sent: what it sends next
        may be the body or another request.
        """
        limits = self.factory.limits
        # httpd's count: MaxKeepAliveRequests is what may follow the first.
        return (
            not self._expecting
            and limits.keepAliveTimeout > 0
            and (not limits.keepAliveRequests or self._served <= limits.keepAliveRequests)
            and (self._body is None or not self._body.surplus)
        )

    def keepAliveFields(self) -> bytes:
        """The fields that tell an asking client that its connection goes on."""
        limits = self.factory.limits
        parameters = b"timeout=%d" % limits.keepAliveTimeout
        if limits.keepAliveRequests:
            parameters += b", max=%d" % (limits.keepAliveRequests - self._served + 1)
        return b"Connection: Keep-Alive\r\nKeep-Alive: %b\r\n" % parameters

    def responseFinished(self, response: ClientResponse) -> None:
        self._response = self._exchange = None
        self.quietSince = 0.0
        self.factory.responseEnded(response)
        if not response.persistent:
            self._close()
        elif self._body is not None:
            self._body.discard()
            if not self._body.drainable:
                self._close()
        elif len(self._reader) or self._inputEnded:
            self._advance()

    def responseAborted(self, response: ClientResponse, framed: bool) -> None:
        """
        :param framed: whether the client can see that what it has is not all.
        """
        self._response = self._exchange = None
        self.factory.responseEnded(response)
        if framed:
            self._close()
        else:
            self._cut()

    # Back-pressure.

    def pauseProducing(self) -> None:
        """The client does not take what was written."""
        self._writingPaused = True
        self.quietSince = 0.0
        if self._exchange is not None:
            self._exchange.pauseProducing()

    def resumeProducing(self) -> None:
        """It took all of it."""
        self._writingPaused = False
        self.quietSince = 0.0
        if self._exchange is not None:
            self._exchange.resumeProducing()
        elif self._response is None:
            self._advance()

    def stopProducing(self) -> None:
        """The transport is done; connectionLost follows."""

    def _adjustReading(self) -> None:
        if self._closingSince is not None or self._inputEnded:
            return
        body = self._body
        if body is not None:
            enough = not body.wanted
        elif not (waiting := len(self._reader)):
            enough = False
        else:
            enough = (self._response is not None or self._writingPaused) and (
                waiting >= READ_AHEAD or self._reader.heads() >= self.factory.limits.pipelined
            )
        if enough is not self._readingPaused:
            self._readingPaused = enough
            if enough:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # Time, and the end.

    def sweep(self, now: float) -> None:
        """Look at the deadline of whatever this connection is doing."""
        if not self.quietSince:
            self.quietSince = now
            self._progress = self._unsent()
            return
        if (unsent := self._unsent()) is not None and unsent != self._progress:
            self._progress = unsent
            self.quietSince = now
            return
        quiet = now - self.quietSince
        factory = self.factory
        limits = factory.limits
        if self._closingSince is not None:
            limit = factory.clientTimeout if unsent is not None else LINGER
            if quiet >= limit or (unsent is None and now - self._closingSince >= LINGER_TOTAL):
                self._cut()
        elif unsent is not None or self._writingPaused:
            if quiet >= factory.clientTimeout:
                self._cut()
        elif (body := self._body) is not None:
            if body.awaited and quiet >= factory.clientTimeout:
                self._body = None
                self._inputFailed(body, BadRequest("the client sent no more of a body", 408))
        elif self._response is None:
            if len(self._reader):
                if quiet >= limits.headTimeout:
                    self._refuse(BadRequest("no whole request head in time", 408))
            elif quiet >= (limits.keepAliveTimeout if self._served else limits.headTimeout):
                self._close()

    def _unsent(self) -> object:
        """What Twisted's transport holds: a value that changes when the client takes some."""
        # Behind TLS is the transport with the socket.
        transport = self.transport.transport if self._secure else self.transport
        data = getattr(transport, "dataBuffer", b"")
        return (len(data), transport.offset) if data else None

    def endIfIdle(self) -> None:
        """End the connection, unless a request is on it."""
        if self._response is None and self._body is None and not len(self._reader):
            self._close()

    def _linger(self, data: bytes) -> None:
        self._lingered += len(data)
        self.quietSince = 0.0
        if self._lingered > LINGER_BYTES:
            self._cut()

    def _close(self) -> None:
        """Send what was written, then end the connection without losing it."""
        if self._closingSince is not None:
            return
        self._closingSince = self.factory.seconds()
        self.quietSince = 0.0
        self._body = None
        self._reader.rest()
        transport = self.transport
        transport.unregisterProducer()
        # TLS says its own goodbye, and waits for the client's.
        halfClose = getattr(transport, "loseWriteConnection", None)
        if self._inputEnded or halfClose is None or self._secure:
            transport.loseConnection()
            return
        halfClose()
        if self._readingPaused:
            self._readingPaused = False
            transport.resumeProducing()

    def _cut(self) -> None:
        """End the connection now."""
        if self._closingSince is None:
            self._closingSince = self.factory.seconds()
            self.transport.unregisterProducer()
        self.transport.abortConnection()


class HTTPFactory(Factory):
    """
    Makes the channels of one listener, and looks after their deadlines.

    :param gateway: gets the requests.
    :param limits: of every client.
    :param clientTimeout: seconds for which a client may neither send an awaited body
        nor take its response (httpd: Timeout).
    :param accessLog: called for each response that ended, with its
        :class:`~twisted_fcgi.web.framing.ClientResponse`.
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
        self.gateway = gateway
        self.limits = limits
        self.clientTimeout = clientTimeout
        self.accessLog = accessLog
        self.seconds = reactor.seconds
        self.channels: set[HTTPChannel] = set()
        self._reactor = reactor
        self._serverName = serverName
        self._sweeping: IDelayedCall | None = None
        self._draining: Deferred[None] | None = None
        self._dated = 0
        self._dateAndServer = b""

    def buildProtocol(self, addr: Any) -> HTTPChannel:
        return HTTPChannel(self)

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
        self.limits = replace(self.limits, keepAliveTimeout=0.0)
        for channel in tuple(self.channels):
            channel.endIfIdle()
        if not self.channels:
            return succeed(None)
        self._draining = Deferred()
        return self._draining

    def _sweep(self) -> None:
        now = self.seconds()
        self._sweeping = self._reactor.callLater(SWEEP, self._sweep)
        for channel in tuple(self.channels):
            channel.sweep(now)

    def responseEnded(self, response: ClientResponse) -> None:
        """A response was finished, cut, or its client left."""
        if self.accessLog is not None:
            self.accessLog(response)

    def dateAndServer(self) -> bytes:
        """These two fields, made once a second."""
        # Not the reactor's clock: it need not be the time of day.
        now = int(time.time())
        if now != self._dated:
            self._dated = now
            date = formatdate(now, usegmt=True).encode("ascii")
            self._dateAndServer = b"Date: %b\r\nServer: %b\r\n" % (date, self._serverName)
        return self._dateAndServer
