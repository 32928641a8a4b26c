"""
The head of a CGI response (RFC 3875, section 6).

Strategy: one search finds the end of the head, one expression splits it into
fields; it matches whole lines only, so that as many matches as there are lines
means that each line is a field.  A second look is taken only to say which line
was wrong.  A head that comes in pieces is searched on from where the last
search ended, never again from its beginning.  An application repeats its heads,
so the ones that were read last are remembered, but for those with cookies.

The answer is that of httpd's ``ap_scan_script_header_err_core_ex``, except that
output which is no CGI response is a 502 here, where httpd guesses; that a
``Location`` alone is a redirect (RFC 3875, 6.2.3); and that one valid
``Content-Length`` is kept, for the gateway to enforce.

Limits: the whole head is at most ``limit`` bytes; that bounds its fields too.
"""

from __future__ import annotations

import re

from twisted_fcgi.errors import BrokenResponse
from twisted_fcgi.headers import FRAMING_FIELDS, SUCCESS_FIELDS, Headers
from twisted_fcgi.http import DROPS_CONNECTION, REASONS
from twisted_fcgi.message import ResponseHead, Source

__all__ = ["MAX_HEAD", "MAX_HEADS", "ResponseParser", "fieldsForError"]

#: Heads that are remembered, and how long one may be.
MAX_HEADS = 256
MAX_HEAD = 2048

# Either line end, also mixed: scripts print their own LF after a library's CRLF.
_END = re.compile(rb"\n\r?\n").search

# A token, a colon, no control character but tab (RFC 9110, 5.5; so no bare CR and no
# NUL).  The value begins with a visible byte, else blanks could be shared out between
# the two repetitions in a quadratic number of ways.
_FIELD = rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~\x80-\xff][\t -~\x80-\xff]*)?)\r?\n"
_fields = re.compile(_FIELD, re.MULTILINE).findall
_isField = re.compile(_FIELD).fullmatch

# PHP with cgi.rfc2616_headers sends this in place of Status.
_statusLine = re.compile(rb"HTTP/\d\.\d ([\t -~\x80-\xff]*)\r?\n").match
# Interim statuses are the server's own: httpd garbles the stream with 100 and 103.
_status = re.compile(rb"([2-9]\d\d)(?!\d)(?:[ \t](.*))?").match
_isControl = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_length = re.compile(rb"\d{1,18}").fullmatch


def fieldsForError(head: ResponseHead) -> Headers:
    """
    Of a script's fields those that also hold for an error page in place of its body
    (httpd: ``err_headers_out``): all but those that describe the body.
    """
    return Headers(pair for pair in head.headers if pair[0].lower() not in SUCCESS_FIELDS)


class ResponseParser:
    """
    Cuts the head off an application's output.

    :ivar head: the :class:`~twisted_fcgi.message.ResponseHead`, once it is complete.
    :ivar known: when it came before, the one that is remembered; not to be changed.
    """

    head: ResponseHead | None = None
    known: ResponseHead | None = None
    _held: bytearray | None = None

    def __init__(self, limit: int = 65536) -> None:
        """
        :param limit: most bytes of a head, the empty line included.
        """
        self._limit = limit

    def receive(self, data: bytes) -> bytes | None:
        """
        Take a part of the output, until the head is complete.

        :returns: ``None`` while the head is incomplete, then the first bytes of the
            body, perhaps none.
        :raises BrokenResponse: this is no CGI response, or its head is too large.
        """
        held = self._held
        if held is None:
            end, size = _END(data), len(data)
        else:
            searched = max(len(held) - 2, 0)
            held += data
            end, size = _END(held, searched), len(held)
        if end is not None:
            start, size = end.span()
        if size > self._limit:
            raise BrokenResponse(
                f"the response head is larger than {self._limit} bytes (maxResponseHead)"
            )
        if end is None:
            if held is None:
                self._held = bytearray(data)
            return None
        if held is not None:
            data = bytes(held)
            self._held = None
        block = data[: start + 1]
        self.known = head = _heads.get(block)
        self.head = (_headOf(block) if head is None else head).copy()
        return data[size:]

    def finish(self) -> None:
        """
        The output ended.

        :raises BrokenResponse: it did so before the head was complete.
        """
        if self.head is None:
            where = "within the response head" if self._held else "before a response head"
            raise BrokenResponse(f"the application's output ended {where}")


_heads: dict[bytes, ResponseHead] = {}


def _headOf(block: bytes) -> ResponseHead:
    """The head that a block is, which was not remembered; not to be changed."""
    head = _readHead(block)
    if len(block) <= MAX_HEAD and b"set-cookie" not in head.headers.names():
        head.headers.lines()  # made for all its copies
        if len(_heads) == MAX_HEADS:
            del _heads[next(iter(_heads))]
        _heads[block] = head
    return head


def _readHead(block: bytes) -> ResponseHead:
    """
    Read a complete head.

    :param block: the lines with their ends, without the empty one.
    :raises BrokenResponse: a line is no header field, or the status is not one that an
        application may send.
    """
    given: bytes | None = None
    if block.startswith(b"HTTP/") and (line := _statusLine(block)):
        given = line[1]
        block = block[line.end() :]
    fields = _fields(block)
    if len(fields) != block.count(b"\n"):
        raise _badLine(block)

    pairs: list[tuple[bytes, bytes]] = []
    index: dict[bytes, list[bytes]] = {}
    repeated = framed = False
    for name, value in fields:
        lower = name.lower()
        if lower == b"status":
            given = value
            continue
        value = value.rstrip()
        if (values := index.get(lower)) is not None:
            values.append(value)
            repeated = True
            continue
        index[lower] = [value]
        if lower in FRAMING_FIELDS:
            framed = True
        else:
            pairs.append((name, value))
    if repeated:
        pairs = _merged(pairs, index)

    status, reason = 200, b"OK"
    if given is not None:
        status, reason = _statusOf(given)
    elif (location := index.get(b"location")) is not None and location[0]:
        status, reason = 302, b"Found"
    head = ResponseHead(status, reason, Headers.indexed(pairs, index))
    head.statusGiven = given is not None
    head.source = Source.APPLICATION
    head.close = status in DROPS_CONNECTION
    if framed:
        _takeFraming(head, index)
    if status == 204 or status == 304:
        head.contentLength = None
        head.headers.remove(b"content-type")
    elif (types := index.get(b"content-type")) is not None:
        _tidyContentType(head.headers, types[0])
    return head


def _statusOf(given: bytes) -> tuple[int, bytes]:
    match = _status(given)
    if match is None:
        raise BrokenResponse(f"the status is no number from 200 to 999: {_excerpt(given)}")
    status = int(match[1])
    # httpd replaces a bare number's phrase, and keeps one that is given, even if empty.
    return status, REASONS.get(status, b"") if match[2] is None else match[2]


def _takeFraming(head: ResponseHead, index: dict[bytes, list[bytes]]) -> None:
    """What the application says about its connection, which is not the client's."""
    lengths = index.pop(b"content-length", None)
    coded = index.pop(b"transfer-encoding", None)
    # Several lengths, or one beside a coding, which would overrule it (RFC 9112, 6.3),
    # are as good as none.
    if lengths is not None and coded is None and len(lengths) == 1 and _length(lengths[0]):
        head.contentLength = int(lengths[0])
    for value in index.pop(b"connection", ()):
        if b"close" in [option.strip() for option in value.lower().split(b",")]:
            head.close = True
    index.pop(b"keep-alive", None)


def _tidyContentType(headers: Headers, value: bytes) -> None:
    """The media type in lower case, its parameters as they are; none for an empty one."""
    kind, semicolon, parameters = value.partition(b";")
    if not value:
        headers.remove(b"content-type")
    elif kind != kind.lower():
        headers.set(b"Content-Type", kind.lower() + semicolon + parameters)


def _merged(
    pairs: list[tuple[bytes, bytes]], index: dict[bytes, list[bytes]]
) -> list[tuple[bytes, bytes]]:
    """One pair for each name, in the case and the place of the first."""
    merged = []
    for name, value in pairs:
        lower = name.lower()
        values = index[lower]
        if lower == b"set-cookie":
            merged += [(name, cookie) for cookie in values]  # can't be joined: RFC 6265, 3
            continue
        if len(values) > 1:
            if lower in SUCCESS_FIELDS:
                value = values[-1]
            else:
                # httpd takes Vary apart and joins it again without blanks (fixup_vary).
                value = (b"," if lower == b"vary" else b", ").join(values)
            index[lower] = [value]
        merged.append((name, value))
    return merged


def _badLine(block: bytes) -> BrokenResponse:
    line = next(line for line in block.split(b"\n") if not _isField(line + b"\n"))
    if line[:1] in (b" ", b"\t"):
        what = "a folded line"  # RFC 3875, 6.3
    elif _isControl(line.rstrip(b"\r")):
        what = "a control character"
    else:
        what = "a line that is no header field"
    return BrokenResponse(f"{what} in the response head: {_excerpt(line)}")


def _excerpt(data: bytes) -> str:
    return ascii(data[:40].decode("latin-1"))
