"""Tests for :mod:`twisted_fcgi.backend.protocol` and the streams on its connections."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.backend.doubles import GET, POST, Application, MemoryBody, Receiver, connected
from twisted_fcgi.backend.connection import LAST_LOOK
from twisted_fcgi.backend.protocol import FastCGIClientProtocol
from twisted_fcgi.backend.stream import Stream
from twisted_fcgi.backend.uploads import SMALL_BODY
from twisted_fcgi.errors import (
    AbortedByClient,
    ApplicationOverloaded,
    BadRequest,
    BrokenResponse,
    CannotMultiplex,
    ConnectionDied,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseTimedOut,
)
from twisted_fcgi.interfaces import IBodyConsumer, IStream
from twisted_fcgi.wire import EndRequest, ProtocolStatus, Role

__all__ = [
    "AbortTests",
    "DownloadTests",
    "EndTests",
    "OddityTests",
    "RequestTests",
    "TimeoutTests",
    "UploadTests",
    "ValuesTests",
]


class Owner:
    """Records what becomes of a connection."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def connectionHeard(self, connection: Any) -> None:
        pass

    def connectionFreed(self, connection: FastCGIClientProtocol) -> None:
        self.calls.append("freed")

    def connectionClosing(self, connection: FastCGIClientProtocol) -> None:
        self.calls.append("closing")

    def connectionEnded(self, connection: FastCGIClientProtocol) -> None:
        self.calls.append("ended")


class Case(SynchronousTestCase):
    """One connection, its application and what is logged."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.owner = Owner()
        self.connection, self.application = connected(
            self.clock, name="app:9000", owner=self.owner, maxStreamBuffer=1000
        )
        self.transport = self.application.transport
        self.logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    def open(
        self, params: Any = GET, body: Any = None, then: Any = None, **how: Any
    ) -> tuple[Receiver, Any]:
        receiver = Receiver(then)
        stream = self.connection.open(params, body, receiver, **how)
        receiver.stream = stream
        return receiver, stream

    def assertReusable(self) -> None:
        """Another request goes through on the same connection."""
        receiver, _ = self.open()
        self.application.say(b"next")
        self.assertEqual(b"next", receiver.data)
        self.assertIsNotNone(receiver.end)
        self.assertFalse(self.application.closed)


class RequestTests(Case):
    """How a request leaves."""

    def test_oneWrite(self) -> None:
        """A request without a body leaves whole, in one write, before open() returns."""
        self.open()
        self.assertEqual(1, len(self.transport.writes))
        self.application.read()
        self.assertEqual(dict(GET), self.application.params)
        self.assertTrue(self.application.stdinEnded)
        self.assertEqual((1, Role.RESPONDER, True), tuple(self.application.begun or ()))

    def test_bodyInOneWrite(self) -> None:
        """A body that is there leaves along with its request, in one write."""
        body = MemoryBody(b"abc", b"defg")
        self.open(POST, body)
        self.assertEqual(1, len(self.transport.writes))
        self.application.read()
        self.assertEqual(b"abcdefg", self.application.stdin)
        self.assertTrue(self.application.stdinEnded)
        self.assertIsNone(self.transport.producer)

    def test_firstPartInOneWrite(self) -> None:
        """The part of a body that is there leaves along with its request."""
        body = MemoryBody(b"abc", length=6, whole=False)
        self.open(POST, body)
        self.assertEqual(1, len(self.transport.writes))
        body.give(b"def")
        self.assertEqual(2, len(self.transport.writes))
        self.application.read()
        self.assertEqual(b"abcdef", self.application.stdin)
        self.assertTrue(self.application.stdinEnded)

    def test_emptyBody(self) -> None:
        """A body of no bytes is an ended STDIN."""
        self.open(POST, MemoryBody())
        self.application.read()
        self.assertTrue(self.application.stdinEnded)

    def test_unknownLength(self) -> None:
        """A body without a length ends when it says so."""
        body = MemoryBody(b"abc", whole=False)
        body.length = None
        self.open(POST, body)
        self.application.read()
        self.assertFalse(self.application.stdinEnded)
        body.give(whole=True)
        self.application.read()
        self.assertTrue(self.application.stdinEnded)

    def test_authorizer(self) -> None:
        """An authorizer is sent no STDIN."""
        self.open(role=Role.AUTHORIZER)
        self.assertEqual(["Begin", "Params"], self.application.read().seen)

    def test_withoutKeeping(self) -> None:
        """A connection that is not kept says so, and is closed after END_REQUEST."""
        connection, application = connected(keepConnection=False)
        receiver = Receiver()
        connection.open(GET, None, receiver)
        application.say(b"x")
        self.assertFalse(application.begun and application.begun.keepConnection)
        self.assertIsNotNone(receiver.end)
        self.assertTrue(application.closed)

    def test_busy(self) -> None:
        """A second request on a busy connection is the caller's error, and changes nothing."""
        receiver, _ = self.open()
        self.assertRaises(LocalProtocolError, self.open)
        self.application.say(b"one")
        self.assertEqual(b"one", receiver.data)
        self.assertReusable()

    def test_interfaces(self) -> None:
        """A stream is what it says it is."""
        _, stream = self.open()
        verifyObject(IStream, stream)
        verifyObject(IBodyConsumer, stream)

    def test_repr(self) -> None:
        """A connection and a stream show their state."""
        self.assertEqual("<connection to app:9000: idle, 0 requests>", repr(self.connection))
        _, stream = self.open()
        self.assertEqual(
            "<Stream GET /a?b: 1 on <connection to app:9000: busy, 1 requests>>", repr(stream)
        )
        stream.abort()
        self.assertIn("aborted", repr(stream))
        self.application.say()
        self.assertEqual("<Stream GET /a?b: over>", repr(stream))
        self.assertEqual("<connection to app:9000: closing, 1 requests>", repr(self.connection))


class EndTests(Case):
    """How a request ends."""

    def test_complete(self) -> None:
        """END_REQUEST ends the stream, with its appStatus; the connection is free before that."""
        receiver, _ = self.open(then=lambda: self.owner.calls.append("told"))
        self.application.say(b"answer", appStatus=3)
        self.assertEqual(b"answer", receiver.data)
        self.assertEqual(EndRequest(1, 3, 0), receiver.end)
        self.assertEqual(["freed", "told"], self.owner.calls)
        self.assertReusable()

    def test_anyCut(self) -> None:
        """An answer is the same whole, byte by byte, and in parts of any size."""
        for size in range(1, 40):
            receiver, _ = self.open()
            data = self.application.read().answer(b"some answer", stderr=b"x\n")
            for at in range(0, len(data), size):
                self.application.send(data[at : at + size])
            self.assertEqual(b"some answer", receiver.data)
            self.assertIsNotNone(receiver.end)
        self.assertFalse(self.application.closed)
        self.assertEqual(["freed"] * 39, self.owner.calls)

    def test_paddingBehind(self) -> None:
        """A connection is free once the padding of END_REQUEST has come, and not before."""
        receiver, _ = self.open()
        self.application.read()
        self.application.send(b"\1\3\0\1\0\x08\x07\0" + bytes(8))
        self.assertIsNotNone(receiver.end)
        self.assertEqual([], self.owner.calls)
        self.application.send(bytes(6))
        self.assertEqual([], self.owner.calls)
        self.application.send(bytes(1))
        self.assertEqual(["freed"], self.owner.calls)
        self.clock.advance(100)
        self.assertFalse(self.application.closed)

    def test_nextOneIsAtHand(self) -> None:
        """Whoever is told of the end can open the next request at once."""
        second = Receiver()
        self.open(then=lambda: self.connection.open(GET, None, second))
        self.application.say(b"one")
        self.application.say(b"two")
        self.assertEqual(b"two", second.data)

    def refused(self, status: int, stdout: bytes = b"") -> Any:
        receiver, _ = self.open()
        self.application.say(stdout, status=status)
        self.assertIsNone(receiver.end)
        return receiver.error

    def test_overloaded(self) -> None:
        """FCGI_OVERLOADED is a 503 that may be tried elsewhere; the connection lives on."""
        error = self.refused(ProtocolStatus.OVERLOADED)
        self.assertIsInstance(error, ApplicationOverloaded)
        self.assertEqual((503, True), (error.status, error.retryable))
        self.assertReusable()

    def test_overloadedAfterAll(self) -> None:
        """An application that answered and then says that it did not begin is not believed."""
        error = self.refused(ProtocolStatus.OVERLOADED, b"half")
        self.assertFalse(error.retryable)

    def test_cannotMultiplex(self) -> None:
        """FCGI_CANT_MPX_CONN is a 503 that may be tried elsewhere."""
        error = self.refused(ProtocolStatus.CANT_MPX_CONN)
        self.assertIsInstance(error, CannotMultiplex)
        self.assertEqual((503, True), (error.status, error.retryable))

    def test_unknownRole(self) -> None:
        """FCGI_UNKNOWN_ROLE is a 502."""
        error = self.refused(ProtocolStatus.UNKNOWN_ROLE)
        self.assertIsInstance(error, BrokenResponse)
        self.assertEqual((502, False), (error.status, error.retryable))

    def test_unknownStatus(self) -> None:
        """A status that nobody knows is a 502, not a success."""
        self.assertIsInstance(self.refused(99), BrokenResponse)

    def test_diedWithoutAnswer(self) -> None:
        """A connection that ends without END_REQUEST fails its stream with a 503, for good."""
        for clean, said in (
            (True, "closed the connection before it ended the request"),
            (False, "broke off the connection before it ended the request"),
        ):
            self.setUp()
            receiver, _ = self.open()
            self.application.close(clean)
            error: Any = receiver.error
            self.assertIsInstance(error, ConnectionDied)
            self.assertEqual((503, False), (error.status, error.retryable))
            self.assertEqual(f"app:9000 {said}", error.reason)
            self.assertEqual(["closing", "ended"], self.owner.calls)

    def test_diedInAnswer(self) -> None:
        """What came of an answer before the connection ended is delivered, then the failure."""
        receiver, _ = self.open()
        self.application.read()
        self.application.send(self.application.answer(b"half", end=False))
        self.application.close()
        self.assertEqual(b"half", receiver.data)
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_untouched(self) -> None:
        """Only a connection that is kept, and gave no byte for the request, is untouched."""
        for keep in (True, False):
            connection, application = connected(keepConnection=keep)
            receiver = Receiver()
            connection.open(GET, None, receiver)
            application.close()
            self.assertEqual(keep, receiver.error.untouched)  # type: ignore[union-attr]
        for said, untouched in ((b"", True), (b"\1", False)):
            self.setUp()
            self.assertReusable()
            receiver, _ = self.open()
            if said:
                self.application.send(said)
            self.application.close()
            self.assertEqual(untouched, receiver.error.untouched)  # type: ignore[union-attr]

    def test_nothingWasSent(self) -> None:
        """When the transport knows that no byte left, the failure may be tried again."""
        for sent, retryable in ((0, True), (1, False)):
            self.setUp()
            self.transport.sent = 0  # type: ignore[attr-defined]
            receiver, _ = self.open()
            self.transport.sent = sent  # type: ignore[attr-defined]
            self.application.close()
            self.assertEqual(retryable, receiver.error.retryable)  # type: ignore[union-attr]

    def test_closedAfterStdout(self) -> None:
        """A response whose STDOUT was ended is whole, even if the connection ends next."""
        receiver, _ = self.open()
        self.application.read()
        self.application.send(
            self.application.answer(b"all", end=False) + self.application.wire.endStdout(1)
        )
        self.assertFalse(receiver.over)
        self.application.close()
        self.assertEqual((b"all", EndRequest(1, 0, 0)), (receiver.data, receiver.end))

    def test_earlyAnswer(self) -> None:
        """An answer before the body was sent ends the upload, and the connection."""
        body = MemoryBody(b"abc", length=10, whole=False)
        receiver, _ = self.open(POST, body)
        self.application.say(b"enough")
        self.assertIsNotNone(receiver.end)
        self.assertEqual(["deliver", "discard"], body.calls)
        self.assertTrue(self.application.closed)
        self.assertEqual(["closing"], self.owner.calls)
        written = len(self.transport.writes)
        body.give(b"late")
        self.assertEqual(written, len(self.transport.writes))


class DownloadTests(Case):
    """A client that does not read."""

    def test_pausedAndResumed(self) -> None:
        """While a stream is paused nothing is delivered; then all of it, in its order."""
        receiver, stream = self.open()
        self.application.read()
        stream.pauseProducing()
        self.application.send(self.application.answer(b"one", end=False))
        self.application.send(self.application.answer(b"two", end=False))
        self.assertEqual(b"", receiver.data)
        stream.resumeProducing()
        self.assertEqual(b"onetwo", receiver.data)
        self.application.send(self.application.answer(b"three"))
        self.assertEqual(b"onetwothree", receiver.data)
        self.assertIsNotNone(receiver.end)

    def test_bounded(self) -> None:
        """Once maxStreamBuffer is held the connection is not read, until the stream goes on."""
        receiver, stream = self.open()
        self.application.read()
        stream.pauseProducing()
        self.application.send(self.application.answer(b"x" * 999, end=False))
        self.assertEqual("producing", self.transport.producerState)
        self.application.send(self.application.answer(b"x", end=False))
        self.assertEqual("paused", self.transport.producerState)
        stream.resumeProducing()
        self.assertEqual("producing", self.transport.producerState)
        self.assertEqual(1000, len(receiver.data))

    def test_takesMuch(self) -> None:
        """It asks for much at once as long as no stream on it is paused."""
        _, stream = self.open()
        self.assertTrue(self.connection.takesMuch)
        stream.pauseProducing()
        self.assertFalse(self.connection.takesMuch)
        stream.resumeProducing()
        self.assertTrue(self.connection.takesMuch)

    def test_endWhilePaused(self) -> None:
        """The application is let go when it is ready, even if the client is not."""
        receiver, stream = self.open()
        stream.pauseProducing()
        self.application.say(b"x" * 2000)
        self.assertEqual(["freed"], self.owner.calls)
        self.assertEqual("producing", self.transport.producerState)
        self.assertFalse(receiver.over)
        other, _ = self.open()
        self.application.say(b"other")
        self.assertEqual((b"", b"other"), (receiver.data, other.data))
        stream.resumeProducing()
        self.assertEqual(b"x" * 2000, receiver.data)
        self.assertIsNotNone(receiver.end)

    def test_failureWhilePaused(self) -> None:
        """A failure comes after what was held."""
        receiver, stream = self.open()
        stream.pauseProducing()
        self.application.say(b"half", end=False)
        self.application.close()
        self.assertFalse(receiver.over)
        stream.resumeProducing()
        self.assertEqual(b"half", receiver.data)
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_pausedInDelivery(self) -> None:
        """A receiver that pauses while it is delivered to gets no more than that part."""
        receiver, stream = self.open()
        self.application.read()
        taken = receiver.stdoutReceived

        def takeOne(data: bytes) -> None:
            taken(data)
            stream.pauseProducing()

        receiver.stdoutReceived = takeOne  # type: ignore[method-assign]
        answer = [self.application.answer(part, end=False) for part in (b"1", b"2", b"3")]
        self.application.send(b"".join(answer))
        self.assertEqual([b"1"], receiver.parts)
        stream.resumeProducing()
        self.assertEqual([b"1", b"2"], receiver.parts)
        stream.resumeProducing()
        stream.resumeProducing()
        self.assertEqual([b"1", b"2", b"3"], receiver.parts)

    def test_resumedTwice(self) -> None:
        """Resuming what is not paused does nothing."""
        receiver, stream = self.open()
        stream.resumeProducing()
        self.application.say(b"x")
        stream.resumeProducing()
        self.assertEqual(b"x", receiver.data)

    def test_flatMemory(self) -> None:
        """However much an application sends, what is held is the limit and one read at most."""
        receiver, stream = self.open()
        self.application.read()
        part = self.application.answer(b"y" * 4000, end=False)
        stream.pauseProducing()
        for _ in range(50):
            if self.transport.producerState == "producing":
                self.application.send(part)
            self.assertLessEqual(stream.unread.size, 1000 + 4000)
            receiver.parts.clear()
            stream.resumeProducing()
            stream.pauseProducing()


class UploadTests(Case):
    """An application that does not read."""

    def big(self, **how: Any) -> MemoryBody:
        return MemoryBody(b"a" * 100, length=SMALL_BODY + 1, whole=False, **how)

    def test_paused(self) -> None:
        """While the transport is full the body is paused."""
        body = self.big()
        self.open(POST, body)
        self.assertIs(self.connection.uploads, self.transport.producer)
        verifyObject(IPushProducer, self.transport.producer)
        self.transport.producer.pauseProducing()
        self.transport.producer.pauseProducing()
        self.transport.producer.resumeProducing()
        self.assertEqual(["deliver", "pause", "resume"], body.calls)

    def test_ended(self) -> None:
        """With the end of the body the transport is free of its producer."""
        body = self.big()
        self.open(POST, body)
        body.give(b"b" * (SMALL_BODY - 99))
        self.assertIsNone(self.transport.producer)
        self.application.read()
        self.assertTrue(self.application.stdinEnded)
        self.application.say(b"done")
        self.assertReusable()

    def test_pausedWhileItIsDelivered(self) -> None:
        """A large body that is all there is paused before all of it is in memory."""
        parts = [b"z" * 16384] * 20
        body = MemoryBody(*parts)
        write = self.transport.write

        def full(data: bytes) -> None:
            write(data)
            if self.transport.producer is not None:
                self.transport.producer.pauseProducing()

        self.transport.write = full  # type: ignore[method-assign]
        self.open(POST, body)
        self.assertEqual(["deliver", "pause"], body.calls)
        self.assertLess(len(self.transport.value()), 6 * 16384)
        self.transport.write = write  # type: ignore[method-assign]
        self.transport.producer.resumeProducing()
        self.application.read()
        self.assertEqual(b"z" * 16384 * 20, self.application.stdin)
        self.assertTrue(self.application.stdinEnded)

    def test_tooLong(self) -> None:
        """A body that is longer than it said is an error; the excess is not sent."""
        body = MemoryBody(b"abc", length=4, whole=False)
        receiver, _ = self.open(POST, body)
        body.give(b"de")
        self.assertIsInstance(receiver.error, BadRequest)
        self.application.read()
        self.assertEqual(b"abc", self.application.stdin)
        self.assertTrue(self.application.aborted)

    def test_tooShort(self) -> None:
        """A body that ends before its length is an error; the application is not told an end."""
        body = MemoryBody(b"abc", length=4, whole=False)
        receiver, _ = self.open(POST, body)
        body.give(whole=True)
        self.assertIsInstance(receiver.error, BadRequest)
        self.application.read()
        self.assertFalse(self.application.stdinEnded)
        self.assertTrue(self.application.aborted)

    def test_failed(self) -> None:
        """A body that fails aborts the request; the receiver is told once, and why."""
        body = self.big()
        receiver, stream = self.open(POST, body)
        error = AbortedByClient("gone")
        stream.fail(error)
        stream.fail(error)
        stream.write(b"late")
        stream.finish()
        self.assertIs(error, receiver.error)
        self.assertIsNone(self.transport.producer)
        self.application.read()
        self.assertTrue(self.application.aborted)
        self.application.say()
        self.assertTrue(self.application.closed)

    def test_diedInUpload(self) -> None:
        """When the connection ends the body is paused, not thrown away."""
        body = self.big()
        receiver, _ = self.open(POST, body)
        self.application.close(clean=False)
        self.assertEqual(["deliver", "pause"], body.calls)
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_endIsBeingTold(self) -> None:
        """A body that goes on while its request's end is told harms nobody."""
        body = MemoryBody(b"a", length=9, whole=False)
        receiver, _ = self.open(POST, body)
        taken = receiver.stdoutReceived
        receiver.stdoutReceived = (  # type: ignore[method-assign]
            lambda data: (taken(data), body.give(b"12345678"))
        )
        self.application.say(b"early")
        self.assertEqual(b"early", receiver.data)
        self.assertIsNotNone(receiver.end)
        self.assertTrue(self.application.closed)


class AbortTests(Case):
    """A response that is not wanted any more."""

    def test_told(self) -> None:
        """ABORT_REQUEST is sent, the body let go, and the receiver told nothing more."""
        body = MemoryBody(b"abc", length=9, whole=False)
        receiver, stream = self.open(POST, body)
        stream.abort()
        stream.abort()
        self.application.read()
        self.assertEqual(1, self.application.seen.count("Abort"))
        self.assertEqual(["deliver", "discard"], body.calls)
        self.application.send(self.application.answer(b"late"))
        self.assertEqual((b"", False), (receiver.data, receiver.over))

    def test_closedAfterItsEnd(self) -> None:
        """A connection whose request was aborted is not used again."""
        _, stream = self.open()
        stream.abort()
        self.assertFalse(self.application.closed)
        self.application.say()
        self.assertTrue(self.application.closed)
        self.assertEqual(["closing"], self.owner.calls)

    def test_grace(self) -> None:
        """An application that does not end the request within abortGrace is left."""
        _, stream = self.open(timeout=60)
        stream.abort()
        self.clock.advance(4.9)
        self.assertFalse(self.application.closed)
        self.clock.advance(0.1)
        self.assertTrue(self.application.closed)

    def test_graceAfterWaiting(self) -> None:
        """So is it when the body fails as it is sent, however long a connection was waited for."""
        receiver = Receiver()
        stream = Stream(POST, MemoryBody(b"abc", length=2), receiver, 1, 60.0)
        stream.limit = 100.0
        self.connection.start(stream)
        self.assertIsInstance(receiver.error, BadRequest)
        self.clock.advance(4.9)
        self.assertFalse(self.application.closed)
        self.clock.advance(0.1)
        self.assertTrue(self.application.closed)

    def test_readsAgain(self) -> None:
        """A stream that held up its connection does so no more, so that its end is seen."""
        _, stream = self.open()
        self.application.read()
        stream.pauseProducing()
        self.application.send(self.application.answer(b"x" * 1000, end=False))
        self.assertEqual("paused", self.transport.producerState)
        stream.abort()
        self.assertEqual("producing", self.transport.producerState)

    def test_inItsDelivery(self) -> None:
        """A receiver may abort while it is delivered to, wherever the answer then ends."""
        for more in ({"end": True}, {"end": False}):
            self.setUp()
            receiver, stream = self.open()
            receiver.stdoutReceived = lambda _, s=stream: s.abort()  # type: ignore
            self.application.read()
            part = self.application.answer(b"bad", end=False)
            self.application.send(part + self.application.answer(b"rest", **more))
            self.assertFalse(receiver.over)
            self.assertEqual(more["end"], self.application.closed)
            self.assertEqual(not more["end"], self.application.read().aborted)
            self.assertNotIn("freed", self.owner.calls)

    def test_beforeViolation(self) -> None:
        """So may it when a violation comes next."""
        receiver, stream = self.open()
        self.application.read()
        receiver.stdoutReceived = lambda data: stream.abort()  # type: ignore[method-assign]
        self.application.send(self.application.answer(b"bad", end=False) + b"\xff" * 8)
        self.assertTrue(self.application.closed)

    def test_heldAnswer(self) -> None:
        """A stream that is over for its connection is dropped with what it held."""
        receiver, stream = self.open()
        stream.pauseProducing()
        self.application.say(b"all of it")
        stream.abort()
        stream.resumeProducing()
        self.assertEqual((b"", False), (receiver.data, receiver.over))
        self.assertReusable()

    def test_lost(self) -> None:
        """The end of the connection of an aborted stream is nobody's concern."""
        receiver, stream = self.open()
        stream.abort()
        self.application.close()
        self.assertFalse(receiver.over)
        self.assertEqual([], self.clock.getDelayedCalls()[1:])


class TimeoutTests(Case):
    """Silence."""

    def test_silent(self) -> None:
        """An application that says nothing for ``timeout`` is a 504, and left."""
        receiver, _ = self.open(timeout=3)
        self.clock.advance(2.9)
        self.assertFalse(receiver.over)
        self.clock.advance(0.1)
        self.assertIsInstance(receiver.error, ResponseTimedOut)
        self.assertTrue(self.application.closed)
        self.assertEqual(504, receiver.error.status)  # type: ignore[union-attr]

    def test_eachByteCounts(self) -> None:
        """The time is that of each silence, not of the whole; a part of a record ends one."""
        receiver, _ = self.open(timeout=3)
        data = self.application.read().answer(b"abcdefgh")
        for at in range(len(data)):
            self.assertFalse(receiver.over)
            self.application.send(data[at : at + 1])
            self.clock.advance(2.9)
        self.assertIsNotNone(receiver.end)

    def test_afterPart(self) -> None:
        """Silence in the middle of an answer fails it, too."""
        receiver, _ = self.open(timeout=3)
        self.clock.advance(2)
        self.application.say(b"half", end=False)
        self.clock.pump([2.9, 0.2])
        self.assertEqual(b"half", receiver.data)
        self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_afterStdout(self) -> None:
        """A response whose STDOUT was ended is whole, even if no END_REQUEST comes."""
        receiver, _ = self.open(timeout=3)
        self.application.say(b"all", end=False)
        self.application.send(self.application.wire.endStdout(1))
        self.clock.advance(3)
        self.assertIsNotNone(receiver.end)
        self.assertTrue(self.application.closed)

    def test_pausedStream(self) -> None:
        """While the client does not read, the application is not the one that is silent."""
        receiver, stream = self.open(timeout=3)
        stream.pauseProducing()
        self.clock.pump([3] * 5)
        stream.resumeProducing()
        self.clock.advance(2.9)
        self.assertFalse(receiver.over)
        self.clock.advance(0.2)
        self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_clientsUpload(self) -> None:
        """While the client has yet to send its body, the application may be silent."""
        body = MemoryBody(b"a", length=3, whole=False)
        receiver, _ = self.open(POST, body, timeout=3)
        self.clock.pump([3] * 5)
        body.give(b"b")
        self.clock.pump([3] * 5)
        body.give(b"c")
        self.clock.advance(2.9)
        self.assertFalse(receiver.over)
        self.clock.advance(0.2)
        self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_stalledUpload(self) -> None:
        """An application that does not read a body for ``timeout`` is silent."""
        body = MemoryBody(b"a", length=SMALL_BODY + 1, whole=False)
        receiver, _ = self.open(POST, body, timeout=3)
        self.clock.pump([3] * 5)
        self.transport.producer.pauseProducing()
        self.clock.advance(2)
        self.transport.producer.pauseProducing()
        self.assertFalse(receiver.over)
        self.clock.advance(1)
        self.assertIsInstance(receiver.error, ResponseTimedOut)
        self.assertEqual(["deliver", "pause", "pause"], body.calls)
        self.assertIsNone(self.transport.producer)

    def test_slowUpload(self) -> None:
        """One that reads slowly is not."""
        body = MemoryBody(b"a", length=SMALL_BODY + 1, whole=False)
        receiver, _ = self.open(POST, body, timeout=3)
        for _ in range(5):
            self.transport.producer.pauseProducing()
            self.clock.advance(2)
            self.transport.producer.resumeProducing()
            self.clock.advance(2)
        self.assertFalse(receiver.over)

    def test_readsSlowly(self) -> None:
        """An application that takes what was sent, however slowly, is not silent."""
        untaken: Any = (7, 100)
        self.transport.untaken = lambda: untaken  # type: ignore[attr-defined]
        receiver, _ = self.open(timeout=30)
        self.clock.advance(30)
        untaken = (7, 90)
        self.clock.advance(LAST_LOOK)
        self.clock.advance(29.9)
        untaken = (7, 80)
        self.clock.advance(0.1)
        self.clock.advance(29.9)
        self.assertFalse(receiver.over)
        self.clock.advance(0.1)
        self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_readsNoMore(self) -> None:
        """One that takes nothing of it for LAST_LOOK is; so is one that has taken all."""
        for untaken, late in (((7, 100), LAST_LOOK), (None, 0)):
            self.setUp()
            self.transport.untaken = lambda untaken=untaken: untaken  # type: ignore
            receiver, _ = self.open(timeout=30)
            self.clock.pump([29.9 + late, 0.1])
            self.assertFalse(receiver.over if late else not receiver.over)
            self.clock.advance(late)
            self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_hungClose(self) -> None:
        """A connection that does not close, because its peer does not read, is cut off."""
        self.open(timeout=3)
        self.clock.advance(3)
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(5)
        self.assertTrue(self.transport.disconnected)

    def test_nothingIsLeft(self) -> None:
        """A connection that is gone leaves no delayed call."""
        self.open()
        self.application.close()
        self.assertEqual([], self.clock.getDelayedCalls())


class OddityTests(Case):
    """Applications that break the protocol."""

    def complaints(self) -> list[str]:
        return [event["what"] for event in self.logged if "what" in event]

    def test_violation(self) -> None:
        """What is no FastCGI fails the request, closes the connection and is logged."""
        receiver, _ = self.open()
        self.application.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertIsInstance(receiver.error, RemoteProtocolError)
        self.assertEqual(503, receiver.error.status)  # type: ignore[union-attr]
        self.assertTrue(self.application.closed)
        self.assertEqual(["closing"], self.owner.calls)
        self.assertEqual(1, len(self.complaints()))

    def test_wrongId(self) -> None:
        """A record for a request that is not open is a violation; its bytes reach nobody."""
        receiver, _ = self.open()
        self.application.send(b"\1\6\0\2\0\3\0\0abc")
        self.assertEqual(b"", receiver.data)
        self.assertIsInstance(receiver.error, RemoteProtocolError)

    def test_idle(self) -> None:
        """Bytes on an idle connection close it, whatever they are."""
        for late in (b"\1\6\0\1\0\4\0\0late", b"\1", b"\1\x0a\0\0\0\0\0\0", b"junk" * 9):
            self.setUp()
            self.assertReusable()
            self.application.send(late)
            self.assertTrue(self.application.closed, late)
            self.assertEqual(1, len(self.complaints()), late)

    def test_behindTheEnd(self) -> None:
        """Bytes behind END_REQUEST close the connection; the response itself is good."""
        for late in (b"\1\6\0\1\0\4\0\0late", b"junk" * 9):
            self.setUp()
            receiver, _ = self.open()
            self.application.send(self.application.read().answer(b"good") + late)
            self.assertEqual(b"good", receiver.data)
            self.assertIsNotNone(receiver.end)
            self.assertTrue(self.application.closed)
            self.assertNotIn("freed", self.owner.calls)
            self.assertEqual(1, len(self.complaints()))

    def test_beginningOfMore(self) -> None:
        """A beginning of a record behind the end keeps the connection from use, then closes it."""
        receiver, _ = self.open()
        self.application.send(self.application.read().answer(b"good") + b"\1\6")
        self.assertIsNotNone(receiver.end)
        self.assertEqual([], self.owner.calls)
        self.clock.advance(5)
        self.assertTrue(self.application.closed)
        self.assertEqual(["sent bytes behind the end of a response"], self.complaints())

    def test_meaningless(self) -> None:
        """A record of an unknown type is skipped, as httpd does, and logged once."""
        receiver, _ = self.open()
        self.application.read()
        self.application.send(b"\1\x2a\0\1\0\1\0\0?" * 3 + self.application.answer(b"ok"))
        self.assertEqual(b"ok", receiver.data)
        self.assertEqual(["freed"], self.owner.calls)
        self.assertEqual(1, len(self.complaints()))

    def test_deafAfterwards(self) -> None:
        """What comes on a connection that is being closed is not looked at."""
        self.open()
        self.application.send(b"\xff" * 8)
        receiver = Receiver()
        self.assertRaises(LocalProtocolError, self.connection.open, GET, None, receiver)
        self.application.send(b"\1\6\0\1\0\3\0\0abc")
        self.assertEqual(b"", receiver.data)

    def test_stderr(self) -> None:
        """STDERR goes to the log with the request's name, and never into an answer."""
        receiver, _ = self.open()
        self.application.say(b"answer", stderr=b"PHP Notice: x\nrest")
        self.assertEqual(b"answer", receiver.data)
        lines = [(e["request"], e["line"]) for e in self.logged if "line" in e]
        self.assertEqual([("GET /a?b", "PHP Notice: x"), ("GET /a?b", "rest")], lines)
        self.assertReusable()

    def test_nothingIsLogged(self) -> None:
        """When nothing is wrong, nothing is logged."""
        self.assertReusable()
        self.open(POST, MemoryBody(b"abc"))
        self.application.say(b"x")
        self.application.close()
        self.assertEqual([], self.logged)


class ValuesTests(Case):
    """FCGI_GET_VALUES."""

    def test_values(self) -> None:
        """An application is asked what it can do; its answer ends nothing."""
        asked = self.connection.getValues([b"FCGI_MPXS_CONNS"])
        self.application.read()
        self.assertEqual([b"FCGI_MPXS_CONNS"], self.application.names)
        answer = self.application.wire.values({b"FCGI_MPXS_CONNS": b"1"})
        self.application.send(answer[:5])
        self.application.send(answer[5:])
        self.assertEqual({b"FCGI_MPXS_CONNS": b"1"}, self.successResultOf(asked))
        self.assertReusable()

    def test_unknown(self) -> None:
        """An application that does not know the question knows none of the names."""
        asked = self.connection.getValues([b"FCGI_MPXS_CONNS"])
        self.application.read()
        self.application.send(self.application.wire.unknownType(9))
        self.assertEqual({}, self.successResultOf(asked))
        self.assertReusable()

    def test_twice(self) -> None:
        """One question at a time."""
        self.connection.getValues([b"FCGI_MPXS_CONNS"])
        self.assertRaises(LocalProtocolError, self.connection.getValues, [b"FCGI_MAX_REQS"])

    def test_died(self) -> None:
        """A connection that ends instead is the failure."""
        asked = self.connection.getValues([b"FCGI_MPXS_CONNS"])
        self.application.close()
        self.failureResultOf(asked)


class ApplicationDoubleTests(SynchronousTestCase):
    """The double is as strict as an application is."""

    def test_unread(self) -> None:
        """An answer to a request that was not read can't be made."""
        connection, application = connected()
        connection.open(GET, None, Receiver())
        self.assertRaises(LocalProtocolError, Application.answer, application, b"x")
