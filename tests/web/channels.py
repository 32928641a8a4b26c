"""A client in memory, and a scripted gateway behind our HTTP/1.1 channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from twisted_fcgi.errors import RequestError
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IBodyConsumer, IExchange, IGateway
from twisted_fcgi.message import Request, ResponseHead
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.channel import HTTPChannel
from twisted_fcgi.web.factory import SWEEP, HTTPFactory

__all__ = [
    "HOST",
    "ChannelTestCase",
    "ClientTransport",
    "ScriptedGateway",
    "Served",
    "chunked",
    "get",
    "post",
    "takeAll",
]

HOST = b"Host: www.example.test\r\n"


def get(target: bytes = b"/", *fields: bytes, method: bytes = b"GET") -> bytes:
    """A request's bytes."""
    lines = [method + b" " + target + b" HTTP/1.1", HOST[:-2], *fields, b"", b""]
    return b"\r\n".join(lines)


def post(body: bytes, *fields: bytes, target: bytes = b"/") -> bytes:
    """A request with a body of known length."""
    length = b"Content-Length: %d" % len(body)
    return get(target, length, *fields, method=b"POST") + body


def chunked(*chunks: bytes, target: bytes = b"/") -> bytes:
    """A request with a chunked body."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return get(target, b"Transfer-Encoding: chunked", method=b"POST") + body + b"0\r\n\r\n"


class ClientTransport(StringTransport):
    """
    A transport that can be closed on one side, as those of TCP and UNIX sockets.

    :ivar writeEnded: whether our side was closed.
    :ivar noDelay: whether small parts leave at once.
    :ivar writes: how often something was written.
    :ivar dataBuffer: what the client did not take; as Twisted's transports have it.
    """

    writeEnded = False
    noDelay = False
    writes = 0
    dataBuffer = b""
    offset = 0

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.noDelay = enabled

    def loseWriteConnection(self) -> None:
        self.writeEnded = True

    @property
    def ended(self) -> str:
        """How the connection was ended: nothing, ``lingering``, ``closed`` or ``cut``."""
        if self.disconnected:
            return "cut"
        if self.disconnecting:
            return "closed"
        return "lingering" if self.writeEnded else ""

    def taken(self) -> bytes:
        """What was written since the last call."""
        data = self.value()
        self.clear()
        return data


@implementer(IExchange, IBodyConsumer)
class Served:
    """A request at the gateway: its exchange, and the consumer of its body."""

    def __init__(self, request: Request, body: Any, response: Any) -> None:
        self.request = request
        self.body = body
        self.response = response
        self.calls: list[Any] = []
        self.received = b""

    def clientGone(self) -> None:
        self.calls.append("gone")

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def write(self, data: bytes) -> None:
        self.received += data

    def finish(self) -> None:
        self.calls.append("finish")

    def fail(self, error: RequestError) -> None:
        self.calls.append(error)

    def take(self) -> None:
        """Ask for the body."""
        self.body.deliver(self)

    def answer(self, body: bytes = b"ok", status: int = 200, length: bool = True) -> None:
        """Write a whole response."""
        size = len(body) if length else None
        self.response.writeHead(ResponseHead(status, b"Words", Headers(), size))
        self.response.write(body)
        self.response.finish()


@implementer(IGateway)
class ScriptedGateway:
    """
    Keeps each request.

    :param script: what is done with one before :meth:`serve` returns.
    """

    def __init__(self, script: Callable[[Served], object]) -> None:
        self.script = script
        self.served: list[Served] = []

    def serve(self, request: Request, body: Any, response: Any) -> Served:
        served = Served(request, body, response)
        self.served.append(served)
        self.script(served)
        return served


def takeAll(served: Served) -> None:
    """Answer with what was sent, when all of it is there."""
    if served.body is None:
        served.answer(b"none")
    else:
        served.finish = lambda: served.answer(served.received)  # type: ignore[method-assign]
        served.take()


class ChannelTestCase(SynchronousTestCase):
    """A base with one client."""

    def connect(
        self,
        script: Callable[[Served], object] = lambda served: None,
        transport: Any = None,
        **limits: Any,
    ) -> None:
        """A client connects to a gateway with this script."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.gateway = ScriptedGateway(script)
        self.ended: list[Any] = []
        self.factory = HTTPFactory(
            self.gateway,
            Limits(**limits),
            self.clock,
            clientTimeout=30.0,
            accessLog=self.ended.append,
        )
        self.transport = ClientTransport() if transport is None else transport
        self.channel = self.factory.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        self.addCleanup(self.checkClean, self.channel, self.clock)

    def checkClean(self, channel: HTTPChannel, clock: Clock) -> None:
        """No delayed call outlives the last connection."""
        if channel in channel.factory.channels:
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(clock.getDelayedCalls(), [])

    def send(self, *parts: bytes) -> bytes:
        """What the client gets for these parts."""
        for part in parts:
            self.channel.dataReceived(part)
        return self.transport.taken()

    def wait(self, seconds: float) -> bytes:
        """What the client gets while time goes by."""
        for _ in range(round(seconds / SWEEP)):
            self.clock.advance(SWEEP)
        return self.transport.taken()

    def turn(self) -> None:
        """One turn of the reactor: what is due, but not what comes to be due by that."""
        for call in self.clock.getDelayedCalls():
            if call.getTime() <= self.clock.seconds():
                self.clock.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)

    def lose(self, reason: type[Exception] = ConnectionLost) -> None:
        self.channel.connectionLost(Failure(reason()))

    @property
    def served(self) -> list[Served]:
        return self.gateway.served

    @property
    def targets(self) -> list[bytes]:
        return [served.request.target for served in self.gateway.served]
