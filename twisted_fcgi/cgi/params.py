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

This runs for each attempt, and most of what it tells was told before.  So the
variables are made as they are sent, in three parts, each encoded once and remembered,
up to a bound: what follows from the route; the peer and the request line; and each
header field.  No name is in two parts, so no part can take another's place.  The last
two together are kept with the header fields, which the requests of a connection share.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from functools import lru_cache

from twisted_fcgi import __version__
from twisted_fcgi.cgi.overrides import override
from twisted_fcgi.cgi.paths import scriptFilename, scriptName
from twisted_fcgi.message import Address, Authority, Request, Route
from twisted_fcgi.settings import MemberSettings, Signature, VariableOverride
from twisted_fcgi.wire import Pair, decodePairs, encodePairs

__all__ = ["encodedVariables", "variables"]

#: Names of header fields that are remembered, and how long such a name may be.
MAX_NAMES = 1024
MAX_NAME = 64

#: Whole fields that are remembered, and how long their values may be.
MAX_FIELDS = 4096
MAX_VALUE = 256

#: Peers, and methods with protocols, that are remembered.
MAX_CLIENTS = 1024
MAX_LINES = 64

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

_CREDENTIALS = frozenset((b"HTTP_AUTHORIZATION", b"HTTP_PROXY_AUTHORIZATION"))

#: Fields that say who somebody is: no one's are kept for longer than his request.
_SECRETS = _CREDENTIALS | {b"HTTP_COOKIE"}

#: What is ``silenced`` and ``watched`` where the configuration sets nothing: with
#: CGIPassAuth, and without it.
_OPEN: tuple[frozenset[bytes], frozenset[bytes]] = (
    frozenset(),
    frozenset((b"max-forwards", b"transfer-encoding")),
)
_USUAL = _CREDENTIALS, _OPEN[1] | {b"authorization", b"proxy-authorization"}

#: Variables that follow from the request, not from its route.
_OF_THE_REQUEST = frozenset(
    b"CONTENT_LENGTH HTTP_TRANSFER_ENCODING REMOTE_ADDR REMOTE_PORT REQUEST_METHOD "
    b"SERVER_PROTOCOL".split()
)


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


class _EncodedFields(dict[Pair, bytes]):
    """The variable of each header field with its value, encoded; nothing when there is none."""

    def __missing__(self, field: Pair) -> bytes:
        name, value = field
        variable = _fieldNames[name]
        encoded = b"" if variable is None else encodePairs(((variable, value),))
        if len(value) <= MAX_VALUE and len(name) <= MAX_NAME and variable not in _SECRETS:
            if len(self) >= MAX_FIELDS:
                self.clear()
            self[field] = encoded
        return encoded


_fieldNames = _FieldNames()
_encodedFields = _EncodedFields()


@dataclass(slots=True)
class _Told:
    """
    What a route says by itself.

    :ivar encoded: its variables.
    :ivar silenced: variables that no header field may become.
    :ivar watched: fields, in lower case, that are not told as they came; follows from what
        is silenced.
    :ivar overrides: ProxyFCGISetEnvIf, or ``None``.
    """

    encoded: bytes
    silenced: frozenset[bytes]
    watched: frozenset[bytes]
    overrides: tuple[VariableOverride, ...] | None


class _Kept:
    """
    The variables of a request without a body that do not follow from its route, kept with
    its header fields; and the same with what the last route said.
    """

    __slots__ = ("_all", "_client", "_method", "_own", "_protocol", "_silenced", "_told")

    def __init__(self, request: Request, told: _Told) -> None:
        self._method = request.method
        self._protocol = request.protocol
        self._client = request.client
        self._silenced = told.silenced
        self._own: bytes = _requestVariables(request, told)
        self._told: _Told | None = None
        self._all: bytes = b""

    def areOf(self, request: Request, told: _Told) -> bool:
        """Whether they are those of a request with these header fields, too."""
        return (
            request.method == self._method
            and request.client is self._client
            and request.protocol == self._protocol
            and (told.silenced is self._silenced or told.silenced == self._silenced)
        )

    def after(self, told: _Told) -> bytes:
        """What a route says, and then these."""
        if told is not self._told:
            self._told = told
            self._all = told.encoded + self._own
        return self._all


def variables(request: Request, route: Route, member: MemberSettings) -> list[Pair]:
    """
    All variables of a request, each name once; for who reads them.

    :param route: for a balancer, the one of this member.
    :param member: who is asked.
    """
    return decodePairs(encodedVariables(request, route, member))


def encodedVariables(request: Request, route: Route, member: MemberSettings) -> bytes:
    """
    All variables of a request, as they are sent to the application.

    :param route: for a balancer, the one of this member.
    :param member: who is asked.
    :raises RequestError: when ProxyFCGISetEnvIf can't be evaluated.
    """
    told: _Told | None = route.told
    if told is None:
        told = route.told = _told(request.target, route, member)
    if request.contentLength == 0:
        headers = request.headers
        kept: _Kept | None = headers.kept
        if kept is None or not kept.areOf(request, told):
            kept = headers.kept = _Kept(request, told)
        encoded = kept.after(told)
    else:
        encoded = told.encoded + _requestVariables(request, told)
    overrides = told.overrides
    if overrides is None:
        return encoded
    table = dict(decodePairs(encoded))
    request.vary = (*request.vary, *override(table, overrides, request, route))
    return encodePairs(table.items())


def _requestVariables(request: Request, told: _Told) -> bytes:
    """The part of the variables that does not follow from the route."""
    fields = request.headers.pairs
    names = request.headers.names()
    if len(names) < len(fields) or not names.isdisjoint(told.watched):
        fields = _settled(request, told.silenced)
    parts = [
        _lineVariables(request.method, request.protocol),
        _clientVariables(request.client),
        *map(_encodedFields.__getitem__, fields),
    ]
    length = request.contentLength
    if length or (
        length is not None and (b"content-length" in names or b"transfer-encoding" in names)
    ):
        parts.append(encodePairs(((b"CONTENT_LENGTH", b"%d" % length),)))
    return b"".join(parts)


@lru_cache(MAX_LINES)
def _lineVariables(method: bytes, protocol: bytes) -> bytes:
    return encodePairs(((b"REQUEST_METHOD", method), (b"SERVER_PROTOCOL", protocol)))


@lru_cache(MAX_CLIENTS)
def _clientVariables(client: Address) -> bytes:
    return encodePairs(((b"REMOTE_ADDR", client.host), (b"REMOTE_PORT", b"%d" % client.port)))


def _settled(request: Request, silenced: frozenset[bytes]) -> list[Pair]:
    """The fields that are told, each name once, as they are told."""
    fields: list[Pair] = []
    for name in request.headers.names():
        value = request.headers.get(name)
        assert value is not None
        if name == b"transfer-encoding" and request.contentLength is not None:
            continue  # CONTENT_LENGTH says what stdin holds
        if _fieldNames[name] in silenced:
            continue
        if name == b"max-forwards":
            value = b"%d" % max(int(value) - 1, 0)
        fields.append((name, value))
    return fields


def _told(target: bytes, route: Route, member: MemberSettings) -> _Told:
    """The part of the variables that is the same for all requests with a route."""
    authority = route.authority
    assert authority is not None
    canonical, physical = route.directory.canonicalName, route.directory.physicalPort
    signature = route.directory.signature
    kept = authority.kept.get((canonical, physical, signature))
    if kept is None:
        table = _serverVariables(authority, bool(canonical), bool(physical), signature)
        kept = authority.kept[canonical, physical, signature] = table, encodePairs(table.items())
    server, encoded = kept
    own = [
        (b"REQUEST_URI", route.uri if route.directory.currentUri else target),
        (b"QUERY_STRING", route.query or b""),
        (b"SCRIPT_FILENAME", scriptFilename(route)),
        (b"SCRIPT_NAME", scriptName(route.uri, route.pathInfo)),
    ]
    if route.pathInfo:
        own.append((b"PATH_INFO", route.pathInfo))
        if route.pathTranslated is not None:
            own.append((b"PATH_TRANSLATED", route.pathTranslated))
    own += route.balanced
    if route.aliased is not None:
        prefix, directory = route.aliased
        server = {**server, b"CONTEXT_PREFIX": prefix, b"CONTEXT_DOCUMENT_ROOT": directory}
        encoded = encodePairs(server.items())
    silenced, watched = _OPEN if route.directory.passAuthorization else _USUAL
    overrides = route.directory.overrides
    if not route.environment:
        return _Told(encoded + encodePairs(own), silenced, watched, overrides)
    # What the request says of itself is not the configuration's to say.
    environment = {n: v for n, v in route.environment.items() if n not in _OF_THE_REQUEST}
    table = {**environment, **server, **dict(own)}
    if b"PATH" in environment:
        table[b"PATH"] = environment[b"PATH"]
    return _Told(
        encodePairs(table.items()),
        silenced.union(environment),
        watched.union(map(_fieldOf, environment)),
        overrides,
    )


def _signed(signature: Signature | None, name: str, admin: str, port: int) -> bytes:
    """SERVER_SIGNATURE (``ap_psignature``)."""
    if signature in (None, Signature.OFF):
        return b""
    if signature is Signature.EMAIL:
        address = admin if "://" in admin else f"mailto:{admin}"
        name = f'<a href="{html.escape(address)}">{name}</a>'
    text = f"<address>{_SOFTWARE.decode()} Server at {name} Port {port}</address>\n"
    return text.encode("utf-8", "surrogateescape")


def _fieldOf(variable: bytes) -> bytes:
    """The field that could become a variable."""
    return variable.removeprefix(b"HTTP_").replace(b"_", b"-").lower()


def _serverVariables(
    authority: Authority, canonical: bool, physical: bool, signature: Signature | None
) -> dict[bytes, bytes]:
    """What is the same for all requests that reach a host by the same name."""
    host = authority.host
    name = html.escape(authority.name(canonical).decode("latin-1"))
    port = authority.portNumber(canonical, physical)
    table = {
        b"GATEWAY_INTERFACE": b"CGI/1.1",
        b"SERVER_SOFTWARE": _SOFTWARE,
        b"SERVER_SIGNATURE": _signed(signature, name, host.admin, port),
        b"SERVER_NAME": name.encode("latin-1"),
        b"SERVER_PORT": b"%d" % port,
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
