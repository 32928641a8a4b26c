"""
What a decision about a request rests on, and whether that is so for another request.

While a request is routed, who reads something besides its target and who was asked says so to
its :class:`Grounds`, or that it is nothing that can be looked at again.  Of a decision whose
grounds last, a :class:`Basis` is kept with it: the same questions, with their answers.

What the environment of our own process says is taken to stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import ENOENT, ENOTDIR
from functools import partial
from stat import S_IFDIR, S_IFREG
from typing import TYPE_CHECKING

from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Request
from twisted_fcgi.routing.files import modeOf
from twisted_fcgi.settings import AllowOverride

if TYPE_CHECKING:
    from twisted_fcgi.routing.environment import Conditions, Found
    from twisted_fcgi.routing.look import Rules
    from twisted_fcgi.routing.sections import AccessSection, FindAccessFile

__all__ = ["Basis", "Grounds"]

#: Files on which a decision that is remembered may rest, and bytes of all their names.
MAX_FILES = 16
MAX_NAMES = 2048

#: A ``.htaccess``: how it is found again, and what was found.
_AccessFile = tuple[Callable[[], "AccessSection | None"], "AccessSection | None"]


class Grounds:
    """
    What a decision rests on, besides the target and who was asked.

    :ivar lasting: whether nothing took part that is not written down here.
    :ivar rules: of the request, its redirects and the look-ups on their behalf.
    :ivar files: what :func:`~twisted_fcgi.routing.files.modeOf` said of paths.
    :ivar attributes: those of the request that were read, with their values.
    :ivar absent: header fields, in lower case, that were looked for and not there.
    :ivar conditions: SetEnvIf and its like, with what of the request they go by.
    :ivar accessFiles: the ``.htaccess`` files of directories, found or not.
    """

    __slots__ = (
        "absent",
        "accessFiles",
        "attributes",
        "conditions",
        "files",
        "lasting",
        "rules",
    )

    def __init__(self) -> None:
        self.lasting = True
        self.rules: list[Rules] = []
        self.files: dict[bytes, int] = {}
        self.attributes: dict[str, object] = {}
        self.absent: set[bytes] = set()
        self.conditions: dict[Conditions, Found] = {}
        self.accessFiles: dict[tuple[bytes, int, int], _AccessFile] = {}

    def modeOf(self, path: bytes) -> int:
        """As :func:`~twisted_fcgi.routing.files.modeOf`; for a request, a file stays what it is."""
        mode = self.files.get(path)
        if mode is None:
            mode = modeOf(path)
            if len(self.files) < MAX_FILES:
                self.files[path] = mode
            else:
                self.lasting = False
        return mode

    def read(self, request: Request, name: str) -> None:
        """An attribute of the request takes part."""
        self.attributes[name] = getattr(request, name)

    def readField(self, name: bytes, value: bytes | None) -> None:
        """
        A header field other than Host takes part.

        Only that it is not there is remembered: its values are as many as there are clients,
        and may be secrets.
        """
        if value is None:
            self.absent.add(name.lower())
        else:
            self.lasting = False

    def meet(self, conditions: Conditions, request: Request) -> None:
        """SetEnvIf and its like take part."""
        found = conditions.found(request)
        if found is None:
            self.lasting = False
        else:
            self.conditions[conditions] = found

    def findAccessFile(
        self,
        find: FindAccessFile,
        directory: bytes,
        allow: AllowOverride,
        directives: frozenset[str],
    ) -> AccessSection | None:
        """
        The ``.htaccess`` of a directory takes part.

        :param find: finds it; see :class:`~twisted_fcgi.routing.sections.AccessFiles`.
        """
        again = partial(find, directory, allow, directives)
        try:
            found = again()
        except RequestError:
            self.lasting = False
            raise
        self.accessFiles[directory, id(allow), id(directives)] = again, found
        return found

    def basis(self) -> Basis | None:
        """What is to be looked at again; ``None`` where that is not all."""
        files = tuple(_deciding(self.files))
        if not self.lasting or sum(len(path) for path, _ in files) > MAX_NAMES:
            return None
        return Basis(
            files,
            tuple(self.attributes.items()),
            frozenset(self.absent),
            tuple(self.conditions.items()),
            tuple(self.accessFiles.values()),
        )


class Basis:
    """What a decision that is remembered rests on; the parameters are as of :class:`Grounds`."""

    __slots__ = ("_absent", "_accessFiles", "_attributes", "_conditions", "_files")

    def __init__(
        self,
        files: tuple[tuple[bytes, int], ...],
        attributes: tuple[tuple[str, object], ...],
        absent: frozenset[bytes],
        conditions: tuple[tuple[Conditions, Found], ...],
        accessFiles: tuple[_AccessFile, ...],
    ) -> None:
        self._files = files
        self._attributes = attributes
        self._absent = absent
        self._conditions = conditions
        self._accessFiles = accessFiles

    def __bool__(self) -> bool:
        """Whether there is anything to look at."""
        return bool(
            self._files or self._attributes or self._absent or self._conditions or self._accessFiles
        )

    def holds(self, request: Request) -> bool:
        """Whether all of it is so now, and for this request."""
        for path, mode in self._files:
            if modeOf(path) != mode:
                return False
        for name, value in self._attributes:
            if getattr(request, name) != value:
                return False
        if self._absent and not self._absent.isdisjoint(request.headers.names()):
            return False
        for conditions, known in self._conditions:
            if conditions.found(request) != known:
                return False
        try:
            for find, found in self._accessFiles:
                if find() is not found:
                    return False
        except RequestError:
            return False
        return True


def _deciding(files: dict[bytes, int]) -> Iterator[tuple[bytes, int]]:
    """Those paths from which it follows what all others are."""
    for path, mode in files.items():
        if mode == S_IFDIR:
            below = path.rstrip(b"/") + b"/"
            longer = (other for other in files if len(other) > len(path))
            if any(files[other] > 0 and other.startswith(below) for other in longer):
                continue
        elif mode == -ENOENT or mode == -ENOTDIR:
            cause = -ENOENT if mode == -ENOENT else S_IFREG
            # No name at all is no file either, but there is nothing below it.
            if any(
                other and files[other] == cause and path.startswith(other + b"/") for other in files
            ):
                continue
        yield path, mode
