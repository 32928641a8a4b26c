"""
Sockets without detours.

Twisted's transports put off every write to the next turn of the reactor, which
costs two changes of what the kernel polls for; and its connectors spend a turn,
a timer and half a dozen objects on a connect that takes a UNIX socket or the
loopback no time at all.  With a connection for each request, which is what
httpd does by default, that is most of a request's cost.

- :class:`EagerWriting` sends in the same turn (see :mod:`~twisted_fcgi.backend.hub`)
  when nothing is buffered, but no more than :attr:`~EagerWriting.ALLOWANCE` bytes before
  it lets the reactor look after others; and it closes at once when it is asked to while
  it reads.
- :class:`DirectEndpoint` connects at once when that is possible.
- :func:`acceptEagerly` does the same for what a port accepts.

Both are for reactors that poll file descriptors; see
:func:`~twisted_fcgi.backend.endpoints.memberEndpoint` for the others.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterable
from errno import EALREADY, EINPROGRESS, EMFILE, ENAMETOOLONG
from fcntl import ioctl
from select import POLLIN, poll
from struct import Struct
from termios import TIOCOUTQ
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError, getConnectError
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReadWriteDescriptor,
    IStreamClientEndpoint,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.internet.tcp import Connection, Port, Server
from zope.interface import implementer

from twisted_fcgi.backend.hub import hubOf, turn

__all__ = ["DirectEndpoint", "EagerConnection", "EagerServer", "EagerWriting", "acceptEagerly"]

_int = Struct("i")

_NONBLOCK = getattr(socket, "SOCK_NONBLOCK", 0)

#: Bytes up to which parts are sent as one: to join them is cheaper than sendmsg().
JOINED = 4096

#: Bytes that are not collected any more, but sent at once: of many large bodies in a turn,
#: all would be held until its end.
LARGE = 32768

#: What is read after a read that filled the buffer, in buffers: a large body's parts cost
#: less the larger they are, up to what the processor's cache holds.
GROWTH = 4

# What EagerWriting is mixed into, and calls.
_Mixed: Any = Connection if TYPE_CHECKING else object


class EagerWriting(_Mixed):
    """
    Mixed into a :class:`twisted.internet.tcp.Connection` before it.

    While one of these transports reads, what is written to any of them is collected,
    and sent when it, and all others that are ready, have read: one system call for each,
    however many parts a protocol writes.  Large bodies are read in large pieces.

    :cvar ALLOWANCE: the most bytes sent at once in one turn, or else between two events
        of this socket; without it a fast peer would have the whole process for itself.
    """

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
                super().writeSequence(pieces)
            return
        try:
            if size <= JOINED or len(pieces) == 1:
                sent = self.socket.send(b"".join(pieces))
            else:
                sent = self.socket.sendmsg(pieces)
        except OSError:
            sent = 0  # full, or dead: the reactor will find out
        self._allowance -= sent
        self.sent += sent
        if sent != size:
            super().write(b"".join(pieces)[sent:])

    def loseConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.ITransport.loseConnection`."""
        if self._inRead and self.producer is None and self._isEager():
            self.disconnecting = 1  # doRead() tells the reactor
        else:
            self._sendCollected()
            super().loseConnection()

    def loseWriteConnection(self) -> None:
        """See :meth:`twisted.internet.interfaces.IHalfCloseableDescriptor`."""
        self._sendCollected()
        super().loseWriteConnection()

    def doRead(self) -> Any:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        size = self.bufferSize
        try:
            data = self.socket.recv(size * GROWTH if self._full else size)
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
            and not self._writeDisconnecting
            and not self._aborting
            and not self.TLS
            # One that is asked for more is asked by the reactor, when it could write.
            and (self.streamingProducer or self.producer is None)
        )


class EagerServer(EagerWriting, Server):
    """A server's end of a connection."""

    def __init__(
        self, skt: Any, protocol: Any, client: Any, server: Any, session: int, reactor: Any
    ) -> None:
        super().__init__(skt, protocol, client, server, session, hubOf(reactor))


def acceptEagerly(port: object, transport: type[EagerServer] = EagerServer) -> None:
    """
    Let the connections that a port accepts from now on be eager, where they can.

    :param port: what an endpoint listens with.
    :param transport: what they are.
    """
    if isinstance(port, Port) and port.transport is Server:
        port.transport = transport
        if "twisted.protocols.tls" in sys.modules:  # else there is no TLS
            from twisted_fcgi.backend.tlsserver import encryptEagerly

            encryptEagerly(port.factory)


class EagerConnection(EagerWriting, Connection):
    """
    A client's end of a connection that is there already.

    :param peer: what it is connected to.
    """

    def __init__(self, skt: socket.socket, protocol: IProtocol, reactor: Any, peer: Any) -> None:
        super().__init__(skt, protocol, reactor)
        self._peer = peer
        self.logstr = f"{type(protocol).__name__},client"
        self.connected = 1
        self.startReading()

    def readConnectionLost(self, reason: Any) -> None:
        """The peer's end is the end: FastCGI has no half-closed connections."""
        self.connectionLost(reason)

    def getPeer(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getPeer`."""
        return self._peer

    def getHost(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getHost`."""
        name = self.socket.getsockname()
        return _addressOf(self.socket.family, name)

    def __repr__(self) -> str:
        return f"<EagerConnection to {self._peer}>"


def _addressOf(family: int, name: Any) -> IPv4Address | IPv6Address | UNIXAddress:
    if family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    if family == socket.AF_INET6:
        return IPv6Address("TCP", *name)
    return UNIXAddress(name)


@implementer(IReadWriteDescriptor)
class _Handshake:
    """A connect that goes on, as the reactor sees it."""

    def __init__(self, endpoint: DirectEndpoint, skt: socket.socket, factory: Any) -> None:
        self._endpoint = endpoint
        self._socket = skt
        self._factory = factory
        self.fileno = skt.fileno
        self.done: Deferred[Any] = Deferred(self._cancelled)
        endpoint.reactor.addWriter(self)

    def doWrite(self) -> None:
        """It is over, the one way or the other."""
        self._endpoint.reactor.removeWriter(self)
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._socket.close()
            self.done.errback(_connectError(code))
        else:
            self.done.callback(self._endpoint.established(self._socket, self._factory))

    def doRead(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Any) -> None:
        """The kernel says so before it could be asked."""
        if not self.done.called:
            self.doWrite()

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return "connecting"

    def _cancelled(self, done: Deferred[Any]) -> None:
        self._endpoint.reactor.removeWriter(self)
        self._socket.close()
        done.errback(ConnectingCancelledError(self._endpoint.address))


@implementer(IStreamClientEndpoint)
class DirectEndpoint:
    """
    A UNIX socket or a numeric address.

    A connection that is there at once is there when :meth:`connect` returns; a
    failure is only told in a later turn.  EAGAIN, the full backlog of a UNIX
    socket, is a failure with that ``osError``.

    :param family: such as ``socket.AF_UNIX``.
    :param name: the address as :meth:`socket.socket.connect` takes it.
    :param receiveBuffer: bytes that the kernel holds; 0 for its own choice.
    """

    def __init__(self, reactor: Any, family: int, name: Any, receiveBuffer: int = 0) -> None:
        self.reactor = reactor
        self.address: IAddress = _addressOf(family, name)
        self._family = family
        self._name = name
        self._receiveBuffer = receiveBuffer

    def __repr__(self) -> str:
        return f"<DirectEndpoint {self.address}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        try:
            skt = socket.socket(self._family, socket.SOCK_STREAM | _NONBLOCK)
        except OSError as error:
            return self._failed(error.errno or EMFILE)
        if not _NONBLOCK:
            skt.setblocking(False)
        if self._receiveBuffer:
            skt.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receiveBuffer)
        try:
            code = skt.connect_ex(self._name)
            if code == EINPROGRESS:
                # On the loopback it is over by now, and asking is cheaper than polling.
                code = skt.connect_ex(self._name)
        except OSError as error:
            code = error.errno or ENAMETOOLONG  # the one that Python finds by itself
        if not code:
            return succeed(self.established(skt, protocolFactory))
        if code in (EALREADY, EINPROGRESS):
            return _Handshake(self, skt, protocolFactory).done
        skt.close()
        return self._failed(code)

    def established(self, skt: socket.socket, factory: IProtocolFactory) -> IProtocol:
        """Give a socket that is connected to a protocol."""
        if self._family != socket.AF_UNIX:
            skt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = factory.buildProtocol(self.address)
        assert protocol is not None
        protocol.makeConnection(EagerConnection(skt, protocol, hubOf(self.reactor), self.address))
        return protocol

    def _failed(self, code: int) -> Deferred[Any]:
        def cancelled(failed: Deferred[Any]) -> None:
            call.cancel()
            failed.errback(ConnectingCancelledError(self.address))

        failed: Deferred[Any] = Deferred(cancelled)
        call = self.reactor.callLater(0, failed.errback, _connectError(code))
        return failed


def _connectError(code: int) -> ConnectError:
    return getConnectError((code, os.strerror(code)))
