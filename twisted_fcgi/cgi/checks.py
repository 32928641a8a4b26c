"""
What a health check asks an application, and what its answer says.

httpd has no way to check an application by FastCGI: mod_proxy_hcheck sends plain HTTP to
whatever a member is.  Here OPTIONS, HEAD and GET are CGI requests, as complete as a
client's, for the path ``hcuri`` below that of the member's URL.  It is told as SCRIPT_NAME,
which is what php-fpm compares with ``ping.path`` and ``pm.status_path``, and below the
URL's path as SCRIPT_FILENAME.

Limits: of a body :data:`MAX_BODY` bytes are kept for an expression; a longer one is read
to its end all the same.
"""

from __future__ import annotations

import json
import re
import time

from twisted_fcgi import __version__
from twisted_fcgi.balance import PoolFigures
from twisted_fcgi.expr import EvaluationError
from twisted_fcgi.message import ResponseHead
from twisted_fcgi.pcre import Match
from twisted_fcgi.settings import CheckSettings, MemberSettings
from twisted_fcgi.wire import Pair

__all__ = ["MAX_BODY", "CheckAnswer", "checkVariables", "complaint", "poolFigures"]

#: Bytes of an answer's body that are kept.
MAX_BODY = 65536

_SOFTWARE = b"twisted_fcgi/" + __version__.encode("ascii")

#: What a member's URL begins with: scheme, host, port.
_AUTHORITY = re.compile(r"[^:]+://[^/]*")


def checkVariables(member: MemberSettings) -> list[Pair]:
    """The variables of the request that checks a member."""
    check = member.check
    root = _AUTHORITY.sub("", member.url, 1).rstrip("/")
    uri = check.uri
    if not uri.startswith("/"):
        uri = f"/{uri}"
    path, _, query = uri.partition("?")
    host = member.host if member.socket is not None else f"{member.host}:{member.port}"
    variables = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "REQUEST_METHOD": check.method.request,
        "REQUEST_URI": uri,
        "QUERY_STRING": query,
        "SCRIPT_NAME": path,
        "SCRIPT_FILENAME": root + path,
        "DOCUMENT_ROOT": root or "/",
        "REQUEST_SCHEME": "http",
        "SERVER_PROTOCOL": check.method.protocol,
        "SERVER_NAME": member.host,
        "SERVER_PORT": str(member.port),
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
    }
    pairs = [(n.encode(), v.encode("utf-8", "surrogateescape")) for n, v in variables.items()]
    return [
        *pairs,
        (b"SERVER_SOFTWARE", _SOFTWARE),
        (b"HTTP_USER_AGENT", _SOFTWARE + b" (health check)"),
    ]


class CheckAnswer:
    """
    What an application answered; the :class:`~twisted_fcgi.expr.Context` of ProxyHCExpr.

    :ivar body: its first :data:`MAX_BODY` bytes.
    :ivar length: how many there were.
    """

    def __init__(self, settings: CheckSettings, head: ResponseHead) -> None:
        self.match: Match | None = None
        self.now = time.time()
        self.head = head
        self.body = bytearray()
        self.length = 0
        self._settings = settings

    def receive(self, data: bytes) -> None:
        """A part of the body came."""
        self.length += len(data)
        self.body += data[: MAX_BODY - len(self.body)]

    def variable(self, name: bytes) -> bytes | None:
        if name == b"REQUEST_STATUS":
            return b"%d" % self.head.status
        if name == b"CONTENT_TYPE":
            return self.responseHeader(b"content-type")
        if name == b"REQUEST_METHOD":
            return self._settings.method.request.encode("ascii")
        if name == b"SERVER_PROTOCOL":
            return self._settings.method.protocol.encode("ascii")
        return _SOFTWARE if name == b"SERVER_SOFTWARE" else None

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        return None

    def responseHeader(self, name: bytes) -> bytes | None:
        return self.head.headers.get(name.lower())

    def environment(self, name: bytes) -> bytes | None:
        return None

    def note(self, name: bytes) -> bytes | None:
        return None

    def reachable(self, target: bytes, isFile: bool) -> bool:
        return False

    def checkedBody(self) -> bytes:
        return bytes(self.body)


def complaint(settings: CheckSettings, answer: CheckAnswer) -> str:
    """
    Why an answer fails a check.

    :returns: empty when it passes.
    """
    status, expression = answer.head.status, settings.expression
    if expression is None:
        return "" if 200 <= status <= 399 else f"answered with {status}"
    try:
        holds = expression.holds(answer)
    except EvaluationError as error:
        return f"ProxyHCExpr {expression.name}: {error}"
    return "" if holds else f"answered with {status}, which ProxyHCExpr {expression.name} refuses"


#: The names of php-fpm's status page, in the order of the fields.
_FIGURES = (
    "active processes",
    "idle processes",
    "listen queue",
    "max listen queue",
    "max children reached",
    "slow requests",
)


def poolFigures(answer: CheckAnswer) -> PoolFigures | None:
    """What php-fpm says of a pool (``pm.status_path`` with ``?json``); ``None`` if it does not."""
    kind = answer.responseHeader(b"content-type") or b""
    if answer.length > MAX_BODY or kind.partition(b";")[0].strip() != b"application/json":
        return None
    try:
        page = json.loads(answer.checkedBody())
        pool, *numbers = (page[name] for name in ("pool", *_FIGURES))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not isinstance(pool, str) or not all(type(number) is int for number in numbers):
        return None
    return PoolFigures(pool, *numbers)
