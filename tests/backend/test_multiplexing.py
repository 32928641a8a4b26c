"""Several requests on one connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IProtocol
from twisted.trial.unittest import SynchronousTestCase

from tests.backend.doubles import MemoryBody, Peer, Receiver, SharedSite, params
from twisted_fcgi.backend.sharing import ASK_AGAIN, ASK_LIMIT, MAX_SHARED, Capacity, capacityOf
from twisted_fcgi.errors import (
    ApplicationOverloaded,
    CannotMultiplex,
    ClientTooSlow,
    ConnectionDied,
    RemoteProtocolError,
    ResponseTimedOut,
)
from twisted_fcgi.settings import MemberSettings, Multiplex
from twisted_fcgi.wire import ProtocolStatus

__all__ = [
    "AbortTests",
    "AskTests",
    "CapacityTests",
    "FailureTests",
    "SharingTests",
    "SlowClientTests",
]

REFUSED = ConnectionRefusedError(111, "Connection refused")


class CapacityTests(SynchronousTestCase):
    """What an answer to GET_VALUES means."""

    def test_table(self) -> None:
        """The application says what it can, the configuration what it may."""
        no, limited = Capacity(1, None), Capacity(1, 5)
        auto, on = Multiplex.AUTO, Multiplex.ON
        for wanted, most, values, expected in (
            (auto, None, "", no),
            (auto, 5, "", limited),
            (auto, None, "M=0 C=1 R=1", no),
            (auto, None, "M=2", no),
            (auto, None, "M=1", Capacity(256, MAX_SHARED)),
            (auto, 5, "M=1", Capacity(256, 5)),
            (auto, 5, "M=1 C=3", Capacity(256, 3)),
            (auto, None, "M=1 C=1000", Capacity(256, MAX_SHARED)),
            (auto, 5, "M=1 R=100", Capacity(100, 5, 100)),
            (auto, 5, "M=1 R=1000", Capacity(256, 5, 1000)),
            (auto, 5, "M=1 R=1", limited),
            (auto, 5, "M=1 C=0 R=x", Capacity(256, 5)),
            (auto, 5, f"M=1 R={'9' * 10000}", Capacity(256, 5)),
            (on, None, "", Capacity(256, MAX_SHARED)),
            (on, None, "M=0", no),
            (on, 5, "C=3 R=7", Capacity(7, 3, 7)),
        ):
            names = {"M": b"FCGI_MPXS_CONNS", "C": b"FCGI_MAX_CONNS", "R": b"FCGI_MAX_REQS"}
            answer = {names[word[0]]: word[2:].encode() for word in values.split()}
            settings = MemberSettings("fcgi://app", multiplex=wanted, max=most)
            self.assertEqual(expected, capacityOf(answer, settings), (wanted, values[:50]))


class AskTests(SynchronousTestCase):
    """FCGI_GET_VALUES, before requests share a connection."""

    def test_asked(self) -> None:
        """It is asked on a connection of its own, which is closed then."""
        site = SharedSite(known=False)
        receiver = site.open(params(b"a"))
        asked, first = site.accept(), site.accept()
        self.assertEqual(["ValuesRequested"], asked.read().seen)
        self.assertEqual(["a"], first.read().marks)
        asked.values(b"1")
        self.assertTrue(asked.closed)
        first.answer("a", b"A")
        self.assertEqual(b"A", receiver.data)

    def test_meanwhile(self) -> None:
        """Until it has answered, each request has a connection of its own, up to a limit."""
        site = SharedSite(known=False)
        for _ in range(MAX_SHARED + 5):
            site.open()
        self.assertEqual(MAX_SHARED + 1, len(site.endpoint.attempts))
        self.assertEqual(5, site.member.describe()["waiting"])

    def test_waitingAreServed(self) -> None:
        """With its answer, those that wait go on the connections that are there."""
        site = SharedSite(known=False, max=1)
        receivers = [site.open(params(b"%d" % n)) for n in range(3)]
        asked, first = site.accept(), site.accept()
        asked.read().values(b"1")
        self.assertEqual(["0", "1", "2"], first.read().marks)
        for mark in "210":
            first.answer(mark, mark.encode())
        self.assertEqual([b"0", b"1", b"2"], [r.data for r in receivers])
        self.assertEqual([], site.endpoint.attempts)

    def test_cannot(self) -> None:
        """One that can't has as many connections as it needs."""
        site = SharedSite(known=False)
        for _ in range(MAX_SHARED + 5):
            site.open()
        site.accept().read().values(b"0")
        self.assertEqual(MAX_SHARED + 5, len(site.endpoint.attempts))

    def test_silence(self) -> None:
        """One that does not answer, or closes, can with ``on`` and can't with ``auto``."""
        for end in (
            lambda site, asked: site.clock.advance(ASK_LIMIT),
            lambda site, asked: asked.close(),
            lambda site, asked: asked.send(b"\1\x0b\0\0\0\x08\0\0\x09" + bytes(7)),
        ):
            for wanted, connections in ((Multiplex.ON, 1), (Multiplex.AUTO, 2)):
                site = SharedSite(known=False, multiplex=wanted)
                site.open(params(b"a"))
                asked, first = site.accept(), site.accept()
                end(site, asked.read())
                site.open(params(b"b"))
                self.assertEqual(connections, 1 + len(site.endpoint.attempts), wanted)
                self.assertEqual(["a", "b"][: 3 - connections], first.read().marks)

    def test_refused(self) -> None:
        """Who can't be asked is sent requests all the same."""
        site = SharedSite(known=False)
        receiver = site.open(params(b"a"))
        site.endpoint.refuse(REFUSED)
        site.accept().answer("a", b"A")
        self.assertEqual(b"A", receiver.data)

    def test_again(self) -> None:
        """It is asked again at the first connect after ASK_AGAIN seconds, and may have changed."""
        site = SharedSite()
        site.peers[0].close()
        site.clock.advance(ASK_AGAIN)
        site.open(params(b"b"))
        asked, first = site.accept(), site.accept()
        asked.read().values(b"0")
        site.open(params(b"c"))
        self.assertEqual(["b"], first.read().marks)
        self.assertEqual(1, len(site.endpoint.attempts))

    def test_noReuse(self) -> None:
        """Without reuse it is not asked: KEEP_CONN is what lets requests share."""
        site = SharedSite(known=False, reuse=False)
        site.open()
        self.assertEqual(1, len(site.endpoint.attempts))

    def test_stopped(self) -> None:
        """A member that is stopped waits for no answer."""
        site = SharedSite(known=False)
        receiver: Any = site.open()
        stopped = site.member.stop()
        receiver.stream.abort()
        self.successResultOf(stopped)
        self.assertEqual([], site.clock.getDelayedCalls())


class Beginning(Receiver):
    """Has another request begun once it is told a part of its own answer."""

    def __init__(self, site: SharedSite, second: Receiver) -> None:
        super().__init__()
        self._begin = lambda: site.member.open(params(b"b"), None, second)

    def stdoutReceived(self, data: bytes) -> None:
        super().stdoutReceived(data)
        if len(self.parts) == 1:
            self._begin()


class SharingTests(SynchronousTestCase):
    """Which connection a request goes on, and what becomes of the answers."""

    def test_interleaved(self) -> None:
        """Parts of several answers may come in any order."""
        site = SharedSite()
        receivers = [site.open(params(mark)) for mark in (b"a", b"b", b"c")]
        (peer,) = site.peers
        self.assertEqual(["a", "b", "c"], peer.read().marks)
        for part in (b"1", b"2", b"3"):
            for mark in "cab":
                peer.answer(mark, mark.encode() + part, end=part == b"3")
        self.assertEqual([b"a1a2a3", b"b1b2b3", b"c1c2c3"], [r.data for r in receivers])
        self.assertTrue(all(r.end is not None for r in receivers))
        self.assertEqual(1, site.member.describe()["idle"])
        self.assertEqual({}, site.member._pool.loads)

    def test_lowestIds(self) -> None:
        """Ids are the lowest that are free."""
        site = SharedSite()
        for mark in (b"a", b"b", b"c"):
            site.open(params(mark))
        (peer,) = site.peers
        peer.read().answer("b")
        site.open(params(b"d"))
        self.assertEqual({"a": 1, "c": 3, "d": 2}, peer.read().ids)

    def test_begunMeanwhile(self) -> None:
        """A request that is begun when another is told its answer may have the same id."""
        for answer in (b"A", b"A" * 40000):
            site = SharedSite()
            second = Receiver()
            first = Beginning(site, second)
            site.member.open(params(b"a"), None, first)
            (peer,) = site.peers
            peer.answer("a", answer)
            self.assertEqual((answer, True), (first.data, first.over))
            self.assertEqual(["b"], peer.read().marks)
            self.assertFalse(second.over)
            peer.answer("b", b"B")
            self.assertEqual((b"B", True), (second.data, second.over))

    def test_fewest(self) -> None:
        """A connection is made when all are full; before, the one with the fewest is used."""
        site = SharedSite(maxStreams=2)
        for n in range(3):
            site.open(params(b"%d" % n))
        site.accept()
        for n in range(3, 5):
            site.open(params(b"%d" % n))
        self.assertEqual(1, len(site.endpoint.attempts))
        self.assertEqual([["0", "1"], ["2", "3"]], [p.read().marks for p in site.peers])
        site.peers[0].answer("0")
        self.assertEqual(["1", "4"], site.peers[0].read().marks)

    def test_promised(self) -> None:
        """No more connects are begun than those that wait will need."""
        site = SharedSite(maxStreams=10, max=3)
        receivers = [site.open(params(b"%d" % n)) for n in range(35)]
        self.assertEqual(2, len(site.endpoint.attempts))
        self.assertEqual(5 + 20, len(site.member._pool.waiting))
        self.assertEqual(5, len([r for r in receivers if site.member._pool.queued(r.stream)]))
        while site.endpoint.attempts:
            site.accept()
        self.assertEqual([10, 10, 10], [len(p.read().marks) for p in site.peers])
        self.assertEqual(5, site.member.describe()["waiting"])
        for _ in range(2):
            for peer in site.peers:
                for mark in peer.read().marks:
                    peer.answer(mark, mark.encode())
        self.assertEqual([b"%d" % n for n in range(35)], [r.data for r in receivers])

    def test_mostRequests(self) -> None:
        """No more requests at a time than FCGI_MAX_REQS, on however many connections."""
        site = SharedSite(values={b"FCGI_MAX_REQS": b"3"}, maxStreams=2)
        for n in range(5):
            site.open(params(b"%d" % n))
        site.accept()
        self.assertEqual([["0", "1"], ["2"]], [p.read().marks for p in site.peers])
        self.assertEqual([], site.endpoint.attempts)
        site.peers[1].answer("2")
        self.assertEqual(["3"], site.peers[1].read().marks)

    def test_maxRequests(self) -> None:
        """After ``keepaliverequests`` a connection takes no more, and ends with its last one."""
        site = SharedSite(maxRequests=3)  # the first was there to have a connection
        receivers = [site.open(params(mark)) for mark in (b"a", b"b", b"c")]
        self.assertEqual(["a", "b"], site.peers[0].read().marks)
        self.assertEqual(["c"], site.accept().read().marks)
        site.peers[0].answer("a", b"A")
        self.assertFalse(site.peers[0].closed)
        site.peers[0].answer("b", b"B")
        self.assertTrue(site.peers[0].closed)
        self.assertEqual([b"A", b"B"], [r.data for r in receivers[:2]])

    def test_upload(self) -> None:
        """Bodies of several requests go side by side."""
        site = SharedSite()
        bodies = [MemoryBody(length=6, whole=False) for _ in range(2)]
        for n, body in enumerate(bodies):
            site.open(params(b"%d" % n, b"POST"), body)
        for part in (b"x", b"y"):
            for n, body in enumerate(bodies):
                body.give(b"%d-" % n + part, whole=part == b"y")
        stdin = site.peers[0].read().stdin
        self.assertEqual([b"0-x0-y", b"1-x1-y"], [stdin["0"], stdin["1"]])

    def test_earlyAnswer(self) -> None:
        """An answer before the end of its request's body leaves the connection as it was."""
        site = SharedSite()
        receiver = site.open(params(b"a", b"POST"), MemoryBody(b"x", length=9, whole=False))
        other = site.open(params(b"b"))
        (peer,) = site.peers
        peer.read().answer("a", b"A")
        peer.answer("b", b"B")
        self.assertEqual([b"A", b"B"], [receiver.data, other.data])
        self.assertEqual(1, site.member.describe()["idle"])

    def test_interface(self) -> None:
        """A connection that is shared is a protocol as before."""
        connection = SharedSite().peers[0].connection
        self.assertTrue(IProtocol.providedBy(connection))
        self.assertIn("idle, 1 requests", repr(connection))


class SlowClientTests(SynchronousTestCase):
    """Who does not read holds up nobody else."""

    def opened(self, **settings: Any) -> tuple[SharedSite, Peer, Receiver, Receiver]:
        site = SharedSite(maxStreamBuffer=1000, **settings)
        slow, quick = site.open(params(b"slow")), site.open(params(b"quick"))
        slow.stream.pauseProducing()  # type: ignore[union-attr]
        return site, site.peers[0].read(), slow, quick

    def test_goesOn(self) -> None:
        """The connection is read on, and the slow client gets all of it in the end."""
        _, peer, slow, quick = self.opened()
        expected = b""
        for n in range(100):
            part = b"%02d" % n * 250
            expected += part
            peer.answer("slow", part, end=n == 99)
            peer.answer("quick", part[:2], end=n == 99)
        self.assertEqual("producing", peer.transport.producerState)
        self.assertEqual(200, len(quick.data))
        self.assertEqual(b"", slow.data)
        unread = slow.stream.unread  # type: ignore[union-attr]
        self.assertEqual((1000, 49000), (unread.size, 268435456 - unread.spool.left))
        slow.stream.resumeProducing()  # type: ignore[union-attr]
        self.assertEqual(expected, slow.data)
        self.assertIsNotNone(slow.end)
        self.assertEqual(268435456, unread.spool.left)

    def test_inTurns(self) -> None:
        """It may read now and then."""
        _, peer, slow, _ = self.opened()
        stream: Any = slow.stream
        expected = b""
        for n in range(50):
            for _ in range(3):
                part = b"%02d" % n * 300
                expected += part
                peer.answer("slow", part, end=False)
            if n % 7 == 3:
                stream.resumeProducing()
                self.assertEqual(expected, slow.data)
                stream.pauseProducing()
        peer.answer("slow")
        stream.resumeProducing()
        self.assertEqual(expected, slow.data)

    def test_tooSlow(self) -> None:
        """One for whom more would have to be held than ``maxspool`` is cut off; others live."""
        site, peer, slow, quick = self.opened(maxSpool=2000)
        for _ in range(7):
            peer.answer("slow", b"x" * 500, end=False)
        self.assertIsInstance(slow.error, ClientTooSlow)
        self.assertEqual(["slow"], peer.read().aborted)
        peer.answer("quick", b"Q")
        self.assertEqual(b"Q", quick.data)
        peer.answer("slow")
        site.open(params(b"next"))
        self.assertEqual(["next"], peer.read().marks)
        self.assertEqual(2000, site.peers[0].connection._spool.left)

    def test_alone(self) -> None:
        """Who has the connection for itself stops it; another one has it read on."""
        site, peer, slow, _ = self.opened()
        peer.answer("quick")
        peer.answer("slow", b"x" * 1000, end=False)
        self.assertEqual("paused", peer.transport.producerState)
        another = site.open(params(b"another"))
        self.assertEqual("producing", peer.transport.producerState)
        peer.read().answer("slow", b"y" * 1000, end=False)
        peer.answer("another", b"A")
        self.assertEqual(b"A", another.data)
        peer.answer("slow", b"z" * 1000, end=False)
        self.assertEqual("paused", peer.transport.producerState)
        slow.stream.resumeProducing()  # type: ignore[union-attr]
        self.assertEqual("producing", peer.transport.producerState)
        self.assertEqual(3000, len(slow.data))

    def test_leaves(self) -> None:
        """When it leaves, what was held for it is forgotten."""
        site, peer, slow, _ = self.opened()
        for _ in range(5):
            peer.answer("slow", b"x" * 500, end=False)
        spool = site.peers[0].connection._spool
        self.assertLess(spool.left, spool.limit)
        slow.stream.abort()  # type: ignore[union-attr]
        self.assertEqual(spool.limit, spool.left)


class AbortTests(SynchronousTestCase):
    """One stream ends before its time."""

    def test_others(self) -> None:
        """ABORT_REQUEST for one leaves the others alone, and its id is used again."""
        site = SharedSite()
        first, second = site.open(params(b"a")), site.open(params(b"b"))
        first.stream.abort()  # type: ignore[union-attr]
        (peer,) = site.peers
        self.assertEqual(["a"], peer.read().aborted)
        peer.answer("a", b"late")
        peer.answer("b", b"B")
        self.assertEqual((b"", b"B"), (first.data, second.data))
        self.assertEqual(1, site.member.describe()["idle"])

    def test_notEnded(self) -> None:
        """An application that does not end it gets no more there; the others go on."""
        site = SharedSite(abortGrace=1)
        first, second = site.open(params(b"a")), site.open(params(b"b"))
        first.stream.abort()  # type: ignore[union-attr]
        (peer,) = site.peers
        site.clock.advance(1)
        self.assertFalse(peer.closed)
        site.open(params(b"c"))
        self.assertEqual(["c"], site.accept().read().marks)
        peer.read().answer("b", b"B")
        self.assertEqual(b"B", second.data)
        self.assertTrue(peer.closed)

    def test_noneLeft(self) -> None:
        """When all are aborted and not ended, the connection is closed."""
        site = SharedSite(abortGrace=1)
        for receiver in [site.open(params(mark)) for mark in (b"a", b"b")]:
            receiver.stream.abort()  # type: ignore[union-attr]
        site.clock.advance(1)
        self.assertTrue(site.peers[0].closed)

    def test_silent(self) -> None:
        """A stream that is silent for too long is a 504, whatever comes for the others."""
        site = SharedSite(timeout=10)
        first, second = site.open(params(b"a")), site.open(params(b"b"))
        (peer,) = site.peers
        peer.read()
        for _ in range(10):
            site.clock.advance(1)
            peer.answer("b", b"B", end=False)
        self.assertIsInstance(first.error, ResponseTimedOut)
        self.assertEqual(["a"], peer.read().aborted)
        peer.answer("b")
        self.assertEqual(b"B" * 10, second.data)
        self.assertFalse(peer.closed)

    def test_allSilent(self) -> None:
        """A connection on which nothing at all comes takes no more."""
        site = SharedSite(timeout=10)
        first = site.open(params(b"a"))
        site.clock.advance(5)
        second = site.open(params(b"b"))
        site.clock.advance(5)
        self.assertIsInstance(first.error, ResponseTimedOut)
        site.open(params(b"c"))
        self.assertEqual(1, len(site.endpoint.attempts))
        site.peers[0].read().answer("b", b"B")
        self.assertEqual(b"B", second.data)


class FailureTests(SynchronousTestCase):
    """A connection fails with several requests on it."""

    def test_eachByItsRules(self) -> None:
        """Those that may be sent again are, when nothing came of them; the others fail."""
        site = SharedSite()
        begun = site.open(params(b"begun"))
        again = site.open(params(b"again"))
        post = site.open(params(b"post", b"POST"))
        (peer,) = site.peers
        peer.read().answer("begun", b"half", end=False)
        peer.close()
        for failed in (begun, post):
            self.assertIsInstance(failed.error, ConnectionDied)
        self.assertFalse(again.over)
        site.accept().read().answer("again", b"whole")
        self.assertEqual(b"whole", again.data)
        self.assertEqual(b"half", begun.data)

    def test_violation(self) -> None:
        """So it is when the application breaks the protocol."""
        site = SharedSite()
        begun, again = site.open(params(b"begun")), site.open(params(b"again"))
        (peer,) = site.peers
        peer.read().answer("begun", b"half", end=False)
        peer.send(b"\1\6\0\x09\0\1\0\0x")
        self.assertTrue(peer.closed)
        self.assertIsInstance(begun.error, RemoteProtocolError)
        site.accept().read().answer("again", b"whole")
        self.assertEqual((b"half", b"whole"), (begun.data, again.data))

    def test_onceOnly(self) -> None:
        """A request is sent again once."""
        site = SharedSite()
        receiver = site.open(params(b"a"))
        site.peers[0].close()
        site.accept().close()
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_refused(self) -> None:
        """Who is refused beside others goes elsewhere, and that many is the limit from then."""
        for status, limit in (
            (ProtocolStatus.OVERLOADED, 2),
            (ProtocolStatus.CANT_MPX_CONN, 1),
        ):
            site = SharedSite()
            receivers = [site.open(params(b"%d" % n, b"POST")) for n in range(3)]
            (peer,) = site.peers
            peer.read().answer("2", status=status)
            self.assertEqual(["2"], site.accept().read().marks)
            site.peers[1].answer("2", b"two")
            self.assertEqual(b"two", receivers[2].data)
            for n in range(3, 6):
                site.open(params(b"%d" % n))
            while site.endpoint.attempts:
                site.accept()
            self.assertEqual(limit, max(len(p.read().marks) for p in site.peers[1:]))

    def test_refusedAlone(self) -> None:
        """Who is refused without others is refused."""
        for status, error in (
            (ProtocolStatus.OVERLOADED, ApplicationOverloaded),
            (ProtocolStatus.CANT_MPX_CONN, CannotMultiplex),
        ):
            site = SharedSite()
            receiver = site.open(params(b"a"))
            site.peers[0].read().answer("a", status=status)
            self.assertIsInstance(receiver.error, error)

    def test_refusedTwice(self) -> None:
        """One that is then refused without others, or too often, is told so."""
        site = SharedSite()
        receivers = [site.open(params(b"%d" % n)) for n in range(2)]
        site.peers[0].read().answer("1", status=ProtocolStatus.OVERLOADED)
        site.accept().read().answer("1", status=ProtocolStatus.OVERLOADED)
        self.assertIsInstance(receivers[1].error, ApplicationOverloaded)
        site = SharedSite(max=1)
        receivers = [site.open(params(b"%d" % n)) for n in range(20)]
        for _ in range(20):
            for mark in site.peers[0].read().marks[1:]:
                site.peers[0].answer(mark, status=ProtocolStatus.OVERLOADED)
        self.assertFalse(receivers[0].over)
