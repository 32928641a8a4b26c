"""Directives of httpd's core and http modules: names, addresses, limits, logs."""

from __future__ import annotations

import os.path
import re

from twisted_fcgi.config.drafts import Scope
from twisted_fcgi.config.globs import hasWildcards
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.values import addressPort, isEndpoint, looseInteger, strictDuration
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import EncodedSlashes, Listener

__all__ = ["rows"]

rows = Rows("core")

_LEVELS = (
    *("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"),
    *(f"trace{number}" for number in range(1, 9)),
)


@rows.directive("Listen", Shape.WORDS, Context.MAIN, syntax="[address:]port [protocol]",
                example="Listen 8080\nListen 127.0.0.1:8080\nListen [::1]:8080\n"
                        'Listen "unix:/run/site.sock"')  # fmt: skip
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
    if parsed is None:
        raise word.error(
            f"{str(word)!r} is no address with a port", "80, 192.0.2.1:80, [2001:db8::1]:80"
        )
    if parsed.port is None:
        raise word.error("the port must be specified", f"Listen {word}:80")
    if len(words) == 2 and words[1].lower() != "http":
        raise words[1].error(
            f"the protocol {str(words[1])!r} is not supported",
            'for TLS, name an endpoint: Listen "ssl:443:privateKey=key.pem:certKey=cert.pem"',
        )
    host = parsed.host
    if host is None or host == "*":
        endpoint = f"tcp:{parsed.port}"
    elif ":" in host:
        endpoint = f"tcp6:{parsed.port}:interface=" + host.replace(":", r"\:")
    else:
        endpoint = f"tcp:{parsed.port}:interface={host}"
    scope.draft.listeners.append(Listener(endpoint))


@rows.directive("ServerName", Shape.TAKE1, Context.SERVER, syntax="[scheme://]name[:port]",
                default="localhost", example="ServerName www.example.org:80")  # fmt: skip
def serverName(scope: Scope, word: Word) -> None:
    """The name, and the port, that the server has for its clients."""
    if hasWildcards(word):
        raise word.error(f"{str(word)!r} is no server's name", "wildcards belong to ServerAlias")
    scheme, found, rest = word.partition("://")
    name = rest if found else str(word)
    host, colon, digits = name.partition(":")
    port = None
    if colon:
        port = looseInteger(word.part(len(word) - len(digits)), scope.warn)
        if not 0 < port < 65536:
            raise word.error(f"the port of {str(word)!r} is out of range", "1 to 65535")
    scope.server.values.update(name=host, port=port, scheme=scheme.lower() if found else "")


@rows.directive("ServerAlias", Shape.WORDS, Context.VIRTUAL_HOST, syntax="name ...",
                example="ServerAlias example.org *.example.org")  # fmt: skip
def serverAlias(scope: Scope, words: list[Word]) -> None:
    """Further names of a virtual host; ``*`` and ``?`` are wildcards."""
    values = scope.server.values
    values["aliases"] = (*values.get("aliases", ()), *(str(word) for word in words))


@rows.directive("ServerAdmin", Shape.TAKE1, Context.SERVER, syntax="address",
                default="[no address given]", example="ServerAdmin www@example.org")  # fmt: skip
def serverAdmin(scope: Scope, word: Word) -> None:
    """Goes to the application as SERVER_ADMIN."""
    scope.server.values["admin"] = str(word)


@rows.directive("DocumentRoot", Shape.TAKE1, Context.SERVER, syntax="directory",
                default="none: no files are served", example='DocumentRoot "/srv/www"')  # fmt: skip
def documentRoot(scope: Scope, word: Word) -> None:
    """Where the files of the site are."""
    path = scope.path(word)
    if not os.path.isdir(path):
        if not scope.server.virtual:
            raise word.error(f"DocumentRoot {path!r} is not a directory, or is not readable")
        scope.warn(word, f"DocumentRoot {path!r} does not exist")
    scope.server.values["documentRoot"] = path


@rows.directive("Timeout", Shape.TAKE1, Context.SERVER, syntax="seconds", default="60",
                example="Timeout 30")  # fmt: skip
def timeout(scope: Scope, word: Word) -> None:
    """Silence of a client, or of an application without a timeout of its own, that is borne."""
    scope.server.values["timeout"] = float(looseInteger(word, scope.warn))


@rows.directive("KeepAlive", Shape.FLAG, Context.SERVER, syntax="On|Off", default="On",
                example="KeepAlive Off")  # fmt: skip
def keepAlive(scope: Scope, on: bool) -> None:
    """Whether clients' connections may serve several requests."""
    scope.server.values["keepAlive"] = on


@rows.directive("KeepAliveTimeout", Shape.TAKE1, Context.SERVER, syntax="seconds|duration",
                default="5", example="KeepAliveTimeout 500ms")  # fmt: skip
def keepAliveTimeout(scope: Scope, word: Word) -> None:
    """How long a client's connection may be idle between two requests."""
    seconds = strictDuration(word, "s")
    if seconds is None:
        raise word.error(f"{str(word)!r} is no duration", "a number with ms, s, min or h")
    scope.server.limits["keepAliveTimeout"] = seconds


@rows.directive("MaxKeepAliveRequests", Shape.TAKE1, Context.SERVER, syntax="number",
                default="100", example="MaxKeepAliveRequests 1000")  # fmt: skip
def maxKeepAliveRequests(scope: Scope, word: Word) -> None:
    """Most requests of a client's connection; 0 for no limit."""
    scope.server.limits["keepAliveRequests"] = looseInteger(word, scope.warn)


def _limit(name: str, field: str, default: str, doc: str) -> None:
    @rows.directive(name, Shape.TAKE1, Context.SERVER, syntax="number", default=default,
                    example=f"{name} {default}", doc=doc)  # fmt: skip
    def limit(scope: Scope, word: Word) -> None:
        value = looseInteger(word, scope.warn)
        if value < 0:
            raise word.error(f"{name} must be a non-negative integer")
        scope.server.limits[field] = value


_limit("LimitRequestLine", "line", "8190", "Most bytes of a request line.")
_limit("LimitRequestFieldSize", "fieldSize", "8190", "Most bytes of a header field.")
_limit("LimitRequestFields", "fields", "100", "Most header fields of a request; 0 for no limit.")


@rows.directive("LimitRequestBody", Shape.TAKE1, Context.ANYWHERE, syntax="bytes",
                default="1073741824", example="LimitRequestBody 10485760")  # fmt: skip
def limitRequestBody(scope: Scope, word: Word) -> None:
    """Most bytes of a request's body; 0 for no limit."""
    if not re.fullmatch(r"[0-9]+", word) or int(word) >= 2**63:
        raise word.error("LimitRequestBody requires a non-negative integer")
    scope.section.values["limitBody"] = int(word)
    if not scope.inSection:
        scope.server.limits["body"] = int(word)


@rows.directive("LogLevel", Shape.ITERATE, Context.SERVER | Context.DIRECTORY | Context.LOCATION
                | Context.FILES | Context.PROXY, syntax="[module:]level ...", default="warn",
                example="LogLevel info")  # fmt: skip
def logLevel(scope: Scope, word: Word) -> None:
    """What is logged: ``emerg`` to ``debug``, ``trace1`` to ``trace8``; for a whole server."""
    module, colon, level = word.rpartition(":")
    if level.lower() not in _LEVELS:
        raise word.error(
            f"{str(level)!r} is no level",
            "emerg, alert, crit, error, warn, notice, info, debug, trace1 ...",
        )
    if colon:
        scope.warn(word, f"the level of {module} alone is not kept apart; this has no effect")
    elif scope.inSection:
        scope.warn(word, "a level of a section alone is not kept apart; this has no effect")
    elif scope.server.virtual:
        scope.server.values["logLevel"] = level.lower()
    else:
        scope.draft.values["logLevel"] = level.lower()


@rows.directive("ErrorLog", Shape.TAKE12, Context.SERVER, syntax="file",
                default="standard error", example='ErrorLog "/var/log/fcgiproxy.log"')  # fmt: skip
def errorLog(scope: Scope, word: Word, option: Word | None) -> None:
    """Where the log goes."""
    if word.startswith("|"):
        raise word.error("a program can't take the log", "write to standard error and pipe that")
    if word.lower().startswith("syslog"):
        raise word.error("syslog can't take the log", "write to standard error")
    path = scope.path(word)
    if scope.server.virtual:
        scope.server.values["errorLog"] = path
    else:
        scope.draft.values["errorLog"] = path


@rows.directive("UseCanonicalName", Shape.TAKE1, Context.SERVER | Context.DIRECTORY
                | Context.LOCATION | Context.FILES | Context.PROXY, syntax="On|Off|DNS",
                default="Off", example="UseCanonicalName On")  # fmt: skip
def useCanonicalName(scope: Scope, word: Word) -> None:
    """Whether SERVER_NAME is ServerName, not what the client asked for."""
    choice = word.lower()
    if choice == "dns":
        raise word.error("UseCanonicalName DNS is not supported", "On or Off")
    if choice not in ("on", "off"):
        raise word.error("UseCanonicalName must be On or Off")
    scope.section.values["canonicalName"] = choice == "on"
    if not scope.inSection:
        scope.server.values["canonicalName"] = choice == "on"


@rows.directive("TraceEnable", Shape.TAKE1, Context.SERVER, syntax="on|off|extended",
                default="on", example="TraceEnable off")  # fmt: skip
def traceEnable(scope: Scope, word: Word) -> None:
    """Whether TRACE is served; ``extended``: also with a body."""
    choice = word.lower()
    if choice not in ("on", "off", "extended"):
        raise word.error("TraceEnable must be one of on, off, extended")
    scope.server.values.update(traceEnabled=choice != "off", traceExtended=choice == "extended")


@rows.directive("AllowEncodedSlashes", Shape.TAKE1, Context.SERVER, syntax="On|Off|NoDecode",
                default="Off", example="AllowEncodedSlashes NoDecode")  # fmt: skip
def allowEncodedSlashes(scope: Scope, word: Word) -> None:
    """What becomes of ``%2F`` in a path: refused, decoded, or left as it is."""
    choice = word.lower()
    if choice not in ("on", "off", "nodecode"):
        raise word.error("AllowEncodedSlashes must be On, Off, or NoDecode")
    scope.section.values["encodedSlashes"] = EncodedSlashes(choice)


@rows.directive("MergeSlashes", Shape.FLAG, Context.SERVER, syntax="On|Off", default="On",
                example="MergeSlashes Off")  # fmt: skip
def mergeSlashes(scope: Scope, on: bool) -> None:
    """Whether several slashes in a path count as one."""
    scope.server.values["mergeSlashes"] = on


@rows.directive("CGIPassAuth", Shape.FLAG, Context.SECTIONS, syntax="On|Off", default="Off",
                example='<Location "/">\n    CGIPassAuth On\n</Location>')  # fmt: skip
def cgiPassAuth(scope: Scope, on: bool) -> None:
    """Whether the application gets the Authorization field."""
    scope.section.values["passAuthorization"] = on


@rows.directive("SetHandler", Shape.TAKE1, Context.ANYWHERE, syntax="handler|None",
                example='SetHandler "proxy:fcgi://127.0.0.1:9000"')  # fmt: skip
def setHandler(scope: Scope, word: Word) -> None:
    """
    Who serves the files that a section holds for.

    ``proxy:`` and a URL names an application; ``None`` takes the handler of an outer
    section away.
    """
    scope.setHandler(word)


rows.ignore(
    """
    User Group PidFile ServerTokens ServerSignature Mutex DefaultRuntimeDir DefaultStateDir
    CoreDumpDirectory EnableMMAP EnableSendfile ExtendedStatus HostnameLookups AcceptFilter
    ListenBacklog GracefulShutdownTimeout MaxMemFree ReceiveBufferSize SendBufferSize
    ScoreBoardFile ThreadStackSize SeeRequestTail ErrorLogFormat AllowOverride
    AllowOverrideList AccessFileName
    """,
    "it concerns httpd's own process",
)

mpm = Rows("mpm")
mpm.ignore(
    """
    StartServers ServerLimit ThreadsPerChild ThreadLimit MaxRequestWorkers MaxClients
    MinSpareThreads MaxSpareThreads MinSpareServers MaxSpareServers MaxConnectionsPerChild
    MaxRequestsPerChild AsyncRequestWorkerFactor EnableExceptionHook
    """,
    "there are no processes or threads to serve requests",
)

mime = Rows("mod_mime")
mime.ignore("TypesConfig", "types are those of Twisted's static files")
