"""
What an expression can ask: one table each of variables, functions and operators.

A row is a name, what it does, and a line of documentation; the reference and the
suggestions in error messages are made from the rows.  Names of variables and
functions are compared without case, those of unary operators with it, as httpd does.

What an expression sees of a request is a :class:`Context`.  Evaluation of a bad
value never fails: it gives an empty word or a false condition, as httpd has it,
except for :class:`EvaluationError`, which fails the request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import os
import re
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted_fcgi.pcre import Match, compileWildcards
from twisted_fcgi.uri import encodePath, unescape

__all__ = [
    "BINARY",
    "FUNCTIONS",
    "UNARY",
    "VARIABLES",
    "Condition",
    "Context",
    "EvaluationError",
    "Operand",
    "Word",
]

#: httpd's limit for file().
MAX_FILE_SIZE = 10 * 1024 * 1024


class EvaluationError(Exception):
    """An expression failed while a request was served; the request fails with it."""


class Context(Protocol):
    """
    What an expression sees of a request.

    :ivar match: the last match of a regular expression with groups.
    :ivar now: seconds since the epoch.
    """

    match: Match | None
    now: float

    def variable(self, name: bytes) -> bytes | None:
        """The value of one of the request's variables in :data:`VARIABLES`."""

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        """A request header; ``vary``: the response depends on it from now on."""

    def responseHeader(self, name: bytes) -> bytes | None:
        """A response header."""

    def environment(self, name: bytes) -> bytes | None:
        """A variable set for this request."""

    def note(self, name: bytes) -> bytes | None:
        """A note of this request."""

    def reachable(self, target: bytes, isFile: bool) -> bool:
        """Whether a request for this local URL or file would be served."""


Condition = Callable[[Context], bool]
Word = Callable[[Context], bytes]


@dataclass(frozen=True)
class Operand:
    """
    A compiled word.

    :ivar constant: its value, when it does not depend on a request.
    """

    evaluate: Word
    constant: bytes | None = None

    @classmethod
    def ofConstant(cls, value: bytes) -> Operand:
        """A word that is always the same."""
        return cls(lambda context: value, value)


@dataclass(frozen=True)
class Variable:
    """A row of :data:`VARIABLES`."""

    name: bytes
    evaluate: Word
    doc: str


@dataclass(frozen=True)
class Function:
    """A row of :data:`FUNCTIONS`."""

    name: bytes
    call: Callable[[Context, bytes], bytes]
    doc: str


@dataclass(frozen=True)
class Operator:
    """
    A row of :data:`UNARY` or :data:`BINARY`.

    :ivar prepare: makes the condition of the operand (on the right), and of the
        left word for a binary one; raises :exc:`ValueError` for a bad constant.
    """

    name: bytes
    prepare: Callable[..., Condition]
    doc: str


# Variables.


def _requestVariable(name: bytes) -> Word:
    return lambda context: context.variable(name) or b""


def _headerVariable(header: bytes) -> Word:
    return lambda context: context.header(header) or b""


def _timeVariable(form: str) -> Word:
    return lambda context: time.strftime(form, time.localtime(context.now)).encode("ascii")


VARIABLES: dict[bytes, Variable] = {
    row.name: row
    for row in [
        *(
            Variable(name, _requestVariable(name), doc)
            for name, doc in (
                (b"REQUEST_METHOD", "the method"),
                (b"REQUEST_SCHEME", "http or https"),
                (b"REQUEST_URI", "the decoded path"),
                (b"REQUEST_FILENAME", "the file, or the URL of the application"),
                (b"SCRIPT_FILENAME", "the same as REQUEST_FILENAME"),
                (b"LAST_MODIFIED", "the file's time, as 20101231235959"),
                (b"SCRIPT_USER", "the name of the file's owner"),
                (b"SCRIPT_GROUP", "the name of the file's group"),
                (b"PATH_INFO", "the path behind the script"),
                (b"QUERY_STRING", "the query, as sent"),
                (b"IS_SUBREQ", "false: there are no subrequests"),
                (b"THE_REQUEST", "the whole request line"),
                (b"REMOTE_ADDR", "the client's address"),
                (b"REMOTE_PORT", "the client's port"),
                (b"REMOTE_HOST", "the client's address: names are not looked up"),
                (b"REMOTE_USER", "the authenticated user"),
                (b"REMOTE_IDENT", "empty: RFC 1413 is not asked"),
                (b"SERVER_NAME", "the server's name"),
                (b"SERVER_PORT", "the server's port"),
                (b"SERVER_ADMIN", "ServerAdmin"),
                (b"SERVER_PROTOCOL", "HTTP/1.1 and so on"),
                (b"SERVER_SOFTWARE", "our name and version"),
                (b"DOCUMENT_ROOT", "DocumentRoot"),
                (b"AUTH_TYPE", "the kind of authentication"),
                (b"CONTENT_TYPE", "the response's type: mostly not known yet"),
                (b"HANDLER", "what serves the request"),
                (b"HTTP2", "on over HTTP/2"),
                (b"HTTPS", "on over TLS, else off"),
                (b"IPV6", "on when the client came over IPv6"),
                (b"REQUEST_STATUS", "the response's status"),
                (b"REQUEST_LOG_ID", "the request's name in the error log"),
                (b"CONN_LOG_ID", "the connection's name in the error log"),
                (b"CONN_REMOTE_ADDR", "the address of the connection's other end"),
                (b"CONTEXT_PREFIX", "the prefix of Alias"),
                (b"CONTEXT_DOCUMENT_ROOT", "the directory of Alias, else DocumentRoot"),
                (b"DOCUMENT_URI", "the same as REQUEST_URI"),
                (b"API_VERSION", "httpd's module magic number that we follow"),
            )
        ),
        *(
            Variable(name, _headerVariable(header), f"the request header {header.decode()}")
            for name, header in (
                (b"HTTP_ACCEPT", b"Accept"),
                (b"HTTP_COOKIE", b"Cookie"),
                (b"HTTP_FORWARDED", b"Forwarded"),
                (b"HTTP_HOST", b"Host"),
                (b"HTTP_PROXY_CONNECTION", b"Proxy-Connection"),
                (b"HTTP_REFERER", b"Referer"),
                (b"HTTP_USER_AGENT", b"User-Agent"),
            )
        ),
        *(
            Variable(name, _timeVariable(form), doc)
            for name, form, doc in (
                (b"TIME_YEAR", "%Y", "the year"),
                (b"TIME_MON", "%m", "the month, 01 to 12"),
                (b"TIME_DAY", "%d", "the day, 01 to 31"),
                (b"TIME_HOUR", "%H", "the hour, 00 to 23"),
                (b"TIME_MIN", "%M", "the minute"),
                (b"TIME_SEC", "%S", "the second"),
                (b"TIME_WDAY", "%w", "the day of the week; Sunday is 0"),
                (b"TIME", "%Y%m%d%H%M%S", "all of them, as 20101231235959"),
            )
        ),
    ]
}


# Functions.


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
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE_SIZE:
                raise EvaluationError(f"file(): {path!r} is over {MAX_FILE_SIZE} bytes")
            return file.read(MAX_FILE_SIZE).split(b"\0", 1)[0]
    except (OSError, ValueError) as error:
        raise EvaluationError(f"file(): {error}") from None


def _status(path: bytes, follow: bool = True) -> os.stat_result | None:
    try:
        return os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError):
        return None


def _filesize(context: Context, path: bytes) -> bytes:
    status = _status(path)
    return b"%d" % status.st_size if status is not None and stat.S_ISREG(status.st_mode) else b"0"


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
        Function(b"file", _file, "the content of a file"),
        Function(b"filesize", _filesize, "the size of a file; 0 without one"),
    )
}


# Operators.


def _network(operand: Operand) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A constant subnet, as ``10.0.0.0/8``, ``10.0.0.0/255.0.0.0``, ``10.1`` or an address."""
    if operand.constant is None:
        raise ValueError("a subnet has to be constant")
    text = operand.constant.decode("latin-1")
    address, slash, mask = text.partition("/")
    if not slash and ":" not in address and 0 < address.count(".") < 3:
        # apr_ipsubnet_create: fewer than four numbers name the network that begins so.
        numbers = address.rstrip(".").split(".")
        address, mask = ".".join(numbers + ["0"] * (4 - len(numbers))), str(8 * len(numbers))
        slash = "/"
    try:
        return ipaddress.ip_network(address + slash + mask, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no subnet or address") from None


def _within(network: ipaddress.IPv4Network | ipaddress.IPv6Network, word: bytes) -> bool:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in network


def _prepareClient(operand: Operand) -> Condition:
    network = _network(operand)
    return lambda context: _within(network, context.variable(b"REMOTE_ADDR") or b"")


def _prepareAddress(operand: Operand, left: Word) -> Condition:
    network = _network(operand)
    return lambda context: _within(network, left(context))


def _prepareWildcard(slashes: bool, caseless: bool) -> Callable[[Operand, Word], Condition]:
    def prepare(operand: Operand, left: Word) -> Condition:
        if operand.constant is not None:
            search = compileWildcards(operand.constant, slashes=slashes, ignoreCase=caseless).search
            return lambda context: search(left(context)) is not None
        right = operand.evaluate

        def isLike(context: Context) -> bool:
            like = compileWildcards(right(context), slashes=slashes, ignoreCase=caseless)
            return like.search(left(context)) is not None

        return isLike

    return prepare


def _prepareFile(
    test: Callable[[os.stat_result], bool], follow: bool = True
) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate

        def holds(context: Context) -> bool:
            status = _status(word(context), follow)
            return status is not None and test(status)

        return holds

    return prepare


def _prepareReachable(isFile: bool) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate
        return lambda context: context.reachable(word(context), isFile)

    return prepare


_FALSE_WORDS = frozenset((b"", b"0", b"off", b"false", b"no"))


def _prepareTruth(operand: Operand) -> Condition:
    word = operand.evaluate
    return lambda context: word(context).lower() not in _FALSE_WORDS


def _prepareEmpty(empty: bool) -> Callable[[Operand], Condition]:
    def prepare(operand: Operand) -> Condition:
        word = operand.evaluate
        return lambda context: (not word(context)) is empty

    return prepare


_isLink = _prepareFile(lambda status: stat.S_ISLNK(status.st_mode), follow=False)

UNARY: dict[bytes, Operator] = {
    row.name: row
    for row in (
        Operator(b"-n", _prepareEmpty(False), "the word is not empty"),
        Operator(b"-z", _prepareEmpty(True), "the word is empty"),
        Operator(b"-T", _prepareTruth, "the word is none of: empty, 0, off, false, no"),
        Operator(b"-R", _prepareClient, "the client's address is in the subnet"),
        Operator(b"-d", _prepareFile(lambda s: stat.S_ISDIR(s.st_mode)), "a directory"),
        Operator(b"-e", _prepareFile(lambda s: True), "a file, directory or special file"),
        Operator(b"-f", _prepareFile(lambda s: stat.S_ISREG(s.st_mode)), "a regular file"),
        Operator(
            b"-s",
            _prepareFile(lambda s: stat.S_ISREG(s.st_mode) and s.st_size > 0),
            "a regular file that is not empty",
        ),
        Operator(b"-L", _isLink, "a symbolic link"),
        Operator(b"-h", _isLink, "a symbolic link"),
        Operator(b"-x", _prepareFile(lambda s: s.st_mode & 0o111 != 0, follow=False), "executable"),
        Operator(b"-F", _prepareReachable(True), "a file that a request would get"),
        Operator(b"-U", _prepareReachable(False), "a local URL that a request would get"),
        Operator(b"-A", _prepareReachable(False), "the same as -U"),
    )
}

BINARY: dict[bytes, Operator] = {
    row.name: row
    for row in (
        Operator(b"-ipmatch", _prepareAddress, "the address is in the subnet"),
        Operator(b"-strmatch", _prepareWildcard(True, False), "the text is like the wildcards"),
        Operator(b"-strcmatch", _prepareWildcard(True, True), "the same without case"),
        Operator(b"-fnmatch", _prepareWildcard(False, False), "the same; * does not match a slash"),
    )
}
