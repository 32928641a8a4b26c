"""
A configuration that is being read: what directives write to.

A :class:`Scope` is the place of one directive: its server, its section, its
words.  Values are kept under the names of the fields of
:mod:`twisted_fcgi.settings`; what depends on the whole (who serves a URL, what a
virtual host takes over) is settled at the end, by ``finish``.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from twisted_fcgi.config.members import (
    BalancerDraft,
    MemberDraft,
    Members,
    Target,
    balancerName,
    elect,
    isBalancerName,
    parseTarget,
)
from twisted_fcgi.config.registry import Context
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.tree import Node
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.settings import (
    BalancerSettings,
    DirectorySettings,
    Limits,
    Listener,
    MemberSettings,
    ProxyMapping,
    Section,
    SectionKind,
    Settings,
    VariableChange,
    VariableCondition,
    VirtualHost,
)

__all__ = ["ConfigurationDraft", "MappingDraft", "Scope", "SectionDraft", "ServerDraft"]

#: What a virtual host does not take over from the main server.
_OWN = frozenset({"name", "port", "scheme", "aliases", "addresses"})


@dataclass(eq=False)
class MappingDraft:
    """
    A ProxyPass that is being described.

    :ivar url: the target as written, without the socket; ``None`` for ``!``.
    :ivar target: ``None`` for ``!`` and balancers.
    :ivar balancer: the balancer's name, or ``None``.
    """

    path: bytes | None
    pattern: re.Pattern[bytes] | None
    url: bytes | None = None
    target: Target | None = None
    balancer: str | None = None
    flags: dict[str, Any] = field(default_factory=dict)

    def finish(self, who: Who) -> ProxyMapping:
        """The settings."""
        return ProxyMapping(
            self.path,
            self.pattern,
            self.url,
            **self.flags,
            **who.serving(self.target, self.balancer),
        )


@dataclass(eq=False)
class SectionDraft:
    """
    A section that is being read; also the level outside all sections.

    :ivar word: what it names, as written.
    :ivar values: fields of :class:`DirectorySettings`.
    :ivar handler: the target of a ``proxy:`` handler.
    """

    kind: SectionKind | None = None
    path: bytes | None = None
    pattern: re.Pattern[bytes] | None = None
    word: Word | None = None
    values: dict[str, Any] = field(default_factory=dict)
    handlerTarget: Target | None = None
    handlerBalancer: str | None = None
    mapping: MappingDraft | None = None
    environment: list[VariableChange] = field(default_factory=list)
    conditions: list[VariableCondition] = field(default_factory=list)
    sections: list[SectionDraft] = field(default_factory=list)

    def directory(self, who: Who) -> DirectorySettings:
        """The settings of its directives."""
        values = dict(self.values)
        if self.environment:
            values["environment"] = tuple(self.environment)
        if self.conditions and self.kind is not None:
            values["conditions"] = tuple(self.conditions)
        if self.mapping is not None:
            values["mapping"] = self.mapping.finish(who)
        values.update(who.serving(self.handlerTarget, self.handlerBalancer, "/"))
        return DirectorySettings(**values)

    def finish(self, who: Who) -> Section:
        """The settings."""
        assert self.kind is not None
        sections = tuple(section.finish(who) for section in self.sections)
        return Section(self.kind, self.path, self.pattern, self.directory(who), sections)


@dataclass(frozen=True)
class Who:
    """The finished members and balancers of a server: who serves what."""

    members: tuple[MemberSettings, ...]
    balancers: Mapping[str, BalancerSettings]

    def serving(
        self, target: Target | None, balancer: str | None, below: str = ""
    ) -> dict[str, Any]:
        """
        The fields ``member``, ``candidates``, ``balancer`` that are not empty.

        :param below: what every URL goes on with (a handler's, with a path).
        """
        if balancer is not None:
            return {"balancer": self.balancers.get(balancer, BalancerSettings(balancer))}
        if target is None or target.scheme != "fcgi":
            return {}
        if below and not target.name.endswith(below):
            target = replace(target, name=target.name + below)
        member, candidates = elect(self.members, target)
        return {"member": member, "candidates": candidates} if candidates else {"member": member}


class ServerDraft:
    """
    The main server or a virtual host.

    :ivar values: fields of :class:`VirtualHost`.
    :ivar limits: fields of :class:`Limits`.
    :ivar directory: what stands outside all sections.
    """

    def __init__(self, virtual: bool = False) -> None:
        self.virtual = virtual
        self.values: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}
        self.directory = SectionDraft()
        self.sections: list[SectionDraft] = []
        self.mappings: list[MappingDraft] = []
        self.members = Members()

    def finish(self, main: ServerDraft) -> VirtualHost:
        """The settings, with those that come from the main server."""
        servers = [self] if self is main else [main, self]
        members = [member for server in servers for member in server.members.members]
        balancers: dict[str, BalancerDraft] = {}
        for server in servers:
            for name, balancer in server.members.balancers.items():
                if name not in balancers or not balancers[name].members:
                    balancers[name] = balancer
        who = Who(
            tuple(member.finish() for member in members),
            {name: balancer.finish() for name, balancer in balancers.items()},
        )
        directory = DirectorySettings()
        values: dict[str, Any] = {}
        limits: dict[str, Any] = {}
        for server in servers:
            directory = directory.merged(server.directory.directory(who))
            values.update(server.values)
            limits.update(server.limits)
        if self is not main:
            for name in _OWN - {"name"}:
                values.pop(name, None)
            values.update(self.values)
        return VirtualHost(
            mappings=tuple(m.finish(who) for server in servers for m in server.mappings),
            directory=directory,
            sections=tuple(s.finish(who) for server in servers for s in server.sections),
            limits=replace(Limits(), **limits),
            conditions=tuple(c for server in servers for c in server.directory.conditions),
            members=who.members,
            balancers=tuple(who.balancers.values()),
            **values,
        )


class ConfigurationDraft:
    """
    The whole.

    :ivar values: fields of :class:`Settings`.
    :ivar ignored: names of directives that have no meaning here.
    :ivar absent: names of modules that an ``<IfModule>`` did not find.
    """

    def __init__(self, serverRoot: str, environment: Mapping[str, str]) -> None:
        self.serverRoot = serverRoot
        self.environment = environment
        self.values: dict[str, Any] = {}
        self.listeners: list[Listener] = []
        self.main = ServerDraft()
        self.hosts: list[ServerDraft] = []
        self.notices: list[str] = []
        self.ignored: dict[str, None] = {}
        self.absent: dict[str, None] = {}
        self.errors: list[ConfigurationError] = []

    def finish(self) -> Settings:
        """The settings."""
        main = self.main.finish(self.main)
        hosts = tuple(host.finish(self.main) for host in self.hosts)
        notices = list(self.notices)
        if self.ignored:
            notices.append("without a meaning here, ignored: " + ", ".join(self.ignored))
        if self.absent:
            notices.append("modules that <IfModule> did not find: " + ", ".join(self.absent))
        members: dict[MemberSettings, None] = {}
        for host in (main, *hosts):
            members.update(dict.fromkeys(host.members))
            for balancer in host.balancers:
                members.update(dict.fromkeys(balancer.members))
        return Settings(
            listeners=tuple(self.listeners),
            main=main,
            hosts=hosts,
            members=tuple(members),
            notices=tuple(notices),
            **self.values,
        )


@dataclass(eq=False)
class Scope:
    """
    Where a directive stands, and what it may write to.

    :ivar node: the directive.
    :ivar section: the innermost section's draft.
    :ivar contexts: the kinds of all sections around it, or the server's.
    :ivar after: what a section does when its content was read.
    """

    draft: ConfigurationDraft
    server: ServerDraft
    section: SectionDraft
    contexts: Context
    node: Node
    after: list[Any] = field(default_factory=list)

    @property
    def inSection(self) -> bool:
        """Whether there is a section around it (httpd: ``cmd->path``)."""
        return self.section.kind is not None

    def inside(self, context: Context, section: SectionDraft) -> Scope:
        """The scope of a section's content."""
        around = self.contexts if self.inSection else Context(0)
        return Scope(self.draft, self.server, section, around | context, self.node)

    def warn(self, word: Word, message: str) -> None:
        """Keep a notice about a word."""
        line, column = word.line.place(word.offset(0))
        self.draft.notices.append(f"{word.line.file.name}:{line}:{column}: {message}")

    def error(self, message: str, hint: str = "") -> ConfigurationError:
        """A mistake in the whole directive."""
        return self.node.name.error(message, hint)

    def path(self, word: Word) -> str:
        """A file's path, relative ones below ServerRoot."""
        return os.path.normpath(os.path.join(self.draft.serverRoot, word))

    def target(self, word: Word, matching: bool = False) -> Target:
        """Take an application server's URL apart."""
        return parseTarget(word, self.path(Word("logs")), matching, self.warn)

    def described(
        self, url: Word, match: bool = False, create: bool = True
    ) -> MemberDraft | BalancerDraft:
        """
        The member or balancer of a URL.

        :param match: whether it is an expression's (``<ProxyMatch>``).
        :param create: whether it is made when there is none.
        :raises ConfigurationError: when there is none.
        """
        members = self.server.members
        if isBalancerName(url):
            found = members.balancers.get(balancerName(url))
            if found is not None or create:
                return found or members.balancer(url)
        else:
            target = self.target(url, match)
            member = members.find(target, match)
            if member is not None or create:
                return member or members.define(target, match)
        raise url.error(f"there is no member or balancer {str(url)!r} yet")

    def setHandler(self, word: Word) -> None:
        """Make a word the section's handler."""
        section = self.section
        section.values["handler"] = b"" if word.lower() == "none" else encode(word)
        section.handlerTarget = section.handlerBalancer = None
        if word[:6].lower() != "proxy:":
            return
        url = word.part(6)
        try:
            if isBalancerName(url):
                section.handlerBalancer = balancerName(url)
            else:
                section.handlerTarget = self.target(url)
        except ConfigurationError as error:
            # httpd reads it when a request comes, and answers with an error
            self.warn(url, f"{error.message}, such requests get a 500")
