"""
One request, as a Twisted program that is a FastCGI application sees it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from twisted_fcgi.wire import ApplicationConnection, Role

__all__ = ["ApplicationRequest", "Inflow", "RequestConnection"]


class RequestConnection(Protocol):
    """
    What a request is on.

    :ivar wire: the FastCGI of it.
    :ivar transport: where to write.
    :ivar stalled: whether the web server does not read at present.
    """

    wire: ApplicationConnection
    transport: Any
    stalled: bool

    def readAgain(self) -> None:
        """A request took some of what was held for it."""

    def finish(self, requestId: int, appStatus: int) -> None:
        """A request is answered."""


@implementer(IPushProducer)
class Inflow:
    """
    A stream that an application reads: a request's body, or a filter's file.

    :ivar held: the bytes that came and were not delivered.
    """

    def __init__(self, readAgain: Callable[[], None]) -> None:
        self.held = 0
        self._parts: deque[bytes] = deque()
        self._readAgain = readAgain
        self._ended = False
        self._paused = True
        self._dataReceived: Callable[[bytes], object] | None = None
        self._finished: Callable[[], object] | None = None

    def deliver(
        self, dataReceived: Callable[[bytes], object], finished: Callable[[], object]
    ) -> None:
        """
        Begin to push what comes; may call back before it returns.

        :param dataReceived: called with each part.
        :param finished: called once, after the last one; never for a request
            that is over before.
        """
        self._dataReceived = dataReceived
        self._finished = finished
        self.resumeProducing()

    def pauseProducing(self) -> None:
        """Push nothing until :meth:`resumeProducing`."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on; may call back before it returns."""
        if self._dataReceived is None:
            return  # nobody to push to
        self._paused = False
        while self._parts and not self._paused and self._dataReceived is not None:
            data = self._parts.popleft()
            self.held -= len(data)
            self._dataReceived(data)
        self._readAgain()
        self._finishIfOver()

    def stopProducing(self) -> None:
        """Drop the rest."""
        self._dataReceived = self._finished = None
        self._parts.clear()
        self.held = 0
        self._paused = False
        self._readAgain()

    def received(self, data: bytes) -> None:
        """A part came from the client."""
        if self._paused:
            self._parts.append(data)
            self.held += len(data)
        elif self._dataReceived is not None:
            self._dataReceived(data)

    def ended(self) -> None:
        """The client said that this was all."""
        self._ended = True
        self._finishIfOver()

    def _finishIfOver(self) -> None:
        if self._ended and not self._paused and not self._parts and self._finished is not None:
            finished, self._finished = self._finished, None
            finished()


class ApplicationRequest:
    """
    One request, as an application sees it.

    :ivar role: a :class:`~twisted_fcgi.wire.Role`.
    :ivar params: its variables.
    :ivar stdin: its body; over from the start for an authorizer.
    :ivar data: a filter's file, which comes after the body.
    :ivar over: whether it was finished, or nobody waits for it any more.
    """

    def __init__(self, connection: RequestConnection, requestId: int, role: int) -> None:
        self.role = role
        self.params: dict[bytes, bytes] = {}
        self.stdin = Inflow(connection.readAgain)
        self.data = Inflow(connection.readAgain)
        if role == Role.AUTHORIZER:
            self.stdin.ended()
        if role != Role.FILTER:
            self.data.ended()
        self.over = False
        self.producer: IPushProducer | None = None
        self._connection = connection
        self._wire = connection.wire
        self._write = connection.transport.writeSequence
        self._requestId = requestId
        self._aborted: Callable[[], object] | None = None

    def write(self, data: bytes) -> None:
        """A part of the response; the first ones are a CGI head.  Nothing, once it is over."""
        if not self.over:
            self._write(self._wire.stdout(self._requestId, data))

    def writeError(self, data: bytes) -> None:
        """Something for the web server's error log.  Nothing, once it is over."""
        if not self.over:
            self._write(self._wire.stderr(self._requestId, data))

    def finish(self, appStatus: int = 0) -> None:
        """
        The response is complete.

        :param appStatus: 0, unless something is to be told to the web server.
        """
        if not self.over:
            self._connection.finish(self._requestId, appStatus)

    def notifyAborted(self, callback: Callable[[], object]) -> None:
        """
        Be told when nobody waits for the response any more.

        The request is over then, whether this was called or not.

        :param callback: called without arguments, at most once.
        """
        self._aborted = callback

    def registerProducer(self, producer: IPushProducer, streaming: bool = True) -> None:
        """
        Let the client's speed govern who writes the response.

        :param producer: a push producer; it may be paused before this returns.
        :param streaming: has to be true: a pull producer can't share a connection.
        """
        if not streaming or self.producer is not None:
            raise RuntimeError("a request takes one producer, and only one that pushes")
        self.producer = producer
        if self.over:
            producer.stopProducing()
        elif self._connection.stalled:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """The producer has written all it had."""
        self.producer = None

    def ended(self) -> None:
        """It is over: nothing is written or delivered from now on."""
        self.over = True
        self.stdin.stopProducing()
        self.data.stopProducing()

    def aborted(self) -> None:
        """It was over before it was finished: tell whom it may concern."""
        self.ended()
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        if self._aborted is not None:
            self._aborted()
