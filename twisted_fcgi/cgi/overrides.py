"""
ProxyFCGISetEnvIf: the configuration's last word on an application's variables.

The lines run in their order, over the variables as they would be sent, so that a
later one sees what an earlier one did.  A condition that reads a request header
makes the response vary with it (RFC 9110, 12.5.5); a value that does, does not, as
in httpd.
"""

from __future__ import annotations

import time

from twisted_fcgi import __version__
from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr import EvaluationError
from twisted_fcgi.message import Request, Route
from twisted_fcgi.pcre import Match
from twisted_fcgi.settings import VariableOverride

__all__ = ["RequestContext", "override"]


class RequestContext:
    """
    What an expression sees of a request to an application.

    :param table: the application's variables.
    :ivar vary: the names of the request headers that were read.
    """

    def __init__(self, request: Request, route: Route, table: dict[bytes, bytes]) -> None:
        self.match: Match | None = None
        self.now = time.time()
        self.vary: list[bytes] = []
        self._request = request
        self._route = route
        self._table = table

    def variable(self, name: bytes) -> bytes | None:
        request, route, table = self._request, self._route, self._table
        if name in (b"REQUEST_FILENAME", b"SCRIPT_FILENAME"):
            return route.filename
        if name in (b"REQUEST_URI", b"DOCUMENT_URI"):
            return route.uri
        if name in (b"REMOTE_ADDR", b"REMOTE_HOST", b"CONN_REMOTE_ADDR"):
            return request.client.host
        if name == b"REMOTE_PORT":
            return b"%d" % request.client.port
        if name == b"REQUEST_METHOD":
            return request.method
        if name == b"QUERY_STRING":
            return route.query
        if name == b"PATH_INFO":
            return route.pathInfo
        if name == b"SERVER_PROTOCOL":
            return request.protocol
        if name == b"THE_REQUEST":
            return request.line
        if name == b"HANDLER":
            handler = route.directory.handler or b""
            return handler if handler[:6].lower() == b"proxy:" else b"proxy-server"
        if name == b"HTTPS":
            return b"on" if request.secure else b"off"
        if name == b"HTTP2":
            return b"on" if request.protocol == b"HTTP/2.0" else b"off"
        if name == b"IPV6":
            return b"on" if b":" in request.client.host else b"off"
        constant = _CONSTANTS.get(name)
        return table.get(name) if constant is None else constant

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        lower = name.lower()
        if vary and lower != b"host" and name not in self.vary:
            self.vary.append(name)
        return self._request.headers.get(lower)

    def responseHeader(self, name: bytes) -> bytes | None:
        return None

    def environment(self, name: bytes) -> bytes | None:
        found = _spelled(self._table, name)
        return None if found is None else self._table[found]

    def note(self, name: bytes) -> bytes | None:
        return None

    def reachable(self, target: bytes, isFile: bool) -> bool:
        return False


#: What does not depend on the request, or is not known before the application answered.
_CONSTANTS = {
    b"REQUEST_STATUS": b"200",
    b"IS_SUBREQ": b"false",
    b"CONTENT_TYPE": b"",
    b"LAST_MODIFIED": b"19700101000000",
    b"SERVER_SOFTWARE": b"twisted_fcgi/" + __version__.encode("ascii"),
    b"API_VERSION": b"20120211",
}


def _spelled(table: dict[bytes, bytes], name: bytes) -> bytes | None:
    """The name of a variable as it stands in a table, whatever the case it is asked in."""
    if name in table:
        return name
    lower = name.lower()
    return next((known for known in table if known.lower() == lower), None)


def override(
    table: dict[bytes, bytes],
    overrides: tuple[VariableOverride, ...],
    request: Request,
    route: Route,
) -> list[bytes]:
    """
    Set and remove variables, in place.

    :returns: the names of the request headers that conditions read.
    :raises RequestError: 503 when a condition can't be evaluated, as in httpd.
    """
    context = RequestContext(request, route, table)
    for line in overrides:
        # $1 is of this line's condition, never of another line's.
        context.match = None
        try:
            if not line.condition(context):
                continue
            read = list(context.vary)
            value = None if line.value is None else line.value(context)
            context.vary = read
        except EvaluationError as error:
            raise RequestError(f"ProxyFCGISetEnvIf at {line.place}: {error}", 503) from None
        name = _spelled(table, line.name)
        if value is None:
            if name is not None:
                del table[name]
        else:
            table[line.name if name is None else name] = value
    return context.vary
