"""
Files, for what no application is asked for.

Whole files and single byte ranges, with the validators and conditions of httpd's
default handler; of several ranges none is evaluated, as RFC 9110, 14.2 allows, so
that no request asks for more than the file.  ``twisted.web.static.File`` is not used:
it knows neither If-Range nor If-None-Match before If-Modified-Since, fails on a
suffix range longer than the file, and can't end a response whose file was cut short.

What may be had, and by which methods, was decided by :mod:`twisted_fcgi.routing.serving`;
here nothing but a regular file is opened.

Limits: one piece of :data:`PIECE` bytes is read per turn of the reactor, and none
while the client does not take more.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from io import FileIO
from typing import NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from twisted_fcgi.cgi.conditions import evaluateConditions, formatDate, parseDate
from twisted_fcgi.cgi.metadata import addMetadata
from twisted_fcgi.headers import Headers
from twisted_fcgi.http import DROPS_CONNECTION, REASONS
from twisted_fcgi.interfaces import IExchange, IResponse
from twisted_fcgi.message import Request, ResponseHead, Route
from twisted_fcgi.settings import DirectorySettings
from twisted_fcgi.web.errorpage import Refusal

__all__ = ["PIECE", "Answer", "answerFor", "serveFile"]

#: How much of a file is read and written at a time.
PIECE = 65536

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})
# A FIFO must not block the one thread that opens it; on Windows there is no such flag.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_DEFAULTS = DirectorySettings()

_range = re.compile(rb"bytes=[ \t]*(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))[ \t]*").fullmatch


class Answer(NamedTuple):
    """
    What to send of a file.

    :ivar status: 200, 206, 304, 412 or 416.
    :ivar headers: without the length.
    :ivar offset: where in the file the body begins.
    :ivar length: bytes of the body.
    """

    status: int
    headers: Headers
    offset: int
    length: int


def serveFile(
    request: Request,
    route: Route,
    response: IResponse,
    reactor: IReactorTime,
    refuse: Callable[[Refusal], IExchange],
) -> IExchange:
    """
    Answer with the file that a route found.

    :param request: a GET, HEAD or POST.
    :param route: its ``filename`` is the file; with a status it is the page about an error,
        which no condition and no range is for.
    :param refuse: answers with an error.
    """
    transfer = _Transfer(response, reactor)
    file = _open(route.filename)
    if isinstance(file, int):
        return refuse(Refusal(file))
    about = os.fstat(file.fileno())
    answer = answerFor(
        request if not route.status else request.changed(headers=Headers()),
        about.st_size,
        about.st_mtime_ns,
        reactor.seconds(),
        route.directory,
        about.st_ino,
    )
    if answer.status == 416:
        file.close()
        return refuse(Refusal(answer.status, answer.headers))
    length = None if answer.status == 304 else answer.length
    status = route.status or answer.status
    answer.headers.merge(route.fields)
    if answer.status != 304:
        addMetadata(answer.headers, route)
    if request.vary:
        answer.headers.vary(request.vary)
    response.writeHead(
        ResponseHead(
            status, REASONS[status], answer.headers, length, status in DROPS_CONNECTION
        )
    )
    if answer.length and request.method != b"HEAD":
        transfer.begin(file, answer.offset, answer.length)
    else:
        file.close()
        response.finish()
    return transfer


def _open(filename: bytes) -> FileIO | int:
    """The open file, or the status of an error."""
    try:
        descriptor = os.open(filename, _OPEN_FLAGS)
    except ValueError:  # a NUL
        return 404
    except OSError as error:
        return 404 if error.errno in _NOT_THERE else 403
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return 404
    return FileIO(descriptor)


def answerFor(
    request: Request,
    size: int,
    modified: int,
    now: float,
    settings: DirectorySettings = _DEFAULTS,
    inode: int = 0,
) -> Answer:
    """
    Decide what a GET, HEAD or POST gets of a file.

    :param modified: when the file changed, in nanoseconds since 1970.
    :param now: seconds since 1970.
    :param settings: FileETag and MaxRanges.
    :param inode: the file's number.
    """
    seconds = min(modified // 1_000_000_000, int(now))
    etag = _entityTag(settings.entityTag, size, modified, now, inode)
    fields = [(b"Last-Modified", formatDate(seconds))]
    if etag is not None:
        fields.append((b"ETag", etag))
    fields.append((b"Accept-Ranges", b"none" if settings.ranges is False else b"bytes"))
    headers = Headers(fields)
    isRead = request.method != b"POST"
    status = evaluateConditions(request.headers, etag, seconds, now, isRead)
    if status is not None:
        return Answer(status, headers, 0, 0)
    part = None
    asked = request.headers.get(b"range")
    if (
        asked is not None
        and request.method == b"GET"
        and settings.ranges is not False
        and _isCurrent(request, etag, seconds)
    ):
        part = _partOf(asked, size)
    if part is None:
        status, start, end = 200, 0, size
    elif part.start >= part.stop:
        return Answer(416, Headers([(b"Content-Range", b"bytes */%d" % size)]), 0, 0)
    else:
        status, start, end = 206, part.start, part.stop
        headers.add(b"Content-Range", b"bytes %d-%d/%d" % (start, end - 1, size))
    return Answer(status, headers, start, end - start)


def _entityTag(
    parts: frozenset[str] | None, size: int, modified: int, now: float, inode: int
) -> bytes | None:
    """An ETag in httpd's form, of what FileETag says; of the size and the time by default."""
    values = []
    if parts is not None and "inode" in parts:
        values.append(b"%x" % inode)
    if parts is None or "size" in parts:
        values.append(b"%x" % size)
    if parts is None or "mtime" in parts:
        values.append(b"%x" % (modified // 1000))
    # A file may change again within the second: RFC 9110, 8.8.1.
    weak = b"W/" if now - modified / 1e9 < 1 else b""
    return b'%s"%s"' % (weak, b"-".join(values)) if values else None


def _isCurrent(request: Request, etag: bytes | None, seconds: int) -> bool:
    """Whether a range may be cut from this state of the file (RFC 9110, 13.1.5)."""
    condition = request.headers.get(b"if-range")
    if condition is None:
        return True
    if condition.startswith(b'"'):
        return condition == etag
    return parseDate(condition) == seconds and not (etag or b"").startswith(b"W/")


def _partOf(asked: bytes, size: int) -> range | None:
    """
    The bytes that a Range field asks for.

    :returns: an empty range for one outside of the file, ``None`` for what is not one
        valid range of a file that has any bytes.
    """
    match = _range(asked)
    if match is None or size == 0:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        return range(max(size - int(suffix), 0), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1, size) if last else size)


@implementer(IExchange)
class _Transfer:
    """A file on its way to a client; at rest before :meth:`begin` and after the end."""

    def __init__(self, response: IResponse, reactor: IReactorTime) -> None:
        self._response = response
        self._reactor = reactor
        self._file: FileIO | None = None
        self._left = 0
        self._paused = False
        self._call: IDelayedCall | None = None

    def begin(self, file: FileIO, offset: int, length: int) -> None:
        """Write the first piece; the others follow in later turns of the reactor."""
        file.seek(offset)
        self._file = file
        self._left = length
        self._writePiece()

    def _writePiece(self) -> None:
        self._call = None
        file = self._file
        assert file is not None
        try:
            data = file.read(min(PIECE, self._left))
        except OSError:
            data = b""
        if not data:  # unreadable, or shorter than it was
            self._close()
            self._response.abort()
            return
        self._left -= len(data)
        self._response.write(data)
        if self._file is None:  # the client left while it was written to
            return
        if not self._left:
            self._close()
            self._response.finish()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if self._file is not None and self._call is None and not self._paused:
            self._call = self._reactor.callLater(0, self._writePiece)

    def _rest(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _close(self) -> None:
        self._rest()
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def clientGone(self) -> None:
        self._close()

    def pauseProducing(self) -> None:
        self._paused = True
        self._rest()

    def resumeProducing(self) -> None:
        self._paused = False
        self._schedule()
