"""
Where a path leads below DocumentRoot (httpd: ``ap_core_translate``, ``ap_directory_walk``).

The walk goes down from the root until it meets a file or nothing; what is left of
the path is PATH_INFO.  Nothing is guessed from how names look: ``/photo.jpg/x.php``
is the file ``photo.jpg`` with PATH_INFO ``/x.php``, and never the script ``x.php``.
Symbolic links are followed, unless :func:`checkLinks` is asked.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from errno import EINVAL, EIO, ENOENT
from typing import NamedTuple

from twisted_fcgi.errors import RequestError

__all__ = [
    "DIRECTORY",
    "FILE",
    "MISSING",
    "Located",
    "checkLinks",
    "concealed",
    "locate",
    "modeOf",
]

#: The longest path of a file (APR_PATH_MAX).
MAX_PATH = 4096

#: Slashes and dots between names that add nothing.
_NEEDLESS = re.compile(rb"/(?:\.?(?:/|\Z))+")

#: The part of a mode that says what kind of file it is.
_TYPE = stat.S_IFMT(0xFFFF)

FILE = "file"
DIRECTORY = "directory"
MISSING = "missing"


class Located(NamedTuple):
    """
    What a path leads to.

    :ivar filename: up to the file, or to the first name that is not there.
    :ivar pathInfo: the rest, from its slash on; ``None`` for none.
    :ivar kind: :data:`FILE`, :data:`DIRECTORY` or :data:`MISSING`.
    """

    filename: bytes
    pathInfo: bytes | None
    kind: str


def modeOf(path: bytes) -> int:
    """The type of a file, as of :func:`stat.S_IFMT`; without one, the negative ``errno``."""
    try:
        return os.stat(path).st_mode & _TYPE
    except OSError as error:
        return -(error.errno or EIO)
    except ValueError:  # there is a NUL in it
        return -EINVAL


def locate(root: bytes, path: bytes, modeOf: Callable[[bytes], int] = modeOf) -> Located:
    """
    Find what a path leads to.

    :param root: a directory, without a slash at its end.
    :param path: decoded, with a slash at its beginning.
    :param modeOf: looks at a file.
    :raises RequestError: 403 when it leads upwards, can't be looked at, or is no file or
        directory.
    """
    if len(root) + len(path) >= MAX_PATH:
        raise RequestError("path too long for a file", 403)
    if b"/." in path or b"//" in path:
        # What rules and expressions join could be spelled as no <Directory> spells it.
        path = _NEEDLESS.sub(b"/", path)
        if b"/../" in path + b"/":
            raise RequestError("a path that leads upwards", 403)
    mode = modeOf(root + path)
    return _walk(root, path, modeOf) if mode < 0 else Located(root + path, None, _kind(mode))


def checkLinks(filename: bytes, policy: Callable[[bytes], tuple[bool, bool]]) -> None:
    """
    Hold to Options FollowSymLinks and SymLinksIfOwnerMatch.

    :param filename: what was located, without what follows it.
    :param policy: of a directory, with a slash at its end: whether links in it are followed,
        and whether those that belong to whom their targets belong to.
    :raises RequestError: 403 for a link that is not followed.
    """
    at = 0
    while at >= 0:
        at, parent = filename.find(b"/", at + 1), filename[: at + 1]
        path = filename[:at] if at >= 0 else filename
        if len(path) <= len(parent):
            break  # the slash of a directory
        follows, followsOwn = policy(parent)
        if follows:
            continue
        try:
            about = os.lstat(path)
            linked = stat.S_ISLNK(about.st_mode)
            if linked and not (followsOwn and os.stat(path).st_uid == about.st_uid):
                raise RequestError(f"a symbolic link: {os.fsdecode(path)}", 403)
        except OSError:
            return  # nothing there


def _walk(root: bytes, path: bytes, modeOf: Callable[[bytes], int]) -> Located:
    at = 0
    while at < len(path):
        slash = path.find(b"/", at + 1)
        end = slash if slash > 0 else len(path)
        filename = root + path[:end]
        mode = modeOf(filename)
        if mode < 0 and mode != -ENOENT:
            raise RequestError(f"{os.fsdecode(filename)}: {os.strerror(-mode)}", 403)
        kind = MISSING if mode < 0 else _kind(mode)
        if kind != DIRECTORY:
            return Located(filename, path[end:] or None, kind)
        at = end
    return Located(root + path, None, DIRECTORY)


def _kind(mode: int) -> str:
    if mode == stat.S_IFREG:
        return FILE
    if mode == stat.S_IFDIR:
        return DIRECTORY
    raise RequestError("neither a file nor a directory", 403)


def concealed(path: bytes) -> int:
    """
    Whether a path is none of the public's, as a status: 403, 404, or 0 when it is not.

    Names with a dot at their beginning are never served from disk, but for
    ``/.well-known/`` (RFC 8615); ``.ht...`` is refused as Debian's and httpd's own
    configurations do it.
    """
    if b"/." not in path:
        return 0
    segments = path.split(b"/")[1:]
    if segments[0] == b".well-known":
        del segments[0]
    if any(segment.startswith(b".ht") for segment in segments):
        return 403
    return 404 if any(segment.startswith(b".") for segment in segments) else 0
