"""
Sockets without detours.

An :class:`EagerTransport` sends as :mod:`~twisted_fcgi.backend.writing` says, and closes at
once when it is asked to while it reads.  Otherwise it does as Twisted's transports do, of
which it has nothing but the interfaces.  ``startTLS`` it has not: who wants TLS wraps the
protocol, as Twisted's endpoints do.

For what a port accepts see :mod:`~twisted_fcgi.backend.accepting`, for connections to
applications :mod:`~twisted_fcgi.backend.connecting`.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_fcgi.backend.writing import ALLOWANCE, EagerWriting

__all__ = ["EagerTransport", "addressOf"]

log = Logger()

_DONE = Failure(CONNECTION_DONE)

#: What is read after a read that filled the buffer, in buffers, if the protocol takes much:
#: a large body's parts cost less the larger they are, up to what the processor's cache holds.
GROWTH = 4


@implementer(
    ITCPTransport,
    IConsumer,
    IPushProducer,
    IReadWriteDescriptor,
    IHalfCloseableDescriptor,
    ISystemHandle,
)
class EagerTransport(EagerWriting):
    """
    One end of a connection.

    Large bodies are read in large pieces.
    """

    _inRead: bool = False
    _full: bool = False

    def _connect(self, skt: Any, protocol: Any, reactor: Any) -> None:
        """Let a protocol have a socket; as :meth:`.EagerWriting._begin`."""
        self._begin(skt, reactor)
        self.protocol = protocol
        self.connected = True
        reactor.addReader(self)

    # Reading.

    def doRead(self) -> Any:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        if self._aborting:
            return None
        size: int = self.bufferSize
        full = self._full
        most = size * GROWTH if full and self._takesMuch() else size
        try:
            data = self._socket.receive(most, full)
        except OSError:
            return CONNECTION_LOST
        if data is None:
            return None
        if not data:
            return CONNECTION_DONE
        self._full = len(data) >= size
        self._allowance = ALLOWANCE
        # Where there is no hub, this transport's reading is a turn by itself.
        sends = None if self._turn.collected is not None else self._turn.begin()
        self._inRead = True
        try:
            self.protocol.dataReceived(data)
        finally:
            self._inRead = False
            if sends is not None:
                self._turn.end(sends)
        return self._end() if self.disconnecting else None

    def _end(self) -> Any:
        """The end was asked for while it read."""
        if not self._waits:
            self._send()
        if not self.connected or self._aborting:
            return None
        if not self._waits and self.producer is None:
            return CONNECTION_DONE
        self.reactor.removeReader(self)
        self.reactor.addWriter(self)
        return None

    def _takesMuch(self) -> bool:
        """Whether the protocol passes on what is read now, rather than having to hold it."""
        return bool(getattr(self.protocol, "takesMuch", False))

    def pauseProducing(self) -> None:
        """See :meth:`twisted.internet.interfaces.IPushProducer.pauseProducing`."""
        self.reactor.removeReader(self)

    def resumeProducing(self) -> None:
        """See :meth:`twisted.internet.interfaces.IPushProducer.resumeProducing`."""
        if self.connected and not self.disconnecting and not self._aborting:
            self.reactor.addReader(self)

    def stopProducing(self) -> None:
        """See :meth:`twisted.internet.interfaces.IProducer.stopProducing`."""
        self.loseConnection()

    # The end.

    def loseConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.loseConnection`."""
        if not self.connected or self.disconnecting or self._aborting:
            return
        if self._writeDisconnected:
            self.connectionLost(_DONE)
            return
        self.disconnecting = True
        if self._inRead and self.producer is None and not self._waits:
            return  # doRead() tells the reactor
        self.reactor.removeReader(self)
        self.reactor.addWriter(self)

    def abortConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.abortConnection`."""
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self._drop()
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self.reactor.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def loseWriteConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        if not self.connected or self._writeDisconnected or self._aborting:
            return
        self._writeDisconnecting = True
        if self._waits or self.producer is not None:
            self.reactor.addWriter(self)
        elif not self._size:
            self._endWriting()
        # Else what was collected goes before, and the end along with it.

    def _endWriting(self) -> None:
        self._writeDisconnected = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self._tell(self.protocol.writeConnectionLost)

    def writeConnectionLost(self, reason: Failure) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        self.connectionLost(reason)

    def readConnectionLost(self, reason: Failure) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        # Once our side is closed, too, or all of it is to be, nothing is left.
        ours = not self._writeDisconnected and not self.disconnecting
        if ours and IHalfCloseableProtocol.providedBy(self.protocol):
            self._tell(self.protocol.readConnectionLost)
        else:
            self.connectionLost(reason)

    def _tell(self, half: Any) -> None:
        """Tell a protocol that half of its connection is lost."""
        try:
            half()
        except Exception:
            log.failure("while {protocol!r} was told of a half", protocol=self.protocol)
            self.connectionLost(Failure())

    def connectionLost(self, reason: Failure) -> None:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.connectionLost`."""
        if self.disconnected:
            return
        self.disconnected = True
        self.connected = False
        if self.producer is not None:
            self.producer.stopProducing()
            self.producer = None
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self._drop()
        if isinstance(reason.value, ConnectionAborted):
            self._socket.reset()
        else:
            # That is enough: no other process has the descriptor (FD_CLOEXEC).
            self._socket.close()
        protocol = self.protocol
        self.protocol = None
        protocol.connectionLost(reason)

    # What can be asked, and said, of the socket.

    def fileno(self) -> int:
        """See :meth:`twisted.internet.interfaces.IFileDescriptor.fileno`."""
        return self._socket.fileno()

    def getHandle(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ISystemHandle.getHandle`."""
        return self._socket.handle()

    @property
    def socket(self) -> Any:
        """The same, by the name that Twisted's have for it."""
        return self._socket.handle()

    def untaken(self) -> tuple[int, int] | None:
        """
        What the peer has yet to take of what was written.

        :returns: ``None`` for nothing, else a pair that changes whenever it takes some.
        """
        if not self.connected:
            return None
        # Twisted's buffer alone moves in steps of a good part of the kernel's.
        queued = self._socket.unsent()
        return (self.sent, queued) if queued or self._waits or self._size else None

    def unread(self) -> bool:
        """Whether bytes, or the peer's end, came that were not read yet."""
        return not self.connected or self._socket.unread()

    def getTcpNoDelay(self) -> bool:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.getTcpNoDelay`."""
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.setTcpNoDelay`."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(enabled))
        except OSError:
            pass  # a UNIX socket, which has no delay

    def getTcpKeepAlive(self) -> bool:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.getTcpKeepAlive`."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.setTcpKeepAlive`."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enabled))

    # Of each of the two ends.

    def getPeer(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getPeer`."""
        raise NotImplementedError

    def getHost(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getHost`."""
        return addressOf(self._socket.family, self._socket.getsockname())

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return type(self.protocol).__name__


def addressOf(family: int, name: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    """Twisted's form of an address as sockets have it."""
    if family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *name)
    return UNIXAddress(name)
