"""Tests for :mod:`twisted_fcgi.web.http1`: bytes in, request heads out."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.message import Address, Request
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.http1 import BLANK_LINES, HEAD_LIMIT, RequestReader
from twisted_fcgi.web.knownlines import MAX_LINE, KnownLines

HOST = b"Host: www.example.test\r\n"


def wholly(data: bytes) -> Iterable[bytes]:
    return [data]


def bytewise(data: bytes) -> Iterable[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


def read(
    data: bytes, cut: object = wholly, limits: Limits = Limits()
) -> tuple[Request, RequestReader]:
    """The request at the beginning of some bytes, and its reader."""
    reader = RequestReader(limits)
    request = None
    for part in cut(data):  # type: ignore[operator]
        reader.receive(part)
        if request is None:
            request = reader.next(1.5)
    assert request is not None, "not whole"
    return request, reader


def statusOf(data: bytes, cut: object = wholly, limits: Limits = Limits()) -> int:
    """The status of a refusal; 0 when more is awaited."""
    reader = RequestReader(limits)
    try:
        for part in cut(data):  # type: ignore[operator]
            reader.receive(part)
            while reader.next(0.0) is not None:
                pass
    except BadRequest as error:
        return error.status
    return 0


def outcome(parts: list[bytes], reader: RequestReader) -> list[object]:
    """All that a reader says of a stream, and how much of it is left."""
    found: list[object] = []
    try:
        for part in parts:
            reader.receive(part)
            while (request := reader.next(0.0)) is not None:
                found.append((request.line, request.protocol, request.headers.pairs))
                found.append((reader.current, reader.persistent, reader.keepAlive))
        found.append(reader.rest())
    except BadRequest as error:
        found.append(error.status)
    return found


class RequestLineTests(SynchronousTestCase):
    """The request line is httpd's in its strict mode."""

    def test_parts(self) -> None:
        """A request has the line's three parts, and the line."""
        request, reader = read(b"GET /a?b=1 HTTP/1.1\r\n" + HOST + b"\r\n")
        self.assertEqual(request.method, b"GET")
        self.assertEqual(request.target, b"/a?b=1")
        self.assertEqual(request.protocol, b"HTTP/1.1")
        self.assertEqual(request.line, b"GET /a?b=1 HTTP/1.1")
        self.assertTrue(reader.current)

    def test_served(self) -> None:
        """Any token is a method, any visible or non-ASCII bytes are a target."""
        for line in (
            b"FOO / HTTP/1.1",
            b"get / HTTP/1.1",
            b"M-SEARCH * HTTP/1.1",
            b"X_Y!#$%&'*+.^`|~ / HTTP/1.1",
            b"A" * 60 + b" / HTTP/1.1",
            b"CONNECT a:1 HTTP/1.1",
            b"GET ?x HTTP/1.1",
            b"GET http: HTTP/1.1",
            b"GET c/a HTTP/1.1",
            b"GET /caf\xc3\xa9?\xff HTTP/1.1",
            b'GET /%zz"<>^`{|}\\ HTTP/1.1',
            b"GET / HTTP/1.2",
            b"GET / HTTP/2.0",
            b"GET / HTTP/9.9",
        ):
            for cut in (wholly, bytewise):
                request, reader = read(line + b"\r\n" + HOST + b"\r\n", cut)
                self.assertEqual(request.line, line)
                self.assertTrue(reader.current)

    def test_refused(self) -> None:
        """Anything else is a 400 as soon as the line is there."""
        for line in (
            b"GET /",
            b"GET",
            b"GARBAGE",
            b" GET / HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"GET /  HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b"GET\t/ HTTP/1.1",
            b"GET /\tHTTP/1.1",
            b"GET / a HTTP/1.1",
            b"GET / HTTP/0.9",
            b"GET / HTTP/1",
            b"GET / HTTP/1.10",
            b"GET / http/1.1",
            b"GET / XTTP/1.1",
            b"G\xc9T / HTTP/1.1",
            b"G(T / HTTP/1.1",
            b"GET /\x00 HTTP/1.1",
            b"GET /\x7f HTTP/1.1",
            b"GET /\r HTTP/1.1",
            b"GET / HTTP/1.1\r",
            b"GET / HTTP/1.0\rX",
            b"\0\0\0\0",
            b"\x16\x03\x01\x00\x05\x01",
        ):
            for cut in (wholly, bytewise):
                self.assertEqual(statusOf(line + b"\r\n", cut), 400, line)
                self.assertEqual(statusOf(line + b"\r\n" + HOST + b"\r\n", cut), 400, line)

    def test_bareLF(self) -> None:
        """A line that ends without CR is a 400, at once."""
        for data in (
            b"\n",
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\r\nHost: a\n",
            b"GET / HTTP/1.1\r\n\n",
            b"GET / HTTP/1.1\n" + HOST + b"\r\n",
            b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        ):
            for cut in (wholly, bytewise):
                self.assertEqual(statusOf(data, cut), 400, data)

    def test_blankLinesBefore(self) -> None:
        """A few empty lines may stand before a request, and between two."""
        for cut in (wholly, bytewise):
            data = b"\r\n" * BLANK_LINES + b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
            self.assertEqual(read(data, cut)[0].target, b"/")
            self.assertEqual(statusOf(data + data, cut), 0)

    def test_tooManyBlankLines(self) -> None:
        """More of them are a 400: nobody keeps a connection with nothing."""
        for cut in (wholly, bytewise):
            self.assertEqual(statusOf(b"\r\n" * (BLANK_LINES + 1), cut), 400)

    def test_limit(self) -> None:
        """httpd's LimitRequestLine: one byte more than it says is served, two are a 414."""
        limits = Limits(line=40)
        for cut in (wholly, bytewise):
            line = b"GET /".ljust(41 - len(b" HTTP/1.1"), b"x") + b" HTTP/1.1"
            data = line + b"\r\n" + HOST + b"\r\n"
            self.assertEqual(len(line), 41)
            self.assertEqual(read(data, cut, limits)[0].line, line)
            self.assertEqual(statusOf(data.replace(b"x", b"xx", 1), cut, limits), 414)

    def test_lineWithoutEnd(self) -> None:
        """A line that is too long is a 414 before it ends."""
        self.assertEqual(statusOf(b"GET /" + b"x" * 8187), 0)
        self.assertEqual(statusOf(b"GET /" + b"x" * 8188), 414)


class FieldsTests(SynchronousTestCase):
    """Header fields are those of RFC 9112, without its leniencies."""

    def fields(self, data: bytes, cut: object = wholly) -> list[tuple[bytes, bytes]]:
        request, _ = read(b"GET / HTTP/1.0\r\n" + data + b"\r\n", cut)
        return request.headers.pairs

    def test_order(self) -> None:
        """Fields keep their order, case and repetition, and are found by name."""
        data = b"B: 1\r\na: 2\r\nb: 3\r\n"
        for cut in (wholly, bytewise):
            pairs = self.fields(data, cut)
            self.assertEqual(pairs, [(b"B", b"1"), (b"a", b"2"), (b"b", b"3")])
        request, _ = read(b"GET / HTTP/1.0\r\n" + data + b"\r\n")
        self.assertEqual(request.headers.getAll(b"b"), [b"1", b"3"])
        self.assertIn(b"a", request.headers)

    def test_none(self) -> None:
        """A head may have no field."""
        for cut in (wholly, bytewise):
            self.assertEqual(self.fields(b"", cut), [])

    def test_white(self) -> None:
        """Blanks around a value are no part of it, those inside are."""
        data = b"A:b\r\nC: \t d\te  f \t \r\nG:\r\nH: \t\r\n"
        for cut in (wholly, bytewise):
            self.assertEqual(
                self.fields(data, cut),
                [(b"A", b"b"), (b"C", b"d\te  f"), (b"G", b""), (b"H", b"")],
            )
        request, _ = read(b"GET / HTTP/1.0\r\n" + data + b"\r\n")
        self.assertEqual(request.headers.get(b"c"), b"d\te  f")

    def test_bytes(self) -> None:
        """Names may have any token character, values anything but controls."""
        name = b"!#$%&'*+-.^_`|~09azAZ"
        value = bytes([*range(0x21, 0x7F), *range(0x80, 0x100)])
        for cut in (wholly, bytewise):
            self.assertEqual(self.fields(name + b": " + value + b"\r\n", cut), [(name, value)])

    def test_refused(self) -> None:
        """What could be read in two ways is a 400 (folds, blanks, bare CR, NUL ...)."""
        for field in (
            b"A: b\r\n c",
            b"A: b\r\n\tc",
            b" A: b",
            b"A: b\r\n ",
            b"A : b",
            b"A\t: b",
            b"A b: c",
            b": b",
            b"A",
            b"A: b\rc",
            b"A: b\r",
            b"A: b\nC: d",
            b"A: \0",
            b"A: \x01",
            b"A: \x0b",
            b"A: \x7f",
            b"\xe9: b",
            b"A\0: b",
            b'A"b: c',
            b"Transfer-Encoding: \r\n chunked",
        ):
            for cut in (wholly, bytewise):
                data = b"GET / HTTP/1.1\r\n" + HOST + field + b"\r\n" + HOST + b"\r\n"
                self.assertEqual(statusOf(data, cut), 400, field)
                data = b"GET / HTTP/1.1\r\n" + field + b"\r\n\r\n"
                self.assertEqual(statusOf(data, cut), 400, field)

    def test_number(self) -> None:
        """More than LimitRequestFields are a 400; 0 is no limit."""
        data = b"GET / HTTP/1.0\r\n" + b"A: b\r\n" * 4 + b"\r\n"
        for cut in (wholly, bytewise):
            self.assertEqual(statusOf(data, cut, Limits(fields=3)), 400)
            self.assertEqual(statusOf(data, cut, Limits(fields=4)), 0)
            self.assertEqual(statusOf(data, cut, Limits(fields=0)), 0)

    def test_size(self) -> None:
        """httpd's LimitRequestFieldSize: one byte more than it says is served, two are a 400."""
        limits = Limits(fieldSize=20)
        for cut in (wholly, bytewise):
            data = b"GET / HTTP/1.0\r\nA: b\r\nB: " + b"x" * 18 + b"\r\nC: d\r\n\r\n"
            self.assertEqual(len(read(data, cut, limits)[0].headers), 3)
            self.assertEqual(statusOf(data.replace(b"x", b"xx", 1), cut, limits), 400)
        self.assertEqual(statusOf(b"GET / HTTP/1.0\r\nA: " + b"x" * 18, wholly, limits), 0)
        self.assertEqual(statusOf(b"GET / HTTP/1.0\r\nA: " + b"x" * 20, wholly, limits), 400)
        part = b"GET / HTTP/1.0\r\nA: " + b"x" * 19 + b"\r\nB: c"
        self.assertEqual(statusOf(part, wholly, limits), 400)

    def test_whole(self) -> None:
        """A head is bounded as a whole, even without a limit of fields."""
        reader = RequestReader(Limits(fields=0))
        reader.receive(b"GET / HTTP/1.0\r\n")
        self.assertIsNone(reader.next(0.0))
        many = b"A: b\r\n" * 10000
        with self.assertRaises(BadRequest) as caught:
            for _ in range(HEAD_LIMIT // len(many) + 1):
                reader.receive(many)
                self.assertIsNone(reader.next(0.0))
        self.assertEqual(caught.exception.status, 431)
        self.assertLessEqual(len(reader), HEAD_LIMIT + len(many))

    def test_upgrade(self) -> None:
        """A client that would like another protocol is read as any other."""
        one = b"GET /1 HTTP/1.1\r\n" + HOST
        for wish in (
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
            b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n",
        ):
            for cut in (wholly, bytewise):
                reader = RequestReader(Limits())
                targets = []
                for part in cut(one + wish + b"\r\n" + one.replace(b"1", b"2", 1) + b"\r\n"):
                    reader.receive(part)
                    while (request := reader.next(0.0)) is not None:
                        targets.append((request.target, request.contentLength))
                self.assertEqual(targets, [(b"/1", 0), (b"/2", 0)])

    def test_afterClose(self) -> None:
        """What a client says of a connection does not stop its reader."""
        for option in (b"Connection: close", b"Proxy-Connection: close"):
            reader = RequestReader(Limits())
            reader.receive((b"GET / HTTP/1.1\r\n" + HOST + option + b"\r\n\r\n") * 2)
            self.assertIsNotNone(reader.next(0.0))
            self.assertIsNotNone(reader.next(0.0))


class FramingTests(SynchronousTestCase):
    """How long a body is has one answer or none (RFC 9112, 6.3)."""

    def length(self, *fields: bytes, protocol: bytes = b"HTTP/1.1") -> int | None:
        lines = (b"POST / " + protocol, HOST[:-2], *fields, b"", b"")
        lengths = {read(b"\r\n".join(lines), cut)[0].contentLength for cut in (wholly, bytewise)}
        return lengths.pop()

    def test_none(self) -> None:
        """Without a field there is no body, whatever the method."""
        self.assertEqual(self.length(), 0)

    def test_length(self) -> None:
        """Content-Length is decimal digits; more of them than needed do no harm."""
        self.assertEqual(self.length(b"Content-Length: 3"), 3)
        self.assertEqual(self.length(b"content-length:   003  "), 3)
        self.assertEqual(self.length(b"Content-Length: 0"), 0)
        self.assertEqual(self.length(b"Content-Length: 3", protocol=b"HTTP/1.0"), 3)
        self.assertEqual(self.length(b"Content-Length: 9223372036854775807"), (1 << 63) - 1)

    def test_chunked(self) -> None:
        """``chunked``, in any case, is a body of unknown length."""
        self.assertIsNone(self.length(b"Transfer-Encoding: chunked"))
        self.assertIsNone(self.length(b"TRANSFER-ENCODING:  CHUNKED "))
        self.assertIsNone(self.length(b"Transfer-Encoding: chunked", protocol=b"HTTP/1.2"))

    def test_refused(self) -> None:
        """Everything that another server could understand otherwise is a 400."""
        for fields in (
            b"Content-Length:",
            b"Content-Length: abc",
            b"Content-Length: -1",
            b"Content-Length: +3",
            b"Content-Length: 0x3",
            b"Content-Length: 3 3",
            b"Content-Length: 3, 3",
            b"Content-Length: 3\r\nContent-Length: 3",
            b"Content-Length: 3\r\ncontent-length: 4",
            b"Content-Length: 0\r\nContent-Length: 0",
            b"Content-Length: 99999999999999999999",
            b"Content-Length: 00000000000000000003",
            b"Content-Length: \xb2",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            b"Transfer-Encoding: chunked\r\nContent-Length: 0",
            b"Transfer-Encoding:",
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: zip",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b"Transfer-Encoding: chunked;q=1",
            b"Transfer-Encoding: \x0bchunked",
            b"Transfer-Encoding: xchunked",
            b'Transfer-Encoding: "chunked"',
            b"Transfer-Encoding : chunked",
        ):
            for method in (b"POST", b"GET", b"CONNECT"):
                for cut in (wholly, bytewise):
                    data = method + b" / HTTP/1.1\r\n" + HOST + fields + b"\r\n\r\n"
                    self.assertEqual(statusOf(data, cut), 400, fields)

    def test_chunked10(self) -> None:
        """Transfer-Encoding does not exist in HTTP/1.0."""
        data = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.assertEqual(statusOf(data), 400)

    def test_bodyIsLeft(self) -> None:
        """What stands behind a head is not looked at."""
        for framing in (b"Content-Length: 3", b"Transfer-Encoding: chunked"):
            for method in (b"GET", b"POST", b"CONNECT"):
                data = method + b" / HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n"
                request, reader = read(data + b"\0\r\n\r\n\xff")
                self.assertEqual(request.method, method)
                self.assertEqual(reader.rest(), b"\0\r\n\r\n\xff")

    def test_nextAfterBody(self) -> None:
        """The head behind a body is read as if there had been none."""
        reader = RequestReader(Limits())
        for framing in (b"Content-Length: 3", b"Transfer-Encoding: chunked", b"X: y"):
            reader.receive(b"PUT / HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n")
            request = reader.next(0.0)
            assert request is not None
            self.assertIn(framing, b"\r\n".join(b": ".join(pair) for pair in request.headers))


class MeaningTests(SynchronousTestCase):
    """What a front has to know of a head."""

    def reader(self, *lines: bytes) -> RequestReader:
        return read(b"\r\n".join((*lines, b"", b"")))[1]

    def test_host(self) -> None:
        """HTTP/1.1 needs one Host; others need none, and nobody may have two."""
        for line, status in (
            (b"GET / HTTP/1.1", 400),
            (b"GET http://a/ HTTP/1.1", 400),
            (b"GET / HTTP/1.0", 0),
            (b"GET http://a/ HTTP/1.2", 0),
        ):
            self.assertEqual(statusOf(line + b"\r\n\r\n"), status)
            self.assertEqual(statusOf(line + b"\r\n" + HOST + b"\r\n"), 0)
            self.assertEqual(statusOf(line + b"\r\n" + HOST + HOST + b"\r\n"), 400)

    def test_persistent(self) -> None:
        """HTTP/1.1 goes on unless told ``close``, HTTP/1.0 only when told ``keep-alive``."""
        new, old = (b"GET / HTTP/1.1", b"Host: a"), (b"GET / HTTP/1.0",)
        for lines, persistent, asked in (
            (new, True, False),
            ((*new, b"Connection: keep-alive"), True, True),
            ((*new, b"Connection: close"), False, False),
            ((*new, b"Connection: foo, Close"), False, False),
            ((*new, b"Connection: foo", b"connection: CLOSE"), False, False),
            ((*new, b"Connection: keep-alive, close"), False, True),
            ((*new, b"Connection: closed"), True, False),
            (old, False, False),
            ((*old, b"Connection: Keep-Alive"), True, True),
            ((*old, b"Connection: x ,\tKEEP-alive"), True, True),
            ((*old, b"Connection: keep-alive, close"), False, True),
        ):
            reader = self.reader(*lines)
            self.assertEqual((reader.persistent, reader.keepAlive), (persistent, asked), lines)

    def test_old(self) -> None:
        """HTTP/1.0 is the only version that is older than HTTP/1.1."""
        self.assertFalse(self.reader(b"GET / HTTP/1.0").current)
        self.assertTrue(self.reader(b"GET / HTTP/2.0").current)

    def test_expectation(self) -> None:
        """Expect is given in lower case."""
        self.assertIsNone(self.reader(b"GET / HTTP/1.0").expectation)
        reader = self.reader(b"GET / HTTP/1.0", b"Expect: 100-Continue")
        self.assertEqual(reader.expectation, b"100-continue")
        reader = self.reader(b"GET / HTTP/1.0", b"Expect: a", b"Expect: b")
        self.assertEqual(reader.expectation, b"a, b")

    def test_connection(self) -> None:
        """A request knows its connection, and when it came."""
        client, server = Address(b"192.0.2.1", 1), Address(b"192.0.2.2", 443)
        reader = RequestReader(Limits(), client, server, True)
        reader.receive(b"GET / HTTP/1.0\r\n\r\n")
        request = reader.next(12.5)
        assert request is not None
        self.assertEqual((request.client, request.server), (client, server))
        self.assertTrue(request.secure)
        self.assertEqual(request.receivedAt, 12.5)

    def test_lineRead(self) -> None:
        """An incomplete head says whether it has its request line."""
        reader = RequestReader(Limits())
        for data, there in ((b"GET / HTTP/1.0\r", False), (b"\nA: ", True), (b"b\r\n\r\n", False)):
            reader.receive(data)
            reader.next(0.0)
            self.assertEqual(reader.lineRead, there)


class RepeatedFieldsTests(SynchronousTestCase):
    """Fields that are those of the request before are not read again."""

    def setUp(self) -> None:
        self.reader = RequestReader(Limits(line=20))

    def next(self, data: bytes) -> Request:
        self.reader.receive(data)
        request = self.reader.next(0.0)
        assert request is not None
        return request

    def test_same(self) -> None:
        """Requests with the same bytes behind their lines share headers; all else is their own."""
        fields = HOST + b"Connection: keep-alive\r\nExpect: x\r\nContent-Length: 5\r\n\r\n"
        first = self.next(b"GET /1 HTTP/1.1\r\n" + fields)
        second = self.next(b"PUT /2 HTTP/1.1\r\n" + fields + b"more")
        self.assertIs(first.headers, second.headers)
        self.assertEqual((second.method, second.target), (b"PUT", b"/2"))
        self.assertEqual(second.line, b"PUT /2 HTTP/1.1")
        self.assertEqual(second.contentLength, 5)
        reader = self.reader
        self.assertEqual(
            (reader.persistent, reader.keepAlive, reader.expectation), (True, True, b"x")
        )
        self.assertEqual(reader.rest(), b"more")

    def test_longer(self) -> None:
        """Fields that only begin as those before are read."""
        self.next(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        request = self.next(b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n\r\n")
        self.assertEqual(len(request.headers), 2)
        request = self.next(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        self.assertEqual(len(request.headers), 1)

    def test_version(self) -> None:
        """The same fields mean another thing in another version."""
        self.next(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        self.assertTrue(self.reader.persistent)
        self.next(b"GET / HTTP/1.0\r\n" + HOST + b"\r\n")
        self.assertFalse(self.reader.persistent)
        self.next(b"GET / HTTP/1.0\r\n\r\n")
        self.reader.receive(b"GET / HTTP/1.1\r\n\r\n")
        self.assertRaises(BadRequest, self.reader.next, 0.0)

    def test_lineLimit(self) -> None:
        """The request line is limited before repeated fields, too."""
        self.next(b"GET / HTTP/1.0\r\n\r\n")
        self.reader.receive(b"GET /1234567890 HTTP/1.0\r\n\r\n")
        error = self.assertRaises(BadRequest, self.reader.next, 0.0)
        self.assertEqual(error.status, 414)

    def test_blankLines(self) -> None:
        """Empty lines are counted before each request anew."""
        for _ in range(2):
            self.next(b"GET / HTTP/1.0\r\n\r\n")
            self.reader.receive(b"\r\n" * BLANK_LINES)
            self.assertIsNone(self.reader.next(0.0))

    def test_forgotten(self) -> None:
        """What was forgotten is read anew, to the same effect."""
        data = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
        first = self.next(data)
        self.reader.forget()
        second = self.next(data)
        self.assertIsNot(first.headers, second.headers)
        self.assertEqual(first.headers, second.headers)

    def test_knownLine(self) -> None:
        """A line that another client sent is read as it is, within the limits."""
        for limit in (MAX_LINE, 20):
            known = KnownLines()
            for _ in range(2):
                self.reader = RequestReader(Limits(line=limit), known=known)
                for target in (b"/a", b"/b", b"/a"):
                    for protocol in (b"HTTP/1.0", b"HTTP/1.1"):
                        line = b"GET %b %b" % (target, protocol)
                        request = self.next(line + b"\r\n" + HOST + b"\r\n")
                        self.assertEqual(
                            (request.line, request.method, request.target, request.protocol),
                            (line, b"GET", target, protocol),
                        )
            self.assertEqual(len(known.requestLines), 4)

    def test_knownLineUnfinished(self) -> None:
        """A known line alone is not yet a request, whatever came before it."""
        line = b"GET / HTTP/1.1"
        known = KnownLines()
        known.noted((line, b"GET", b"/", b"HTTP/1.1"))
        for first in (line + b"\r\n" + HOST + b"\r\n", b""):
            for end in (b"", b"\r", b"\r\n", b"\r\n\r", b"\r\n" + HOST, b"\n\n"):
                reader = RequestReader(Limits(), known=known)
                if first:
                    reader.receive(first)
                    self.assertIsNotNone(reader.next(0.0))
                reader.receive(line + end)
                if end == b"\n\n":
                    self.assertRaises(BadRequest, reader.next, 0.0)
                else:
                    self.assertIsNone(reader.next(0.0))


#: What heads are made of, and what they must not be made of.
PIECES = (
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b"a", b"\0", b"a: b\r\n", b"Host: a\r\n",
    b"GET / HTTP/1.1", b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"Connection: close\r\n",
)  # fmt: skip


class ManyConnectionsTests(SynchronousTestCase):
    """What connections share, and what each of them holds."""

    def test_nothingIsLeft(self) -> None:
        """Whatever one connection sent, the next one's fields are its own."""
        for fields, status in (
            (b"Bad Name: x\r\n", 400),
            (b"Content-Length: 5\r\n", 0),
            (b"Transfer-Encoding: chunked\r\n", 0),
            (b"Connection: close\r\n", 0),
            (b"Connection: Upgrade\r\nUpgrade: h2c\r\n", 0),
            (b"Proxy-Connection: close\r\n", 0),
            (b"Content-Length: x\r\n", 400),
            (b"Content-Length: 1000000000\r\n" + 100 * b"A: b\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n" + 100 * b"A: b\r\n", 400),
        ):
            head = b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n"
            for cut in (wholly, bytewise):
                self.assertEqual(statusOf(head, cut), status)
                request, _ = read(b"GET / HTTP/1.1\r\nHost: other.test\r\nA: b\r\n\r\n", cut)
                self.assertEqual(request.headers.pairs, [(b"Host", b"other.test"), (b"A", b"b")])

    @given(st.lists(st.sampled_from(PIECES), max_size=20))
    def test_nothingIsLeftOfAnything(self, pieces: list[bytes]) -> None:
        """The same holds whatever was nearly a request, and refused or not."""
        statusOf(b"".join(pieces), limits=Limits(fields=2))
        request, _ = read(b"GET / HTTP/1.1\r\nHost: other.test\r\nA: b\r\n\r\n")
        self.assertEqual(request.headers.pairs, [(b"Host", b"other.test"), (b"A", b"b")])

    def test_restsLightly(self) -> None:
        """A connection that rests holds nothing of the head that it sent last."""
        known = KnownLines()
        readers = [RequestReader(Limits(), known=known) for _ in range(100)]
        head = (
            b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"N%d: v\r\n" % n for n in range(50)) + b"\r\n"
        )

        def serve() -> None:
            for reader in readers:
                reader.receive(bytes(bytearray(head)))
                self.assertIsNotNone(reader.next(0.0))
                reader.forget()

        serve()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        serve()
        self.assertLess(tracemalloc.get_traced_memory()[0], 5000)


class SplitTests(SynchronousTestCase):
    """How the network cuts bytes into pieces means nothing."""

    STREAM = b"".join(
        (
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\n\r\nHEAD /2 HTTP/1.0\r\n\r\n",
            b"FOO ?3 HTTP/1.1\r\nHost: a\r\nX: y \r\nConnection: upgrade\r\nUpgrade: z\r\n\r\n",
            b"DELETE /4 HTTP/1.1\r\nhost: b\r\nContent-Length: 0\r\n\r\n",
            b"GET /5 HTTP/1.1\r\nHost: a\r\n\r\nGET /6 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /8",
        )
    )

    def heads(self, cuts: Iterable[int]) -> list[object]:
        reader = RequestReader(Limits())
        places = [0, *sorted(cuts), len(self.STREAM)]
        found: list[object] = []
        for start, end in pairwise(places):
            reader.receive(self.STREAM[start:end])
            while (request := reader.next(0.0)) is not None:
                found.append((request.line, request.headers.pairs, reader.persistent))
        found.append(reader.rest())
        return found

    @given(st.sets(st.integers(0, len(STREAM)), max_size=12))
    def test_anySplit(self, cuts: set[int]) -> None:
        """Any split of pipelined requests gives the same requests and the same rest."""
        self.assertEqual(self.heads(cuts), self.heads(()))

    def test_all(self) -> None:
        """Each of them is there."""
        self.assertEqual(len(self.heads(())), 8)
        self.assertEqual(self.heads(range(len(self.STREAM))), self.heads(()))
        self.assertEqual(self.heads(())[-1], b"GET /8")

    @given(st.binary(max_size=200))
    def test_anything(self, data: bytes) -> None:
        """Any bytes are requests, the beginning of one, or a refusal; never another error."""
        for before in (b"", b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.0\r\nA: "):
            self.assertEqual(statusOf(before + data), statusOf(before + data, bytewise))

    @given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8), max_size=5))
    def test_known(self, parts: list[list[bytes]]) -> None:
        """What others sent before, and how it is cut, means nothing."""
        known = KnownLines()
        for before in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            stream = [before, before, *map(b"".join, parts)]
            self.assertEqual(
                outcome(stream, RequestReader(Limits(), known=known)),
                outcome([b"".join(stream)], RequestReader(Limits())),
            )

    @given(st.lists(st.sampled_from(PIECES), max_size=20))
    def test_nearlyRight(self, pieces: list[bytes]) -> None:
        """The same holds for bytes that are nearly requests."""
        data = b"".join(pieces)
        self.assertEqual(statusOf(data), statusOf(data, bytewise))

    def test_readPartsAreDropped(self) -> None:
        """What was read is not held, even if something has been waiting all the time."""
        reader = RequestReader(Limits())
        head = b"GET / HTTP/1.0\r\n\r\n"
        reader.receive(head[:5])
        for _ in range(5):
            reader.receive(head[5:] + head[:5])
            request = reader.next(0.0)
            assert request is not None
            self.assertIs(type(request.target), bytes)
            self.assertEqual(len(reader), 5)
            self.assertLess(len(reader.buffer), 2 * len(head))

    def test_heads(self) -> None:
        """The number of waiting heads can be asked without reading them."""
        reader = RequestReader(Limits())
        self.assertEqual(reader.heads(), 0)
        reader.receive(b"GET / HTTP/1.0\r\n\r\n" * 3 + b"GET")
        self.assertEqual(reader.heads(), 3)
        reader.next(0.0)
        self.assertEqual(reader.heads(), 2)
        self.assertEqual(len(reader), 2 * 18 + 3)
