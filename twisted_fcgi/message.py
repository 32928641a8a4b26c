"""
What travels through the gateway: request, route, response head.

Bytes stay bytes as they came; nothing here decodes text.  A :class:`Request` is filled
by a front and then only read; what the configuration decides for it goes into its
:class:`Route`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted_fcgi.headers import Headers

if TYPE_CHECKING:
    from twisted_fcgi.mediatypes import Described
    from twisted_fcgi.settings import DirectorySettings, MemberSettings, VirtualHost

__all__ = [
    "Address",
    "Authority",
    "Request",
    "ResponseHead",
    "Route",
    "RouteKind",
    "Source",
]


class Address(NamedTuple):
    """
    One end of a client's connection.

    :ivar host: the numeric IP address in ASCII, or empty for a UNIX socket.
    :ivar port: 0 for a UNIX socket.
    """

    host: bytes
    port: int


class Request:
    """
    One HTTP request, as a front read it.

    :ivar method: as sent; any token.
    :ivar target: the request target as sent (httpd: ``unparsed_uri``).
    :ivar protocol: ``HTTP/1.1`` and so on (httpd: ``protocol``).
    :ivar line: the whole request line, without its end (httpd: ``the_request``).
    :ivar headers: the fields, framing ones included; never changed, so that requests
        may share them.
    :ivar client: the peer.
    :ivar server: our end of the connection.
    :ivar secure: whether it came over TLS.
    :ivar contentLength: the body's length in bytes; 0 for none, ``None`` while
        it is not known (chunked).  Known from the moment that the body was spooled.
    :ivar receivedAt: the reactor's seconds when its head was complete.
    :ivar vary: names of fields on which the configuration made the response depend.
    """

    __slots__ = (
        "client",
        "contentLength",
        "headers",
        "line",
        "method",
        "protocol",
        "receivedAt",
        "secure",
        "server",
        "target",
        "vary",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        protocol: bytes = b"HTTP/1.1",
        line: bytes | None = None,
        client: Address = Address(b"127.0.0.1", 0),
        server: Address = Address(b"127.0.0.1", 80),
        secure: bool = False,
        contentLength: int | None = 0,
        receivedAt: float = 0.0,
    ) -> None:
        self.method = method
        self.target = target
        self.protocol = protocol
        self.line = b" ".join((method, target, protocol)) if line is None else line
        self.headers = headers
        self.client = client
        self.server = server
        self.secure = secure
        self.contentLength = contentLength
        self.receivedAt = receivedAt
        self.vary: Sequence[bytes] = ()

    def changed(self, *, method: bytes | None = None, headers: Headers | None = None) -> Request:
        """The same request with another method or other header fields."""
        changed = Request(
            self.method if method is None else method,
            self.target,
            self.headers if headers is None else headers,
            protocol=self.protocol,
            line=self.line,
            client=self.client,
            server=self.server,
            secure=self.secure,
            contentLength=self.contentLength,
            receivedAt=self.receivedAt,
        )
        changed.vary = self.vary
        return changed

    def __repr__(self) -> str:
        return f"<Request {self.line.decode('latin-1')!r}>"


class Authority:
    """
    Who was asked: a virtual host under the name and port that the client used.

    One object serves all requests of the same kind, so what is computed for one may
    be kept in it.

    :ivar host: the virtual host.
    :ivar hostname: the name in lower case, without port and brackets (``hostname``);
        ``None`` without one.
    :ivar port: the port that the client named, or ``None``.
    :ivar field: what the application sees as the Host field, or ``None``.
    :ivar server: our end of the connection.
    :ivar secure: whether it came over TLS.
    :ivar kept: what others computed for it.
    """

    __slots__ = ("field", "host", "hostname", "kept", "port", "secure", "server")

    def __init__(
        self,
        host: VirtualHost,
        hostname: bytes | None,
        port: int | None,
        field: bytes | None,
        server: Address,
        secure: bool,
    ) -> None:
        self.host = host
        self.hostname = hostname
        self.port = port
        self.field = field
        self.server = server
        self.secure = secure
        self.kept: dict[object, Any] = {}

    def name(self, canonical: bool) -> bytes:
        """
        The server's name as in a URL (``ap_get_server_name_for_url``).

        :param canonical: UseCanonicalName.
        """
        name = self.hostname
        if canonical or name is None:
            name = self.host.name.encode("utf-8", "surrogateescape")
        return b"[" + name + b"]" if b":" in name else name

    def portNumber(self, canonical: bool, physical: bool = False) -> int:
        """
        The server's port, not always the one that is listened on (``ap_get_server_port``).

        :param canonical: UseCanonicalName.
        :param physical: UseCanonicalPhysicalPort.
        """
        listening = self.server.port if physical else 0
        if canonical:
            return self.host.port or listening or self.usualPort
        return self.port or listening or self.host.port or self.usualPort

    def url(self, path: bytes, settings: DirectorySettings) -> bytes:
        """
        The whole URL of a path (``ap_construct_url``).

        :param path: encoded.
        :param settings: UseCanonicalName and UseCanonicalPhysicalPort.
        """
        canonical = bool(settings.canonicalName)
        port = self.portNumber(canonical, bool(settings.physicalPort))
        shown = b"" if port == self.usualPort else b":%d" % port
        return b"%b://%b%b%b" % (self.scheme, self.name(canonical), shown, path)

    @property
    def scheme(self) -> bytes:
        """The scheme of the server's URLs: ServerName's, if it has one (``ap_http_scheme``)."""
        if self.host.scheme:
            return self.host.scheme.encode("ascii")
        return b"https" if self.secure else b"http"

    @property
    def usualPort(self) -> int:
        """The port that a URL of this scheme need not name."""
        return 443 if self.scheme == b"https" else 80


class RouteKind:
    """
    What is to be done with a request.

    ``ANSWER``: nothing of ours or of an application's is asked for; ``status``,
    ``fields`` and ``body`` of the route are the answer.
    """

    FASTCGI = "fastcgi"
    STATIC = "static"
    REDIRECT = "redirect"
    REFUSE = "refuse"
    ANSWER = "answer"


@dataclass(slots=True)
class Route:
    """
    What the configuration decided for a request, or for several with the same target.

    Once it was given out nobody changes one: the next request may get it, too.

    The names in parentheses are those of httpd's ``request_rec``, whose rules
    for these fields are followed.

    :ivar kind: one of :class:`RouteKind`.
    :ivar host: the virtual host that was chosen.
    :ivar directory: the settings of all sections that apply, merged.
    :ivar uri: the decoded path, after index and fallback look-ups (``uri``).
    :ivar query: the query string as sent, or ``None`` without a ``?`` (``args``).
    :ivar filename: a file system path, or ``proxy:fcgi://...`` (``filename``).
    :ivar pathInfo: (``path_info``); ``None`` when absent.
    :ivar environment: variables set by the configuration (``subprocess_env``).
    :ivar hostname: the name that the client asked for, lower case, without port
        (``hostname``); ``None`` without one.
    :ivar members: the member that is asked, or the balancer's members.
    :ivar balancer: the balancer's name, or ``None``.
    :ivar balanced: what the application is told of the balancer and who it chose.
    :ivar status: of a refusal, a redirect or an answer; for what else an ErrorDocument
        leads to, the status of the error; 0 for a request of its own.
    :ivar location: of a redirect.
    :ivar reason: of a refusal: the log's line about it.
    :ivar authority: who was asked; ``None`` when the request was refused before.
    :ivar script: the file on disk that the application is to run, where that is looked
        up (proxy-fcgi-pathinfo ``full``), else ``None``: ``filename`` says it.
    :ivar pathTranslated: the file that ``pathInfo`` would be as a path, or ``None``.
    :ivar raw: whether ``filename`` holds the path as it was sent or as the file is
        named, not encoded anew.
    :ivar fields: header fields of a refusal or an answer, such as Allow; what else an
        ErrorDocument leads to has those of the error's response (``err_headers_out``).
    :ivar early: response fields that the configuration set beforehand
        (:class:`twisted_fcgi.routing.fields.Early`), or ``None``.
    :ivar initial: whether no internal redirect led to it (``ap_is_initial_req``).
    :ivar body: of an answer.
    :ivar request: the request in the form that the configuration gave it (RequestHeader,
        ErrorDocument), where that is another one.
    :ivar aliased: of a path that an Alias claimed: its path and its directory
        (``context_prefix``, ``context_document_root``).
    :ivar describes: whether something is to be said of a body besides its type, or of the
        type that an application gives it.
    :ivar handler: SetHandler's or AddHandler's, or empty (``handler``).
    :ivar described: what the file's name says, where AddType and its like may add to it.
    :ivar site: the virtual host, prepared (:class:`twisted_fcgi.routing.site.Site`).
    :ivar complaints: what could not be evaluated on the way, for the log.
    :ivar told: what :mod:`twisted_fcgi.cgi.params` made of it, and keeps in it.
    :ivar terms: what :mod:`twisted_fcgi.web.terms` made of it, and keeps in it.
    :ivar bodyRead: whether a file was to be served: then the request's body is gone, also
        for a script that makes the page about an error.
    :ivar lasting: whether it is remembered, and given to other requests.
    """

    kind: str
    host: VirtualHost
    directory: DirectorySettings
    uri: bytes = b"/"
    query: bytes | None = None
    filename: bytes = b""
    pathInfo: bytes | None = None
    environment: dict[bytes, bytes] = field(default_factory=dict)
    hostname: bytes | None = None
    members: tuple[MemberSettings, ...] = ()
    balancer: str | None = None
    balanced: tuple[tuple[bytes, bytes], ...] = ()
    status: int = 0
    location: bytes = b""
    reason: str = ""
    authority: Authority | None = None
    script: bytes | None = None
    pathTranslated: bytes | None = None
    raw: bool = False
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    request: Request | None = None
    early: Any = None
    initial: bool = True
    aliased: tuple[bytes, bytes] | None = None
    describes: bool = False
    handler: bytes = b""
    described: Described | None = None
    site: Any = field(default=None, compare=False, repr=False)
    complaints: Sequence[str] = ()
    told: Any = field(default=None, compare=False, repr=False)
    terms: Any = field(default=None, init=False, compare=False, repr=False)
    bodyRead: bool = False
    lasting: bool = field(default=False, compare=False, repr=False)

    @property
    def isLookup(self) -> bool:
        """It never is: a look-up has no route."""
        return False

    @property
    def changesFields(self) -> bool:
        """Whether Header, or a rule's cookie, has something to say of its response."""
        return self.directory.responseFields is not None or self.early is not None

    @property
    def bodyLimit(self) -> int:
        """Most bytes of the request's body (LimitRequestBody); 0 for no limit."""
        own = self.directory.limitBody
        return self.host.limits.body if own is None else own


class Source(enum.Enum):
    """
    Who made a response.

    ``SERVER``: a file or an answer of ours; ``ERROR``: our own page about an error, or a
    redirect of ours.
    """

    APPLICATION = "application"
    SERVER = "server"
    ERROR = "error"


@dataclass(slots=True)
class ResponseHead:
    """
    Status and header fields of a response.

    Framing (Content-Length, Transfer-Encoding, Connection) is the front's;
    ``headers`` never holds Transfer-Encoding.

    :ivar status: 100 to 999.
    :ivar reason: the phrase, possibly empty.
    :ivar headers: the fields for the client.
    :ivar contentLength: the length that the body will have, when it is known.
    :ivar close: whether the client's connection ends after it: the application
        asked for that, or the status is one of :data:`DROPS_CONNECTION`.
    :ivar statusGiven: whether the application named the status itself.
    :ivar unchunked: whether the end of a body of unknown length is the connection's.
    :ivar keepAlive: how many seconds the client's connection may be idle after it, and
        most requests of one, where its virtual host does not say what the server does.
    :ivar source: who made it.
    """

    status: int
    reason: bytes
    headers: Headers
    contentLength: int | None = None
    close: bool = False
    statusGiven: bool = False
    unchunked: bool = False
    keepAlive: tuple[float, int] | None = None
    source: Source = Source.SERVER

    def copy(self) -> ResponseHead:
        """The same head, to be changed by itself."""
        return ResponseHead(
            self.status,
            self.reason,
            self.headers.copy(),
            self.contentLength,
            self.close,
            self.statusGiven,
            self.unchunked,
            self.keepAlive,
            self.source,
        )
