"""Tests for :mod:`twisted_fcgi.balance.sticky`."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.balance import (
    Balancer,
    MemberState,
    RouteCookie,
    Session,
    balancerVariables,
    findSession,
    hashKey,
)
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Request
from twisted_fcgi.settings import BalancerSettings, MemberSettings

__all__ = ["FindSessionTests", "HashKeyTests", "RouteCookieTests", "VariablesTests"]

SETTINGS = BalancerSettings(
    "balancer://app",
    (MemberSettings("fcgi://m0", route="a"), MemberSettings("fcgi://m1")),
    stickySession="SID",
    stickyPath="SID",
    routeCookie="fcgiroute",
    routeSecret="not told",
)

#: Cookies, and the route in them as httpd 2.4.71 reads it.
COOKIES = [
    (b"SID=123.b", b"b"),
    (b"SID=1.zz", b"zz"),
    (b"SID=123", None),
    (b"SID=123.", b""),
    (b"SID=", None),
    (b"SID=1.2.b", b"2.b"),
    (b"SID=x.b.c", b"b.c"),
    (b"A=1.a; SID=2.b; B=3.a", b"b"),
    (b"A=1.a;SID=2.b", b"b"),
    (b"XSID=1.a; SID=2.b", b"b"),
    (b"SIDX=1.a; SID=2.b", b"b"),
    (b"XSID=1.a", None),
    (b"SID = 1.b", b"b"),
    (b"SID=1.b ; x=y", b"b "),
    (b"A=1,SID=2.b,C=3", b"b"),
    (b'SID="1.b"', b'b"'),
    (b"sid=1.b", None),
    (b"SID=1.B", b"B"),
    (b"SID=1.b; SID=2.a", b"b"),
]

#: URLs likewise; the third is what it is with ``scolonpathdelim=on``.
URLS = [
    (b"/x?SID=1.b", b"b", b"b"),
    (b"/x?q=1&SID=1.b&z", b"b", b"b"),
    (b"/x;SID=1.b", b"b", b"b"),
    (b"/x;SID=1.b?q", b"b", b"b"),
    (b"/x;SID=1.b;other", b"b;other", b"b"),
    (b"/x;SID=1.b/y", b"b/y", b"b/y"),
    (b"/x;SID=123", None, None),
    # not so in httpd
    (b"/x?XSID=1.b", None, None),
    (b"/x/SID=1.b", None, None),
    (b"/x?SID=&next=1.b", None, None),
]


def routeOf(session: Session | None) -> bytes | None:
    """The route that was found."""
    return session.route if session else None


class FindSessionTests(SynchronousTestCase):
    """A request's session."""

    def test_cookies(self) -> None:
        """A cookie's route is what follows the first separator of its value."""
        for cookies, route in COOKIES:
            self.assertEqual(route, routeOf(findSession(SETTINGS, b"/x", cookies)), cookies)

    def test_urls(self) -> None:
        """A route is found in a path or a query, up to what ends it there."""
        semicolon = replace(SETTINGS, semicolonSeparates=True)
        for url, route, shorter in URLS:
            self.assertEqual(route, routeOf(findSession(SETTINGS, url, b"")), url)
            self.assertEqual(shorter, routeOf(findSession(semicolon, url, b"")), url)

    def test_urlBeforeCookie(self) -> None:
        """A URL's session counts, not a cookie's."""
        self.assertEqual(b"a", routeOf(findSession(SETTINGS, b"/x?SID=1.a", b"SID=1.b")))

    def test_names(self) -> None:
        """Cookie and URL may have different names; the one that was found is told."""
        settings = replace(SETTINGS, stickyPath="sid")
        self.assertEqual(Session(b"SID", b"b"), findSession(settings, b"/x", b"SID=1.b"))
        self.assertEqual(Session(b"sid", b"b"), findSession(settings, b"/x;sid=1.b", b""))
        self.assertIs(None, findSession(settings, b"/x;SID=1.b", b"sid=1.b"))

    def test_separator(self) -> None:
        """The separator can be another one, or none: the whole value is the route then."""
        dash = replace(SETTINGS, stickySeparator="-")
        self.assertEqual(b"b", routeOf(findSession(dash, b"/x", b"SID=1-b")))
        self.assertIs(None, findSession(dash, b"/x", b"SID=1.b"))
        none = replace(SETTINGS, stickySeparator="")
        self.assertEqual(b"b", routeOf(findSession(none, b"/x", b"SID=b")))
        self.assertEqual(b"1.b", routeOf(findSession(none, b"/x", b"SID=1.b")))

    def test_off(self) -> None:
        """Without stickysession nothing is looked for."""
        settings = replace(SETTINGS, stickySession="", stickyPath="")
        self.assertIs(None, findSession(settings, b"/x;=1.b", b"=1.b"))


class VariablesTests(SynchronousTestCase):
    """What an application is told."""

    def test_session(self) -> None:
        """It is told the member, and the session by which it was chosen."""
        pairs = balancerVariables(SETTINGS, MemberState(SETTINGS.members[0]), Session(b"SID", b"a"))
        self.assertEqual(
            [
                (b"BALANCER_NAME", b"balancer://app"),
                (b"BALANCER_WORKER_NAME", b"fcgi://m0"),
                (b"BALANCER_WORKER_ROUTE", b"a"),
                (b"BALANCER_SESSION_STICKY", b"SID"),
                (b"BALANCER_SESSION_ROUTE", b"a"),
            ],
            pairs,
        )

    def test_routeChanged(self) -> None:
        """It is told when the session is not where it was, or there was none, if any may be."""
        one, other = map(MemberState, SETTINGS.members)
        changed = (b"BALANCER_ROUTE_CHANGED", b"1")
        for session in (None, Session(b"SID", b""), Session(b"SID", b"b")):
            self.assertIn(changed, balancerVariables(SETTINGS, one, session))
            self.assertIn(changed, balancerVariables(SETTINGS, other, session))
        plain = replace(SETTINGS, stickySession="")
        self.assertNotIn(changed, balancerVariables(plain, one, None))


class RouteCookieTests(SynchronousTestCase):
    """The cookie for applications that add no route."""

    def setUp(self) -> None:
        self.cookie = RouteCookie(SETTINGS)
        self.balancer = Balancer(SETTINGS)

    def test_back(self) -> None:
        """The cookie of a member, whether it has a route or not, elects that member."""
        for state in self.balancer.members:
            made, *attributes = self.cookie.make(state).split(b"; ")
            self.assertEqual([b"Path=/", b"HttpOnly", b"SameSite=Lax"], attributes)
            route = self.cookie.check(b"a=b; " + made + b"; c=d")
            for _ in range(3):
                self.assertIs(state, self.balancer.elect(0.0, route=route))

    def test_secure(self) -> None:
        """A cookie that is set over TLS does not come back without it."""
        self.assertTrue(self.cookie.make(self.balancer.members[0], secure=True).endswith(b"Secure"))

    def test_tellsNothing(self) -> None:
        """A member's address is not in its cookie."""
        self.assertNotIn(b"m1", self.cookie.make(self.balancer.members[1]))

    def test_oddRoute(self) -> None:
        """A route that would end a cookie has a digest in its place."""
        state = MemberState(MemberSettings("fcgi://m2", route="a; Path=/b\r\n"))
        made = self.cookie.make(state).partition(b";")[0]
        self.assertRegex(made, rb"\Afcgiroute=[0-9a-f]{32}\.[0-9a-f]{16}\Z")

    def test_forged(self) -> None:
        """What others signed, or nobody did, is no route."""
        made = self.cookie.make(self.balancer.members[0]).partition(b";")[0]
        others = [
            RouteCookie(settings).make(self.balancer.members[0])
            for settings in (replace(SETTINGS, name="x"), replace(SETTINGS, routeSecret="x"))
        ]
        for forged in (b"", b"fcgiroute=a", b"fcgiroute=.a", made[:-1], made + b"x", *others):
            self.assertIs(None, self.cookie.check(forged), forged)

    @given(st.binary())
    def test_anything(self, junk: bytes) -> None:
        """Whatever a client sends, there is no route in it and no error."""
        self.assertIs(None, self.cookie.check(junk))
        self.assertIs(None, self.cookie.check(b"fcgiroute=" + junk))
        findSession(SETTINGS, junk, junk)


class HashKeyTests(SynchronousTestCase):
    """What is hashed."""

    def test_kinds(self) -> None:
        """The path, the client's address, a header or a cookie."""
        request = Request(
            b"GET",
            b"/x;y?z=1",
            Headers([(b"X-User", b"u"), (b"Cookie", b"a=1; b=2"), (b"Host", b"h")]),
            client=Address(b"192.0.2.7", 4711),
        )
        for hashed, key in (
            ("uri", b"/x;y"),
            ("client", b"192.0.2.7"),
            ("header:x-USER", b"u"),
            ("header:Other", None),
            ("cookie:b", b"2"),
            ("cookie:other", None),
        ):
            self.assertEqual(key, hashKey(replace(SETTINGS, hashKey=hashed), request), hashed)
