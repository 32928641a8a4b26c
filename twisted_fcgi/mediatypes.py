"""
What a file's name says: Content-Type, -Encoding, -Language, and a handler (mod_mime).

All extensions of a name count, in any order, the last that has a meaning for each of
them: ``x.php.txt`` is text that PHP runs if ``.php`` has PHP for a handler.  What
AddType and its like do not say comes from one table of types: TypesConfig's, or
else that of Python and the system with what they lack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from twisted_fcgi.settings import DirectorySettings, ExtensionSettings

__all__ = ["DIRECTORY_TYPE", "Described", "describe", "parseTypes"]

#: The type of a directory (``DIR_MAGIC_TYPE``).
DIRECTORY_TYPE = b"httpd/unix-directory"

# Types of the web that Python and the system's table may lack or name as they once were.
_TYPES = {
    ".avif": "image/avif",
    ".cjs": "text/javascript",
    ".css": "text/css",
    ".gz": "application/gzip",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".ogg": "audio/ogg",
    ".otf": "font/otf",
    ".rss": "application/rss+xml",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}

_TOKEN = rb"[^\s()<>@,;:\\\"/\[\]?=]+"
_TYPE = re.compile(rb"[ \t]*(%b/%b)[ \t]*(;.*)?" % (_TOKEN, _TOKEN), re.DOTALL)
_PARAMETER = re.compile(
    rb";[ \t]*([^\s=;]+)[ \t]*=[ \t]*(\"(?:[^\"\\]|\\.)*\"|[^\s;\"]+)[ \t]*", re.DOTALL
)


class Described(NamedTuple):
    """
    What a name says.

    :ivar type: the Content-Type, or ``None``.
    :ivar encoding: the Content-Encoding, or ``None``.
    :ivar languages: for Content-Language.
    :ivar extension: the row that names a handler, or ``None``.
    """

    type: bytes | None = None
    encoding: bytes | None = None
    languages: tuple[bytes, ...] = ()
    extension: ExtensionSettings | None = None


def describe(
    filename: bytes,
    pathInfo: bytes | None,
    settings: DirectorySettings,
    types: Mapping[bytes, bytes] | None,
) -> Described:
    """
    What a file's or a URL's name says (``find_ct``).

    :param filename: a path without a query; only what follows its last slash counts.
    :param pathInfo: what follows it, which counts with ModMimeUsePathInfo.
    :param types: TypesConfig's.
    """
    if types is None:
        types = _usualTypes()
    rows = settings.extensions.rows if settings.extensions is not None else {}
    if settings.pathInfoHasType and pathInfo:
        filename += pathInfo
    name = filename[filename.rfind(b"/") + 1 :].lstrip(b".")
    kind: bytes | None = None
    encodings: list[bytes] = []
    languages: list[bytes] = []
    charset: bytes | None = None
    extension: ExtensionSettings | None = None
    for part in name.lower().split(b".")[1:]:
        row = rows.get(part)
        if row is None:
            kind = types.get(part, kind)
            continue
        kind = types.get(part, kind) if row.type is None else row.type or kind
        charset = charset if row.charset is None else row.charset
        if row.language is not None:
            languages.append(row.language)
        if row.encoding is not None:
            encodings.append(row.encoding)
        if row.handler is not None:
            extension = row
    if kind is not None and (charset is not None or b";" in kind):
        kind = _withCharset(kind, charset)
    if not languages and settings.defaultLanguage is not None:
        languages.append(settings.defaultLanguage)
    return Described(kind, b", ".join(encodings) or None, tuple(languages), extension)


def _withCharset(kind: bytes, charset: bytes | None) -> bytes:
    """A type with its parameters in their usual form, and a charset in place of its own."""
    match = _TYPE.fullmatch(kind)
    if match is None:
        return kind
    made = match[1]
    for name, value in _PARAMETER.findall(match[2] or b""):
        if charset is not None and name == b"charset":
            value, charset = charset, None
        made += b"; %b=%b" % (name, value)
    return made if charset is None else made + b"; charset=" + charset


@cache
def _usualTypes() -> Mapping[bytes, bytes]:
    """Types by extension: Python's, then the system's, then those of the web."""
    import mimetypes  # only for files

    types = {name[1:].encode(): kind.encode() for name, kind in mimetypes.types_map.items()}
    # To name a program is for AddType; Python 3.14 has one for every site's PHP.
    types.pop(b"php", None)
    for file in mimetypes.knownfiles:
        try:
            with open(file, "rb") as table:
                types.update(parseTypes(table.read()))
        except OSError:
            continue  # most of them are other systems'
    types.update((name[1:].encode(), kind.encode()) for name, kind in _TYPES.items())
    return types


def parseTypes(text: bytes) -> dict[bytes, bytes]:
    """A table in the form of ``mime.types``: a type and its extensions in each line."""
    types: dict[bytes, bytes] = {}
    for line in text.splitlines():
        if line.startswith(b"#"):
            continue
        kind, *extensions = line.split() or [b""]
        types.update((extension.lower(), kind) for extension in extensions)
    return types
