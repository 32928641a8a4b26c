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

from ipaddress import IPv6Address as ParsedAddress
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from twisted_fcgi.message import Address

__all__ = ["LINGER", "LINGER_BYTES", "LINGER_TOTAL", "Closing", "addressOf", "unsent"]

#: Seconds of a client's silence that are borne (httpd: SECONDS_TO_LINGER).
LINGER = 2.0

#: Seconds that it may take in all (httpd: MAX_SECS_TO_LINGER).
LINGER_TOTAL = 30.0

#: Bytes that are dropped, from a client that does not notice.
LINGER_BYTES = 16 * 1024 * 1024


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


def unsent(transport: Any, secure: bool) -> tuple[int, int] | None:
    """
    What Twisted's transport still has to send.

    :param secure: whether the socket's transport is behind this one.
    :returns: something that changes whenever the client takes some; ``None`` for nothing.
    """
    if secure:
        transport = transport.transport
    data = getattr(transport, "dataBuffer", b"")
    return (len(data), transport.offset) if data else None


class Closing:
    """
    A connection on which nothing more will be served.

    :param transport: its transport, without a producer.
    :param linger: whether the client may still be sending.
    :param now: the reactor's seconds.
    """

    def __init__(self, transport: Any, secure: bool, linger: bool, now: float) -> None:
        self._transport = transport
        self._dropped = 0
        self._since = now
        halfClose = getattr(transport, "loseWriteConnection", None)
        # TLS says its own goodbye, and waits for the client's.
        if linger and not secure and halfClose is not None:
            halfClose()
            transport.resumeProducing()
        else:
            transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Drop it."""
        self._dropped += len(data)
        if self._dropped > LINGER_BYTES:
            self._transport.abortConnection()

    def clientEnded(self) -> None:
        """The client closed its side too."""
        self._transport.loseConnection()

    def overdue(self, now: float, quiet: float, sending: bool, clientTimeout: float) -> bool:
        """
        Whether to wait no longer.

        :param quiet: seconds for which nothing moved.
        :param sending: whether the client has still to take a part of its response.
        """
        if sending:
            return quiet >= clientTimeout
        return quiet >= LINGER or now - self._since >= LINGER_TOTAL
