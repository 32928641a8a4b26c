"""Tests for :mod:`twisted_fcgi.web.terms`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.web.doubles import ScriptedMember
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import ResponseHead, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, Flush, MemberSettings, VirtualHost
from twisted_fcgi.web.terms import MAX_USUAL, Terms


def routeOf(host: VirtualHost = VirtualHost(), **settings: Any) -> Route:
    """A route with such settings."""
    return Route(RouteKind.FASTCGI, host, DirectorySettings(**settings))


class TermsTests(SynchronousTestCase):
    """Tests for :class:`Terms`."""

    def test_kept(self) -> None:
        """They are not those of a route that is made of another one."""
        route = routeOf()
        route.terms = Terms(route)
        self.assertIsNone(replace(route).terms)

    def test_timeout(self) -> None:
        """ProxyTimeout comes before Timeout, also when it is 0."""
        for host, timeout in (
            (VirtualHost(timeout=7.0), 7.0),
            (VirtualHost(timeout=7.0, proxyTimeout=3.0), 3.0),
            (VirtualHost(timeout=7.0, proxyTimeout=0.0), 0.0),
        ):
            self.assertEqual(timeout, Terms(routeOf(host)).timeout)

    def test_changesFields(self) -> None:
        """Header lines, and what a rule set before, change fields."""
        self.assertFalse(Terms(routeOf()).changesFields)
        self.assertTrue(Terms(routeOf(responseFields=())).changesFields)

    def test_overridden(self) -> None:
        """ProxyErrorOverride is for all errors or those it names, but not for their pages."""
        for settings, expected in (
            ({}, []),
            ({"overridesErrors": True}, [400, 404, 503]),
            ({"overridesErrors": True, "overriddenStatuses": frozenset((200, 404))}, [200, 404]),
        ):
            route = routeOf(**settings)
            statuses = (200, 302, 400, 404, 503)
            terms = Terms(route)
            self.assertEqual(expected, [each for each in statuses if terms.isOverridden(each)])
            route.initial = False
            self.assertFalse(any(map(Terms(route).isOverridden, statuses)))

    def test_member(self) -> None:
        """With another member goes what was known of the last one."""
        terms = Terms(routeOf())
        one, two, three = (
            MemberSettings("fcgi://h", flush=Flush.AUTO, maxResponseHead=10),
            MemberSettings("fcgi://i", flush=Flush.OFF, maxResponseHead=20),
            MemberSettings("fcgi://j", origin="j.example"),
        )
        live = ScriptedMember(one)
        terms.meet(one, live)
        self.assertIs(live, terms.live)
        self.assertEqual((True, 10), (terms.flushes, terms.maxHead))
        terms.remember(ResponseHead(200, b"", Headers()), b"Content-Type: a/b\n\n")
        self.assertIsNotNone(terms.usual)
        terms.meet(two, live)
        self.assertEqual((False, 20, None), (terms.flushes, terms.maxHead, terms.usual))
        terms.meet(three, live)
        self.assertIsNone(terms.live)  # one that DNS named: it may be gone

    def test_long(self) -> None:
        """A long head is not kept with each route."""
        terms, head = Terms(routeOf()), ResponseHead(200, b"", Headers())
        terms.remember(head, b"x" * (MAX_USUAL + 1))
        self.assertIsNone(terms.usual)
        terms.remember(head, b"x" * MAX_USUAL)
        self.assertIs(head, terms.usual)
