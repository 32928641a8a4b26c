"""
The texts of mod_rewrite: ``$1``, ``%1``, ``%{VARIABLE}``, ``${map:key|default}``, ``\\x``.

A text is taken apart once, by the rules of httpd's ``do_expand``; for a request its pieces
are put together in one pass, so that what comes from a client is never expanded itself.
What comes out is bounded.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import RequestContext, valueOf
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.grounds import Grounds
from twisted_fcgi.settings import RewriteMap
from twisted_fcgi.uri import encodePath

__all__ = ["Escape", "Expansion", "Seen", "variable"]

#: The longest text that is made; a variable may grow with each round of a rule.
MAX_EXPANDED = 65536

#: How a back-reference is escaped (flag B).
Escape = Callable[[bytes], bytes]


class Seen(Protocol):
    """
    What a text sees of a request that is being rewritten.

    :ivar ruleMatch: of the rule's expression; ``None`` where it has to fail.
    :ivar conditionMatch: of the last condition that matched.
    :ivar grounds: what it rests on.
    """

    grounds: Grounds
    ruleMatch: Match | None
    conditionMatch: Match | None

    def variable(self, name: bytes) -> bytes:
        """The value of ``%{name}``; empty when there is none."""


class _Piece(NamedTuple):
    """
    A part of a text.

    :ivar text: it, when it is always the same.
    :ivar make: makes it otherwise.
    :ivar quoted: whether a backslash stood before it.
    """

    text: bytes
    make: Callable[[Seen, Escape | None], bytes] | None = None
    quoted: bool = False


class Expansion:
    """
    A text, prepared.

    :param text: as written.
    :param maps: RewriteMap, by name.
    :param start: where it begins in a text of which it is a part.
    :param end: where it ends there.
    :param insides: the braces of that text.
    """

    __slots__ = ("_constant", "_pieces")

    def __init__(
        self,
        text: bytes,
        maps: Mapping[bytes, RewriteMap],
        start: int = 0,
        end: int | None = None,
        insides: Mapping[int, _Inside] | None = None,
    ) -> None:
        end = len(text) if end is None else end
        self._pieces = _pieces(text, maps, start, end, insides or _insides(text))
        self._constant: bytes | None = None
        if all(piece.make is None for piece in self._pieces):
            self._constant = b"".join(piece.text for piece in self._pieces)

    def make(self, seen: Seen, escape: Escape | None = None) -> bytes:
        """
        The text for a request.

        :raises RequestError: when it becomes too long.
        """
        if self._constant is not None:
            return self._constant
        return _joined(self._parts(seen, escape))

    def substitute(self, seen: Seen, escape: Escape | None, last: bool) -> tuple[bytes, bool]:
        """
        The same, for a substitution, in which a ``?`` begins the query.

        :param last: whether the last one does (QSL), not the first.
        :returns: the text, and whether its ``?`` came from the request, where it was encoded
            and no query was meant (CVE-2024-38474).
        """
        if self._constant is not None:
            return self._constant, False
        parts = self._parts(seen, escape)
        unsafe = False
        for piece, part in zip(self._pieces, parts):
            if b"?" in part and not piece.quoted:
                unsafe = piece.make is not None
                if not last:
                    break
        return _joined(parts), unsafe

    def _parts(self, seen: Seen, escape: Escape | None) -> list[bytes]:
        return [
            piece.text if piece.make is None else piece.make(seen, escape) for piece in self._pieces
        ]


def _joined(parts: list[bytes]) -> bytes:
    made = b"".join(parts)
    if len(made) > MAX_EXPANDED:
        raise RequestError("a rewrite rule makes too long a text", 500)
    return made


# Taking texts apart.

_PLAIN = re.compile(rb"[^\\$%]+", re.S)
_SIGN = re.compile(rb"[{}:|]")


def _pieces(
    text: bytes,
    maps: Mapping[bytes, RewriteMap],
    start: int,
    end: int,
    inside: Mapping[int, _Inside],
) -> list[_Piece]:
    pieces: list[_Piece] = []
    at = start
    while at < end:
        plain = _PLAIN.match(text, at, end)
        if plain is not None:
            pieces.append(_Piece(plain[0]))
            at = plain.end()
            continue
        sign, following = text[at : at + 1], text[at + 1 : min(at + 2, end)]
        if sign == b"\\":
            pieces.append(_Piece(following or sign, quoted=True))
            at += 2
        elif following == b"{":
            piece, at = _braces(text, at, maps, inside)
            pieces.append(piece)
        elif following.isdigit():
            pieces.append(_Piece(b"", _reference(sign == b"$", int(following))))
            at += 2
        else:
            pieces.append(_Piece(sign, quoted=True))
            at += 1
    return pieces


class _Inside:
    """
    Where the signs are that belong to a pair of braces, and to none inside of it.

    :ivar end: its end; -1 when there is none.
    :ivar colon: the first colon, likewise.
    :ivar bar: the first bar behind that, likewise.
    """

    __slots__ = ("bar", "colon", "end")

    def __init__(self) -> None:
        self.end = self.colon = self.bar = -1


def _insides(text: bytes) -> dict[int, _Inside]:
    """All braces of a text, by where they open; in one pass, however deep they are."""
    found: dict[int, _Inside] = {}
    around: list[_Inside] = []
    for match in _SIGN.finditer(text):
        at, sign = match.start(), match[0]
        if sign == b"{":
            inside = found[at] = _Inside()
            around.append(inside)
        elif not around:
            continue
        elif sign == b"}":
            around.pop().end = at
        elif sign == b":":
            if around[-1].colon < 0:
                around[-1].colon = at
        elif around[-1].bar < 0 <= around[-1].colon:
            around[-1].bar = at
    return found


def _braces(
    text: bytes, at: int, maps: Mapping[bytes, RewriteMap], insides: Mapping[int, _Inside]
) -> tuple[_Piece, int]:
    """The piece that begins with ``%{`` or ``${``, and where the next one begins."""
    inside = insides[at + 1]
    end, colon, bar = inside.end, inside.colon, inside.bar
    if end >= 0 and text[at : at + 1] == b"%":
        name = text[at + 2 : end]
        return _Piece(b"", lambda seen, escape: seen.variable(name)), end + 1
    if end < 0 or colon < 0:
        return _Piece(text[at : at + 2], quoted=True), at + 2
    key = Expansion(text, maps, colon + 1, end if bar < 0 else bar, insides)
    default = Expansion(text, maps, end if bar < 0 else bar + 1, end, insides)
    found = maps.get(text[at + 2 : colon])

    def lookUp(seen: Seen, escape: Escape | None) -> bytes:
        value = None
        if found is not None:
            value = _mapped(found, key.make(seen, escape))
            if found.random:
                seen.grounds.lasting = False
        return default.make(seen, escape) if value is None else value

    return _Piece(b"", lookUp), end + 1


def _reference(ofRule: bool, number: int) -> Callable[[Seen, Escape | None], bytes]:
    def refer(seen: Seen, escape: Escape | None) -> bytes:
        match = seen.ruleMatch if ofRule else seen.conditionMatch
        if match is None or number > match.re.groups:
            return b""
        found: bytes = match[number] or b""
        return found if escape is None else escape(found)

    return refer


# Maps.


def _unescape(key: bytes) -> bytes:
    decoded = re.sub(
        rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode("ascii")), key
    )
    return decoded.partition(b"\0")[0]


#: What ``int:`` names.
FUNCTIONS: dict[str, Callable[[bytes], bytes]] = {
    "toupper": bytes.upper,
    "tolower": bytes.lower,
    "escape": encodePath,
    "unescape": _unescape,
}


def _mapped(found: RewriteMap, key: bytes) -> bytes | None:
    if found.function:
        return FUNCTIONS[found.function](key)
    value = found.entries.get(key)
    if value is not None and found.random:
        value = random.choice(value.split(b"|"))
    return value or None


# Variables.

#: Those that mean the same in an expression, and follow from the target and who was asked.
_OF_THE_TARGET = frozenset(
    b"HTTPS IS_SUBREQ PATH_INFO SERVER_NAME SERVER_PORT REQUEST_URI QUERY_STRING SERVER_ADMIN "
    b"DOCUMENT_ROOT REQUEST_SCHEME SERVER_SOFTWARE SCRIPT_FILENAME REQUEST_FILENAME "
    b"CONTEXT_DOCUMENT_ROOT AUTH_TYPE REMOTE_USER CONTEXT_PREFIX".split()
)

#: Those that are an attribute of the request.
_OF_THE_REQUEST = {
    b"REQUEST_METHOD": "method",
    b"SERVER_PROTOCOL": "protocol",
    b"THE_REQUEST": "line",
}

#: Those of the client.
_OF_THE_CLIENT = frozenset(b"IPV6 REMOTE_ADDR REMOTE_HOST REMOTE_PORT CONN_REMOTE_ADDR".split())

_FIELDS = {
    b"HTTP_HOST": b"Host",
    b"HTTP_ACCEPT": b"Accept",
    b"HTTP_COOKIE": b"Cookie",
    b"HTTP_REFERER": b"Referer",
    b"HTTP_FORWARDED": b"Forwarded",
    b"HTTP_USER_AGENT": b"User-Agent",
    b"HTTP_PROXY_CONNECTION": b"Proxy-Connection",
}

_TIMES = {
    b"TIME": "%Y%m%d%H%M%S",
    b"TIME_DAY": "%d",
    b"TIME_SEC": "%S",
    b"TIME_MIN": "%M",
    b"TIME_MON": "%m",
    b"TIME_WDAY": "%w",
    b"TIME_YEAR": "%Y",
    b"TIME_HOUR": "%H",
}


def variable(name: bytes, context: RequestContext, grounds: Grounds) -> bytes:
    """
    The value of ``%{name}`` (``lookup_variable``), but for look-aheads.

    Names of header fields that are there are noted in the context's ``vary``.

    :param grounds: is told what it comes from.
    """
    kind, colon, rest = name.partition(b":")
    if colon:
        kind = kind.upper()
        if not rest:
            return b""
        if kind == b"ENV":
            value = valueOf(context.state.environment, rest)
            return os.environb.get(rest, b"") if value is None else value
        return _field(rest, context, grounds) if kind == b"HTTP" else b""
    name = name.upper()
    if name in _OF_THE_TARGET:
        return context.variable(name) or b""
    if name in _OF_THE_REQUEST:
        grounds.read(context.request, _OF_THE_REQUEST[name])
        return context.variable(name) or b""
    if name in _OF_THE_CLIENT:
        grounds.lasting = False
        return context.variable(name) or b""
    if name in _FIELDS:
        return _field(_FIELDS[name], context, grounds)
    if name == b"SERVER_ADDR":
        return context.request.server.host
    if name in _TIMES:
        grounds.lasting = False
        return time.strftime(_TIMES[name], time.localtime(context.now)).encode("ascii")
    if name == b"API_VERSION":
        return b"20120211:0"
    return b"<unknown>" if name in (b"SCRIPT_USER", b"SCRIPT_GROUP") else b""


def _field(name: bytes, context: RequestContext, grounds: Grounds) -> bytes:
    value = context.header(name, vary=False)
    if name.lower() != b"host":
        grounds.readField(name, value)
        if value is not None:
            context.vary.append(name)
    return value or b""
