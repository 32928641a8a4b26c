"""
The variables that an application is told (RFC 3875, 4.1; httpd: ``ap_add_common_vars``,
``ap_add_cgi_vars``).

Who may set what, the stronger first:

- the server: everything about the connection, the request line and the script;
- the configuration: SetEnv, SetEnvIf;
- the client: header fields as ``HTTP_...``.

httpd has the last two the other way round, so that a client can override what an
administrator sets; here it can't.

A field's name becomes a variable only if it consists of letters, digits and ``-``:
``X_Forwarded_For`` or ``Remote.User`` would take the place of the real one
(CVE-2025-65082 and its like).  ``Proxy`` never does (CVE-2016-5385), and
credentials only with CGIPassAuth.  Of our own process's environment nothing is
passed on but PATH.

This runs for each attempt: what only depends on the name under which a host was
asked is computed once, and the names of fields are remembered, up to a bound.
"""

from __future__ import annotations

import html
import os
import re

from twisted_fcgi import __version__
from twisted_fcgi.cgi.paths import scriptFilename, scriptName
from twisted_fcgi.message import Authority, Request, Route
from twisted_fcgi.settings import MemberSettings

__all__ = ["variables"]

#: Names of header fields that are remembered, and how long such a name may be.
MAX_NAMES = 1024
MAX_NAME = 64

_DEFAULT_PATH = b"/bin:/usr/bin:/usr/ucb:/usr/bsd:/usr/local/bin"
_SOFTWARE = b"twisted_fcgi/" + __version__.encode("ascii")
_NAME = re.compile(rb"[A-Za-z0-9-]+")

#: Fields that become no HTTP_... variable: the front's, or told by other variables.
_SPECIAL = {
    b"content-length": None,
    b"content-type": b"CONTENT_TYPE",
    b"host": None,
    b"proxy": None,
}

_CREDENTIALS = (b"HTTP_AUTHORIZATION", b"HTTP_PROXY_AUTHORIZATION")


class _FieldNames(dict[bytes, "bytes | None"]):
    """The variable of each header field, by the field's name as it was sent."""

    def __missing__(self, name: bytes) -> bytes | None:
        lower = name.lower()
        if lower in _SPECIAL:
            variable = _SPECIAL[lower]
        elif _NAME.fullmatch(name):
            variable = b"HTTP_" + name.upper().replace(b"-", b"_")
        else:
            variable = None
        if len(name) <= MAX_NAME:
            if len(self) >= MAX_NAMES:
                self.clear()
            self[name] = variable
        return variable


_fieldNames = _FieldNames()


def variables(
    request: Request, route: Route, member: MemberSettings
) -> list[tuple[bytes, bytes]]:
    """
    All variables of a request, each name once.

    :param route: for a balancer, the one of this member.
    :param member: who is asked.
    """
    names = _fieldNames
    table: dict[bytes, bytes] = {}
    for name, value in request.headers.pairs:
        variable = names[name]
        if variable is not None:
            table[variable] = b"%b, %b" % (table[variable], value) if variable in table else value
    if not route.directory.passAuthorization:
        for variable in _CREDENTIALS:
            table.pop(variable, None)
    if b"HTTP_MAX_FORWARDS" in table:
        table[b"HTTP_MAX_FORWARDS"] = b"%d" % max(int(table[b"HTTP_MAX_FORWARDS"]) - 1, 0)
    environment = route.environment
    if environment:
        table.update(environment)
        # What stdin will hold is not the configuration's to say.
        table.pop(b"CONTENT_LENGTH", None)
    authority = route.authority
    assert authority is not None
    canonical = bool(route.directory.canonicalName)
    server = authority.kept.get(canonical)
    if server is None:
        server = authority.kept[canonical] = _serverVariables(authority, canonical)
    table.update(server)
    if environment and b"PATH" in environment:
        table[b"PATH"] = environment[b"PATH"]
    client = request.client
    table[b"REMOTE_ADDR"] = client.host
    table[b"REMOTE_PORT"] = b"%d" % client.port
    table[b"REQUEST_METHOD"] = request.method
    table[b"REQUEST_URI"] = request.target
    table[b"SERVER_PROTOCOL"] = request.protocol
    table[b"QUERY_STRING"] = route.query or b""
    table[b"SCRIPT_FILENAME"] = scriptFilename(route)
    table[b"SCRIPT_NAME"] = scriptName(route.uri, route.pathInfo)
    if route.pathInfo:
        table[b"PATH_INFO"] = route.pathInfo
        if route.pathTranslated is not None:
            table[b"PATH_TRANSLATED"] = route.pathTranslated
    length = request.contentLength
    if length is not None:
        framed = table.pop(b"HTTP_TRANSFER_ENCODING", None)
        if length or framed is not None or b"content-length" in request.headers:
            table[b"CONTENT_LENGTH"] = b"%d" % length
    if route.balancer is not None:
        table[b"BALANCER_NAME"] = route.balancer.encode("utf-8", "surrogateescape")
        table[b"BALANCER_WORKER_NAME"] = member.url.encode("utf-8", "surrogateescape")
        table[b"BALANCER_WORKER_ROUTE"] = member.route.encode("utf-8", "surrogateescape")
    return list(table.items())


def _serverVariables(authority: Authority, canonical: bool) -> dict[bytes, bytes]:
    """What is the same for all requests that reach a host by the same name."""
    host = authority.host
    name = html.escape(authority.name(canonical).decode("latin-1"))
    table = {
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"SERVER_SOFTWARE": _SOFTWARE,
        b"SERVER_SIGNATURE": b"",
        b"SERVER_NAME": name.encode("latin-1"),
        b"SERVER_PORT": b"%d" % authority.portNumber(canonical),
        b"SERVER_ADDR": authority.server.host,
        b"SERVER_ADMIN": host.admin.encode("utf-8", "surrogateescape"),
        b"CONTEXT_PREFIX": b"",
        b"REQUEST_SCHEME": authority.scheme,
        b"PATH": os.environb.get(b"PATH", _DEFAULT_PATH),
    }
    if host.documentRoot is not None:
        root = host.documentRoot.encode("utf-8", "surrogateescape")
        table[b"DOCUMENT_ROOT"] = table[b"CONTEXT_DOCUMENT_ROOT"] = root
    if authority.secure:
        table[b"HTTPS"] = b"on"
    if authority.field is not None:
        table[b"HTTP_HOST"] = authority.field
    return table
