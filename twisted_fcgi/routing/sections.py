"""
Which sections apply to a request, and what they say together (httpd: ``server/request.c``).

httpd merges, the later over the earlier: what stands outside of sections,
``<Directory>`` from the root downwards, ``<DirectoryMatch>``, ``<Files>`` (those
outside of directories first) and last ``<Location>``; each kind in the order of
the files.  For what a ProxyPass claimed, ``<Proxy>`` stands in the place of
directories and files.  A ``.htaccess`` comes right after the sections of its directory.

A plain prefix is looked up for each segment of the path, so that the number of
sections costs nothing; only expressions are tried one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from twisted_fcgi.pcre import Pattern
from twisted_fcgi.routing.environment import Environment
from twisted_fcgi.routing.files import FILE, MISSING
from twisted_fcgi.settings import (
    AllowOverride,
    DirectorySettings,
    Section,
    SectionKind,
    VirtualHost,
)
from twisted_fcgi.uri import mergeSlashes

__all__ = [
    "AccessFiles",
    "AccessSection",
    "FindAccessFile",
    "SectionKey",
    "Prefixes",
    "Sections",
    "anyJudgesLinks",
]

_P = TypeVar("_P")

_NOTHING = AllowOverride()
_NONE: frozenset[str] = frozenset()

#: Up to so many prefixes are tried one after the other.
FEW = 6


class Prefixes:
    """
    What stands behind each prefix of a path that ends at a slash or before one.

    ``/a`` stands for itself and what is below it, ``/a/`` only for what is below.
    """

    def __init__(self) -> None:
        self._keys: dict[bytes, list[int]] = {}
        self._longest = 0
        #: While there are so few that trying each is faster: prefix, whether it ends with
        #: a slash, key.
        self._few: list[tuple[bytes, bool, int]] = []

    def __bool__(self) -> bool:
        return bool(self._keys)

    def add(self, prefix: bytes, key: int) -> None:
        """Remember a key for a prefix."""
        self._keys.setdefault(prefix, []).append(key)
        self._longest = max(self._longest, len(prefix))
        self._few.append((prefix, prefix[-1:] == b"/", key))

    def find(self, path: bytes) -> list[int]:
        """The keys of all prefixes of a path, in no order."""
        found: list[int] = []
        if len(self._few) <= FEW:
            for prefix, closed, key in self._few:
                if path.startswith(prefix) and (
                    closed or path[len(prefix) : len(prefix) + 1] in (b"/", b"")
                ):
                    found.append(key)
            return found
        get = self._keys.get
        longest = self._longest
        at = 0
        while True:
            at = path.find(b"/", at) + 1
            if not at or at > longest + 1:
                break
            if keys := get(path[:at]):
                found += keys
            if keys := get(path[: at - 1]):
                found += keys
        if len(path) <= longest and not path.endswith(b"/") and (keys := get(path)):
            found += keys
        return found


class _Expressions(Generic[_P]):
    """Sections that are matched by an expression."""

    def __init__(self) -> None:
        self._rows: list[tuple[_P, Pattern, list[tuple[bytes, str]]]] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, key: _P, pattern: Pattern) -> None:
        # httpd's name for a named group's variable (ap_regname).
        groups = [(b"MATCH_" + name.upper().encode("ascii"), name) for name in pattern.groupindex]
        self._rows.append((key, pattern, groups))

    def find(self, text: bytes, environment: Environment) -> Iterator[_P]:
        """The keys of those that match; named groups become variables."""
        for key, pattern, groups in self._rows:
            match = pattern.search(text)
            if match is not None:
                for variable, name in groups:
                    if match[name] is not None:
                        environment[variable] = match[name]
                yield key


class AccessSection:
    """
    A ``.htaccess``, or a ``<Files>`` in it: a section that comes and goes.

    Among the keys of the others it stands for itself.

    :param section: what was read.
    """

    __slots__ = ("files", "judgesLinks", "section")

    def __init__(self, section: Section) -> None:
        self.section = section
        self.judgesLinks = _judgesLinks(section)
        self.files = [_fileRow(AccessSection(inner), inner) for inner in section.sections]


#: The number of a section in the configuration's order, or what stands for itself.
SectionKey = int | AccessSection

#: A ``<Files>``: its key, and the file's name or an expression.
_FileRow = tuple[SectionKey, bytes | None, _Expressions[SectionKey]]

#: :meth:`AccessFiles.find` for one virtual host.
FindAccessFile = Callable[[bytes, AllowOverride, frozenset[str]], AccessSection | None]


class AccessFiles(Protocol):
    """
    The ``.htaccess`` files of all directories.

    :ivar generation: another number after one that was found before is not valid any more.
    """

    generation: int

    def find(
        self,
        host: VirtualHost,
        directory: bytes,
        allow: AllowOverride,
        directives: frozenset[str],
    ) -> AccessSection | None:
        """
        The file of a directory, as long as it is the same: the same object.

        :param directory: without a slash at the end.
        :param allow: AllowOverride.
        :param directives: AllowOverrideList.
        :raises RequestError: when it can't be read, or there is a mistake in it.
        """


class Sections:
    """
    The sections of a virtual host.

    :param base: what stands outside of them.
    :param sections: in the order of the files.
    :ivar hasEncoded: whether a ``<Location>`` has a ProxyPass for paths as they are sent.
    :ivar hasLocations: whether there is any ``<Location>``.
    :ivar hasProxies: whether there is any ``<Proxy>``.
    :ivar hasAccessFiles: whether there may be any ``.htaccess``.
    :ivar judgesLinks: whether any of them says that symbolic links are not followed.
    """

    def __init__(self, base: DirectorySettings, sections: Iterable[Section]) -> None:
        self._base = base
        self._all: list[Section] = []
        self.hasEncoded = False
        self._locations = Prefixes()
        self._locationPatterns: _Expressions[int] = _Expressions()
        self._directories: dict[bytes, list[int]] = {}
        self._directoryWildcards: list[tuple[int, Pattern]] = []
        self._directoryPatterns: _Expressions[int] = _Expressions()
        self._files: list[_FileRow] = []
        self._filesIn: dict[int, list[_FileRow]] = {}
        self._proxies: list[tuple[int, Section]] = []
        self._proxyPatterns: _Expressions[int] = _Expressions()
        self.hasAccessFiles = False
        self.judgesLinks = base.followsLinks is False
        for section in sections:
            self._add(section)
        self.hasLocations = bool(self._locations or self._locationPatterns)
        self.hasProxies = bool(self._proxies or self._proxyPatterns)

    def _number(self, section: Section) -> int:
        self._all.append(section)
        self.judgesLinks = self.judgesLinks or _judgesLinks(section)
        return len(self._all) - 1

    def _add(self, section: Section) -> None:
        key = self._number(section)
        kind, path, pattern = section.kind, section.path, section.pattern
        if kind in (SectionKind.LOCATION, SectionKind.LOCATION_MATCH):
            mapping = section.settings.mapping
            self.hasEncoded = self.hasEncoded or (mapping is not None and bool(mapping.mapping))
            if pattern is not None:
                self._locationPatterns.add(key, pattern)
            elif path is not None:
                self._locations.add(path, key)
        elif kind is SectionKind.DIRECTORY_MATCH:
            if pattern is not None:
                self._directoryPatterns.add(key, pattern)
        elif kind is SectionKind.DIRECTORY:
            said = section.settings
            self.hasAccessFiles |= bool(said.allowOverride or said.allowOverrideList)
            if pattern is not None:
                self._directoryWildcards.append((key, pattern))
            elif path is not None:
                self._directories.setdefault(path.rstrip(b"/"), []).append(key)
        elif kind in (SectionKind.FILES, SectionKind.FILES_MATCH):
            self._files.append(_fileRow(key, section))
        elif pattern is not None:
            self._proxyPatterns.add(key, pattern)
        else:
            self._proxies.append((key, section))
        if section.sections:
            self._filesIn[key] = [_fileRow(self._number(i), i) for i in section.sections]

    def locations(self, uri: bytes, environment: Environment) -> tuple[int, ...]:
        """The ``<Location>`` sections for a decoded path."""
        # Whatever MergeSlashes says, a prefix sees single slashes; an expression does not.
        found = self._locations.find(mergeSlashes(uri))
        if self._locationPatterns:
            found += self._locationPatterns.find(uri, environment)
        found.sort()
        return tuple(found)

    def proxies(self, url: bytes, environment: Environment) -> tuple[int, ...]:
        """
        The ``<Proxy>`` sections for a URL.

        :param url: as a ProxyPass made it, not yet encoded.
        """
        found = [
            key
            for key, section in self._proxies
            if section.path is not None and url.startswith(section.path)
        ]
        if self._proxyPatterns:
            found += self._proxyPatterns.find(url, environment)
        found.sort()
        return tuple(found)

    def directories(
        self,
        filename: bytes,
        kind: str,
        environment: Environment,
        accessFile: FindAccessFile | None = None,
        familiar: bytes | None = None,
    ) -> tuple[SectionKey, ...]:
        """
        The ``<Directory>`` and ``<Files>`` sections for a file.

        :param filename: its absolute path.
        :param kind: one of :mod:`twisted_fcgi.routing.files`.
        :param accessFile: finds ``.htaccess`` files.
        :param familiar: what ``<DirectoryMatch>`` was held against before; its variables
            are set.
        :raises RequestError: when one of them is broken.
        """
        found: list[SectionKey] = []
        allow, directives = _NOTHING, _NONE
        directory, _, name = filename.rpartition(b"/")
        if self._directories or self._directoryWildcards:
            # A file that is there counts as a level, but has no .htaccess.
            for level in _levels(directory if kind == MISSING or not name else filename):
                keys = list(self._directories.get(level, ()))
                for key, pattern in self._directoryWildcards:
                    if pattern.match(level):
                        keys.append(key)
                keys.sort()
                found += keys
                if accessFile is None or (kind == FILE and level == filename):
                    continue
                for key in keys:
                    said = self._all[key].settings
                    allow = allow if said.allowOverride is None else said.allowOverride
                    listed = said.allowOverrideList
                    directives = directives if listed is None else listed
                if allow or directives:
                    access = accessFile(level, allow, directives)
                    if access is not None:
                        found.append(access)
        if self._directoryPatterns:
            if familiar is None:
                found += self._directoryPatterns.find(filename, environment)
            else:
                found += self._directoryPatterns.find(familiar, {})
        files = self._files
        for around in found:
            if isinstance(around, AccessSection):
                files = files + around.files
            elif around in self._filesIn:
                files = files + self._filesIn[around]
        for inner, path, expression in files:
            if path is None:
                found += expression.find(name, environment)
            elif path == name:
                found.append(inner)
        return tuple(found)

    def merged(self, keys: Iterable[SectionKey]) -> DirectorySettings:
        """What the sections at some keys say together, the later over the earlier."""
        settings = self._base
        for section in self.at(keys):
            settings = settings.merged(section.settings)
        return settings

    def at(self, keys: Iterable[SectionKey]) -> tuple[Section, ...]:
        """The sections themselves."""
        return tuple(
            key.section if isinstance(key, AccessSection) else self._all[key] for key in keys
        )


def anyJudgesLinks(keys: Iterable[SectionKey]) -> bool:
    """Whether a ``.htaccess`` among some sections says that not all links are followed."""
    return any(isinstance(key, AccessSection) and key.judgesLinks for key in keys)


def _judgesLinks(section: Section) -> bool:
    return section.settings.followsLinks is False or bool(section.settings.followsOwnLinks)


def _fileRow(key: SectionKey, section: Section) -> _FileRow:
    expression: _Expressions[SectionKey] = _Expressions()
    if section.pattern is not None:
        expression.add(key, section.pattern)
    return key, section.path if section.pattern is None else None, expression


def _levels(directory: bytes) -> Iterator[bytes]:
    """``/a/b`` and all directories above it, from the root, which is empty, downwards."""
    at = 0
    while at >= 0:
        yield directory[:at]
        at = directory.find(b"/", at + 1)
    if directory:
        yield directory
