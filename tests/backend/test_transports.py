"""
Tests for :mod:`twisted_fcgi.backend.transports`.

The sockets are real, and local to the test; the reactor is not.
"""

from __future__ import annotations

import os
import socket
from struct import Struct

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableDescriptor,
    IHalfCloseableProtocol,
    IPushProducer,
    IReadWriteDescriptor,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.backend.sockets import Reactor, Recorder
from twisted_fcgi.backend import writing
from twisted_fcgi.backend.connecting import EagerConnection
from twisted_fcgi.backend.hub import turn

__all__ = ["EagerTests"]


@implementer(IPushProducer)
class Producer:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class EagerTests(SynchronousTestCase):
    """Tests for :class:`EagerTransport`, as an :class:`EagerConnection`."""

    def setUp(self) -> None:
        # A test may be run by what a socket just told.
        self.patch(turn, "collected", None)
        self.reactor = Reactor()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.addCleanup(self.peer.close)
        self.peer.setblocking(False)
        self.protocol = Recorder()
        self.transport = EagerConnection(ours, self.protocol, self.reactor, "peer")
        self.protocol.makeConnection(self.transport)
        self.addCleanup(lambda: self.transport.connectionLost(Failure(ConnectionDone())))

    def drain(self) -> bytes:
        """All that has come at the peer, and comes while the reactor turns."""
        data = b""
        while True:
            try:
                part = self.peer.recv(1 << 20)
            except BlockingIOError:
                if not self.reactor.writers:
                    return data
                self.reactor.turn()
            else:
                if not part:
                    return data
                data += part

    def test_atOnce(self) -> None:
        """What is written is at the peer before write() returns; nothing is polled for."""
        self.transport.write(b"abc")
        self.assertEqual(b"abc", self.peer.recv(10))
        self.transport.writeSequence(b"%d" % n for n in range(5))
        self.assertEqual(b"01234", self.peer.recv(10))
        self.assertEqual(set(), self.reactor.writers)
        self.assertEqual(8, self.transport.sent)

    def test_nothingIsKept(self) -> None:
        """What was written while it read is not held once it was sent."""
        self.protocol.dataReceived = lambda data: self.transport.write(data * 2)  # type: ignore[method-assign]
        self.peer.send(b"abc")
        self.transport.doRead()
        self.assertEqual(b"abcabc", self.drain())
        self.assertEqual([], self.transport._pieces)

    def test_full(self) -> None:
        """What the kernel does not take is sent later, all of it and in order."""
        data = os.urandom(3_000_000)
        for at in range(0, len(data), 50_000):
            if at % 100_000:
                self.transport.write(data[at : at + 50_000])
            else:
                self.transport.writeSequence([data[at : at + 7], data[at + 7 : at + 50_000]])
        self.assertEqual({self.transport}, self.reactor.writers)
        self.assertEqual(data, self.drain())
        self.assertEqual(len(data), self.transport.sent)

    def test_views(self) -> None:
        """Views are sent like bytes: at once, or, what the kernel does not take, later."""
        data = os.urandom(3_000_000)
        for at in range(0, len(data), 50_000):
            view = memoryview(data)[at : at + 50_000]
            self.transport.writeSequence([view[:7], b"", view[7:]])  # type: ignore[list-item]
        self.assertEqual({self.transport}, self.reactor.writers)
        self.assertEqual(data, self.drain())

    def test_inRead(self) -> None:
        """What is written while it reads leaves when it has read."""

        def answer() -> None:
            self.transport.write(b"one")
            self.transport.writeSequence([b"two", b"three"])
            self.assertEqual(0, self.transport.sent)

        self.protocol.answer = answer
        self.peer.send(b"?")
        self.reactor.turn()
        self.assertEqual(b"onetwothree", self.peer.recv(100))
        self.assertEqual(set(), self.reactor.writers)

    def test_muchInRead(self) -> None:
        """It leaves in order, also behind what is buffered, and when it is too much at once."""
        for before in (b"", os.urandom(3_000_000)):
            parts = [b"one", b"two", *(bytes([n]) * 50_000 for n in range(9)), b"end"]
            self.transport.write(before)
            self.protocol.answer = lambda parts=parts: [*map(self.transport.write, parts)]
            self.peer.send(b"?")
            self.reactor.turn()
            self.assertEqual(before + b"".join(parts), self.drain())

    def test_pullProducer(self) -> None:
        """A producer that waits to be asked is asked whenever there is room, until it is done."""
        transport = self.transport
        parts = [b"one", b"two", b"three"]

        class Pulled(Producer):
            def resumeProducing(self) -> None:
                transport.write(parts.pop(0))
                if not parts:
                    transport.unregisterProducer()

        transport.registerProducer(Pulled(), False)
        self.assertEqual(b"onetwothree", self.drain())
        transport.write(b"at once")
        self.assertEqual(b"at once", self.peer.recv(10))

    def test_allowance(self) -> None:
        """Between two events of the socket only ALLOWANCE bytes are sent, however fast it is."""
        sent = 0
        while not self.reactor.writers:
            self.transport.write(bytes(4096))
            sent += 4096
            if not self.reactor.writers:
                self.peer.recv(65536)
        self.assertEqual(writing.ALLOWANCE + 4096, sent)
        self.drain()
        self.transport.write(b"again")
        self.assertEqual(b"again", self.peer.recv(10))

    def test_allowanceOfATurn(self) -> None:
        """In each turn ALLOWANCE bytes are sent, and no more at once."""
        self.patch(writing, "ALLOWANCE", 100_000)
        self.transport.doWrite()
        for _ in range(3):
            sends = turn.begin()
            self.transport.write(bytes(60_000))
            self.transport.write(bytes(40_000))
            turn.end(sends)
            self.assertEqual(set(), self.reactor.writers)
            self.drain()
        sends = turn.begin()
        for _ in range(3):
            self.transport.write(bytes(50_000))
        turn.end(sends)
        self.assertEqual(400_000, self.transport.sent)
        self.assertEqual({self.transport}, self.reactor.writers)
        self.assertEqual(150_000, len(self.drain()))

    def test_large(self) -> None:
        """What is large is sent at once, behind what was collected; the rest with the turn."""
        large = os.urandom(writing.LARGE)
        sends = turn.begin()
        self.transport.write(b"one")
        self.transport.writeSequence([b"two", large])
        self.assertEqual(b"onetwo" + large, self.drain())
        self.transport.write(b"three")
        self.assertEqual(b"", self.drain())
        turn.end(sends)
        self.assertEqual(b"three", self.drain())

    def test_largeReads(self) -> None:
        """While reads fill the buffer and the protocol takes much, more is read at once."""
        sizes: list[int] = []

        def received(data: bytes) -> None:
            sizes.append(len(data))
            self.protocol.takesMuch = len(sizes) not in (4, 5)

        self.transport.bufferSize = 1000
        self.protocol.dataReceived = received  # type: ignore[method-assign]
        self.protocol.takesMuch = True
        self.peer.send(bytes(9500))
        for _ in range(4):
            self.reactor.turn()
        self.peer.send(bytes(7000))
        for _ in range(4):
            self.reactor.turn()
        self.assertEqual([1000, 4000, 4000, 500, 1000, 1000, 4000, 1000], sizes)

    def test_untaken(self) -> None:
        """What the peer has not taken is known, and whether it takes some."""
        self.assertIsNone(self.transport.untaken())
        self.transport.write(bytes(1000))
        self.transport.write(bytes(1000))
        first = self.transport.untaken()
        self.assertIsNotNone(first)
        self.assertEqual(first, self.transport.untaken())
        self.peer.recv(1000)
        self.assertNotEqual(first, self.transport.untaken())
        self.peer.recv(1000)
        self.assertIsNone(self.transport.untaken())

    def test_unread(self) -> None:
        """It is known whether something came that was not read: bytes, or the peer's end."""
        self.assertFalse(self.transport.unread())
        self.peer.send(b"late")
        self.assertTrue(self.transport.unread())
        self.reactor.turn()
        self.assertFalse(self.transport.unread())
        self.peer.close()
        self.assertTrue(self.transport.unread())

    def test_producer(self) -> None:
        """A producer is paused when the buffer is full, and resumed when it is empty."""
        producer = Producer()
        self.transport.registerProducer(producer, True)
        while not producer.calls:
            self.transport.write(bytes(65536))
        self.assertEqual(["pause"], producer.calls)
        self.drain()
        self.assertEqual(["pause", "resume"], producer.calls)
        self.transport.unregisterProducer()

    def test_dead(self) -> None:
        """A peer that is gone is told as a loss by the reactor, not by write()."""
        self.peer.close()
        self.transport.write(b"x")
        self.transport.writeSequence([b"y", b"z"])
        self.assertIsNone(self.protocol.reason)
        self.assertEqual(0, self.transport.sent)
        self.reactor.turn()
        self.assertIsNotNone(self.protocol.reason)
        self.transport.write(b"late")

    def test_closedInRead(self) -> None:
        """A connection that is closed while it reads is closed in the same turn."""
        self.protocol.answer = lambda: (
            self.transport.write(b"bye"),
            self.transport.loseConnection(),
        )
        self.peer.send(b"x")
        self.reactor.turn()
        self.assertIsNotNone(self.protocol.reason)
        self.assertEqual(b"bye", self.peer.recv(10))
        self.assertEqual(b"", self.peer.recv(10))
        self.assertEqual((set(), set()), (self.reactor.readers, self.reactor.writers))

    def test_closedInReadWithMore(self) -> None:
        """Not before all that was written has left."""
        data = os.urandom(1_000_000)
        self.protocol.answer = lambda: (
            self.transport.write(data),
            self.transport.loseConnection(),
        )
        self.peer.send(b"x")
        self.reactor.turn()
        self.assertIsNone(self.protocol.reason)
        self.assertEqual(data, self.drain())
        self.assertIsNotNone(self.protocol.reason)

    def test_closed(self) -> None:
        """Outside of a read a connection is closed in a turn to come."""
        self.transport.loseConnection()
        self.assertIsNone(self.protocol.reason)
        self.reactor.turn()
        self.assertIsNotNone(self.protocol.reason)

    def test_halfClosed(self) -> None:
        """Our half is closed at once, the peer's goes on until it closes it, too."""
        self.transport.write(b"bye")
        self.transport.loseWriteConnection()
        self.transport.loseWriteConnection()
        self.transport.write(b"dropped")
        self.assertEqual(b"bye", self.peer.recv(10))
        self.assertEqual(b"", self.peer.recv(10))
        self.peer.send(b"late")
        self.reactor.turn()
        self.assertEqual(b"late", self.protocol.data)
        self.peer.close()
        self.reactor.turn()
        self.assertIsNotNone(self.protocol.reason)
        self.assertEqual((set(), set()), (self.reactor.readers, self.reactor.writers))

    def test_halfClosedInTurn(self) -> None:
        """What was written in the same turn goes before."""
        sends = turn.begin()
        self.transport.write(b"one")
        self.transport.loseWriteConnection()
        self.transport.write(b"two")
        turn.end(sends)
        self.assertEqual(b"onetwo", self.peer.recv(10))
        self.assertEqual(b"", self.peer.recv(10))
        self.transport.write(b"dropped")
        self.assertEqual(set(), self.reactor.writers)

    def test_halfClosedWithMore(self) -> None:
        """So does what the peer is slow to take."""
        data = os.urandom(3_000_000)
        self.transport.write(data[:2_900_000])
        sends = turn.begin()
        self.transport.write(data[2_900_000:])
        self.transport.loseWriteConnection()
        turn.end(sends)
        self.assertEqual(data, self.drain())
        self.assertEqual(b"", self.peer.recv(10))
        self.assertIsNone(self.protocol.reason)

    def test_halfClosedWithTooMuch(self) -> None:
        """Also what the kernel takes only a part of, in the turn itself."""
        data = os.urandom(writing.ALLOWANCE)
        self.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sends = turn.begin()
        self.transport.write(data)
        self.transport.loseWriteConnection()
        turn.end(sends)
        self.assertEqual({self.transport}, self.reactor.writers)
        self.assertEqual(data, self.drain())
        self.assertEqual(b"", self.peer.recv(10))

    def test_halfClosedWhileItProduces(self) -> None:
        """A producer that is paused has its say before."""
        producer = Producer()
        producer.resumeProducing = lambda: self.transport.write(b"end")  # type: ignore[method-assign]
        self.transport.registerProducer(producer, True)
        while not producer.calls:
            self.transport.write(bytes(65536))
        self.transport.loseWriteConnection()
        self.assertTrue(self.drain().endswith(b"end"))
        self.transport.unregisterProducer()

    def test_halfClosedIsTold(self) -> None:
        """A protocol that wants to know of closed halves is told of ours."""
        told: list[str] = []

        @implementer(IHalfCloseableProtocol)
        class HalfCloseable(Recorder):
            def writeConnectionLost(self) -> None:
                told.append("write")

            def readConnectionLost(self) -> None:
                told.append("read")

        self.transport.protocol = HalfCloseable()
        self.transport.loseWriteConnection()
        self.assertEqual(["write"], told)

    def test_closedAfterHalf(self) -> None:
        """A connection whose half is closed is closed as soon as it is asked for."""
        self.transport.loseWriteConnection()
        self.transport.loseConnection()
        assert self.protocol.reason is not None
        self.protocol.reason.trap(ConnectionDone)
        self.transport.loseConnection()
        self.transport.loseWriteConnection()

    def test_oneSegment(self) -> None:
        """Over TCP the end comes along with what was written last."""

        def segments() -> int:
            # tcpi_segs_out: behind 8 bytes, 24 numbers of 4 and 4 of 8.
            info = transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            return int(Struct("I").unpack_from(info, 8 + 24 * 4 + 4 * 8)[0])

        with socket.create_server(("127.0.0.1", 0)) as server:
            peer = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
        with peer:
            ours.setblocking(False)
            transport = EagerConnection(ours, Recorder(), self.reactor, "peer")
            before = segments()
            sends = turn.begin()
            transport.write(b"bye")
            transport.loseWriteConnection()
            turn.end(sends)
            self.assertEqual(before + 1, segments())
            self.assertEqual(b"bye", peer.recv(10))
            self.assertEqual(b"", peer.recv(10))
            transport.connectionLost(Failure(ConnectionDone()))

    def test_abortedInRead(self) -> None:
        """abortConnection() in a read tells the end later, and once."""
        self.protocol.answer = self.transport.abortConnection
        self.peer.send(b"x")
        self.reactor.turn()
        self.assertIsNone(self.protocol.reason)
        self.reactor.advance(0)
        self.assertIsNotNone(self.protocol.reason)

    def test_peersEnd(self) -> None:
        """The peer's end is told, after what it said before."""
        self.peer.send(b"last words")
        self.peer.close()
        self.reactor.turn()
        self.reactor.turn()
        self.assertEqual(b"last words", self.protocol.data)
        self.assertTrue(self.protocol.reason and self.protocol.reason.check(ConnectionDone))

    def test_readFails(self) -> None:
        """Nothing to read is no end; an error is."""
        self.assertIsNone(self.transport.doRead())
        self.transport.getHandle().close()
        self.assertIsInstance(self.transport.doRead(), ConnectionLost)

    def test_nothing(self) -> None:
        """To write nothing holds nothing, and sends nothing."""
        self.transport.write(b"")
        self.transport.writeSequence([b"", b""])
        self.assertEqual([], self.transport._pieces)
        self.transport.writeSequence([b"", b"one", b""])
        self.assertEqual(b"one", self.drain())

    def test_noBytes(self) -> None:
        """What is no bytes is an error of who writes it, and in nobody's way afterwards."""
        self.assertRaises(TypeError, self.transport.write, "text")
        self.assertRaises(TypeError, self.transport.writeSequence, [b"one", "two"])
        self.transport.write(b"three")
        self.assertEqual(b"three", self.drain())

    def test_nothingIsKeptAtTheEnd(self) -> None:
        """What a lost connection could not send is not held any more, nor its protocol."""
        self.transport.write(bytes(3_000_000))
        sends = turn.begin()
        self.transport.write(b"more")
        self.transport.connectionLost(Failure(ConnectionDone()))
        self.transport.write(b"too late")
        turn.end(sends)
        self.transport.write(b"later still")
        self.assertEqual((b"", []), (self.transport.dataBuffer, self.transport._pieces))
        self.assertIsNone(self.transport.protocol)
        self.assertEqual(-1, self.transport.fileno())
        self.assertIsNone(self.transport.untaken())
        self.assertTrue(self.transport.unread())

    def test_lostOnce(self) -> None:
        """The end is told once, however often it comes."""
        reasons = []
        self.protocol.connectionLost = reasons.append  # type: ignore[method-assign]
        self.transport.abortConnection()
        for _ in range(2):
            self.transport.connectionLost(Failure(ConnectionDone()))
        self.transport.abortConnection()
        self.transport.loseConnection()
        self.reactor.advance(0)
        self.assertEqual(1, len(reasons))

    def test_closedInReadWithWaiting(self) -> None:
        """A connection that closes while its peer is slow is not read meanwhile."""
        data = os.urandom(3_000_000)
        self.transport.write(data)
        self.protocol.answer = self.transport.loseConnection
        self.peer.send(b"x")
        self.transport.doRead()
        self.assertEqual((set(), {self.transport}), (self.reactor.readers, self.reactor.writers))
        self.transport.resumeProducing()
        self.assertEqual(set(), self.reactor.readers)
        self.assertEqual(data, self.drain())
        self.assertIsNotNone(self.protocol.reason)

    def test_closedInReadWithTooMuch(self) -> None:
        """Nor is one whose last words are more than its peer takes at once."""
        data = os.urandom(3_000_000)
        self.protocol.answer = lambda: (
            self.transport.loseConnection(),
            self.transport.write(data),
        )
        self.peer.send(b"x")
        sends = turn.begin()
        self.assertIsNone(self.transport.doRead())
        turn.end(sends)
        self.assertEqual((set(), {self.transport}), (self.reactor.readers, self.reactor.writers))
        self.assertEqual(data, self.drain())
        self.assertIsNotNone(self.protocol.reason)

    def test_aborted(self) -> None:
        """An aborted connection sends and reads nothing any more, and its peer is told."""
        self.transport.write(bytes(3_000_000))
        sends = turn.begin()
        self.transport.write(b"collected")
        self.transport.abortConnection()
        turn.end(sends)
        self.transport.write(b"late")
        self.transport.loseWriteConnection()
        self.peer.send(b"x")
        self.assertIsNone(self.transport.doRead())
        self.assertIsNone(self.transport.doWrite())
        self.assertEqual((set(), set()), (self.reactor.readers, self.reactor.writers))
        self.reactor.advance(0)
        assert self.protocol.reason is not None
        self.protocol.reason.trap(ConnectionAborted)
        self.assertEqual(b"", self.protocol.data)

    def test_failingHalf(self) -> None:
        """A protocol that fails when it is told of a half loses the connection."""

        @implementer(IHalfCloseableProtocol)
        class Failing(Recorder):
            def writeConnectionLost(self) -> None:
                raise ValueError("a mistake")

            readConnectionLost = writeConnectionLost

        protocol = self.transport.protocol = Failing()
        self.transport.loseWriteConnection()
        assert protocol.reason is not None
        protocol.reason.trap(ValueError)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_registeredTwice(self) -> None:
        """There is one producer at a time; one that comes too late is stopped."""
        first, second = Producer(), Producer()
        self.transport.registerProducer(first, True)
        self.assertRaises(RuntimeError, self.transport.registerProducer, second, True)
        self.transport.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(["stop"], first.calls)
        self.transport.registerProducer(second, True)
        self.assertEqual(["stop"], second.calls)

    def test_closedWithProducer(self) -> None:
        """A connection that waits for its producer is closed when that has finished."""
        producer = Producer()
        self.transport.registerProducer(producer, True)
        while not producer.calls:
            self.transport.write(bytes(65536))
        self.transport.loseConnection()
        self.drain()
        self.assertEqual(["pause", "resume"], producer.calls)
        self.assertIsNone(self.protocol.reason)
        self.transport.write(b"end")
        self.transport.unregisterProducer()
        self.assertEqual(b"end", self.drain())
        self.assertIsNotNone(self.protocol.reason)

    def test_consumer(self) -> None:
        """Who is at the other side of what is produced, or consumed, can end it."""
        for end in "stopConsuming", "stopProducing":
            with self.subTest(end):
                self.setUp()
                self.transport.registerProducer(Producer(), True)
                getattr(self.transport, end)()
                self.transport.unregisterProducer()
                self.reactor.turn()
                self.assertIsNotNone(self.protocol.reason)

    def test_interfaces(self) -> None:
        """It is all that Twisted's transports are to those who use them, but for TLS."""
        for interface in (
            ITCPTransport,
            IConsumer,
            IPushProducer,
            IReadWriteDescriptor,
            IHalfCloseableDescriptor,
            ISystemHandle,
        ):
            self.assertTrue(verifyObject(interface, self.transport))
        self.assertFalse(ITLSTransport.providedBy(self.transport))

    def test_options(self) -> None:
        """Options of TCP can be set and asked; a UNIX socket has no delay anyway."""
        self.transport.setTcpNoDelay(True)
        with socket.create_server(("127.0.0.1", 0)) as server:
            peer = socket.create_connection(server.getsockname())
            ours, _ = server.accept()
        with peer:
            transport = EagerConnection(ours, Recorder(), self.reactor, "peer")
            for enabled in (True, False):
                transport.setTcpNoDelay(enabled)
                transport.setTcpKeepAlive(enabled)
                self.assertEqual(enabled, transport.getTcpNoDelay())
                self.assertEqual(enabled, transport.getTcpKeepAlive())
            self.assertIs(transport.socket, transport.getHandle())
            self.assertEqual(IPv4Address("TCP", *peer.getpeername()), transport.getHost())
            self.assertEqual(
                ("peer", "Recorder,client"), (transport.getPeer(), transport.logPrefix())
            )
            transport.connectionLost(Failure(ConnectionDone()))
