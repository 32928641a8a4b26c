"""
Test a site without sockets, processes and real time.

A :class:`MemoryApplication` is a FastCGI application in memory; everything in
front of it is the real thing, FastCGI included::

    def application(request):
        request.write(b"Content-Type: text/plain\\r\\n\\r\\nhello")
        request.finish()

    memory = MemoryApplication(application)
    gateway = Gateway(settings, Clock(), memory.makeMember)
    site = Site(FastCGIResource(reactor, gateway=gateway))
    ...
    memory.flush()

Bytes move when :meth:`MemoryApplication.pump` or :meth:`MemoryApplication.flush`
is called, and never otherwise; time is the clock's that the gateway was given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IProducer,
    IProtocol,
    IProtocolFactory,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.application import ApplicationRequest, FastCGIApplicationFactory
from twisted_fcgi.backend.member import Member
from twisted_fcgi.settings import MemberSettings

__all__ = ["MemoryApplication", "MemoryMember", "MemoryTransport"]

#: What a transport buffers before it pauses its producer, as Twisted's do.
BUFFER = 65536

#: Rounds after which :meth:`MemoryApplication.flush` takes it that there is no end.
ROUNDS = 1000000


@implementer(ITransport, IConsumer, IPushProducer)
class MemoryTransport:
    """
    One end of a connection in memory, with the back-pressure of a real one.

    :ivar protocol: who uses this end.
    :ivar peer: the other end.
    :ivar disconnected: whether the protocol was told that the connection is over.
    """

    peer: MemoryTransport

    def __init__(self, protocol: Any, address: IAddress, peerAddress: IAddress) -> None:
        self.protocol = protocol
        self.disconnecting = False
        self.disconnected = False
        self._address = address
        self._peerAddress = peerAddress
        self._written = bytearray()
        self._reads = True
        self._aborted = False
        self._producer: Any = None
        self._streaming = False
        self._producerPaused = False

    def write(self, data: bytes) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""
        if not self.disconnecting and not self.disconnected:
            self._written += data
            if len(self._written) > BUFFER and self._streaming and not self._producerPaused:
                self._producerPaused = True
                self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """See :class:`twisted.internet.interfaces.ITransport`."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close once all is written, and no producer has anything to add."""
        self.disconnecting = True

    def abortConnection(self) -> None:
        """Close at once."""
        self.disconnecting = self._aborted = True
        self._written.clear()

    def getHost(self) -> IAddress:
        """See :class:`twisted.internet.interfaces.ITransport`."""
        return self._address

    def getPeer(self) -> IAddress:
        """See :class:`twisted.internet.interfaces.ITransport`."""
        return self._peerAddress

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """See :class:`twisted.internet.interfaces.IConsumer`."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer} is registered already")
        if self.disconnected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._producerPaused = not streaming

    def unregisterProducer(self) -> None:
        """See :class:`twisted.internet.interfaces.IConsumer`."""
        self._producer = None
        self._streaming = self._producerPaused = False

    def pauseProducing(self) -> None:
        """Do not read."""
        self._reads = False

    def resumeProducing(self) -> None:
        """Read."""
        self._reads = True

    def stopProducing(self) -> None:
        """See :class:`twisted.internet.interfaces.IProducer`."""
        self.loseConnection()

    def move(self, portion: int) -> bool:
        """
        Hand the peer what was written, or the end of the connection.

        :param portion: the most bytes.
        :returns: whether anything happened.
        """
        if self.disconnected:
            return False
        if self._aborted:
            self.lost(ConnectionAborted())
            self.peer.lost(ConnectionLost())
        elif self._written and self.peer._reads:
            data = bytes(self._written[:portion])
            del self._written[:portion]
            self.peer.protocol.dataReceived(data)
        elif not self._written and self._producerPaused:
            self._producerPaused = not self._streaming
            self._producer.resumeProducing()
        elif self.disconnecting and not self._written and self._producer is None:
            self.lost(ConnectionDone())
            self.peer.lost(ConnectionDone())
        else:
            return False
        return True

    def lost(self, reason: Exception) -> None:
        """Tell the protocol that the connection is over."""
        if not self.disconnected:
            self.disconnected = True
            self._written.clear()
            self.protocol.connectionLost(Failure(reason))


@implementer(IStreamClientEndpoint)
class MemoryApplication:
    """
    A FastCGI application in memory, and the endpoint that connects to it.

    :param function: called with each
        :class:`~twisted_fcgi.backend.application.ApplicationRequest`; without
        one, requests wait in ``requests`` to be answered by the test.
    :param portion: the most bytes that are read at a time; 1 shows whether
        anything depends on where the bytes are cut.
    :ivar requests: all that were begun.
    :ivar connections: those that are open: the application's ends.
    :ivar listening: whether connects succeed; else they are refused.
    """

    def __init__(
        self,
        function: Callable[[ApplicationRequest], object] | None = None,
        *,
        portion: int = BUFFER,
    ) -> None:
        self.requests: list[ApplicationRequest] = []
        self.connections: list[MemoryTransport] = []
        self.listening = True
        self._function = function
        self._portion = portion
        self._factory = FastCGIApplicationFactory(self._begun)
        self._port = 0

    def _begun(self, request: ApplicationRequest) -> None:
        self.requests.append(request)
        if self._function is not None:
            self._function(request)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`twisted.internet.interfaces.IStreamClientEndpoint`."""
        if not self.listening:
            return fail(ConnectionRefusedError())
        self._port += 1
        here = IPv4Address("TCP", "192.0.2.1", 9000)
        there = IPv4Address("TCP", "192.0.2.2", self._port)
        client: Any = protocolFactory.buildProtocol(here)
        server: Any = self._factory.buildProtocol(there)
        near = MemoryTransport(client, there, here)
        far = MemoryTransport(server, here, there)
        near.peer, far.peer = far, near
        self.connections.append(far)
        server.makeConnection(far)
        client.makeConnection(near)
        return succeed(client)

    def makeMember(self, settings: MemberSettings, reactor: Any) -> Member:
        """A member whose connections lead here; a :class:`Gateway`'s ``makeMember``."""
        return Member(settings, reactor, self)

    def pump(self) -> bool:
        """
        On each connection and in each direction, move once what there is.

        :returns: whether anything moved.
        """
        moved = False
        for far in list(self.connections):
            moved = far.peer.move(self._portion) or moved
            moved = far.move(self._portion) or moved
            if far.disconnected:
                self.connections.remove(far)
        return moved

    def flush(self) -> None:
        """
        Move all there is, and what comes of it, until nothing moves any more.

        :raises AssertionError: if it never ends.
        """
        for _ in range(ROUNDS):
            if not self.pump():
                return
        raise AssertionError("there is always something more to be moved")

    def loseConnections(self) -> None:
        """End all connections, as an application does that is started anew."""
        for far in self.connections:
            far.abortConnection()
        self.flush()


class MemoryMember(Member):
    """
    A member whose connections lead to a :class:`MemoryApplication`.

    :ivar application: that one.
    :ivar clock: its time.
    """

    def __init__(
        self,
        function: Callable[[ApplicationRequest], object] | None = None,
        settings: MemberSettings = MemberSettings("fcgi://localhost"),
        clock: Clock | None = None,
    ) -> None:
        self.application = MemoryApplication(function)
        self.clock = Clock() if clock is None else clock
        super().__init__(settings, self.clock, self.application)

    def flush(self) -> None:
        """See :meth:`MemoryApplication.flush`."""
        self.application.flush()
