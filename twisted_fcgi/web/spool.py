"""
Request bodies that are whole before they are passed on.

FastCGI needs CONTENT_LENGTH ahead of the body, so a body of unknown length is
counted first; one that may be sent to a second member has to be kept as well.

Limits: a body is held in memory up to ``memoryLimit``, then in a temporary file
without a name, and refused from ``totalLimit`` on.  A body is delivered in pieces
of :data:`PIECE` bytes, and only until its consumer pauses it.
"""

from __future__ import annotations

from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import IO

from zope.interface import implementer

from twisted_fcgi.errors import BadRequest, RequestError
from twisted_fcgi.interfaces import IBody, IBodyConsumer

__all__ = ["PIECE", "FileBody", "spool"]

#: The largest multiple of 8 that fits a FastCGI record, so that a piece is a record.
PIECE = 65528


def spool(
    body: IBody,
    memoryLimit: int,
    totalLimit: int,
    done: Callable[[IBody | RequestError], object],
) -> None:
    """
    Take in a whole body.

    :param memoryLimit: bytes up to which no file is used.
    :param totalLimit: most bytes in all (LimitRequestBody); 0 for no limit.
    :param done: called once, with a replayable body of known length (to be discarded
        in the end), or with what went wrong.  May be called before this returns.
    """
    body.deliver(_Spooler(body, memoryLimit, totalLimit, done))


@implementer(IBodyConsumer)
class _Spooler:
    def __init__(
        self,
        body: IBody,
        memoryLimit: int,
        totalLimit: int,
        done: Callable[[IBody | RequestError], object],
    ) -> None:
        self._body = body
        self._totalLimit = totalLimit
        self._done = done
        self._length = 0
        self._ended = False
        # The class takes 0 for "no limit"; from one byte on is near enough.
        self._file = SpooledTemporaryFile(max_size=max(memoryLimit, 1))  # noqa: SIM115

    def write(self, data: bytes) -> None:
        if self._ended:
            return
        self._length += len(data)
        if self._totalLimit and self._length > self._totalLimit:
            reason = f"the body is larger than {self._totalLimit} bytes (LimitRequestBody)"
            self.fail(BadRequest(reason, 413))
            return
        try:
            self._file.write(data)
        except OSError as error:
            self.fail(RequestError(f"the body can't be stored: {error.strerror}"))

    def finish(self) -> None:
        if not self._ended:
            self._ended = True
            self._done(FileBody(self._file, self._length))

    def fail(self, error: RequestError) -> None:
        if not self._ended:
            self._ended = True
            self._file.close()
            self._body.discard()
            self._done(error)


@implementer(IBody)
class FileBody:
    """
    A body that is all there.

    :param file: holds it from its beginning on; closed by :meth:`discard`.
    :param length: how many bytes it has.
    """

    replayable = True

    def __init__(self, file: IO[bytes], length: int) -> None:
        self.length = length
        self._file = file
        self._consumer: IBodyConsumer | None = None
        self._paused = False
        self._pushing = False

    def deliver(self, consumer: IBodyConsumer) -> None:
        """Deliver from the first byte; an earlier consumer gets nothing more."""
        self._file.seek(0)
        self._consumer = consumer
        self._paused = False
        self._push()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._push()

    def discard(self) -> None:
        self._consumer = None
        self._file.close()

    def _push(self) -> None:
        if self._pushing:  # called by the consumer that is being pushed to
            return
        self._pushing = True
        try:
            while not self._paused and (consumer := self._consumer) is not None:
                try:
                    data = self._file.read(PIECE)
                except OSError as error:
                    self._consumer = None
                    consumer.fail(RequestError(f"the body can't be read: {error.strerror}"))
                    continue
                if data:
                    consumer.write(data)
                else:
                    self._consumer = None
                    consumer.finish()
        finally:
            self._pushing = False
