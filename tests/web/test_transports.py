"""Tests for :mod:`twisted_fcgi.web.transports`: addresses, what is unsent, and ends."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, providedBy

from tests.web.channels import ChannelTestCase, ClientTransport, get
from twisted_fcgi.message import Address
from twisted_fcgi.web.transports import (
    LINGER,
    LINGER_BYTES,
    LINGER_TOTAL,
    addressOf,
    socketBehind,
    unsent,
)


class AddressTests(SynchronousTestCase):
    """Tests for :func:`addressOf`."""

    def test_addresses(self) -> None:
        """Applications get numeric addresses: IPv4's in their own form, no zones."""
        for address, expected in (
            (IPv4Address("TCP", "192.0.2.1", 80), Address(b"192.0.2.1", 80)),
            (IPv6Address("TCP", "2001:db8::1", 80), Address(b"2001:db8::1", 80)),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 80), Address(b"192.0.2.1", 80)),
            (IPv6Address("TCP", "fe80::1%eth0", 80), Address(b"fe80::1", 80)),
            (UNIXAddress("/run/x.sock"), Address(b"", 0)),
            (UNIXAddress(None), Address(b"", 0)),
        ):
            self.assertEqual(addressOf(address), expected)


class UnsentTests(SynchronousTestCase):
    """Tests for :func:`unsent`."""

    def test_buffered(self) -> None:
        """What Twisted holds is unsent, and changes with each part that is sent."""
        transport = ClientTransport()
        self.assertIsNone(unsent(transport, True))
        transport.dataBuffer = b"abc"
        before = unsent(transport, False)
        self.assertIsNotNone(before)
        transport.offset = 1
        self.assertNotEqual(unsent(transport, False), before)
        transport.offset = 3
        self.assertIsNone(unsent(transport, False))

    def test_queued(self) -> None:
        """So is, when asked for, what the system holds."""
        ours, client = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(client.close)
        transport: Any = ClientTransport()
        transport.fileno = ours.fileno
        self.assertIsNone(unsent(transport, True))
        ours.send(b"x" * 1000)
        self.assertIsNone(unsent(transport, False))
        self.assertIsNotNone(unsent(transport, True))
        client.recv(1000)
        self.assertIsNone(unsent(transport, True))

    def test_socketBehind(self) -> None:
        """Behind TLS is the transport with the socket."""
        transport: Any = ClientTransport()
        self.assertIs(socketBehind(transport), transport)
        transport.transport = ClientTransport()
        self.assertIs(socketBehind(transport), transport.transport)


class EndTests(ChannelTestCase):
    """Connections that end keep what was written."""

    def close(self, **kw: Any) -> None:
        self.connect(lambda served: served.answer(), **kw)
        self.send(get(b"/", b"Connection: close"))

    def test_clientEnds(self) -> None:
        """Our side is closed first; then the client's ends the connection."""
        self.close()
        self.assertEqual(self.transport.ended, "lingering")
        self.channel.writeConnectionLost()
        self.channel.readConnectionLost()
        self.assertEqual(self.transport.ended, "closed")

    def test_silence(self) -> None:
        """A client that does not end it is waited for a little."""
        self.close()
        self.wait(LINGER - 0.5)
        self.assertEqual(self.transport.ended, "lingering")
        self.wait(1)
        self.assertEqual(self.transport.ended, "closed")

    def test_noise(self) -> None:
        """One that goes on sending is waited for a little longer."""
        self.close()
        waited = 0
        while self.transport.ended == "lingering":
            self.send(b"x")
            self.wait(1)
            waited += 1
        self.assertEqual(self.transport.ended, "closed")
        self.assertAlmostEqual(waited, LINGER_TOTAL, delta=1)

    def test_muchNoise(self) -> None:
        """What it sends is not read without end."""
        self.close()
        megabyte = b"x" * 1048576
        for _ in range(LINGER_BYTES // len(megabyte)):
            self.send(megabyte)
        self.assertEqual(self.transport.ended, "lingering")
        self.assertEqual(len(self.channel._reader), 0)
        self.send(b"x")
        self.assertEqual(self.transport.ended, "cut")

    def test_slowClient(self) -> None:
        """A client that still takes its response has the time for it."""
        self.close()
        self.transport.dataBuffer = b"x" * 1000
        for offset in range(5):
            self.transport.offset = offset
            self.wait(29)
        self.assertEqual(self.transport.ended, "lingering")
        self.wait(2)
        self.assertEqual(self.transport.ended, "cut")

    def test_secure(self) -> None:
        """TLS closes both sides by itself, but not without end either."""
        transport: Any = ClientTransport()
        transport.transport = ClientTransport()
        directlyProvides(transport, ISSLTransport, providedBy(transport))
        self.close(transport=transport)
        self.assertEqual(transport.ended, "closed")
        self.assertEqual(transport.transport.ended, "")
        self.wait(LINGER + 1)
        self.assertEqual(transport.transport.ended, "closed")

    def test_noProducer(self) -> None:
        """A transport that is closed has no producer, or it would wait for it."""
        self.close()
        self.assertIsNone(self.transport.producer)
        self.connect()
        self.send(get())
        self.served[0].response.abort()
        self.assertIsNone(self.transport.producer)
