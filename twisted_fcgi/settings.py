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
import re
from dataclasses import dataclass, field, fields, replace

__all__ = [
    "BackendType",
    "DirectorySettings",
    "Flush",
    "Limits",
    "Listener",
    "MemberSettings",
    "ProxyMapping",
    "Section",
    "SectionKind",
    "Settings",
    "VirtualHost",
]


class Flush(enum.Enum):
    """``flushpackets``: when a part of a response is sent on."""

    OFF = "off"
    ON = "on"
    AUTO = "auto"


class BackendType(enum.Enum):
    """``ProxyFCGIBackendType``: how SCRIPT_FILENAME is spelled."""

    FPM = "FPM"
    GENERIC = "GENERIC"


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
    :ivar abortGrace: extension: after ABORT_REQUEST, how long the application may
        take to end the request before its connection is closed.
    :ivar maxResponseHead: extension: most bytes of a response's head.
    :ivar maxStreamBuffer: most bytes held for a client that does not read.
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
    flush: Flush = Flush.AUTO
    flushWait: float = 0.010
    route: str = ""
    redirect: str = ""
    loadFactor: int = 100
    lbset: int = 0
    abortGrace: float = 5.0
    maxResponseHead: int = 65536
    maxStreamBuffer: int = 65536
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> str:
        """Where it listens, for logs: ``host:port`` or the socket's path."""
        return self.socket if self.socket is not None else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ProxyMapping:
    """
    One ProxyPass or ProxyPassMatch line.

    :ivar path: the prefix of the decoded path (ProxyPass), or ``None``.
    :ivar pattern: the expression (ProxyPassMatch), or ``None``.
    :ivar target: ``fcgi://...``, without the socket, or ``balancer://...``, as
        written; ``None`` for ``!``.
    :ivar member: who serves it; ``None`` for an exclusion or a balancer.
    :ivar nocanon: the path is passed as it was sent.
    """

    path: bytes | None
    pattern: re.Pattern[bytes] | None
    target: bytes | None
    member: MemberSettings | None = None
    nocanon: bool = False


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
    """

    handler: bytes | None = None
    member: MemberSettings | None = None
    backendType: BackendType | None = None
    directoryIndex: tuple[bytes, ...] | None = None
    fallbackResource: bytes | None = None
    passAuthorization: bool | None = None
    mapping: ProxyMapping | None = None

    def merged(self, over: DirectorySettings) -> DirectorySettings:
        """These settings with those of a more specific section laid over them."""
        changes = {
            f.name: value for f in fields(over) if (value := getattr(over, f.name)) is not None
        }
        if "handler" in changes:
            changes.setdefault("member", over.member)
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
    pattern: re.Pattern[bytes] | None
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
    :ivar headTimeout: for a whole request head (httpd: RequestReadTimeout header).
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
    :ivar canonicalName: UseCanonicalName.
    :ivar traceEnabled: TraceEnable.
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
    canonicalName: bool = False
    traceEnabled: bool = True
    keepAlive: bool = True
    limits: Limits = field(default_factory=Limits)


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
