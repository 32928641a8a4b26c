"""
What is said of a body that an application or a file has (``ap_http_header_filter``).

Content-Type, where the script gave none: ForceType's, or by the URL's name; its charset
by AddDefaultCharset; Content-Language and Content-Encoding by the name's other extensions.
"""

from __future__ import annotations

from twisted_fcgi.headers import Headers
from twisted_fcgi.mediatypes import describe
from twisted_fcgi.message import Route

__all__ = ["addMetadata"]


def addMetadata(headers: Headers, route: Route) -> None:
    """Complete the header fields about a body, in place."""
    settings = route.directory
    told = route.described
    if told is None:
        told = describe(route.filename, route.pathInfo, settings, route.host.types)
    given = headers.get(b"content-type")
    kind = (settings.forcedType or told.type) if given is None else given
    charset = settings.defaultCharset
    if charset and kind:
        lower = kind.lower()
        if b"charset=" not in lower and (b"text/plain" in lower or b"text/html" in lower):
            kind += b"; charset=" + charset
    if kind and kind is not given:
        headers.set(b"Content-Type", kind)
    if told.encoding is not None:
        headers.set(b"Content-Encoding", told.encoding)
    if told.languages:
        languages = list(told.languages)
        known = {language.lower() for language in languages}
        for language in (headers.get(b"content-language") or b"").split(b","):
            if language.strip() and language.strip().lower() not in known:
                languages.append(language.strip())
        headers.set(b"Content-Language", b",".join(languages))
