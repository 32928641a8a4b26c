"""
Sockets without detours.

Twisted's transports put off every write to the next turn of the reactor, which costs two
changes of what the kernel polls for.  :class:`EagerWriting` sends in the same turn (see
:mod:`~twisted_fcgi.backend.hub`) when nothing is buffered, but no more than
:attr:`~EagerWriting.ALLOWANCE` bytes before it lets the reactor look after others; and it
closes at once when it is asked to while it reads.

For what a port accepts see :mod:`~twisted_fcgi.backend.accepting`, for connections to
applications :mod:`~twisted_fcgi.backend.connecting`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from fcntl import ioctl
from select import POLLIN, poll
from struct import Struct
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import (
    ConnectionAborted,
)
from twisted.internet.interfaces import (
    IProtocol,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from twisted_fcgi.backend.hub import turn

__all__ = ["EagerWriting", "addressOf"]

_int = Struct("i")

_DONE = Failure(CONNECTION_DONE)

#: What is sent may wait for what follows: the end of the connection, in the same segment.
_MORE = getattr(socket, "MSG_MORE", 0)

#: Bytes up to which parts are sent as one: to join them is cheaper than sendmsg().
JOINED = 4096

#: Bytes that are not collected any more, but sent at once: of many large bodies in a turn,
#: all would be held until its end.
LARGE = 32768

#: What is read after a read that filled the buffer, in buffers, if the protocol takes much:
#: a large body's parts cost less the larger they are, up to what the processor's cache holds.
GROWTH = 4

# What EagerWriting is mixed into, and calls.
if TYPE_CHECKING:
    _Mixed = Connection
else:
    _Mixed = object


class EagerWriting(_Mixed):
    """
    Mixed into a :class:`twisted.internet.tcp.Connection` before it.

    While one of these transports reads, what is written to any of them is collected,
    and sent when it, and all others that are ready, have read: one system call for each,
    however many parts a protocol writes.  Large bodies are read in large pieces.

    :cvar takesViews: what is written may be memoryviews.
    :cvar ALLOWANCE: the most bytes sent at once in one turn, or else between two events
        of this socket; without it a fast peer would have the whole process for itself.
    """

    takesViews = True

    ALLOWANCE = 524288

    # close() is enough: no other process has the descriptor (FD_CLOEXEC).
    _shouldShutdown = False

    #: Bytes that the kernel took.
    sent = 0

    _allowance = ALLOWANCE
    _inRead = False
    _full = False
    _look: Any = None
    _collected: list[bytes]
    _collectedSize = 0

    def __init__(self, skt: socket.socket, protocol: IProtocol, reactor: Any) -> None:
        FileDescriptor.__init__(self, reactor)
        self.socket = skt
        self.fileno = skt.fileno
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.write`."""
        self._writePieces([data], len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.writeSequence`."""
        pieces = list(iovec)
        self._writePieces(pieces, sum(map(len, pieces)))

    def _writePieces(self, pieces: list[bytes], size: int) -> None:
        collected = self._collectedSize
        if collected:
            self._collected += pieces
            size += collected
        elif (sends := turn.collected) is not None:
            sends.append(self._sendCollected)
            self._collected = pieces
        else:
            self._send(pieces, size)
            return
        self._collectedSize = size
        if size >= LARGE:
            left = self._allowance - size
            self._sendCollected()
            self._allowance = left

    def _sendCollected(self) -> None:
        size = self._collectedSize
        if size:
            self._collectedSize = 0
            pieces = self._collected
            # An idle connection must not hold what it sent last.
            del self._collected
            self._send(pieces, size)
        # A client that is sent much says nothing meanwhile, and so has no events.
        self._allowance = self.ALLOWANCE

    def _send(self, pieces: list[bytes], size: int) -> None:
        if size > self._allowance or not self._isEager():
            if self.connected and not self._aborting:
                super().write(b"".join(pieces))
            return
        ending = self._writeDisconnecting
        try:
            if size <= JOINED or len(pieces) == 1:
                sent = self.socket.send(b"".join(pieces), _MORE if ending else 0)
            else:
                sent = self.socket.sendmsg(pieces, (), _MORE if ending else 0)
        except OSError:
            sent = 0  # full, or dead: the reactor will find out
        self._allowance -= sent
        self.sent += sent
        if sent != size:
            while sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            pieces[0] = pieces[0][sent:]
            super().write(b"".join(pieces))
        elif ending:
            self._endWriting()

    def _endWriting(self) -> None:
        self._writeDisconnected = True
        self._closeWriteConnection()

    def loseConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.loseConnection`."""
        if self._inRead and self.producer is None and self._isEager():
            self.disconnecting = 1  # doRead() tells the reactor
            return
        self._sendCollected()
        if self._writeDisconnected:
            self.connectionLost(_DONE)
        else:
            super().loseConnection()

    def loseWriteConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        if self.producer is None and self._isEager():
            self._writeDisconnecting = True
            # What was collected goes before, and the end along with it.
            if not self._collectedSize:
                self._endWriting()
        elif not self._writeDisconnected:
            self._sendCollected()
            super().loseWriteConnection()

    def doRead(self) -> Any:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        size = self.bufferSize
        try:
            data = self.socket.recv(size * GROWTH if self._full and self._takesMuch() else size)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._full = len(data) >= size
        self._allowance = self.ALLOWANCE
        # Where there is no hub, this transport's reading is a turn by itself.
        sends = turn.begin() if turn.collected is None else None
        self._inRead = True
        try:
            self.protocol.dataReceived(data)
        finally:
            self._inRead = False
            if sends is not None:
                turn.end(sends)
        if self.disconnecting:
            self._sendCollected()
            if self._isEager():
                return CONNECTION_DONE
        return None

    def readConnectionLost(self, reason: Failure) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        if self._writeDisconnected:
            self.connectionLost(reason)  # now both sides are closed
        else:
            super().readConnectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.connectionLost`."""
        # As Twisted's, which takes longer to find out why.
        if self.disconnected:
            return
        self.disconnected = 1
        self.connected = 0
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        protocol = self.protocol
        del self.protocol, self.socket, self.fileno
        protocol.connectionLost(reason)

    def _takesMuch(self) -> bool:
        """Whether the protocol passes on what is read now, rather than having to hold it."""
        return getattr(self.protocol, "takesMuch", False)

    def doWrite(self) -> Any:
        """See :meth:`twisted.internet.interfaces.IWriteDescriptor.doWrite`."""
        self._allowance = self.ALLOWANCE
        return super().doWrite()

    def writeSomeData(self, data: bytes) -> Any:
        """See :meth:`twisted.internet.abstract.FileDescriptor.writeSomeData`."""
        sent = super().writeSomeData(data)
        if isinstance(sent, int):
            self.sent += sent
        return sent

    def untaken(self) -> tuple[int, int] | None:
        """
        What the peer has yet to take of what was written.

        :returns: ``None`` for nothing, else a pair that changes whenever it takes some.
        """
        # Twisted's buffer alone moves in steps of a good part of the kernel's.
        (queued,) = _int.unpack(ioctl(self.fileno(), TIOCOUTQ, bytes(_int.size)))
        return (self.sent, queued) if queued or self.dataBuffer or self._tempDataLen else None

    def unread(self) -> bool:
        """Whether bytes, or the peer's end, came that were not read yet."""
        # A third of what recv() with MSG_PEEK costs, which raises when there is nothing.
        look = self._look
        if look is None:
            look = self._look = poll()
            look.register(self.socket, POLLIN)
        return bool(look.poll(0))

    def _isEager(self) -> bool:
        """Whether nothing is in the way of what would be sent now."""
        return bool(
            self.connected
            and not self._tempDataLen
            and not self.dataBuffer
            and not self._writeDisconnected
            and not self._aborting
            and not self.TLS
            # One that is asked for more is asked by the reactor, when it could write.
            and (self.streamingProducer or self.producer is None)
        )


def addressOf(family: int, name: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    """Twisted's form of an address as sockets have it."""
    if family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *name)
    return UNIXAddress(name)
