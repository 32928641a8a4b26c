"""
Accepting without detours.

A port of Twisted's, of TCP or a UNIX socket, builds two addresses, some texts for logs and
a buffer for them for each connection, and leaves its first bytes to another turn of the
reactor.  :func:`acceptEagerly` looks after such a port in its place, in the hub
(:mod:`~twisted_fcgi.backend.hub`): of those that wait, up to :data:`~.hub.BATCH` are
accepted in a turn, and read at once, for a request comes right behind its connection.

When descriptors or memory are short, nothing is accepted for :data:`PAUSE` seconds: the
clients wait in the kernel's backlog, and those that are served give back what is missing.
"""

from __future__ import annotations

import os
import socket
import sys
from errno import ECONNABORTED, EPERM
from math import inf
from typing import Any

from twisted.internet.tcp import Port, Server
from twisted.internet.unix import Port as UNIXPort
from twisted.internet.unix import Server as UNIXServer
from twisted.logger import Logger

from twisted_fcgi.backend.hub import BATCH, Hub, hubOf
from twisted_fcgi.backend.sockets import accept
from twisted_fcgi.backend.transports import EagerTransport, addressOf

__all__ = ["PAUSE", "WARNED", "EagerServer", "acceptEagerly"]

log = Logger()

#: Seconds for which nothing is accepted after the kernel could not give a connection.
PAUSE = 0.1

#: Seconds for which that is not said again.
WARNED = 60.0

#: What accept() says of a client, rather than of us: it left, or a firewall refuses it.
_CLIENTS = (ECONNABORTED, EPERM)


class EagerServer(EagerTransport):
    """
    A server's end of a connection.

    :param client: its name, as Twisted's port has it.
    :param server: the port.
    :param peer: the client's address, if it is known already.
    :param accepting: who accepted it, if that was one of ours.
    """

    def __init__(
        self,
        skt: Any,
        protocol: Any,
        client: Any,
        server: Any,
        sessionno: int,
        reactor: Any,
        peer: Any = None,
        accepting: Any = None,
    ) -> None:
        self._connect(skt, protocol, reactor)
        self.client = client
        self.server = server
        self.sessionno = sessionno
        self._peer = peer
        self._accepting = accepting
        self._noDelay: bool = accepting is not None

    def getPeer(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getPeer`."""
        if self._peer is None:
            self._peer = addressOf(self.server.addressFamily, self.client)
        return self._peer

    def getHost(self) -> Any:
        """See :meth:`twisted.internet.interfaces.ITransport.getHost`."""
        accepting = self._accepting
        return super().getHost() if accepting is None else accepting.addressOf(self._socket)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See :meth:`twisted.internet.interfaces.ITCPTransport.setTcpNoDelay`."""
        if not enabled or not self._noDelay:
            super().setTcpNoDelay(enabled)
            self._noDelay = enabled

    def logPrefix(self) -> str:
        """See :meth:`twisted.internet.interfaces.ILoggingContext.logPrefix`."""
        return f"{type(self.protocol).__name__},{self.sessionno},{self.client[0]}"

    def __repr__(self) -> str:
        return f"<EagerServer {self.sessionno} of {self.client[0]}>"


def acceptEagerly(port: object, transport: type[EagerServer] = EagerServer) -> None:
    """
    Let the connections that a port accepts from now on be eager, where they can.

    :param port: what an endpoint listens with.
    :param transport: what they are.
    """
    if not isinstance(port, Port) or port.transport not in (Server, UNIXServer):
        return
    hub: Any = hubOf(port.reactor)
    ours = isinstance(hub, Hub) and type(port) in (Port, UNIXPort)  # others may do more
    if port.transport is UNIXServer and not ours:
        return
    port.transport = transport  # type: ignore[assignment]
    if "twisted.protocols.tls" in sys.modules:  # else there is no TLS
        from twisted_fcgi.backend.tlsserver import encryptEagerly

        encryptEagerly(port.factory)
    if isinstance(hub, Hub):
        port.stopReading()
        port.reactor = hub  # type: ignore[assignment]
        if ours:
            port.doRead = _Accepting(port, hub).doRead  # type: ignore[method-assign]
        port.startReading()


class _Accepting:
    """What a port does when someone waits at it."""

    def __init__(self, port: Any, hub: Hub) -> None:
        self._port = port
        self._hub = hub
        self._warnedAt = -inf
        self._name = name = port.socket.getsockname()
        self._address = addressOf(port.addressFamily, name)
        #: Whether clients may have connected to different addresses.
        self._anywhere: bool = name[0] in ("0.0.0.0", "::")
        if port.addressFamily != socket.AF_UNIX:
            # What it accepts has inherited that.
            port.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        #: How many are accepted at a time: as many as came the last time, for to find out
        #: that there is no other costs as much as to accept one.
        self._most = 1

    def doRead(self) -> None:
        """See :meth:`twisted.internet.interfaces.IReadDescriptor.doRead`."""
        port = self._port
        accepted = 0
        while accepted < self._most:
            try:
                waiting = accept(port.socket, port.addressFamily)
            except OSError as error:
                if error.errno not in _CLIENTS:
                    self._pause(error)
                    return
            else:
                if waiting is None:
                    break
                skt, name = waiting
                self._begin(skt, name)
            accepted += 1
        self._most = min(2 * accepted, BATCH) if accepted == self._most else max(1, accepted)

    def _begin(self, skt: Any, name: Any) -> None:
        port = self._port
        transport = None
        try:
            if port.addressFamily == socket.AF_INET6 and name[3]:
                # Only with its zone is this the client's address.
                host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
                name = (host, *name[1:])
            address = addressOf(port.addressFamily, name)
            client = (name, None) if port.addressFamily == socket.AF_UNIX else name
            protocol = port.factory.buildProtocol(address)
            if protocol is None:
                skt.close()
                return
            port.sessionno += 1
            transport = port.transport(
                skt, protocol, client, port, port.sessionno, self._hub, address, self
            )
            protocol.makeConnection(transport)
        except Exception:
            log.failure("while a connection of {name} was begun", name=name)
            if transport is not None:
                self._hub.removeReader(transport)
            skt.close()
            return
        self._hub.readNow(transport)

    def addressOf(self, skt: Any) -> Any:
        """The address that a client has connected to; most often all to the same."""
        if self._anywhere:
            name = skt.getsockname()
            if name != self._name:
                self._name = name
                self._address = addressOf(self._port.addressFamily, name)
        return self._address

    def _pause(self, error: OSError) -> None:
        now = self._hub.seconds()
        if now - self._warnedAt >= WARNED:
            self._warnedAt = now
            reason = os.strerror(error.errno or 0)
            log.warn("Clients have to wait until they can be accepted: {reason}", reason=reason)
        self._port.stopReading()
        self._hub.callLater(PAUSE, self._goOn)

    def _goOn(self) -> None:
        if self._port.connected and not self._port.disconnecting:
            self._port.startReading()
