"""Directives of httpd's core: addresses, names, files, logs, and what it has besides."""

from __future__ import annotations

import os.path

from twisted_fcgi.config.directives_reading import findModule
from twisted_fcgi.config.expressions import text
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.values import addressPort, isEndpoint, looseInteger, pathError
from twisted_fcgi.config.words import Word
from twisted_fcgi.pcre import hasWildcards
from twisted_fcgi.settings import EncodedSlashes, Listener, Signature

__all__ = ["mpm", "rows", "unixd"]

rows = Rows("core")

_ONE_LOG = "no log of its own for a virtual host"

LEVELS = (
    *("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"),
    *(f"trace{number}" for number in range(1, 9)),
)


@rows.directive(
    "Listen",
    Shape.WORDS,
    Context.MAIN,
    syntax="[address:]port [protocol]",
    example='Listen 8080\nListen 127.0.0.1:8081\nListen [::1]:8080\nListen "unix:/run/site.sock"',
)
def listen(scope: Scope, words: list[Word]) -> None:
    """
    Where connections are accepted; may be repeated.

    An extension: anything else in quotes is a Twisted server endpoint description.
    """
    if not 1 <= len(words) <= 2:
        raise scope.error("Listen requires 1 or 2 arguments", "Listen [address:]port [protocol]")
    word = words[0]
    if word.kind != "plain" and isEndpoint(word):
        scope.draft.listeners.append(Listener(str(word)))
        return
    parsed = addressPort(word)
    if parsed is None or parsed.host == "_default_":
        raise word.error(
            f"{str(word)!r} is no address with a port", "80, 192.0.2.1:80, [2001:db8::1]:80"
        )
    if parsed.port is None:
        raise word.error("the port is missing", f"Listen {word}:80")
    if len(words) == 2 and words[1].lower() == "https":
        scope.warn(
            words[1],
            "this does not make it TLS; an endpoint does: "
            'Listen "ssl:443:privateKey=key.pem:certKey=cert.pem"',
        )
    host = parsed.host
    if host is None or host == "*":
        endpoint = f"tcp:{parsed.port}"
    elif ":" in host:
        endpoint = f"tcp6:{parsed.port}:interface=" + host.replace(":", r"\:")
    else:
        endpoint = f"tcp:{parsed.port}:interface={host}"
    scope.draft.listeners.append(Listener(endpoint))


@rows.directive(
    "ServerName",
    Shape.TAKE1,
    Context.SERVER,
    syntax="[scheme://]name[:port]",
    default="localhost",
    example="ServerName www.example.org:80",
)
def serverName(scope: Scope, word: Word) -> None:
    """The name, and the port, that the server has for its clients."""
    if hasWildcards(word):
        raise word.error(f"{str(word)!r} is no server's name", "wildcards belong to ServerAlias")
    scheme, found, rest = word.partition("://")
    host, colon, digits = (rest if found else str(word)).partition(":")
    port = None
    if colon:
        port = looseInteger(word.part(len(word) - len(digits)), scope.warn)
        if not 0 < port < 65536:
            raise word.error(f"the port of {str(word)!r} is out of range", "1 to 65535")
    scope.server.values.update(name=host, port=port, scheme=scheme.lower() if found else "")


@rows.directive(
    "ServerAlias",
    Shape.WORDS,
    Context.VIRTUAL_HOST,
    syntax="name ...",
    example="<VirtualHost *>\n    ServerName example.org\n    ServerAlias *.example.org\n"
    "</VirtualHost>",
)
def serverAlias(scope: Scope, words: list[Word]) -> None:
    """Further names of a virtual host; ``*`` and ``?`` are wildcards."""
    values = scope.server.values
    values["aliases"] = (*values.get("aliases", ()), *(str(word) for word in words))


@rows.directive(
    "ServerAdmin",
    Shape.TAKE1,
    Context.SERVER,
    syntax="address",
    default="[no address given]",
    example="ServerAdmin www@example.org",
)
def serverAdmin(scope: Scope, word: Word) -> None:
    """Goes to the application as SERVER_ADMIN."""
    scope.server.values["admin"] = str(word)


@rows.directive(
    "DocumentRoot",
    Shape.TAKE1,
    Context.SERVER,
    syntax="directory",
    default="none: no files are served",
    example='DocumentRoot "/srv/www"',
)
def documentRoot(scope: Scope, word: Word) -> None:
    """Where the files of the site are."""
    path = scope.path(word)
    if not os.path.isdir(path):
        if not scope.server.virtual:
            raise pathError(word, f"{path} is not a directory, or is not readable")
        scope.warn(word, f"{path} does not exist")
    scope.server.values["documentRoot"] = path


@rows.directive(
    "DefaultRuntimeDir",
    Shape.TAKE1,
    Context.MAIN,
    syntax="directory",
    default="logs",
    example='DefaultRuntimeDir "/run/site"',
)
def defaultRuntimeDir(scope: Scope, word: Word) -> None:
    """Where the paths of UNIX sockets begin that are not absolute."""
    scope.draft.runtimeDirectory = scope.path(word)


@rows.directive(
    "SetHandler",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="handler|None",
    example='<FilesMatch "\\.php$">\n    SetHandler "proxy:fcgi://127.0.0.1:9000"\n</FilesMatch>',
    override=Override.FILE_INFO,
)
def setHandler(scope: Scope, word: Word) -> None:
    """
    Who serves what a section holds for.

    ``proxy:`` and a URL names an application; ``None`` takes the handler of an outer
    section away.  It may hold ``%{variables}``; the application that they make has to be
    one that a ``<Proxy>``, ProxySet or BalancerMember describes.
    """
    if "%{" not in word:
        scope.setHandler(word)
    elif scope.draft.overriding is not None:
        raise word.error("no variables are allowed here", index=word.index("%{"))
    else:
        scope.section.target = scope.section.balancer = None
        scope.section.values.update(handler=b"", handlerMade=text(word))


@rows.directive(
    "CGIPassAuth",
    Shape.FLAG,
    Context.SECTIONS | Context.REQUIRE,
    syntax="On|Off",
    default="Off",
    example='<Location "/">\n    CGIPassAuth On\n</Location>',
    override=Override.AUTH_CONFIG,
)
def cgiPassAuth(scope: Scope, on: bool) -> None:
    """Whether the application gets the Authorization field."""
    scope.section.values["passAuthorization"] = on


@rows.directive(
    "UseCanonicalName",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="On|Off",
    default="Off",
    example="UseCanonicalName On",
)
def useCanonicalName(scope: Scope, word: Word) -> None:
    """Whether SERVER_NAME is ServerName, not what the client asked for."""
    choice = word.lower()
    if choice == "dns":
        raise word.error("names are not looked up; UseCanonicalName must be On or Off")
    if choice not in ("on", "off"):
        raise word.error("UseCanonicalName must be On or Off")
    scope.section.values["canonicalName"] = choice == "on"


@rows.directive(
    "ServerSignature",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="On|Off|EMail",
    default="Off",
    example="ServerSignature EMail",
    override=Override.ANY,
)
def serverSignature(scope: Scope, word: Word) -> None:
    """What SERVER_SIGNATURE tells the application; our own pages have no signature."""
    forms = {form.value.lower(): form for form in Signature}
    if word.lower() not in forms:
        raise word.error("ServerSignature must be On, Off or EMail")
    scope.section.values["signature"] = forms[word.lower()]


@rows.directive(
    "TraceEnable",
    Shape.TAKE1,
    Context.SERVER,
    syntax="on|off|extended",
    default="on",
    example="TraceEnable off",
)
def traceEnable(scope: Scope, word: Word) -> None:
    """Whether TRACE is served; ``extended``: also with a body."""
    choice = word.lower()
    if choice not in ("on", "off", "extended"):
        raise word.error("TraceEnable must be on, off, or extended")
    scope.server.values.update(traceEnabled=choice != "off", traceExtended=choice == "extended")


@rows.directive(
    "AllowEncodedSlashes",
    Shape.TAKE1,
    Context.SERVER,
    syntax="On|Off|NoDecode",
    default="Off",
    example="AllowEncodedSlashes NoDecode",
)
def allowEncodedSlashes(scope: Scope, word: Word) -> None:
    """What becomes of ``%2F`` in a path: refused, decoded, or left as it is."""
    choice = word.lower()
    if choice not in ("on", "off", "nodecode"):
        raise word.error("AllowEncodedSlashes must be On, Off, or NoDecode")
    scope.section.values["encodedSlashes"] = EncodedSlashes(choice)


@rows.directive(
    "MergeSlashes",
    Shape.FLAG,
    Context.SERVER,
    syntax="On|Off",
    default="On",
    example="MergeSlashes Off",
)
def mergeSlashes(scope: Scope, on: bool) -> None:
    """Whether several slashes in a path count as one."""
    scope.server.values["mergeSlashes"] = on


@rows.directive(
    "LogLevel",
    Shape.ITERATE,
    Context.ANYWHERE,
    syntax="level",
    default="warn",
    example="LogLevel info",
)
def logLevel(scope: Scope, word: Word) -> None:
    """What is logged: ``emerg``, ``alert``, ``crit`` ... ``debug``, ``trace1`` to ``trace8``."""
    module, colon, level = word.rpartition(":")
    if level.lower() not in LEVELS:
        known = "emerg, alert, crit, error, warn, notice, info, debug, trace1 to trace8"
        raise word.error(f"{level!r} is no level", known)
    if colon:
        if not (findModule(module) or findModule(f"{module}_module")):
            raise word.error(f"there is no module {module!r}")
        scope.warn(word, f"no level of its own for {module}: this has no effect")
    elif scope.inSection:
        scope.warn(word, "no level of its own for a section: this has no effect")
    elif scope.server.virtual:
        scope.warn(word, f"{_ONE_LOG}: this has no effect")
        scope.server.values["logLevel"] = level.lower()
    else:
        scope.draft.values["logLevel"] = level.lower()


@rows.directive(
    "ErrorLog",
    Shape.TAKE1,
    Context.SERVER,
    syntax="file",
    default="standard error",
    example='ErrorLog "/var/log/fcgiproxy.log"',
)
def errorLog(scope: Scope, word: Word) -> None:
    """Where the log goes."""
    if word.startswith("|") or word.lower().startswith("syslog"):
        raise word.error("the log goes to a file only", "or to standard error, without ErrorLog")
    path = scope.path(word)
    if not os.path.isdir(os.path.dirname(path)):
        raise pathError(word, f"{os.path.dirname(path)} is no directory")
    if scope.server.virtual:
        scope.warn(word, f"{_ONE_LOG}: this has no effect")
        scope.server.values["errorLog"] = path
    else:
        scope.draft.values["errorLog"] = path


rows.ignore(
    """
    PidFile ServerTokens Mutex CoreDumpDirectory ExtendedStatus HostnameLookups
    AcceptFilter ListenBacklog GracefulShutdownTimeout MaxMemFree ReceiveBufferSize SendBufferSize
    ScoreBoardFile ThreadStackSize SeeRequestTail ErrorLogFormat
    """,
    "it concerns httpd's own process",
)
rows.ignore("EnableMMAP EnableSendfile", "it concerns httpd's own process", Override.FILE_INFO)

unixd = Rows("mod_unixd")


@unixd.directive(
    "User",
    Shape.TAKE1,
    Context.MAIN,
    syntax="name|#number",
    default="who starts it",
    example="User www-data",
)
def user(scope: Scope, word: Word) -> None:
    """
    Who the gateway is once it listens, when root starts it.

    twistd's own ``--uid`` and ``--gid`` come first.  Nobody else can become another one:
    then it is not heeded.
    """
    scope.draft.values["user"] = str(word)


@unixd.directive(
    "Group",
    Shape.TAKE1,
    Context.MAIN,
    syntax="name|#number",
    default="that of User",
    example="Group www-data",
)
def group(scope: Scope, word: Word) -> None:
    """The group that goes with User."""
    scope.draft.values["group"] = str(word)


mpm = Rows("mpm")
mpm.ignore(
    """
    StartServers ServerLimit ThreadsPerChild ThreadLimit MaxRequestWorkers MaxClients
    MinSpareThreads MaxSpareThreads MinSpareServers MaxSpareServers MaxConnectionsPerChild
    MaxRequestsPerChild AsyncRequestWorkerFactor EnableExceptionHook
    """,
    "no processes or threads serve requests here",
)
