"""
A configuration that is being read: what directives write to.

Values are kept under the names of the fields of :mod:`twisted_fcgi.settings`.  What
depends on the whole (who serves a URL, what a virtual host takes over) is settled
at the end, by ``finish``.
"""

from __future__ import annotations

import os.path
from collections import UserDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from twisted_fcgi.config.access import AccessDraft
from twisted_fcgi.config.checking import Checks
from twisted_fcgi.config.extensions import ExtensionsDraft
from twisted_fcgi.config.members import Members
from twisted_fcgi.config.overriding import Overriding
from twisted_fcgi.config.reaching import Reaching, Secured
from twisted_fcgi.config.registry import Registry
from twisted_fcgi.config.rewriting import RewritingDraft
from twisted_fcgi.config.serving import Serving, asked
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import Target
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError
from twisted_fcgi.pcre import Pattern
from twisted_fcgi.settings import (
    Alias,
    Branch,
    DirectorySettings,
    Limits,
    Listener,
    MemberSettings,
    ProxyMapping,
    Redirect,
    Rewriting,
    Section,
    SectionKind,
    Settings,
    VirtualHost,
)

__all__ = [
    "BranchDraft",
    "ConfigurationDraft",
    "MappingDraft",
    "SectionDraft",
    "ServerDraft",
    "Values",
]

#: Makes what reads ``.htaccess`` files, with the members that one may name.
Reading = Callable[[Serving], Callable[..., tuple[Section, tuple[str, ...]]]]

#: What a virtual host does not take over from the main server.
_OWN = ("port", "scheme", "aliases", "addresses", "place")


class Values(UserDict[str, Any]):
    """
    Fields that directives set, and where.

    :ivar at: the name of the directive that is being read.
    :ivar places: the file and number of the line that set each field.
    """

    def __init__(self) -> None:
        self.at: Word | None = None
        self.places: dict[str, str] = {}
        super().__init__()

    @property
    def place(self) -> str:
        """The file and number of the directive that is being read."""
        return "" if self.at is None else self.at.place

    def __setitem__(self, name: str, value: Any) -> None:
        self.places[name] = self.place
        super().__setitem__(name, value)


@dataclass(eq=False)
class MappingDraft:
    """
    A ProxyPass.

    :ivar url: the target as written, without the socket; ``None`` for ``!``.
    :ivar target: the same taken apart; ``None`` for a balancer.
    :ivar balancer: the balancer's name.
    :ivar flags: further fields of :class:`ProxyMapping`.
    """

    path: bytes | None
    pattern: Pattern | None
    url: bytes | None = None
    target: Target | None = None
    balancer: str | None = None
    flags: dict[str, Any] = field(default_factory=dict)

    def asked(self) -> frozenset[str]:
        """The authority or the balancer that it asks."""
        return asked(self.target, self.balancer)

    def finish(self, serving: Serving) -> ProxyMapping:
        """The settings."""
        fields = serving.fields(self.target, self.balancer)
        return ProxyMapping(self.path, self.pattern, self.url, **self.flags, **fields)


@dataclass(eq=False)
class SectionDraft:
    """
    A section; also the level outside all sections, whose kind is ``None``.

    :ivar word: what it names, as written.
    :ivar values: fields of :class:`DirectorySettings`.
    :ivar lists: those of its fields to which each directive adds.
    :ivar target: who serves it, when a ``proxy:`` handler names a server.
    :ivar balancer: likewise, a balancer.
    :ivar branches: ``<If>`` and its like in it.
    :ivar extensions: what it says of files' extensions.
    :ivar access: what it says of access.
    :ivar rewriting: what it says of mod_rewrite.
    :ivar tls: fields of :class:`TLSSettings`.
    :ivar place: the file and number of its line.
    """

    kind: SectionKind | None = None
    path: bytes | None = None
    pattern: Pattern | None = None
    word: Word | None = None
    values: Values = field(default_factory=Values)
    target: Target | None = None
    balancer: str | None = None
    mapping: MappingDraft | None = None
    lists: dict[str, list[Any]] = field(default_factory=dict)
    sections: list[SectionDraft] = field(default_factory=list)
    branches: list[BranchDraft] = field(default_factory=list)
    extensions: ExtensionsDraft | None = None
    access: AccessDraft | None = None
    rewriting: RewritingDraft | None = None
    tls: dict[str, Any] = field(default_factory=dict)
    place: str = ""

    def append(self, name: str, item: object) -> None:
        """Add to one of the fields that are lists; what has a ``place`` is told it."""
        if getattr(item, "place", None) == "":
            item = replace(cast(Any, item), place=self.values.place)
        self.lists.setdefault(name, []).append(item)

    def asked(self) -> frozenset[str]:
        """The authorities and balancers that it asks, and the sections in it."""
        names = asked(self.target, self.balancer)
        if self.mapping is not None:
            names |= self.mapping.asked()
        if self.rewriting is not None:
            names |= self.rewriting.asked()
        if self.extensions is not None:
            names |= self.extensions.asked
        inner = (*self.sections, *(branch.section for branch in self.branches))
        return names.union(*(section.asked() for section in inner))

    def directory(self, serving: Serving) -> DirectorySettings:
        """The settings of its directives."""
        values = dict(self.values)
        values["places"] = self.values.places or None
        values.update((name, tuple(items)) for name, items in self.lists.items())
        if self.kind is None:
            values.pop("conditions", None)  # these come before the sections: VirtualHost has them
        if self.mapping is not None:
            values["mapping"] = self.mapping.finish(serving)
        if self.extensions is not None:
            values["extensions"] = self.extensions.finish(serving, self.kind is None)
        if self.access is not None:
            values["access"] = self.access.finish()
        if self.rewriting is not None:
            outside = self.kind is None and self.word is None
            path = self.path
            if path is None:  # httpd's word for <If>, whatever its condition
                isBranch = self.kind is SectionKind.IF or not self.word
                path = b"*If" if isBranch else encode(self.word or "")
            values["rewriting"] = self.rewriting.directory(serving, None if outside else path)
        if self.branches:
            values["branches"] = tuple(branch.finish(serving) for branch in self.branches)
        return DirectorySettings(**values, **serving.fields(self.target, self.balancer, "/"))

    def finish(self, serving: Serving) -> Section:
        """The settings."""
        assert self.kind is not None
        sections = tuple(section.finish(serving) for section in self.sections)
        settings = self.directory(serving)
        return Section(self.kind, self.path, self.pattern, settings, sections, self.place)


@dataclass(eq=False)
class BranchDraft:
    """
    An ``<If>``, ``<ElseIf>`` or ``<Else>``; names as of :class:`Branch`.
    """

    text: str | None
    condition: Callable[[Any], bool] | None
    otherwise: bool
    section: SectionDraft

    def finish(self, serving: Serving) -> Branch:
        """The settings."""
        settings = self.section.directory(serving)
        return Branch(self.text, self.condition, self.otherwise, settings, self.section.place)


def secured(sections: list[SectionDraft]) -> list[Secured]:
    """Those sections that say something of TLS."""
    return [Secured(s.path, s.pattern, s.tls) for s in sections if s.tls]


class ServerDraft:
    """
    The main server or a virtual host.

    :ivar values: fields of :class:`VirtualHost`.
    :ivar limits: fields of :class:`Limits`.
    :ivar aliases: Alias and AliasMatch outside all sections.
    :ivar redirects: Redirect and its like, likewise.
    :ivar blocked: ProxyBlock.
    :ivar inherits: ProxyPassInherit and BalancerInherit, as far as they were said.
    :ivar resolver: FcgiResolver, or ``None``.
    :ivar checks: what health checks are named by.
    :ivar directory: what else stands outside all sections.
    """

    def __init__(self, virtual: bool = False) -> None:
        self.virtual = virtual
        self.values = Values()
        self.aliases: list[Alias] = []
        self.redirects: list[Redirect] = []
        self.blocked: list[str] = []
        self.inherits: dict[str, bool] = {}
        self.limits: dict[str, Any] = {}
        self.resolver: tuple[str, ...] | None = None
        self.directory = SectionDraft()
        self.sections: list[SectionDraft] = []
        self.mappings: list[MappingDraft] = []
        self.members = Members()
        self.checks = Checks()

    def rewriting(self, serving: Serving) -> Rewriting | None:
        """What it says of mod_rewrite, even if only in its sections: else nothing is inherited."""
        draft = self.directory.rewriting
        return None if draft is None else draft.server(serving)

    def finish(self, reading: Reading | None = None) -> FinishedServer:
        """The main server."""
        reaching = Reaching(self.resolver, self.directory.tls, secured(self.sections))
        serving = Serving(self.members, reaching=reaching)
        rewriting = self.rewriting(serving)
        host = VirtualHost(
            mappings=tuple(mapping.finish(serving) for mapping in self.mappings),
            directory=self.directory.directory(serving),
            sections=tuple(section.finish(serving) for section in self.sections),
            limits=Limits(**self.limits),
            conditions=tuple(self.directory.lists.get("conditions", ())),
            members=serving.members,
            balancers=tuple(serving.balancers.values()),
            pathAliases=tuple(self.aliases),
            redirects=tuple(self.redirects),
            rewriting=rewriting,
            rewriteMaps={} if rewriting is None else rewriting.maps,
            blocked=tuple(self.blocked),
            readAccessFile=reading and reading(serving),
            places=self.values.places,
            **self.values,
        )
        return FinishedServer(self, serving, host)


class FinishedServer:
    """
    The main server, finished; what virtual hosts take over from it.

    A mapping or a section is made anew for a virtual host only where members of
    that host change who serves it.
    """

    def __init__(self, draft: ServerDraft, serving: Serving, host: VirtualHost) -> None:
        self.host = host
        self._draft = draft
        self._serving = serving
        self._mappings = [
            (mapping, mapping.asked(), done) for mapping, done in zip(draft.mappings, host.mappings)
        ]
        self._sections = [
            (section, section.asked(), done) for section, done in zip(draft.sections, host.sections)
        ]

    def virtual(self, own: ServerDraft, reading: Reading | None = None) -> VirtualHost:
        """A virtual host."""
        inherits = {**self._draft.inherits, **own.inherits}
        alone = len(inherits) == 2 and not any(inherits.values())
        draft = self._draft
        reaching = Reaching(
            draft.resolver if own.resolver is None else own.resolver,
            {**draft.directory.tls, **own.directory.tls},
            [*secured(draft.sections), *secured(own.sections)],
            differs=own.resolver is not None or bool(own.directory.tls or secured(own.sections)),
        )
        serving = Serving(own.members, None if alone else self._serving, reaching)
        changes = serving.changes
        main = self.host
        base = main.directory
        if alone or changes(draft.directory.asked()):
            base = draft.directory.directory(serving)
        mappings = [
            mapping.finish(serving) if alone or changes(asked) else done
            for mapping, asked, done in self._mappings
        ]
        sections = [
            section.finish(serving) if alone or changes(asked) else done
            for section, asked, done in self._sections
        ]
        values = {name: value for name, value in draft.values.items() if name not in _OWN}
        values.update(own.values)
        places = {name: place for name, place in draft.values.places.items() if name not in _OWN}
        rewriting = own.rewriting(serving)
        if rewriting is not None:
            rewriting = (main.rewriting or Rewriting()).merged(rewriting)
        return VirtualHost(
            mappings=(*mappings, *(mapping.finish(serving) for mapping in own.mappings)),
            directory=base.merged(own.directory.directory(serving)),
            sections=(*sections, *(section.finish(serving) for section in own.sections)),
            limits=replace(main.limits, **own.limits),
            conditions=(*main.conditions, *own.directory.lists.get("conditions", ())),
            members=serving.members,
            balancers=tuple(serving.balancers.values()),
            pathAliases=(*own.aliases, *main.pathAliases),
            redirects=(*own.redirects, *main.redirects),
            rewriting=rewriting,
            rewriteMaps=main.rewriteMaps if rewriting is None else rewriting.maps,
            blocked=(*main.blocked, *own.blocked),
            readAccessFile=reading and reading(serving),
            places={**places, **own.values.places},
            **values,
        )


class ConfigurationDraft:
    """
    The whole.

    :ivar serverRoot: where relative paths begin.
    :ivar runtimeDirectory: where those of sockets begin.
    :ivar values: fields of :class:`Settings`.
    :ivar ignored: names of directives that have no meaning here.
    :ivar absent: names of modules that an ``<IfModule>`` did not find.
    :ivar registry: the directives there are.
    :ivar allowsOverrides: whether an AllowOverride asks for ``.htaccess`` files.
    :ivar overriding: when it is one that is being read, what it may say.
    """

    def __init__(self, serverRoot: str, environment: Mapping[str, str]) -> None:
        self.serverRoot = serverRoot
        self.environment = environment
        self.runtimeDirectory = os.path.join(serverRoot, "logs")
        self.values: dict[str, Any] = {}
        self.listeners: list[Listener] = []
        self.main = ServerDraft()
        self.hosts: list[ServerDraft] = []
        self.notices: list[str] = []
        self.ignored: dict[str, None] = {}
        self.absent: dict[str, None] = {}
        self.errors: list[ConfigurationError] = []
        self.registry: Registry | None = None
        self.allowsOverrides = False
        self.overriding: Overriding | None = None

    def finish(self, reading: Reading | None = None) -> Settings:
        """
        The settings.

        :param reading: makes what reads a virtual host's ``.htaccess`` files.
        """
        reading = reading if self.allowsOverrides else None
        main = self.main.finish(reading)
        hosts = tuple(main.virtual(host, reading) for host in self.hosts)
        notices = list(self.notices)
        if self.ignored:
            notices.append("without a meaning here, ignored: " + ", ".join(sorted(self.ignored)))
        if self.absent:
            notices.append(
                "modules that <IfModule> did not find: " + ", ".join(sorted(self.absent))
            )
        return Settings(
            listeners=tuple(self.listeners),
            main=main.host,
            hosts=hosts,
            members=self._allMembers(),
            notices=tuple(notices),
            **self.values,
        )

    def _allMembers(self) -> tuple[MemberSettings, ...]:
        """Every member that was described."""
        drafts = [
            *(member for server in (self.main, *self.hosts) for member in server.members.members),
            *(
                member
                for server in (self.main, *self.hosts)
                for balancer in server.members.balancers.values()
                for member in balancer.members
            ),
        ]
        return tuple(dict.fromkeys(draft.settings for draft in drafts))
