"""Tests for :mod:`twisted_fcgi.web.clientresponse`: every framing for every client."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.web.channels import ClientTransport
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import DROPS_CONNECTION
from twisted_fcgi.interfaces import IResponse
from twisted_fcgi.message import Request, ResponseHead
from twisted_fcgi.web import sentheads
from twisted_fcgi.web.clientresponse import ClientResponse
from twisted_fcgi.web.sentheads import SentHeads

OURS = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: us\r\n"


class Channel:
    """Records what a response tells its channel."""

    def __init__(self) -> None:
        self.transport = ClientTransport()
        self.persists = True
        self.ends: list[object] = []

    def mayPersist(self, keepAlive: tuple[float, int] | None = None) -> bool:
        return self.persists

    def keepAliveFields(self) -> bytes:
        return b"Connection: Keep-Alive\r\n\r\n"

    def responseFinished(self, response: ClientResponse) -> None:
        self.ends.append("goes on" if response.persistent else "closes")

    def responseAborted(self, response: ClientResponse, framed: bool) -> None:
        self.ends.append("ends" if framed else "resets")


class ClientResponseTests(SynchronousTestCase):
    """Tests for :class:`ClientResponse`."""

    def setUp(self) -> None:
        self.patch(sentheads, "time", lambda: 784111777.9)

    def response(
        self,
        method: bytes = b"GET",
        current: bool = True,
        persistent: bool = True,
        keepAlive: bool = False,
    ) -> ClientResponse:
        self.channel: Any = Channel()
        request = Request(method, b"/", Headers())
        return ClientResponse(
            self.channel,
            self.channel.transport,
            SentHeads(b"us"),
            request,
            current,
            persistent,
            keepAlive,
        )

    def head(
        self,
        length: int | None = None,
        status: int = 200,
        reason: bytes = b"OK",
        close: bool = False,
        *pairs: tuple[bytes, bytes],
    ) -> ResponseHead:
        return ResponseHead(status, reason, Headers(pairs), length, close)

    def written(self) -> tuple[bytes, bytes, bytes]:
        """The status line, the fields that the framing added, and the rest."""
        head, _, body = self.channel.transport.taken().partition(b"\r\n\r\n")
        line, _, fields = head.partition(b"\r\n")
        return line, fields.replace(OURS[:-2], b"").lstrip(b"\r\n"), body

    def test_interface(self) -> None:
        """It is a response."""
        verifyObject(IResponse, self.response())

    def test_length(self) -> None:
        """A known length is said, to every version."""
        for current in (True, False):
            response = self.response(current=current)
            response.writeHead(self.head(3))
            response.write(b"abc")
            response.finish()
            line, fields, body = self.written()
            self.assertEqual(line, b"HTTP/1.1 200 OK")
            self.assertEqual((fields, body), (b"Content-Length: 3", b"abc"))
            self.assertEqual(self.channel.ends, ["goes on"])

    def test_chunked(self) -> None:
        """An unknown length is chunked for HTTP/1.1."""
        response = self.response()
        response.writeHead(self.head())
        response.write(b"abc")
        response.write(b"x" * 26)
        response.finish()
        self.assertEqual(
            self.written()[1:],
            (
                b"Transfer-Encoding: chunked",
                b"3\r\nabc\r\n1a\r\n" + b"x" * 26 + b"\r\n0\r\n\r\n",
            ),
        )
        self.assertEqual(self.channel.ends, ["goes on"])

    def test_untilTheEnd(self) -> None:
        """For HTTP/1.0 it ends with the connection, even if that was to go on."""
        response = self.response(current=False, keepAlive=True)
        response.writeHead(self.head())
        response.write(b"abc")
        response.write(b"def")
        response.finish()
        self.assertEqual(self.written()[1:], (b"Connection: close", b"abcdef"))
        self.assertEqual(self.channel.ends, ["closes"])

    def test_empty(self) -> None:
        """A response without a body has the length 0, for every version."""
        for current in (True, False):
            response = self.response(current=current)
            response.writeHead(self.head())
            response.write(b"")
            response.finish()
            self.assertEqual(self.written()[1:], (b"Content-Length: 0", b""))
            self.assertEqual(self.channel.ends, ["goes on"])

    def test_emptyAfterFlush(self) -> None:
        """Once its head was flushed, it is too late for a length."""
        response = self.response()
        response.writeHead(self.head())
        response.flush()
        self.assertEqual(self.written()[1:], (b"Transfer-Encoding: chunked", b""))
        response.flush()
        response.finish()
        self.assertEqual(self.channel.transport.taken(), b"0\r\n\r\n")

    def test_head(self) -> None:
        """A response to HEAD says the length if it is known, and has no body."""
        for current in (True, False):
            for length, fields in ((3, b"Content-Length: 3"), (None, b"")):
                response = self.response(b"HEAD", current)
                response.writeHead(self.head(length))
                response.write(b"abc")
                response.write(b"def")
                response.finish()
                self.assertEqual(self.written()[1:], (fields, b""))
                self.assertEqual(self.channel.ends, ["goes on"])
                self.assertEqual(response.sent, 0)

    def test_headNothingWritten(self) -> None:
        """An unknown length is not 0 because a response to HEAD is empty."""
        response = self.response(b"HEAD")
        response.writeHead(self.head())
        response.finish()
        self.assertEqual(self.written()[1:], (b"", b""))

    def test_bodylessStatus(self) -> None:
        """204 and 304 have neither length nor body (RFC 9110, 8.6)."""
        for status, reason in ((204, b"No Content"), (304, b"Not Modified")):
            for length in (3, None):
                for current in (True, False):
                    response = self.response(current=current)
                    response.writeHead(self.head(length, status, reason))
                    response.write(b"abc")
                    response.finish()
                    self.assertEqual(self.written()[1:], (b"", b""))
                    self.assertEqual(self.channel.ends, ["goes on"])

    def test_closing(self) -> None:
        """The connection ends, and the client is told, when one of several says so."""
        for response, head in (
            (self.response(persistent=False), self.head(3)),
            (self.response(), self.head(3, close=True)),
            *((self.response(), self.head(3, status)) for status in DROPS_CONNECTION),
        ):
            response.writeHead(head)
            response.write(b"abc")
            response.finish()
            channel: Any = response._channel
            self.assertIn(b"\r\nConnection: close\r\n", channel.transport.taken())
            self.assertEqual(channel.ends, ["closes"])
        response = self.response()
        self.channel.persists = False
        response.writeHead(self.head(3))
        response.write(b"abc")
        response.finish()
        self.assertEqual(self.written()[1], b"Content-Length: 3\r\nConnection: close")
        self.assertEqual(self.channel.ends, ["closes"])

    def test_goesOnAfterErrors(self) -> None:
        """After other errors the connection goes on."""
        for status in (403, 404, 417, 502, 504):
            response = self.response()
            response.writeHead(self.head(0, status))
            response.finish()
            self.assertEqual(self.channel.ends, ["goes on"])

    def test_keepAlive(self) -> None:
        """A client that asked for it in words is answered in words."""
        response = self.response(current=False, keepAlive=True)
        response.writeHead(self.head(0))
        response.finish()
        self.assertEqual(self.written()[1], b"Content-Length: 0\r\nConnection: Keep-Alive")

    def test_fields(self) -> None:
        """The head's fields are written in their order, Date and Server before them."""
        response = self.response()
        head = self.head(0, 299, b"Mostly Fine", False, (b"B", b"1"), (b"a", b""), (b"B", b"2"))
        response.writeHead(head)
        response.finish()
        self.assertEqual(
            self.channel.transport.taken(),
            b"HTTP/1.1 299 Mostly Fine\r\n" + OURS + b"B: 1\r\na: \r\nB: 2\r\n"
            b"Content-Length: 0\r\n\r\n",
        )

    def test_applicationsOwn(self) -> None:
        """A Date or a Server of the application's own takes the place of ours."""
        for name, left in ((b"date", b"Server: us\r\n"), (b"SERVER", OURS.partition(b"Server")[0])):
            response = self.response()
            response.writeHead(self.head(0, 200, b"OK", False, (name, b"mine")))
            response.finish()
            self.assertEqual(
                self.channel.transport.taken(),
                b"HTTP/1.1 200 OK\r\n" + left + name + b": mine\r\nContent-Length: 0\r\n\r\n",
            )

    def test_oneWrite(self) -> None:
        """A small response with a known length is one write; the head waits for it."""
        response = self.response()
        response.writeHead(self.head(3))
        self.assertEqual(self.channel.transport.writes, 0)
        self.assertFalse(response.begun)
        response.write(b"abc")
        self.assertTrue(response.begun)
        response.finish()
        self.assertEqual(self.channel.transport.writes, 1)

    def test_largeParts(self) -> None:
        """A large part is framed as a small one is."""
        data = b"x" * 100000
        for length, body in ((len(data), data), (None, b"186a0\r\n" + data + b"\r\n0\r\n\r\n")):
            response = self.response()
            response.writeHead(self.head(length))
            response.write(data)
            response.finish()
            self.assertEqual(self.written()[2], body)
            self.assertEqual(response.sent, len(data))

    def test_tooLong(self) -> None:
        """Never more than the announced length is written."""
        response = self.response()
        response.writeHead(self.head(3))
        response.write(b"ab")
        response.write(b"cde")
        response.write(b"f")
        response.finish()
        self.assertEqual(self.written()[2], b"abc")
        self.assertEqual(self.channel.ends, ["goes on"])
        self.assertEqual(response.sent, 3)

    def test_tooShort(self) -> None:
        """A response that ends too early is cut, not finished."""
        for written in (b"", b"ab"):
            response = self.response()
            response.writeHead(self.head(3))
            response.write(written)
            response.finish()
            self.assertEqual(self.channel.ends, ["ends"])

    def test_aborted(self) -> None:
        """Where the client could take the end for the whole, it gets a reset."""
        for current, length, end in (
            (True, None, "ends"),
            (True, 3, "ends"),
            (False, 3, "ends"),
            (False, None, "resets"),
        ):
            response = self.response(current=current)
            response.writeHead(self.head(length))
            response.write(b"ab")
            response.abort()
            self.assertEqual(self.channel.ends, [end])
            self.assertNotIn(b"0\r\n\r\n", self.channel.transport.taken())

    def test_abortedBefore(self) -> None:
        """Nothing of a response is written when it is aborted before its body."""
        response = self.response()
        response.abort()
        self.assertEqual(self.channel.ends, ["resets"])
        response = self.response()
        response.writeHead(self.head())
        response.abort()
        self.assertEqual(self.channel.ends, ["resets"])
        self.assertEqual(self.channel.transport.taken(), b"")

    def test_deaf(self) -> None:
        """After its end a response writes nothing, whatever is called."""
        for end in ("finish", "abort", "forget"):
            response = self.response()
            if end == "finish":
                response.writeHead(self.head(0))
            getattr(response, end)()
            self.channel.transport.taken()
            ends = list(self.channel.ends)
            response.writeHead(self.head(3))
            response.flush()
            response.write(b"abc")
            response.finish()
            response.abort()
            self.assertEqual(self.channel.transport.taken(), b"")
            self.assertEqual(self.channel.ends, ends)

    def test_lineEndInside(self) -> None:
        """A head that would split the response is never written."""
        for head in (
            self.head(3, 200, b"OK\r\nX: y"),
            self.head(3, 200, b"OK\n"),
            self.head(3, 200, b"OK\r"),
            self.head(3, 200, b"OK", False, (b"A", b"b\r\nC: d")),
            self.head(3, 200, b"OK", False, (b"A", b"b\nC: d")),
            self.head(3, 200, b"OK", False, (b"A", b"b\rC: d")),
            self.head(3, 200, b"OK", False, (b"A\r\n", b"b")),
        ):
            for last in ("write", "flush", "finish"):
                response = self.response()
                response.writeHead(head)
                getattr(response, last)(*([b"abc"] if last == "write" else []))
                response.finish()
                self.assertEqual(self.channel.transport.taken(), b"")
                self.assertEqual(len(self.channel.ends), 1)
                self.assertNotEqual(self.channel.ends, ["goes on"])
