"""Tests for :mod:`twisted_fcgi.web.attempts`: what becomes of a request at a balancer."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.python.failure import Failure

from tests.web.doubles import RecordingResponse, ScriptedBody
from tests.web.gateways import END, HEAD, GatewayTestCase, StoppableMember
from twisted_fcgi.backend.retries import SENT_AGAIN
from twisted_fcgi.errors import (
    AcquireTimedOut,
    ApplicationOverloaded,
    BrokenResponse,
    ConnectFailed,
    ConnectionDied,
    RemoteProtocolError,
    ResponseTimedOut,
)
from twisted_fcgi.headers import Headers
from twisted_fcgi.interfaces import IExchange
from twisted_fcgi.message import Request
from twisted_fcgi.settings import MemberSettings
from twisted_fcgi.web.attempts import LOOK_AGAIN
from twisted_fcgi.web.gateway import Gateway

__all__ = ["CookieTests", "FailoverTests", "MethodTests", "RecoveryTests",
           "VariablesTests", "WaitingTests"]  # fmt: skip

REFUSED = ConnectFailed("refused")
DIED = ConnectionDied("closed")


class RefusingEndpoint:
    """Refuses connections until told otherwise."""

    def __init__(self) -> None:
        self.accepts = False
        self.tried = 0

    def connect(self, factory: Any) -> Deferred[Any]:
        self.tried += 1
        deferred: Deferred[Any] = Deferred()
        if self.accepts:
            self.protocol = factory.buildProtocol(None)
            self.protocol.transport = self
            deferred.callback(self.protocol)
        else:
            deferred.errback(ConnectionRefusedError())
        return deferred

    def loseConnection(self) -> None:
        """Nothing is sent."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


class BalancerTestCase(GatewayTestCase):
    """A balancer of members m1, m2, ... at /."""

    def setUp(self) -> None:
        super().setUp()
        self.endpoint = RefusingEndpoint()

    def makeMember(self, settings: MemberSettings, reactor: Any) -> StoppableMember:
        member = super().makeMember(settings, reactor)
        member.endpoint = self.endpoint
        return member

    def balanced(
        self, parameters: str = "", members: tuple[str, ...] = ("", ""), **scripts: Any
    ) -> Gateway:
        """A gateway; the scripts are of members by their names."""
        lines = [f'BalancerMember "fcgi://m{n}" {said}' for n, said in enumerate(members, 1)]
        self.scripts = {f"fcgi://{name}": script for name, script in scripts.items()}
        return self.gateway(
            '<Proxy "balancer://b">\n' + "\n".join(lines) + f"\nProxySet {parameters or 'growth=5'}"
            '\n</Proxy>\nProxyPass "/" "balancer://b/"\n'
        )

    def ask(self, gateway: Gateway, method: bytes = b"GET", **options: Any) -> str:
        """Who answers a request, or its status."""
        response = self.serve(gateway, b"/x", method, **options)
        return self.told(response)

    def told(self, response: RecordingResponse) -> str:
        if response.head is None:
            return "nothing"
        return response.body.decode()[7:] if response.status == 200 else str(response.status)

    def script(self, name: str, *script: Any) -> None:
        """From now on a member that was asked before says something else."""
        for member in self.live:
            if member.settings.host == name:
                member.script = script

    def begin(
        self, gateway: Gateway, body: ScriptedBody | None = None
    ) -> tuple[RecordingResponse, IExchange]:
        """A request that may not be answered at once."""
        response = RecordingResponse()
        request = Request(b"GET", b"/x", Headers([(b"Host", b"www.example.test")]))
        return response, gateway.serve(request, body, response)


class FailoverTests(BalancerTestCase):
    """When another member is asked."""

    def test_diedWithARequest(self) -> None:
        """A request goes on when a member died with it or spoke no FastCGI, if that is harmless."""
        for error in (DIED, RemoteProtocolError("version 3")):
            gateway = self.balanced(m1=(error,))
            self.assertEqual(["m2", "m2"], [self.ask(gateway), self.ask(gateway, b"DELETE")])
            gateway = self.balanced(m1=(error,))
            self.assertIn(self.ask(gateway, b"POST"), ("503", "502"))

    def test_diedAfterHeadAlone(self) -> None:
        """As long as nothing of an answer was passed on, a second member's whole answer is."""
        gateway = self.balanced(m1=(b"Status: 204\r\nX-From: m1\r\n\r\n", DIED))
        response = self.serve(gateway, b"/x")
        assert response.head is not None
        self.assertEqual((200, b"fcgi://m2"), (response.status, response.body))
        self.assertIs(None, response.head.headers.get(b"x-from"))

    def test_diedInBody(self) -> None:
        """After that no other one is asked."""
        response = self.serve(self.balanced(m1=(HEAD + b"half", DIED)), b"/x")
        self.assertEqual(["head", "write", "abort"], response.calls)

    def test_otherFailures(self) -> None:
        """Silence and a broken head are answered; the application has begun its work."""
        for error, status in ((ResponseTimedOut("silent"), "504"), (BrokenResponse("bad"), "502")):
            self.assertEqual(status, self.ask(self.balanced(m1=(error,))))

    def test_failoverTime(self) -> None:
        """After failovertime a request that a member died with is not sent again."""
        for seconds, expected in ((2, "m2"), (3.5, "503")):
            gateway = self.balanced("failovertime=3", m1=())
            response, _ = self.begin(gateway)
            self.clock.advance(seconds)
            self.live[-1].receiver.streamFailed(DIED)
            self.assertEqual(expected, self.told(response))

    def test_sentAgain(self) -> None:
        """A request that members die with is sent again three times, to however many there are."""
        died = {f"m{n}": (DIED,) for n in range(1, 9)}
        gateway = self.balanced("timeout=60", ("",) * 8, **died)
        self.assertEqual("503", self.ask(gateway))
        self.assertEqual(1 + SENT_AGAIN, sum(member.opened for member in self.live))

    def test_connectHasNoTime(self) -> None:
        """A member that can't be reached is passed over, however long that took."""
        response, _ = self.begin(self.balanced("failovertime=3", m1=()))
        self.clock.advance(59)
        self.live[-1].receiver.streamFailed(REFUSED)
        self.assertEqual("m2", self.told(response))

    def test_nonIdempotent(self) -> None:
        """With nonidempotent=on a POST is sent again, with its body, which was stored."""
        gateway = self.balanced("nonidempotent=on", m1=(DIED,))
        body = ScriptedBody(3)
        response = self.serve(gateway, b"/x", b"POST", body)
        self.assertEqual((["deliver"], None), (body.calls, response.head))
        body.consumer.write(b"abc")
        body.consumer.finish()
        self.assertEqual("m2", self.told(response))
        self.assertEqual([3, 3], [member.body.length for member in self.live])

    def test_nonIdempotentTooLarge(self) -> None:
        """What is over LimitRequestBody is refused before it is stored."""
        gateway = self.balanced("nonidempotent=on")
        body = ScriptedBody(1 << 40)
        self.assertEqual(413, self.serve(gateway, b"/x", b"POST", body).status)
        self.assertNotIn("deliver", body.calls)

    def test_tooBusy(self) -> None:
        """Who has too much to do is passed over once, and asked again the next time."""
        for error in (AcquireTimedOut("full"), ApplicationOverloaded("full")):
            gateway = self.balanced(m1=(error,))
            self.assertEqual(["m2"] * 4, [self.ask(gateway) for _ in range(4)])
            self.assertGreater(gateway.balancers[0].balancer.members[0].elected, 1)
            self.assertEqual("", gateway.balancers[0].balancer.members[0].status)

    def test_allTooBusy(self) -> None:
        """When all have too much to do, the client is told when to come back."""
        full = AcquireTimedOut("full", 7)
        response = self.serve(self.balanced(m1=(full,), m2=(full,)), b"/x")
        assert response.head is not None
        self.assertEqual((503, b"7"), (response.status, response.head.headers.get(b"retry-after")))

    def test_figures(self) -> None:
        """However requests end, nobody is left busy, and the bytes are counted."""
        gateway = self.balanced(m1=(REFUSED,))
        self.ask(gateway)
        one, two = gateway.balancers[0].balancer.members
        self.assertEqual((0, 0, 0), (one.busy, two.busy, one.transferred + one.read))
        self.assertGreater(two.transferred, 100)
        self.assertEqual(len(HEAD) + len(b"fcgi://m2"), two.read)


class RecoveryTests(BalancerTestCase):
    """When a member that failed is asked again."""

    def test_probed(self) -> None:
        """A member that takes connections again is asked long before its retry is over."""
        gateway = self.balanced(m1=(REFUSED,))
        self.assertEqual("m2", self.ask(gateway))
        self.clock.advance(0.3)
        self.assertEqual(0, self.endpoint.tried)
        self.ask(gateway)
        self.clock.advance(0.2)
        self.assertEqual(1, self.endpoint.tried)
        self.script("m1", HEAD + b"fcgi://m1", END)
        self.assertEqual(["m2", "m2"], [self.ask(gateway), self.ask(gateway)])
        self.endpoint.accepts = True
        self.clock.advance(1.0)
        self.assertEqual({"m1", "m2"}, {self.ask(gateway), self.ask(gateway)})
        self.assertEqual(2, self.endpoint.tried)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_retrySaid(self) -> None:
        """Who says retry= means it: no probes, and the member is asked when it is over."""
        gateway = self.balanced(members=("retry=20", ""), m1=(REFUSED,))
        self.ask(gateway)
        self.endpoint.accepts = True
        self.script("m1", HEAD + b"fcgi://m1", END)
        for _ in range(19):
            self.clock.advance(1.0)
            self.assertEqual("m2", self.ask(gateway))
        self.clock.advance(1.1)
        self.assertEqual({"m1", "m2"}, {self.ask(gateway), self.ask(gateway)})
        self.assertEqual(0, self.endpoint.tried)

    def test_nobodyAsks(self) -> None:
        """Once nobody asks the balancer any more, its members are not probed either."""
        gateway = self.balanced(m1=(REFUSED,))
        self.ask(gateway)
        for _ in range(50):
            self.clock.advance(1.0)
        self.assertEqual(1, self.endpoint.tried)

    def test_flapping(self) -> None:
        """A member that takes connections and dies with its requests is back ever later."""
        gateway = self.balanced(m1=(DIED,))
        self.endpoint.accepts = True
        for _ in range(600):
            self.assertEqual("m2", self.ask(gateway))
            self.clock.advance(0.1)
        opened = {member.settings.host: member.opened for member in self.live}
        self.assertLess(opened["m1"], 10)

    def test_answersPutNobodyBack(self) -> None:
        """An answer to a request that began before a member failed does not bring it back."""
        gateway = self.balanced(members=("", "lbset=1"), m1=())
        response, _ = self.begin(gateway)
        receiver = self.live[0].receiver
        self.script("m1", REFUSED)
        self.assertEqual("m2", self.ask(gateway))
        receiver.stdoutReceived(HEAD + b"fcgi://m1")
        receiver.streamEnded(END)
        self.assertEqual("m1", self.told(response))
        self.assertEqual("E", gateway.balancers[0].balancer.members[0].status)

    def test_stop(self) -> None:
        """A gateway that stops probes nobody any more."""
        gateway = self.balanced(m1=(REFUSED,))
        self.ask(gateway)
        self.successResultOf(gateway.stop())
        self.assertEqual([], self.clock.getDelayedCalls())


class WaitingTests(BalancerTestCase):
    """``timeout``: requests wait for a member."""

    def down(self, parameters: str) -> Gateway:
        """A gateway whose only members can't be reached."""
        return self.balanced(parameters, m1=(REFUSED,), m2=(REFUSED,))

    def test_comesBack(self) -> None:
        """A request waits until one of the members is back."""
        gateway = self.down("timeout=5")
        response, _ = self.begin(gateway)
        self.assertEqual(("nothing", 1), (self.told(response), gateway.balancers[0].waiting))
        self.endpoint.accepts = True
        self.script("m1", HEAD + b"fcgi://m1", END)
        self.script("m2", HEAD + b"fcgi://m1", END)
        self.clock.pump([LOOK_AGAIN] * 12)
        self.assertEqual(("m1", 0), (self.told(response), gateway.balancers[0].waiting))
        self.clock.pump([0.5] * 4)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_alone(self) -> None:
        """A balancer's only member is asked again and again, without being probed."""
        gateway = self.balanced("timeout=5", ("retry=60",), m1=(DIED,))
        response, _ = self.begin(gateway)
        self.clock.pump([LOOK_AGAIN] * 2)
        self.assertEqual(("nothing", 3), (self.told(response), self.live[0].opened))
        self.script("m1", HEAD + b"fcgi://m1", END)
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual(("m1", 0), (self.told(response), self.endpoint.tried))

    def test_tooBusy(self) -> None:
        """Those with full queues are asked again from time to time, and not at once."""
        full = AcquireTimedOut("full")
        response, _ = self.begin(self.balanced("timeout=1", m1=(full,), m2=(full,)))
        self.assertEqual([1, 1], [member.opened for member in self.live])
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual([2, 2], [member.opened for member in self.live])
        self.script("m2", HEAD + b"fcgi://m2", END)
        self.clock.advance(LOOK_AGAIN)
        self.assertEqual("m2", self.told(response))

    def test_inTurn(self) -> None:
        """Who came first is served first."""
        gateway = self.balanced("timeout=5 forcerecovery=off", ("", "status=D"), m1=(REFUSED,))
        order: list[int] = []
        for number in range(3):
            response, _ = self.begin(gateway)
            response.finish = lambda number=number: order.append(number)  # type: ignore
        self.live[0].script = (HEAD + b"fcgi://m1", END)
        self.endpoint.accepts = True
        self.clock.pump([LOOK_AGAIN] * 12)
        self.assertEqual([0, 1, 2], order)

    def test_tooLong(self) -> None:
        """After that time it is a 503."""
        gateway = self.down("timeout=1")
        response, _ = self.begin(gateway)
        self.clock.pump([LOOK_AGAIN] * 9)
        self.assertEqual("nothing", self.told(response))
        self.clock.pump([LOOK_AGAIN] * 2)
        self.assertEqual(("503", 0), (self.told(response), gateway.balancers[0].waiting))

    def test_notWanted(self) -> None:
        """Without timeout nobody waits."""
        self.assertEqual("503", self.ask(self.down("")))

    def test_attemptsUsedUp(self) -> None:
        """Nobody waits who may ask nobody else (maxattempts)."""
        self.assertEqual("503", self.ask(self.down("timeout=5 maxattempts=1")))

    def test_clientLeft(self) -> None:
        """A client that leaves does not wait any more."""
        gateway = self.down("timeout=5 forcerecovery=off")
        _, exchange = self.begin(gateway)
        exchange.clientGone()
        self.assertEqual(0, gateway.balancers[0].waiting)
        self.successResultOf(gateway.stop())
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_maxQueue(self) -> None:
        """No more than maxqueue requests wait; one more is told when to come back."""
        gateway = self.down("timeout=5 maxqueue=2")
        waiting = [self.begin(gateway)[0] for _ in range(2)]
        response, _ = self.begin(gateway)
        assert response.head is not None
        self.assertEqual((503, b"1"), (response.status, response.head.headers.get(b"retry-after")))
        self.assertEqual(["nothing"] * 2, [self.told(each) for each in waiting])

    def test_body(self) -> None:
        """A body waits with its request."""
        gateway = self.down("timeout=5")
        body = ScriptedBody(3)
        response = self.serve(gateway, b"/x", b"POST", body)
        self.assertEqual([], body.calls)
        self.endpoint.accepts = True
        for name in ("m1", "m2"):
            self.script(name, HEAD + b"fcgi://m1", END)
        self.clock.pump([LOOK_AGAIN] * 12)
        self.assertEqual("m1", self.told(response))


class VariablesTests(BalancerTestCase):
    """What the application is told."""

    def test_eachItsOwn(self) -> None:
        """Each request is told of its own member and session, whatever is remembered of others."""
        gateway = self.balanced("stickysession=SID|sid", ("route=1", "route=2"))
        for _ in range(2):
            for cookie, session in (("", None), ("SID=a.2", b"2"), ("SID=a.9", b"9")):
                for _ in range(2):
                    fields = [(b"Cookie", cookie.encode())]
                    name = self.told(self.serve(gateway, b"/x", fields=fields))
                    params = next(m.params for m in self.live if m.settings.host == name)
                    told = {n: v for n, v in params.items() if n.startswith(b"BALANCER")}
                    expected = {
                        b"BALANCER_NAME": b"balancer://b",
                        b"BALANCER_WORKER_NAME": b"fcgi://" + name.encode(),
                        b"BALANCER_WORKER_ROUTE": name[1:].encode(),
                    }
                    if session is not None:
                        expected[b"BALANCER_SESSION_STICKY"] = b"SID"
                        expected[b"BALANCER_SESSION_ROUTE"] = session
                    if session != b"2":
                        expected[b"BALANCER_ROUTE_CHANGED"] = b"1"
                    self.assertEqual(expected, told)


class CookieTests(BalancerTestCase):
    """routecookie: sessions of applications that add no route."""

    def cookie(self, response: RecordingResponse) -> bytes | None:
        assert response.head is not None
        return response.head.headers.get(b"set-cookie")

    def test_given(self) -> None:
        """A client gets a cookie once, and is then served by the same member."""
        gateway = self.balanced("routecookie=ROUTE", ("route=one", "route=two"))
        response = self.serve(gateway, b"/x")
        cookie = self.cookie(response)
        assert cookie is not None
        match = re.fullmatch(rb"(ROUTE=[0-9a-f]{32}\.one); Path=/; HttpOnly; SameSite=Lax", cookie)
        assert match is not None
        for _ in range(3):
            response = self.serve(gateway, b"/x", fields=[(b"Cookie", match[1])])
            self.assertEqual(("m1", None), (self.told(response), self.cookie(response)))

    def test_forged(self) -> None:
        """A cookie that was not made here says nothing."""
        gateway = self.balanced("routecookie=ROUTE", ("route=one", "route=two"))
        forged = [(b"Cookie", b"ROUTE=" + b"0" * 32 + b".two")]
        response = self.serve(gateway, b"/x", fields=forged)
        self.assertEqual("m1", self.told(response))
        self.assertIn(b".one;", self.cookie(response) or b"")

    def test_moved(self) -> None:
        """When its member is gone, a client gets another one, and its cookie."""
        gateway = self.balanced("routecookie=ROUTE")
        first = self.cookie(self.serve(gateway, b"/x")) or b""
        self.script("m1", REFUSED)
        response = self.serve(gateway, b"/x", fields=[(b"Cookie", first.partition(b";")[0])])
        self.assertEqual("m2", self.told(response))
        self.assertNotIn(self.cookie(response), (None, first))

    def test_secret(self) -> None:
        """Proxies with the same routesecret know each other's cookies, others do not."""
        parameters = "routecookie=ROUTE routesecret=0123456789abcdef"
        cookies = [
            self.cookie(self.serve(self.balanced(said), b"/x"))
            for said in (parameters, parameters, "routecookie=ROUTE", "routecookie=ROUTE")
        ]
        self.assertEqual(3, len(set(cookies)))
        self.assertEqual(cookies[0], cookies[1])

    def test_httpdsRecipe(self) -> None:
        """So does httpd's own recipe: a cookie by Header where the route has changed."""
        gateway = self.gateway(
            '<Proxy "balancer://b">\nBalancerMember "fcgi://m1" route=1\n'
            'BalancerMember "fcgi://m2" route=2\nProxySet stickysession=ROUTEID\n</Proxy>\n'
            'Header add Set-Cookie "ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/" '
            'env=BALANCER_ROUTE_CHANGED\nProxyPass "/" "balancer://b/"\n'
        )
        self.assertEqual(b"ROUTEID=.1; path=/", self.cookie(self.serve(gateway, b"/x")))
        response = self.serve(gateway, b"/x", fields=[(b"Cookie", b"ROUTEID=.1")])
        self.assertEqual(("m1", None), (self.told(response), self.cookie(response)))


class MethodTests(BalancerTestCase):
    """Methods that look at the request or at its answer."""

    def test_hash(self) -> None:
        """Requests that are alike in what is hashed go to the same member."""
        gateway = self.balanced("lbmethod=hash hashkey=header:X-User", ("", "", ""))
        asked = {
            user: {self.ask(gateway, fields=[(b"X-User", user)]) for _ in range(3)}
            for user in (b"a", b"b", b"c", b"d", b"e", b"f")
        }
        self.assertEqual({1}, {len(members) for members in asked.values()})
        self.assertEqual(3, len(set().union(*asked.values())))

    def test_leastConnections(self) -> None:
        """leastconn gives requests to who is not at work."""
        gateway = self.balanced("lbmethod=leastconn", m1=())
        for _ in range(8):
            self.ask(gateway)
        self.assertEqual({"m1": 1}, {m.settings.host: 1 for m in self.live if m.opened == 1})

    def test_slowStart(self) -> None:
        """A member that came back gets its share step by step."""
        gateway = self.balanced(members=("slowstart=10", ""), m1=(REFUSED,))
        self.ask(gateway)
        self.script("m1", HEAD + b"fcgi://m1", END)
        self.endpoint.accepts = True
        self.clock.advance(0.4)
        self.ask(gateway)
        self.clock.advance(1.0)
        early = [self.ask(gateway) for _ in range(44)].count("m1")
        self.clock.advance(10.0)
        late = [self.ask(gateway) for _ in range(44)].count("m1")
        self.assertLess(early, 10)
        self.assertEqual(22, late)
