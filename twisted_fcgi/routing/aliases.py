"""
Alias and Redirect (mod_alias): another directory for a path, or another address.

Outside of sections, and inside a ``<Location>`` for all of it, both are looked for
before a path is mapped to a file, Redirect first; those that stand in sections with a
path of their own once the sections are known, also for what a ProxyPass claimed.  Of
several lines the first that matches decides, a virtual host's own before the main
server's and an inner section's before an outer one's.  Plain prefixes are looked up
for each segment of the path, so that only expressions cost something each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from twisted_fcgi.errors import RequestError, quoted
from twisted_fcgi.expr import RequestState, Word, evaluate
from twisted_fcgi.message import Request
from twisted_fcgi.pcre import Match
from twisted_fcgi.routing.environment import substitute
from twisted_fcgi.routing.mapping import matchPrefix
from twisted_fcgi.routing.sections import Prefixes
from twisted_fcgi.settings import Alias, Redirect
from twisted_fcgi.uri import encodePath, mergeSlashes

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["CONTROL", "Aliased", "Aliases", "Redirected", "Redirects", "redirect"]

_SCHEME = re.compile(rb"[A-Za-z0-9+.-]+:")

#: What no field of a response may have.
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

#: A URL as ``apr_uri_parse`` takes it apart: up to the path, query, fragment.
_PARTS = re.compile(
    rb"((?:[A-Za-z][A-Za-z0-9+.-]*:)?(?://[^/?#]*)?[^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL
)
_PASSWORD = re.compile(rb"(//[^/:@]*:)[^/@]+(?=@)")
_USUAL_PORT = re.compile(rb"(http://[^/]*):(?:0*80)?(?=/|\Z)|(https://[^/]*):(?:0*443)?(?=/|\Z)")

Line = TypeVar("Line", Alias, Redirect)


class Aliased(NamedTuple):
    """
    A path that an Alias claims.

    :ivar filename: an absolute path.
    :ivar context: the alias's path and directory as written, for CONTEXT_PREFIX and
        CONTEXT_DOCUMENT_ROOT; ``None`` for an expression's.
    :ivar place: of the line.
    """

    filename: bytes
    context: tuple[bytes, bytes] | None
    place: str = ""


class Redirected(NamedTuple):
    """
    A path that a Redirect claims.

    :ivar location: ``None`` for a status that has none.
    :ivar place: of the line.
    """

    status: int
    location: bytes | None
    place: str = ""


class _Lines(Generic[Line]):
    """
    Lines that name a prefix or an expression.

    :param lines: in their order.
    """

    def __init__(self, lines: Iterable[Line]) -> None:
        self._lines: tuple[Line, ...] = tuple(lines)
        self._prefixes = Prefixes()
        self._expressions: list[int] = []
        for place, line in enumerate(self._lines):
            if line.pattern is not None:
                self._expressions.append(place)
            elif line.path:
                self._prefixes.add(mergeSlashes(line.path), place)

    def find(self, uri: bytes) -> tuple[Line, Match | int] | None:
        """The first line that fits, with the match or the length of the prefix."""
        single = mergeSlashes(uri)
        first = min(self._prefixes.find(single), default=len(self._lines))
        for place in self._expressions:
            if place > first:
                break
            line = self._lines[place]
            assert line.pattern is not None
            matched = line.pattern.search(uri)
            if matched is not None:
                return line, matched
        if first == len(self._lines):
            return None
        line = self._lines[first]
        return line, matchPrefix(uri, mergeSlashes(line.path or b""))


class Aliases:
    """
    Those of a virtual host.

    :param aliases: in their order.
    """

    def __init__(self, aliases: Iterable[Alias]) -> None:
        self._lines: _Lines[Alias] = _Lines(aliases)

    def find(self, request: Request, state: RequestState) -> Aliased | None:
        """
        The file that a path stands for.

        :raises RequestError: when that can't be said.
        """
        inside = state.directory.alias
        if inside is not None and inside.made is not None:
            return _aliasedInside(inside, inside.made, request, state)
        found = self._lines.find(state.uri)
        if found is None:
            return None
        alias, matched = found
        if isinstance(matched, int):
            context = alias.path or b"", alias.target
            return _placed(alias, alias.target + state.uri[matched:], context)
        return _placed(alias, substitute(alias.target, matched))


def _aliasedInside(alias: Alias, made: Word, request: Request, state: RequestState) -> Aliased:
    """By the Alias of a ``<Location>``: the whole of it is one file, or keeps its paths."""
    filename = evaluate(made, request, state)
    if state.directory.aliasPreservesPath and alias.path:
        size = matchPrefix(state.uri, mergeSlashes(alias.path))
        if size:
            return _placed(alias, filename + state.uri[size:], (alias.path, filename))
    return _placed(alias, filename)


def _placed(alias: Alias, filename: bytes, context: tuple[bytes, bytes] | None = None) -> Aliased:
    """A file's absolute path."""
    if not filename.startswith(b"/"):
        filename = alias.base + b"/" + filename
    return Aliased(mergeSlashes(filename), context, alias.place)


class Redirects:
    """
    Those of a virtual host, or of the sections that apply.

    :param redirects: in their order.
    """

    def __init__(self, redirects: Iterable[Redirect]) -> None:
        self._lines: _Lines[Redirect] = _Lines(redirects)

    def find(self, request: Request, state: RequestState) -> Redirected | None:
        """
        Where a path is redirected to.

        :raises RequestError: when that can't be said.
        """
        whole = state.directory.redirect
        if whole is not None:
            if whole.made is None:
                return Redirected(whole.status, None, whole.place)
            return _finished(whole, _encodeUrl(evaluate(whole.made, request, state)), state)
        found = self._lines.find(state.uri)
        if found is None:
            return None
        redirect, matched = found
        if redirect.url is None:
            return Redirected(redirect.status, None, redirect.place)
        if isinstance(matched, int):
            return _finished(redirect, redirect.url + encodePath(state.uri[matched:]), state)
        return _finished(redirect, _encodeUrl(substitute(redirect.url, matched)), state)


def redirect(look: Look, redirects: Redirects) -> bool:
    """
    Send the client to another address, if a line says so.

    :raises RequestError: with a line's status for which there is no address.
    """
    redirected = redirects.find(look.request, look)
    if redirected is None:
        return False
    look.status, look.location, place = redirected
    if look.notes is not None:
        look.notes.redirected(place, look.uri, look.location)
    if look.location is None:
        raise RequestError("by a Redirect without a URL", look.status)
    return True


def _encodeUrl(url: bytes) -> bytes:
    """A URL made of a text and parts of a path; its query and fragment are not encoded."""
    match = _PARTS.fullmatch(url)
    assert match is not None  # it matches everything
    place, query, fragment = match.groups(b"")
    place = _PASSWORD.sub(rb"\1XXXXXXXX", _USUAL_PORT.sub(rb"\1\2", place))
    return encodePath(place) + query + fragment


def _finished(redirect: Redirect, url: bytes, state: RequestState) -> Redirected:
    """With the scheme and host that a URL may lack, and the request's query."""
    settings = state.directory
    if url[:1] == b"/" and not settings.relativeRedirects:
        assert state.authority is not None
        url = state.authority.url(url, settings)
    elif url[:1] != b"/" and not _SCHEME.match(url):
        raise RequestError(f"{quoted(url)} is neither a URL nor a path to redirect to", 500)
    if state.query is not None and b"?" not in url:
        url += b"?" + state.query
    if CONTROL.search(url):
        raise RequestError("control character in the URL to redirect to", 500)
    return Redirected(redirect.status, url, redirect.place)
