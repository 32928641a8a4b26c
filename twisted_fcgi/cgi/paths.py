"""
How paths are spelled for an application: SCRIPT_NAME and SCRIPT_FILENAME.

Both are taken from what routing decided, by comparing and cutting bytes.  No
expression is run over them and nothing is decoded: what splits a URL anew here
could split it in another place than what authorised and mapped it did
(CVE-2019-11043: a line end made such an expression fail, and PHP-FPM was told of
an empty PATH_INFO).
"""

from __future__ import annotations

from twisted_fcgi.message import Route
from twisted_fcgi.settings import BackendType

__all__ = ["scriptFilename", "scriptName"]

#: A member over TLS, which PHP-FPM need not know.
_SECURE = b"proxy:fcgis:"


def scriptName(uri: bytes, pathInfo: bytes | None) -> bytes:
    """
    The part of a path that names the script (``ap_find_path_info``).

    Path and PATH_INFO need not be spelled alike (the latter may be encoded, or have
    another number of slashes), so their common end is what counts; the script's
    name ends at the first slash behind where they begin to differ.
    """
    if not pathInfo:
        return uri
    if uri.endswith(pathInfo) and pathInfo.startswith(b"/") and b"//" not in uri:
        return uri[: -len(pathInfo)]
    inUri, inInfo = len(uri) - 1, len(pathInfo) - 1
    while inUri >= 0 and inInfo >= 0 and uri[inUri] == pathInfo[inInfo]:
        if uri[inUri] == 0x2F:
            while inUri > 0 and uri[inUri - 1] == 0x2F:
                inUri -= 1
        inUri -= 1
        inInfo -= 1
    slash = uri.find(b"/", max(inUri, 0))
    return uri if slash < 0 else uri[:slash]


def scriptFilename(route: Route) -> bytes:
    """
    SCRIPT_FILENAME, as the application's type wants it (mod_proxy_fcgi: ``send_environment``).

    PHP-FPM takes ``proxy:fcgi://host:port/path`` apart itself; any other application
    gets the path alone.
    """
    if route.script is not None:
        return route.script
    filename = route.filename
    if filename.startswith(_SECURE):
        filename = b"proxy:fcgi:" + filename[len(_SECURE) :]  # the one that it knows
    if route.directory.backendType is not BackendType.GENERIC:
        return filename
    path = filename[filename.index(b"/", len(b"proxy:fcgi://")) :]
    if route.query:
        # A path that is passed as it was sent still has its query behind it.
        path = path.removesuffix(b"?" + route.query)
    return path
