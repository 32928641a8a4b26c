"""
Which sections apply to a request, and what they say together (httpd: ``server/request.c``).

httpd merges, the later over the earlier: what stands outside of sections,
``<Directory>`` from the root downwards, ``<DirectoryMatch>``, ``<Files>`` (those
outside of directories first) and last ``<Location>``; each kind in the order of
the files.  For what a ProxyPass claimed, ``<Proxy>`` stands in the place of
directories and files.

A plain prefix is looked up for each segment of the path, so that the number of
sections costs nothing; only expressions are tried one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from twisted_fcgi.pcre import Pattern
from twisted_fcgi.routing.environment import Environment
from twisted_fcgi.settings import DirectorySettings, Section, SectionKind

__all__ = ["Prefixes", "Sections"]

#: Up to so many prefixes are tried one after the other.
FEW = 6


class Prefixes:
    """
    What stands behind each prefix of a path that ends at a slash or before one.

    ``/a`` stands for itself and what is below it, ``/a/`` only for what is below.
    """

    def __init__(self) -> None:
        self._places: dict[bytes, list[int]] = {}
        self._longest = 0
        #: While there are so few that trying each is faster: prefix, whether it ends with
        #: a slash, place.
        self._few: list[tuple[bytes, bool, int]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, prefix: bytes, place: int) -> None:
        """Remember a place for a prefix."""
        self._places.setdefault(prefix, []).append(place)
        self._longest = max(self._longest, len(prefix))
        self._few.append((prefix, prefix[-1:] == b"/", place))

    def find(self, path: bytes) -> list[int]:
        """The places of all prefixes of a path, in no order."""
        found: list[int] = []
        if len(self._few) <= FEW:
            for prefix, closed, place in self._few:
                if path.startswith(prefix) and (
                    closed or path[len(prefix) : len(prefix) + 1] in (b"/", b"")
                ):
                    found.append(place)
            return found
        get = self._places.get
        longest = self._longest
        at = 0
        while True:
            at = path.find(b"/", at) + 1
            if not at or at > longest + 1:
                break
            if places := get(path[:at]):
                found += places
            if places := get(path[: at - 1]):
                found += places
        if len(path) <= longest and not path.endswith(b"/") and (places := get(path)):
            found += places
        return found


class _Expressions:
    """Sections that are matched by an expression."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, Pattern, list[tuple[bytes, str]]]] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, place: int, pattern: Pattern) -> None:
        # httpd's name for a named group's variable (ap_regname).
        groups = [(b"MATCH_" + name.upper().encode("ascii"), name) for name in pattern.groupindex]
        self._rows.append((place, pattern, groups))

    def find(self, text: bytes, environment: Environment) -> Iterator[int]:
        """The places of those that match; named groups become variables."""
        for place, pattern, groups in self._rows:
            match = pattern.search(text)
            if match is not None:
                for variable, name in groups:
                    if match[name] is not None:
                        environment[variable] = match[name]
                yield place


#: A ``<Files>``: its place, and the file's name or an expression.
_FileRow = tuple[int, bytes | None, _Expressions]


class Sections:
    """
    The sections of a virtual host.

    :param base: what stands outside of them.
    :param sections: in the order of the files.
    :ivar hasEncoded: whether a ``<Location>`` has a ProxyPass for paths as they are sent.
    :ivar hasLocations: whether there is any ``<Location>``.
    :ivar hasProxies: whether there is any ``<Proxy>``.
    """

    def __init__(self, base: DirectorySettings, sections: Iterable[Section]) -> None:
        self._base = base
        self._all: list[Section] = []
        self.hasEncoded = False
        self._locations = Prefixes()
        self._locationPatterns = _Expressions()
        self._directories: dict[bytes, list[int]] = {}
        self._directoryWildcards: list[tuple[int, Pattern]] = []
        self._directoryPatterns = _Expressions()
        self._files: list[_FileRow] = []
        self._filesIn: dict[int, list[_FileRow]] = {}
        self._proxies: list[tuple[int, Section]] = []
        self._proxyPatterns = _Expressions()
        for section in sections:
            self._add(section)
        self.hasLocations = bool(self._locations or self._locationPatterns)
        self.hasProxies = bool(self._proxies or self._proxyPatterns)

    def _number(self, section: Section) -> int:
        self._all.append(section)
        return len(self._all) - 1

    def _add(self, section: Section) -> None:
        place = self._number(section)
        kind, path, pattern = section.kind, section.path, section.pattern
        if kind in (SectionKind.LOCATION, SectionKind.LOCATION_MATCH):
            mapping = section.settings.mapping
            self.hasEncoded = self.hasEncoded or (mapping is not None and bool(mapping.mapping))
            if pattern is not None:
                self._locationPatterns.add(place, pattern)
            elif path is not None:
                self._locations.add(path, place)
        elif kind is SectionKind.DIRECTORY_MATCH:
            if pattern is not None:
                self._directoryPatterns.add(place, pattern)
        elif kind is SectionKind.DIRECTORY:
            if pattern is not None:
                self._directoryWildcards.append((place, pattern))
            elif path is not None:
                self._directories.setdefault(path.rstrip(b"/"), []).append(place)
        elif kind in (SectionKind.FILES, SectionKind.FILES_MATCH):
            self._files.append(_fileRow(place, section))
        elif pattern is not None:
            self._proxyPatterns.add(place, pattern)
        else:
            self._proxies.append((place, section))
        if section.sections:
            self._filesIn[place] = [_fileRow(self._number(i), i) for i in section.sections]

    def locations(self, uri: bytes, environment: Environment) -> tuple[int, ...]:
        """The ``<Location>`` sections for a decoded path."""
        # Whatever MergeSlashes says, a prefix sees single slashes; an expression does not.
        found = self._locations.find(re.sub(rb"/+", b"/", uri) if b"//" in uri else uri)
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
            place
            for place, section in self._proxies
            if section.path is not None and url.startswith(section.path)
        ]
        if self._proxyPatterns:
            found += self._proxyPatterns.find(url, environment)
        found.sort()
        return tuple(found)

    def directories(
        self, filename: bytes, isDirectory: bool, environment: Environment
    ) -> tuple[int, ...]:
        """
        The ``<Directory>`` and ``<Files>`` sections for a file.

        :param filename: its absolute path.
        :param isDirectory: whether it is one, or what it names is in it.
        """
        found: list[int] = []
        directory, _, name = filename.rpartition(b"/")
        if self._directories or self._directoryWildcards:
            for level in _levels(filename if isDirectory and name else directory):
                places = list(self._directories.get(level, ()))
                for place, pattern in self._directoryWildcards:
                    if pattern.match(level) or pattern.match(level + b"/"):
                        places.append(place)
                found += sorted(places)
        if self._directoryPatterns:
            found += self._directoryPatterns.find(filename, environment)
        files = self._files
        for place in found:
            if place in self._filesIn:
                files = files + self._filesIn[place]
        for place, path, expression in files:
            if path is None:
                found += expression.find(name, environment)
            elif path == name:
                found.append(place)
        return tuple(found)

    def merged(self, places: Iterable[int]) -> DirectorySettings:
        """What the sections at some places say together, the later over the earlier."""
        settings = self._base
        for place in places:
            settings = settings.merged(self._all[place].settings)
        return settings

    def at(self, places: Iterable[int]) -> tuple[Section, ...]:
        """The sections themselves."""
        return tuple(self._all[place] for place in places)


def _fileRow(place: int, section: Section) -> _FileRow:
    expression = _Expressions()
    if section.pattern is not None:
        expression.add(place, section.pattern)
    return place, section.path if section.pattern is None else None, expression


def _levels(directory: bytes) -> Iterator[bytes]:
    """``/a/b`` and all directories above it, from the root, which is empty, downwards."""
    at = 0
    while at >= 0:
        yield directory[:at]
        at = directory.find(b"/", at + 1)
    if directory:
        yield directory
