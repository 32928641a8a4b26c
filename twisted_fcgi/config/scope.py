"""
The place of one directive: what its function reads, and where it may write.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec

from twisted_fcgi.config.drafts import ConfigurationDraft, SectionDraft, ServerDraft
from twisted_fcgi.config.members import BalancerDraft, MemberDraft, balancerName, isBalancerName
from twisted_fcgi.config.parameters import Given, Parameter, readParameters
from twisted_fcgi.config.registry import Context
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.targets import SPOKEN, Target, parseTarget
from twisted_fcgi.config.tree import Node
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError

__all__ = ["TLS_HINT", "TLS_MODULES", "Scope"]

_REFUSED = "such requests get a 500"

#: What TLS needs, and what to do when it is not there.
TLS_MODULES = ("OpenSSL", "service_identity")
TLS_HINT = "pip install 'twisted_fcgi[tls]'"


def speaksTLS() -> bool:
    """Whether what TLS needs is installed."""
    return all(find_spec(name) is not None for name in TLS_MODULES)


@dataclass(eq=False)
class Scope:
    """
    Where a directive stands.

    :ivar server: the main server or the virtual host around it.
    :ivar section: the innermost section, or the level outside of all.
    :ivar contexts: the kinds of all sections around it, or the server's.
    :ivar node: the directive.
    :ivar after: what a section does when its content was read.
    """

    draft: ConfigurationDraft
    server: ServerDraft
    section: SectionDraft
    contexts: Context
    node: Node
    after: list[Callable[[], None]] = field(default_factory=list)

    @property
    def inSection(self) -> bool:
        """Whether there is a section around it (httpd: ``cmd->path``)."""
        return self.section.kind is not None

    @property
    def place(self) -> str:
        """The directive's file and number, for people."""
        return self.node.name.place

    def inside(self, context: Context, section: SectionDraft) -> Scope:
        """The scope of a section's content."""
        section.place = self.place
        around = self.contexts | context if self.inSection else context
        return Scope(self.draft, self.server, section, around, self.node)

    def warn(self, word: Word, message: str) -> None:
        """Keep a notice about a word."""
        line, column = word.line.place(word.start)
        self.draft.notices.append(f"{word.line.file.name}:{line}:{column}: {message}")

    def error(self, message: str, hint: str = "") -> ConfigurationError:
        """A mistake in the whole directive."""
        return self.node.name.error(message, hint)

    def path(self, word: str) -> str:
        """A file's path, relative ones below ServerRoot."""
        return os.path.normpath(os.path.join(self.draft.serverRoot, word))

    def target(self, word: Word, matching: bool = False) -> Target:
        """Take an application server's URL apart."""
        target = parseTarget(word, self.draft.runtimeDirectory, matching, self.warn)
        if target.scheme.endswith("fcgis") and not speaksTLS():
            raise word.error(f"{target.scheme}:// needs pyOpenSSL and service-identity", TLS_HINT)
        return target

    def spoken(self, url: Word, target: Target) -> None:
        """Say so when nobody here speaks a URL's protocol."""
        if target.isService:
            self.warn(url, f"a service is asked by ProxyPass or BalancerMember only, {_REFUSED}")
        elif target.scheme not in SPOKEN:
            self.warn(url, f"{target.scheme}:// is not spoken here, {_REFUSED}")

    def parameters(
        self, table: Mapping[str, Parameter], pairs: Iterable[tuple[Word, Word]]
    ) -> Iterator[Given]:
        """Read parameters of a member, a balancer or a health check."""
        given = readParameters(table, pairs, self.warn)
        return self.server.checks.resolve(given, self.draft.main.checks)

    def described(
        self, url: Word, matching: bool = False, create: bool = True
    ) -> MemberDraft | BalancerDraft:
        """
        The member or balancer of a URL.

        :param matching: whether ``<ProxyMatch>`` names it.
        :param create: whether it is made when there is none.
        :raises ConfigurationError: when there is none.
        """
        members = self.server.members
        found: MemberDraft | BalancerDraft | None
        if isBalancerName(url):
            found = members.balancers.get(balancerName(url))
            if found is None and create:
                found = members.balancer(url)
        else:
            target = self.target(url, matching)
            if target.isService:
                raise url.error("a service is described by ProxyPass or BalancerMember")
            found = members.find(target, matching)
            if found is None and create:
                found = members.define(target, matching)
        if found is None:
            raise url.error(f"there is no member or balancer {str(url)!r} yet")
        return found

    def setHandler(self, word: Word) -> None:
        """Make a word the section's handler."""
        section = self.section
        section.values["handler"] = b"" if word.lower() == "none" else encode(word)
        section.values.pop("handlerMade", None)
        section.target, section.balancer = self.proxied(word)

    def proxied(self, handler: Word) -> tuple[Target | None, str | None]:
        """The server or the balancer that a handler names, if any."""
        if handler[:6].lower() != "proxy:":
            return None, None
        url = handler.part(6)
        target = balancer = None
        overriding = self.draft.overriding
        try:
            if isBalancerName(url):
                balancer = balancerName(url)
            else:
                target = self.target(url)
                self.spoken(url, target)
            if overriding is not None:
                overriding.checkProxy(url, target, balancer)
        except ConfigurationError as error:
            if overriding is not None or error.hint == TLS_HINT:
                raise
            # httpd reads it when a request comes, and answers with an error
            self.warn(url, f"{error.message}, {_REFUSED}")
        return target, balancer
