"""
The other side: a Twisted program that is a FastCGI application.

::

    def application(request):
        request.write(b"Content-Type: text/plain\\r\\n\\r\\n" + request.params[b"REQUEST_URI"])
        request.finish()

    endpoint.listen(FastCGIApplicationFactory(application))

A connection takes several requests at a time.  Bodies are pushed; while one is
not wanted, up to ``maxHeld`` bytes of it are held, then the connection is read
no more: FastCGI has no window for a single stream.  Writing is paced by a push
producer, registered as with any transport; who writes without one fills the
transport's buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IAddress, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.applicationrequest import ApplicationRequest, Inflow
from twisted_fcgi.wire import (
    Abort,
    ApplicationConnection,
    Begin,
    Data,
    DataEnded,
    Ignored,
    Params,
    Refused,
    Stdin,
    StdinEnded,
    UnknownRecord,
    ValuesRequested,
    Violation,
)

__all__ = [
    "ApplicationRequest",
    "FastCGIApplicationFactory",
    "FastCGIApplicationProtocol",
    "Inflow",
]

#: Which of a request's two streams an event is about.
_INFLOW = {Stdin: "stdin", StdinEnded: "stdin", Data: "data", DataEnded: "data"}


@implementer(IPushProducer)
class FastCGIApplicationProtocol(Protocol):
    """
    One connection from a web server.

    As an ``IPushProducer`` it is all responses together, as the transport sees them.

    :ivar wire: the FastCGI of it.
    :ivar stalled: whether the web server does not read at present.
    """

    log = Logger()
    factory: FastCGIApplicationFactory
    transport: Any

    def __init__(self, wire: ApplicationConnection) -> None:
        self.wire = wire
        self.stalled = False
        self._requests: dict[int, ApplicationRequest] = {}
        self._reading = True
        self._closing = False

    def connectionMade(self) -> None:
        """Count it, and let the transport say when the web server does not read."""
        self.factory.connections += 1
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """A part of what the web server says."""
        for event in self.wire.receive(data):
            self._happened(event)
        self._closeIfFinished()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The web server is gone, and with it all of its requests."""
        self.factory.connections -= 1
        self._closing = True
        self.wire.lost()
        self._abortAll()

    def _happened(self, event: Any) -> None:
        kind = type(event)
        if kind is Begin:
            self._requests[event.requestId] = ApplicationRequest(self, *event[:2])
        elif kind is Refused:
            self._requests.pop(event.requestId, None)
            self.transport.write(event.reply)
        elif kind is ValuesRequested:
            known = self.factory.values
            self.transport.write(self.wire.values({n: known[n] for n in event.names if n in known}))
        elif kind is UnknownRecord:
            self.transport.write(self.wire.unknownType(event.type))
        elif kind is Violation:
            self.log.warn("a web server broke FastCGI: {error}", error=event.error)
            self._close()
            self._abortAll()
        elif kind is Ignored:
            self.log.debug("a web server sent a record of type {type}", type=event.type)
        elif event.requestId in self._requests:  # else it was finished by an event before
            request = self._requests[event.requestId]
            if kind is Params:
                request.params = dict(event.pairs)
                self._begin(request)
            elif kind is Abort:
                self.transport.write(self.wire.end(event.requestId))
                self._requests.pop(event.requestId).aborted()
            else:
                self._flow(getattr(request, _INFLOW[kind]), event)

    def _begin(self, request: ApplicationRequest) -> None:
        try:
            self.factory.application(request)
        except Exception as error:
            self.log.failure("an application failed")
            request.writeError(f"{type(error).__name__}: {error}\n".encode())
            request.finish(1)

    def _flow(self, inflow: Inflow, event: Any) -> None:
        if isinstance(event, (StdinEnded, DataEnded)):
            inflow.ended()
            return
        inflow.received(event.data)
        if inflow.held > self.factory.maxHeld and self._reading:
            self._reading = False
            self.transport.pauseProducing()

    def readAgain(self) -> None:
        """A request took some of what was held for it."""
        most = self.factory.maxHeld
        if not self._reading and not self._closing:
            self._reading = all(
                request.stdin.held <= most and request.data.held <= most
                for request in self._requests.values()
            )
            if self._reading:
                self.transport.resumeProducing()

    def finish(self, requestId: int, appStatus: int) -> None:
        """A request is answered."""
        self.transport.write(self.wire.end(requestId, appStatus))
        self._requests.pop(requestId).ended()
        self._closeIfFinished()

    def _abortAll(self) -> None:
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.aborted()

    def _closeIfFinished(self) -> None:
        if self.wire.finished and not self._closing:
            self._close()

    def _close(self) -> None:
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # IPushProducer

    def pauseProducing(self) -> None:
        """The web server does not read as fast as responses come."""
        self.stalled = True
        for request in list(self._requests.values()):
            if request.producer is not None:
                request.producer.pauseProducing()

    def resumeProducing(self) -> None:
        """It has read what there was."""
        self.stalled = False
        for request in list(self._requests.values()):
            if request.producer is not None and not self.stalled:
                request.producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; see :meth:`connectionLost`."""


class FastCGIApplicationFactory(Factory):
    """
    Listens as a FastCGI application.

    :param application: called with an :class:`ApplicationRequest` for each
        request, once its parameters are there.
    :param maxConnections: connections at a time; one more is closed at once.
    :param maxStreams: requests at a time on one connection.
    :param maxHeld: bytes of a body that are held while nobody takes them.
    :ivar values: what is answered to GET_VALUES.
    :ivar connections: how many there are.
    """

    noisy = False

    def __init__(
        self,
        application: Callable[[ApplicationRequest], object],
        *,
        maxConnections: int = 1000,
        maxStreams: int = 100,
        maxHeld: int = 65536,
    ) -> None:
        self.application = application
        self.maxHeld = maxHeld
        self.connections = 0
        self.values = {
            b"FCGI_MAX_CONNS": b"%d" % maxConnections,
            b"FCGI_MAX_REQS": b"%d" % (maxConnections * maxStreams),
            b"FCGI_MPXS_CONNS": b"%d" % (maxStreams > 1),
        }
        self._maxConnections = maxConnections
        self._maxStreams = maxStreams

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """See :meth:`twisted.internet.interfaces.IProtocolFactory.buildProtocol`."""
        if self.connections >= self._maxConnections:
            return None
        protocol = FastCGIApplicationProtocol(ApplicationConnection(maxStreams=self._maxStreams))
        protocol.factory = self
        return protocol
