"""
What takes the place of a directory, and of what is missing (httpd: mod_dir).

DirectorySlash redirects to the directory's URL; DirectoryIndex and FallbackResource look
local URLs up, as subrequests in httpd, and the look becomes the first of them that leads
to a file or an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.routing.files import DIRECTORY, FILE, MISSING, concealed
from twisted_fcgi.uri import encodePath

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look

__all__ = ["fixDirectory"]

_DEFAULT_INDEX = (b"index.html",)


def fixDirectory(look: Look) -> None:
    """
    Give a directory its slash and its index, and put something in place of a missing file.

    :raises RequestError: when what was to take its place is refused.
    """
    settings = look.directory
    if look.kind == DIRECTORY:
        status = concealed(look.uri)
        if status and look.destination is None:
            raise RequestError("a directory with a dot at its beginning", status)
        if look.uri.endswith(b"/"):
            if look.internal is not None:
                return  # a rule leads elsewhere
            if settings.handlerBeforeIndex and look.handler:
                return
            names = settings.directoryIndex
            _tryEach(look, _DEFAULT_INDEX if names is None else names)
        elif settings.directorySlash is not False and (
            look.request.method in (b"GET", b"HEAD")
            or b"redirect-carefully" not in look.environment
        ):
            _addSlash(look)
    elif (
        look.kind == MISSING
        and settings.fallbackResource
        and not look.handler
        and look.internal is None
    ):
        _tryEach(look, (settings.fallbackResource,))


def _addSlash(look: Look) -> None:
    """Redirect to the URL of a directory, with the slash that its path lacks."""
    query = b"" if look.query is None else b"?" + look.query
    look.location = look.authority.url(encodePath(look.uri) + b"/" + query, look.directory)
    look.internal = None
    if look.notes is not None:
        look.notes.moved("", look.uri, look.uri + b"/", "DirectorySlash")


def _tryEach(look: Look, urls: tuple[bytes, ...]) -> None:
    """Become the first of some local URLs that is a file or proxied, or redirect with it."""
    if look.depth >= look.site.host.lookups:
        raise RequestError("DirectoryIndex or FallbackResource leads to itself", 500)
    refusal: RequestError | None = None
    for url in urls:
        if not url.startswith(b"/"):
            url = encodePath(look.uri[: look.uri.rindex(b"/") + 1]) + url
        if look.query is not None:
            url += b"?" + look.query
        try:
            inner = look.site.lookUp(look.inner(url))
        except RequestError as error:
            if error.status != 404:
                refusal = error
            continue
        if inner.location is not None or inner.mapped is not None or inner.kind == FILE:
            _become(look, inner)
            return
    if refusal is not None:
        raise refusal


def _become(look: Look, inner: Look) -> None:
    """Go on as what was looked up, or redirect to it (DirectoryIndexRedirect)."""
    settings = look.directory
    if look.notes is not None:
        field = "directoryIndex" if look.kind == DIRECTORY else "fallbackResource"
        place = (settings.places or {}).get(field, "")
        look.notes.moved(place, look.uri, inner.uri, "DirectoryIndex")
    status = settings.indexRedirect if look.kind == DIRECTORY else 0
    if inner.location is not None:
        look.location, look.status, look.internal = inner.location, inner.status, None
    elif status:
        look.location = look.authority.url(encodePath(inner.uri), settings)
        look.status = status
    else:
        look.adopt(inner)
