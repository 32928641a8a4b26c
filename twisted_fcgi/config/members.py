"""
Members and balancers while a configuration is read: who shares what (httpd: workers).

httpd's rules (``ap_proxy_get_worker``, ``ap_proxy_define_worker``): a member's
name is its URL with scheme and host in lower case and without the default port;
the longest name that a URL begins with serves it; a ProxyPass whose URL is served
already shares that member, and its parameters are ignored.

One rule is ours: the path of a UNIX socket is part of the identity, so that two
sockets behind the same ``fcgi://name`` never serve each other's requests.  A
member that was declared without a socket (``<Proxy "fcgi://localhost/">``) lends
its parameters to every socket of that name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twisted_fcgi.config.parameters import BALANCER, MEMBER, Parameter, Warn
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = [
    "BalancerDraft",
    "MemberDraft",
    "Members",
    "Target",
    "balancerName",
    "elect",
    "isBalancerName",
    "parseTarget",
]

#: httpd's default port of fcgi://, which vanishes from names.
DEFAULT_PORT = 8000

#: httpd's bound of a socket's path; the system's is 107.
MAX_SOCKET_PATH = 95

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>.*)", re.S)
_REFERENCE = re.compile(r"\$[0-9]")


@dataclass(frozen=True)
class Target:
    """
    The URL of an application server, taken apart.

    :ivar socket: the UNIX socket, or ``None``.
    :ivar url: what follows the socket, as written (httpd: ``real``).
    :ivar name: the member's name.
    """

    socket: str | None
    url: str
    scheme: str
    host: str
    port: int
    name: str


def parseTarget(word: Word, socketRoot: str, matching: bool, warn: Warn) -> Target:
    """
    Take a URL apart: ``fcgi://host:port/path`` or ``unix:/path|fcgi://name/path``.

    :param socketRoot: what a relative socket path begins at.
    :param matching: whether ``$1`` in it stands for a part of the request.
    :raises ConfigurationError: when it is none.
    """
    socket: str | None = None
    url = word
    if word[:5].lower() == "unix:" and "|" in word:
        at = word.index("|")
        path, url = word.part(5, at), word.part(at + 1)
        socket = path if path.startswith("/") else f"{socketRoot}/{path}"
        if not path.startswith("/"):
            warn(path, f"the socket's path is not absolute, {socket} is meant")
        if len(encode(socket)) > MAX_SOCKET_PATH:
            raise path.error("the socket's path is too long", f"at most {MAX_SOCKET_PATH} bytes")
        if ":" not in url:
            raise url.error('the "unix:" URL is incomplete', "unix:/path/to.sock|fcgi://localhost/")
        if re.fullmatch("[^:]*:(?://)?", url):
            url = Word.make(url.rstrip("/") + "//localhost", url.line, url.start, url.end)
    match = _URL.match(url)
    if match is None or not match["authority"]:
        raise url.error("the URL must be absolute", "fcgi://host:port/ or unix:/path|fcgi://name/")
    authority, path_ = match["authority"], match["path"]
    netloc = authority.rpartition("@")[2]
    moved = ""
    if matching and (reference := re.search(r":[^$]*?(\$[0-9].*)", netloc)) is not None:
        moved = reference[1]  # the port and what follows come from the request
        netloc = netloc[: reference.start(1)]
    host, colon, digits = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        host, digits = netloc, ""
    if not re.fullmatch("[0-9]*", digits):
        raise url.error(f"{digits!r} is no port", "a number", url.index(digits))
    port = int(digits or 0)
    if port > 65535:
        port &= 0xFFFF
        warn(url.part(url.index(digits)), f"the port is out of range and is read as {port}")
    if not host:
        raise url.error("the URL has no host", "fcgi://host:port/")
    host = host.lower()
    scheme = match["scheme"].lower()
    shown = f":{port}" if port and not (scheme == "fcgi" and port == DEFAULT_PORT) else ""
    return Target(
        socket,
        str(url),
        scheme,
        host.strip("[]"),
        port or DEFAULT_PORT,
        f"{scheme}://{host}{shown}{moved}{path_}",
    )


@dataclass(eq=False)
class MemberDraft:
    """
    A member that is being described.

    :ivar matching: whether a ProxyPassMatch made it: then its name may have
        back-references.
    :ivar fields: the settings' fields that were set.
    :ivar parameters: as written, by lower-case key.
    """

    target: Target
    matching: bool = False
    fields: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    def update(self, parameters: Iterable[tuple[Word, Word]], warn: Warn) -> None:
        """Set parameters."""
        for key, value in parameters:
            row = _row(MEMBER, key, "member")
            read = row.read(value, warn)
            if row.sets:
                self.fields[row.sets] = read
            self.parameters[row.key] = str(value)

    def serves(self, target: Target) -> bool:
        """Whether a target's URL is this member's (httpd: ``worker_matches``)."""
        if not socketFits(self.target.socket, target.socket):
            return False
        if self.matching:
            pattern = _referencePattern(self.target.name)
            return len(self.target.name) <= len(target.name) and bool(
                re.match(pattern, encode(target.name))
            )
        host = target.name.split("/", 3)
        least = len("/".join(host[:3]))
        name = self.target.name
        return len(name) >= least and target.name.startswith(name)

    def finish(self) -> MemberSettings:
        """The settings."""
        fields = dict(self.fields)
        if self.matching and "$" in self.target.name:
            fields["pattern"] = re.compile(_referencePattern(self.target.name), re.DOTALL)
        return MemberSettings(
            url=self.target.name,
            host=self.target.host,
            port=self.target.port,
            socket=self.target.socket,
            parameters=tuple(self.parameters.items()),
            **fields,
        )


def socketFits(own: str | None, asked: str | None) -> bool:
    """Whether a member with one socket may serve a URL with another."""
    return own is None or asked is None or own == asked


def _referencePattern(name: str) -> bytes:
    """A name's expression: ``$1`` stands for anything (``ap_proxy_strcmp_ematch``)."""
    pieces = re.split(r"(?:\$[0-9])+", name)
    return b".*?".join(re.escape(encode(re.sub(r"\\(.)", r"\1", piece))) for piece in pieces)


def _row(table: Any, key: Word, what: str) -> Parameter:
    row: Parameter | None = table.get(key.lower())
    if row is None:
        known = ", ".join(sorted(table))
        raise key.error(f"{str(key)!r} is no parameter of a {what}", f"one of {known}")
    return row


@dataclass(eq=False)
class BalancerDraft:
    """
    A balancer that is being described.

    :ivar name: in lower case, without a path.
    """

    name: str
    members: list[MemberDraft] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    def update(self, parameters: Iterable[tuple[Word, Word]], warn: Warn) -> None:
        """Set parameters."""
        for key, value in parameters:
            row = _row(BALANCER, key, "balancer")
            read = row.read(value, warn)
            if row.key == "stickysession":
                self.fields["stickySession"], self.fields["stickyPath"] = read
            else:
                self.fields[row.sets] = read
            self.parameters[row.key] = str(value)

    def finish(self) -> BalancerSettings:
        """The settings."""
        return BalancerSettings(
            self.name,
            tuple(member.finish() for member in self.members),
            parameters=tuple(self.parameters.items()),
            **self.fields,
        )


class Members:
    """The members and balancers of one server, in the order in which they appeared."""

    def __init__(self) -> None:
        self.members: list[MemberDraft] = []
        self.balancers: dict[str, BalancerDraft] = {}

    def find(self, target: Target, matching: bool) -> MemberDraft | None:
        """The member that serves a URL already, of the same kind."""
        kind = [member for member in self.members if member.matching == matching]
        return longest(kind, target)

    def define(self, target: Target, matching: bool = False) -> MemberDraft:
        """A new member."""
        member = MemberDraft(target, matching)
        self.members.append(member)
        return member

    def balancer(self, url: Word) -> BalancerDraft:
        """
        A balancer by its URL; a new one when there is none.

        :raises ConfigurationError: when it is no balancer's name.
        """
        name = balancerName(url)
        return self.balancers.setdefault(name, BalancerDraft(name))


def isBalancerName(text: str) -> bool:
    """Whether a URL is meant for a balancer."""
    return text[:9].lower() == "balancer:"


def balancerName(url: Word) -> str:
    """
    A balancer's name: in lower case, without a path.

    :raises ConfigurationError: when there is none.
    """
    match = re.match("[^:/]+://[^/]+", url)
    if match is None:
        raise url.error(f"{str(url)!r} is no balancer's name", "balancer://name")
    return match[0].lower()


def longest(members: Iterable[MemberDraft], target: Target) -> MemberDraft | None:
    """The member with the longest name that serves a URL; the first of equals."""
    found: MemberDraft | None = None
    for member in members:
        if member.serves(target) and (
            found is None or len(member.target.name) > len(found.target.name)
        ):
            found = member
    return found


def elect(
    members: Sequence[MemberSettings], target: Target
) -> tuple[MemberSettings, tuple[MemberSettings, ...]]:
    """
    Who serves requests whose URLs begin with a target's.

    :param members: the defined ones, in order.
    :returns: the member for any such URL, made up when none is defined, and those
        that serve some of them, the longest first.
    """
    url = encode(target.name)
    prefix = url.split(b"$", 1)[0]
    fitting = [m for m in members if socketFits(m.socket, target.socket)]
    sure = [m for m in fitting if m.pattern is None and m.serves(url) and _hostFits(m, url)]
    best = max(sure, key=lambda m: len(m.url), default=None)
    some = [
        m
        for m in fitting
        if m is not best
        and len(m.url) > (0 if best is None else len(best.url))
        and (m.pattern is not None or encode(m.url).startswith(prefix))
        and _hostFits(m, url)
    ]
    some.sort(key=lambda m: -len(m.url))
    if best is None:
        best = MemberSettings(target.name, target.host, target.port, target.socket, defined=False)
    return at(best, target), tuple(at(m, target) for m in some)


def _hostFits(member: MemberSettings, url: bytes) -> bool:
    return len(encode(member.url)) >= len(b"/".join(url.split(b"/", 3)[:3]))


def at(member: MemberSettings, target: Target) -> MemberSettings:
    """A member's settings for a target's socket, when the member was declared without one."""
    if member.socket is None and target.socket is not None:
        return replace(member, socket=target.socket)
    return member
