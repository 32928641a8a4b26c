"""Tests for :mod:`twisted_fcgi.backend.member`."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.backend.doubles import GET, POST, MemoryBody, Receiver, Site
from twisted_fcgi.backend import member
from twisted_fcgi.backend.attempt import LONGEST_PAUSE
from twisted_fcgi.backend.member import CAUTION, SETTLED, Member
from twisted_fcgi.backend.pool import ACCEPTED
from twisted_fcgi.errors import (
    AcquireTimedOut,
    ConnectFailed,
    ConnectionDied,
    LocalProtocolError,
    ResponseTimedOut,
)
from twisted_fcgi.interfaces import IMember
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.wire import ProtocolStatus, encodePairs

__all__ = [
    "CautionTests",
    "ConnectTests",
    "PatienceTests",
    "QueueTests",
    "RetryTests",
    "ReuseTests",
    "SettingsTests",
    "StopTests",
    "UnacceptedTests",
]

REFUSED = ConnectionRefusedError(111, "Connection refused")


class ReuseTests(SynchronousTestCase):
    """Which connection a request goes on."""

    def test_interface(self) -> None:
        """A member is an IMember."""
        verifyObject(IMember, Site().member)

    def test_byDefault(self) -> None:
        """Without reuse, each request has a connection that is not kept."""
        site = Site()
        for n in range(3):
            receiver = site.open()
            application = site.endpoint.accept()
            application.say(b"%d" % n)
            self.assertFalse(application.begun.keepConnection)  # type: ignore[union-attr]
            self.assertEqual(b"%d" % n, receiver.data)
            self.assertTrue(application.closed)
            application.close()
        self.assertEqual("<Member app:8000: 0 busy, 0 idle, 0 connecting, 0 waiting>",
                         repr(site.member))  # fmt: skip

    def test_reuse(self) -> None:
        """With reuse, the next request leaves on the same connection before open() returns."""
        site = Site(reuse=True)
        site.open()
        application = site.endpoint.accept()
        application.say(b"one")
        self.assertTrue(application.begun.keepConnection)  # type: ignore[union-attr]
        receiver = site.open(POST, MemoryBody(b"abc"))
        self.assertEqual(b"abc", application.read().stdin)
        application.send(application.answer(b"two"))
        self.assertEqual(b"two", receiver.data)
        self.assertEqual([], site.endpoint.attempts)

    def test_severalAtOnce(self) -> None:
        """Requests at the same time have connections of their own."""
        site = Site(reuse=True)
        receivers = [site.open() for _ in range(3)]
        applications = [site.endpoint.accept() for _ in range(3)]
        for n, application in enumerate(applications):
            application.say(b"%d" % n)
        self.assertEqual([b"0", b"1", b"2"], [r.data for r in receivers])
        self.assertEqual(3, site.member.describe()["idle"])

    def test_closedWhileIdle(self) -> None:
        """An idle connection that the application closes is not used any more."""
        site = Site(reuse=True)
        site.open()
        site.endpoint.accept().say(b"one")
        site.endpoint.applications[0].close()
        receiver = site.open()
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", receiver.data)

    def test_bytesWhileIdle(self) -> None:
        """One on which bytes come is closed, and they reach nobody."""
        site = Site(reuse=True)
        site.open()
        first = site.endpoint.accept()
        first.say(b"one")
        first.send(b"\1\6\0\1\0\4\0\0late")
        receiver = site.open()
        self.assertTrue(first.closed)
        self.assertEqual(1, len(site.endpoint.attempts), "a closing connection was used")
        first.close()
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", receiver.data)

    def test_ttl(self) -> None:
        """An idle connection is closed after its ttl; being used begins it anew."""
        site = Site(reuse=True, ttl=10)
        site.open()
        application = site.endpoint.accept()
        application.say()
        site.clock.advance(9)
        site.open()
        site.clock.advance(9)
        application.say()
        site.clock.advance(9.9)
        self.assertFalse(application.closed)
        site.clock.advance(0.1)
        self.assertTrue(application.closed)
        site.open()
        self.assertEqual(1, len(site.endpoint.attempts), "a closing connection was used")

    def test_smax(self) -> None:
        """Idle connections above smax are closed at once, when there is no ttl to end them."""
        for ttl, kept in ((None, 1), (5, 3)):
            site = Site(reuse=True, smax=1, ttl=ttl)
            for _ in range(3):
                site.open()
            for application in [site.endpoint.accept() for _ in range(3)]:
                application.say()
            self.assertEqual(kept, sum(not a.closed for a in site.endpoint.applications))

    def test_lookedAt(self) -> None:
        """A connection is not used again when its end or bytes have come that were not read."""
        for arrived, used in (
            (BlockingIOError(), True),
            (b"", False),
            (b"x", False),
            (ConnectionResetError(), False),
        ):
            site = Site(reuse=True)
            site.open()
            application = site.endpoint.accept()
            application.say()
            application.transport.handle.arrived = arrived
            site.open()
            self.assertEqual(used, not site.endpoint.attempts, arrived)
            self.assertEqual(used, not application.closed, arrived)

    def test_lookedAtForTheNext(self) -> None:
        """Nor is it given to a request that waits."""
        site = Site(reuse=True, max=1)
        first, second = site.open(), site.open()
        application = site.endpoint.accept().read()
        answer = application.answer(b"one")
        application.send(answer + b"late", size=len(answer))
        self.assertEqual((b"one", b""), (first.data, second.data))
        self.assertTrue(application.closed)
        application.close()
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", second.data)

    def test_wontBegin(self) -> None:
        """A request that can't be begun fails by itself, and its connection is closed."""
        site = Site()
        receiver = site.open(role=77)
        application = site.endpoint.accept()
        self.assertIsInstance(receiver.error, LocalProtocolError)
        self.assertTrue(application.closed)

    def test_timeout(self) -> None:
        """The member's timeout comes before the one that is asked for, and that before a minute."""
        for own, asked, effective in ((3, 9, 3), (None, 9, 9), (None, None, 60)):
            site = Site(timeout=own)
            receiver = site.open(timeout=asked)
            site.endpoint.accept()
            site.clock.advance(effective - 0.1)
            self.assertFalse(receiver.over)
            site.clock.advance(0.1)
            self.assertIsInstance(receiver.error, ResponseTimedOut)

    def test_describe(self) -> None:
        """A member gives figures of what it does and did."""
        site = Site(reuse=True, max=2)
        for _ in range(4):
            site.open()
        site.endpoint.accept()
        self.assertEqual(
            {
                "busy": 1,
                "idle": 0,
                "connecting": 1,
                "waiting": 2,
                "requests": 4,
                "connects": 2,
                "failures": 0,
                "retries": 0,
                "refused": 0,
            },
            site.member.describe(),
        )


class ConnectTests(SynchronousTestCase):
    """How connections come about."""

    def test_refused(self) -> None:
        """A connect that is refused is a 503 that names the address and the reason."""
        site = Site()
        receiver = site.open()
        site.endpoint.refuse(REFUSED)
        error: Any = receiver.error
        self.assertIsInstance(error, ConnectFailed)
        self.assertEqual((503, True), (error.status, error.retryable))
        self.assertEqual(
            "no connection to app:8000: Connection refused (ECONNREFUSED)", error.reason
        )
        self.assertEqual(1, site.member.describe()["failures"])

    def test_unknownName(self) -> None:
        """A name that is not known is a 500, as httpd has it."""
        site = Site()
        receiver = site.open()
        site.endpoint.refuse(DNSLookupError("no such name"))
        self.assertEqual(500, receiver.error.status)  # type: ignore[union-attr]

    def test_anotherFailure(self) -> None:
        """Whatever else goes wrong in a connect is a failure to connect, too."""
        site = Site()
        receiver = site.open()
        site.endpoint.refuse(ValueError("strange"))
        self.assertIn("strange", receiver.error.reason)  # type: ignore[union-attr]

    def test_tooLong(self) -> None:
        """A connect that takes longer than connectionTimeout is given up."""
        site = Site(connectTimeout=2, timeout=30)
        receiver = site.open()
        site.clock.advance(1.9)
        self.assertFalse(receiver.over)
        site.clock.advance(0.1)
        self.assertIsInstance(receiver.error, ConnectFailed)
        self.assertIn("within 2 s", receiver.error.reason)  # type: ignore[union-attr]
        self.assertEqual((1, []), (site.endpoint.cancelled, site.endpoint.attempts))

    def test_tooLongByDefault(self) -> None:
        """Without connectionTimeout a connect may take as long as an answer."""
        site = Site()
        receiver = site.open(timeout=7)
        site.clock.advance(7)
        self.assertIsInstance(receiver.error, ConnectFailed)

    def test_abortedMeanwhile(self) -> None:
        """A request that is aborted while it connects cancels that, and is told nothing."""
        site = Site()
        body = MemoryBody(b"abc")
        receiver = site.open(POST, body)
        receiver.stream.abort()  # type: ignore[union-attr]
        self.assertEqual((1, []), (site.endpoint.cancelled, site.endpoint.attempts))
        self.assertEqual(["discard"], body.calls)
        site.clock.advance(100)
        self.assertFalse(receiver.over)
        self.assertEqual([], site.clock.getDelayedCalls())

    def test_backlog(self) -> None:
        """EAGAIN, the full backlog of a UNIX socket, is tried again after growing pauses."""
        for error in (ConnectError(11, "again"), ConnectError(string="what Twisted makes of it")):
            site = Site(socket="/run/app.sock", connectTimeout=10)
            receiver = site.open()
            tried = 0
            while site.clock.seconds() < 1:
                if site.endpoint.attempts:
                    tried += 1
                    site.endpoint.refuse(error)
                site.clock.advance(0.001)
            self.assertTrue(10 < tried < 20, tried)
            site.clock.advance(LONGEST_PAUSE)
            site.endpoint.accept().say(b"at last")
            self.assertEqual(b"at last", receiver.data)

    def test_backlogForTooLong(self) -> None:
        """It is a failure when connectionTimeout is over."""
        site = Site(socket="/run/app.sock", connectTimeout=1)
        receiver = site.open()
        for _ in range(30):
            if site.endpoint.attempts:
                site.endpoint.refuse(ConnectError(11, "again"))
            site.clock.advance(0.05)
        self.assertIsInstance(receiver.error, ConnectFailed)
        site.clock.advance(1)
        self.assertEqual([], site.endpoint.attempts)

    def test_againIsNoBacklog(self) -> None:
        """Without a UNIX socket EAGAIN is a failure like others."""
        site = Site()
        receiver = site.open()
        site.endpoint.refuse(ConnectError(11, "again"))
        self.assertTrue(receiver.over)

    def test_handedOver(self) -> None:
        """While a connect waits for the backlog, a connection that comes free is used instead."""
        site = Site(socket="/run/app.sock", reuse=True)
        site.open()
        first = site.endpoint.accept()
        second = site.open()
        site.endpoint.refuse(ConnectError(11, "again"))
        first.say(b"one")
        first.say(b"two")
        self.assertEqual(b"two", second.data)

    def test_manyFail(self) -> None:
        """However many wait, each failed connect is told to one, without growing the stack."""
        site = Site(max=1, maxQueue=5000)
        receivers = [site.open() for _ in range(3000)]
        while site.endpoint.attempts:
            site.endpoint.refuse(REFUSED)
        self.assertTrue(all(isinstance(r.error, ConnectFailed) for r in receivers))

    def test_reactors(self) -> None:
        """With any reactor, a member connects to the address of its settings."""
        reactor = MemoryReactorClock()
        settings = MemberSettings(url="fcgi://127.0.0.1:9000", host="127.0.0.1", port=9000)
        Member(settings, reactor).open(GET, None, Receiver())
        host, port, *_ = reactor.tcpClients[0]
        self.assertEqual(("127.0.0.1", 9000), (host, port))


class QueueTests(SynchronousTestCase):
    """``max``, ``acquire`` and ``maxqueue``."""

    def test_max(self) -> None:
        """With ``max`` connections busy, the next request waits for the first that is free."""
        site = Site(reuse=True, max=1)
        receivers = [site.open() for _ in range(3)]
        self.assertEqual(1, len(site.endpoint.attempts))
        application = site.endpoint.accept()
        for n in range(3):
            application.say(b"%d" % n)
        self.assertEqual([b"0", b"1", b"2"], [r.data for r in receivers])

    def test_maxWithoutReuse(self) -> None:
        """A place is free when the connection is gone."""
        site = Site(max=1)
        receivers = [site.open() for _ in range(3)]
        for n in range(3):
            self.assertEqual(1, len(site.endpoint.attempts))
            application = site.endpoint.accept()
            application.say(b"%d" % n)
            self.assertEqual(0, len(site.endpoint.attempts))
            application.close()
        self.assertEqual([b"0", b"1", b"2"], [r.data for r in receivers])

    def test_acquire(self) -> None:
        """A request that gets no connection within ``acquire`` is a 503; the others live."""
        site = Site(reuse=True, max=1, acquire=0.1)
        first = site.open()
        application = site.endpoint.accept()
        second = site.open()
        site.clock.advance(0.1)
        error: Any = second.error
        self.assertIsInstance(error, AcquireTimedOut)
        self.assertEqual((503, True, 1), (error.status, error.retryable, error.retryAfter))
        application.say(b"one")
        self.assertEqual(b"one", first.data)
        third = site.open()
        application.say(b"three")
        self.assertEqual(b"three", third.data)

    def test_acquireIsNoConnect(self) -> None:
        """The time of a connect is not the time of waiting for a place."""
        site = Site(max=1, acquire=0.1, connectTimeout=5)
        receiver = site.open()
        site.clock.advance(4.9)
        self.assertFalse(receiver.over)
        site.endpoint.accept().say(b"late")
        self.assertEqual(b"late", receiver.data)

    def test_acquireIsNoAnswer(self) -> None:
        """Nor is the time of an answer."""
        site = Site(max=1, acquire=0.1, reuse=True)
        site.open()
        application = site.endpoint.accept()
        second = site.open()
        application.say()
        site.clock.advance(5)
        application.say(b"late")
        self.assertEqual(b"late", second.data)

    def test_forEver(self) -> None:
        """Without ``acquire`` a request waits for as long as it takes."""
        site = Site(max=1, reuse=True)
        site.open(timeout=10000)
        application = site.endpoint.accept()
        receiver = site.open()
        site.clock.pump([100] * 50)
        self.assertFalse(receiver.over)
        application.say()
        application.say(b"at last")
        self.assertEqual(b"at last", receiver.data)

    def test_maxQueue(self) -> None:
        """A request too many is a 503 before open() returns."""
        site = Site(max=1, maxQueue=2)
        receivers = [site.open() for _ in range(4)]
        self.assertEqual([False, False, False, True], [r.over for r in receivers])
        self.assertIsInstance(receivers[3].error, AcquireTimedOut)
        self.assertIn("maxqueue", receivers[3].error.reason)  # type: ignore[union-attr]
        self.assertEqual(1, site.member.describe()["refused"])

    def test_abortedInQueue(self) -> None:
        """A request that is aborted in the queue leaves it."""
        site = Site(max=1, reuse=True, acquire=50)
        receivers = [site.open() for _ in range(3)]
        receivers[1].stream.abort()  # type: ignore[union-attr]
        application = site.endpoint.accept()
        application.say(b"one")
        application.say(b"three")
        self.assertEqual([b"one", b"", b"three"], [r.data for r in receivers])
        site.clock.advance(60)
        self.assertFalse(receivers[1].over)

    def test_oneAborted(self) -> None:
        """A slow aborted request keeps its place until its connection is gone."""
        site = Site(max=1, abortGrace=5)
        first = site.open()
        application = site.endpoint.accept()
        second = site.open()
        first.stream.abort()  # type: ignore[union-attr]
        self.assertEqual([], site.endpoint.attempts)
        site.clock.advance(5)
        self.assertTrue(application.closed)
        application.close()
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", second.data)

    def test_nextFromTheEnd(self) -> None:
        """A request that is opened when another one ends gets that one's connection."""
        site = Site(max=1, reuse=True)
        second: list[Receiver] = []
        site.open(then=lambda: second.append(site.open()))
        application = site.endpoint.accept()
        application.say()
        application.say(b"two")
        self.assertEqual(b"two", second[0].data)


class RetryTests(SynchronousTestCase):
    """Connections that were dead already."""

    def dead(self, params: Any = GET, body: Any = None, said: bytes = b"", **how: Any) -> Any:
        """A request on a kept connection that dies after it gave ``said``."""
        site = Site(reuse=True, **how)
        site.open()
        first = site.endpoint.accept()
        first.say(b"one")
        receiver = site.open(params, body)
        first.read()
        if said:
            first.send(said)
        first.close()
        return site, receiver

    def test_sentAgain(self) -> None:
        """A request whose reused connection dies before a byte came is sent on a new one."""
        site, receiver = self.dead()
        self.assertFalse(receiver.over)
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", receiver.data)
        self.assertEqual(1, site.member.describe()["retries"])

    def test_methods(self) -> None:
        """Only requests that may be sent twice are: not POST, PATCH, or a method unknown."""
        for method, again in (
            (b"GET", True),
            (b"HEAD", True),
            (b"OPTIONS", True),
            (b"TRACE", True),
            (b"PUT", True),
            (b"DELETE", True),
            (b"POST", False),
            (b"PATCH", False),
            (b"get", False),
            (b"PROPFIND", False),
        ):
            _, receiver = self.dead(((b"REQUEST_METHOD", method),))
            self.assertEqual(again, receiver.error is None, method)
        _, receiver = self.dead(())
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_bodies(self) -> None:
        """A body is sent again when it can be had again, all of it."""
        put = ((b"REQUEST_METHOD", b"PUT"),)
        site, receiver = self.dead(put, MemoryBody(b"abc", b"def", replayable=True))
        application = site.endpoint.accept()
        application.say(b"two")
        self.assertEqual((b"abcdef", b"two"), (application.stdin, receiver.data))
        _, receiver = self.dead(put, MemoryBody(b"abc"))
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_halfSent(self) -> None:
        """So is one that was sent in part: from its beginning."""
        body = MemoryBody(b"abc", length=6, replayable=True, whole=False)
        site, receiver = self.dead(((b"REQUEST_METHOD", b"PUT"),), body)
        self.assertEqual(["deliver", "pause"], body.calls)
        application = site.endpoint.accept()
        body.give(b"def")
        application.say(b"two")
        self.assertEqual((b"abcdef", b"two"), (application.stdin, receiver.data))

    def test_onceOnly(self) -> None:
        """A new connection that dies is a failure."""
        site, receiver = self.dead()
        site.endpoint.accept().close()
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_byteCame(self) -> None:
        """Once a byte of an answer came the request is not sent again."""
        _, receiver = self.dead(said=b"\1")
        self.assertIsInstance(receiver.error, ConnectionDied)

    def test_nothingSent(self) -> None:
        """A request of which no byte left is sent again, whatever its method is."""
        site = Site(reuse=True)
        site.open()
        first = site.endpoint.accept()
        first.say(b"one")
        first.transport.sent = 100  # type: ignore[attr-defined]
        receiver = site.open(POST)
        first.close(clean=False)
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", receiver.data)

    def test_newConnection(self) -> None:
        """The second attempt does not take another idle connection, which may be as dead."""
        site = Site(reuse=True)
        receivers = [site.open() for _ in range(3)]
        applications = [site.endpoint.accept() for _ in receivers]
        for application in applications:
            application.say()
        receiver = site.open()
        applications[2].close()
        self.assertEqual(1, len(site.endpoint.attempts))
        for application in applications[:2]:
            application.close()
        site.endpoint.accept().say(b"two")
        self.assertEqual(b"two", receiver.data)

    def test_abortedMeanwhile(self) -> None:
        """A request that is being sent again can be aborted."""
        site, receiver = self.dead()
        receiver.stream.abort()
        self.assertEqual([], site.endpoint.attempts)
        self.assertFalse(receiver.over)

    def test_beforeTheOthers(self) -> None:
        """The second attempt comes before the requests that wait."""
        site = Site(reuse=True, max=1)
        site.open()
        first = site.endpoint.accept()
        first.say()
        second, third = site.open(), site.open()
        first.close()
        application = site.endpoint.accept()
        application.say(b"two")
        application.say(b"three")
        self.assertEqual([b"two", b"three"], [second.data, third.data])

    def test_failedToConnect(self) -> None:
        """When the new connection can't be had, that is the failure."""
        site, receiver = self.dead()
        site.endpoint.refuse(REFUSED)
        self.assertIsInstance(receiver.error, ConnectFailed)

    def test_refusedIsNot(self) -> None:
        """An answer that refuses is no dead connection."""
        site = Site(reuse=True)
        site.open()
        application = site.endpoint.accept()
        application.say()
        receiver = site.open()
        application.say(status=ProtocolStatus.OVERLOADED)
        self.assertEqual(503, receiver.error.status)  # type: ignore[union-attr]
        self.assertEqual([], site.endpoint.attempts)


class CautionTests(SynchronousTestCase):
    """Members that end kept connections soon after an answer."""

    def deserting(self, after: float = 0.01, said: bytes = b"") -> Site:
        """A member with one idle connection, another of which was ended after an answer."""
        site = Site(reuse=True)
        receivers = [site.open(), site.open()]
        first, second = site.endpoint.accept(), site.endpoint.accept()
        first.say()
        site.clock.advance(after)
        if said:
            site.open()
            first.send(said)
        first.close()
        second.say()
        self.assertTrue(all(receiver.end for receiver in receivers))
        return site

    def test_newConnection(self) -> None:
        """A request that can't be sent twice does not take a connection that was just used."""
        site = self.deserting()
        receiver = site.open(POST, MemoryBody(b"abc"))
        self.assertEqual(1, len(site.endpoint.attempts))
        site.endpoint.accept().say(b"posted")
        self.assertEqual(b"posted", receiver.data)

    def test_settled(self) -> None:
        """It takes one that has been idle for long enough."""
        site = self.deserting()
        site.clock.advance(SETTLED)
        site.open(POST, MemoryBody(b"abc"))
        self.assertEqual([], site.endpoint.attempts)

    def test_others(self) -> None:
        """A request that can be sent twice takes any."""
        site = self.deserting()
        site.open()
        site.open(((b"REQUEST_METHOD", b"PUT"),), MemoryBody(b"abc", replayable=True))
        self.assertEqual(1, len(site.endpoint.attempts))

    def test_encoded(self) -> None:
        """Whether it can is known of encoded parameters, too."""
        for pairs, attempts in ((POST, 1), (GET, 0)):
            site = self.deserting()
            receiver = site.open(encodePairs(pairs))
            self.assertEqual(attempts, len(site.endpoint.attempts))
            method = dict(pairs)[b"REQUEST_METHOD"].decode("ascii")
            self.assertIn(f"<Stream {method} /", repr(receiver.stream))

    def test_noReason(self) -> None:
        """A member whose connections end late, or in an answer, is trusted."""
        for how in ({"after": SETTLED}, {"said": b"\1"}):
            site = self.deserting(**how)  # type: ignore[arg-type]
            site.open(POST, MemoryBody(b"abc"))
            self.assertEqual([], site.endpoint.attempts, how)

    def test_forgotten(self) -> None:
        """After a while it is trusted again."""
        site = self.deserting()
        site.clock.advance(CAUTION)
        site.open()
        site.endpoint.applications[1].say()
        site.open(POST, MemoryBody(b"abc"))
        self.assertEqual([], site.endpoint.attempts)

    def test_max(self) -> None:
        """With ``max`` connections the idle one makes place; so does one that comes free."""
        for busy in (False, True):
            site = Site(reuse=True, max=1)
            site.open()
            site.endpoint.accept().say()
            site.endpoint.applications[0].close()
            site.open()
            application = site.endpoint.accept().read()
            if not busy:
                application.send(application.answer())
            receiver = site.open(POST, MemoryBody(b"abc"))
            if busy:
                application.send(application.answer())
            self.assertTrue(application.closed)
            self.assertEqual([], site.endpoint.attempts)
            application.close()
            site.endpoint.accept().say(b"posted")
            self.assertEqual(b"posted", receiver.data)


class UnacceptedTests(SynchronousTestCase):
    """An application whose children all wait on connections that are kept."""

    def test_givenUp(self) -> None:
        """An idle connection is closed when a new one gets no answer."""
        site = Site(reuse=True)
        for _ in range(2):
            site.open()
        first, second = site.endpoint.accept(), site.endpoint.accept()
        first.say()
        self.assertFalse(first.closed)
        site.clock.pump([ACCEPTED / 2] * 3)
        self.assertTrue(first.closed)
        second.say()
        self.assertFalse(second.closed)

    def test_notKept(self) -> None:
        """Nor is one kept that comes free while another waits for so long."""
        site = Site(reuse=True)
        for _ in range(3):
            site.open()
        first, second, third = [site.endpoint.accept() for _ in range(3)]
        second.read().send(second.answer(b"begun", end=False))
        site.clock.advance(ACCEPTED)
        first.say()
        self.assertTrue(first.closed)
        third.say()
        second.send(second.answer())
        self.assertFalse(second.closed)

    def test_answered(self) -> None:
        """When all that are new are answered in time, all are kept."""
        site = Site(reuse=True)
        for _ in range(3):
            site.open()
        for _ in range(3):
            site.endpoint.accept()
        for application in site.endpoint.applications:
            application.say()
            site.clock.advance(0.01)
        site.clock.pump([0.02] * 10)
        self.assertEqual(3, site.member.describe()["idle"])

    def test_otherMembers(self) -> None:
        """The idle connections of others to the same address are given up as well."""
        for reuse in (True, False):
            clock = Clock()
            first, second, third = [
                Site(clock, reuse=kept, host=host)
                for kept, host in ((True, "app"), (reuse, "app"), (True, "another"))
            ]
            for site in (first, third):
                site.open()
                site.endpoint.accept().say()
            second.open()
            second.endpoint.accept()
            clock.pump([ACCEPTED / 2] * 3)
            self.assertTrue(first.endpoint.applications[0].closed)
            self.assertFalse(third.endpoint.applications[0].closed)

    def test_cautious(self) -> None:
        """A request that takes no idle connection has one closed, and need not wait for it."""
        site = Site(reuse=True)
        site.member._cautiousUntil = 1000.0
        site.open()
        first = site.endpoint.accept()
        first.say()
        site.open(POST)
        self.assertTrue(first.closed)
        self.assertEqual(1, len(site.endpoint.attempts))


class SettingsTests(SynchronousTestCase):
    """What else is configured for connections."""

    def test_maxRequests(self) -> None:
        """A connection ends after ``keepaliverequests``."""
        site = Site(reuse=True, maxRequests=2)
        receivers = []
        for _ in range(2):
            receivers.append(site.open())
            if site.endpoint.attempts:
                site.endpoint.accept()
            site.endpoint.applications[0].say(b"x")
        self.assertEqual([b"x", b"x"], [r.data for r in receivers])
        self.assertTrue(site.endpoint.applications[0].closed)
        site.open()
        self.assertEqual(1, len(site.endpoint.attempts))

    def test_inAll(self) -> None:
        """Of all members' idle connections, the oldest end when there are too many."""
        self.patch(member, "MAX_IDLE_IN_ALL", 3)
        clock = Clock()
        sites = [Site(clock, reuse=True) for _ in range(5)]
        for site in sites:
            site.open()
            site.endpoint.accept().say()
        idle = [site.member.describe()["idle"] for site in sites]
        closed = [site.endpoint.applications[0].closed for site in sites]
        self.assertEqual([True, True, False, False, False], closed)
        self.assertEqual([0, 0, 1, 1, 1], idle)

    def test_transport(self) -> None:
        """TCP looks after connections with ``keepalive``; ``iobuffersize`` bounds what is read."""
        for socket, kept in ((None, True), ("/run/app.sock", False)):
            site = Site(keepalive=True, readSize=4096, socket=socket)
            site.open()
            transport: Any = site.endpoint.accept().transport
            self.assertEqual(kept, transport.keepAlive)
            self.assertEqual(4096, transport.bufferSize)


class PatienceTests(SynchronousTestCase):
    """An application that is restarting."""

    def restarting(self, error: Exception = REFUSED, **settings: Any) -> tuple[Site, Receiver]:
        site = Site(patience=2.0, **settings)
        site.open()
        site.endpoint.accept().say()
        receiver = site.open()
        site.endpoint.refuse(error)
        return site, receiver

    def test_comesBack(self) -> None:
        """A connect that is refused is repeated after short pauses."""
        for error in (REFUSED, ConnectError(2, "No such file")):
            site, receiver = self.restarting(error)
            for _ in range(10):
                self.assertFalse(receiver.over)
                site.clock.advance(LONGEST_PAUSE)
                site.endpoint.refuse(error)
            site.clock.advance(LONGEST_PAUSE)
            site.endpoint.accept().say(b"back")
            self.assertEqual(b"back", receiver.data)

    def test_bounded(self) -> None:
        """Not for longer than ``patience``; after that, each failure counts at once."""
        site, receiver = self.restarting()
        for _ in range(19):
            site.clock.advance(LONGEST_PAUSE)
            site.endpoint.refuse(REFUSED)
        self.assertFalse(receiver.over)
        site.clock.advance(LONGEST_PAUSE)
        site.endpoint.refuse(REFUSED)
        self.assertIsInstance(receiver.error, ConnectFailed)
        second = site.open()
        site.endpoint.refuse(REFUSED)
        self.assertIsInstance(second.error, ConnectFailed)

    def test_neverWorked(self) -> None:
        """One that was never there is not waited for."""
        site = Site(patience=2.0)
        receiver = site.open()
        site.endpoint.refuse(REFUSED)
        self.assertIsInstance(receiver.error, ConnectFailed)

    def test_otherFailures(self) -> None:
        """Nor is one that can't be reached."""
        _, receiver = self.restarting(ConnectError(113, "No route to host"))
        self.assertIsInstance(receiver.error, ConnectFailed)

    def test_stopping(self) -> None:
        """Nor when the member is to stop."""
        site, receiver = self.restarting()
        stopped = site.member.stop()
        site.clock.advance(LONGEST_PAUSE)
        site.endpoint.refuse(REFUSED)
        self.assertIsInstance(receiver.error, ConnectFailed)
        site.endpoint.applications[0].close()
        self.successResultOf(stopped)

    def test_killed(self) -> None:
        """What a restart cuts off before its answer began is sent again, and waited for."""
        site = Site(patience=2.0, reuse=True)
        receiver = site.open()
        site.endpoint.accept().close()
        site.endpoint.refuse(REFUSED)
        site.clock.advance(LONGEST_PAUSE)
        site.endpoint.accept().say(b"back")
        self.assertEqual(b"back", receiver.data)


class StopTests(SynchronousTestCase):
    """The end of a member."""

    def test_nothingToDo(self) -> None:
        """A member that was never asked has stopped at once."""
        self.successResultOf(Site().member.stop())

    def test_graceful(self) -> None:
        """Idle connections are closed, requests go on to their end, then it has stopped."""
        site = Site(reuse=True)
        receivers = [site.open() for _ in range(2)]
        idle, busy = (site.endpoint.accept() for _ in range(2))
        idle.say()
        stopped = site.member.stop()
        self.assertTrue(idle.closed)
        self.assertFalse(busy.closed)
        idle.close()
        self.assertNoResult(stopped)
        self.assertIn("stopping", repr(site.member))
        busy.say(b"whole")
        self.assertTrue(busy.closed)
        self.assertEqual(b"whole", receivers[1].data)
        self.assertNoResult(stopped)
        busy.close()
        self.successResultOf(stopped)
        self.assertEqual([], site.clock.getDelayedCalls())

    def test_twice(self) -> None:
        """It may be asked to stop twice; both are told."""
        site = Site()
        site.open()
        one, two = site.member.stop(), site.member.stop()
        application = site.endpoint.accept()
        application.say()
        application.close()
        self.successResultOf(one)
        self.successResultOf(two)

    def test_waiting(self) -> None:
        """Requests that wait are served."""
        site = Site(reuse=True, max=1)
        receivers = [site.open() for _ in range(2)]
        application = site.endpoint.accept()
        stopped = site.member.stop()
        application.say()
        application.say(b"two")
        self.assertEqual(b"two", receivers[1].data)
        application.close()
        self.successResultOf(stopped)

    def test_connectFails(self) -> None:
        """A connect that fails is an end, too; so is one that nobody needs any more."""
        site = Site()
        site.open()
        stopped = site.member.stop()
        site.endpoint.refuse(REFUSED)
        self.successResultOf(stopped)
        site = Site()
        receiver = site.open()
        stopped = site.member.stop()
        receiver.stream.abort()  # type: ignore[union-attr]
        self.successResultOf(stopped)

    def test_refusedInQueue(self) -> None:
        """So is a request whose time to wait is over."""
        site = Site(reuse=True, max=1, acquire=1)
        site.open(POST)
        application = site.endpoint.accept()
        second = site.open()
        stopped = site.member.stop()
        site.clock.advance(1)
        self.assertIsInstance(second.error, AcquireTimedOut)
        application.close()
        self.successResultOf(stopped)

    def test_afterwards(self) -> None:
        """A request to a member that is stopped fails, and may be tried elsewhere."""
        site = Site()
        site.member.stop()
        receiver = site.open()
        self.assertIsInstance(receiver.error, ConnectFailed)
