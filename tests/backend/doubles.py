"""Both neighbours of this folder's code, in memory: what opens requests, and the application."""

from __future__ import annotations

from collections.abc import Iterable
from socket import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.member import Member
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.errors import RequestError
from twisted_fcgi.interfaces import IBody, IBodyConsumer, IStream, IStreamReceiver
from twisted_fcgi.settings import MemberSettings, Multiplex
from twisted_fcgi.wire import (
    Abort,
    ApplicationConnection,
    Begin,
    EndRequest,
    Params,
    ProtocolStatus,
    Stdin,
    StdinEnded,
    ValuesRequested,
)

#: The least that a request is.
GET = ((b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/a?b"))
POST = ((b"REQUEST_METHOD", b"POST"), (b"REQUEST_URI", b"/form"))


@implementer(IStreamReceiver)
class Receiver:
    """Records what it is told; ``then`` is called at the end."""

    def __init__(self, then: Any = None) -> None:
        self.parts: list[bytes] = []
        self.end: EndRequest | None = None
        self.error: RequestError | None = None
        self.stream: IStream | None = None
        self.then = then

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)

    @property
    def over(self) -> bool:
        return self.end is not None or self.error is not None

    def stdoutReceived(self, data: bytes) -> None:
        assert data and not self.over
        self.parts.append(data)

    def streamEnded(self, end: EndRequest) -> None:
        assert not self.over
        self.end = end
        if self.then is not None:
            self.then()

    def streamFailed(self, error: RequestError) -> None:
        assert not self.over
        self.error = error
        if self.then is not None:
            self.then()


@implementer(IBody)
class MemoryBody:
    """
    A body of parts; delivers what it has been given, until it is paused.

    :ivar calls: what was asked of it.
    """

    def __init__(
        self, *parts: bytes, length: int | None = None, replayable: bool = False, whole: bool = True
    ) -> None:
        self.given = list(parts)
        self.length = sum(map(len, parts)) if length is None else length
        self.replayable = replayable
        self.whole = whole
        self.calls: list[str] = []
        self.consumer: IBodyConsumer | None = None
        self._left: list[bytes] = []
        self._paused = True
        self._finished = False

    def deliver(self, consumer: IBodyConsumer) -> None:
        self.calls.append("deliver")
        self.consumer = consumer
        self._left = list(self.given)
        self._paused = self._finished = False
        self._push()

    def give(self, *parts: bytes, whole: bool = False) -> None:
        """More of it came."""
        self._left += parts
        self.whole = whole
        self._push()

    def pause(self) -> None:
        self.calls.append("pause")
        self._paused = True

    def resume(self) -> None:
        self.calls.append("resume")
        self._paused = False
        self._push()

    def discard(self) -> None:
        self.calls.append("discard")
        self._paused = True
        self.consumer = None

    def _push(self) -> None:
        while self._left and not self._paused and self.consumer is not None:
            self.consumer.write(self._left.pop(0))
        ended = self.whole and not self._left and not self._finished and not self._paused
        if ended and self.consumer is not None:
            self._finished = True
            self.consumer.finish()


class Handle(socket):
    """
    The socket below a transport, without a descriptor.

    :ivar arrived: what is there to be read; an exception for what reading raises.
    """

    def __init__(self) -> None:
        self.arrived: bytes | OSError = BlockingIOError()

    def recv(self, size: int, flags: int = 0) -> bytes:
        if isinstance(self.arrived, OSError):
            raise self.arrived
        return self.arrived[:size]


class Transport(StringTransport):
    """
    A transport whose writes are counted.

    :ivar writes: each call that wrote something, as one.
    :ivar lost: whether its protocol was told of its end.
    """

    def __init__(self) -> None:
        super().__init__(lenient=True)
        self.writes: list[bytes] = []
        self.lost = False
        self.handle = Handle()
        self.keepAlive = False
        self.bufferSize = 65536

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keepAlive = enabled

    def getHandle(self) -> Handle:
        return self.handle

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.writes.append(b"".join(data))
        self.io.write(self.writes[-1])


class OtherEnd:
    """The other end of a connection, in memory."""

    def __init__(self, connection: FastCGIClientProtocol) -> None:
        self.connection = connection
        self.transport: Transport = connection.transport

    def close(self, clean: bool = True) -> None:
        """End the connection; also what the transport does once it was asked to."""
        if not self.transport.lost:
            self.transport.lost = True
            self.transport.connected = False
            why = ConnectionDone() if clean else ConnectionLost()
            self.connection.connectionLost(Failure(why))

    @property
    def closed(self) -> bool:
        """Whether our side has closed the connection, or asked for that."""
        return self.transport.disconnecting or self.transport.lost


class Application(OtherEnd):
    """
    The other end of a connection: reads what was written, and answers.

    :ivar params: of the last request.
    :ivar stdin: of the last request.
    :ivar seen: the names of all events.
    """

    def __init__(self, connection: FastCGIClientProtocol) -> None:
        super().__init__(connection)
        self.wire = ApplicationConnection()
        self.begun: Begin | None = None
        self.params: dict[bytes, bytes] = {}
        self.stdin = b""
        self.stdinEnded = False
        self.aborted = False
        self.seen: list[str] = []

    def read(self) -> Application:
        """Take what was written since the last time."""
        data = self.transport.value()
        self.transport.clear()
        for event in self.wire.receive(data):
            self.seen.append(type(event).__name__)
            if isinstance(event, Begin):
                self.begun = event
                self.stdin, self.stdinEnded, self.aborted = b"", False, False
            elif isinstance(event, Params):
                self.params = dict(event.pairs)
            elif isinstance(event, Stdin):
                self.stdin += event.data
            elif isinstance(event, StdinEnded):
                self.stdinEnded = True
            elif isinstance(event, Abort):
                self.aborted = True
            elif isinstance(event, ValuesRequested):
                self.names = event.names
        return self

    def answer(
        self,
        data: bytes = b"",
        *,
        stderr: bytes = b"",
        end: bool = True,
        status: int = ProtocolStatus.REQUEST_COMPLETE,
        appStatus: int = 0,
    ) -> bytes:
        """The bytes of an answer to the last request."""
        pieces: list[bytes] = []
        requestId = 1 if self.begun is None else self.begun.requestId
        if stderr:
            pieces += self.wire.stderr(requestId, stderr)
        if data:
            pieces += self.wire.stdout(requestId, data)
        if end:
            pieces.append(self.wire.end(requestId, appStatus, status))
        return b"".join(pieces)

    def say(self, data: bytes = b"", **how: Any) -> None:
        """Read, and answer."""
        self.read()
        self.send(self.answer(data, **how))

    def send(self, data: bytes, size: int = 65536) -> None:
        """Send bytes, whatever they are, to be read in parts, unless nobody reads any more."""
        for at in range(0, len(data), size):
            rest = data[at + size :]
            self.transport.handle.arrived = rest if rest else BlockingIOError()
            if not self.transport.lost:
                self.connection.dataReceived(data[at : at + size])


def connected(clock: Clock | None = None, **how: Any) -> tuple[FastCGIClientProtocol, Application]:
    """A connection of nobody's, and the application behind it."""
    connection = FastCGIClientProtocol(Clock() if clock is None else clock, **how)
    connection.makeConnection(Transport())
    return connection, Application(connection)


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint whose connects end when a test says so.

    :ivar attempts: those that have not ended.
    :ivar applications: what was connected to, in that order.
    """

    def __init__(self) -> None:
        self.attempts: list[tuple[Any, Deferred[Any]]] = []
        self.applications: list[Application] = []
        self.cancelled = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        attempt: Deferred[Any] = Deferred(self._cancelled)
        self.attempts.append((factory, attempt))
        return attempt

    def _cancelled(self, attempt: Deferred[Any]) -> None:
        self.cancelled += 1
        self.attempts = [pair for pair in self.attempts if pair[1] is not attempt]

    def accept(self) -> Application:
        """The oldest attempt succeeds."""
        factory, attempt = self.attempts.pop(0)
        connection = factory.buildProtocol(None)
        connection.makeConnection(Transport())
        application = Application(connection)
        self.applications.append(application)
        attempt.callback(connection)
        return application

    def refuse(self, error: Exception) -> None:
        """The oldest attempt fails."""
        self.attempts.pop(0)[1].errback(error)


class Site:
    """A member with an endpoint in memory, and what opens requests at it."""

    def __init__(self, clock: Clock | None = None, **settings: Any) -> None:
        settings.setdefault("url", "fcgi://app")
        settings.setdefault("host", "app")
        settings.setdefault("patience", 0.0)
        self.clock = Clock() if clock is None else clock
        self.endpoint = MemoryEndpoint()
        self.member = Member(MemberSettings(**settings), self.clock, self.endpoint)

    def open(
        self, params: Any = GET, body: IBody | None = None, then: Any = None, **how: Any
    ) -> Receiver:
        receiver = Receiver(then)
        receiver.stream = self.member.open(params, body, receiver, **how)
        return receiver


def params(mark: bytes, method: bytes = b"GET") -> Any:
    """A request with a mark of its own."""
    return ((b"REQUEST_METHOD", method), (b"REQUEST_URI", mark))


class Peer(OtherEnd):
    """
    An application's end of a connection with several requests, each of which has a mark.

    :ivar ids: of the requests that were begun and not ended, by mark.
    :ivar stdin: what came of their bodies.
    :ivar aborted: the marks of those that were aborted and not ended.
    :ivar seen: the names of all events.
    """

    def __init__(self, connection: FastCGIClientProtocol) -> None:
        super().__init__(connection)
        self.wire = ApplicationConnection(maxStreams=1000)
        self.ids: dict[str, int] = {}
        self.stdin: dict[str, bytes] = {}
        self.aborted: list[str] = []
        self.seen: list[str] = []

    @property
    def marks(self) -> list[str]:
        """The requests that wait for an answer, in the order in which they came."""
        return list(self.ids)

    def read(self) -> Peer:
        """Take what was written since the last time."""
        data = self.transport.value()
        self.transport.clear()
        for event in self.wire.receive(data):
            self.seen.append(type(event).__name__)
            marks = {requestId: mark for mark, requestId in self.ids.items()}
            if isinstance(event, Params):
                mark = dict(event.pairs)[b"REQUEST_URI"].decode()
                self.ids[mark] = event.requestId
                self.stdin[mark] = b""
            elif isinstance(event, Stdin):
                self.stdin[marks[event.requestId]] += event.data
            elif isinstance(event, Abort):
                self.aborted.append(marks[event.requestId])
        return self

    def answer(
        self, mark: str, data: bytes = b"", end: bool = True, status: int = 0, size: int = 65536
    ) -> None:
        """Send a part of an answer, or the last one."""
        self.read().send(self.bytesOf(mark, data, end, status), size)

    def bytesOf(self, mark: str, data: bytes, end: bool = True, status: int = 0) -> bytes:
        """A part of an answer."""
        requestId = self.ids[mark]
        pieces = self.wire.stdout(requestId, data) if data else []
        if end:
            pieces.append(self.wire.end(requestId, 0, status))
            del self.ids[mark]
            if mark in self.aborted:
                self.aborted.remove(mark)
        return b"".join(pieces)

    def values(self, multiplexes: bytes) -> None:
        """Answer GET_VALUES."""
        self.send(self.wire.values({b"FCGI_MPXS_CONNS": multiplexes}))

    def send(self, data: bytes, size: int = 65536) -> None:
        """Send bytes, whatever they are, in parts of a size."""
        for at in range(0, len(data), size):
            if not self.transport.lost:
                self.connection.dataReceived(data[at : at + size])


class SharedSite(Site):
    """
    A member whose application multiplexes.

    :param known: whether it has said so already, and one connection is idle.
    :param values: what else it said.
    :ivar peers: what was connected to for requests, in that order.
    """

    def __init__(
        self, known: bool = True, values: dict[bytes, bytes] | None = None, **settings: Any
    ) -> None:
        settings.setdefault("reuse", True)
        settings.setdefault("multiplex", Multiplex.AUTO)
        super().__init__(**settings)
        self.peers: list[Peer] = []
        if known:
            self.open(params(b"first"))
            asked, first = self.accept(), self.accept()
            self.peers.remove(asked)
            answer = {b"FCGI_MPXS_CONNS": b"1", **(values or {})}
            asked.read().send(asked.wire.values(answer))
            asked.close()
            first.read().answer("first")

    def accept(self) -> Peer:
        """The oldest attempt succeeds."""
        factory, attempt = self.endpoint.attempts.pop(0)
        connection = factory.buildProtocol(None)
        connection.makeConnection(Transport())
        peer = Peer(connection)
        self.peers.append(peer)
        attempt.callback(connection)
        return peer
