"""
What the channel asks of Twisted's transports beyond bytes.

Addresses as an application is told them; how much a client has still to take; and
how a connection ends without losing the answer on it:

A socket that is closed while bytes of the client are unread sends a reset, and a
reset makes the client throw away what it has not read yet (RFC 9112, 9.6).  So, as
httpd does it, our side is closed first, and what the client still sends is read and
dropped, for a while: :data:`LINGER`, :data:`LINGER_TOTAL`, :data:`LINGER_BYTES`.
"""

from __future__ import annotations

from fcntl import ioctl
from ipaddress import IPv6Address as ParsedAddress
from struct import Struct
from termios import TIOCOUTQ
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from twisted_fcgi.message import Address

__all__ = [
    "LINGER",
    "LINGER_BYTES",
    "LINGER_TOTAL",
    "Closing",
    "addressOf",
    "socketBehind",
    "unsent",
]

#: Seconds of a client's silence that are borne (httpd: SECONDS_TO_LINGER).
LINGER = 2.0

#: Seconds that it may take in all (httpd: MAX_SECS_TO_LINGER).
LINGER_TOTAL = 30.0

#: Bytes that are dropped, from a client that does not notice.
LINGER_BYTES = 16 * 1024 * 1024

_int = Struct("i")


def addressOf(address: object) -> Address:
    """
    :param address: a transport's: of any kind, empty unless it is one of IP.
    """
    if isinstance(address, IPv4Address):
        return Address(address.host.encode("ascii"), address.port)
    if isinstance(address, IPv6Address):
        # A zone ("%eth0") means nothing to an application, and an IPv4 client of a
        # listener for both is one of IPv4.
        host = address.host.partition("%")[0]
        mapped = ParsedAddress(host).ipv4_mapped
        return Address(str(mapped or host).encode("ascii"), address.port)
    return Address(b"", 0)


def socketBehind(transport: Any) -> Any:
    """The transport that has the socket: another one when this speaks TLS."""
    return getattr(transport, "transport", transport)


def unsent(transport: Any, asking: bool) -> tuple[int, int] | None:
    """
    What a client has still to take.

    :param transport: the one that has the socket.
    :param asking: whether to ask the system too, which may hold megabytes, although
        Twisted's own buffer is empty.
    :returns: something that changes whenever the client takes some; ``None`` for nothing.
    """
    waiting = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
    if not waiting and not asking:
        return None
    try:
        # SIOCOUTQ.  A socket counts as writable only when a third of its buffer is free:
        # of a slow client, that alone may be no sign of life for minutes.
        (queued,) = _int.unpack(ioctl(transport.fileno(), TIOCOUTQ, b"\0" * _int.size))
    except (AttributeError, OSError, ValueError):
        queued = 0
    return (waiting, queued) if waiting or queued else None


class Closing:
    """
    A connection on which nothing more is served.

    :param transport: its transport, without a producer.
    :param secure: whether that speaks TLS.
    :param now: the reactor's seconds.
    """

    def __init__(self, transport: Any, secure: bool, now: float) -> None:
        self._transport = transport
        self._secure = secure
        self._since = now
        self._dropped = 0

    def end(self, linger: bool, paused: bool) -> None:
        """
        Send what was written, then close.

        :param linger: whether the client may still be sending.
        :param paused: whether it is not read now.
        """
        transport = self._transport
        # TLS says its own goodbye, and waits for the client's.
        halfClose = None if self._secure else getattr(transport, "loseWriteConnection", None)
        if linger and halfClose is not None:
            halfClose()
            if paused:
                transport.resumeProducing()
        else:
            transport.loseConnection()

    def cut(self) -> None:
        """Close now, with a reset."""
        self._transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Drop it."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self.cut()

    def clientEnded(self) -> None:
        """The client closed its side too."""
        self._transport.loseConnection()

    def sweep(self, now: float, quiet: float, sending: bool, clientTimeout: float) -> None:
        """
        Wait no longer than has to be.

        :param quiet: seconds for which nothing moved.
        :param sending: whether the client has still to take a part of its response.
        """
        if sending:
            if quiet >= clientTimeout:
                self.cut()
        elif quiet >= LINGER or now - self._since >= LINGER_TOTAL:
            # No reset: the client's side may have all, and not have read it yet.
            socketBehind(self._transport).loseConnection()
