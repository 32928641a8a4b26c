"""Tests for :mod:`twisted_fcgi.backend.sockets`, which are the same where it is compiled."""

from __future__ import annotations

import errno
import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.backend.sockets import JOINED, Socket, accept, connect, socketOf

__all__ = ["ConnectTests", "SocketTests"]


@contextmanager
def noMoreFiles() -> Iterator[None]:
    """Let this process open no file more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as free:
        number = free.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


class SocketTests(SynchronousTestCase):
    """Tests for :class:`Socket`, whose peer is one of Python's."""

    def setUp(self) -> None:
        ours, self.peer = socket.socketpair()
        self.addCleanup(self.peer.close)
        self.peer.setblocking(False)
        self.socket = socketOf(ours)
        self.addCleanup(self.socket.close)

    def drain(self) -> bytes:
        data = b""
        try:
            while part := self.peer.recv(1 << 20):
                data += part
        except BlockingIOError:
            pass
        return data

    def test_receive(self) -> None:
        """What has come is received, as much of it as is wanted; then there is nothing."""
        self.assertIsNone(self.socket.receive(10))
        self.peer.send(b"hello")
        self.assertEqual(b"hel", self.socket.receive(3))
        self.assertEqual(b"lo", self.socket.receive(3))
        self.assertIsNone(self.socket.receive(3, True))

    def test_receiveMuch(self) -> None:
        """It is the same for large pieces, whether they were expected or not."""
        data = os.urandom(50_000)
        for size in (10, 49_999, 50_000, 50_001, 65536, 65537, 1 << 20):
            for large in (False, True):
                self.peer.send(data)
                first = self.socket.receive(size, large)
                self.assertEqual(data[:size], first)
                if size < len(data):
                    self.assertEqual(data[size:], self.socket.receive(1 << 20))
                self.assertEqual(data[:size], first)

    def test_receiveEnd(self) -> None:
        """The peer's end is no bytes, after all that it sent before."""
        self.peer.send(b"last")
        self.peer.close()
        self.assertEqual(b"last", self.socket.receive(10))
        self.assertEqual(b"", self.socket.receive(10))
        self.assertEqual(b"", self.socket.receive(1 << 20, True))

    def test_receiveReset(self) -> None:
        """A broken connection is an error, which says how."""
        self.socket.transmit([b"unread"], 6, False)
        self.peer.close()
        error = self.assertRaises(OSError, self.socket.receive, 10)
        self.assertEqual(errno.ECONNRESET, error.errno)

    def test_transmit(self) -> None:
        """One part or several, of bytes or views, small or large, leave in their order."""
        large = os.urandom(JOINED)
        for pieces in (
            [b"one"],
            [b"one", b"two"],
            [b"one", memoryview(b"two"), bytearray(b"three")],
            [memoryview(b"one")],
            [large],
            [large[1:], b"1"],
            [large, b"1"],
            [memoryview(large), b"1", memoryview(large)[7:]],
            [b"%d" % n for n in range(50)],
            [b"%d" % n for n in range(500)],
            [large[n : n + 100] for n in range(200)],
        ):
            data = b"".join(pieces)
            self.assertEqual(len(data), self.socket.transmit(pieces, len(data), False))
            self.assertEqual(data, self.drain())

    def test_nothing(self) -> None:
        """Of no parts nothing leaves, and less than nothing can't be received."""
        self.assertEqual(0, self.socket.transmit([], 0, False))
        self.assertEqual(0, self.socket.transmit([b"", b""], 0, False))
        self.assertEqual(b"", self.drain())
        self.peer.send(b"hello")
        for large in (False, True):
            self.assertRaises(ValueError, self.socket.receive, -1, large)
        self.assertEqual(b"hello", self.socket.receive(10))

    def test_transmitWrong(self) -> None:
        """What is no bytes is an error, and nothing of it leaves."""
        for pieces in (["text"], [b"one", "text"], [b"one", None], [b"x" * JOINED, 1, b"y"]):
            self.assertRaises(TypeError, self.socket.transmit, pieces, 8, False)
        self.assertEqual(b"", self.drain())

    def test_transmitFull(self) -> None:
        """What the kernel has no room for is not sent, which is no error."""
        data = os.urandom(1 << 20)
        sent = self.socket.transmit([data[:1000], data[1000:]], len(data), False)
        self.assertTrue(1000 < sent < len(data), sent)
        for pieces in ([data[sent:]], [data[sent : sent + 3], data[sent + 3 :]]):
            self.assertEqual(0, self.socket.transmit(pieces, len(data) - sent, True))
        self.assertEqual(data[:sent], self.drain())

    def test_transmitDead(self) -> None:
        """A peer that is gone is an error."""
        self.peer.close()
        for pieces in ([b"x"], [b"x" * JOINED, b"y"]):
            error = self.assertRaises(
                OSError, self.socket.transmit, pieces, len(b"".join(pieces)), False
            )
            self.assertEqual(errno.EPIPE, error.errno)

    def test_unread(self) -> None:
        """Whether something came is known without reading it."""
        self.assertFalse(self.socket.unread())
        self.peer.send(b"x")
        self.assertTrue(self.socket.unread())
        self.assertEqual(b"x", self.socket.receive(10))
        self.assertFalse(self.socket.unread())
        self.peer.close()
        self.assertTrue(self.socket.unread())

    def test_unsent(self) -> None:
        """What the peer has not taken is known."""
        self.assertEqual(0, self.socket.unsent())
        self.socket.transmit([b"x" * 1000], 1000, False)
        self.assertGreater(self.socket.unsent(), 0)
        self.drain()
        self.assertEqual(0, self.socket.unsent())

    def test_shutdown(self) -> None:
        """One half can be closed."""
        self.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(b"", self.peer.recv(10))
        self.peer.send(b"late")
        self.assertEqual(b"late", self.socket.receive(10))

    def test_closed(self) -> None:
        """A closed socket has no number, nor does it use that of another one."""
        number = self.socket.fileno()
        self.assertGreater(number, 0)
        self.socket.close()
        self.socket.close()
        self.assertEqual(b"", self.peer.recv(10))
        self.assertEqual(-1, self.socket.fileno())
        self.assertEqual(-1, self.socket.handle().fileno())
        other = socket.socket()
        self.addCleanup(other.close)
        self.assertRaises(OSError, self.socket.receive, 10)
        self.assertRaises(OSError, self.socket.receive, 10, True)
        self.assertRaises(OSError, self.socket.transmit, [b"x"], 1, False)
        self.assertRaises(OSError, self.socket.getsockname)
        self.assertRaises(OSError, self.socket.shutdown, socket.SHUT_WR)
        self.assertRaises(OSError, self.socket.setsockopt, socket.SOL_SOCKET, 1, 1)
        self.assertRaises(OSError, self.socket.getsockopt, socket.SOL_SOCKET, 1)
        self.socket.reset()

    def test_handle(self) -> None:
        """Python's object is of the same socket, and who closes it closes that."""
        number = self.socket.fileno()
        handle = self.socket.handle()
        self.assertIsInstance(handle, socket.socket)
        self.assertIs(handle, self.socket.handle())
        self.assertEqual((number, number), (handle.fileno(), self.socket.fileno()))
        self.assertFalse(handle.getblocking())
        handle.send(b"one")
        self.socket.transmit([b"two"], 3, False)
        self.assertEqual(b"onetwo", self.drain())
        self.assertEqual(socket.AF_UNIX, handle.family)
        self.assertEqual(socket.AF_UNIX, self.socket.family)
        handle.close()
        self.assertEqual(-1, self.socket.fileno())
        self.assertRaises(OSError, self.socket.receive, 10)

    def test_closedWithHandle(self) -> None:
        """It is closed with the socket."""
        handle = self.socket.handle()
        self.socket.close()
        self.assertEqual(-1, handle.fileno())
        self.assertEqual(b"", self.peer.recv(10))

    def test_forgotten(self) -> None:
        """A socket that nobody has any more is closed."""
        ours, peer = socket.socketpair()
        self.addCleanup(peer.close)
        forgotten: Any = [socketOf(ours)]
        forgotten.clear()
        gc.collect()
        self.assertEqual(b"", peer.recv(10))
        self.flushWarnings()

    def test_socketOf(self) -> None:
        """What is a socket already stays the same; what was Python's does not block then."""
        self.assertIsInstance(self.socket, Socket)
        self.assertIs(self.socket, socketOf(self.socket))
        self.assertFalse(os.get_blocking(self.socket.fileno()))


class ConnectTests(SynchronousTestCase):
    """Tests for :func:`connect` and :func:`accept`."""

    def listen(self, family: int, name: Any) -> Any:
        server = socket.socket(family)
        self.addCleanup(server.close)
        server.bind(name)
        server.listen(5)
        server.setblocking(False)
        return server

    def names(self) -> Iterator[tuple[int, Any]]:
        yield socket.AF_INET, ("127.0.0.1", 0)
        yield socket.AF_UNIX, self.mktemp()[-90:]
        yield socket.AF_UNIX, "\0" + self.mktemp()[-90:]
        if os.path.exists("/proc/net/if_inet6"):
            yield socket.AF_INET6, ("::1", 0)

    def test_both(self) -> None:
        """The ends of a connection find each other, and have the names that Python says."""
        for family, name in self.names():
            server = self.listen(family, name)
            self.assertIsNone(accept(server, family))
            ours, code = connect(family, server.getsockname())
            self.assertEqual(0, code)
            theirs, peer = accept(server, family)  # type: ignore[misc]
            for one in (ours, theirs):
                self.addCleanup(one.close)
                self.assertIsInstance(one, Socket)
                self.assertFalse(os.get_blocking(one.fileno()))
                self.assertFalse(os.get_inheritable(one.fileno()))
                self.assertEqual(family, one.family)
            self.assertEqual(peer, ours.getsockname())
            self.assertEqual(peer, ours.handle().getsockname())
            self.assertEqual(theirs.getsockname(), server.getsockname())
            self.assertEqual(theirs.handle().getpeername(), peer)
            ours.transmit([b"hello"], 5, False)
            self.assertEqual(b"hello", theirs.receive(10))
            self.assertIsNone(accept(server, family))

    def test_namedPeer(self) -> None:
        """A UNIX socket's client may have a name, too."""
        server = self.listen(socket.AF_UNIX, self.mktemp()[-90:])
        for name in (self.mktemp()[-90:], "\0abc", "\0" + "a" * 30):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.bind(name)
            client.connect(server.getsockname())
            accepted, peer = accept(server, socket.AF_UNIX)  # type: ignore[misc]
            self.addCleanup(accepted.close)
            self.assertEqual(client.getsockname(), peer)

    def test_refused(self) -> None:
        """What can't be connected to has the kernel's number, or Python's."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            for family, name, expected in (
                (socket.AF_INET, free.getsockname(), errno.ECONNREFUSED),
                (socket.AF_UNIX, self.mktemp()[-90:], errno.ENOENT),
                (socket.AF_UNIX, "x" * 200, errno.ENAMETOOLONG),
            ):
                skt, code = connect(family, name)
                self.addCleanup(skt.close)
                self.assertEqual(expected, code, name)

    def test_receiveBuffer(self) -> None:
        """The kernel's buffer has the size that is wanted, twice that as it counts."""
        server = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        skt, _ = connect(socket.AF_INET, server.getsockname(), 8192)
        self.addCleanup(skt.close)
        self.assertEqual(2 * 8192, skt.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))

    def test_options(self) -> None:
        """Options can be set, and asked."""
        server = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        skt, _ = connect(socket.AF_INET, server.getsockname())
        self.addCleanup(skt.close)
        for value in (1, 0):
            skt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, value)
            self.assertEqual(value, skt.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def test_reset(self) -> None:
        """A reset is none of the ends that a peer takes for orderly."""
        server = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        skt, _ = connect(socket.AF_INET, server.getsockname())
        accepted, _ = server.accept()
        self.addCleanup(accepted.close)
        skt.reset()
        self.assertRaises(ConnectionResetError, accepted.recv, 10)

    def test_noFiles(self) -> None:
        """Without a descriptor left there is no socket, and an error says so."""
        server = self.listen(socket.AF_INET, ("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        self.addCleanup(client.close)
        with noMoreFiles():
            self.assertEqual((None, errno.EMFILE), connect(socket.AF_INET, server.getsockname()))
            error = self.assertRaises(OSError, accept, server, socket.AF_INET)
        self.assertEqual(errno.EMFILE, error.errno)
