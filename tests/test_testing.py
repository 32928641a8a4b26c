"""Tests for :mod:`twisted_fcgi.testing`, which show how it is used."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from twisted_fcgi import testing
from twisted_fcgi.backend.application import ApplicationRequest
from twisted_fcgi.config import loads
from twisted_fcgi.errors import ConnectFailed, ConnectionDied
from twisted_fcgi.interfaces import IMember, IStreamReceiver
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.testing import MemoryApplication, MemoryMember
from twisted_fcgi.web.gateway import Gateway
from twisted_fcgi.web.resource import FastCGIResource

HEAD = b"Content-Type: text/plain\r\n\r\n"
KEPT = MemberSettings("fcgi://localhost", reuse=True)
GET = [(b"REQUEST_METHOD", b"GET")]
POST = [(b"REQUEST_METHOD", b"POST")]


def hello(request: ApplicationRequest) -> None:
    """Answers at once."""
    request.write(HEAD + b"hello ")
    request.write(request.params.get(b"SCRIPT_NAME", b"world"))
    request.finish()


def echo(request: ApplicationRequest) -> None:
    """Sends a body back."""
    request.write(HEAD)
    request.stdin.deliver(request.write, request.finish)


@implementer(IStreamReceiver)
class Receiver:
    """Keeps a response."""

    def __init__(self) -> None:
        self.data = b""
        self.last: Any = None

    def stdoutReceived(self, data: bytes) -> None:
        self.data += data

    def streamEnded(self, end: Any) -> None:
        self.last = end.appStatus

    def streamFailed(self, error: Any) -> None:
        self.last = type(error)


class MemoryMemberTests(SynchronousTestCase):
    """:class:`MemoryMember`: one member and its application."""

    def test_interfaces(self) -> None:
        """It is a member, and its application an endpoint."""
        verifyObject(IMember, MemoryMember())
        verifyObject(IStreamClientEndpoint, MemoryApplication())

    def test_answered(self) -> None:
        """A request is answered once bytes were moved, and not before."""
        member = MemoryMember(hello)
        receiver = Receiver()
        member.open(GET, None, receiver)
        self.assertEqual([], member.application.requests)
        member.flush()
        self.assertEqual((HEAD + b"hello world", 0), (receiver.data, receiver.last))
        self.assertEqual([], member.application.connections, "nothing asked to keep it")

    def test_byHand(self) -> None:
        """Without a function the test itself answers, when it likes to."""
        member = MemoryMember()
        receiver = Receiver()
        member.open(GET, None, receiver)
        member.flush()
        (request,) = member.application.requests
        self.assertEqual(dict(GET), request.params)
        request.write(b"part")
        member.flush()
        self.assertEqual((b"part", None), (receiver.data, receiver.last))
        request.finish(5)
        member.flush()
        self.assertEqual(5, receiver.last)

    def test_aborted(self) -> None:
        """An abort reaches the application."""
        member = MemoryMember()
        stream = member.open(GET, None, Receiver())
        member.flush()
        stream.abort()
        member.flush()
        self.assertTrue(member.application.requests[0].over)

    def test_kept(self) -> None:
        """A connection that is kept serves several requests."""
        member = MemoryMember(hello, KEPT)
        for _ in range(3):
            member.open(GET, None, Receiver())
            member.flush()
        self.assertEqual(1, len(member.application.connections))
        self.assertEqual(3, len(member.application.requests))

    def test_refused(self) -> None:
        """An application that does not listen refuses connections."""
        member = MemoryMember(hello)
        member.application.listening = False
        receiver = Receiver()
        member.open(GET, None, receiver)
        self.assertIs(ConnectFailed, receiver.last)

    def test_lost(self) -> None:
        """An application may be gone in the middle of a response."""
        member = MemoryMember()
        receiver = Receiver()
        member.open(POST, None, receiver)
        member.flush()
        member.application.loseConnections()
        self.assertIs(ConnectionDied, receiver.last)
        self.assertTrue(member.application.requests[0].over)

    def test_time(self) -> None:
        """Time is the clock's."""
        member = MemoryMember()
        receiver = Receiver()
        member.open(GET, None, receiver, timeout=10)
        member.flush()
        member.clock.advance(9)
        self.assertIsNone(receiver.last)
        member.clock.advance(2)
        self.assertIsNotNone(receiver.last)

    def test_backPressure(self) -> None:
        """A client that does not read stops the application."""
        member = MemoryMember()
        receiver = Receiver()
        stream = member.open(GET, None, receiver)
        member.flush()
        (request,) = member.application.requests
        producer = Flood(request)
        stream.pauseProducing()
        request.registerProducer(producer)
        producer.resumeProducing()
        member.flush()
        self.assertFalse(producer.producing)
        self.assertEqual(b"", receiver.data)
        sent = producer.sent
        stream.resumeProducing()
        for _ in range(20):
            member.application.pump()
        self.assertGreater(producer.sent, sent)
        producer.stopProducing()
        request.unregisterProducer()
        request.finish()
        member.flush()
        self.assertEqual(producer.sent, len(receiver.data))

    def test_endless(self) -> None:
        """What never ends is noticed."""
        self.patch(testing, "ROUNDS", 10)
        self.patch(MemoryApplication, "pump", lambda application: True)
        self.assertRaises(AssertionError, MemoryApplication().flush)


class Flood:
    """Writes for as long as it may."""

    def __init__(self, request: ApplicationRequest) -> None:
        self.request = request
        self.sent = 0
        self.producing = False

    def resumeProducing(self) -> None:
        self.producing = True
        while self.producing:
            self.sent += 1000
            self.request.write(b"x" * 1000)

    def pauseProducing(self) -> None:
        self.producing = False

    stopProducing = pauseProducing


class SiteTests(SynchronousTestCase):
    """A whole site in front of a :class:`MemoryApplication`."""

    def get(self, memory: MemoryApplication, request: bytes) -> bytes:
        """What a client is answered."""
        clock = Clock()
        gateway = Gateway(loads('ProxyPass "/" "fcgi://localhost/"'), clock, memory.makeMember)
        site = Site(FastCGIResource(clock, gateway=gateway), reactor=clock)
        channel = site.buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(request)
        memory.flush()
        return transport.value()

    def test_resource(self) -> None:
        """A site's FastCGIResource can be tested without sockets."""
        answer = self.get(MemoryApplication(hello), b"GET /app HTTP/1.0\r\n\r\n")
        self.assertIn(b" 200 OK\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nhello /app"), answer)

    def test_byteByByte(self) -> None:
        """Nothing depends on where FastCGI's bytes are cut."""
        request = b"POST /app HTTP/1.0\r\nContent-Length: 5000\r\n\r\n" + b"0123456789" * 500
        answer = self.get(MemoryApplication(echo, portion=1), request)
        self.assertTrue(answer.endswith(b"\r\n\r\n" + b"0123456789" * 500), answer)
