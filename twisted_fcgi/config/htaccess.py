"""
``.htaccess``: text to a section for its directory (httpd: ``ap_parse_htaccess``).

The same machinery as for the configuration, with :class:`Overriding` in its way.
What a file may cost is bounded, since whoever writes it is not who runs the server,
and the time it takes to be read is everybody's.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import cached_property

from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.drafts import ConfigurationDraft, SectionDraft
from twisted_fcgi.config.overriding import Overriding
from twisted_fcgi.config.registry import Context
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.serving import Serving, SocketAddress
from twisted_fcgi.config.source import Line, Mark, SourceFile
from twisted_fcgi.config.tree import Node, TreeReader
from twisted_fcgi.config.walk import Walk
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationError, ConfigurationErrors
from twisted_fcgi.settings import AllowOverride, Section, SectionKind, VirtualHost

__all__ = ["MAX_LINES", "AccessFileReader"]

#: Most lines of a ``.htaccess``.
MAX_LINES = 5000

#: Most URLs that those of one virtual host may give to applications, ever: what is known
#: of an application stays.
MAX_APPLICATIONS = 1000


class AccessFileReader:
    """
    Reads the ``.htaccess`` files of one virtual host.

    :param serving: the applications that it knows.
    :param draft: the configuration, read.
    :param defines: its Define and ``-D``, with their values.
    """

    def __init__(
        self, serving: Serving, draft: ConfigurationDraft, defines: Mapping[str, str | None]
    ) -> None:
        self._serving = serving
        self._most = len(serving.made) + MAX_APPLICATIONS
        self._serverRoot = draft.serverRoot
        self._environment = draft.environment
        self._runtimeDirectory = draft.runtimeDirectory
        self._defines = defines

    @cached_property
    def _addresses(self) -> frozenset[SocketAddress]:
        """Those of the configuration: it is complete when the first file is read."""
        return self._serving.addresses()

    def __call__(
        self,
        host: VirtualHost,
        text: str,
        name: str,
        directory: bytes,
        allow: AllowOverride,
        directives: frozenset[str] = frozenset(),
    ) -> tuple[Section, tuple[str, ...]]:
        """
        Read one.

        :param host: the virtual host that it is read for.
        :param name: what errors call it.
        :param directory: where it is, without a slash at the end.
        :param allow: AllowOverride.
        :param directives: AllowOverrideList, in lower case.
        :returns: the section that it is, and notices.
        :raises ConfigurationErrors: with everything that is wrong.
        """
        if text.count("\n") > MAX_LINES:
            raise ConfigurationErrors(
                [
                    ConfigurationError(
                        f"there are more than {MAX_LINES} lines", name, MAX_LINES + 1, 1
                    )
                ]
            )
        try:
            overriding = Overriding(host, allow, directives, self._addresses)
            return self._read(text, name, directory, overriding)
        except RecursionError:
            error = ConfigurationError("sections or an expression are nested too deep", name, 1, 1)
            raise ConfigurationErrors([error]) from None

    def _read(
        self, text: str, name: str, directory: bytes, overriding: Overriding
    ) -> tuple[Section, tuple[str, ...]]:
        reader = TreeReader(
            REGISTRY, self._serverRoot, self._environment, _readFile, self._defines, overriding
        )
        reader.read(name, text)
        draft = ConfigurationDraft(self._serverRoot, self._environment)
        draft.runtimeDirectory = self._runtimeDirectory
        draft.overriding = overriding
        draft.errors = reader.errors
        draft.notices = reader.warnings
        source = Word.make("", Line(SourceFile(name, []), "", (Mark(0, 1, 1),)), 0, 0)
        section = SectionDraft(SectionKind.DIRECTORY, directory or b"/", word=source, place=name)
        top = Scope(
            draft, draft.main, section, Context.DIRECTORY, Node(source, source.line, 0, 0, None)
        )
        Walk(REGISTRY, draft).walk(reader.nodes, top)
        for action in top.after:
            action()
        if draft.errors:
            draft.errors.sort(key=lambda error: (error.line, error.column))
            raise ConfigurationErrors(draft.errors)
        finished = section.finish(self._serving)
        made = self._serving.made
        if len(made) > self._most:
            while len(made) > self._most:
                made.popitem()
            raise ConfigurationErrors(
                [ConfigurationError(f"more than {MAX_APPLICATIONS} applications' URLs", name, 1, 1)]
            )
        return finished, tuple(draft.notices)


def _readFile(path: str) -> str:
    raise PermissionError(errno.EPERM, "a .htaccess includes no files", path)
