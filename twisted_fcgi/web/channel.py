"""
Our own HTTP/1.1 front: the requests on one client's connection.

Strategy: the channel gives one request at a time to the gateway; what a client
sends ahead stays unparsed bytes until the response before it is finished, and no
more is read once :data:`READ_AHEAD` bytes or ``Limits.pipelined`` heads wait.  Of what
is answered at once :data:`SERVED_A_TURN` requests are served before other clients have
their turn.

What of a connection has nothing to do with requests is
:mod:`~twisted_fcgi.web.connection`'s.

A client that closed its sending side (FIN) may still read, and gets its answer; that
it is gone altogether shows with a reset or a failed write.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.hub import turn
from twisted_fcgi.errors import AbortedByClient, BadRequest
from twisted_fcgi.interfaces import IExchange
from twisted_fcgi.message import Request
from twisted_fcgi.web.clientbody import ClientBody
from twisted_fcgi.web.clientresponse import ClientResponse
from twisted_fcgi.web.connection import FrontConnection
from twisted_fcgi.web.errorpage import Refusal, writeErrorPage
from twisted_fcgi.web.http1 import RequestReader
from twisted_fcgi.web.transports import addressOf

__all__ = ["READ_AHEAD", "SERVED_A_TURN", "HTTPChannel"]

log = Logger()

#: Bytes that may wait behind the request that is being served.
READ_AHEAD = 64 * 1024

#: Requests of one connection that are begun in one turn of the reactor.
SERVED_A_TURN = 16

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@implementer(IHalfCloseableProtocol, IPushProducer)
class HTTPChannel(FrontConnection):
    """One client's connection, and what is served on it."""

    _reader: RequestReader
    _response: ClientResponse | None = None
    _exchange: IExchange | None = None
    _body: ClientBody | None = None
    _expecting = False
    _advancing = False
    _later: IDelayedCall | None = None

    def __repr__(self) -> str:
        if self._closing is not None:
            state = "closing"
        elif self._response is not None:
            state = f"serving {self._response.request!r}"
        else:
            state = "reading" if len(self._reader) else "idle"
        return f"<HTTPChannel {state}, {self._served} requests>"

    def connectionMade(self) -> None:
        self._prepareTransport()
        transport = self.transport
        self._reader = RequestReader(
            self._front.limits,
            addressOf(transport.getPeer()),
            addressOf(transport.getHost()),
            self._secure,
            self._front.knownLines,
        )
        self.factory.channelOpened(self)

    # What the client sends.

    @property
    def takesMuch(self) -> bool:
        """Whether what comes now is passed on: of a body that somebody waits for."""
        return self._body is not None and self._body.awaited

    def dataReceived(self, data: bytes) -> None:
        if self._closing is not None:
            self.quietSince = 0.0
            self._closing.dataReceived(data)
            return
        if self._body is not None:
            rest = self._receiveBody(self._body, data)
            if rest is None:
                return
            data = rest
        reader = self._reader
        if self._response is not None:
            if data:
                reader.receive(data)
            self._adjustReading()
            return
        if not reader.buffer:
            # The first byte of a head; the others do not move its deadline.
            self.quietSince = 0.0
        reader.receive(data)
        self._advance()

    def _receiveBody(self, body: ClientBody, data: bytes) -> bytes | None:
        """
        :returns: what came behind the body, ``None`` when it goes on.
        """
        self.quietSince = 0.0
        try:
            rest = body.receive(data)
        except BadRequest as error:
            self._bodyFailed(body, error)
            return None
        if rest is not None:
            self._body = None
        elif self._response is None and body.surplus:
            self._close()
        return rest

    def _advance(self) -> None:
        """Serve what waits, one request after the other."""
        if self._advancing:
            return
        self._advancing = True
        left: int = SERVED_A_TURN
        try:
            while (
                self._response is None
                and self._body is None
                and self._closing is None
                and self._later is None
                and not self._writingPaused
            ):
                if not left and self._reader.buffer:
                    self._later = self._front.callLater(0, self._goOn)
                    break
                left -= 1
                try:
                    request = self._reader.next(self._front.seconds())
                except BadRequest as error:
                    self._refuse(error)
                    break
                if request is None:
                    if self._clientEnded:
                        self._clientEndedInHead()
                    break
                self._serve(request)
        except Exception:
            # Whoever called may be another connection, or nobody.
            log.failure("while {channel!r} served a request", channel=self)
            self._cut()
        finally:
            self._advancing = False
        if self._reader.buffer or self._body is not None or self._readingPaused:
            self._adjustReading()

    def _goOn(self) -> None:
        """The others had their turn."""
        self._later = None
        collected = turn.begin()
        try:
            self._advance()
        finally:
            turn.end(collected)

    def _serve(self, request: Request) -> None:
        reader = self._reader
        front = self._front
        self._served += 1
        response = self._response = ClientResponse(
            self,
            self.transport,
            front.sentHeads,
            request,
            reader.current,
            reader.persistent,
            reader.keepAlive,
        )
        body = None
        if request.contentLength != 0:
            body = self._body = ClientBody(self, request.contentLength)
            if reader.buffer:
                self.dataReceived(reader.rest())
        if reader.expectation is not None:
            if reader.expectation != b"100-continue":
                if body is not None:
                    body.discard()
                writeErrorPage(response, Refusal(417))
                return
            self._expecting = True
        exchange = front.gateway.serve(request, body, response)
        if self._response is response:
            self._exchange = exchange
            if self._writingPaused:
                exchange.pauseProducing()

    def _refuse(self, error: BadRequest) -> None:
        """Answer bytes that are no request; where the next one begins is not known."""
        client = addressOf(self.transport.getPeer()).host.decode("ascii")
        log.info(
            "[client {client}] {status}: {reason}",
            client=client,
            status=error.status,
            reason=error.reason,
        )
        self._response = ClientResponse(
            self, self.transport, self._front.sentHeads, None, True, False, False
        )
        writeErrorPage(self._response, Refusal(error.status))

    def _bodyFailed(self, body: ClientBody, error: BadRequest) -> None:
        """The rest of a body can't be had, and so nothing that may follow it."""
        self._body = None
        if self._response is None:
            self._close()
        else:
            self._response.persistent = False
            body.fail(error)

    def readConnectionLost(self) -> None:
        """The client closed its sending side."""
        self._clientEnded = True
        if self._closing is not None:
            self._closing.clientEnded()
        elif self._body is not None:
            self._bodyFailed(self._body, BadRequest("the client ended inside a body"))
        elif self._response is None and not self._isHeldUp:
            self._clientEndedInHead()

    def _clientEndedInHead(self) -> None:
        # As httpd: less than a request line is not worth an answer.
        if len(self._reader) and self._reader.lineRead:
            self._refuse(BadRequest("the client ended inside a request head"))
        else:
            self._close()

    def writeConnectionLost(self) -> None:
        """Our sending side is closed; the client's is awaited."""

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.factory.channelClosed(self)
        self._stopServing()
        body, response, exchange = self._body, self._response, self._exchange
        self._body = self._response = self._exchange = None
        if response is not None:
            response.forget()
            if body is not None:
                body.fail(AbortedByClient("the client left inside a body"))
            if exchange is not None:
                exchange.clientGone()
            self._responseEnded(response)

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

    def mayPersist(self, keepAlive: tuple[float, int] | None = None) -> bool:
        """
        Whether another request may follow on this connection.

        Never when the client waits for a 100 that was not sent: what it sends next
        may be the body or another request.

        :param keepAlive: as in :class:`ResponseHead`.
        """
        goesOn = self._mayGoOn(keepAlive)
        return goesOn and not self._expecting and (self._body is None or not self._body.surplus)

    def responseFinished(self, response: ClientResponse) -> None:
        self._response = self._exchange = None
        self.quietSince = 0.0
        self._responseEnded(response)
        if not response.persistent:
            self._close()
        elif self._body is not None:
            self._body.discard()
            if self._body.surplus:
                self._close()
        elif self._reader.buffer or self._clientEnded:
            self._advance()

    def responseAborted(self, response: ClientResponse, framed: bool) -> None:
        """
        :param framed: whether the client can see that what it has is not all.
        """
        self._response = self._exchange = None
        self._responseEnded(response)
        if framed:
            self._close()
        else:
            self._cut()

    def _responseEnded(self, response: ClientResponse) -> None:
        accessLog = self._front.accessLog
        if accessLog is not None:
            accessLog(response)

    # Back-pressure.

    @property
    def _isHeldUp(self) -> bool:
        """Whether requests may wait although none is being served."""
        return self._writingPaused or self._later is not None

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
        """Read, unless what was read already is enough for now."""
        if self._body is not None:
            enough = not self._body.wanted
        elif not self._reader.buffer:
            enough = False
        else:
            enough = (self._response is not None or self._isHeldUp) and (
                len(self._reader) >= READ_AHEAD
                or self._reader.heads() >= self._front.limits.pipelined
            )
        self._readUnless(enough)

    # Time, and the end.

    def _wasQuiet(self, quiet: float) -> None:
        front = self._front
        if self._body is not None:
            if self._body.awaited and quiet >= front.clientTimeout:
                self._bodyFailed(self._body, BadRequest("the client sent no more of a body", 408))
        elif self._response is not None:
            return
        elif self._reader.buffer:
            if quiet >= front.limits.headTimeout:
                self._refuse(BadRequest("no whole request head in time", 408))
        elif quiet >= self._mayBeIdle():
            self._close()
        else:
            self._reader.forget()

    def endIfIdle(self) -> None:
        """End the connection, unless a request is on it."""
        if self._response is None and self._body is None and not len(self._reader):
            self._close()

    def _stopServing(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _close(self) -> None:
        """Send what was written, then end the connection."""
        if self._closing is None:
            self._body = None
            self._reader.rest()
            self._end().end(not self._clientEnded, self._readingPaused)
