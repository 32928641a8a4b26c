"""Members and balancers: who serves, and how their connections are used."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from twisted_fcgi.pcre import Pattern
from twisted_fcgi.settings.checks import CheckSettings
from twisted_fcgi.settings.tls import TLSSettings

__all__ = ["BALANCING_METHODS", "BalancerSettings", "Flush", "MemberSettings", "Multiplex"]

#: Every ``lbmethod``.
BALANCING_METHODS = ("byrequests", "bytraffic", "bybusyness", "heartbeat", "leastconn", "hash")


class Multiplex(enum.Enum):
    """
    ``multiplex``: whether a connection takes several requests at a time.

    The application is asked with FCGI_GET_VALUES.  With ``auto`` it has to say that it
    can, with ``on`` it must not say that it can't.
    """

    OFF = "off"
    AUTO = "auto"
    ON = "on"


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
    :ivar keepalive: whether TCP looks after idle connections.
    :ivar readSize: bytes that are read at once.
    :ivar receiveBuffer: the kernel's buffer of a TCP connection; 0 for its own choice.
    :ivar addressTtl: how long a name's address is remembered; infinity for until a
        connect fails.
    :ivar maxQueue: extension: how many requests may wait for a free connection.
    :ivar maxRequests: extension: requests after which a connection is closed;
        ``None`` for no limit.
    :ivar patience: extension: how long connects are repeated that are refused by an
        application that took them before; it may be restarting.
    :ivar multiplex: extension: a :class:`Multiplex`.
    :ivar maxStreams: extension: most requests at a time on one connection.
    :ivar abortGrace: extension: after ABORT_REQUEST, how long the application may
        take to end the request before its connection is closed.
    :ivar maxResponseHead: extension: most bytes of a response's head.
    :ivar maxStreamBuffer: most bytes held for a client that does not read.
    :ivar maxSpool: extension: with several requests on a connection, most bytes held in
        files for all clients that do not read.
    :ivar status: the letters that ``status=`` set: D, S, I, R, H, N, C, E.
    :ivar parameters: all that was written for it, as written.
    :ivar pattern: what URLs it serves, when its own has back-references (a
        ProxyPassMatch worker); ``None``: those that begin with ``url``.
    :ivar probe: extension: whether a balancer tries in the background to connect to it while
        it is in error state.
    :ivar tls: how it is spoken to over TLS; ``None``: it is not.
    :ivar resolver: FcgiResolver: the servers that are asked for its name, each
        ``address:port``; none for the system's.
    :ivar origin: the name of which DNS gave this address, when a balancer's member
        was described by it.
    :ivar check: how a balancer checks it, whether there are requests or not.
    :ivar slowStart: extension: how long it takes, after it came back, until it
        has its whole ``loadFactor`` again.
    :ivar place: the file and number of the line that described it.
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
    readSize: int = 65536
    receiveBuffer: int = 0
    addressTtl: float = 60.0
    flush: Flush = Flush.OFF
    flushWait: float = 0.010
    route: str = ""
    redirect: str = ""
    loadFactor: int = 100
    lbset: int = 0
    maxQueue: int = 1024
    maxRequests: int | None = None
    patience: float = 3.0
    multiplex: Multiplex = Multiplex.OFF
    maxStreams: int = 256
    abortGrace: float = 1.0
    maxResponseHead: int = 65536
    maxStreamBuffer: int = 65536
    maxSpool: int = 268435456
    parameters: tuple[tuple[str, str], ...] = ()
    status: frozenset[str] = frozenset()
    pattern: Pattern | None = None
    probe: bool = True
    slowStart: float = 0.0
    check: CheckSettings = CheckSettings()
    tls: TLSSettings | None = None
    resolver: tuple[str, ...] = ()
    origin: str = ""
    place: str = field(default="", compare=False)

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
        """Where it listens, for logs: ``host:port``, the socket's path, or a service's name."""
        if self.isService:
            return self.host
        return self.socket if self.socket is not None else f"{self.host}:{self.port}"

    @property
    def isService(self) -> bool:
        """Whether its host is the name of a service, and DNS says who its members are."""
        return self.url.startswith("srv+")


@dataclass(frozen=True)
class BalancerSettings:
    """
    A set of members, as ``<Proxy "balancer://name">`` declares it.

    :ivar name: ``balancer://name`` in lower case, without a path.
    :ivar method: one of :data:`BALANCING_METHODS`: how a member is chosen.
    :ivar stickySession: the cookie that holds the route; empty for none.
    :ivar stickyPath: the same in a URL.
    :ivar stickySeparator: between session and route; empty for none.
    :ivar noFailover: whether a session ends with its member.
    :ivar timeout: how long a request waits for a member; ``None``: not at all.
    :ivar maxAttempts: failovers; ``None``: one less than there are members.
    :ivar failOnStatus: statuses that put a member into error state.
    :ivar nonIdempotent: extension: whether requests of all methods are sent again after a
        member died with them.
    :ivar failoverTime: extension: for how long any are, in seconds.
    :ivar maxQueue: extension: how many requests may wait for a member.
    :ivar hashKey: extension: what ``lbmethod=hash`` hashes: ``uri``, ``client``,
        ``header:NAME`` or ``cookie:NAME``.
    :ivar routeCookie: extension: the name of a cookie that holds the route, which
        is set for applications that add none; empty for none.
    :ivar routeSecret: extension: what that cookie is signed with; members of a
        cluster of gateways need the same one.
    :ivar place: the file and number of the line that described it first.
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
    nonIdempotent: bool = False
    failoverTime: float = 30.0
    maxQueue: int = 1024
    hashKey: str = "uri"
    routeCookie: str = ""
    routeSecret: str = ""
    place: str = field(default="", compare=False)
