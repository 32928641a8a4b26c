"""
A client's connection, whatever is said on it: how long it goes on, and how it ends.

Here is what looks at its transport, its times and its count of requests; the requests
themselves are :mod:`~twisted_fcgi.web.channel`'s.

Time: a request makes no delayed call and asks no clock but for its ``receivedAt``.
The factory looks at all its connections twice a second (:meth:`FrontConnection.sweep`);
a connection only clears ``quietSince`` when something moved.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Protocol

from twisted_fcgi.web.front import Front
from twisted_fcgi.web.transports import Closing, socketBehind, unsent

if TYPE_CHECKING:
    from twisted_fcgi.web.factory import HTTPFactory

__all__ = ["FrontConnection"]


class FrontConnection(Protocol):
    """
    The life of a client's connection.

    :ivar quietSince: when the factory first saw that nothing moved; 0 after a move.
    """

    transport: Any
    factory: HTTPFactory
    quietSince = 0.0

    _front: Front
    _secure = False
    _closing: Closing | None = None
    _keepAlive: tuple[float, int] | None = None
    _readingPaused = False
    _unsent: tuple[int, int] | None = None

    def __init__(self, factory: HTTPFactory) -> None:
        self.factory = factory
        self._front = factory.front
        self._served = 0
        self._clientEnded = False
        self._writingPaused = False

    def _prepareTransport(self) -> None:
        """The transport is there."""
        transport = self.transport
        self._secure = ISSLTransport.providedBy(transport)
        transport.registerProducer(self, True)
        try:
            # Or the end of a response, written later than its beginning, would wait for
            # the client's delayed acknowledgement (40 ms and more).
            transport.setTcpNoDelay(True)
        except (AttributeError, OSError):
            pass  # a UNIX socket

    def _readUnless(self, enough: bool) -> None:
        """Read, or do not when what was read already is enough."""
        if enough is not self._readingPaused and self._closing is None and not self._clientEnded:
            self._readingPaused = enough
            if enough:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # What whoever speaks on it adds.

    def _stopServing(self) -> None:
        """Nothing more is served."""

    def _wasQuiet(self, quiet: float) -> None:
        """
        Nothing moved, and the client has all that was written.

        :param quiet: for how many seconds.
        """

    # How long it goes on.

    def _mayGoOn(self, keepAlive: tuple[float, int] | None) -> bool:
        """
        :param keepAlive: as in :class:`ResponseHead`.
        :returns: whether times, counts and the factory let another request follow.
        """
        self._keepAlive = keepAlive
        front = self._front
        timeout, most = keepAlive or front.keepAlive
        # httpd's count: MaxKeepAliveRequests is what may follow the first.
        return timeout > 0 and (not most or self._served <= most) and not front.ending

    def keepAliveFields(self) -> bytes:
        """
        The fields that tell an asking client that its connection goes on, and the empty
        line behind them.
        """
        timeout, most = self._keepAlive or self._front.keepAlive
        return _keepAliveFields(timeout, most - self._served + 1 if most else 0)

    def _mayBeIdle(self) -> float:
        """For how many seconds nothing of a request need come."""
        if not self._served:
            return self._front.limits.headTimeout
        return (self._keepAlive or self._front.keepAlive)[0]

    def sweep(self, now: float) -> None:
        """Look at the deadline of whatever this connection is doing."""
        before = self._unsent
        self._unsent = unsent(
            socketBehind(self.transport), self._closing is not None or self._writingPaused
        )
        sending = self._unsent is not None
        if not self.quietSince or self._unsent != before:
            self.quietSince = now
            return
        quiet = now - self.quietSince
        clientTimeout = self._front.clientTimeout
        if self._closing is not None:
            self._closing.sweep(now, quiet, sending, clientTimeout)
        elif not sending and not self._writingPaused:
            self._wasQuiet(quiet)
        elif quiet >= clientTimeout:
            self._cut()

    # The end.

    def _end(self) -> Closing:
        """Have nothing more served on it; how it ends is up to what is returned."""
        closing = self._closing
        if closing is None:
            self.quietSince = 0.0
            self._stopServing()
            self.transport.unregisterProducer()
            closing = self._closing = Closing(self.transport, self._secure, self._front.seconds())
        return closing

    def _cut(self) -> None:
        """End the connection now."""
        self._end().cut()


@lru_cache(256)
def _keepAliveFields(timeout: float, left: int) -> bytes:
    """
    :param left: how many requests may follow; 0 for any number.
    """
    most = b", max=%d" % left if left else b""
    return b"Connection: Keep-Alive\r\nKeep-Alive: timeout=%d%b\r\n\r\n" % (timeout, most)
