"""
TLS of the connections that a port accepts.

Twisted's own collects what is written, so that it becomes one record, until the reactor's
next turn: a delayed call for each response, and another turn.  :class:`TLSServer` does so
until the sockets of this turn have read (:mod:`~twisted_fcgi.backend.hub`), like what it
writes to; only what is written at other times waits for the next turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from twisted_fcgi.backend.hub import turn

__all__ = ["RECORD", "TLSServer", "encryptEagerly"]

#: Bytes that are not collected any more, but encrypted at once: as many as a record holds.
RECORD = 16384


class TLSServer(TLSMemoryBIOProtocol):
    """A server's end of TLS, on a transport that knows its reactor."""

    transport: Any

    _call: Any = None
    _collected: list[bytes] | None = None
    _size = 0

    def write(self, data: bytes) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.write`."""
        collected = self._collected
        if collected is not None:
            collected.append(data)
        else:
            self._collected = [data]
            sends = turn.collected
            if sends is not None:
                sends.append(self)
            else:
                self._call = self.transport.reactor.callLater(0, self._writeLater)
        self._size += len(data)
        if self._size >= RECORD:
            self.sendCollected()

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.writeSequence`."""
        self.write(b"".join(iovec))

    def _writeLater(self) -> None:
        self._call = None
        self.sendCollected()

    def sendCollected(self) -> None:
        """Encrypt it."""
        collected, self._collected = self._collected, None
        if collected is not None:
            self._size = 0
            if self._call is not None:
                self._call.cancel()
                self._call = None
            super().write(b"".join(collected))

    def loseConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.loseConnection`."""
        self.sendCollected()
        super().loseConnection()

    def unregisterProducer(self) -> None:
        """See :meth:`twisted.internet.interfaces.IConsumer.unregisterProducer`."""
        self.sendCollected()  # the end that waits for the producer may come now
        super().unregisterProducer()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The transport is gone."""
        self._collected = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        super().connectionLost(reason)


def encryptEagerly(factory: object) -> None:
    """
    Let the connections of a factory be :class:`TLSServer`, where they speak Twisted's TLS.

    :param factory: that of a port whose transports know their reactor.
    """
    if isinstance(factory, TLSMemoryBIOFactory) and factory.protocol is BufferingTLSTransport:
        factory.protocol = TLSServer
