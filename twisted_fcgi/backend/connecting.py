"""
Connecting without detours.

Twisted's connectors spend a turn, a timer and half a dozen objects on a connect that takes
a UNIX socket or the loopback no time at all.  With a connection for each request, which is
what httpd does by default, that is most of a request's cost.  :class:`DirectEndpoint`
connects at once when that is possible.

It is for reactors that poll file descriptors; see
:func:`~twisted_fcgi.backend.endpoints.memberEndpoint` for the others.
"""

from __future__ import annotations

import os
import socket
from errno import EALREADY, EINPROGRESS
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError, ConnectingCancelledError, getConnectError
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReadWriteDescriptor,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from twisted_fcgi.backend.hub import hubOf
from twisted_fcgi.backend.sockets import connect
from twisted_fcgi.backend.transports import EagerTransport, addressOf

__all__ = ["DirectEndpoint", "EagerConnection"]


class EagerConnection(EagerTransport):
    """
    A client's end of a connection that is there already.

    :param peer: what it is connected to.
    """

    def __init__(self, skt: Any, protocol: Any, reactor: Any, peer: Any) -> None:
        self._connect(skt, protocol, reactor)
        self._peer = peer

    def readConnectionLost(self, reason: Any) -> None:
        """The peer's end is the end: FastCGI has no half-closed connections."""
        self.connectionLost(reason)

    def getPeer(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getPeer`."""
        return self._peer

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return f"{type(self.protocol).__name__},client"

    def __repr__(self) -> str:
        return f"<EagerConnection to {self._peer}>"


@implementer(IReadWriteDescriptor)
class _Handshake:
    """A connect that goes on, as the reactor sees it."""

    def __init__(self, endpoint: DirectEndpoint, skt: Any, factory: Any) -> None:
        self._endpoint = endpoint
        self._socket = skt
        self._factory = factory
        self.done: Deferred[Any] = Deferred(self._cancelled)
        endpoint.reactor.addWriter(self)

    def fileno(self) -> int:
        """See :meth:`twisted.internet.interfaces.IFileDescriptor.fileno`."""
        return int(self._socket.fileno())

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
        self._hub = hubOf(reactor)
        self.address: IAddress = addressOf(family, name)
        self._family = family
        self._name = name
        self._receiveBuffer = receiveBuffer

    def __repr__(self) -> str:
        return f"<DirectEndpoint {self.address}>"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :meth:`twisted.internet.interfaces.IStreamClientEndpoint.connect`."""
        reached = self.reach(protocolFactory)
        return reached if isinstance(reached, Deferred) else succeed(reached)

    def reach(self, protocolFactory: IProtocolFactory) -> IProtocol | Deferred[IProtocol]:
        """
        Connect.

        :returns: the protocol, if the connection is there; else as :meth:`connect`.
        """
        skt, code = connect(self._family, self._name, self._receiveBuffer)
        if not code:
            return self.established(skt, protocolFactory)
        if code in (EALREADY, EINPROGRESS):
            return _Handshake(self, skt, protocolFactory).done
        if skt is not None:
            skt.close()
        return self._failed(code)

    def established(self, skt: Any, factory: IProtocolFactory) -> IProtocol:
        """Give a socket that is connected to a protocol."""
        protocol = factory.buildProtocol(self.address)
        assert protocol is not None
        protocol.makeConnection(EagerConnection(skt, protocol, self._hub, self.address))
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
