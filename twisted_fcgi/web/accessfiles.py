"""
``.htaccess`` files: read once, watched, and forgotten when others are needed more.

A directory that requests come to is looked at once a :data:`CHECK_INTERVAL`, with one
``os.stat`` for each name that AccessFileName has; in between its file is not touched,
nor is there a look for one that was not there.  No notifications of the system are
used: they do not reach network file systems, and their number is limited.

What a file says may be anybody's: it is only opened when it is a regular one, is
bounded in size, and so are all together.  One with a mistake refuses the requests below
its directory, and is in the log once, not once a request.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from twisted_fcgi.errors import ConfigurationErrors, RequestError
from twisted_fcgi.routing.sections import AccessSection
from twisted_fcgi.settings import AllowOverride, VirtualHost

__all__ = ["CHECK_INTERVAL", "MAX_DIRECTORIES", "MAX_SIZE", "MAX_TOTAL_SIZE", "AccessFileCache"]

#: Seconds for which a directory is not looked at again.
CHECK_INTERVAL = 1.0

#: Most bytes of one file.
MAX_SIZE = 262144

#: Most directories that are remembered, with a file or without, and most bytes of the
#: files in them; those that were asked for longest ago are forgotten.
MAX_DIRECTORIES = 8192
MAX_TOTAL_SIZE = 8388608

#: Most mistakes of a file that are logged.
MAX_MISTAKES = 10

log = Logger()


class _Version(NamedTuple):
    """
    What tells a file from another one that has its name.

    :ivar identity: of :func:`os.stat`.
    """

    path: bytes
    identity: tuple[int, ...]


class _Directory:
    """
    What is known of a directory.

    :param directory: its path, without a slash at the end.
    :ivar checked: when it was looked at.
    :ivar version: of its file; ``None`` for no file.
    :ivar settled: whether the file was read again after it was new: two changes within
        the clock tick of a file system look like one.
    :ivar data: what the file says.
    :ivar section: what that means.
    :ivar refusal: what requests get instead: a reason, and a status.
    """

    __slots__ = (
        *("allow", "checked", "data", "directives", "directory", "host"),
        *("refusal", "section", "settled", "version"),
    )

    def __init__(
        self,
        host: VirtualHost,
        directory: bytes,
        allow: AllowOverride,
        directives: frozenset[str],
    ) -> None:
        self.host = host
        self.directory = directory
        self.allow = allow
        self.directives = directives
        self.checked = float("-inf")
        self.version: _Version | None = None
        self.settled = False
        self.data = b""
        self.section: AccessSection | None = None
        self.refusal: tuple[str, int] | None = None


class AccessFileCache:
    """
    Implements :class:`twisted_fcgi.routing.sections.AccessFiles`.

    :param seconds: the time.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self.generation = 0
        self._seconds = seconds
        self._size = 0
        # Hosts and what they allow are parts of the settings, and live as long as these.
        self._directories: OrderedDict[tuple[bytes, int, int, int], _Directory] = OrderedDict()

    def find(
        self,
        host: VirtualHost,
        directory: bytes,
        allow: AllowOverride,
        directives: frozenset[str],
    ) -> AccessSection | None:
        key = (directory, id(host), id(allow), id(directives))
        known = self._directories.get(key)
        if known is None:
            known = self._directories[key] = _Directory(host, directory, allow, directives)
        else:
            self._directories.move_to_end(key)
        now = self._seconds()
        if not 0 <= now - known.checked < CHECK_INTERVAL:
            known.checked = now
            self._check(known)
            while len(self._directories) > MAX_DIRECTORIES or self._size > MAX_TOTAL_SIZE:
                self._clear(self._directories.popitem(last=False)[1])
        if known.refusal is not None:
            raise RequestError(*known.refusal)
        return known.section

    def _clear(self, known: _Directory) -> None:
        """Let go of what was read."""
        self._size -= len(known.data)
        self.generation += known.section is not None
        known.data = b""
        known.version = known.section = known.refusal = None

    def _check(self, known: _Directory) -> None:
        """Look whether a directory's file is still the same, and read it if not."""
        before = known.version
        try:
            version = _current(known.directory, known.host.accessFileNames)
            if version is None:
                self._clear(known)
                return
            if version == before and known.settled:
                return
            data = _contents(version.path)
        except OSError as error:
            refusal = f"{os.fsdecode(error.filename)} can't be read: {error.strerror}", 403
            if refusal != known.refusal:
                log.error("{reason}", reason=refusal[0])
            self._clear(known)
            known.refusal = refusal
            return
        known.settled = version == before
        if before is None or before.path != version.path or known.data != data:
            self._clear(known)
            known.data = data
            self._size += len(data)
            self._read(known, os.fsdecode(version.path))
        known.version = version

    def _read(self, known: _Directory, name: str) -> None:
        """Make a section of what a file says."""
        read = known.host.readAccessFile
        assert read is not None  # there is an AllowOverride
        if len(known.data) > MAX_SIZE:
            self._refuse(known, f"{name}: there are more than {MAX_SIZE} bytes")
            return
        text = known.data.decode("utf-8", "surrogateescape")
        try:
            section, notices = read(
                known.host, text, name, known.directory, known.allow, known.directives
            )
        except ConfigurationErrors as mistakes:
            shown = [str(error) for error in mistakes.errors[:MAX_MISTAKES]]
            if len(mistakes.errors) > MAX_MISTAKES:
                shown.append(f"{name}: there are {len(mistakes.errors)} mistakes in all")
            self._refuse(known, "\n".join(shown))
        except Exception:
            # Ours to mend; who wrote the file can only be told that it failed.
            log.failure("while reading {name}", name=name)
            known.refusal = f"{name}: see above", 500
        else:
            known.section = AccessSection(section)
            for notice in notices:
                log.warn("{notice}", notice=notice)

    def _refuse(self, known: _Directory, reason: str) -> None:
        log.error("{reason}", reason=reason)
        known.refusal = reason.partition("\n")[0], 500


def _current(directory: bytes, names: tuple[str, ...]) -> _Version | None:
    """
    The first file of some names that a directory has.

    :raises OSError: when it is there, but must not be looked at, or is no file.
    """
    for name in names:
        path = b"%b/%b" % (directory, os.fsencode(name))
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        _holdToFiles(path, status)
        changed = (status.st_mtime_ns, status.st_ctime_ns)
        return _Version(path, (*changed, status.st_size, status.st_ino, status.st_dev))
    return None


def _contents(path: bytes) -> bytes:
    """A file's bytes, or one more than are allowed."""
    # It may have become a pipe by now: opening one must not wait for who writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        _holdToFiles(path, os.fstat(descriptor))
        return file.read(MAX_SIZE + 1)


def _holdToFiles(path: bytes, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", path)
