"""
All that can be configured, as frozen data.

``config/`` makes these from httpd's language, ``routing/`` reads them for a
request, ``service/`` builds live objects from them.  Two shapes:

- What belongs to a server, a member or a listener has a value for each field,
  with httpd's default.
- :class:`DirectorySettings` is httpd's per-directory configuration: ``None``
  means "not said here", and :meth:`DirectorySettings.merged` lays a more
  specific section over a more general one.

Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from twisted_fcgi.pcre import Pattern

__all__ = [
    "BackendType",
    "BalancerSettings",
    "DirectorySettings",
    "EncodedSlashes",
    "Flush",
    "Limits",
    "Listener",
    "MemberSettings",
    "ProxyMapping",
    "Section",
    "SectionKind",
    "Settings",
    "VariableChange",
    "VariableCondition",
    "VariableOverride",
    "VirtualHost",
]


class Flush(enum.Enum):
    """
    ``flushpackets``: when a part of a response is sent on.

    With ``off`` what comes in one turn of the reactor leaves together at its end, but
    a head waits for the first byte of its body; with ``on`` nothing waits; with ``auto``
    small parts wait for more, up to ``flushwait``.
    """

    OFF = "off"
    ON = "on"
    AUTO = "auto"


class BackendType(enum.Enum):
    """``ProxyFCGIBackendType``: how SCRIPT_FILENAME is spelled."""

    FPM = "FPM"
    GENERIC = "GENERIC"


class EncodedSlashes(enum.Enum):
    """``AllowEncodedSlashes``: what becomes of ``%2F`` in a path."""

    OFF = "off"
    ON = "on"
    NODECODE = "nodecode"


@dataclass(frozen=True)
class MemberSettings:
    """
    One FastCGI server and how its connections are used (httpd: a worker).

    :ivar url: the worker's name as httpd makes it: scheme, host in lower case,
        port unless it is 8000, path as written, no trailing slash; without the
        socket's path.
    :ivar host: the host name or address; for a UNIX socket only a name.
    :ivar port: the TCP port; 8000 by default as httpd has it.
    :ivar socket: the UNIX socket's path, or ``None`` for TCP.
    :ivar defined: whether a ProxyPass, BalancerMember or ``<Proxy>`` made it;
        one made up for a handler's URL (httpd's generic worker) is not.
    :ivar reuse: whether connections are kept for further requests.
    :ivar max: connections at a time; ``None`` for no limit.
    :ivar acquire: how long a request waits for a free connection; ``None``: for ever.
    :ivar timeout: silence that is borne in either direction; ``None``: ProxyTimeout.
    :ivar connectTimeout: for a connection to come about; ``None``: ``timeout``.
    :ivar ttl: how long an idle connection is kept; ``None``: for ever.
    :ivar maxQueue: extension: how many requests may wait for a free connection.
    :ivar abortGrace: extension: after ABORT_REQUEST, how long the application may
        take to end the request before its connection is closed.
    :ivar maxResponseHead: extension: most bytes of a response's head.
    :ivar maxStreamBuffer: most bytes held for a client that does not read.
    :ivar status: the letters that ``status=`` set: D, S, I, R, H, N, C, E.
    :ivar parameters: all that was written for it, as written.
    :ivar pattern: what URLs it serves, when its own has back-references (a
        ProxyPassMatch worker); ``None``: those that begin with ``url``.
    :ivar slowStart: extension: how long it takes, after it came back, until it
        has its whole ``loadFactor`` again.
    """

    url: str
    host: str = "localhost"
    port: int = 8000
    socket: str | None = None
    defined: bool = True
    reuse: bool = False
    min: int = 0
    max: int | None = None
    smax: int | None = None
    ttl: float | None = None
    acquire: float | None = None
    timeout: float | None = None
    connectTimeout: float | None = None
    retry: float = 60.0
    keepalive: bool = False
    flush: Flush = Flush.OFF
    flushWait: float = 0.010
    route: str = ""
    redirect: str = ""
    loadFactor: int = 100
    lbset: int = 0
    maxQueue: int = 1024
    abortGrace: float = 1.0
    maxResponseHead: int = 65536
    maxStreamBuffer: int = 65536
    parameters: tuple[tuple[str, str], ...] = ()
    status: frozenset[str] = frozenset()
    pattern: Pattern | None = None
    slowStart: float = 0.0

    def serves(self, url: bytes) -> bool:
        """
        Whether a request for a URL is this member's (httpd: ``worker_matches``).

        :param url: scheme and host in lower case, no port 8000, no socket.
        """
        if len(self.url) > len(url):
            return False
        if self.pattern is not None:
            return self.pattern.match(url) is not None
        return url.startswith(self.url.encode("utf-8", "surrogateescape"))

    @property
    def address(self) -> str:
        """Where it listens, for logs: ``host:port`` or the socket's path."""
        return self.socket if self.socket is not None else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class BalancerSettings:
    """
    A set of members, as ``<Proxy "balancer://name">`` declares it.

    :ivar name: ``balancer://name`` in lower case, without a path.
    :ivar stickySession: the cookie that holds the route; empty for none.
    :ivar stickyPath: the same in a URL.
    :ivar stickySeparator: between session and route; empty for none.
    :ivar noFailover: whether a session ends with its member.
    :ivar timeout: how long a request waits for a member; ``None``: not at all.
    :ivar maxAttempts: failovers; ``None``: one less than there are members.
    :ivar failOnStatus: statuses that put a member into error state.
    :ivar hashKey: extension: what ``lbmethod=hash`` hashes: ``uri``, ``client``,
        ``header:NAME`` or ``cookie:NAME``.
    :ivar routeCookie: extension: the name of a cookie that holds the route, which
        is set for applications that add none; empty for none.
    :ivar routeSecret: extension: what that cookie is signed with; members of a
        cluster of gateways need the same one.
    """

    name: str
    members: tuple[MemberSettings, ...] = ()
    method: str = "byrequests"
    stickySession: str = ""
    stickyPath: str = ""
    stickySeparator: str = "."
    semicolonSeparates: bool = False
    noFailover: bool = False
    timeout: float | None = None
    maxAttempts: int | None = None
    failOnStatus: tuple[int, ...] = ()
    failOnTimeout: bool = False
    forceRecovery: bool = True
    nonce: str | None = None
    growth: int = 5
    parameters: tuple[tuple[str, str], ...] = ()
    hashKey: str = "uri"
    routeCookie: str = ""
    routeSecret: str = ""


@dataclass(frozen=True)
class ProxyMapping:
    """
    One ProxyPass or ProxyPassMatch line.

    :ivar path: the prefix of the decoded path (ProxyPass), or ``None``.
    :ivar pattern: the expression (ProxyPassMatch), or ``None``.
    :ivar target: ``fcgi://...``, without the socket, or ``balancer://...``, as
        written; ``None`` for ``!``.
    :ivar member: who serves it; ``None`` for an exclusion, a balancer, or a
        scheme that nobody here speaks.
    :ivar nocanon: the path is passed as it was sent.
    :ivar candidates: defined members with a longer URL, or with back-references
        in it, the longest first: the first that serves a request's whole URL is
        asked instead of ``member``.  Empty when the URL can't matter.
    :ivar balancer: who serves it, for ``balancer://``.
    :ivar interpolate: ``${VARIABLE}`` in it is replaced (ProxyPassInterpolateEnv).
    :ivar noquery: the query is not passed on.
    :ivar mapping: ``encoded``, ``servlet``, or empty.
    """

    path: bytes | None
    pattern: Pattern | None
    target: bytes | None
    member: MemberSettings | None = None
    nocanon: bool = False
    candidates: tuple[MemberSettings, ...] = ()
    balancer: BalancerSettings | None = None
    interpolate: bool = False
    noquery: bool = False
    mapping: str = ""


@dataclass(frozen=True)
class VariableChange:
    """
    SetEnv, PassEnv, UnsetEnv, or a part of SetEnvIf.

    Names are case-insensitive, as in httpd's tables.

    :ivar value: ``None`` to remove the variable.
    """

    name: bytes
    value: bytes | None


@dataclass(frozen=True)
class VariableCondition:
    """
    SetEnvIf, SetEnvIfNoCase, BrowserMatch.

    :ivar attribute: ``Remote_Addr``, ``Request_URI`` ..., or a header field's name, as written.
    :ivar names: header fields' names as an expression; ``None`` when ``attribute`` is one.
    :ivar pattern: what the value is searched for.
    :ivar plain: whether that is text without an expression's signs: then values
        are taken as they are, else ``$1`` to ``$9`` are replaced.
    :ivar changes: what happens on a match, in order.
    """

    attribute: bytes
    names: Pattern | None
    pattern: Pattern
    plain: bool
    changes: tuple[VariableChange, ...]


@dataclass(frozen=True)
class VariableOverride:
    """
    ProxyFCGISetEnvIf.

    :ivar text: the line's arguments, as written; two lines are equal when these are.
    :ivar condition: the compiled condition (:data:`twisted_fcgi.expr.Condition`).
    :ivar name: of the variable.
    :ivar value: the compiled value (:data:`twisted_fcgi.expr.Word`), or ``None`` to
        remove the variable.
    :ivar place: the line's file and number, for the log.
    """

    text: tuple[str, ...]
    condition: Callable[[Any], bool] = field(compare=False)
    name: bytes = b""
    value: Callable[[Any], bytes] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class DirectorySettings:
    """
    What sections can set; ``None`` is "not said".

    :ivar handler: SetHandler's word: ``proxy:...`` or another name; empty for ``None``.
    :ivar member: who serves ``handler``, when it names a FastCGI server.
    :ivar backendType: ProxyFCGIBackendType.
    :ivar directoryIndex: DirectoryIndex's names; empty for ``disabled``.
    :ivar fallbackResource: FallbackResource's local URL; empty for ``disabled``.
    :ivar passAuthorization: CGIPassAuth.
    :ivar mapping: a ProxyPass inside a ``<Location>``.
    :ivar candidates: as of :class:`ProxyMapping`, for ``handler``.
    :ivar balancer: who serves ``handler``, when it names a balancer.
    :ivar environment: SetEnv, PassEnv and UnsetEnv in their order; those of a more
        specific section come after.
    :ivar conditions: SetEnvIf and its like inside sections, likewise.
    :ivar overrides: ProxyFCGISetEnvIf, likewise.
    :ivar limitBody: LimitRequestBody.
    :ivar encodedSlashes: AllowEncodedSlashes.
    :ivar canonicalName: UseCanonicalName.
    """

    handler: bytes | None = None
    member: MemberSettings | None = None
    backendType: BackendType | None = None
    directoryIndex: tuple[bytes, ...] | None = None
    fallbackResource: bytes | None = None
    passAuthorization: bool | None = None
    mapping: ProxyMapping | None = None
    candidates: tuple[MemberSettings, ...] | None = None
    balancer: BalancerSettings | None = None
    environment: tuple[VariableChange, ...] | None = None
    overrides: tuple[VariableOverride, ...] | None = None
    conditions: tuple[VariableCondition, ...] | None = None
    limitBody: int | None = None
    encodedSlashes: EncodedSlashes | None = None
    canonicalName: bool | None = None

    def merged(self, over: DirectorySettings) -> DirectorySettings:
        """These settings with those of a more specific section laid over them."""
        changes = {
            f.name: value for f in fields(over) if (value := getattr(over, f.name)) is not None
        }
        if "handler" in changes:
            for name in ("member", "candidates", "balancer"):
                changes.setdefault(name, None)
        for name in ("environment", "conditions", "overrides"):
            if name in changes:
                changes[name] = (getattr(self, name) or ()) + changes[name]
        return replace(self, **changes) if changes else self


class SectionKind(enum.Enum):
    """The kinds of section that a request is matched against."""

    DIRECTORY = "Directory"
    DIRECTORY_MATCH = "DirectoryMatch"
    FILES = "Files"
    FILES_MATCH = "FilesMatch"
    LOCATION = "Location"
    LOCATION_MATCH = "LocationMatch"
    PROXY = "Proxy"
    PROXY_MATCH = "ProxyMatch"


@dataclass(frozen=True)
class Section:
    """
    A ``<Directory>``, ``<Files>``, ``<Location>`` ... and what stands in it.

    :ivar path: what it names, when it is no expression and has no wildcard.
    :ivar pattern: the expression, of a ...Match, ``~`` or wildcard form.
    :ivar settings: what its directives set.
    :ivar sections: ``<Files>`` sections inside a ``<Directory>`` or ``<Location>``.
    """

    kind: SectionKind
    path: bytes | None
    pattern: Pattern | None
    settings: DirectorySettings
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Limits:
    """
    Bounds on what a client may send and how long it may take.

    The first four are httpd's LimitRequest... directives.

    :ivar line: bytes of the request line, without its end.
    :ivar fieldSize: bytes of one header field, without its end.
    :ivar fields: header fields; 0 for no limit.
    :ivar body: bytes of a body; 0 for no limit (httpd's default is 1 GiB).
    :ivar spoolMemory: a body of unknown length is held in memory up to this size,
        then in a temporary file.
    :ivar headTimeout: for a whole request head (httpd: RequestReadTimeout header);
        infinite for no limit.
    :ivar keepAliveTimeout: between two requests of a connection.
    :ivar keepAliveRequests: requests a connection; 0 for no limit.
    :ivar pipelined: requests read ahead while one is being answered.
    """

    line: int = 8190
    fieldSize: int = 8190
    fields: int = 100
    body: int = 1073741824
    spoolMemory: int = 16384
    headTimeout: float = 20.0
    keepAliveTimeout: float = 5.0
    keepAliveRequests: int = 100
    pipelined: int = 16


@dataclass(frozen=True)
class VirtualHost:
    """
    A server: the main one or a ``<VirtualHost>``.

    It is complete in itself: what a virtual host takes over from the main server
    is in it, that server's mappings, sections and conditions before its own.

    :ivar name: ServerName without scheme and port.
    :ivar port: ServerName's port, or ``None``.
    :ivar aliases: ServerAlias's names.
    :ivar addresses: the ``<VirtualHost>`` addresses; empty for the main server.
    :ivar documentRoot: absolute path without trailing slash, or ``None``: no static files.
    :ivar mappings: ProxyPass and ProxyPassMatch in their order.
    :ivar directory: the settings outside all sections.
    :ivar sections: in the order of the files.
    :ivar timeout: Timeout: silence that is borne of a client or an application.
    :ivar proxyTimeout: ProxyTimeout, or ``None``: ``timeout``.
    :ivar traceEnabled: TraceEnable.
    :ivar traceExtended: whether TRACE may have a body.
    :ivar scheme: ServerName's scheme, or empty.
    :ivar conditions: SetEnvIf and its like outside sections: before the path is mapped.
    :ivar mergeSlashes: MergeSlashes: ``//`` in a path counts as one.
    :ivar members: the defined members, those of the main server first.
    :ivar balancers: likewise.
    :ivar errorLog: as of :class:`Settings`; ``None``: that one.
    :ivar logLevel: likewise.
    """

    name: str = "localhost"
    port: int | None = None
    aliases: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    admin: str = "[no address given]"
    documentRoot: str | None = None
    mappings: tuple[ProxyMapping, ...] = ()
    directory: DirectorySettings = field(default_factory=DirectorySettings)
    sections: tuple[Section, ...] = ()
    timeout: float = 60.0
    proxyTimeout: float | None = None
    traceEnabled: bool = True
    keepAlive: bool = True
    limits: Limits = field(default_factory=Limits)
    traceExtended: bool = False
    scheme: str = ""
    conditions: tuple[VariableCondition, ...] = ()
    mergeSlashes: bool = True
    members: tuple[MemberSettings, ...] = ()
    balancers: tuple[BalancerSettings, ...] = ()
    errorLog: str | None = None
    logLevel: str | None = None


@dataclass(frozen=True)
class Listener:
    """
    One place to listen at.

    :ivar endpoint: a Twisted server endpoint description (``tcp:8080:interface=127.0.0.1``).
    """

    endpoint: str


@dataclass(frozen=True)
class Settings:
    """
    A whole configuration.

    :ivar listeners: where to listen.
    :ivar main: the main server.
    :ivar hosts: the ``<VirtualHost>`` servers, in their order.
    :ivar members: every defined member, by ``url``.
    :ivar errorLog: a file's path, or ``None`` for standard error.
    :ivar logLevel: httpd's word: ``emerg`` to ``trace8``.
    :ivar notices: what was understood but has no meaning here, for the log.
    """

    listeners: tuple[Listener, ...] = ()
    main: VirtualHost = field(default_factory=VirtualHost)
    hosts: tuple[VirtualHost, ...] = ()
    members: tuple[MemberSettings, ...] = ()
    errorLog: str | None = None
    logLevel: str = "warn"
    notices: tuple[str, ...] = ()
