"""
Lines of request heads: read once, and remembered.

Strategy: clients repeat each other's lines.  A line means the same wherever it stands,
but for those about framing, which are looked at together; so of a head llhttp reads those
that are not known.  Between them and what is known nothing can be hidden: a head is cut
at each CR LF, and no line is remembered but as one that was a whole field.

What says who somebody is (:data:`SECRETS`), and what is long, is only known on its own
connection, as long as it is repeated there.  All that is shared is bounded, by
:data:`MAX_LINES`, :data:`MAX_FIELDS` and :data:`MAX_LINE`.
"""

from __future__ import annotations

from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from twisted_fcgi.errors import BadRequest

__all__ = ["MAX_FIELDS", "MAX_LINE", "MAX_LINES", "SECRETS", "Field", "KnownLines", "RequestLine"]

#: Request lines and fields that are shared, and how long one may be.
MAX_LINES = 1024
MAX_FIELDS = 2048
MAX_LINE = 256

#: Fields that are not shared.
SECRETS = frozenset((b"authorization", b"cookie", b"proxy-authorization"))

# Fields that llhttp always reads, because it holds them against each other.
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))

#: A request line: the whole of it, its method, target and protocol.
RequestLine = tuple[bytes, bytes, bytes, bytes]

#: A field as it came, name and value, and its name in lower case.
Field = tuple[tuple[bytes, bytes], bytes]

# What llhttp is told in place of the client's request line.
_STAND_IN = b"GET / HTTP/1.1"


class KnownLines:
    """
    The lines that were read lately, of all clients within the same limits.

    :ivar requestLines: by the whole line.
    :ivar fields: by the line, without its end.
    """

    __slots__ = ("fields", "requestLines")

    def __init__(self) -> None:
        self.requestLines: dict[bytes, RequestLine] = {}
        self.fields: dict[bytes, Field] = {}

    def noted(self, line: RequestLine) -> RequestLine:
        """The same request line, as it is known from now on."""
        if len(line[0]) > MAX_LINE:
            return line
        if len(self.requestLines) >= MAX_LINES:
            self.requestLines.clear()
        return self.requestLines.setdefault(line[0], line)

    def read(self, fields: bytes, limit: int, most: int, own: dict[bytes, Field]) -> list[Field]:
        """
        The fields of a head.

        :param fields: with the end of the line before, and the empty line at their end.
        :param limit: the most bytes of one.
        :param most: how many there may be; 0 for any number.
        :param own: those of the same client that are not shared; changed in place.
        :raises BadRequest: they are none, too many, or one is too long.
        """
        lines = fields.split(b"\r\n")[1:-2]
        if len(lines) > most > 0:
            # Before they are read: they would take the places of all that is known.
            raise BadRequest("more header fields than LimitRequestFields")
        shared: dict[bytes, Field] = self.fields
        found = [shared.get(line) or own.get(line) for line in lines]
        if None in found:
            places = [place for place, field in enumerate(found) if field is None]
            new = [lines[place] for place in places]
            for line in new:
                if len(line) > limit:
                    raise BadRequest("a header field exceeds LimitRequestFieldSize")
            block = b"\r\n".join((_STAND_IN, *new, b"", b""))
            pairs = _parser.read(block)
            if not len(pairs) == len(new) == block.count(b"\n") - 2:
                raise BadRequest("malformed header fields")
            for place, pair in zip(places, pairs):
                found[place] = self._learned(lines[place], pair)
            own.clear()
            for line, field in zip(lines, cast("list[Field]", found)):
                if line not in shared and field[1] not in _FRAMING:
                    own[line] = field
        return cast("list[Field]", found)

    def _learned(self, line: bytes, pair: tuple[bytes, bytes]) -> Field:
        name, value = pair
        if value and value[-1] <= 32:
            pair = name, value.rstrip(b" \t")
        lower = name.lower()
        field = pair, lower
        if len(line) <= MAX_LINE and lower not in SECRETS and lower not in _FRAMING:
            if len(self.fields) >= MAX_FIELDS:
                self.fields.clear()
            self.fields[line] = field
        return field


class _Parser:
    """llhttp, for the fields of one head after the other."""

    __slots__ = ("_feed", "_found", "_over")

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        parser = HttpRequestParser(self)
        # Or it would read nothing behind a head with "Connection: close", or with a
        # "Proxy-Connection: close" that means nothing to us.
        parser.set_dangerous_leniencies(lenient_keep_alive=True)
        self._feed = parser.feed_data
        self._found: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools calls this for each field."""
        self._found.append((name, value))

    def on_message_complete(self) -> None:
        """httptools calls this when it awaits nothing more, such as a body."""
        self._over = True

    def read(self, head: bytes) -> list[tuple[bytes, bytes]]:
        """
        :param head: with the empty line at its end.
        :raises BadRequest: it is none.
        """
        found = self._found = []
        self._over = False
        try:
            self._feed(head)
        except HttpParserUpgrade:
            # The client would like another protocol; it gets the one it speaks.
            self._over = False
        except HttpParserError as error:
            self._over = False
            raise BadRequest(f"malformed header field: {error}") from None
        finally:
            self._found = []
            if not self._over:
                # Or the next head, of another client maybe, would be taken for its rest.
                self._renew()
        return found


_parser = _Parser()
