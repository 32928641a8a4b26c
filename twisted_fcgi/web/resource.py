"""
FastCGI applications inside a ``twisted.web`` site that already exists.

::

    site = Site(FastCGIResource(reactor, 'ProxyPass "/" "fcgi://127.0.0.1:9000/srv/app/"'))

The configuration is the same language as the service's, and sees the whole path
of the URL wherever in the site the resource is put.  Works for HTTP/1.1 and, when
the site has it, HTTP/2.

Limits: ``twisted.web`` renders a resource when the whole request body is in (in
memory, or in a temporary file from 100,000 bytes on), so an upload does not
stream here; use the service's own channel for that.  Responses do stream, and a
slow client pauses the application.

Where a site listens with TCP, also under TLS, the connections that it accepts after its
first request for the resource are :class:`.EagerServer`, like the service's own.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Request as SiteRequest
from zope.interface import implementer

from twisted_fcgi.backend.accepting import EagerServer, acceptEagerly
from twisted_fcgi.backend.hub import turn
from twisted_fcgi.config import loads
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IBody, IExchange, IGateway, IResponse
from twisted_fcgi.message import Request, ResponseHead
from twisted_fcgi.settings import Settings
from twisted_fcgi.web.gateway import Gateway
from twisted_fcgi.web.spool import FileBody
from twisted_fcgi.web.transports import addressOf, socketBehind

__all__ = ["FastCGIResource"]


class FastCGIResource(Resource):
    """
    Serves everything below its place in a site as a configuration says.

    :param reactor: for connections to the applications.
    :param configuration: directives of the configuration language, or settings
        made from them.
    :param gateway: serve with this one instead; the configuration is not looked at.
    :raises ConfigurationErrors: with all mistakes of the configuration.
    """

    isLeaf = True

    def __init__(
        self,
        reactor: Any,
        configuration: str | Settings = "",
        gateway: IGateway | None = None,
    ) -> None:
        super().__init__()
        if gateway is None:
            if isinstance(configuration, str):
                configuration = loads(configuration)
            live = Gateway(configuration, reactor)
            live.start()
            gateway = live
        self._gateway = gateway

    def render(self, request: SiteRequest) -> int:
        """Hand the request to the gateway, whatever its method is."""
        connection = socketBehind(request.transport)
        if not isinstance(connection, _SiteConnection):
            # Only now we know where the site listens.
            acceptEagerly(getattr(connection, "server", None), _SiteConnection)
            connection = None
        response = _SiteResponse(request, connection)
        content = request.content
        assert content is not None  # it is there from the end of the head on
        length = content.seek(0, os.SEEK_END)
        body: IBody | None = FileBody(content, length) if length else None
        message = _messageOf(request, length, connection)
        response.begin(self._gateway.serve(message, body, response))
        return NOT_DONE_YET


#: Fields of the site's own that an application's replace, as in httpd.
_SITES = frozenset((b"date", b"server"))


class _SiteConnection(EagerServer):
    """
    A client's connection, which knows what its requests have in common.

    :ivar headers: the fields that came last.
    :ivar ends: of the request that came last.
    :ivar response: to the request that is being served.
    """

    headers: Headers | None = None
    ends: _Ends | None = None
    response: _SiteResponse | None = None

    _host: Any = None

    def getHost(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getHost`."""
        if self._host is None:
            self._host = super().getHost()
        return self._host

    def connectionLost(self, reason: Failure) -> None:
        """It has ended, and with it what was being served."""
        super().connectionLost(reason)
        if self.response is not None:
            self.response.clientGone()


class _Ends:
    """
    Who is at the ends of a request's connection, or is said to be (``setHost``).

    :ivar addresses: those of ``twisted.web`` that this was made of.
    """

    __slots__ = ("addresses", "client", "secure", "server")

    def __init__(self, request: SiteRequest) -> None:
        self.addresses = client, server = request.getClientAddress(), request.getHost()
        self.client = addressOf(client)
        if isinstance(getattr(server, "host", ""), str):
            self.server = addressOf(server)
        else:  # setHost's: a name, which is no address
            self.server = addressOf(request.channel.getHost())._replace(port=server.port)
        self.secure = request.isSecure()

    def areOf(self, request: SiteRequest) -> bool:
        """Whether another request has the same."""
        client, server = self.addresses
        return request.getHost() is server and request.getClientAddress() is client


def _messageOf(request: SiteRequest, length: int, connection: _SiteConnection | None) -> Request:
    """The gateway's request for one of ``twisted.web``."""
    pairs = [
        (name, value)
        for name, values in request.requestHeaders.getAllRawHeaders()
        for value in values
    ]
    if connection is None:
        headers, ends = Headers(pairs), _Ends(request)
    else:
        # Most are those of the request before, and what was made of them is there already.
        known, met = connection.headers, connection.ends
        headers = known if known is not None and known.pairs == pairs else Headers(pairs)
        ends = met if met is not None and met.areOf(request) else _Ends(request)
        connection.headers, connection.ends = headers, ends
    protocol = request.clientproto
    return Request(
        request.method,
        request.uri,
        headers,
        # httpd's name of it; twisted.web has "HTTP/2".
        protocol=b"HTTP/2.0" if protocol == b"HTTP/2" else protocol,
        client=ends.client,
        server=ends.server,
        secure=ends.secure,
        contentLength=length,
    )


@implementer(IResponse, IPushProducer)
class _SiteResponse:
    """
    A response written through ``twisted.web``, which frames it, and pauses it for a
    slow client.

    What comes first of a body of unknown length is held until the application's part of
    the turn is over: if it is all, its length is known, and nothing has to be chunked.
    """

    _exchange: IExchange | None = None
    _finished = False
    _framed = False
    _held: bytes | None = None

    def __init__(self, request: SiteRequest, connection: _SiteConnection | None) -> None:
        self._request = request
        self._connection = connection
        # A response without a Content-Type has none; the site would make one up.
        request.defaultContentType = None
        if connection is None:
            request.notifyFinish().addErrback(lambda _: self.clientGone())
        else:
            connection.response = self  # without a Deferred, and half a dozen objects

    def begin(self, exchange: IExchange) -> None:
        """Let back-pressure reach the exchange, unless it is over already."""
        if not self._finished:
            self._exchange = exchange
            self._request.registerProducer(self, True)

    def pauseProducing(self) -> None:
        """The client does not take what was written."""
        if self._exchange is not None:
            self._exchange.pauseProducing()

    def resumeProducing(self) -> None:
        """It took it."""
        if self._exchange is not None:
            self._exchange.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost; who tells :meth:`clientGone` knows that, too."""

    def clientGone(self) -> None:
        """Nothing can be written any more."""
        exchange, self._exchange, self._held = self._exchange, None, None
        if not self._finished:
            self._finished = True
            if exchange is not None:
                exchange.clientGone()

    def writeHead(self, head: ResponseHead) -> None:
        request = self._request
        request.setResponseCode(head.status, head.reason)
        fields = request.responseHeaders
        for name in _SITES.intersection(head.headers.names()):
            fields.removeHeader(name)
        for name, value in head.headers:
            fields.addRawHeader(name, value)
        if head.contentLength is not None:
            self._framed = True
            fields.setRawHeaders(b"content-length", [b"%d" % head.contentLength])
        if head.close:
            fields.setRawHeaders(b"connection", [b"close"])

    def write(self, data: bytes) -> None:
        sends = None if self._framed else turn.collected
        self._framed = True
        if sends is not None:
            self._held = data
            sends.append(self)
        else:
            self.sendCollected()
            self._request.write(data)

    def sendCollected(self) -> None:
        """Write what is held, whatever its length."""
        data, self._held = self._held, None
        if data is not None:
            self._request.write(data)

    def flush(self) -> None:
        """Write the head, if nothing has been written yet."""
        self._framed = True
        self.sendCollected()
        self._request.write(b"")

    def finish(self) -> None:
        request, data = self._request, self._held
        self._end()
        if data is not None:
            request.responseHeaders.setRawHeaders(b"content-length", [b"%d" % len(data)])
            request.write(data)
        request.finish()

    def abort(self) -> None:
        self._end()
        # An HTTP/2 stream is a channel without a transport; aborting it resets
        # that stream only.
        connection: Any = self._request.transport or self._request.channel
        connection.abortConnection()

    def _end(self) -> None:
        self._finished = True
        self._held = None
        if self._connection is not None:
            self._connection.response = None
        if self._exchange is not None:
            # It refers to this one, and the garbage collector would have to find that out.
            self._exchange = None
            self._request.unregisterProducer()
