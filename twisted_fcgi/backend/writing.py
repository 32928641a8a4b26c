"""
What is written to a connection.

Twisted's transports put off every write to the next turn of the reactor, which costs two
changes of what the kernel polls for.  :class:`EagerWriting` sends in the same turn (see
:mod:`~twisted_fcgi.backend.hub`) when nothing is buffered, but no more than
:data:`ALLOWANCE` bytes before it lets the reactor look after others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from twisted_fcgi.backend.hub import Turn, turn
from twisted_fcgi.backend.sockets import Socket, socketOf

__all__ = ["ALLOWANCE", "LARGE", "EagerWriting"]

#: The most bytes sent at once in one turn, or else between two events of a socket; without
#: it a fast peer would have the whole process for itself.
ALLOWANCE = 524288

#: Bytes that are not collected any more, but sent at once: of many large bodies in a turn,
#: all would be held until its end.
LARGE = 32768

#: The most that is sent of what was buffered, when the socket can be written to.
PIECE = 131072


class EagerWriting:
    """
    A connection as who writes to it sees it.

    While any of them reads, what is written is collected, and sent when it, and all others
    that are ready, have read: one system call for each, however many parts a protocol
    writes.

    :ivar takesViews: what is written may be memoryviews.
    :ivar bufferSize: bytes that are read at once, and that may be buffered before
        a producer is paused.
    :ivar sent: bytes that the kernel took.
    :ivar dataBuffer: what it did not take when it was offered, from ``offset`` on.
    """

    takesViews = True

    sent: int = 0
    dataBuffer: bytes = b""
    offset: int = 0
    producer: Any = None
    streamingProducer: bool = False
    producerPaused: bool = False

    _allowance: int = ALLOWANCE
    _size: int = 0
    _waits: bool = False

    def _begin(self, skt: Any, reactor: Any) -> None:
        """
        Be able to write.

        :param skt: a socket that is connected; no one else's from now on.
        :param reactor: the hub, if there can be one.
        """
        self._socket: Socket = skt if isinstance(skt, Socket) else socketOf(skt)
        self._turn: Turn = turn
        #: What was not offered to the kernel yet: collected in a turn, or behind ``dataBuffer``.
        self._pieces: list[Any] = []
        self.bufferSize = 65536
        self.reactor = reactor
        self.connected: bool = False
        self.disconnected: bool = False
        self.disconnecting: bool = False
        self._writeDisconnecting: bool = False
        self._writeDisconnected: bool = False
        self._aborting: bool = False

    def write(self, data: bytes | memoryview) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.write`."""
        size: int = len(data)
        if size:
            self._pieces.append(data)
            self._written(size)

    def writeSequence(self, iovec: Iterable[bytes | memoryview]) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.writeSequence`."""
        size: int = 0
        for data in iovec:
            if data:
                self._pieces.append(data)
                size += len(data)
        if size:
            self._written(size)

    def _written(self, size: int) -> None:
        """So many bytes have come behind the others."""
        before = self._size
        self._size = whole = before + size
        if self._waits:
            self._pauseIfFull()
            return
        sends = self._turn.collected
        if sends is not None:
            if not before:
                sends.append(self)
            if whole < LARGE:
                return
        self._send()
        self._allowance -= whole

    def sendCollected(self) -> None:
        """Send what was written in a turn, which is over."""
        if not self._waits:
            self._send()
        # A client that is sent much says nothing meanwhile, and so has no events.
        self._allowance = ALLOWANCE

    def _send(self) -> None:
        """Send what was written, as far as that is possible now."""
        pieces = self._pieces
        size: int = self._size
        if not size:
            return
        if not self.connected or self._writeDisconnected or self._aborting:
            self._forget()
        elif size > self._allowance or (self.producer is not None and not self.streamingProducer):
            # One that is asked for more is asked by the reactor, when it could write.
            self._wait()
        else:
            ending = self._writeDisconnecting
            sent: int = 0
            try:
                sent = self._socket.transmit(pieces, size, ending)
            except OSError:
                pass  # the reactor will find out
            except BaseException:
                self._forget()  # what is no bytes is in nobody's way
                raise
            self.sent += sent
            if sent < size:
                self.dataBuffer = b"".join(pieces)
                self.offset = sent
            # An idle connection must not hold what it sent last.
            pieces.clear()
            self._size = 0
            if sent < size:
                self._wait()
            elif ending:
                self._endWriting()

    def _forget(self) -> None:
        """Hold no parts any more."""
        self._pieces.clear()
        self._size = 0

    def _drop(self) -> None:
        """Hold nothing any more."""
        self._forget()
        self._waits = False
        self.dataBuffer = b""
        self.offset = 0

    def _wait(self) -> None:
        """Let the reactor say when the socket takes more."""
        self._waits = True
        self.reactor.addWriter(self)
        self._pauseIfFull()

    def _pauseIfFull(self) -> None:
        waiting: int = len(self.dataBuffer) - self.offset + self._size
        if self.producer is not None and self.streamingProducer and waiting > self.bufferSize:
            self.producerPaused = True
            self.producer.pauseProducing()

    def doWrite(self) -> Any:
        """See :meth:`twisted.internet.interfaces.IWriteDescriptor.doWrite`."""
        if self._aborting:
            return None
        self._allowance = ALLOWANCE
        left: int = len(self.dataBuffer) - self.offset
        if self._size and left < PIECE:
            self.dataBuffer = b"".join([memoryview(self.dataBuffer)[self.offset :], *self._pieces])
            self.offset = 0
            self._forget()
            left = len(self.dataBuffer)
        if left:
            part = memoryview(self.dataBuffer)[self.offset : self.offset + PIECE]
            try:
                sent = self._socket.transmit([part], len(part), False)
            except OSError:
                return CONNECTION_LOST
            self.sent += sent
            self.offset += sent
            if sent < left:
                return None
            self.dataBuffer = b""
            self.offset = 0
            if self._size:
                return None
        self._waits = False
        self.reactor.removeWriter(self)
        if self.producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            self.producer.resumeProducing()
        elif self.disconnecting:
            return CONNECTION_DONE
        elif self._writeDisconnecting and not self._writeDisconnected:
            self._endWriting()
        return None

    # Who writes.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See :meth:`twisted.internet.interfaces.IConsumer.registerProducer`."""
        if self.producer is not None:
            raise RuntimeError(f"{producer!r} can't be registered: {self.producer!r} still is")
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        self.producerPaused = False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See :meth:`twisted.internet.interfaces.IConsumer.unregisterProducer`."""
        self.producer = None
        if self.connected and self.disconnecting:
            self.reactor.addWriter(self)

    def stopConsuming(self) -> None:
        """As its producer's own connection is lost, this one is of no use."""
        self.unregisterProducer()
        self.loseConnection()

    # What is left to the connection as a whole.

    def loseConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.loseConnection`."""
        raise NotImplementedError

    def _endWriting(self) -> None:
        """Close our half: all that was written has left."""
        raise NotImplementedError
