"""
An application's URL in its final form (mod_proxy_fcgi: ``proxy_fcgi_canon``).

What a mapping or a handler made of a path is encoded, unless it is passed as it was sent,
and the variable proxy-fcgi-pathinfo may say where the script's name ends in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.routing.files import FILE, locate
from twisted_fcgi.settings import BackendType, DirectorySettings, EncodedSlashes
from twisted_fcgi.uri import encodeForProxy, mergeSlashes, unescape

if TYPE_CHECKING:
    from twisted_fcgi.routing.look import Look
    from twisted_fcgi.routing.mapping import Destination

__all__ = ["nameUrl"]

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_CONTROL_OR_QUERY = re.compile(rb"[\x00-\x1f\x7f?]")


def nameUrl(
    look: Look, destination: Destination, path: bytes, raw: bool, settings: DirectorySettings
) -> None:
    """
    Give a look the application's URL as its filename.

    :param path: of the URL: decoded unless ``raw``, with a slash at its beginning or empty.
    :raises RequestError: 403 when it can't be passed.
    """
    if destination.balancer is not None:
        # Encoded for each member that is asked, with that member's path before it.
        look.filename = b"proxy:%b/%b" % (destination.authority, path[1:])
        return
    final = _finalPath(path, raw, settings)
    look.filename = b"proxy:%b%b" % (destination.authority, final)
    mode = look.environment.get(b"proxy-fcgi-pathinfo")
    if mode is None:
        return
    mode = mode.lower()
    pathInfo = None
    if mode == b"full":
        pathInfo, look.script = _findScript(path, look)
    else:
        pathInfo = _splitPathInfo(final, mode)
    if pathInfo is not None or look.script is not None:
        look.pathInfo = pathInfo


def _finalPath(path: bytes, raw: bool, settings: DirectorySettings) -> bytes:
    """
    The path of an application's URL as it is sent.

    :param raw: it is not encoded, but must not hold control characters, nor a
        ``?`` for PHP-FPM, which takes that for the begin of a query.
    :raises RequestError: 403 when it does.
    """
    if not raw:
        path = encodeForProxy(path, settings.encodedSlashes is EncodedSlashes.NODECODE)
    else:
        isGeneric = settings.backendType is BackendType.GENERIC
        if (_CONTROL if isGeneric else _CONTROL_OR_QUERY).search(path):
            raise RequestError("control character or '?' in a path that is passed raw", 403)
    return path or b"/"


def _findScript(path: bytes, look: Look) -> tuple[bytes | None, bytes | None]:
    """
    proxy-fcgi-pathinfo ``full``: the file system says where the script ends.

    :param path: before it was encoded: absolute, or below DocumentRoot.
    :returns: PATH_INFO, and the file that was found.
    """
    path, root = mergeSlashes(b"/" + path), look.site.root
    for folder in (b"",) if root is None else (b"", root):
        try:
            place = locate(folder, path, look.grounds.modeOf)
        except RequestError:
            continue
        if place.kind == FILE:
            return place.pathInfo, place.filename
    return None, None


def _splitPathInfo(path: bytes, mode: bytes) -> bytes | None:
    """
    proxy-fcgi-pathinfo: where the script ends, guessed from the URL's look.

    The rules are fixed texts on bytes, not expressions: an expression that has to
    match the whole path can be made to fail (CVE-2019-11043), and one that ignores
    case can find ``.php`` where the file system does not (CVE-2026-24895).

    :param path: as it is sent.
    :param mode: ``first-dot``, ``last-dot``, ``unescape`` or any other text.
    """
    if mode in (b"first-dot", b"last-dot"):
        dot = path.find(b".") if mode == b"first-dot" else path.rfind(b".")
        slash = path.find(b"/", dot) if dot >= 0 else -1
        return unescape(path[slash:]) if slash >= 0 else None
    return unescape(path) if mode == b"unescape" else path
