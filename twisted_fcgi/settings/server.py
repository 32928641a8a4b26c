"""Servers, listeners and the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from twisted_fcgi.settings.aliases import Alias, Redirect
from twisted_fcgi.settings.directory import DirectorySettings, ProxyMapping, Section
from twisted_fcgi.settings.members import BalancerSettings, MemberSettings
from twisted_fcgi.settings.rewriting import RewriteMap, Rewriting
from twisted_fcgi.settings.variables import VariableCondition, VariableExpression

__all__ = ["HeartbeatSettings", "Limits", "Listener", "Settings", "VirtualHost"]


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
    :ivar maxForwards: ProxyMaxForwards: of requests without one; negative for none.
    :ivar blocked: ProxyBlock: texts of hosts that are never asked; ``*`` for all.
    :ivar members: the defined members, those of the main server first.
    :ivar balancers: likewise.
    :ivar errorLog: as of :class:`Settings`; ``None``: that one.
    :ivar logLevel: likewise.
    :ivar pathAliases: Alias and AliasMatch outside of sections; its own before the main
        server's.
    :ivar redirects: Redirect and its like outside of sections, likewise.
    :ivar rewriting: mod_rewrite's rules for the paths of URLs; ``None`` when it says nothing
        of them.
    :ivar rewriteMaps: RewriteMap, by name.
    :ivar accessFileNames: AccessFileName.
    :ivar allowOverrideProxy: AllowOverrideProxy: a ``.htaccess`` may name any application.
    :ivar readAccessFile: reads the text of one; ``None`` when no AllowOverride asks for any.
        It is given this host, the text, the file's name for messages, its directory,
        AllowOverride and AllowOverrideList, and returns a section for that directory, and
        notices; it raises :class:`~twisted_fcgi.errors.ConfigurationErrors`.
    :ivar internalRedirects: LimitInternalRecursion: internal redirects of a request.
    :ivar lookups: how deep indexes and fallbacks may lead, likewise.
    :ivar strictHost: StrictHostCheck.
    :ivar registeredOnly: HttpProtocolOptions RegisteredMethods.
    :ivar methods: RegisterHttpMethod.
    :ivar types: TypesConfig's types by extension; ``None`` for the usual ones.
    :ivar place: the file and number of its line; empty for the main server.
    :ivar places: as of :class:`DirectorySettings`.
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
    conditions: tuple[VariableCondition | VariableExpression, ...] = ()
    mergeSlashes: bool = True
    maxForwards: int = -1
    blocked: tuple[str, ...] = ()
    members: tuple[MemberSettings, ...] = ()
    balancers: tuple[BalancerSettings, ...] = ()
    errorLog: str | None = None
    logLevel: str | None = None
    pathAliases: tuple[Alias, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    internalRedirects: int = 10
    lookups: int = 10
    strictHost: bool = False
    registeredOnly: bool = False
    methods: tuple[bytes, ...] = ()
    types: Mapping[bytes, bytes] | None = None
    rewriting: Rewriting | None = None
    rewriteMaps: Mapping[bytes, RewriteMap] = field(default_factory=dict)
    accessFileNames: tuple[str, ...] = (".htaccess",)
    allowOverrideProxy: bool = False
    readAccessFile: Callable[..., tuple[Section, tuple[str, ...]]] | None = field(
        default=None, compare=False, repr=False
    )
    place: str = field(default="", compare=False)
    places: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def kept(self) -> tuple[float, int]:
        """How many seconds a client's connection may be idle, and most requests of one."""
        limits = self.limits
        return limits.keepAliveTimeout if self.keepAlive else 0.0, limits.keepAliveRequests


@dataclass(frozen=True)
class Listener:
    """
    One place to listen at.

    :ivar endpoint: a Twisted server endpoint description (``tcp:8080:interface=127.0.0.1``).
    """

    endpoint: str


@dataclass(frozen=True)
class HeartbeatSettings:
    """
    How servers are heard of that say how busy they are (``lbmethod=heartbeat``).

    :ivar listen: the address, perhaps of a multicast group, and the port of datagrams.
    :ivar storage: else, the path of a file that somebody else writes.
    """

    listen: tuple[str, int] | None = None
    storage: str | None = None


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
    :ivar user: who the process is once it listens: a name or ``#number``.
    :ivar group: likewise; ``None``: that of ``user``.
    :ivar heartbeats: of servers that say how busy they are, if they are to be heard.
    :ivar notices: what was understood but has no meaning here, for the log.
    """

    listeners: tuple[Listener, ...] = ()
    main: VirtualHost = field(default_factory=VirtualHost)
    hosts: tuple[VirtualHost, ...] = ()
    members: tuple[MemberSettings, ...] = ()
    errorLog: str | None = None
    logLevel: str = "warn"
    user: str | None = None
    group: str | None = None
    heartbeats: HeartbeatSettings | None = None
    notices: tuple[str, ...] = ()

    @property
    def alone(self) -> tuple[MemberSettings, ...]:
        """The members that are in no balancer."""
        hosts = (self.main, *self.hosts)
        balanced = {id(m) for host in hosts for it in host.balancers for m in it.members}
        return tuple(member for member in self.members if id(member) not in balanced)
