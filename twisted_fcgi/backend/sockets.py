"""
A connection's socket: Python's, and what is asked of it most.

A read that finds nothing, and a write that finds no room, are no errors here.  In a
compiled build ``native/sockets.pyx`` takes this module's place: the same names, which ask
the kernel themselves.
"""

from __future__ import annotations

import select
import socket
from errno import EINPROGRESS, EMFILE, ENAMETOOLONG, ENOBUFS
from fcntl import ioctl
from struct import Struct
from termios import TIOCOUTQ
from typing import Any

__all__ = ["JOINED", "Epoll", "Socket", "accept", "connect", "socketOf"]

#: Bytes up to which parts are sent as one: to join them is cheaper than sendmsg().
JOINED = 4096

#: What is sent may wait for what follows: the end of the connection, in the same segment.
_MORE: int = getattr(socket, "MSG_MORE", 0)

_NONBLOCK: int = getattr(socket, "SOCK_NONBLOCK", 0)

#: What tells which of many sockets are ready; ``None`` where the system has none.
Epoll: Any = getattr(select, "epoll", None)

_int = Struct("i")
_linger = Struct("ii")


class Socket(socket.socket):
    """A stream's socket, which does not block."""

    __slots__ = ("_look",)

    _look: Any

    def handle(self) -> socket.socket:
        """As an object of Python's, for all else that there is to ask; closed with this."""
        return self

    def receive(self, size: int, large: bool = False) -> bytes | None:
        """
        What has come.

        :param size: the most to take of it.
        :param large: whether that much is to be expected.
        :returns: nothing for the peer's end, ``None`` if nothing has come yet.
        :raises OSError: if the connection is broken.
        """
        try:
            return self.recv(size)
        except BlockingIOError:
            return None

    def transmit(self, pieces: list[Any], size: int, more: bool) -> int:
        """
        Send some parts.

        :param pieces: bytes, or views of bytes.
        :param size: of all.
        :param more: whether the connection's end follows.
        :returns: how many bytes the kernel took.
        :raises OSError: if the connection is broken.
        """
        flags = _MORE if more else 0
        try:
            if size <= JOINED or len(pieces) == 1:
                return self.send(b"".join(pieces), flags)
            return self.sendmsg(pieces, (), flags)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != ENOBUFS:
                raise
            return 0

    def unread(self) -> bool:
        """Whether bytes, or the peer's end, came that were not read yet."""
        # A third of what recv() with MSG_PEEK costs, which raises when there is nothing.
        try:
            look = self._look
        except AttributeError:
            look = self._look = select.poll()
            look.register(self, select.POLLIN)
        return bool(look.poll(0))

    def unsent(self) -> int:
        """Bytes that the kernel took, and the peer has not."""
        (queued,) = _int.unpack(ioctl(self, TIOCOUTQ, bytes(_int.size)))
        return int(queued)

    def reset(self) -> None:
        """Close it, and let the peer know that this is no orderly end."""
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _linger.pack(1, 0))
        except OSError:
            pass
        self.close()


def accept(listening: Any, family: int) -> tuple[Socket, Any] | None:
    """
    The next one that waits at a socket.

    :param listening: of Python's, which does not block.
    :param family: its own.
    :returns: a socket and its peer's name; ``None`` if nobody waits.
    :raises OSError: see accept(2).
    """
    try:
        # Of accept(), the other half finds out the family that is known.
        number, name = listening._accept()
    except BlockingIOError:
        return None
    skt = Socket(family, socket.SOCK_STREAM, 0, number)
    skt.setblocking(False)
    return skt, name


def connect(family: int, name: Any, receiveBuffer: int = 0) -> tuple[Any, int]:
    """
    Begin to connect; over TCP, without a delay of what is small.

    :param name: as :meth:`socket.socket.connect` takes it.
    :param receiveBuffer: bytes that the kernel holds; 0 for its own choice.
    :returns: a socket and 0, or connect(2)'s error; there may be no socket then.
    """
    try:
        skt = Socket(family, socket.SOCK_STREAM | _NONBLOCK)
    except OSError as error:
        return None, error.errno or EMFILE
    if not _NONBLOCK:
        skt.setblocking(False)
    if family != socket.AF_UNIX:
        skt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if receiveBuffer:
        skt.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receiveBuffer)
    try:
        code = skt.connect_ex(name)
        if code == EINPROGRESS:
            # On the loopback it is over by now, and asking is cheaper than polling.
            code = skt.connect_ex(name)
    except OSError as error:
        code = error.errno or ENAMETOOLONG  # the one that Python finds by itself
    return skt, code


def socketOf(skt: Any) -> Socket:
    """
    What Python calls a socket, as one of these.

    :param skt: gives its descriptor away.
    """
    if isinstance(skt, Socket):
        return skt
    own = Socket(skt.family, skt.type, skt.proto, skt.detach())
    own.setblocking(False)
    return own
