"""
ProxyPass and ProxyPassMatch: from a decoded path to an application's URL.

httpd's order (``proxy_trans``, ``ap_proxy_trans_match``): the ProxyPass inside of a
matching ``<Location>``, then all lines in their order; the first that matches
decides, ``!`` by ending the search.  Plain prefixes are looked up for each
segment of the path, so that only expressions cost something each.

Lines with ``mapping=encoded`` or ``servlet`` are looked at before a path is decoded
(``proxy_pre_translate_name``), so they make a :class:`Mappings` of their own.

An application's address never comes from the request (CVE-2021-40438): what a
match or a variable makes has to begin with the scheme, host and port of its line, else
the request is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from twisted_fcgi.errors import RequestError, quoted
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.environment import Environment, Interpolation, Names, substitute
from twisted_fcgi.routing.sections import Prefixes
from twisted_fcgi.routing.servlet import Matched, matchServlet
from twisted_fcgi.settings import BalancerSettings, MemberSettings, ProxyMapping
from twisted_fcgi.uri import mergeSlashes

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
        if scheme.lower() in (b"fcgi:", b"fcgis:"):
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
    :ivar raw: it is passed as the client sent it (nocanon, mapping=encoded).
    :ivar line: the configuration's.
    :ivar uri: what becomes of the path for all that follows (mapping=servlet).
    """

    destination: Destination
    path: bytes
    raw: bool
    line: ProxyMapping
    uri: bytes

    @property
    def url(self) -> bytes:
        """The URL as the configuration's text and the request's make it."""
        return self.destination.written + self.path


class _Line:
    """A ProxyPass or ProxyPassMatch, prepared."""

    def __init__(self, mapping: ProxyMapping, names: Names) -> None:
        self.mapping = mapping
        self.pattern = mapping.pattern
        # Several slashes stand for one, in the prefix as in the path.
        self.prefix = mergeSlashes(mapping.path or b"")
        self.excludes = mapping.target is None
        self._nocanon = mapping.nocanon
        self._encoded = bool(mapping.mapping)
        #: Expressions are not matched against what a servlet container makes of a path.
        self._servlet = mapping.mapping == "servlet" and self.pattern is None
        self._destination = Destination(
            mapping.target or b"", mapping.member, mapping.balancer, mapping.candidates
        )
        self._prefix: Interpolation | None = None
        self._path: Interpolation | None = None
        if mapping.interpolate:
            if b"${" in self.prefix:
                self._prefix = Interpolation(self.prefix, names)
            if b"${" in self._destination.path:
                self._path = Interpolation(self._destination.path, names)

    @property
    def plain(self) -> bool:
        """Whether it is for paths that begin with its prefix, whatever else is there."""
        return self.pattern is None and self._prefix is None and not self._servlet

    def match(self, path: bytes, environment: Environment | None) -> Match | Matched | int | None:
        """
        A match of the expression, or the length of the prefix; false when it does not fit.

        :param environment: where ``${}`` finds variables, or ``None`` when it finds none.
        """
        if self.pattern is not None:
            return self.pattern.search(path)
        prefix = self.prefix
        if self._prefix is not None and environment is not None:
            prefix = mergeSlashes(self._prefix.made(environment))
        return matchServlet(path, prefix) if self._servlet else matchPrefix(path, prefix)

    def make(
        self,
        matched: Match | Matched | int,
        uri: bytes,
        sent: bytes,
        environment: Environment | None,
    ) -> Mapped:
        """The application's URL for a path that matched."""
        destination = self._destination
        base = destination.path
        if self._path is not None and environment is not None:
            base = self._path.made(environment)
        raw = self._encoded
        path = known = uri
        if isinstance(matched, Matched):
            path, known = base + uri[matched.end :], matched.uri
        else:
            if self._nocanon:
                again = self.match(sent, environment)
                # A path that fits only once it is decoded can't be passed as it was sent.
                if again and (again == matched or not isinstance(again, int)):
                    assert not isinstance(again, Matched)
                    matched, path, raw = again, sent, True
            if isinstance(matched, int):
                path = base + path[matched:]
            else:
                made = substitute(base, matched)
                # Where nothing was substituted, the path is meant to follow.
                path = made + path if made == base else made
        # A line without a host, such as fcgi://${HOST}/, gets one from nobody.
        if path[:1] not in (b"/", b"") or destination.written.endswith(b"//"):
            raise RequestError(
                f"{quoted(destination.written)} and {quoted(path)} make a URL of another server; "
                "is a slash missing behind the port?",
                500,
            )
        return Mapped(destination, path, raw, self.mapping, known)


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
    The lines of a virtual host.

    :param mappings: in their order.
    :param names: the spelling of variables.
    :param encoded: whether it is for those lines that want a path before it is decoded,
        or for all others.
    """

    def __init__(
        self, mappings: Iterable[ProxyMapping], names: Names | None = None, encoded: bool = False
    ) -> None:
        self._names = names or Names()
        self._encoded = encoded
        self._lines = [
            _Line(mapping, self._names) for mapping in mappings if bool(mapping.mapping) is encoded
        ]
        self._prefixes = Prefixes()
        #: Those that have to be tried one by one.
        self._expressions: list[int] = []
        self._inside: dict[int, _Line] = {}
        for place, line in enumerate(self._lines):
            if not line.plain:
                self._expressions.append(place)
            elif line.prefix:
                self._prefixes.add(line.prefix, place)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def claims(
        self,
        uri: bytes,
        inside: ProxyMapping | None = None,
        environment: Environment | None = None,
    ) -> ProxyMapping | None:
        """The line that :meth:`find` goes by: also one that takes the path out by ``!``."""
        lines = self._lines
        if inside is not None and bool(inside.mapping) is self._encoded:
            lines = [_Line(inside, self._names), *lines]
        return next((line.mapping for line in lines if line.match(uri, environment)), None)

    def find(
        self,
        uri: bytes,
        sent: bytes,
        inside: ProxyMapping | None = None,
        environment: Environment | None = None,
    ) -> Mapped | None:
        """
        The application's URL for a path, or ``None`` when it is served otherwise.

        :param uri: decoded, or not yet.
        :param sent: the target as it was sent.
        :param inside: the ProxyPass of the ``<Location>`` that applies.
        :param environment: variables, where ProxyPassInterpolateEnv lets lines use them.
        :raises RequestError: when what comes out can't be served.
        """
        if inside is not None and bool(inside.mapping) is self._encoded:
            line = self._inside.get(id(inside))
            if line is None:
                line = self._inside[id(inside)] = _Line(inside, self._names)
            matched = line.match(uri, environment)
            if matched:
                return None if line.excludes else line.make(matched, uri, sent, environment)
        single = b"//" not in uri
        places = self._prefixes.find(mergeSlashes(uri))
        first = min(places) if places else len(self._lines)
        for place in self._expressions:
            if place > first:
                break
            line = self._lines[place]
            matched = line.match(uri, environment)
            if matched:
                return None if line.excludes else line.make(matched, uri, sent, environment)
        if not places:
            return None
        line = self._lines[first]
        if line.excludes:
            return None
        size = len(line.prefix) if single else matchPrefix(uri, line.prefix)
        return line.make(size, uri, sent, environment)
