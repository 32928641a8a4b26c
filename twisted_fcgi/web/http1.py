"""
HTTP/1 requests from bytes, without I/O.

Strategy: httpd's request line and llhttp's everything else.  llhttp refuses
methods, targets and versions that httpd serves (``FOO``, ``?x``, ``HTTP/1.2``),
so :data:`REQUEST_LINE` reads the line, and llhttp is given the fields behind a
line of our own.  It never sees more than one head: a head ends at the first
empty line, so what follows can't be taken for a part of it.  Chunked bodies have
a parser of their own, which ends at the last byte of a body and not behind it.

Stricter than httpd (RFC 9112, 5.2, 6.1, 6.3; CVE-2023-25690 and its kin): no folded
fields, no Transfer-Encoding but ``chunked``, none in HTTP/1.0 and none beside
Content-Length, no HTTP/0.9.  Whatever raises here leaves the place in the
connection unknown; it has to be closed.

Everything is bounded: lines and fields by :class:`~twisted_fcgi.settings.Limits`,
the whole head by :data:`HEAD_LIMIT`, what is not data in a chunked body by
:data:`CHUNK_OVERHEAD`.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.message import Address, Headers, Request
from twisted_fcgi.settings import Limits

__all__ = ["CHUNK_OVERHEAD", "HEAD_LIMIT", "ChunkedDecoder", "LengthDecoder", "RequestReader"]

#: Bytes of a whole request head.  httpd has no such limit but fields times fieldSize.
HEAD_LIMIT = 1024 * 1024

#: Bytes of chunk sizes, extensions and trailers beyond 16 for each byte of data
#: (Go has the same rule since CVE-2023-39326).
CHUNK_OVERHEAD = 16 * 1024

#: Empty lines before a request line (httpd: DEFAULT_LIMIT_BLANK_LINES).
BLANK_LINES = 10

#: httpd's strict grammar: a token, a target of visible or non-ASCII bytes, a version.
REQUEST_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) (HTTP/([1-9])\.([0-9]))"
)

# What llhttp is told in place of the client's request line.
_STAND_IN = b"GET / HTTP/1.1\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class RequestReader:
    """
    Reads the request heads of one connection.

    After :meth:`next` gave a request, the other attributes are about it.

    :ivar current: whether the client speaks HTTP/1.1 or later.
    :ivar persistent: whether the client lets the connection go on.
    :ivar keepAlive: whether it asked for that with ``Connection: keep-alive``.
    :ivar expectation: the Expect field in lower case, or ``None``.
    :ivar begun: whether a part of a head is waiting for the rest.
    :ivar lineRead: whether this part has a whole request line.
    """

    __slots__ = (
        "_at",
        "_blank",
        "_client",
        "_data",
        "_fieldLimit",
        "_fieldsLimit",
        "_index",
        "_lineLimit",
        "_pairs",
        "_parser",
        "_searched",
        "_secure",
        "_server",
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
    ) -> None:
        # httpd serves one byte more than LimitRequestLine and LimitRequestFieldSize say.
        self._lineLimit = limits.line + 1
        self._fieldLimit = limits.fieldSize + 1
        self._fieldsLimit = limits.fields
        self._client = client
        self._server = server
        self._secure = secure
        self._data: bytes | bytearray = b""
        self._at = 0
        self._searched = 0
        self._blank = 0
        self._parser: HttpRequestParser | None = None
        self.current = True
        self.persistent = False
        self.keepAlive = False
        self.expectation: bytes | None = None
        self.lineRead = False

    def __len__(self) -> int:
        """How many bytes wait."""
        return len(self._data) - self._at

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools calls this for each field."""
        self._pairs.append((name, value))
        name = name.lower()
        if name in self._index:
            self._index[name].append(value)
        else:
            self._index[name] = [value]

    def receive(self, data: bytes) -> None:
        """Take what came from the client."""
        waiting = self._data
        if self._at == len(waiting):
            self._data = data
            self._at = self._searched = 0
        elif isinstance(waiting, bytearray):
            waiting += data
        else:
            # Only now that a head came in parts: appending to it must cost its length
            # once, not with each byte of a client that sends single ones.
            self._data = bytearray(waiting[self._at :])
            self._data += data
            self._searched -= self._at
            self._at = 0

    def rest(self) -> bytes:
        """Take what waits, unread."""
        data, at = self._data, self._at
        self._data = b""
        self._at = self._searched = 0
        return bytes(data[at:]) if at or isinstance(data, bytearray) else data

    def heads(self) -> int:
        """At most how many whole heads wait."""
        return self._data.count(b"\r\n\r\n", self._at)

    def next(self, now: float) -> Request | None:
        """
        The next request, when its head is whole.

        :param now: becomes its ``receivedAt``.
        :raises BadRequest: there will never be one.
        """
        data = self._data
        while data.startswith(b"\r\n", self._at):
            self._at += 2
            self._blank += 1
            if self._blank > BLANK_LINES:
                raise BadRequest("too many empty lines before a request")
        start = self._at
        if start == len(data):
            return None
        end = data.find(b"\r\n\r\n", max(start, self._searched - 3))
        if end < 0:
            self._checkPart()
            self._searched = len(data)
            return None
        lineEnd = data.find(b"\r\n", start, end + 2)
        method, target, protocol, line = self._readLine(data[start:lineEnd])
        if end - lineEnd > self._fieldLimit:
            self._checkFields(lineEnd + 2, end)
        headers = self._readFields(bytes(data[lineEnd + 2 : end + 4]))
        request = Request(
            method,
            target,
            headers,
            protocol=protocol,
            line=line,
            client=self._client,
            server=self._server,
            secure=self._secure,
            contentLength=self._judgeFraming(),
            receivedAt=now,
        )
        self._judgeFields(protocol)
        self._at = self._searched = end + 4
        self._blank = 0
        self.lineRead = False
        if isinstance(data, bytearray):
            self._data = self.rest()
        return request

    def _readLine(self, line: bytes | bytearray) -> tuple[bytes, bytes, bytes, bytes]:
        """
        :returns: method, target, protocol and the whole line.
        """
        if len(line) > self._lineLimit:
            raise BadRequest("the request line exceeds LimitRequestLine", 414)
        line = bytes(line)
        match = REQUEST_LINE.fullmatch(line)
        if match is None:
            raise BadRequest("malformed request line")
        method, target, protocol, major, minor = match.groups()
        self.current = major != b"1" or minor != b"0"
        return method, target, protocol, line

    def _readFields(self, fields: bytes) -> Headers:
        parser = self._parser
        if parser is None:
            parser = self._parser = HttpRequestParser(self)
            # Or it would read nothing behind a head with "Connection: close", or a
            # "Proxy-Connection: close" that means nothing to us.
            parser.set_dangerous_leniencies(lenient_keep_alive=True)
        self._pairs: list[tuple[bytes, bytes]] = []
        self._index: dict[bytes, list[bytes]] = {}
        try:
            parser.feed_data(_STAND_IN + fields)
        except HttpParserUpgrade:
            # The client would like another protocol; it gets the one it speaks.
            pass
        except HttpParserError as error:
            raise BadRequest(f"malformed header field: {error}") from None
        pairs = self._pairs
        if len(pairs) != fields.count(b"\r\n") - 1:
            raise BadRequest("malformed header fields")
        if len(pairs) > self._fieldsLimit > 0:
            raise BadRequest("more header fields than LimitRequestFields")
        if b" \r\n" in fields or b"\t\r\n" in fields:
            pairs = [(name, value.rstrip(b" \t")) for name, value in pairs]
            return Headers.indexed(pairs, self._stripIndex())
        return Headers.indexed(pairs, self._index)

    def _stripIndex(self) -> dict[bytes, list[bytes]]:
        self._index = {
            name: [value.rstrip(b" \t") for value in values]
            for name, values in self._index.items()
        }
        return self._index

    def _judgeFraming(self) -> int | None:
        """
        :returns: the body's length; ``None`` for a chunked one.
        """
        index = self._index
        lengths = index.get(b"content-length")
        codings = index.get(b"transfer-encoding")
        if codings is None and lengths is None:
            return 0
        # llhttp now waits for a body that it will not get.
        self._parser = None
        if codings is not None:
            if lengths is not None:
                raise BadRequest("both Content-Length and Transfer-Encoding")
            if not self.current:
                raise BadRequest("Transfer-Encoding in an HTTP/1.0 request")
            if len(codings) != 1 or codings[0].lower() != b"chunked":
                raise BadRequest("Transfer-Encoding is not chunked")
            return None
        if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 19:
            raise BadRequest("malformed Content-Length")
        return int(lengths[0])

    def _judgeFields(self, protocol: bytes) -> None:
        index = self._index
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
            tokens = [token.strip() for token in b",".join(options).lower().split(b",")]
            self.keepAlive = b"keep-alive" in tokens
            self.persistent = b"close" not in tokens and (self.current or self.keepAlive)
        expected = index.get(b"expect")
        self.expectation = None if expected is None else b", ".join(expected).lower()

    def _checkPart(self) -> None:
        """Refuse a head as soon as it is known to be bad, not when it is whole."""
        data, start = self._data, self._at
        at = max(start, data.rfind(b"\n", start, self._searched) + 1)
        while (end := data.find(b"\n", at)) >= 0:
            if data[end - 1 : end] != b"\r":
                raise BadRequest("a line ends without CR")
            if at == start:
                self._readLine(data[start : end - 1])
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

    def _checkFields(self, start: int, end: int) -> None:
        if any(len(field) > self._fieldLimit for field in self._data[start:end].split(b"\r\n")):
            raise BadRequest("a header field exceeds LimitRequestFieldSize")


class LengthDecoder:
    """
    A body of a known length.

    :ivar remaining: the bytes that are still to come.
    """

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining: int | None = length

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        :returns: a part of the body; what came behind its end, ``None`` before it.
        """
        remaining = self.remaining
        size = len(data)
        if size < remaining:
            self.remaining = remaining - size
            return data, None
        self.remaining = 0
        if size == remaining:
            return data, b""
        return data[:remaining], data[remaining:]


class ChunkedDecoder:
    """
    A chunked body.  Extensions and trailers are checked and dropped.

    :ivar remaining: ``None``: nobody knows.
    """

    __slots__ = ("_complete", "_overhead", "_parser", "_parts", "_tail")

    remaining: int | None = None

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._complete = False
        self._overhead = 0
        self._tail = b""
        # No on_header: then httptools keeps nothing of the trailers.
        self._parser = HttpRequestParser(self)
        # "5 \r\n" is what old servers send; httpd takes it.
        self._parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
        self._parser.feed_data(_CHUNKED)

    def on_body(self, data: bytes) -> None:
        """httptools calls this for each part of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """httptools calls this at the end of the body."""
        self._complete = True

    def decode(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        :returns: a part of the body; what came behind its end, ``None`` before it.
        :raises BadRequest: the framing is wrong.
        """
        # httptools does not say where a message ended.  It can only be at an empty
        # line, so llhttp is never given a byte behind one before it was asked.
        feed = self._parser.feed_data
        window = self._tail + data
        behind = len(self._tail)
        at = 0
        try:
            while at < len(data):
                found = window.find(b"\r\n\r\n", max(0, at + behind - 3))
                end = len(data) if found < 0 else found + 4 - behind
                feed(data if end - at == len(data) else data[at:end])
                at = end
                if self._complete:
                    break
        except HttpParserError as error:
            status = 413 if "overflow" in str(error) else 400
            raise BadRequest(f"malformed chunked body: {error}", status) from None
        self._tail = window[-3:]
        parts = self._parts
        piece = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._overhead = max(0, self._overhead + at - 17 * len(piece))
        if self._overhead > CHUNK_OVERHEAD:
            raise BadRequest("a chunked body with too much between its data")
        return piece, data[at:] if self._complete else None
