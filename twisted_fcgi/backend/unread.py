"""
What slow clients have not read yet, in memory and in files.

FastCGI has no window for a single stream: who stops reading a connection that is
shared stops all of its streams.  So a shared connection is always read, and what a
slow client does not take goes, beyond ``maxStreamBuffer`` bytes of memory, into a
temporary file without a name.  All of a member's files together have a limit,
``maxspool``; the stream that meets it is ended, and with it its client's response.
"""

from __future__ import annotations

import os
from collections import deque
from tempfile import TemporaryFile
from typing import IO

__all__ = ["Spool", "Unread"]

#: Bytes that are read back at once.
PIECE = 65536


class Spool:
    """
    How much the files of one member may hold.

    :ivar limit: bytes in all.
    :ivar left: bytes that are free.
    """

    __slots__ = ("left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit


class Unread:
    """
    One stream's bytes, in the order in which they came.

    :ivar size: those in memory.
    :ivar spool: where further ones go; ``None`` for memory.
    :ivar broken: why no more can be held, if it can't.
    """

    __slots__ = ("_file", "_parts", "_readAt", "_size", "broken", "size", "spool")

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self.size = 0
        self.spool: Spool | None = None
        self.broken = ""
        self._file: IO[bytes] | None = None
        self._size = 0
        self._readAt = 0

    def add(self, data: bytes) -> None:
        """Hold bytes; see ``broken``."""
        if self.spool is None:
            self._parts.append(data)
            self.size += len(data)
        elif len(data) > self.spool.left:
            self.broken = f"clients leave more than {self.spool.limit} bytes (maxspool) unread"
        elif not self.broken:
            try:
                self._store(data)
            except OSError as error:
                self.broken = f"what a client leaves unread can't be stored: {error.strerror}"
            else:
                self._size += len(data)
                self.spool.left -= len(data)

    def take(self) -> bytes:
        """The next bytes; none when there are none."""
        if self._parts:
            data = self._parts.popleft()
            self.size -= len(data)
            return data
        if self._file is None:
            return b""
        data = os.pread(self._file.fileno(), PIECE, self._readAt)
        self._readAt += len(data)
        return data

    def forget(self) -> None:
        """Hold nothing any more."""
        self._parts.clear()
        self.size = 0
        if self._file is not None and self.spool is not None:
            self._file.close()
            self._file = None
            self.spool.left += self._size

    def _store(self, data: bytes) -> None:
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115
        left = memoryview(data)
        while left:
            at = self._size + len(data) - len(left)
            left = left[os.pwrite(self._file.fileno(), left, at) :]
