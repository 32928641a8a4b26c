"""
HTTP/1 request heads from bytes, without I/O.

Strategy: httpd's request line and llhttp's everything else.  llhttp refuses
methods, targets and versions that httpd serves (``FOO``, ``?x``, ``HTTP/1.2``),
so an expression reads the line, and llhttp is given the fields behind a
line of our own.  It never sees more than one head: a head ends at the first
empty line, so what follows can't be taken for a part of it.  All connections have one
llhttp between them, for as long as it says itself that nothing is left of a head.

A client repeats its fields from request to request, and the same bytes mean the
same: behind a new request line they are compared with those of the head before, and
read only where they differ.  So requests of one connection may share their headers.
The lines that any client sent lately are remembered (:mod:`~twisted_fcgi.web.knownlines`).

Stricter than httpd (RFC 9112, 5.2, 6.1, 6.3; CVE-2023-25690 and its kin): no folded
fields, no Transfer-Encoding but ``chunked``, none in HTTP/1.0 and none beside
Content-Length, no HTTP/0.9.  Whatever raises here leaves the place in the
connection unknown; it has to be closed.

Everything is bounded: lines and fields by :class:`~twisted_fcgi.settings.Limits`,
the whole head by :data:`HEAD_LIMIT`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request
from twisted_fcgi.settings import Limits
from twisted_fcgi.web.knownlines import MAX_LINE, Field, KnownLines, RequestLine

__all__ = ["BLANK_LINES", "HEAD_LIMIT", "RequestReader", "findEmptyLine"]

#: Bytes of a whole request head.  httpd has no such limit but fields times fieldSize.
HEAD_LIMIT = 1024 * 1024

#: Empty lines before a request line (httpd: DEFAULT_LIMIT_BLANK_LINES).
BLANK_LINES = 10

# httpd's strict grammar: a token, a target of visible or non-ASCII bytes, a version.
_requestLine = re.compile(
    rb"(([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) (HTTP/[1-9]\.[0-9]))\r\n"
).match

#: The end of a head or of a chunked body; for long ones twice as fast as ``bytes.find``.
findEmptyLine = re.compile(rb"\r\n\r\n").search

_NONE = Headers()


class RequestReader:
    """
    Reads the request heads of one connection.

    After :meth:`next` gave a request, the other attributes are about it.

    :param known: lines within these limits, of all who read with them.
    :ivar buffer: what came and was not read; empty when nothing waits, else there may
        be something before what waits.
    :ivar current: whether the client speaks HTTP/1.1 or later.
    :ivar persistent: whether the client lets the connection go on.
    :ivar keepAlive: whether it asked for that with ``Connection: keep-alive``.
    :ivar expectation: the Expect field in lower case, or ``None``.
    :ivar lineRead: whether a head that is not whole has its request line.
    """

    __slots__ = (
        "_at",
        "_blank",
        "_client",
        "_fieldLimit",
        "_fields",
        "_fieldsLimit",
        "_headers",
        "_known",
        "_length",
        "_lineLimit",
        "_own",
        "_protocol",
        "_searched",
        "_secure",
        "_server",
        "buffer",
        "current",
        "expectation",
        "keepAlive",
        "lineRead",
        "persistent",
    )

    def __init__(
        self,
        limits: Limits,
        client: Address = Address(b"", 0),
        server: Address = Address(b"", 0),
        secure: bool = False,
        known: KnownLines | None = None,
    ) -> None:
        # httpd serves one byte more than LimitRequestLine and LimitRequestFieldSize say.
        self._lineLimit = limits.line + 1
        self._fieldLimit = limits.fieldSize + 1
        self._fieldsLimit = limits.fields
        self._client = client
        self._server = server
        self._secure = secure
        self._known: KnownLines = KnownLines() if known is None else known
        self.buffer: bytes | bytearray = b""
        self._at = 0
        self._searched = 0
        self._blank = 0
        # The head that was read last, from the end of its request line; no protocol, no head.
        self._protocol = b""
        self._fields: bytes = b""
        self._headers: Headers = _NONE
        self._length: int | None = 0
        # Fields that no other client's are compared with.
        self._own: dict[bytes, Field] = {}
        self.current = True
        self.persistent = False
        self.keepAlive = False
        self.expectation: bytes | None = None
        self.lineRead = False

    def __len__(self) -> int:
        """How many bytes wait."""
        return len(self.buffer) - self._at

    def receive(self, data: bytes) -> None:
        """Take what came from the client."""
        waiting = self.buffer
        if not waiting:
            self.buffer = data
            return
        if not isinstance(waiting, bytearray):
            # Only now that a head came in parts: appending to it must cost its length
            # once, not with each byte of a client that sends single ones.
            waiting = self.buffer = bytearray(waiting)
        del waiting[: self._at]
        waiting += data
        self._searched = max(0, self._searched - self._at)
        self._at = 0

    def rest(self) -> bytes:
        """Take what waits, unread."""
        data = bytes(self.buffer[self._at :])
        self.buffer = b""
        self._at = self._searched = 0
        return data

    def heads(self) -> int:
        """At most how many whole heads wait."""
        return self.buffer.count(b"\r\n\r\n", self._at)

    def forget(self) -> None:
        """Keep nothing of the head that was read last; for a connection that rests."""
        self._protocol = self._fields = b""
        self._headers = _NONE
        self._own.clear()

    def next(self, now: float) -> Request | None:
        """
        The next request, when its head is whole.

        :param now: becomes its ``receivedAt``.
        :raises BadRequest: there will never be one.
        """
        data = self.buffer
        if not data:
            return None
        parts = self._repeated(data) if isinstance(data, bytes) else None
        if parts is None:
            parts = self._read()
            if parts is None:
                return None
        line, method, target, protocol = parts
        return Request(
            method,
            target,
            self._headers,
            protocol,
            line,
            self._client,
            self._server,
            self._secure,
            self._length,
            now,
        )

    def _repeated(self, data: bytes) -> RequestLine | None:
        """
        Take a head that is all there is, has a known line, and the fields of the one before.

        :returns: its request line; ``None`` for any other head, which may be as good.
        """
        start: int = self._at
        end: int = len(data) - len(self._fields)
        if not start < end <= start + MAX_LINE or not data.endswith(self._fields):
            return None
        line = self._known.requestLines.get(data[start:end])
        # What is known ends with its protocol, so nothing but the fields is behind it.
        if line is None or line[3] != self._protocol:
            return None
        self.buffer = b""
        self._at = self._blank = self._searched = 0
        return line

    def _read(self) -> RequestLine | None:
        """
        Take the next head.

        :returns: its request line, ``None`` when it is not whole.
        """
        data = self.buffer
        line = None if self._searched else self._lineAt(self._at)
        if (
            line is None
            or line[3] != self._protocol
            or not data.startswith(self._fields, self._at + len(line[0]))
        ):
            line = self._readHead(line)
            if line is None:
                return None
        self._blank = self._searched = 0
        end = self._at + len(line[0]) + len(self._fields)
        if end == len(data):
            self.buffer = b""
            end = 0
        self._at = end
        return line

    def _readHead(self, line: RequestLine | None) -> RequestLine | None:
        """
        Read a head whose fields are not those of the one before.

        :param line: its request line, if that was found already.
        :returns: its request line, ``None`` when it is not whole.
        """
        data = self.buffer
        while data.startswith(b"\r\n", self._at):
            self._at += 2
            self._blank += 1
            if self._blank > BLANK_LINES:
                raise BadRequest("too many empty lines before a request")
        start = self._at
        if start == len(data):
            self.buffer = b""
            self._at = self._searched = 0
            return None
        emptyLine = findEmptyLine(data, max(start, self._searched - 3))
        if emptyLine is None:
            self._checkPart()
            self._searched = len(data)
            return None
        if line is None:
            line = self._wholeLine(start)
        fields = bytes(data[start + len(line[0]) : emptyLine.end()])
        found = self._known.read(fields, self._fieldLimit, self._fieldsLimit, self._own)
        pairs: list[tuple[bytes, bytes]] = []
        index: dict[bytes, list[bytes]] = {}
        for pair, name in found:
            pairs.append(pair)
            if name in index:
                index[name].append(pair[1])
            else:
                index[name] = [pair[1]]
        protocol = line[3]
        self.current = protocol != b"HTTP/1.0"
        self._length = self._lengthOf(index)
        self._judge(protocol, index)
        self._headers = Headers.indexed(pairs, index)
        self._fields = fields
        self._protocol = protocol
        self.lineRead = False
        return line

    def _lineAt(self, start: int) -> RequestLine | None:
        """
        :returns: the request line that begins there, if there is one.
        """
        data = self.buffer
        end = data.find(b"\r\n", start, start + MAX_LINE + 2)
        if end >= 0:
            known = self._known.requestLines.get(bytes(data[start:end]))
            if known is not None:
                return known
        match = _requestLine(data, start)
        if match is None:
            return None
        line, method, target, protocol = match.groups()
        if len(line) > self._lineLimit:
            raise BadRequest("the request line exceeds LimitRequestLine", 414)
        return self._known.noted((line, method, target, protocol))

    def _wholeLine(self, start: int) -> RequestLine:
        """
        :param start: of a request line that is whole.
        """
        line = self._lineAt(start)
        if line is not None:
            return line
        data = self.buffer
        end = data.find(b"\r", start)
        if data[end + 1] != 10:
            raise BadRequest("a CR without LF in the request line")
        if end - start > self._lineLimit:
            raise BadRequest("the request line exceeds LimitRequestLine", 414)
        raise BadRequest("malformed request line")

    def _lengthOf(self, index: dict[bytes, list[bytes]]) -> int | None:
        """
        :returns: the body's length; ``None`` for a chunked one.
        """
        lengths = index.get(b"content-length")
        codings = index.get(b"transfer-encoding")
        if codings is None and lengths is None:
            return 0
        if codings is None:
            assert lengths is not None
            if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 19:
                raise BadRequest("malformed Content-Length")
            return int(lengths[0])
        if lengths is not None:
            raise BadRequest("both Content-Length and Transfer-Encoding")
        if not self.current:
            raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadRequest("Transfer-Encoding is not chunked")
        return None

    def _judge(self, protocol: bytes, index: dict[bytes, list[bytes]]) -> None:
        """Look at the fields that a front has to know."""
        hosts = index.get(b"host")
        if hosts is None:
            # RFC 9112, 3.2; httpd asks 1.2 and later for a host in any place.
            if protocol == b"HTTP/1.1":
                raise BadRequest("no Host field")
        elif len(hosts) != 1:
            raise BadRequest("more than one Host field")
        options = index.get(b"connection")
        if options is None:
            self.persistent = self.current
            self.keepAlive = False
        else:
            self.keepAlive, closes = _connectionOptions(b",".join(options))
            self.persistent = not closes and (self.current or self.keepAlive)
        expected = index.get(b"expect")
        self.expectation = None if expected is None else b", ".join(expected).lower()

    def _checkPart(self) -> None:
        """Refuse a head as soon as it is known to be bad, not when it is whole."""
        data, start = self.buffer, self._at
        at = max(start, data.rfind(b"\n", start, self._searched) + 1)
        while (end := data.find(b"\n", at)) >= 0:
            if data[end - 1 : end] != b"\r":
                raise BadRequest("a line ends without CR")
            if at == start:
                self._wholeLine(start)
                self.lineRead = True
            elif end - 1 - at > self._fieldLimit:
                raise BadRequest("a header field exceeds LimitRequestFieldSize")
            at = end + 1
        if len(data) - start > HEAD_LIMIT:
            raise BadRequest("the request head exceeds a megabyte", 431)
        # The CR may be there already.
        if at == start:
            if len(data) - at > self._lineLimit + 1:
                raise BadRequest("the request line exceeds LimitRequestLine", 414)
        elif len(data) - at > self._fieldLimit + 1:
            raise BadRequest("a header field exceeds LimitRequestFieldSize")


@lru_cache(64)
def _connectionOptions(value: bytes) -> tuple[bool, bool]:
    """Whether a Connection field has ``keep-alive``, and ``close``."""
    options = [option.strip() for option in value.lower().split(b",")]
    return b"keep-alive" in options, b"close" in options
