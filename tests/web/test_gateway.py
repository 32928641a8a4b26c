"""Tests for :mod:`twisted_fcgi.web.gateway`: from a configuration and a request to an answer."""

from __future__ import annotations

import os
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from tests.backend.doubles import MemoryEndpoint
from tests.web.doubles import ScriptedBody
from tests.web.gateways import END, HEAD, GatewayTestCase, StoppableMember
from twisted_fcgi.backend.resolver import Answer, Found
from twisted_fcgi.errors import ConnectFailed, ConnectionDied, ResponseTimedOut
from twisted_fcgi.interfaces import IGateway

BALANCED = """
<Proxy "balancer://two">
    BalancerMember "fcgi://127.0.0.1:9001"
    BalancerMember "fcgi://127.0.0.1:9002"
</Proxy>
ProxyPass "/" "balancer://two/"
"""


class Names:
    """Knows one answer."""

    answer: Answer

    def service(self, name: str) -> Deferred[Answer]:
        return succeed(self.answer)


class BodyLimitTests(GatewayTestCase):
    """LimitRequestBody where no application is asked."""

    def status(self, target: bytes, length: int, lines: str = "") -> int:
        """The status of an answer to a body of this length."""
        gateway = self.gateway("LimitRequestBody 4\nRedirect /old http://b.example/\n" + lines)
        body = ScriptedBody(length)
        response = self.serve(gateway, target, b"POST", body)
        self.assertEqual(body.calls, ["discard"])
        return response.status

    def test_tooLong(self) -> None:
        """What would be a redirect or an error is a 413, as in httpd, which reads the body."""
        self.assertEqual((self.status(b"/old", 4), self.status(b"/x", 4)), (302, 404))
        self.assertEqual((self.status(b"/old", 5), self.status(b"/x", 5)), (413, 413))

    def test_ends(self) -> None:
        """An error that ends the connection stays what it is."""
        self.assertEqual(self.status(b"/%zz", 5), 400)

    def test_noLimit(self) -> None:
        """0 is no limit."""
        self.assertEqual(self.status(b"/old", 5, "LimitRequestBody 0\n"), 302)


class LogTests(GatewayTestCase):
    """What is logged of requests that fail."""

    def setUp(self) -> None:
        super().setUp()
        self.said: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: LogEvent) -> None:
        self.said.append(formatEvent(event))

    def test_errorDocument(self) -> None:
        """Of a page that can't be made it is said what it is the page of."""
        self.scripts["fcgi://127.0.0.1:9001/"] = (ConnectFailed("nobody there"),)
        root = self.directory()
        gateway = self.gateway(
            f"DocumentRoot {root}\nErrorDocument 503 /busy.html\n"
            'ProxyPass "/down/" "fcgi://127.0.0.1:9001/"\n'
        )
        self.assertEqual(503, self.serve(gateway, b"/down/x").status)
        reason = "the ErrorDocument of this 503: file does not exist"
        self.assertTrue(self.said[-1].endswith(f"'/busy.html', {reason}: {root}/busy.html"))

    def test_leftAlone(self) -> None:
        """That a member is left alone is said with what ends that: a probe, unless it is off."""
        failed = ConnectFailed("refused")
        for parameter, sooner in (
            ("", ", or until it takes connections again"),
            (" retry=60", ""),
            (" probe=off", ""),
        ):
            self.said.clear()
            self.scripts["fcgi://127.0.0.1:9001"] = (failed,)
            gateway = self.gateway(BALANCED.replace(':9001"', f':9001"{parameter}'))
            self.serve(gateway, b"/x")
            said = f"balancer://two: 127.0.0.1:9001 is left alone for 60 s{sooner}: refused"
            self.assertIn(said, self.said)
            gateway.stop()

    def test_complaint(self) -> None:
        """What could not be evaluated is told with the client, its request and the line."""
        gateway = self.gateway("<If \"file('/nowhere/x') == 'x'\">\n</If>\n")
        self.serve(gateway, b"/x")
        said = '[client 127.0.0.1] "GET /x HTTP/1.1": <text>:1: file(): '
        self.assertTrue(self.said[0].startswith(said), self.said)

    def test_nobody(self) -> None:
        """Where no member can be asked, the balancer is named."""
        down = BALANCED.replace(':9001"', ':9001" status=D').replace(':9002"', ':9002" status=D')
        self.assertEqual(503, self.serve(self.gateway(down), b"/x").status)
        self.assertTrue(self.said[-1].endswith("balancer://two: no member can be asked"))


class GatewayTests(GatewayTestCase):
    """Tests for :class:`Gateway`."""

    def test_interface(self) -> None:
        """A gateway provides its interface."""
        verifyObject(IGateway, self.gateway(""))

    def test_application(self) -> None:
        """What a mapping claims goes to its application."""
        gateway = self.gateway('ProxyPass "/a/" "fcgi://127.0.0.1:9001/srv/"')
        response = self.serve(gateway, b"/a/x.php")
        self.assertEqual(response.status, 200)
        self.assertEqual(
            self.live[0].params[b"SCRIPT_FILENAME"], b"proxy:fcgi://127.0.0.1:9001/srv/x.php"
        )

    def test_overrides(self) -> None:
        """ProxyFCGISetEnvIf changes what the application is told, and the response varies."""
        gateway = self.gateway(
            'ProxyPass "/" "fcgi://127.0.0.1:9001/"\n'
            "ProxyFCGISetEnvIf \"req('Cookie') == ''\" SCRIPT_FILENAME /srv/x.php\n"
        )
        response = self.serve(gateway, b"/x")
        self.assertEqual(self.live[0].params[b"SCRIPT_FILENAME"], b"/srv/x.php")
        assert response.head is not None
        self.assertEqual(response.head.headers.get(b"vary"), b"Cookie")

    def test_overridesThatFail(self) -> None:
        """A ProxyFCGISetEnvIf that can't be evaluated is a 503, and no member is asked."""
        gateway = self.gateway(
            'ProxyPass "/" "fcgi://127.0.0.1:9001/"\n'
            "ProxyFCGISetEnvIf \"file('/none/such') == ''\" A 1\n"
        )
        self.assertEqual(self.serve(gateway, b"/x").status, 503)
        self.assertEqual(self.live, [])

    def test_oneMemberForEqualSettings(self) -> None:
        """A member serves every mapping and virtual host that names it in the same way."""
        gateway = self.gateway(
            'ProxyPass "/a/" "fcgi://127.0.0.1:9001/"\nProxyPass "/b/" "fcgi://127.0.0.1:9001/"\n'
        )
        for target in (b"/a/x", b"/b/x", b"/a/y"):
            self.serve(gateway, target)
        self.assertEqual(len(self.live), 1)
        self.assertEqual(gateway.members, tuple(self.live))

    def test_refused(self) -> None:
        """What nothing claims is refused with a page, and its body is dropped."""
        body = ScriptedBody(3)
        response = self.serve(self.gateway(""), b"/none", b"POST", body)
        self.assertEqual((response.status, response.calls[-1]), (404, "finish"))
        self.assertEqual(body.calls, ["discard"])

    def test_file(self) -> None:
        """What no mapping claims is a file of DocumentRoot."""
        root = self.directory()
        with open(os.path.join(root, "a.txt"), "w") as file:
            file.write("hello")
        gateway = self.gateway(f'DocumentRoot "{root}"')
        response = self.serve(gateway, b"/a.txt")
        self.clock.advance(0)
        self.assertEqual((response.status, response.body), (200, b"hello"))

    def test_redirect(self) -> None:
        """A directory without its slash is a redirect to it."""
        root = self.directory()
        os.mkdir(os.path.join(root, "sub"))
        gateway = self.gateway(f'DocumentRoot "{root}"')
        response = self.serve(gateway, b"/sub")
        assert response.head is not None
        self.assertEqual(response.status, 301)
        self.assertEqual(response.head.headers.get(b"location"), b"http://www.example.test/sub/")

    def test_answer(self) -> None:
        """OPTIONS for the server as a whole is answered here."""
        response = self.serve(self.gateway(""), b"*", b"OPTIONS")
        self.assertEqual((response.status, response.body), (200, b""))

    def test_ownFault(self) -> None:
        """A fault of ours is logged, and answered with a 500."""
        gateway = self.gateway("")
        gateway._router._decisions = None
        self.assertEqual(self.serve(gateway, b"/").status, 500)
        self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1)

    def test_balanced(self) -> None:
        """The members of a balancer take turns."""
        gateway = self.gateway(BALANCED)
        bodies = [self.serve(gateway, b"/x").body for _ in range(4)]
        one, two = b"fcgi://127.0.0.1:9001", b"fcgi://127.0.0.1:9002"
        self.assertEqual(bodies, [one, two, one, two])

    def test_failover(self) -> None:
        """A member that can't be reached is passed over, and then left alone for a while."""
        self.scripts["fcgi://127.0.0.1:9001"] = (ConnectFailed("refused"),)
        gateway = self.gateway(BALANCED)
        bodies = [self.serve(gateway, b"/x").body for _ in range(3)]
        self.assertEqual(bodies, [b"fcgi://127.0.0.1:9002"] * 3)
        self.assertEqual([member.opened for member in self.live], [1, 3])

    def test_discovered(self) -> None:
        """A service's members come from DNS; without any, and before it was asked, it is a 503."""
        gateway = self.gateway('ProxyPass "/" "srv+fcgi://_php._tcp.app.example/srv/"\n')
        self.assertEqual(self.serve(gateway, b"/x").status, 503)
        names = Names()
        assert gateway._balancing is not None
        discovery = gateway._balancing._discovery
        self.patch(discovery, "_resolver", lambda servers, reactor: names)
        bodies = []
        for hosts in (["192.0.2.1", "192.0.2.2"], ["192.0.2.2"], ["192.0.2.2", "192.0.2.3"]):
            names.answer = Answer(tuple(Found(host, 9000, 0, 1) for host in hosts), 10.0)
            gateway.start()
            self.clock.advance(15)
            bodies.append({self.serve(gateway, b"/x").body for _ in range(4)})
        one, two, three = (b"fcgi://192.0.2.%d:9000" % n for n in (1, 2, 3))
        self.assertEqual(bodies, [{one, two}, {two}, {two, three}])
        self.assertEqual([m.stopped is not None for m in self.live], [True, False, False])
        filename = self.live[0].params[b"SCRIPT_FILENAME"]
        self.assertEqual(filename, b"proxy:fcgi://192.0.2.1:9000/srv/x")
        gateway.stop()

    def test_unknownName(self) -> None:
        """A name that nobody knows at the start is a warning, unless it is a balancer's."""
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        gateway = self.gateway(
            '<Proxy "balancer://one">\nBalancerMember "fcgi://its.example"\n</Proxy>\n'
            'ProxyPass "/a" "fcgi://nobody.example/"\nProxyPass "/b" "fcgi://192.0.2.1/"\n'
        )
        gateway.start()
        gateway.stop()
        texts = [formatEvent(event) for event in events if event["log_level"].name == "warn"]
        self.assertEqual(
            ["nobody.example"], [text.split()[0] for text in texts if "no host's name" in text]
        )

    def test_session(self) -> None:
        """A session stays with the member that its route names, and the application is told."""
        gateway = self.gateway(
            '<Proxy "balancer://two">\n'
            'BalancerMember "fcgi://127.0.0.1:9001" route=a\n'
            'BalancerMember "fcgi://127.0.0.1:9002" route=b\n'
            "ProxySet stickysession=SID\n"
            "</Proxy>\n"
            'ProxyPass "/" "balancer://two/"\n'
        )
        bodies = {
            self.serve(gateway, b"/x", fields=[(b"Cookie", b"SID=1.b")]).body for _ in range(3)
        }
        self.assertEqual(bodies, {b"fcgi://127.0.0.1:9002"})
        self.assertEqual(self.live[0].params[b"BALANCER_SESSION_ROUTE"], b"b")

    def test_traffic(self) -> None:
        """With bytraffic, the member that has sent less gets the next request."""
        self.scripts["fcgi://127.0.0.1:9001"] = (HEAD + b"x" * 1000, END)
        gateway = self.gateway(
            BALANCED.replace("</Proxy>", "ProxySet lbmethod=bytraffic\n</Proxy>")
        )
        for _ in range(4):
            self.serve(gateway, b"/x")
        self.assertEqual({m.settings.port: m.opened for m in self.live}, {9001: 1, 9002: 3})

    def test_busyness(self) -> None:
        """With bybusyness, a member that is still at work does not get the next request."""
        self.scripts["fcgi://127.0.0.1:9001"] = ()
        gateway = self.gateway(
            BALANCED.replace("</Proxy>", "ProxySet lbmethod=bybusyness\n</Proxy>")
        )
        for _ in range(4):
            self.serve(gateway, b"/x")
        self.assertEqual({m.settings.port: m.opened for m in self.live}, {9001: 1, 9002: 3})

    def test_maxAttempts(self) -> None:
        """No more failovers are made than maxattempts allows."""
        self.scripts["fcgi://127.0.0.1:9001"] = (ConnectFailed("refused"),)
        gateway = self.gateway(BALANCED.replace("</Proxy>", "ProxySet maxattempts=0\n</Proxy>"))
        self.assertEqual(self.serve(gateway, b"/x").status, 503)
        self.assertEqual([member.opened for member in self.live], [1])

    def opened(self, parameters: str, *script: Any, requests: int = 4, **options: Any) -> list[int]:
        """How often each of two members is asked, of which the first says something else."""
        self.scripts["fcgi://127.0.0.1:9001"] = script
        gateway = self.gateway(BALANCED.replace("</Proxy>", f"{parameters}\n</Proxy>"))
        self.statuses = [self.serve(gateway, b"/x", **options).status for _ in range(requests)]
        opened = {member.settings.port: member.opened for member in self.live}
        return [opened[9001], opened[9002]]

    def test_closesAtOnce(self) -> None:
        """Where a member closes before it answered, another is asked what may be asked twice."""
        died = ConnectionDied("closed")
        self.assertEqual([1, 4], self.opened("", died))
        self.assertEqual([200] * 4, self.statuses)

    def test_closesAtOnceAfterAPost(self) -> None:
        """What may have had an effect is not asked again, but the member is left alone, too."""
        died = ConnectionDied("closed")
        self.assertEqual([1, 3], self.opened("", died, method=b"POST"))
        self.assertEqual([503, 200, 200, 200], self.statuses)

    def test_failOnStatus(self) -> None:
        """A member that answers with a status of failonstatus is left alone."""
        bad = b"Status: 500\r\n\r\n"
        self.assertEqual([1, 3], self.opened("ProxySet failonstatus=500,503", bad, END))
        self.assertEqual([500, 200, 200, 200], self.statuses)

    def test_failOnOtherStatus(self) -> None:
        """Other statuses, and those inside of an application's body, are nobody's fault."""
        bad = b"Status: 500\r\n\r\n"
        self.assertEqual([2, 2], self.opened("ProxySet failonstatus=502", bad, END))

    def test_failOnTimeout(self) -> None:
        """With failontimeout a member that was silent is left alone."""
        silent = ResponseTimedOut("silent")
        self.assertEqual([2, 2], self.opened("", silent))
        self.live.clear()
        self.assertEqual([1, 3], self.opened("ProxySet failontimeout=on", silent))
        self.assertEqual([504, 200, 200, 200], self.statuses)

    def test_checks(self) -> None:
        """Members are checked from start to stop; one that fails is asked for nothing else."""
        endpoint = MemoryEndpoint()
        text = BALANCED.replace(':9001"', ':9001" hcmethod=TCP hcinterval=1')
        gateway = self.gateway(text)
        with patch.object(StoppableMember, "endpoint", endpoint):
            gateway.start()
            self.clock.advance(1.0)
            endpoint.refuse(OSError("no"))
            answers = {bytes(self.serve(gateway, b"/").body) for _ in range(4)}
            self.assertEqual({b"fcgi://127.0.0.1:9002"}, answers)
            self.clock.advance(1.0)
            gateway.stop()
        self.assertEqual(([], 1), (endpoint.attempts, endpoint.cancelled))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_stop(self) -> None:
        """To stop a gateway is to stop its members."""
        gateway = self.gateway('ProxyPass "/" "fcgi://127.0.0.1:9001/"')
        self.serve(gateway, b"/x")
        self.successResultOf(gateway.stop())
        self.assertIsNotNone(self.live[0].stopped)
