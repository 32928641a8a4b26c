"""
The functions of the language: ``name(word)`` and ``%{name:text}``, in any case.

A row is a name, what it does, and a line of documentation.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass

from twisted_fcgi.errors import quoted
from twisted_fcgi.expr.context import Context, EvaluationError, fileStatus
from twisted_fcgi.uri import encodePath, unescape

__all__ = ["FUNCTIONS", "MAX_FILE_SIZE", "Function"]

#: httpd's limit for file().
MAX_FILE_SIZE = 10 * 1024 * 1024


@dataclass(frozen=True)
class Function:
    """
    A row of :data:`FUNCTIONS`.

    :ivar restricted: whether it reads what a ``.htaccess`` must not show (CVE-2026-44119).
    """

    name: bytes
    call: Callable[[Context, bytes], bytes]
    doc: str
    restricted: bool = False


def _requestHeader(context: Context, name: bytes) -> bytes:
    return context.header(name) or b""


def _osEnvironment(context: Context, name: bytes) -> bytes:
    return os.environb.get(name, b"")


def _environment(context: Context, name: bytes) -> bytes:
    value = context.note(name)
    if value is None:
        value = context.environment(name)
    return _osEnvironment(context, name) if value is None else value


_BAD_ESCAPE = re.compile(rb"%(?:00|(?![0-9A-Fa-f]{2}))").search


def _unescape(context: Context, text: bytes) -> bytes:
    return b"" if _BAD_ESCAPE(text) else unescape(text)


_BASE64 = re.compile(rb"[A-Za-z0-9+/]*")


def _unbase64(context: Context, text: bytes) -> bytes:
    # apr_base64_decode reads up to the first character that is none of its own.
    match = _BASE64.match(text)
    digits = b"" if match is None else match.group()
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    decoded = binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))
    return decoded.split(b"\0", 1)[0]


_LDAP_SPECIAL = re.compile(rb"[\x00-\x1f*()\\\x7f-\xff\"+,;<=>/#]")


def _ldap(context: Context, text: bytes) -> bytes:
    return _LDAP_SPECIAL.sub(lambda match: b"\\%02x" % match.group()[0], text)


def _file(context: Context, path: bytes) -> bytes:
    try:
        # Nobody waits for who writes to a pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise EvaluationError(f"file(): {quoted(path)} is no regular file")
            if status.st_size > MAX_FILE_SIZE:
                raise EvaluationError(f"file(): {quoted(path)} is over {MAX_FILE_SIZE} bytes")
            return file.read(MAX_FILE_SIZE).split(b"\0", 1)[0]
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise EvaluationError(f"file(): {quoted(path)}: {why}") from None


def _filesize(context: Context, path: bytes) -> bytes:
    status = fileStatus(path)
    return b"%d" % status.st_size if status is not None and stat.S_ISREG(status.st_mode) else b"0"


def _checked(context: Context, name: bytes) -> bytes:
    return context.checkedBody() if name.lower() == b"body" else b""


FUNCTIONS: dict[bytes, Function] = {
    row.name: row
    for row in (
        Function(b"req", _requestHeader, "a request header; the response then varies with it"),
        Function(b"http", _requestHeader, "the same as req"),
        Function(
            b"req_novary",
            lambda context, name: context.header(name, vary=False) or b"",
            "a request header, without a Vary for it",
        ),
        Function(
            b"resp",
            lambda context, name: context.responseHeader(name) or b"",
            "a response header",
        ),
        Function(
            b"reqenv",
            lambda context, name: context.environment(name) or b"",
            "a variable of the request",
        ),
        Function(b"osenv", _osEnvironment, "a variable of the process's environment"),
        Function(b"env", _environment, "note, reqenv or osenv, whichever has it first"),
        Function(b"note", lambda context, name: context.note(name) or b"", "a note of the request"),
        Function(b"hc", _checked, "with body: what answered a health check (ProxyHCExpr)"),
        Function(b"tolower", lambda context, text: text.lower(), "in lower case (ASCII)"),
        Function(b"toupper", lambda context, text: text.upper(), "in upper case (ASCII)"),
        Function(
            b"escape", lambda context, text: encodePath(text), "with %hex for what is special"
        ),
        Function(b"unescape", _unescape, "without %hex, but %2F stays; empty when it is bad"),
        Function(b"base64", lambda context, text: base64.b64encode(text), "in Base64"),
        Function(b"unbase64", _unbase64, "from Base64"),
        Function(
            b"md5",
            lambda context, text: hashlib.md5(text, usedforsecurity=False).hexdigest().encode(),
            "the MD5 sum in hexadecimal digits",
        ),
        Function(
            b"sha1",
            lambda context, text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode(),
            "the SHA-1 sum in hexadecimal digits",
        ),
        Function(b"ldap", _ldap, "escaped for an LDAP filter or name (RFC 4514, RFC 4515)"),
        Function(b"file", _file, "the content of a file", restricted=True),
        Function(b"filesize", _filesize, "the size of a file; 0 without one", restricted=True),
    )
}
