"""
ProxyPass and ProxyPassMatch: from a decoded path to an application's URL.

httpd's order (``proxy_trans``, ``ap_proxy_trans_match``): the ProxyPass inside of a
matching ``<Location>``, then all lines in their order; the first that matches
decides, ``!`` by ending the search.  Plain prefixes are looked up for each
segment of the path, so that only expressions cost something each.

An application's address never comes from the request (CVE-2021-40438): what a
match makes has to begin with the scheme, host and port of its line, else the
request is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from twisted_fcgi.errors import RequestError
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.environment import substitute
from twisted_fcgi.routing.sections import Prefixes
from twisted_fcgi.settings import BalancerSettings, MemberSettings, ProxyMapping

__all__ = ["Destination", "Mapped", "Mappings", "matchPrefix"]

_URL = re.compile(rb"([a-z][a-z0-9+.-]*:)//([^/$]*)(.*)", re.I | re.S)


class Destination:
    """
    Where a mapping or a handler sends to.

    :ivar written: scheme, host and port as the configuration has them.
    :ivar authority: how httpd spells them: ``fcgi://host:port`` in lower case without
        the default port, or ``balancer://name``.
    :ivar path: what is written behind them.
    """

    def __init__(
        self,
        url: bytes,
        member: MemberSettings | None,
        balancer: BalancerSettings | None = None,
        candidates: Iterable[MemberSettings] = (),
    ) -> None:
        match = _URL.fullmatch(url)
        scheme, authority, path = match.groups() if match else (b"", b"", url)
        self.written = scheme + b"//" + authority
        self.path = path
        host = authority.rpartition(b"@")[2].lower()
        if scheme.lower() == b"fcgi:":
            host = re.sub(rb":0*8000\Z", b"", host)
        self.authority = scheme.lower() + b"//" + host
        self.member = member
        self.balancer = balancer
        self._candidates = tuple(candidates)
        #: What a URL of the member begins with, where that is all there is to it.
        self._prefix: bytes | None = None
        if member is not None and member.defined and member.pattern is None:
            self._prefix = member.url.encode("utf-8", "surrogateescape")

    def memberFor(self, url: bytes) -> tuple[MemberSettings | None, bool]:
        """
        Who serves a URL, and whether it was defined for it (httpd: has a worker).

        :param url: in its final form.
        """
        for candidate in self._candidates:
            if candidate.serves(url):
                return candidate, True
        member = self.member
        if self._prefix is not None:
            return member, url.startswith(self._prefix)
        return member, member is not None and member.defined and member.serves(url)


class Mapped(NamedTuple):
    """
    What a mapping made of a path.

    :ivar path: the path of the application's URL, decoded unless ``raw``.
    :ivar raw: it is passed as the client sent it (nocanon).
    :ivar line: the configuration's.
    """

    destination: Destination
    path: bytes
    raw: bool
    line: ProxyMapping | None = None

    @property
    def url(self) -> bytes:
        """The URL as the configuration's text and the request's make it."""
        return self.destination.written + self.path


class _Line:
    """A ProxyPass or ProxyPassMatch, prepared."""

    def __init__(self, mapping: ProxyMapping) -> None:
        self.mapping = mapping
        self.pattern = mapping.pattern
        # Several slashes stand for one, in the prefix as in the path.
        self.prefix = re.sub(rb"/+", b"/", mapping.path or b"")
        self.excludes = mapping.target is None
        self._nocanon = mapping.nocanon
        self._destination = Destination(
            mapping.target or b"", mapping.member, mapping.balancer, mapping.candidates
        )

    def match(self, path: bytes) -> Match | int | None:
        """A match of the expression or the length of the prefix; false when it does not fit."""
        if self.pattern is not None:
            return self.pattern.search(path)
        return matchPrefix(path, self.prefix)

    def make(self, matched: Match | int, uri: bytes, sent: bytes) -> Mapped:
        """The application's URL for a path that matched."""
        destination = self._destination
        raw = False
        if self._nocanon:
            again = self.match(sent)
            # A path that fits only once it is decoded can't be passed as it was sent.
            if again and (again == matched or not isinstance(again, int)):
                matched, raw = again, True
        path = sent if raw else uri
        if isinstance(matched, int):
            path = destination.path + path[matched:]
        else:
            made = substitute(destination.path, matched)
            # Where nothing was substituted, the path is meant to follow.
            path = made + path if made == destination.path else made
        if path[:1] not in (b"/", b""):
            raise RequestError(
                f"{destination.written!r} and {path!r} make a URL of another server; "
                "is a slash missing behind the port?",
                500,
            )
        return Mapped(destination, path, raw, self.mapping)


def matchPrefix(uri: bytes, prefix: bytes) -> int:
    """
    How much of a path a prefix covers; 0 when it does not match (``alias_match``).

    :param prefix: without doubled slashes; one in it stands for any number.
    """
    if b"//" in uri:
        size = _matchSlashes(uri, prefix)
    else:
        size = len(prefix) if uri.startswith(prefix) else 0
    if size and not prefix.endswith(b"/") and uri[size : size + 1] not in (b"/", b""):
        return 0
    return size


def _matchSlashes(uri: bytes, prefix: bytes) -> int:
    at = 0
    for piece in re.findall(rb"/|[^/]+", prefix):
        if not uri.startswith(piece, at):
            return 0
        at += len(piece)
        if piece == b"/":
            while uri[at : at + 1] == b"/":
                at += 1
    return at


class Mappings:
    """
    All lines of a virtual host.

    :param mappings: in their order.
    """

    def __init__(self, mappings: Iterable[ProxyMapping]) -> None:
        self._lines = [_Line(mapping) for mapping in mappings]
        self._prefixes = Prefixes()
        self._expressions: list[int] = []
        self._inside: dict[int, _Line] = {}
        for place, line in enumerate(self._lines):
            if line.pattern is not None:
                self._expressions.append(place)
            elif line.prefix:
                self._prefixes.add(line.prefix, place)

    def claims(self, uri: bytes, inside: ProxyMapping | None = None) -> ProxyMapping | None:
        """The line that :meth:`find` goes by: also one that takes the path out by ``!``."""
        lines = self._lines if inside is None else [_Line(inside), *self._lines]
        return next((line.mapping for line in lines if line.match(uri)), None)

    def find(self, uri: bytes, sent: bytes, inside: ProxyMapping | None = None) -> Mapped | None:
        """
        The application's URL for a path, or ``None`` when it is served otherwise.

        :param uri: decoded.
        :param sent: the target as it was sent.
        :param inside: the ProxyPass of the ``<Location>`` that applies.
        :raises RequestError: when what comes out can't be served.
        """
        if inside is not None:
            line = self._inside.get(id(inside))
            if line is None:
                line = self._inside[id(inside)] = _Line(inside)
            matched = line.match(uri)
            if matched:
                return None if line.excludes else line.make(matched, uri, sent)
        single = b"//" not in uri
        places = self._prefixes.find(uri if single else re.sub(rb"/+", b"/", uri))
        first = min(places) if places else len(self._lines)
        for place in self._expressions:
            if place > first:
                break
            line = self._lines[place]
            matched = line.match(uri)
            if matched:
                return None if line.excludes else line.make(matched, uri, sent)
        if not places:
            return None
        line = self._lines[first]
        if line.excludes:
            return None
        return line.make(len(line.prefix) if single else matchPrefix(uri, line.prefix), uri, sent)
