"""Tests for :mod:`twisted_fcgi.web.relay`: one request, both of its sides scripted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.web.doubles import RecordingResponse, ScriptedBody, ScriptedMember
from twisted_fcgi.backend.retries import SENT_AGAIN
from twisted_fcgi.errors import (
    ApplicationOverloaded,
    BrokenResponse,
    CannotMultiplex,
    ConnectFailed,
    ConnectionDied,
    ResponseTimedOut,
)
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IBody, IExchange, IResponse, IStreamReceiver
from twisted_fcgi.message import Address, Authority, Request, Route, RouteKind
from twisted_fcgi.settings import (
    BalancerSettings,
    DirectorySettings,
    Flush,
    Limits,
    MemberSettings,
    VirtualHost,
)
from twisted_fcgi.web.attempts import LiveBalancer
from twisted_fcgi.web.errorpage import ANSWERED, Refusal, writeErrorPage
from twisted_fcgi.web.relay import Exchange
from twisted_fcgi.wire import EndRequest

HEAD = b"Content-Type: text/plain\r\n\r\n"
END = EndRequest(1, 0, 0)


class ExchangeTests(SynchronousTestCase):
    """Tests for :class:`Exchange`."""

    def begin(
        self,
        *members: ScriptedMember,
        method: bytes = b"GET",
        headers: Headers | None = None,
        body: ScriptedBody | None = None,
        limits: Limits = Limits(),
    ) -> RecordingResponse:
        """An exchange with these members, started."""
        self.reactor = self.clock = Clock()
        settings = tuple(member.settings for member in members)
        self.live = dict(zip(settings, members))
        host = VirtualHost(limits=limits, timeout=7.0)
        route = Route(
            RouteKind.FASTCGI,
            host,
            DirectorySettings(),
            uri=b"/x",
            filename=b"proxy:fcgi://localhost/x",
            members=settings,
            authority=Authority(host, b"h", None, b"h", Address(b"127.0.0.1", 80), False),
        )
        request = Request(
            method,
            b"/x",
            Headers() if headers is None else headers,
            contentLength=0 if body is None else body.length,
        )
        response = RecordingResponse()
        attempts = None
        if len(members) > 1:
            route.balancer = "balancer://pool"
            balancer = LiveBalancer(
                BalancerSettings(route.balancer, settings),
                lambda request, route, member: replace(route),
                self.clock,
            )
            attempts = balancer.attempts(request, route)
        self.exchange = Exchange(self, request, route, body, response, attempts)
        self.exchange.start()
        return response

    def memberOf(self, settings: MemberSettings) -> ScriptedMember:
        """One of the members that an exchange was begun with."""
        return self.live[settings]

    def refuse(
        self,
        request: Request,
        route: Route,
        body: IBody | None,
        response: IResponse,
        refusal: Refusal,
    ) -> IExchange:
        """Answer with our own page, as a gateway does that has no ErrorDocument."""
        if body is not None:
            body.discard()
        writeErrorPage(response, refusal)
        return self.exchange

    def member(self, *script: Any, **settings: Any) -> ScriptedMember:
        """A member with this script."""
        settings.setdefault("url", "fcgi://localhost")
        settings.setdefault("flush", Flush.OFF)
        return ScriptedMember(MemberSettings(**settings), *script)

    def test_interfaces(self) -> None:
        """An exchange provides both of its interfaces."""
        self.begin(self.member())
        verifyObject(IExchange, self.exchange)
        verifyObject(IStreamReceiver, self.exchange)

    def test_wholeAnswer(self) -> None:
        """Head, body and end, told before open() returns, make one response."""
        response = self.begin(self.member(HEAD + b"hello", END))
        self.assertEqual((response.status, response.body), (200, b"hello"))
        self.assertEqual(response.calls, ["head", "write", "finish"])

    def test_parts(self) -> None:
        """Each part of a body is written on when it comes."""
        member = self.member()
        response = self.begin(member)
        member.receiver.stdoutReceived(HEAD[:5])
        self.assertEqual(response.calls, [])
        member.receiver.stdoutReceived(HEAD[5:] + b"a")
        self.assertEqual(response.body, b"a")
        member.receiver.stdoutReceived(b"b")
        self.assertEqual(response.body, b"ab")
        member.receiver.streamEnded(END)
        self.assertEqual(response.calls, ["head", "write", "write", "finish"])

    def test_headAlone(self) -> None:
        """A response without a body is finished without a write."""
        response = self.begin(self.member(b"Status: 404 Not Found\r\n\r\n", END))
        self.assertEqual((response.status, response.calls), (404, ["head", "finish"]))

    def test_headRequest(self) -> None:
        """The body that an application sends to HEAD is dropped."""
        response = self.begin(self.member(HEAD + b"hello", END), method=b"HEAD")
        self.assertEqual(response.calls, ["head", "finish"])

    def test_bodylessStatus(self) -> None:
        """The body that an application sends with 204 and 304 is dropped."""
        for status in (b"204", b"304"):
            response = self.begin(self.member(b"Status: " + status + b"\r\n\r\nbody", END))
            self.assertEqual(response.calls, ["head", "finish"])

    def test_flushOn(self) -> None:
        """``flushpackets=on`` flushes the head alone and each part."""
        member = self.member(flush=Flush.ON)
        response = self.begin(member)
        member.receiver.stdoutReceived(HEAD)
        member.receiver.stdoutReceived(b"a")
        self.assertEqual(response.calls, ["head", "flush", "write", "flush"])

    def test_flushAuto(self) -> None:
        """``flushpackets=auto`` sends on after ``flushwait`` without data."""
        member = self.member(flush=Flush.AUTO, flushWait=0.02)
        response = self.begin(member)
        member.receiver.stdoutReceived(HEAD + b"a")
        self.clock.advance(0.01)
        member.receiver.stdoutReceived(b"b")
        self.clock.advance(0.01)
        self.assertEqual(response.body, b"")
        self.clock.advance(0.01)
        self.assertEqual(response.body, b"ab")
        member.receiver.stdoutReceived(b"c")
        member.receiver.streamEnded(END)
        self.assertEqual(response.calls, ["head", "write", "flush", "write", "finish"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_flushAutoClientGone(self) -> None:
        """What was gathered for a client that left is never written."""
        member = self.member(HEAD + b"a", flush=Flush.AUTO)
        response = self.begin(member)
        self.exchange.clientGone()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(response.calls, ["head"])

    def test_contentLengthKept(self) -> None:
        """A body as long as its Content-Length passes whole."""
        response = self.begin(self.member(b"Content-Length: 5\r\n\r\nhello", END))
        self.assertEqual((response.body, response.calls[-1]), (b"hello", "finish"))
        assert response.head is not None
        self.assertEqual(response.head.contentLength, 5)

    def test_contentLengthExceeded(self) -> None:
        """What goes beyond the Content-Length is cut, however it comes."""
        for parts in ([b"hello, world"], [b"hel", b"lo, ", b"world"], [b"hello", b", world"]):
            response = self.begin(self.member(b"Content-Length: 5\r\n\r\n", *parts, END))
            self.assertEqual((response.body, response.calls[-1]), (b"hello", "finish"))

    def test_contentLengthShort(self) -> None:
        """A body that ends before its Content-Length aborts the client's connection."""
        response = self.begin(self.member(b"Content-Length: 5\r\n\r\nhell", END))
        self.assertEqual(response.calls, ["head", "write", "abort"])

    def test_brokenHead(self) -> None:
        """Output that is no CGI response becomes a 502, and the stream is aborted."""
        member = self.member(b"just text\n\n")
        response = self.begin(member)
        self.assertEqual(response.status, 502)
        self.assertEqual(member.stream.calls, ["abort"])

    def test_noOutput(self) -> None:
        """A request that ends without a head becomes a 502."""
        for script in ((), (b"Content-Type: te",)):
            response = self.begin(self.member(*script, END))
            self.assertEqual(response.status, 502)

    def test_failedBeforeHead(self) -> None:
        """A failure before the head is answered with the error's status."""
        member = self.member(ResponseTimedOut("silent for 7 s"))
        response = self.begin(member)
        self.assertEqual(response.status, 504)
        self.assertEqual(response.calls, ["head", "write", "finish"])

    def test_failedAfterHeadAlone(self) -> None:
        """Until a body begins, the head is held back, so that a failure has its own answer."""
        response = self.begin(self.member(HEAD, ResponseTimedOut("silent for 7 s")))
        self.assertEqual((response.status, response.calls), (504, ["head", "write", "finish"]))

    def test_notAgainAfterHeadAlone(self) -> None:
        """The only application, once it has made a head, has begun: it is not asked again."""
        member = self.member(HEAD, ConnectFailed("odd"))
        self.assertEqual((self.begin(member).status, member.opened), (503, 1))

    def test_failedInBody(self) -> None:
        """A failure after a part of the body aborts the client's connection."""
        response = self.begin(self.member(HEAD + b"begun", ResponseTimedOut("silent")))
        self.assertEqual(response.calls, ["head", "write", "abort"])

    def test_failover(self) -> None:
        """A failure without effect goes on to the next member, told at once or later."""
        first = self.member(ConnectFailed("refused"), url="fcgi://one")
        second = self.member(HEAD + b"two", END, url="fcgi://two")
        self.assertEqual(self.begin(first, second).body, b"two")
        first.script = ()
        response = self.begin(first, second)
        first.receiver.streamFailed(ConnectFailed("refused"))
        self.assertEqual(response.body, b"two")

    def test_restarted(self) -> None:
        """A GET that an application took with it when it left is sent to it again, not for ever."""
        member = self.member(ConnectionDied("closed"))
        member.leaves = True
        self.assertEqual(503, self.begin(member).status)
        self.assertEqual(1 + SENT_AGAIN, member.opened)
        member.script = ()
        response = self.begin(member, method=b"POST")
        member.script = (HEAD + b"whole", END)
        member.receiver.streamFailed(ConnectionDied("nothing was sent", retryable=True))
        self.assertEqual(b"whole", response.body)
        member.script = ()
        response = self.begin(member)
        member.receiver.stdoutReceived(b"Status: 2")
        member.script = (HEAD + b"whole", END)
        member.receiver.streamFailed(ConnectionDied("closed"))
        self.assertEqual(b"whole", response.body)

    def test_notRestarted(self) -> None:
        """What ended the request's process only, is a POST, or has a head, is not sent again."""
        died = ConnectionDied("closed")
        for leaves, method, script in (
            (False, b"GET", (died,)),
            (True, b"POST", (died,)),
            (True, b"GET", (HEAD, died)),
            (False, b"POST", (ConnectionDied("closed", retryable=True),)),
        ):
            member = self.member(*script)
            member.leaves = leaves
            self.assertEqual(503, self.begin(member, method=method).status)
            self.assertEqual(1, member.opened)

    def test_leftMeanwhile(self) -> None:
        """A client that leaves meanwhile is sent nothing, and nobody is asked for it."""
        told: list[Any] = []
        member = self.member(ConnectionDied("closed"))
        self.patch(member, "askWhetherItLeaves", told.append)
        response = self.begin(member)
        self.exchange.clientGone()
        told[0](True)
        self.assertEqual((1, []), (member.opened, response.calls))

    def test_failoverKeepsTheLiveStream(self) -> None:
        """After an attempt that failed at once, back-pressure reaches the next one."""
        first = self.member(ConnectFailed("refused"), url="fcgi://one")
        second = self.member(url="fcgi://two")
        self.begin(first, second)
        self.exchange.pauseProducing()
        self.assertEqual((first.stream.calls, second.stream.calls), ([], ["pause"]))

    def test_noFailoverWithEffect(self) -> None:
        """A failure that may have had an effect is not tried again."""
        first = self.member(ResponseTimedOut("silent"), url="fcgi://one")
        second = self.member(url="fcgi://two")
        self.assertEqual(self.begin(first, second).status, 504)
        self.assertEqual(second.opened, 0)

    def test_failoverWithBody(self) -> None:
        """A body that nobody was given yet, or that is kept, goes to the next member."""
        for error, kept in ((ConnectFailed("no"), False), (ApplicationOverloaded("full"), True)):
            first, second = self.member(url="fcgi://one"), self.member(url="fcgi://two")
            body = ScriptedBody(3)
            self.begin(first, second, method=b"POST", body=body)
            if kept:
                body.deliver(None)
                body.replayable = True
            first.receiver.streamFailed(error)
            self.assertIs(second.body, body)

    def test_noFailoverOfASpentBody(self) -> None:
        """A body that a member was given can't go to another one, even if it had no effect."""
        for error in (ApplicationOverloaded("full"), CannotMultiplex("one at a time")):
            first, second = self.member(url="fcgi://one"), self.member(url="fcgi://two")
            body = ScriptedBody(3)
            response = self.begin(first, second, method=b"POST", body=body)
            body.deliver(None)
            first.receiver.streamFailed(error)
            self.assertEqual((response.status, second.opened), (503, 0))
            self.assertEqual(body.calls, ["deliver", "discard"])

    def test_allMembersFailed(self) -> None:
        """When no member is left the client gets a 503."""
        members = [self.member(ConnectFailed("no"), url=f"fcgi://m{i}") for i in range(3)]
        self.assertEqual(self.begin(*members).status, 503)
        self.assertEqual([member.opened for member in members], [1, 1, 1])

    def test_backPressure(self) -> None:
        """A client that is slow pauses the stream."""
        member = self.member()
        self.begin(member)
        self.exchange.pauseProducing()
        self.exchange.resumeProducing()
        self.assertEqual(member.stream.calls, ["pause", "resume"])

    def test_clientGone(self) -> None:
        """A client that left aborts the stream and discards the body; nothing is written."""
        member = self.member()
        body = ScriptedBody(3)
        response = self.begin(member, method=b"POST", body=body)
        self.exchange.clientGone()
        self.assertEqual((member.stream.calls, body.calls), (["abort"], ["discard"]))
        self.assertEqual(response.calls, [])

    def test_clientGoneTwice(self) -> None:
        """A client that left after the response's end changes nothing."""
        member = self.member(HEAD, END)
        self.begin(member)
        self.exchange.clientGone()
        self.assertEqual(member.stream.calls, ["abort"] if member.stream.calls else [])

    def test_timeout(self) -> None:
        """The member is given the host's timeout."""
        member = self.member()
        self.begin(member)
        self.assertEqual(member.timeout, 7.0)

    def test_bodyTooLong(self) -> None:
        """A Content-Length over LimitRequestBody is a 413, and no member is asked."""
        member = self.member()
        body = ScriptedBody(11)
        response = self.begin(member, method=b"POST", body=body, limits=Limits(body=10))
        self.assertEqual((response.status, member.opened, body.calls), (413, 0, ["discard"]))

    def test_unknownLengthIsCounted(self) -> None:
        """A body of unknown length is taken whole before a member is asked."""
        member = self.member()
        body = ScriptedBody(None)
        self.begin(member, method=b"POST", body=body)
        self.assertEqual((member.opened, body.calls), (0, ["deliver"]))
        body.consumer.write(b"abc")
        body.consumer.write(b"defg")
        body.consumer.finish()
        self.assertEqual((member.opened, member.body.length), (1, 7))
        self.assertEqual(member.params[b"CONTENT_LENGTH"], b"7")

    def test_unknownLengthTooLong(self) -> None:
        """A body of unknown length that grows over LimitRequestBody is a 413."""
        member = self.member()
        body = ScriptedBody(None)
        response = self.begin(member, method=b"POST", body=body, limits=Limits(body=10))
        body.consumer.write(b"x" * 11)
        self.assertEqual((response.status, member.opened), (413, 0))
        self.assertIn("discard", body.calls)

    def test_clientGoneWhileCounting(self) -> None:
        """No member is asked for a client that left during its upload."""
        member = self.member()
        body = ScriptedBody(None)
        response = self.begin(member, method=b"POST", body=body)
        self.exchange.clientGone()
        body.consumer.fail(BrokenResponse("gone"))
        self.assertEqual((member.opened, response.calls), (0, []))


TEXT = b"Content-Type: text/plain\n"
DATE = b"Thu, 20 Nov 2025 00:00:00 GMT"


class UsualHeadTests(SynchronousTestCase):
    """A head that came before on a route that is remembered is read by its beginning."""

    def setUp(self) -> None:
        self.reactor = Clock()
        self.live = ScriptedMember(MemberSettings("fcgi://localhost", flush=Flush.OFF))

    def route(self, **settings: Any) -> Route:
        """A route that is remembered."""
        host = VirtualHost()
        return Route(
            RouteKind.FASTCGI,
            host,
            DirectorySettings(**settings),
            uri=b"/x",
            filename=b"proxy:fcgi://localhost/x",
            members=(self.live.settings,),
            authority=Authority(host, b"h", None, b"h", Address(b"127.0.0.1", 80), False),
            lasting=True,
        )

    def ask(
        self, route: Route, output: bytes, fields: Headers, method: bytes = b"GET", size: int = 999
    ) -> RecordingResponse:
        """What becomes of an output that comes in pieces of some size."""
        pieces = [output[at : at + size] for at in range(0, len(output), size)]
        self.live.script = (*pieces, END)
        response = RecordingResponse()
        request = Request(method, b"/x", fields)
        Exchange(self, request, route, None, response, None).start()
        return response

    def memberOf(self, settings: MemberSettings) -> ScriptedMember:
        """The only one."""
        return self.live

    def refuse(
        self, request: Request, route: Route, body: Any, response: IResponse, refusal: Refusal
    ) -> IExchange:
        """A page about an error."""
        writeErrorPage(response, refusal)
        return ANSWERED

    @given(
        st.lists(
            st.lists(
                st.sampled_from(
                    [
                        TEXT,
                        b"\n",
                        b"\r\n",
                        b"x",
                        b"Status: 404 Gone\n",
                        b"Status: 304\n",
                        b"Content-Length: 1\n",
                        b"Last-Modified: " + DATE + b"\n",
                        b'ETag: "a"\r\n',
                        b"Set-Cookie: a=b\n",
                        b"Location: /y\n",
                    ]
                ),
                max_size=5,
            ).map(lambda lines: b"".join((*lines, b"\n", b"x" * len(lines)))),
            min_size=1,
            max_size=2,
        ),
        st.lists(
            st.tuples(
                st.integers(0, 1),
                st.sampled_from([None, b"if-none-match", b"if-modified-since"]),
                st.sampled_from([b"GET", b"GET", b"HEAD", b"POST"]),
                st.sampled_from([1, 999, 999, 999]),
            ),
            min_size=4,
            max_size=8,
        ),
        st.sampled_from([{}, {}, {"overridesErrors": True}, {"forcedType": b"a/b"}]),
    )
    def test_makesNoDifference(
        self,
        outputs: list[bytes],
        steps: list[tuple[int, bytes | None, bytes, int]],
        settings: dict[str, Any],
    ) -> None:
        """Whatever came before, an answer is that on a route that knows nothing."""
        route = self.route(**settings)
        for number, condition, method, size in steps:
            value = b'"a"' if condition == b"if-none-match" else DATE
            fields = Headers(() if condition is None else [(condition, value)])
            output = outputs[number % len(outputs)]
            ours = self.ask(route, output, fields, method, size)
            fresh = self.ask(self.route(**settings), output, fields, method, size)
            self.assertEqual(
                (fresh.calls, fresh.head, fresh.body), (ours.calls, ours.head, ours.body)
            )

    def test_known(self) -> None:
        """One that is passed on as it came is known from the third time on, and shared."""
        route = self.route()
        one, two, three, four = (
            self.ask(route, HEAD + body, Headers()).head for body in (b"a", b"b", b"c", b"")
        )
        self.assertIsNot(one, two)
        self.assertIs(three, four)
        self.assertEqual(one, three)

    def test_notOfUs(self) -> None:
        """What is different for each request, or was changed on the way, is not known."""
        for settings, lines in (
            ({}, b"Set-Cookie: a=b\n" + TEXT),
            ({"forcedType": b"a/b"}, b"X-A: b\n"),
            ({"overridesErrors": True}, b"Status: 404\n" + TEXT),
        ):
            route = self.route(**settings)
            for _ in range(4):
                self.ask(route, lines + b"\n", Headers())
            self.assertIsNone(route.terms.usual)
