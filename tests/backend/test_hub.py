"""Tests for :mod:`twisted_fcgi.backend.hub`, with real sockets and a scripted reactor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.backend.sockets import PollingReactor
from twisted_fcgi.backend.hub import BATCH, Hub, hubOf, turn

__all__ = ["HubTests"]


class Sends:
    """Does something when a turn ends."""

    def __init__(self, does: Callable[[], object]) -> None:
        self.sendCollected = does


class End:
    """One end of a pair of sockets; does what a test says when it is ready."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.socket, self.peer = socket.socketpair()
        self.fileno: Callable[[], int] = self.socket.fileno
        self.calls: list[str] = []
        self.does: Callable[[], object] = lambda: None
        self.reason: Failure | None = None
        for one in (self.socket, self.peer):
            test.addCleanup(one.close)

    def doRead(self) -> Any:
        self.calls.append("read")
        self.socket.recv(100)
        return self.does()

    def doWrite(self) -> Any:
        self.calls.append("write")
        return self.does()

    def connectionLost(self, reason: Failure) -> None:
        self.calls.append("lost")
        self.reason = reason


@implementer(IHalfCloseableDescriptor)
class HalfCloseable(End):
    """One that wants to know that its peer closed its half."""

    def readConnectionLost(self, reason: Failure) -> None:
        self.calls.append("half")

    def writeConnectionLost(self, reason: Failure) -> None: ...


class HubTests(SynchronousTestCase):
    """Tests for :class:`Hub`."""

    def setUp(self) -> None:
        # A test may be run by what a socket just told.
        self.patch(turn, "collected", None)
        self.reactor = PollingReactor()
        self.hub = Hub(self.reactor)

    def reading(self, number: int = 1, kind: type[End] = End) -> list[End]:
        """Ends that are read from, each with something to read."""
        ends = [kind(self) for _ in range(number)]
        for end in ends:
            end.peer.send(b"x")
            self.hub.addReader(end)
        return ends

    def test_knownWhileItHasSockets(self) -> None:
        """The reactor knows the hub as long as there is a socket in it, and no longer."""
        (end,) = self.reading()
        self.hub.addWriter(end)
        self.assertEqual(self.reactor.readers, {self.hub})
        self.hub.removeReader(end)
        self.assertEqual(self.reactor.readers, {self.hub})
        self.hub.removeWriter(end)
        self.assertEqual(self.reactor.readers, set())

    def test_reactor(self) -> None:
        """Who takes it for the reactor finds all that the reactor has."""
        self.assertEqual(self.hub.getDelayedCalls(), [])
        self.hub.callLater(1, lambda: None)
        self.assertEqual(self.hub.getDelayedCalls(), self.reactor.getDelayedCalls())
        self.assertFalse(hasattr(self.hub, "noSuchThing"))

    def test_eachThatIsReady(self) -> None:
        """Each socket that is ready is asked for what it waits for, the others are not."""
        reads, quiet = self.reading()[0], End(self)
        writes, both = End(self), self.reading()[0]
        self.hub.addReader(quiet)
        self.hub.addWriter(writes)
        self.hub.addWriter(both)
        self.hub.doRead()
        self.assertEqual(
            [reads.calls, quiet.calls, writes.calls, both.calls],
            [["read"], [], ["write"], ["read", "write"]],
        )

    def test_batch(self) -> None:
        """A turn looks after so many sockets, and the next ones after the others."""
        ends = self.reading(BATCH + 3)
        self.hub.doRead()
        self.assertEqual(sum(len(end.calls) for end in ends), BATCH)
        self.hub.doRead()
        self.assertEqual([end.calls for end in ends], [["read"]] * len(ends))

    def test_sendsAtTheEnd(self) -> None:
        """What is collected while sockets are read is sent when all have read."""
        ends = self.reading(3)
        said: list[str] = []
        for end in ends:

            def does(end: End = end) -> None:
                assert turn.collected is not None
                turn.collected.append(Sends(lambda: said.append("sent")))
                said.append("read")

            end.does = does
        self.hub.doRead()
        self.assertEqual(said, ["read"] * 3 + ["sent"] * 3)
        self.assertIsNone(turn.collected)

    def test_failedToSend(self) -> None:
        """That one can't be sent to does not keep others from it."""
        sends = turn.begin()
        said: list[str] = []
        sends += [Sends(lambda: 1 // 0), Sends(lambda: said.append("sent"))]
        turn.end(sends)
        self.assertEqual(said, ["sent"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closed(self) -> None:
        """A socket that says that it is over is removed and told."""
        (end,) = self.reading()
        end.does = lambda: CONNECTION_DONE
        self.hub.doRead()
        self.assertEqual(end.calls, ["read", "lost"])
        assert end.reason is not None
        end.reason.trap(ConnectionDone)
        self.assertEqual(self.reactor.readers, set())

    def test_halfClosed(self) -> None:
        """One that knows half-closed connections is told so, and may go on writing."""
        (end,) = self.reading(kind=HalfCloseable)
        end.does = lambda: CONNECTION_DONE
        self.hub.addWriter(end)
        self.hub.doRead()
        self.assertEqual(end.calls, ["read", "half"])
        self.assertEqual(self.reactor.readers, {self.hub})

    def test_hangup(self) -> None:
        """One that does not read, whose peer is gone, is told."""
        end = End(self)
        self.hub.addWriter(end)
        self.hub.doRead()
        end.socket.shutdown(socket.SHUT_RDWR)
        end.peer.close()
        self.hub._epoll.modify(end.fileno(), 0)  # only what the kernel always tells
        self.hub.doRead()
        self.assertEqual(end.calls[-1], "lost")
        assert end.reason is not None
        end.reason.trap(ConnectionLost)

    def test_failure(self) -> None:
        """An error in one socket's protocol ends that connection and no other."""
        bad, good = self.reading(2)

        def fail() -> None:
            raise ValueError("a mistake")

        bad.does = fail
        self.hub.doRead()
        self.assertEqual((bad.calls, good.calls), (["read", "lost"], ["read"]))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_closedByAnother(self) -> None:
        """A socket that was removed while others were looked after is not asked any more."""
        ends = self.reading(2)
        for end, other in (ends, ends[::-1]):
            end.does = lambda other=other: self.hub.removeReader(other)  # type: ignore[misc]
        self.hub.doRead()
        self.assertEqual(sorted(end.calls for end in ends), [[], ["read"]])

    def test_numberUsedAgain(self) -> None:
        """What the kernel told of a closed socket is not taken for another's of its number."""
        ends = self.reading(2)
        fresh = End(self)

        def replace(other: End) -> None:
            number = other.fileno()
            self.hub.removeReader(other)
            fresh.fileno = lambda: number
            self.hub.addReader(fresh)

        for end, other in (ends, ends[::-1]):
            end.does = lambda other=other: replace(other)  # type: ignore[misc]
        self.hub.doRead()
        self.assertEqual(fresh.calls, [])

    def test_removedAfterItWasClosed(self) -> None:
        """A socket that was closed first can be removed all the same."""
        (end,) = self.reading()
        end.socket.close()
        self.hub.removeReader(end)
        self.assertEqual(self.reactor.readers, set())

    def test_removedTwice(self) -> None:
        """A socket that is not in it any more can be removed again, and no other one is."""
        end, _ = self.reading(2)
        self.hub.removeReader(end)
        self.hub.removeReader(end)
        self.hub.removeWriter(end)
        self.assertEqual(len(self.hub._sockets), 1)

    def test_removedAfterItsNumberWasUsedAgain(self) -> None:
        """Neither then is another that has its number by now taken for it."""
        (end,) = self.reading()
        number = end.fileno()
        end.socket.close()
        fresh = End(self)
        if fresh.fileno() != number:
            os.dup2(fresh.socket.fileno(), number)
            self.addCleanup(os.close, number)
            fresh.fileno = lambda: number
        fresh.peer.send(b"x")
        self.hub.addReader(fresh)
        self.hub.removeReader(end)
        self.hub.doRead()
        self.hub.doRead()
        self.assertEqual(fresh.calls, ["read"])
        self.hub.removeReader(fresh)
        self.assertEqual(self.reactor.readers, set())

    def test_readNow(self) -> None:
        """One that comes in a turn can be read in that turn, if it waits for that."""
        (end,) = self.reading()
        late, not_, gone = End(self), End(self), End(self)

        def come() -> None:
            for one in (late, not_, gone):
                one.peer.send(b"x")
                self.hub.addReader(one)
            self.hub.removeReader(not_)
            for one in (late, not_, gone):
                self.hub.readNow(one)
            self.hub.removeReader(gone)

        end.does = come
        self.hub.doRead()
        self.assertEqual([late.calls, not_.calls, gone.calls], [["read"], [], []])

    def test_failureAtTheEnd(self) -> None:
        """An error of one that is told of its end is nobody else's."""
        bad, good = self.reading(2)

        def fail(reason: Failure) -> None:
            raise ValueError("a mistake")

        bad.does = lambda: CONNECTION_DONE
        self.patch(bad, "connectionLost", fail)
        self.hub.doRead()
        self.assertEqual(good.calls, ["read"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_reactorEnds(self) -> None:
        """When the reactor ends, all sockets are told."""
        ends = self.reading(2)
        self.hub.connectionLost(Failure(ConnectionLost()))
        self.assertEqual([end.calls for end in ends], [["lost"], ["lost"]])

    def test_hubOf(self) -> None:
        """A reactor has one hub; what is none that polls is its own."""
        self.assertIs(hubOf(self.reactor), hubOf(self.reactor))
        self.assertIsNot(hubOf(PollingReactor()), hubOf(self.reactor))
        other = object()
        self.assertIs(hubOf(other), other)
