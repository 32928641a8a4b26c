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
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from twisted_fcgi.config.checking import changed
from twisted_fcgi.config.parameters import BALANCER, MEMBER, Given, Parameter
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = [
    "BalancerDraft",
    "MemberDraft",
    "Members",
    "Names",
    "balancerName",
    "isBalancerName",
    "socketFits",
]

#: httpd's bound of a balancer's name.
MAX_BALANCER_NAME = 95

_T = TypeVar("_T")


class Names(Generic[_T]):
    """
    Things by name, found by what a text begins with.

    A look-up costs the same with one name as with thousands.
    """

    def __init__(self) -> None:
        self._sorted: list[str] = []
        self._things: dict[str, list[_T]] = {}

    def add(self, name: str, thing: _T) -> None:
        """Put a thing behind those that have the same name."""
        things = self._things.get(name)
        if things is None:
            insort(self._sorted, name)
            things = self._things[name] = []
        things.append(thing)

    def beginning(self, text: str) -> Iterator[_T]:
        """Those whose names ``text`` begins with, the longest first."""
        names = self._sorted
        at = bisect_right(names, text)
        while at:
            name = names[at - 1]
            if text.startswith(name):
                yield from self._things[name]
                at -= 1
                continue
            # what they have in common is the most that a name may be from here on
            common = next(i for i, (a, b) in enumerate(zip(name + "\0", text + "\1")) if a != b)
            text = text[:common]
            at = bisect_right(names, text, hi=at)

    def goingOn(self, text: str) -> Iterator[_T]:
        """Those whose names begin with ``text`` and are longer."""
        names = self._sorted
        for at in range(bisect_left(names, text), len(names)):
            name = names[at]
            if not name.startswith(text):
                return
            if len(name) > len(text):
                yield from self._things[name]


@dataclass(eq=False)
class MemberDraft:
    """
    A member that is being described.

    :ivar matching: whether a ProxyPassMatch made it: then its name may have
        back-references.
    :ivar number: how many were described before it.
    :ivar fields: the settings' fields that were set.
    :ivar parameters: as written, by lower-case key.
    """

    table: ClassVar[Mapping[str, Parameter]] = MEMBER

    target: Target
    matching: bool = False
    number: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    def take(self, parameters: Iterable[Given]) -> None:
        """Set parameters."""
        for row, value, text in parameters:
            if row.sets.partition(".")[0] == "check":
                check = self.fields.get("check", MemberSettings.check)
                self.fields["check"] = changed(check, row.sets, value)
            elif row.sets:
                self.fields[row.sets] = value
            self.parameters[row.key] = str(text)

    @property
    def literal(self) -> str:
        """The part of its name that no request changes."""
        return self.target.name.partition("$")[0] if self.matching else self.target.name

    def serves(self, target: Target) -> bool:
        """Whether a target's URL is this member's (httpd: ``worker_matches``)."""
        name = self.target.name
        if len(name) > len(target.name) or not socketFits(self.target.socket, target.socket):
            return False
        if self.matching:
            return re.match(referencePattern(name), encode(target.name), re.DOTALL) is not None
        return len(name) >= len(target.authority) and target.name.startswith(name)

    @cached_property
    def settings(self) -> MemberSettings:
        """What it is in the end."""
        fields = dict(self.fields)
        if "retry" in fields:
            fields.setdefault("probe", False)  # who says how long means it
        if self.matching and self.target.varies:
            fields["reuse"] = False  # a connection would lead to another request's server
        if self.matching and "$" in self.target.name:
            fields["pattern"] = re.compile(referencePattern(self.target.name), re.DOTALL)
        return MemberSettings(
            url=self.target.name,
            host=self.target.host,
            port=self.target.port,
            socket=self.target.socket,
            parameters=tuple(self.parameters.items()),
            place=self.target.place,
            **fields,
        )


def socketFits(own: str | None, asked: str | None) -> bool:
    """Whether a member with one socket may serve a URL with another."""
    return own is None or asked is None or own == asked


def referencePattern(name: str) -> bytes:
    """
    A name's expression: ``$1`` stands for anything (``ap_proxy_strcmp_ematch``).

    Behind ``host:port`` it stands for a path: it is never a part of the address.
    """
    server = re.match(r"[^:]+://[^/$]+(?=\$)", name)
    begin = server.end() if server is not None else 0
    pieces = re.split(r"(?:\$[0-9])+", name[begin:])
    rest = b".*?".join(re.escape(encode(re.sub(r"\\(.)", r"\1", piece))) for piece in pieces)
    return rest if server is None else re.escape(encode(server[0])) + rb"(?=[/$]|\Z)" + rest


@dataclass(eq=False)
class BalancerDraft:
    """
    A balancer that is being described.

    :ivar name: in lower case, without a path.
    :ivar place: the file and number of the line that it appeared in first.
    """

    table: ClassVar[Mapping[str, Parameter]] = BALANCER

    name: str
    members: list[MemberDraft] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    place: str = ""

    def take(self, parameters: Iterable[Given]) -> None:
        """
        Set parameters.

        :raises ConfigurationError: when they do not go together.
        """
        for row, value, text in parameters:
            if row.key == "stickysession":
                self.fields["stickySession"], self.fields["stickyPath"] = value
            else:
                self.fields[row.sets] = value
            self.parameters[row.key] = str(text)
            own = self.fields.get("routeCookie")
            if own and own == self.fields.get("stickySession"):
                # That of a sticky session is not signed: anybody could choose a member by it.
                raise text.error(
                    f"{own} is both stickysession's cookie and routecookie: what the client sends "
                    "would count without its signature",
                    "routecookie is enough; for an application's own session too, another name",
                )

    @cached_property
    def settings(self) -> BalancerSettings:
        """What it is in the end."""
        if len(self.members) > 1:
            for member in self.members:
                member.fields.setdefault("patience", 0.0)  # there are others
        return BalancerSettings(
            self.name,
            tuple(member.settings for member in self.members),
            parameters=tuple(self.parameters.items()),
            place=self.place,
            **self.fields,
        )


class Members:
    """The members and balancers of one server, in the order in which they appeared."""

    def __init__(self) -> None:
        self.members: list[MemberDraft] = []
        self.balancers: dict[str, BalancerDraft] = {}
        self._names: dict[bool, Names[MemberDraft]] = {False: Names(), True: Names()}

    def find(self, target: Target, matching: bool) -> MemberDraft | None:
        """The member that serves a URL already: of the same kind, with the longest name."""
        found: MemberDraft | None = None
        for member in self._names[matching].beginning(target.name):
            if member.serves(target) and (
                found is None or len(member.target.name) > len(found.target.name)
            ):
                found = member
        return found

    def define(self, target: Target, matching: bool = False) -> MemberDraft:
        """A new member."""
        member = MemberDraft(target, matching, len(self.members))
        self.members.append(member)
        self._names[matching].add(member.literal, member)
        return member

    def balancer(self, url: Word) -> BalancerDraft:
        """
        A balancer by its URL; a new one when there is none.

        :raises ConfigurationError: when it is no balancer's name.
        """
        name = balancerName(url)
        return self.balancers.setdefault(name, BalancerDraft(name, place=url.place))


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
    if len(match[0]) > MAX_BALANCER_NAME:
        raise url.error("the name is too long", f"at most {MAX_BALANCER_NAME} characters")
    return match[0].lower()
