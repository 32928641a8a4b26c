"""
Request targets, paths and authorities: what the bytes of a URL mean.

One rule holds it together: a path is decoded exactly once.  Escapes are checked,
dot segments and doubled slashes are removed while reserved characters are still
encoded, then everything is decoded; what comes out is mapped, matched and refused
as it is, and never decoded again.  Where an application wants it encoded, it is
encoded anew by :func:`encodeForProxy`.

The order and the refusals are httpd 2.4's (``ap_parse_uri``, ``ap_normalize_path``,
``ap_unescape_url_ex``, ``ap_proxy_canonenc_ex``) but for these: an escaped NUL, CR or
LF is refused with 400, since a path with a line end defeats the expressions that
split it (CVE-2019-11043) and a NUL ends it early elsewhere; so is an empty host in
an absolute target (RFC 9110, 4.2.1).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from twisted_fcgi.errors import BadRequest
from twisted_fcgi.settings import EncodedSlashes

__all__ = [
    "Target",
    "decodePath",
    "encodeForProxy",
    "encodePath",
    "mergeSlashes",
    "normalizePath",
    "parseAuthority",
    "parseTarget",
    "partitionSocket",
    "roughPath",
    "unescape",
]


class Target(NamedTuple):
    """
    A request target, taken apart (RFC 9112, 3.2).

    :ivar scheme: ``http`` or ``https`` for the absolute form, else ``None``.
    :ivar authority: what follows ``//`` in the absolute form, else ``None``.
    :ivar path: still encoded, with one slash at its beginning; or ``*``.
    :ivar query: as sent; ``None`` without a ``?``.
    """

    scheme: bytes | None
    authority: bytes | None
    path: bytes
    query: bytes | None


_NO_PART_OF_A_TARGET = re.compile(rb"[\x00-\x20\x7f#]")
_ABSOLUTE = re.compile(rb"(https?):(?://([^/?]*))?(/[^?]*)?(?:\?(.*))?", re.I | re.S)


def parseTarget(method: bytes, target: bytes) -> Target:
    """
    Take a request target apart.

    :raises BadRequest: when it is none that we serve.
    """
    if _NO_PART_OF_A_TARGET.search(target):
        raise BadRequest("control character, space or fragment in the request target")
    if target[:1] in (b"/", b"?"):
        if method == b"CONNECT":
            raise BadRequest("CONNECT with a path")
        # A path, even if it begins with "//": never an authority.
        path, mark, query = target.partition(b"?")
        if path[1:2] == b"/" or not path:
            path = b"/" + path.lstrip(b"/")
        return Target(None, None, path, query if mark else None)
    if target == b"*" and method == b"OPTIONS":
        return Target(None, None, target, None)
    if method == b"CONNECT":
        return Target(None, target, b"/", None)
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise BadRequest("the request target is neither a path nor an http URL")
    scheme, authority, path, query = match.groups()
    return Target(scheme.lower(), authority, path or b"/", query)


_AUTHORITY = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::0*([0-9]{1,5}))?",
)
_DOTTED_DECIMAL = re.compile(rb"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){3}")


def parseAuthority(value: bytes) -> tuple[bytes, int | None]:
    """
    A ``Host`` field's or an absolute target's host and port.

    Names are held to httpd's strict rules: letters, digits, ``-``, ``_`` and single
    dots; a top-level domain begins with a letter; numbers alone are no name.

    :returns: the host in lower case, without brackets and final dot, and the port,
        ``None`` when none is given.
    :raises BadRequest: for anything else.
    """
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        raise BadRequest("malformed host")
    literal, name, digits = match.groups()
    port = int(digits) if digits is not None else None
    if port is not None and not 0 < port < 65536:
        raise BadRequest("port of the host out of range")
    if literal is not None:
        if literal.count(b"::") > 1 or b":::" in literal or b":." in literal or b".." in literal:
            raise BadRequest("malformed IPv6 address")
        return literal.lower(), port
    if b".." in name:
        raise BadRequest("empty label in the host's name")
    host = name.lower().removesuffix(b".")
    if not host.strip(b"0123456789."):
        if _DOTTED_DECIMAL.fullmatch(host) is None:
            raise BadRequest("a number is no host's name")
    elif b"." in host and not host.rpartition(b".")[2][:1].isalpha():
        raise BadRequest("top-level domain without a letter at its beginning")
    return host, port


_HEX = b"0123456789ABCDEFabcdef"
_DECODED = {
    b"%%%c%c" % (high, low): bytes.fromhex(chr(high) + chr(low)) for high in _HEX for low in _HEX
}
_ESCAPE = re.compile(rb"%[0-9A-Fa-f]{2}")
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_DOT = re.compile(rb"%2[Ee]")
_ENCODED_SLASH = re.compile(rb"%2[Ff]")
_ENCODED_LINE_END = re.compile(rb"%0[0AaDd]")
_UNRESERVED_ESCAPE = re.compile(
    rb"%(?:2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
)
_NOT_SLASH_ESCAPE = re.compile(rb"%(?!2[Ff])[0-9A-Fa-f]{2}")
_SLASHES = re.compile(rb"//+")
_SAFE_ESCAPE = re.compile(rb"%(?!2[Ff]|0[0AaDd])[0-9A-Fa-f]{2}")


def _decoded(match: re.Match[bytes]) -> bytes:
    return _DECODED[match[0]]


def decodePath(
    path: bytes, slashes: EncodedSlashes = EncodedSlashes.OFF, mergeSlashes: bool = True
) -> bytes:
    """
    A target's path, normalised and decoded.

    :param slashes: what an encoded slash means (AllowEncodedSlashes).
    :param mergeSlashes: whether several slashes count as one (MergeSlashes).
    :raises BadRequest: 400 for a bad escape, a path above the root, NUL, CR or LF;
        404 for an encoded slash that is not allowed.
    """
    if b"%" not in path:
        return _withoutDots(path, mergeSlashes)
    if _NO_ESCAPE.search(path):
        raise BadRequest("bad escape in the path")
    if _ENCODED_LINE_END.search(path):
        raise BadRequest("NUL, CR or LF in the path")
    # Of the characters that RFC 3986 calls unreserved, only dots shape a path.
    path = _withoutDots(_ENCODED_DOT.sub(b".", path), mergeSlashes)
    if slashes is EncodedSlashes.NODECODE:
        return _NOT_SLASH_ESCAPE.sub(_decoded, path)
    if _ENCODED_SLASH.search(path) is None:
        return _ESCAPE.sub(_decoded, path)
    if slashes is EncodedSlashes.OFF:
        raise BadRequest("encoded slash in the path", 404)
    return _withoutDots(_ESCAPE.sub(_decoded, path), mergeSlashes)


def normalizePath(path: bytes, mergeSlashes: bool = True) -> bytes:
    """
    A target's path, normalised but not decoded (``ap_normalize_path``).

    Only what RFC 3986 calls unreserved is decoded (6.2.2.2).

    :raises BadRequest: for a bad escape, or a path above the root.
    """
    if b"%" in path:
        if _NO_ESCAPE.search(path):
            raise BadRequest("bad escape in the path")
        path = _UNRESERVED_ESCAPE.sub(_decoded, path)
    return _withoutDots(path, mergeSlashes)


def roughPath(path: bytes) -> bytes:
    """
    What to call a path that can't be decoded: as much of it as httpd understands.

    No line end comes into it; and it never leads above the root.
    """
    path = _UNRESERVED_ESCAPE.sub(_decoded, path)
    kept: list[bytes] = []
    isAbove = False
    for segment in path.split(b"/"):
        if segment == b"..":
            isAbove = isAbove or not kept
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    slash = b"/" if kept and path.endswith((b"/", b"/.", b"/..")) else b""
    path = b"/" + b"/".join(kept) + slash
    if isAbove or _NO_ESCAPE.search(path) or _ENCODED_LINE_END.search(path):
        return path
    return _ESCAPE.sub(_decoded, path)


def _withoutDots(path: bytes, mergeSlashes: bool) -> bytes:
    """Remove ``.`` and ``..`` segments (RFC 3986, 5.2.4) and doubled slashes."""
    if b"/." not in path and b"//" not in path:
        return path
    kept: list[bytes] = []
    segments = path.split(b"/")
    last = segments.pop()
    for segment in segments[1:]:
        if segment == b"..":
            if not kept:
                raise BadRequest("path above the root")
            kept.pop()
        elif segment != b"." and (segment or not mergeSlashes):
            kept.append(segment)
    if last in (b".", b".."):
        if last == b"..":
            if not kept:
                raise BadRequest("path above the root")
            kept.pop()
        last = b""
    return b"/".join([b"", *kept, last])


def mergeSlashes(path: bytes) -> bytes:
    """A path with one slash in the place of several."""
    return _SLASHES.sub(b"/", path) if b"//" in path else path


def unescape(path: bytes) -> bytes:
    """
    Decode what :func:`encodeForProxy` encoded (``ap_unescape_url_keep2f``).

    An encoded slash stays; so does a ``%`` that begins no escape, and what would
    become a NUL or a line end: that was encoded twice.
    """
    return _SAFE_ESCAPE.sub(_decoded, path) if b"%" in path else path


_UNSAFE = re.compile(rb"[^A-Za-z0-9$_.+!*'(),;:@&=/~-]")
_UNSAFE_BUT_SLASH = re.compile(rb"%2[Ff]|[^A-Za-z0-9$_.+!*'(),;:@&=/~-]")


def encodeForProxy(path: bytes, keepEncodedSlashes: bool = False) -> bytes:
    """
    Encode a decoded path for an application (``ap_proxy_canonenc_ex``).

    :param keepEncodedSlashes: ``%2F`` in it was not decoded and is not encoded again.
    """
    if _UNSAFE.search(path) is None:
        return path
    pattern = _UNSAFE_BUT_SLASH if keepEncodedSlashes else _UNSAFE
    return pattern.sub(lambda m: m[0] if len(m[0]) > 1 else b"%%%02X" % m[0][0], path)


def encodePath(path: bytes) -> bytes:
    """Encode a decoded path for a client (``ap_escape_uri``)."""
    return _UNSAFE.sub(lambda m: b"%%%02x" % m[0][0], path)


def partitionSocket(url: bytes) -> tuple[bytes | None, bytes]:
    """
    The UNIX socket of an application's URL, and the URL itself (``fixup_uds_filename``).

    :param url: ``fcgi://host/path``, or ``unix:/socket|fcgi:`` with or without a host.
    :returns: ``None`` for no socket; the URL has a host.
    """
    if url[:5].lower() != b"unix:" or b"|" not in url:
        return None, url
    socket, _, url = url[5:].partition(b"|")
    scheme, _, rest = url.partition(b":")
    return socket, scheme + b"://localhost" if rest in (b"", b"//") else url
