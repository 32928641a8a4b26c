"""Tests for :mod:`twisted_fcgi.backend.inquiry`."""

from __future__ import annotations

from errno import ECONNREFUSED
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.backend.doubles import Application, MemoryEndpoint
from twisted_fcgi.backend.inquiry import Inquiry
from twisted_fcgi.errors import (
    ApplicationOverloaded,
    BrokenResponse,
    ConnectFailed,
    ConnectionDied,
    RemoteProtocolError,
    ResponseTimedOut,
)
from twisted_fcgi.interfaces import IStreamReceiver
from twisted_fcgi.settings import CheckMethod, CheckSettings, MemberSettings
from twisted_fcgi.wire import ProtocolStatus

__all__ = ["InquiryTests"]

PONG = b"Content-Type: text/plain\r\n\r\npong"


class InquiryTests(SynchronousTestCase):
    """
    Tests for :class:`Inquiry`.

    :ivar answer: what the last one fires with.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()

    def ask(self, method: CheckMethod, seconds: float = 10.0, **settings: Any) -> Inquiry:
        """Begin one."""
        settings = {"url": "fcgi://app:9000", "host": "app", "port": 9000, **settings}
        member = MemberSettings(check=CheckSettings(method, uri="/ping"), **settings)
        inquiry = Inquiry(member, method, self.endpoint, self.clock, seconds)
        verifyObject(IStreamReceiver, inquiry)
        self.answer: Deferred[Any] = inquiry.begin()
        return inquiry

    def connect(self, method: CheckMethod, **how: Any) -> Application:
        """Begin one, and let it connect."""
        self.ask(method, **how)
        return self.endpoint.accept()

    def over(self) -> None:
        """Once all connections are gone, nothing is left."""
        for application in self.endpoint.applications:
            self.assertTrue(application.closed)
            application.close()
        self.assertEqual([], self.endpoint.attempts)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_tcp(self) -> None:
        """For TCP it is enough to be connected; nothing is sent."""
        application = self.connect(CheckMethod.TCP)
        self.assertIsNone(self.successResultOf(self.answer))
        self.assertEqual(b"", application.transport.value())
        self.over()

    def test_refused(self) -> None:
        """Who takes no connection fails at once, with the reason."""
        self.ask(CheckMethod.TCP)
        self.endpoint.refuse(ConnectionRefusedError(osError=ECONNREFUSED))
        error = self.failureResultOf(self.answer, ConnectFailed).value
        self.assertIn("no connection to app:9000: Connection refused", error.reason)
        self.over()

    def test_connectTooLong(self) -> None:
        """A connect has its own time, if that is less; that of the whole goes on with it."""
        inquiry = self.ask(CheckMethod.GET, connectTimeout=2.0)
        self.clock.advance(2.0)
        self.failureResultOf(self.answer, ConnectFailed)
        self.assertEqual((True, 1), (inquiry.timedOut, self.endpoint.cancelled))
        self.ask(CheckMethod.GET, connectTimeout=2.0)
        self.clock.advance(1.5)
        self.endpoint.accept()
        self.clock.advance(8.4)
        self.assertNoResult(self.answer)
        self.clock.advance(0.125)
        error = self.failureResultOf(self.answer, ResponseTimedOut).value
        self.assertEqual("app:9000 did not answer within 10 s", error.reason)
        self.over()

    def test_values(self) -> None:
        """For FCGI any answer to FCGI_GET_VALUES will do."""
        for known in ({}, {b"FCGI_MPXS_CONNS": b"0"}):
            application = self.connect(CheckMethod.FCGI).read()
            self.assertEqual(["ValuesRequested"], application.seen)
            application.send(application.wire.values(known))
            self.assertIsNone(self.successResultOf(self.answer))
        application = self.connect(CheckMethod.FCGI).read()
        application.send(application.wire.unknownType(9))
        self.assertIsNone(self.successResultOf(self.answer))
        self.over()

    def test_noValues(self) -> None:
        """An application that closes the connection instead, or is silent, fails."""
        self.connect(CheckMethod.FCGI).read().close()
        self.failureResultOf(self.answer, ConnectionDied)
        self.connect(CheckMethod.FCGI)
        self.clock.advance(10.0)
        self.failureResultOf(self.answer, ResponseTimedOut)
        self.over()

    def test_request(self) -> None:
        """GET is a request of a connection of its own, answered when all of it is there."""
        application = self.connect(CheckMethod.GET)
        application.read()
        self.assertEqual(b"/ping", application.params[b"SCRIPT_NAME"])
        assert application.begun is not None
        self.assertFalse(application.begun.keepConnection)
        self.assertTrue(application.stdinEnded)
        application.send(application.answer(PONG, end=False), 5)
        self.assertNoResult(self.answer)
        application.send(application.answer())
        answer = self.successResultOf(self.answer)
        self.assertEqual((200, b"pong", 4), (answer.head.status, answer.body, answer.length))
        self.over()

    def test_head(self) -> None:
        """HEAD and OPTIONS are answered with the head, as in httpd."""
        for method in CheckMethod.HEAD, CheckMethod.OPTIONS11:
            application = self.connect(method)
            application.read()
            application.send(application.answer(PONG, end=False))
            answer = self.successResultOf(self.answer)
            self.assertEqual((200, b""), (answer.head.status, answer.body))
        self.over()

    def test_slowBody(self) -> None:
        """A body that does not end fails, however much of it comes."""
        application = self.connect(CheckMethod.GET)
        application.read()
        application.send(application.answer(PONG, end=False))
        for _ in range(10):
            self.assertNoResult(self.answer)
            self.clock.advance(1.0)
            application.send(application.answer(b"more", end=False))
        self.failureResultOf(self.answer, ResponseTimedOut)
        self.over()

    def test_failures(self) -> None:
        """What is no answer fails, with the error that a request would have."""
        for say, error in [
            (lambda a: a.say(), BrokenResponse),
            (lambda a: a.say(b"no head\r\n\r\n"), BrokenResponse),
            (lambda a: a.say(b"Status: 200\r\n"), BrokenResponse),
            (lambda a: a.say(b"X: " + b"x" * 70000 + b"\r\n\r\n"), BrokenResponse),
            (lambda a: a.say(status=ProtocolStatus.OVERLOADED), ApplicationOverloaded),
            (lambda a: a.read().close(), ConnectionDied),
            (lambda a: a.read().send(b"\x09" * 16), RemoteProtocolError),
        ]:
            say(self.connect(CheckMethod.GET))
            self.failureResultOf(self.answer, error)
        self.over()

    def test_stderr(self) -> None:
        """What the application complains about is nothing that every check is to log."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.connect(CheckMethod.GET).say(PONG, stderr=b"Primary script unknown\n")
        self.assertEqual([b"pong"], [self.successResultOf(self.answer).body])
        self.over()
        found = [(event["line"], event["log_level"]) for event in events if "line" in event]
        self.assertEqual([("Primary script unknown", LogLevel.debug)], found)

    def test_cancel(self) -> None:
        """To cancel it ends it wherever it is; what comes later is not heard."""
        self.ask(CheckMethod.GET).cancel()
        self.failureResultOf(self.answer, CancelledError)
        inquiry = self.ask(CheckMethod.GET)
        application = self.endpoint.accept()
        inquiry.cancel()
        self.failureResultOf(self.answer, CancelledError)
        application.close()
        inquiry.cancel()
        self.over()
