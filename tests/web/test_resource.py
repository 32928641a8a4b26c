"""Tests for :mod:`twisted_fcgi.web.resource`: inside a stock ``twisted.web`` site."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, StreamReset
from twisted import internet
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.web.doubles import ScriptedMember
from twisted_fcgi.backend.hub import turn
from twisted_fcgi.config import loads
from twisted_fcgi.errors import ConfigurationErrors, ResponseTimedOut
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.web.gateway import Gateway
from twisted_fcgi.web.resource import FastCGIResource
from twisted_fcgi.wire import EndRequest

HEAD = b"Content-Type: text/plain\r\n\r\n"
END = EndRequest(1, 0, 0)
CONFIGURATION = 'ProxyPass "/app/" "fcgi://127.0.0.1:9000/srv/"'


class BodyReader:
    """Takes a body and keeps it."""

    def __init__(self) -> None:
        self.data = b""
        self.finished = False

    def write(self, data: bytes) -> None:
        self.data += data

    def finish(self) -> None:
        self.finished = True


class SiteTestCase(SynchronousTestCase):
    """A stock site with the resource in it, before a scripted member."""

    protocol: bytes | None = None

    def turn(self) -> list[Any]:
        """Begin a turn, which ends when the test does if not before."""
        self.patch(turn, "collected", None)
        return turn.begin()

    def connect(self, *script: Any, path: bytes = b"", flags: str = "") -> None:
        """
        Connect a client to a site.

        :param script: what the member says.
        :param path: put the resource there, below another one.
        :param flags: parameters of the member.
        """
        self.clock = Clock()
        # A test may be run by what a socket just told.
        self.patch(turn, "collected", None)

        def makeMember(settings: MemberSettings, reactor: Any) -> ScriptedMember:
            self.member = ScriptedMember(settings, *script)
            return self.member

        gateway = Gateway(loads(CONFIGURATION + flags), self.clock, makeMember)
        resource: Resource = FastCGIResource(self.clock, gateway=gateway)
        if path:
            root = Resource()
            root.putChild(path, resource)
            resource = root
        site = Site(resource, reactor=self.clock)
        self.transport = StringTransport(
            hostAddress=IPv4Address("TCP", "127.0.0.1", 8080),
            peerAddress=IPv4Address("TCP", "192.0.2.7", 4321),
        )
        self.transport.negotiatedProtocol = self.protocol
        self.channel = site.buildProtocol(None)
        self.channel.makeConnection(self.transport)


class HTTP1Tests(SiteTestCase):
    """Tests for :class:`FastCGIResource` over HTTP/1.1."""

    def request(self, line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
        """Send a request; what the site answered so far."""
        self.channel.dataReceived(
            b"\r\n".join([line, b"Host: www.example.test", *fields, b"", body])
        )
        return self.transport.value()

    def test_get(self) -> None:
        """A request gets the application's answer, and the application its variables."""
        self.connect(HEAD + b"hello", END)
        answer = self.request(b"GET /app/x.php?q=1 HTTP/1.1", b"X-A: b")
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer)
        self.assertIn(b"Content-Type: text/plain\r\n", answer)
        self.assertIn(b"\r\n5\r\nhello\r\n0\r\n\r\n", answer)
        expected = {
            b"REQUEST_METHOD": b"GET",
            b"REQUEST_URI": b"/app/x.php?q=1",
            b"QUERY_STRING": b"q=1",
            b"HTTP_X_A": b"b",
            b"REMOTE_ADDR": b"192.0.2.7",
            b"REMOTE_PORT": b"4321",
            b"SERVER_PROTOCOL": b"HTTP/1.1",
        }
        self.assertEqual({name: self.member.params.get(name) for name in expected}, expected)

    def test_post(self) -> None:
        """A body reaches the application whole, with its length."""
        self.connect(HEAD, END)
        self.request(b"POST /app/x HTTP/1.1", b"Content-Length: 3", body=b"abc")
        self.assertEqual(self.member.params[b"CONTENT_LENGTH"], b"3")
        self.assertEqual(self.member.body.length, 3)

    def test_bodyIsDelivered(self) -> None:
        """The application can read the body that the site took in."""
        self.connect()
        self.request(b"POST /app/x HTTP/1.1", b"Content-Length: 3", body=b"abc")
        reader = BodyReader()
        self.member.body.deliver(reader)
        self.clock.advance(0)
        self.assertEqual((reader.data, reader.finished), (b"abc", True))

    def test_form(self) -> None:
        """A form's body is passed on although the site has parsed it."""
        self.connect()
        self.request(
            b"POST /app/x HTTP/1.1",
            b"Content-Type: application/x-www-form-urlencoded",
            b"Content-Length: 7",
            body=b"a=1&b=2",
        )
        reader = BodyReader()
        self.member.body.deliver(reader)
        self.clock.advance(0)
        self.assertEqual(reader.data, b"a=1&b=2")

    def test_chunked(self) -> None:
        """A chunked body has the CONTENT_LENGTH that was counted."""
        self.connect(HEAD, END)
        self.request(
            b"POST /app/x HTTP/1.1",
            b"Transfer-Encoding: chunked",
            body=b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n",
        )
        self.assertEqual(self.member.params[b"CONTENT_LENGTH"], b"7")

    def test_contentLength(self) -> None:
        """A length that the application announced is the client's too."""
        self.connect(b"Content-Length: 5\r\n\r\nhello", END)
        answer = self.request(b"GET /app/ HTTP/1.1")
        self.assertIn(b"Content-Length: 5\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nhello"))

    def test_noTypeIsMadeUp(self) -> None:
        """An application's answer without a Content-Type stays without one."""
        self.connect(b"X-A: b\r\n\r\nhello", END)
        self.assertNotIn(b"content-type", self.request(b"GET /app/x HTTP/1.1").lower())

    def test_ownDate(self) -> None:
        """An application's Date is the only one."""
        self.connect(b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello", END)
        answer = self.request(b"GET /app/x HTTP/1.1")
        self.assertEqual(answer.count(b"\r\nDate: "), 1)
        self.assertIn(b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n", answer)

    def test_repeatedFields(self) -> None:
        """Each Set-Cookie of the application reaches the client."""
        self.connect(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n", END)
        answer = self.request(b"GET /app/x HTTP/1.1")
        self.assertIn(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", answer)

    def test_streams(self) -> None:
        """A part of a response reaches the client before the next one is made."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        self.member.receiver.stdoutReceived(HEAD + b"one")
        self.assertTrue(self.transport.value().endswith(b"\r\n\r\n3\r\none\r\n"))
        self.member.receiver.stdoutReceived(b"two")
        self.member.receiver.streamEnded(END)
        self.assertTrue(self.transport.value().endswith(b"3\r\ntwo\r\n0\r\n\r\n"))

    def test_wholeInOneTurn(self) -> None:
        """A response that is whole when the application was read has its length."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        sends = self.turn()
        self.member.receiver.stdoutReceived(HEAD + b"hello")
        self.member.receiver.streamEnded(END)
        turn.end(sends)
        answer = self.transport.value()
        self.assertIn(b"\r\nContent-Length: 5\r\n", answer)
        self.assertNotIn(b"chunked", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\nhello"), answer)

    def test_partsInOneTurn(self) -> None:
        """Parts that come in one turn leave in their order, when it ends at the latest."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        for parts in (b"one",), (b"two", b"three"):
            sends = self.turn()
            self.member.receiver.stdoutReceived(HEAD)
            for part in parts:
                self.member.receiver.stdoutReceived(part)
            turn.end(sends)
            self.assertTrue(self.transport.value().endswith(b"\r\n" + parts[-1] + b"\r\n"))
            self.member.receiver.streamEnded(END)
            self.assertTrue(self.transport.value().endswith(b"\r\n0\r\n\r\n"))
            self.request(b"GET /app/y HTTP/1.1")
        self.assertIn(b"\r\n3\r\ntwo\r\n5\r\nthree\r\n", self.transport.value())

    def test_flushedInOneTurn(self) -> None:
        """What flushpackets=on sends at once does not wait for the end of the turn."""
        self.connect(flags=" flushpackets=on")
        self.request(b"GET /app/x HTTP/1.1")
        sends = self.turn()
        self.member.receiver.stdoutReceived(HEAD + b"one")
        self.assertTrue(self.transport.value().endswith(b"\r\n3\r\none\r\n"))
        turn.end(sends)

    def test_brokenInOneTurn(self) -> None:
        """Nothing of a response that breaks off in the turn in which it began is sent later."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        sends = self.turn()
        self.member.receiver.stdoutReceived(HEAD + b"begun")
        self.member.receiver.streamFailed(ResponseTimedOut("silent"))
        turn.end(sends)
        self.assertEqual(self.transport.value(), b"")
        self.assertTrue(self.transport.disconnected)

    def test_clientGoneInOneTurn(self) -> None:
        """Nothing is written to a client that left in the turn in which its response began."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        sends = self.turn()
        self.member.receiver.stdoutReceived(HEAD + b"begun")
        self.channel.connectionLost(Failure(ConnectionDone()))
        turn.end(sends)
        self.assertEqual(self.transport.value(), b"")

    def test_slowClient(self) -> None:
        """A client that does not read pauses the application."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        self.transport.producer.pauseProducing()
        self.transport.producer.resumeProducing()
        self.assertEqual(self.member.stream.calls, ["pause", "resume"])

    def test_clientGone(self) -> None:
        """The application's request is aborted when the client leaves."""
        self.connect()
        self.request(b"GET /app/x HTTP/1.1")
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.member.stream.calls, ["abort"])

    def test_brokenResponse(self) -> None:
        """A response that breaks off closes the client's connection."""
        self.connect(HEAD + b"begun", ResponseTimedOut("silent"))
        self.request(b"GET /app/x HTTP/1.1")
        self.assertTrue(self.transport.disconnected)

    def test_error(self) -> None:
        """An application that failed before it answered makes an error page."""
        self.connect(ResponseTimedOut("silent"))
        answer = self.request(b"GET /app/x HTTP/1.1")
        self.assertTrue(answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n"), answer)
        self.assertIn(b"text/html", answer)

    def test_unmapped(self) -> None:
        """What no directive claims is a 404."""
        self.connect()
        answer = self.request(b"GET /other HTTP/1.1")
        self.assertTrue(answer.startswith(b"HTTP/1.1 404 Not Found\r\n"), answer)

    def test_belowAnotherResource(self) -> None:
        """The configuration sees the whole path wherever the resource is."""
        self.connect(HEAD, END, path=b"app")
        self.request(b"GET /app/x.php/info HTTP/1.1")
        self.assertEqual(self.member.params[b"REQUEST_URI"], b"/app/x.php/info")
        self.assertEqual(self.member.params[b"SCRIPT_NAME"], b"/app/x.php/info")

    def test_keepAlive(self) -> None:
        """A second request on the connection is answered."""
        self.connect(HEAD + b"hello", END)
        self.request(b"GET /app/1 HTTP/1.1")
        self.transport.clear()
        self.assertIn(b"hello", self.request(b"GET /app/2 HTTP/1.1"))

    def test_otherFields(self) -> None:
        """A request on a connection has its own fields, not those of the one before."""
        self.connect(HEAD, END)
        for fields in (b"X-A: 1",), (b"X-A: 1",), (b"X-A: 2",), (b"X-A: 2", b"X-B: 3"), ():
            self.request(b"GET /app/ HTTP/1.1", *fields)
            told = {name: self.member.params.get(name) for name in (b"HTTP_X_A", b"HTTP_X_B")}
            sent = dict(field.split(b": ") for field in fields)
            expected = {b"HTTP_X_A": sent.get(b"X-A"), b"HTTP_X_B": sent.get(b"X-B")}
            self.assertEqual(told, expected)

    def test_noGarbage(self) -> None:
        """Nothing of a request that was answered is left to the garbage collector."""
        self.connect()
        self.addCleanup(gc.enable)
        gc.disable()
        self.request(b"GET /app/ HTTP/1.1")
        exchange = weakref.ref(self.member.receiver)
        self.member.receiver.stdoutReceived(HEAD + b"hello")
        self.member.receiver.streamEnded(END)
        self.member.receiver = None
        self.assertIsNone(exchange())

    def test_badConfiguration(self) -> None:
        """A configuration with a mistake raises all of them."""
        error = self.assertRaises(
            ConfigurationErrors, FastCGIResource, self.clock_(), "ProxyPas / x\nKeepAlive x\n"
        )
        self.assertEqual(len(error.errors), 2)

    def clock_(self) -> Clock:
        """A reactor that nothing uses."""
        return Clock()


class HTTP2Tests(SiteTestCase):
    """Tests for :class:`FastCGIResource` over HTTP/2."""

    protocol = b"h2"

    def connect(self, *script: Any, path: bytes = b"", flags: str = "") -> None:
        super().connect(*script, path=path, flags=flags)
        # The HTTP/2 connection of twisted.web imports its reactor when it is made.
        self.patch(internet, "reactor", self.clock)

    def request(self, method: str, path: str, body: bytes = b"") -> list[Any]:
        """Send a request; the events that its answer made."""
        self.client = H2Connection(H2Configuration(client_side=True))
        self.client.initiate_connection()
        fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", "www.example.test"),
            (":path", path),
        ]
        self.client.send_headers(1, fields, end_stream=not body)
        if body:
            self.client.send_data(1, body, end_stream=True)
        self.channel.dataReceived(self.client.data_to_send())
        return self.events()

    def events(self) -> list[Any]:
        """What came from the site since the last call."""
        for _ in range(10):
            self.clock.advance(0.01)
        events = self.client.receive_data(self.transport.value())
        self.transport.clear()
        return events

    def test_post(self) -> None:
        """Variables, body and answer pass over HTTP/2."""
        self.connect(b"X-A: b\r\nContent-Type: text/plain\r\n\r\nhello", END)
        events = self.request("POST", "/app/x?q", b"abc")
        (response,) = (event for event in events if isinstance(event, ResponseReceived))
        fields = dict(response.headers)
        self.assertEqual((fields[b":status"], fields[b"x-a"]), (b"200", b"b"))
        data = b"".join(event.data for event in events if isinstance(event, DataReceived))
        self.assertEqual(data, b"hello")
        self.assertTrue(any(isinstance(event, StreamEnded) for event in events))
        self.assertEqual(self.member.params[b"HTTP_HOST"], b"www.example.test")
        self.assertEqual(self.member.params[b"SERVER_PROTOCOL"], b"HTTP/2.0")
        self.assertEqual(self.member.params[b"CONTENT_LENGTH"], b"3")

    def test_brokenResponse(self) -> None:
        """A response that breaks off resets its stream, not the connection."""
        self.connect()
        self.request("GET", "/app/x")
        self.member.receiver.stdoutReceived(HEAD + b"begun")
        self.member.receiver.streamFailed(ResponseTimedOut("silent"))
        events = self.events()
        self.assertTrue(any(isinstance(event, StreamReset) for event in events), events)
        self.assertFalse(self.transport.disconnected)
