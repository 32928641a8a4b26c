"""Tests for :mod:`twisted_fcgi.cgi.response`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.cgi import response
from twisted_fcgi.cgi.response import MAX_HEAD, MAX_HEADS, ResponseParser
from twisted_fcgi.errors import BrokenResponse
from twisted_fcgi.message import ResponseHead

TYPE = b"Content-Type: text/plain\r\n"


def parse(output: bytes, size: int = 65536, limit: int = 65536) -> tuple[ResponseHead, bytes]:
    """An output that ends, read in pieces of ``size`` bytes: its head and its body."""
    parser = ResponseParser(limit)
    body = None
    for start in range(0, len(output), size):
        piece = output[start : start + size]
        if body is None:
            body = parser.receive(piece)
        else:
            body += piece
    parser.finish()
    assert parser.head is not None and body is not None
    return parser.head, body


def headOf(lines: bytes) -> ResponseHead:
    """The head that these lines make."""
    return parse(lines + b"\r\n")[0]


def fieldsOf(lines: bytes) -> list[tuple[bytes, bytes]]:
    """The fields that these lines make, without the Content-Type of the tests."""
    return [pair for pair in headOf(TYPE + lines).headers if pair[0] != b"Content-Type"]


class RememberedHeadsTests(SynchronousTestCase):
    """A head that came before is not read again."""

    def setUp(self) -> None:
        self.patch(response, "_heads", type(response._heads)())

    def test_ownCopy(self) -> None:
        """What is done to one response's head is not seen in the next."""
        lines = b"Status: 404 No\r\nContent-Length: 3\r\n" + TYPE
        first, second = headOf(lines), headOf(lines)
        self.assertEqual(first, second)
        second.headers.set(b"Content-Type", b"a/b")
        second.headers.add(b"X-A", b"b")
        second.status, second.contentLength, second.close = 500, None, True
        self.assertEqual(headOf(lines), first)

    def test_bounded(self) -> None:
        """The oldest of too many heads is forgotten; long ones and cookies are not kept."""
        for number in range(MAX_HEADS + 1):
            headOf(b"X-A: %d\r\n" % number)
        self.assertEqual(len(response._heads), MAX_HEADS)
        self.assertNotIn(b"X-A: 0\r\n", response._heads)
        headOf(b"X-A: " + b"x" * MAX_HEAD + b"\r\n")
        headOf(b"Set-cookie: secret\r\n")
        self.assertIn(b"X-A: 1\r\n", response._heads)

    def test_broken(self) -> None:
        """What is no head is refused each time."""
        for _ in range(2):
            self.assertRaises(BrokenResponse, headOf, b"no field\r\n")


class EndOfHeadTests(SynchronousTestCase):
    """Tests for finding where the head ends."""

    def assertParts(self, output: bytes, body: bytes) -> None:
        """The head has Content-Type and X-A; whole and byte by byte."""
        for size in (len(output), 1):
            head, rest = parse(output, size)
            self.assertEqual(head.headers.pairs, [(b"Content-Type", b"text/plain"), (b"X-A", b"b")])
            self.assertEqual(rest, body)

    def test_crlf(self) -> None:
        """CRLF ends lines and head (RFC 3875, 6.2)."""
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\r\n\r\nbody", b"body")

    def test_lf(self) -> None:
        """LF alone does too (RFC 3875, 6.2: NL)."""
        self.assertParts(b"Content-Type: text/plain\nX-A: b\n\nbody", b"body")

    def test_mixed(self) -> None:
        """Both may be mixed, where httpd makes the whole output a body."""
        self.assertParts(b"Content-Type: text/plain\nX-A: b\r\n\nbody", b"body")
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\n\r\nbody", b"body")

    def test_firstEndCounts(self) -> None:
        """What looks like an end of head in the body, of either form, is body."""
        self.assertParts(b"Content-Type: text/plain\nX-A: b\n\nx\r\n\r\ny", b"x\r\n\r\ny")
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\r\n\r\nx\n\ny", b"x\n\ny")

    def test_bodyBeginsWithLineEnd(self) -> None:
        """Line ends after the head belong to the body."""
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\r\n\r\n\r\nbody", b"\r\nbody")
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\r\n\r\n\nbody", b"\nbody")

    def test_noBody(self) -> None:
        """A head without a body is complete with its empty line."""
        self.assertParts(b"Content-Type: text/plain\r\nX-A: b\r\n\r\n", b"")

    def test_incomplete(self) -> None:
        """Until its end came there is neither head nor body."""
        parser = ResponseParser()
        self.assertIsNone(parser.receive(TYPE + b"\r"))
        self.assertIsNone(parser.head)
        self.assertEqual(parser.receive(b"\nbody"), b"body")
        self.assertIsNotNone(parser.head)

    @given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"A", b":", b" ", b"Status: 20"])))
    def test_pieces(self, parts: list[bytes]) -> None:
        """In whichever pieces an output comes, it is read the same."""
        output = b"".join(parts)
        outcomes: list[object] = []
        for size in (max(len(output), 1), 1, 2, 3):
            try:
                outcomes.append(parse(output, size))
            except BrokenResponse as error:
                outcomes.append(error.reason)
        self.assertEqual(outcomes, outcomes[:1] * 4)


class BrokenTests(SynchronousTestCase):
    """Tests for output that is no CGI response."""

    def assertBroken(self, output: bytes, reason: str, limit: int = 65536) -> None:
        """It is a 502 that the application has to mend, whole and byte by byte."""
        for size in (max(len(output), 1), 1):
            error = self.assertRaises(BrokenResponse, parse, output, size, limit)
            self.assertEqual(error.status, 502)
            self.assertIn(reason, error.reason)

    def test_nothing(self) -> None:
        """No output at all is no response (httpd: an empty 200)."""
        self.assertBroken(b"", "ended before a response head")

    def test_cut(self) -> None:
        """An end within the head is no response (httpd: a 200 with the raw bytes)."""
        for output in (b"Content-Type: te", TYPE, b"just text", TYPE[:-2] + b"\r\rbody"):
            self.assertBroken(output, "ended within the response head")

    def test_blankLineFirst(self) -> None:
        """A head needs at least one field (RFC 3875, 6.2)."""
        self.assertBroken(b"\r\n", "ended within the response head")
        self.assertBroken(b"\n" + TYPE + b"\r\nbody", "no header field")

    def test_noField(self) -> None:
        """A line that is no field is named (httpd: 500)."""
        self.assertBroken(TYPE + b"no colon\r\n\r\n", "'no colon\\r'")
        self.assertBroken(b"<html>x: y</html>\n\n", "'<html>x: y</html>'")
        self.assertBroken(TYPE + b": value\r\n\r\n", "no header field")

    def test_badName(self) -> None:
        """A field's name is a token with the colon at its end (RFC 9110, 5.1)."""
        for name in (b"X A", b"X-A ", b"X(A)", b'X"A', b"X\xe9A"):
            self.assertBroken(TYPE + name + b": b\r\n\r\n", "no header field")

    def test_folded(self) -> None:
        """Continuation lines are not CGI (RFC 3875, 6.3; httpd: 500)."""
        self.assertBroken(TYPE + b"X-A: b\r\n c\r\n\r\n", "a folded line")
        self.assertBroken(TYPE + b"X-A: b\r\n\tc: d\r\n\r\n", "a folded line")

    def test_control(self) -> None:
        """No control character passes; httpd ends a line at NUL and drops a bare CR."""
        for control in (b"\0", b"\x01", b"\r", b"\x0b", b"\x1b", b"\x7f"):
            self.assertBroken(TYPE + b"X-A: b" + control + b"c\r\n\r\n", "a control character")
        self.assertBroken(b"\0" + TYPE + b"\r\n", "a control character")
        self.assertBroken(TYPE + b"X\0A: b\r\n\r\n", "a control character")

    def test_status(self) -> None:
        """A final status of three digits is sent, or none (httpd: 500; 1xx garble)."""
        bad = (
            b"100 Continue|101 Switching|103|0|99 Low|1000|20||OK|-200|+200|0404|2 00|HTTP/1.1 404"
        )
        for status in bad.split(b"|"):
            self.assertBroken(b"Status: " + status + b"\r\n\r\n", "the status")

    def test_reasonIsEscaped(self) -> None:
        """An excerpt in a reason is short and can't harm a log."""
        output = b"\x1b[31m\xff" + b"x" * 100 + b"\n\n"
        error = self.assertRaises(BrokenResponse, parse, output)
        self.assertIn("'\\x1b[31m\\xff", error.reason)
        self.assertLess(len(error.reason), 120)

    def test_limit(self) -> None:
        """A head of the limit's size passes, one byte more is refused with the limit's name."""
        head = TYPE + b"X-A: " + b"v" * 61 + b"\r\n\r\n"
        self.assertEqual(len(head), 96)
        for size in (96, 1):
            self.assertEqual(parse(head + b"body", size, limit=96)[1], b"body")
        self.assertBroken(head + b"body", "larger than 95 bytes (maxResponseHead)", limit=95)

    def test_limitOfUnfinishedHead(self) -> None:
        """A head that does not end is refused before more than the limit is held."""
        parser = ResponseParser(100)
        self.assertIsNone(parser.receive(b"x" * 100))
        self.assertRaises(BrokenResponse, parser.receive, b"x")

    def test_blanksOnly(self) -> None:
        """Lines made to be costly for an expression are refused like others."""
        for start in (b"A:", b"HTTP/1.1 ", b""):
            self.assertBroken(start + b" " * 60000 + b"\x01\n\n", "in the response head")


class StatusTests(SynchronousTestCase):
    """Tests for status and reason phrase."""

    def assertStatus(self, lines: bytes, status: int, reason: bytes, given: bool = True) -> None:
        """The head of these lines has this status."""
        head = headOf(lines)
        self.assertEqual((head.status, head.reason, head.statusGiven), (status, reason, given))

    def test_none(self) -> None:
        """Without a Status it is 200 OK, and not the application's word."""
        self.assertStatus(TYPE, 200, b"OK", given=False)

    def test_given(self) -> None:
        """Status and phrase are as given, wherever and however the field is written."""
        self.assertStatus(
            b"Status: 404 Gone fishing: really\r\n" + TYPE, 404, b"Gone fishing: really"
        )
        self.assertStatus(TYPE + b"status:299 Fine\r\n", 299, b"Fine")
        self.assertStatus(b"Status: 600 High\r\n", 600, b"High")
        self.assertStatus(b"Status: 200 caf\xe9\r\n", 200, b"caf\xe9")
        self.assertNotIn(b"status", headOf(b"Status: 200 OK\r\n").headers)

    def test_bareNumber(self) -> None:
        """A bare number gets httpd's phrase, an unknown one none (validate_status_line)."""
        self.assertStatus(b"Status: 404\r\n", 404, b"Not Found")
        self.assertStatus(b"Status: 200OK\r\n", 200, b"OK")
        self.assertStatus(b"Status: 418\r\n", 418, b"")

    def test_blanks(self) -> None:
        """A phrase that is given stays, even an empty one (validate_status_line)."""
        self.assertStatus(b"Status: 404 \r\n", 404, b"")
        self.assertStatus(b"Status: 200  Two\r\n", 200, b" Two")

    def test_twice(self) -> None:
        """The last Status counts, as in httpd."""
        self.assertStatus(b"Status: 404 No\r\nStatus: 201 Yes\r\n", 201, b"Yes")

    def test_statusLine(self) -> None:
        """A status line in front counts as a Status (php: cgi.rfc2616_headers; httpd: 500)."""
        self.assertStatus(b"HTTP/1.1 404 Not there\r\n" + TYPE, 404, b"Not there")
        self.assertStatus(b"HTTP/1.0 200 OK: yes\n" + TYPE, 200, b"OK: yes")
        self.assertStatus(b"HTTP/1.1 404 No\r\nStatus: 403 Never\r\n", 403, b"Never")

    def test_badStatusLine(self) -> None:
        """A status line with no final status in it is refused."""
        for line in (b"HTTP/1.1 100 Continue", b"HTTP/1.1 2xx", b"HTTP/1.1  200", b"HTTP/1 200"):
            self.assertRaises(BrokenResponse, headOf, line + b"\r\n" + TYPE)
        self.assertRaises(BrokenResponse, headOf, TYPE + b"HTTP/1.1 200 OK\r\n")

    def test_location(self) -> None:
        """A Location without a Status is a redirect (RFC 3875, 6.2.3; httpd: 200)."""
        for location in (b"http://other.example/", b"/local?x=1", b"relative"):
            self.assertStatus(b"Location: " + location + b"\r\n" + TYPE, 302, b"Found", given=False)

    def test_locationWithStatus(self) -> None:
        """A Status beside a Location is kept."""
        self.assertStatus(b"Status: 201 Made\r\nLocation: /new\r\n", 201, b"Made")

    def test_emptyLocation(self) -> None:
        """An empty Location leads nowhere: no redirect."""
        self.assertStatus(b"Location:\r\n", 200, b"OK", given=False)


class FieldTests(SynchronousTestCase):
    """Tests for header fields."""

    def test_blanks(self) -> None:
        """Blanks around a value are no part of it (RFC 9110, 5.5)."""
        self.assertEqual(
            fieldsOf(b"A:b\r\nB: \t c \t\r\nC:\r\nD:  \r\nE: f\tg h\r\n"),
            [(b"A", b"b"), (b"B", b"c"), (b"C", b""), (b"D", b""), (b"E", b"f\tg h")],
        )

    def test_bytes(self) -> None:
        """Bytes beyond ASCII, colons and underscores pass as they are."""
        fields = [(b"X_A", b"caf\xe9"), (b"X-B", b"caf\xc3\xa9: x:y")]
        self.assertEqual(fieldsOf(b"X_A: caf\xe9\r\nX-B: caf\xc3\xa9: x:y\r\n"), fields)

    def test_case(self) -> None:
        """Names keep their case, and are found in lower case."""
        headers = headOf(b"x-lower: 1\r\nX-UPPER: 2\r\n").headers
        self.assertEqual(headers.pairs, [(b"x-lower", b"1"), (b"X-UPPER", b"2")])
        self.assertEqual(headers.get(b"x-upper"), b"2")

    def test_repeated(self) -> None:
        """Repeated fields are joined in the first one's place and case (apr_table_merge)."""
        lines = b"X-A: 1\r\nLink: <a>\r\nX-A: 2\r\nx-a: 3\r\nLink: <b>\r\n"
        self.assertEqual(fieldsOf(lines), [(b"X-A", b"1, 2, 3"), (b"Link", b"<a>, <b>")])
        self.assertEqual(headOf(lines).headers.getAll(b"x-a"), [b"1, 2, 3"])

    def test_setCookie(self) -> None:
        """Each Set-Cookie stays a field of its own, equal ones too (RFC 6265, 3)."""
        headers = headOf(b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nSet-Cookie: a=1\r\n").headers
        self.assertEqual([value for _, value in headers], [b"a=1", b"b=2", b"a=1"])
        self.assertEqual(headers.getAll(b"set-cookie"), [b"a=1", b"b=2", b"a=1"])

    def test_vary(self) -> None:
        """Vary is joined without a blank (httpd: fixup_vary)."""
        self.assertEqual(
            fieldsOf(b"Vary: Accept\r\nVary: Cookie\r\n"), [(b"Vary", b"Accept,Cookie")]
        )

    def test_lastWins(self) -> None:
        """Of fields that can be there once the last counts (httpd: apr_table_set)."""
        for name in (b"Location", b"ETag", b"Content-Range", b"Last-Modified"):
            lines = name + b": 1\r\n" + name + b": 2\r\n"
            self.assertEqual(fieldsOf(lines), [(name, b"2")])
        self.assertEqual(
            headOf(b"Content-Type: text/html\r\nContent-Type: text/css\r\n").headers.pairs,
            [(b"Content-Type", b"text/css")],
        )

    def test_contentTypeCase(self) -> None:
        """The media type is sent in lower case, its parameters as given (httpd)."""
        headers = headOf(b'content-type: TEXT/HTML; Charset=UTF-8; Q="A B"\r\n').headers
        self.assertEqual(headers.get(b"content-type"), b'text/html; Charset=UTF-8; Q="A B"')

    def test_emptyContentType(self) -> None:
        """An empty Content-Type is none (httpd)."""
        self.assertNotIn(b"content-type", headOf(b"Content-Type:\r\nX-A: b\r\n").headers)

    def test_withoutContent(self) -> None:
        """With 204 and 304 go what describes a body (httpd: AP_STATUS_IS_HEADER_ONLY)."""
        for status in (b"204", b"304"):
            head = headOf(b"Status: " + status + b"\r\nX-A: b\r\nContent-Length: 5\r\n" + TYPE)
            self.assertEqual(head.headers.pairs, [(b"X-A", b"b")])
            self.assertIsNone(head.contentLength)


class FramingTests(SynchronousTestCase):
    """Tests for fields that are about the application's connection."""

    def test_length(self) -> None:
        """A valid Content-Length is the body's length and no field (httpd ignores it)."""
        head = headOf(TYPE + b"Content-Length: 4\r\n")
        self.assertEqual(head.contentLength, 4)
        self.assertNotIn(b"content-length", head.headers)
        self.assertEqual(headOf(b"Content-Length: 0\r\n").contentLength, 0)

    def test_badLength(self) -> None:
        """Anything but one decimal number is no length."""
        bad = b"abc|-1|+1|1_0|1, 1|0x10||9999999999999999999"
        twice = [b"4\r\nContent-Length: 5", b"4\r\nContent-Length: 4"]
        for lines in bad.split(b"|") + twice:
            head = headOf(b"Content-Length: " + lines + b"\r\n")
            self.assertIsNone(head.contentLength)
            self.assertNotIn(b"content-length", head.headers)

    def test_transferEncoding(self) -> None:
        """Transfer-Encoding is dropped, and a Content-Length beside it (RFC 9112, 6.3)."""
        for coding in (b"chunked", b"identity", b"gzip"):
            head = headOf(TYPE + b"Content-Length: 4\r\nTransfer-Encoding: " + coding + b"\r\n")
            self.assertEqual(head.headers.pairs, [(b"Content-Type", b"text/plain")])
            self.assertIsNone(head.contentLength)

    def test_connectionClose(self) -> None:
        """Connection: close is honoured, as in httpd; the field itself is the front's."""
        for value in (b"close", b"Close", b"x, close", b"x\r\nConnection: close"):
            head = headOf(b"Connection: " + value + b"\r\n")
            self.assertTrue(head.close)
            self.assertEqual(head.headers.pairs, [])

    def test_connectionOptions(self) -> None:
        """Other options change nothing; what they name is kept (httpd)."""
        lines = b"Connection: X-A, keep-alive, closed\r\nKeep-Alive: timeout=9\r\nX-A: 1\r\n"
        self.assertFalse(headOf(lines).close)
        self.assertEqual(fieldsOf(lines), [(b"X-A", b"1")])

    def test_hopByHop(self) -> None:
        """Upgrade, TE, Trailer and the Proxy- fields pass (httpd)."""
        names = (b"Upgrade", b"TE", b"Trailer", b"Proxy-Authenticate", b"Proxy-Connection")
        lines = b"".join(name + b": x\r\n" for name in names)
        self.assertEqual(fieldsOf(lines), [(name, b"x") for name in names])

    def test_closingStatus(self) -> None:
        """Some statuses end the client's connection (httpd: ap_status_drops_connection)."""
        closing = [s for s in range(200, 600) if headOf(b"Status: %d\r\n" % s).close]
        self.assertEqual(closing, [400, 408, 411, 413, 414, 500, 501, 503])
