"""
One request to an application, from the moment that it is asked for.

A :class:`Stream` is what :meth:`~twisted_fcgi.interfaces.IMember.open` gives
out.  At first it may wait for a connection; then it lives on one, and possibly
on a second one, when the first was dead already.  Once END_REQUEST came the
connection is let go, even when the client has not taken all of the response:
the rest is held here, as it would be in the connection's buffers.

Where the memory goes: what a paused receiver does not take is held up to
``maxStreamBuffer``.  Then the connection is not read any more; or, when other
streams are on it, the rest goes into a file (:mod:`twisted_fcgi.backend.unread`).
For the other direction see :mod:`twisted_fcgi.backend.uploads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

from zope.interface import implementer

from twisted_fcgi.backend.stderr import Stderr, printable
from twisted_fcgi.backend.unread import Unread
from twisted_fcgi.errors import (
    ApplicationOverloaded,
    BadRequest,
    BrokenResponse,
    CannotMultiplex,
    RequestError,
)
from twisted_fcgi.interfaces import IBody, IBodyConsumer, IStream, IStreamReceiver
from twisted_fcgi.wire import EndRequest, Pair, ProtocolStatus, decodePairs

if TYPE_CHECKING:
    from twisted_fcgi.backend.protocol import FastCGIClientProtocol
    from twisted_fcgi.backend.uploads import Uploads

__all__ = ["Stream", "StreamOwner"]

#: What END_REQUEST says of a request that is not complete.
_REFUSALS: dict[int, tuple[type[RequestError], str]] = {
    ProtocolStatus.OVERLOADED: (ApplicationOverloaded, "is overloaded (FCGI_OVERLOADED)"),
    ProtocolStatus.CANT_MPX_CONN: (
        CannotMultiplex,
        "wants a connection for each request (FCGI_CANT_MPX_CONN)",
    ),
    ProtocolStatus.UNKNOWN_ROLE: (
        BrokenResponse,
        "does not know the role of the request (FCGI_UNKNOWN_ROLE)",
    ),
}


class StreamOwner(Protocol):
    """Who opened a stream; told what happens to it outside of its connection."""

    def withdrawn(self, stream: Stream) -> None:
        """It was aborted while it waited for a connection."""

    def waitedTooLong(self, stream: Stream) -> None:
        """It did not get a connection until its ``limit``."""

    def takesOver(self, stream: Stream, error: RequestError) -> bool:
        """It failed; whether it is tried again and the receiver need not know."""


@implementer(IStream, IBodyConsumer)
class Stream:
    """
    One request.

    :ivar owner: who opened it, or ``None`` when it was opened on a connection itself.
    :ivar connection: the connection that it is on; ``None`` before and after.
    :ivar requestId: its id there.
    :ivar again: how often it was tried before, in vain.
    :ivar limit: when its waiting for a connection ends, or its abort's grace.
    :ivar markedAt: since when the application has been expected to do something, or when
        the last part of the response came.
    :ivar heardThen: how often the connection had been heard of when it was begun on it.
    :ivar sentThen: how many bytes its transport had sent then, if it counts them.
    :ivar uploading: whether the application waits for more of the body.
    :ivar received: bytes of the body that came since it was begun.
    :ivar answered: whether a part of a response came.
    :ivar paused: whether the receiver takes nothing at present.
    :ivar unread: what the receiver has not taken, if there is such.
    :ivar stdoutEnded: whether the response is complete, even without END_REQUEST.
    """

    # Set when the request is begun on a connection, and with it the body.
    requestId: int
    markedAt: float
    heardThen: int
    sentThen: int | None
    received: int

    __slots__ = (
        "_last",
        "_receiver",
        "_stderr",
        "again",
        "answered",
        "body",
        "connection",
        "heardThen",
        "limit",
        "markedAt",
        "owner",
        "params",
        "paused",
        "received",
        "requestId",
        "role",
        "sentThen",
        "stdoutEnded",
        "timeout",
        "unread",
        "uploading",
    )

    def __init__(
        self,
        params: Sequence[Pair] | bytes,
        body: IBody | None,
        receiver: IStreamReceiver,
        role: int,
        timeout: float,
        owner: StreamOwner | None = None,
    ) -> None:
        self.params = params
        self.body = body
        self.role = role
        self.timeout = timeout
        self.owner = owner
        self.connection: FastCGIClientProtocol | None = None
        self.limit = inf
        self.again = 0
        self.uploading = False
        self.answered = False
        self.stdoutEnded = False
        self.unread: Unread | None = None
        self._receiver: IStreamReceiver | None = receiver
        self.paused = False
        self._last: EndRequest | RequestError | None = None
        self._stderr: Stderr | None = None

    def __repr__(self) -> str:
        if self.connection is None:
            state = "waiting" if self._receiver is not None and self._last is None else "over"
        else:
            state = f"{self.requestId} on {self.connection!r}"
            if self._receiver is None:
                state += ", aborted"
        return f"<Stream {self.name}: {state}>"

    @property
    def pairs(self) -> Sequence[Pair]:
        """The parameters, taken apart if they came encoded: for logs and what is rare."""
        params = self.params
        return decodePairs(params) if isinstance(params, bytes) else params

    @property
    def name(self) -> str:
        """The request's name in a log: its method and URI."""
        pairs = dict(self.pairs)
        uri = pairs.get(b"REQUEST_URI") or pairs.get(b"SCRIPT_NAME") or b"?"
        return printable(b"%s %s" % (pairs.get(b"REQUEST_METHOD", b"?"), uri))

    @property
    def aborted(self) -> bool:
        """Whether nobody wants the response any more."""
        return self._receiver is None

    @property
    def untouched(self) -> bool:
        """Whether the application gave nothing for it."""
        return not self.answered and self._stderr is None

    def holdsLess(self, most: int) -> bool:
        """Whether fewer bytes than that are held for it."""
        unread = self.unread
        return unread is None or (unread.size < most and unread.spool is None)

    # IStream

    def abort(self) -> None:
        """See :meth:`twisted_fcgi.interfaces.IStream.abort`."""
        if self._receiver is None:
            return
        self._receiver = None
        self._forget()
        waiting = self.connection is None and self._last is None
        if self.body is not None and (self.uploading or waiting):
            self.body.discard()
        if self.connection is not None:
            self.connection.abort(self)
        elif waiting and self.owner is not None:
            self.owner.withdrawn(self)

    def pauseProducing(self) -> None:
        """See :meth:`twisted_fcgi.interfaces.IStream.pauseProducing`."""
        self.paused = True

    def resumeProducing(self) -> None:
        """See :meth:`twisted_fcgi.interfaces.IStream.resumeProducing`."""
        if not self.paused:
            return
        self.paused = False
        while not self.paused and self._receiver is not None and (data := self._next()):
            self._receiver.stdoutReceived(data)
        if self.paused or self._receiver is None:
            return
        if self._last is not None:
            self._tell(self._last)
        elif self.connection is not None:
            self.connection.resumed(self)

    # IBodyConsumer

    def write(self, data: bytes) -> None:
        """See :meth:`twisted_fcgi.interfaces.IBodyConsumer.write`."""
        if not self.uploading:
            return  # its request is over, and who ended it knows that
        uploads = self._uploads()
        assert self.body is not None
        self.received += len(data)
        length = self.body.length
        if length is not None and self.received > length:
            self.fail(BadRequest(f"the body is longer than its {length} bytes"))
        else:
            # The end goes along with the last part, in one write.
            uploads.send(self, data, self.received == length)

    def finish(self) -> None:
        """See :meth:`twisted_fcgi.interfaces.IBodyConsumer.finish`."""
        if not self.uploading:
            return  # as above; or its length said so already
        assert self.body is not None
        length = self.body.length
        if length is not None and self.received < length:
            self.fail(BadRequest(f"the body ended after {self.received} of {length} bytes"))
        else:
            self._uploads().send(self, b"", True)

    def fail(self, error: RequestError) -> None:
        """See :meth:`twisted_fcgi.interfaces.IBodyConsumer.fail`."""
        if self.uploading:
            self.cancel(error)

    def _uploads(self) -> Uploads:
        assert self.connection is not None and self.connection.uploads is not None
        return self.connection.uploads

    # What the connection says

    def cancel(self, error: RequestError) -> None:
        """Fail, and let the application know; the connection goes on."""
        assert self.connection is not None
        receiver, self._receiver = self._receiver, None
        self._forget()
        self.connection.abort(self)
        if receiver is not None:
            receiver.streamFailed(error)

    def stdoutReceived(self, data: bytes) -> bool:
        """
        A part of the response came.

        :returns: whether more of it is held than can be.
        """
        receiver = self._receiver
        if receiver is None:
            return False
        self.answered = True
        unread = self.unread
        if unread is None:
            if not self.paused:
                receiver.stdoutReceived(data)
                return False
            unread = self.unread = Unread()
        unread.add(data)
        return self.connection is not None and not self.holdsLess(self.connection.maxStreamBuffer)

    def stderrReceived(self, data: bytes) -> None:
        """A part of what the application complains about came."""
        if self._stderr is None:
            assert self.connection is not None
            self._stderr = Stderr(self.connection.stderrLog, self.name)
        self._stderr.write(data)

    def refusal(self, end: EndRequest, application: str) -> RequestError:
        """What END_REQUEST means that does not say that the request is complete."""
        status = end.protocolStatus
        kind, text = _REFUSALS.get(status, (BrokenResponse, f"said unknown status {status}"))
        error = kind(f"{application} {text}")
        if isinstance(error, ApplicationOverloaded):
            assert self.connection is not None
            error.others = len(self.connection.streams)
        if self.answered:
            error.retryable = False  # whatever it says, it began
        return error

    def ended(self, last: EndRequest | RequestError) -> None:
        """It is over; its connection has let it go."""
        self.connection = None
        if self._stderr is not None:
            self._stderr.finish()
            self._stderr = None
        if self.uploading:
            assert self.body is not None
            self.uploading = False
            # Another attempt may want the body of one that failed; who gave it decides.
            if isinstance(last, EndRequest):
                self.body.discard()
            else:
                self.body.pause()
        if self._receiver is None:
            return
        if not isinstance(last, EndRequest):  # first what is usual, which is cheap to ask
            owner = self.owner
            if owner is not None and owner.takesOver(self, last):
                return
        if self.unread is not None:
            self._last = last
        else:
            self._tell(last)

    def _next(self) -> bytes:
        """The next part of what is held; empty when nothing is."""
        data = b"" if self.unread is None else self.unread.take()
        if not data:
            self._forget()
        return data

    def _forget(self) -> None:
        """Hold nothing any more."""
        if self.unread is not None:
            self.unread.forget()
            self.unread = None

    def _tell(self, last: EndRequest | RequestError) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is None:
            return
        if isinstance(last, EndRequest):
            receiver.streamEnded(last)
        else:
            receiver.streamFailed(last)

    # Watched

    def dueAt(self) -> float:
        """When the waiting ends: for a connection, for the end of an abort, for an answer."""
        connection = self.connection
        if connection is None or self._receiver is None:
            return self.limit
        if self.paused or (self.uploading and not self._uploads().stalled):
            return inf  # it is the client's turn
        if connection.maxStreams > 1:
            return self.markedAt + self.timeout
        return max(self.markedAt, connection.heardAt) + self.timeout

    def expired(self) -> None:
        """Nothing happened until then."""
        if self.connection is not None:
            self.connection.silent(self)
        elif self.owner is not None:
            self.owner.waitedTooLong(self)
