"""Tests for :mod:`twisted_fcgi.backend.application`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.wire.feeding import begin, record
from twisted_fcgi.backend.application import (
    ApplicationRequest,
    FastCGIApplicationFactory,
    FastCGIApplicationProtocol,
)
from twisted_fcgi.wire import (
    ClientConnection,
    EndRequest,
    ProtocolStatus,
    Role,
    Stderr,
    StderrEnded,
    Stdout,
    StdoutEnded,
    UnknownType,
    Values,
)

HEAD = b"Content-Type: text/plain\r\n\r\n"
ABORT, PARAMS, STDIN = 2, 4, 5


class Transport(StringTransport):
    """Closes as a real one does: not while it has a producer."""

    def loseConnection(self) -> None:
        assert self.producer is None, "the producer would hold up the close"
        super().loseConnection()


class Producer:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")

    def stopProducing(self) -> None:
        self.calls.append("stop")


class ApplicationTestCase(SynchronousTestCase):
    """One connection from a client to an application."""

    def setUp(self) -> None:
        self.requests: list[ApplicationRequest] = []
        self.client = ClientConnection(maxStreams=9)

    def listen(
        self, application: Callable[[ApplicationRequest], Any] | None = None, **options: int
    ) -> None:
        """Begin to listen, and take the client's connection."""
        self.factory = FastCGIApplicationFactory(application or self.requests.append, **options)
        self.protocol: Any = self.factory.buildProtocol(None)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)

    def ask(self, *pairs: tuple[bytes, bytes], stdin: bytes | None = b"", **options: Any) -> int:
        """The client begins a request."""
        options.setdefault("keepConnection", True)
        requestId, data = self.client.begin(pairs, stdin=stdin, **options)
        self.protocol.dataReceived(data)
        return requestId

    def answer(self) -> list[Any]:
        """What the client hears since it was last asked."""
        data = self.transport.value()
        self.transport.clear()
        return self.client.receive(data)


class RequestTests(ApplicationTestCase):
    """:class:`ApplicationRequest`."""

    def test_answered(self) -> None:
        """A request comes with its role and variables, and its response goes back."""

        def application(request: ApplicationRequest) -> None:
            self.requests.append(request)
            request.write(HEAD)
            request.writeError(b"oops")
            request.finish(3)

        self.listen(application)
        self.ask((b"A", b"b"), (b"C", b""))
        (request,) = self.requests
        self.assertEqual({b"A": b"b", b"C": b""}, request.params)
        self.assertEqual(Role.RESPONDER, request.role)
        self.assertTrue(request.over)
        self.assertEqual(
            [
                Stdout(1, HEAD),
                Stderr(1, b"oops"),
                StderrEnded(1),
                StdoutEnded(1),
                EndRequest(1, 3, 0),
            ],
            self.answer(),
        )
        self.assertTrue(self.client.isReusable())
        self.assertFalse(self.transport.disconnecting)

    def test_several(self) -> None:
        """Requests on one connection are answered in any order."""
        self.listen()
        self.ask((b"N", b"1"))
        self.ask((b"N", b"2"))
        first, second = self.requests
        second.write(b"two")
        first.write(b"one")
        second.finish()
        self.assertEqual(
            [Stdout(2, b"two"), Stdout(1, b"one"), StdoutEnded(2), EndRequest(2, 0, 0)],
            self.answer(),
        )

    def test_afterFinish(self) -> None:
        """What is written to a request that is over goes nowhere."""
        self.listen()
        self.ask()
        (request,) = self.requests
        request.finish()
        self.answer()
        request.write(b"x")
        request.writeError(b"x")
        request.finish()
        self.assertEqual([], self.answer())

    def test_failing(self) -> None:
        """An application that fails ends its request, says why, and harms no other."""

        def application(request: ApplicationRequest) -> None:
            raise ValueError("no good")

        self.listen(application)
        self.ask()
        self.assertEqual(
            [
                Stderr(1, b"ValueError: no good\n"),
                StderrEnded(1),
                StdoutEnded(1),
                EndRequest(1, 1, 0),
            ],
            self.answer(),
        )
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_notKept(self) -> None:
        """Without KEEP_CONN the connection is closed after the response."""
        self.listen(ApplicationRequest.finish)
        self.ask(keepConnection=False)
        self.assertTrue(self.transport.disconnecting)

    def test_notKeptAndUnread(self) -> None:
        """But not while the client may still be writing: that would reset it."""
        self.listen(ApplicationRequest.finish)
        self.ask(keepConnection=False, stdin=None)
        self.assertFalse(self.transport.disconnecting)


class InflowTests(ApplicationTestCase):
    """:class:`Inflow`: bodies."""

    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Any] = []

    def takeStdin(self, request: ApplicationRequest) -> None:
        """Note what comes of a body."""
        self.requests.append(request)
        request.stdin.deliver(self.heard.append, lambda: self.heard.append("end"))

    def test_pushed(self) -> None:
        """A body is pushed as it comes, then its end."""
        self.listen(self.takeStdin)
        self.ask(stdin=None)
        self.protocol.dataReceived(b"".join(self.client.stdin(1, b"abc")))
        self.assertEqual([b"abc"], self.heard)
        self.protocol.dataReceived(self.client.endStdin(1))
        self.assertEqual([b"abc", "end"], self.heard)

    def test_late(self) -> None:
        """A body that nobody asks for yet is held."""
        self.listen()
        self.ask(stdin=None)
        (request,) = self.requests
        request.stdin.resumeProducing()
        self.protocol.dataReceived(b"".join(self.client.stdin(1, b"abc")))
        self.protocol.dataReceived(self.client.endStdin(1))
        self.assertEqual(3, request.stdin.held)
        self.takeStdin(request)
        self.assertEqual([b"abc", "end"], self.heard)
        self.assertEqual(0, request.stdin.held)

    def test_paused(self) -> None:
        """Nothing is pushed while it is paused, even if that is in the middle."""
        self.listen(self.takeStdin)
        self.ask(stdin=None)
        stdin = self.requests[0].stdin
        verifyObject(IPushProducer, stdin)
        stdin.pauseProducing()
        self.protocol.dataReceived(b"".join(self.client.stdin(1, b"a")))
        self.protocol.dataReceived(b"".join(self.client.stdin(1, b"b")))
        self.protocol.dataReceived(self.client.endStdin(1))
        self.assertEqual([], self.heard)
        append = self.heard.append

        def pauseAfter(data: bytes) -> None:
            append(data)
            stdin.pauseProducing()

        stdin.deliver(pauseAfter, lambda: append("end"))
        self.assertEqual([b"a"], self.heard)
        stdin.resumeProducing()
        self.assertEqual([b"a", b"b"], self.heard)
        stdin.resumeProducing()
        self.assertEqual([b"a", b"b", "end"], self.heard)
        stdin.resumeProducing()
        self.assertEqual(3, len(self.heard))

    def test_held(self) -> None:
        """When more is held than ``maxHeld`` the connection is not read until it is taken."""
        self.listen(maxHeld=10)
        self.ask(stdin=b"0123456789")
        self.assertEqual("producing", self.transport.producerState)
        self.ask(stdin=b"01234567890")
        self.assertEqual("paused", self.transport.producerState)
        first, second = self.requests
        first.stdin.deliver(self.heard.append, list)
        self.assertEqual("paused", self.transport.producerState)
        second.stdin.deliver(self.heard.append, list)
        self.assertEqual("producing", self.transport.producerState)

    def test_unwanted(self) -> None:
        """A body that will never be taken holds up nobody."""
        for end in (
            lambda request: request.finish(),
            lambda request: request.stdin.stopProducing(),
        ):
            self.listen(maxHeld=10)
            requestId = self.ask(stdin=None)
            request = self.requests[-1]
            self.protocol.dataReceived(b"".join(self.client.stdin(requestId, b"01234567890")))
            self.assertEqual("paused", self.transport.producerState)
            end(request)
            self.assertEqual("producing", self.transport.producerState)
            self.protocol.dataReceived(b"".join(self.client.stdin(requestId, b"01234567890")))
            self.assertEqual(0, request.stdin.held)

    def test_authorizer(self) -> None:
        """An authorizer's body is over from the start."""
        self.listen(self.takeStdin)
        self.ask(role=Role.AUTHORIZER)
        self.assertEqual(["end"], self.heard)

    def test_noFile(self) -> None:
        """Who is no filter has an empty file."""
        self.listen()
        self.ask(stdin=None)
        self.requests[0].data.deliver(self.heard.append, lambda: self.heard.append("end"))
        self.assertEqual(["end"], self.heard)

    def test_fileHeld(self) -> None:
        """A file is held as a body is."""
        self.listen(maxHeld=10)
        self.ask(role=Role.FILTER, stdin=b"body")
        self.protocol.dataReceived(b"".join(self.client.data(1, b"01234567890")))
        (request,) = self.requests
        request.stdin.deliver(self.heard.append, list)
        self.assertEqual("paused", self.transport.producerState)
        request.data.deliver(self.heard.append, list)
        self.assertEqual("producing", self.transport.producerState)

    def test_heldWhenLost(self) -> None:
        """A transport that is gone is not asked to go on."""
        self.listen(maxHeld=10)
        self.ask(stdin=b"01234567890")
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual("paused", self.transport.producerState)

    def test_filter(self) -> None:
        """A filter gets the file after the body."""

        def application(request: ApplicationRequest) -> None:
            self.takeStdin(request)
            request.data.deliver(self.heard.append, lambda: self.heard.append("end of data"))

        self.listen(application)
        self.ask(role=Role.FILTER, stdin=b"body")
        self.protocol.dataReceived(b"".join(self.client.data(1, b"file")) + self.client.endData(1))
        self.assertEqual([b"body", "end", b"file", "end of data"], self.heard)

    def test_finishedMeanwhile(self) -> None:
        """A request that is finished in the middle of its body hears no more of it."""

        def application(request: ApplicationRequest) -> None:
            def received(data: bytes) -> None:
                self.heard.append(data)
                request.finish()

            request.stdin.deliver(received, lambda: self.heard.append("end"))

        self.listen(application)
        self.ask(stdin=b"x" * 70000)
        self.assertEqual([b"x" * 65528], self.heard)


class OutflowTests(ApplicationTestCase):
    """Back-pressure on responses."""

    def test_paused(self) -> None:
        """The producers of all requests follow the transport."""
        self.listen()
        self.ask()
        self.ask()
        self.ask()
        first, second, _ = self.requests
        producers = Producer(), Producer()
        first.registerProducer(producers[0])
        self.protocol.pauseProducing()
        second.registerProducer(producers[1])
        self.assertEqual([["pause"], ["pause"]], [producer.calls for producer in producers])
        first.unregisterProducer()
        self.protocol.resumeProducing()
        self.assertEqual([["pause"], ["pause", "resume"]], [p.calls for p in producers])

    def test_pausedAgain(self) -> None:
        """What the first producer writes may be enough to pause them all again."""
        self.listen()
        self.ask()
        self.ask()
        first, second = Producer(), Producer()
        first.resumeProducing = self.protocol.pauseProducing
        for request, producer in zip(self.requests, (first, second)):
            request.registerProducer(producer)
        self.protocol.pauseProducing()
        self.protocol.resumeProducing()
        self.assertEqual(["pause", "pause"], second.calls)

    def test_registered(self) -> None:
        """The connection is the transport's producer, until it is closed."""
        self.listen(ApplicationRequest.finish)
        verifyObject(IPushProducer, self.protocol)
        self.assertIs(self.protocol, self.transport.producer)
        self.assertTrue(self.transport.streaming)
        self.ask(keepConnection=False)
        self.assertIsNone(self.transport.producer)

    def test_refused(self) -> None:
        """A pull producer, or a second one, is refused; one that comes too late is stopped."""
        self.listen()
        self.ask()
        (request,) = self.requests
        self.assertRaises(RuntimeError, request.registerProducer, Producer(), False)
        request.registerProducer(Producer())
        self.assertRaises(RuntimeError, request.registerProducer, Producer())
        request.unregisterProducer()
        request.finish()
        late = Producer()
        request.registerProducer(late)
        self.assertEqual(["stop"], late.calls)


class AbortTests(ApplicationTestCase):
    """Nobody waits for the response any more."""

    def aborted(self, end: Callable[[], Any]) -> None:
        """Check what an application is told of it."""
        self.listen()
        self.ask(stdin=b"body")
        (request,) = self.requests
        calls: list[str] = []
        request.notifyAborted(lambda: calls.append("aborted"))
        producer = Producer()
        request.registerProducer(producer)
        end()
        self.assertEqual(["aborted"], calls)
        self.assertEqual(["stop"], producer.calls)
        self.assertTrue(request.over)
        self.assertEqual(0, request.stdin.held)
        request.write(b"x")
        request.finish()
        self.assertEqual(["aborted"], calls)

    def test_abortRequest(self) -> None:
        """ABORT_REQUEST ends the request, and is answered at once."""
        self.aborted(lambda: self.protocol.dataReceived(self.client.abort(1)))
        self.assertEqual([EndRequest(1, 0, 0)], self.answer())

    def test_connectionLost(self) -> None:
        """So does the loss of the connection."""
        self.aborted(lambda: self.protocol.connectionLost(Failure(ConnectionDone())))

    def test_violation(self) -> None:
        """So does a client that breaks the protocol; the connection is closed."""
        self.aborted(lambda: self.protocol.dataReceived(b"\xff" * 8))
        self.assertTrue(self.transport.disconnecting)

    def test_beforeParams(self) -> None:
        """A request that is aborted before its variables came is never heard of."""
        self.listen()
        self.protocol.dataReceived(begin(1) + record(PARAMS, 1, b"\x01\x01a") + record(ABORT, 1))
        self.client.begin([])
        self.assertEqual([StdoutEnded(1), EndRequest(1, 0, 0)], self.answer())
        self.assertEqual([], self.requests)

    def test_afterFinish(self) -> None:
        """An abort that crosses the end of its request is nothing."""
        self.listen(ApplicationRequest.finish)
        self.protocol.dataReceived(begin(1) + record(PARAMS, 1) + record(ABORT, 1))
        self.client.begin([])
        self.assertEqual([StdoutEnded(1), EndRequest(1, 0, 0)], self.answer())

    def test_unnoticed(self) -> None:
        """Nobody has to ask to be told."""
        self.listen()
        self.ask()
        self.protocol.dataReceived(self.client.abort(1))
        self.assertEqual([EndRequest(1, 0, 0)], self.answer())


class ConnectionTests(ApplicationTestCase):
    """What is about connections, not requests."""

    def test_values(self) -> None:
        """GET_VALUES is answered, as far as the names are known."""
        self.listen(maxConnections=7, maxStreams=3)
        names = [b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"]
        self.protocol.dataReceived(self.client.getValues([*names, b"FCGI_OTHER"]))
        self.assertEqual([Values(dict(zip(names, (b"7", b"21", b"1"))))], self.answer())
        self.listen(maxStreams=1)
        self.protocol.dataReceived(self.client.getValues(names[2:]))
        self.assertEqual([Values({b"FCGI_MPXS_CONNS": b"0"})], self.answer())

    def test_unknownRecords(self) -> None:
        """An unknown management record is answered, an unknown record of a request skipped."""
        self.listen()
        self.ask()
        self.protocol.dataReceived(record(77, 0) + record(78, 1, b"x"))
        self.assertEqual([UnknownType(77)], self.answer())

    def test_refused(self) -> None:
        """A request too many is refused, and may be tried again."""
        self.listen(maxStreams=1)
        self.ask()
        self.ask()
        self.assertEqual([EndRequest(2, 0, ProtocolStatus.CANT_MPX_CONN)], self.answer())
        self.requests[0].finish()
        self.ask()
        self.assertEqual(2, len(self.requests))

    def test_tooLarge(self) -> None:
        """So is one whose variables are too many."""
        self.listen()
        self.ask((b"A", b"v" * 2000000), stdin=None)
        self.assertEqual([EndRequest(1, 0, ProtocolStatus.OVERLOADED)], self.answer())
        self.assertEqual([], self.requests)
        self.assertEqual({}, self.protocol._requests)

    def test_tooMany(self) -> None:
        """One connection more than ``maxConnections`` is not taken, until one is gone."""
        self.listen(maxConnections=1)
        self.assertIsNone(self.factory.buildProtocol(None))
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertIsInstance(self.factory.buildProtocol(None), FastCGIApplicationProtocol)
