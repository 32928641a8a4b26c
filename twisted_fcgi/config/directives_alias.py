"""Directives of mod_alias."""

from __future__ import annotations

import os.path
import re

from twisted_fcgi.config.expressions import text
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import looseInteger, pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.http import REASONS
from twisted_fcgi.settings import Alias, Redirect

__all__ = ["rows"]

rows = Rows("mod_alias")

_STATUSES = {"permanent": 301, "temp": 302, "seeother": 303, "gone": 410}
_URL = re.compile(r"[A-Za-z0-9+.-]+:")


def shadowed(scope: Scope, path: Word) -> None:
    """Say so when an earlier line claims all that a new one is for."""
    uri = encode(path)
    for alias in scope.server.aliases:
        if alias.pattern is not None:
            claims = alias.pattern.search(uri) is not None
        else:
            prefix = alias.path or b""
            claims = uri.startswith(prefix) and (
                prefix.endswith(b"/") or uri[len(prefix) : len(prefix) + 1] in (b"", b"/")
            )
        if claims:
            scope.warn(path, f"an earlier line ({alias.place}) claims these paths already")
            return


@rows.directive(
    "Alias",
    Shape.TAKE12,
    Context.SERVER | Context.LOCATION,
    syntax="[path] directory|file",
    example='Alias "/icons/" "/srv/icons/"\n'
    '<Location "/manual">\n    Alias "/srv/manual/index.html"\n</Location>',
)
def alias(scope: Scope, path: Word, target: Word | None) -> None:
    """
    Files from another place than below DocumentRoot, for the paths below one.

    What follows the path is put behind the directory, so both end with a slash or neither
    does.  A ProxyPass comes first, and so does an earlier line.  Inside a ``<Location>``
    there is no path: all of it is that one file, or with AliasPreservePath the directory.
    """
    if target is not None:
        if scope.inSection:
            raise path.error("inside of a section there is no path", "Alias directory")
        shadowed(scope, path)
        scope.server.aliases.append(
            Alias(encode(path), None, *located(scope, target), place=scope.place)
        )
        return
    if not scope.inSection:
        raise scope.error("Alias needs a path and a directory", "Alias /path/ directory/")
    word = scope.section.word
    inside = scope.section.path if word is None else encode(word)
    scope.section.values["alias"] = Alias(
        inside,
        None,
        encode(path),
        encode(scope.draft.serverRoot),
        text(path),
        scope.place,
    )


def located(scope: Scope, target: Word) -> tuple[bytes, bytes]:
    """A file's name without dot segments, and where it begins when it is relative."""
    name = encode(target)
    if b"/." in name:
        name = os.path.normpath(name) + (b"/" if name.endswith(b"/") else b"")
    return name, encode(scope.draft.serverRoot)


@rows.directive(
    "AliasMatch",
    Shape.TAKE2,
    Context.SERVER,
    syntax="expression file",
    example='AliasMatch "^/icons/([a-z]+)$" "/srv/icons/$1.png"',
)
def aliasMatch(scope: Scope, expression: Word, target: Word) -> None:
    """As Alias, for the paths that match; ``$1`` is what the first group matched."""
    scope.server.aliases.append(
        Alias(None, pattern(expression), *located(scope, target), place=scope.place)
    )


def addRedirect(scope: Scope, status: int, words: list[Word], matching: bool = False) -> None:
    """
    One line of the Redirect family.

    :param status: when the line names none.
    :param words: its arguments.
    """
    first, known = words[0], False
    if first.lower() in _STATUSES:
        status, known = _STATUSES[first.lower()], True
    elif first[:1].isdigit():
        status, known = looseInteger(first, scope.warn), True
    redirects = 300 <= status <= 399
    if known:
        words = words[1:]
    elif len(words) > 2:
        raise first.error(
            f"{str(first)!r} is no status", "permanent, temp, seeother, gone, or a number"
        )
    if status not in REASONS or status < 200:
        scope.warn(first, f"{status} is no status to answer with, such requests get a 500")
        status = 500
    if scope.inSection and len(words) == redirects:
        # All that the section holds for; the URL may hold variables.
        url = words[0] if redirects else None
        scope.section.values["redirect"] = Redirect(
            status,
            url=None if url is None else encode(url),
            made=None if url is None else text(url),
            place=scope.place,
        )
        return
    if not words:
        raise scope.error(f"{scope.node.title} needs a path")
    path, *rest = words
    target = rest[0] if rest else None
    if redirects and target is None:
        raise scope.error("the URL to redirect to is missing")
    if target is not None and not redirects:
        raise target.error(f"with the status {status} there is no URL to go to")
    if not (target is None or matching or target.startswith("/") or _URL.match(target)):
        raise target.error(
            f"{str(target)!r} is neither a URL nor a path", "https://example.org/new/, /new/"
        )
    redirect = Redirect(
        status,
        None if matching else encode(path),
        pattern(path) if matching else None,
        None if target is None else encode(target),
        place=scope.place,
    )
    if scope.inSection:
        scope.section.append("redirects", redirect)
    else:
        scope.server.redirects.append(redirect)


@rows.directive(
    "Redirect",
    Shape.TAKE123,
    Context.ANYWHERE,
    syntax="[status] [path] [URL]",
    example='Redirect permanent "/old/" "https://www.example.org/new/"\nRedirect gone "/away"\n'
    '<Location "/moved">\n    Redirect "https://www.example.org/%{REMOTE_ADDR}"\n</Location>',
    override=Override.FILE_INFO,
)
def redirect(scope: Scope, first: Word, second: Word | None, third: Word | None) -> None:
    """
    Sends clients to another address.

    The status is ``permanent`` (301), ``temp`` (302, without any), ``seeother``, ``gone`` or
    a number; from 400 on there is no URL.  What follows the path is put behind the
    URL, and the query is kept.  Inside a section the path may be missing: all that the
    section holds for is redirected, and the URL may hold ``%{variables}``.
    """
    addRedirect(scope, 302, [word for word in (first, second, third) if word is not None])


@rows.directive(
    "RedirectMatch",
    Shape.TAKE23,
    Context.ANYWHERE,
    syntax="[status] expression [URL]",
    example='RedirectMatch permanent "^/(.*)\\.html$" "/$1"',
    override=Override.FILE_INFO,
)
def redirectMatch(scope: Scope, first: Word, second: Word, third: Word | None) -> None:
    """As Redirect, for the paths that match; ``$1`` is what the first group matched."""
    words = [word for word in (first, second, third) if word is not None]
    addRedirect(scope, 302, words, matching=True)


def statused(name: str, status: int) -> None:
    """A row of Redirect with a status of its own."""

    def apply(scope: Scope, path: Word, url: Word) -> None:
        addRedirect(scope, status, [path, url])

    rows.directive(
        name,
        Shape.TAKE2,
        Context.ANYWHERE,
        syntax="path URL",
        example=f'{name} "/old/" "https://www.example.org/new/"',
        doc=f"As Redirect with the status {status}.",
        override=Override.FILE_INFO,
    )(apply)


statused("RedirectTemp", 302)
statused("RedirectPermanent", 301)


@rows.directive(
    "RedirectRelative",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="RedirectRelative On",
    override=Override.FILE_INFO,
)
def redirectRelative(scope: Scope, on: bool) -> None:
    """Whether a Redirect to a path is sent as it is, without scheme and host before it."""
    scope.section.values["relativeRedirects"] = on


@rows.directive(
    "AliasPreservePath",
    Shape.FLAG,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example='<Location "/manual">\n    Alias "/srv/manual"\n    AliasPreservePath On\n</Location>',
    override=Override.FILE_INFO,
)
def aliasPreservePath(scope: Scope, on: bool) -> None:
    """Whether an Alias inside a ``<Location>`` puts the rest of the path behind its directory."""
    scope.section.values["aliasPreservesPath"] = on
