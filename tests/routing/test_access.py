"""Who may have what: single requirements, blocks, and sections together."""

from __future__ import annotations

from itertools import product
from unittest import TestCase

from tests.routing.making import makeRequest, makeTree, read, routeOf
from twisted_fcgi.expr import EvaluationError, RequestContext
from twisted_fcgi.message import RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.access import Decision, decide
from twisted_fcgi.settings import Methods, Requirement, Requirements

__all__ = ["DecisionTests", "MethodsTests", "RouterTests"]

GRANTED, DENIED, NEUTRAL, UNKNOWN = Decision


class _State:
    """All that a requirement without an expression needs."""


def context(method: bytes = b"GET") -> RequestContext:
    return RequestContext(makeRequest("/", method=method), _State())  # type: ignore[arg-type]


def leaf(decision: Decision) -> Requirement | Requirements:
    """What comes to a decision."""
    if decision is NEUTRAL:
        return Requirement("", False, negated=True)
    return Requirement("", decision is GRANTED, asksUser=decision is UNKNOWN)


class DecisionTests(TestCase):
    """:func:`decide`, without a configuration."""

    def test_leaves(self) -> None:
        """A requirement is granted or denied; a negated one is denied or neutral."""
        for decision in Decision:
            self.assertIs(decision, decide(leaf(decision), context()))
        self.assertIs(DENIED, decide(Requirement("", True, negated=True), context()))

    def test_blocks(self) -> None:
        """
        In each block one kind of member decides, neutral ones have no part in it, and a user is
        asked for only where that may change the outcome.
        """
        for first, second in product(Decision, repeat=2):
            both = {first, second}
            everyone = next((one for one in (DENIED, UNKNOWN, GRANTED) if one in both), NEUTRAL)
            anyone = next((one for one in (GRANTED, UNKNOWN, DENIED) if one in both), NEUTRAL)
            members = (leaf(first), leaf(second))
            for expected, isAll in ((everyone, True), (anyone, False)):
                block = Requirements(members, isAll)
                self.assertIs(expected, decide(block, context()), (first, second, isAll))
                negated = DENIED if expected is GRANTED else NEUTRAL
                block = Requirements(members, isAll, negated=True)
                self.assertIs(negated, decide(block, context()), (first, second, isAll))

    def test_otherMethods(self) -> None:
        """What is limited to other methods is granted among all, and neutral among any."""
        limited = Requirement("", False, methods=Methods.of(b"POST"))
        self.assertIs(GRANTED, decide(limited, context(), inAll=True))
        self.assertIs(NEUTRAL, decide(limited, context(), inAll=False))
        self.assertIs(DENIED, decide(limited, context(b"POST")))

    def test_order(self) -> None:
        """What comes after the member that decides is not looked at."""

        def fail(_: RequestContext) -> bool:
            raise EvaluationError("it was asked")

        after = Requirement("", fail)
        for decision, isAll in ((GRANTED, False), (DENIED, True)):
            block = Requirements((leaf(decision), after), isAll)
            self.assertIs(decision, decide(block, context()))
        with self.assertRaises(EvaluationError):
            decide(Requirements((leaf(DENIED), after)), context())


class MethodsTests(TestCase):
    """:class:`Methods`."""

    def test_algebra(self) -> None:
        """Sets of methods, and sets of all but some, are met, joined and turned around."""
        names = (b"GET", b"HEAD", b"POST", b"PURGE")
        sets = [
            *(Methods.of(*chosen) for chosen in ((), (b"GET",), (b"POST", b"PURGE"), names)),
            *(~Methods.of(*chosen) for chosen in ((), (b"GET",), (b"POST", b"PURGE"), names)),
        ]
        for one, other in product(sets, repeat=2):
            for name in (*names, b"OTHER"):
                self.assertEqual(name in one and name in other, name in (one & other))
                self.assertEqual(name in one or name in other, name in (one | other))
                self.assertEqual(name not in one, name in ~one)

    def test_head(self) -> None:
        """HEAD is GET."""
        self.assertIn(b"HEAD", Methods.of(b"GET"))
        self.assertIn(b"GET", Methods.of(b"HEAD"))

    def test_truth(self) -> None:
        """A set is false when no method at all is in it."""
        self.assertFalse(Methods.of())
        self.assertTrue(Methods.of(b"GET") and ~Methods.of() and ~Methods.of(b"GET"))


#: Lines of a ``<Location "/">``; for each: method, fields, and whether it is let in.
SECTIONS = (
    ("Require all granted", "GET", True),
    ("Require all denied", "GET", False),
    ("Require ip 192.0.2", "GET", True),
    ("Require ip 192.0.3 2001:db8::/32", "GET", False),
    ("Require local", "GET", False),
    ("Require method POST", "GET", False),
    ("Require method GET", "HEAD", True),
    ("Require method", "GET", False),
    ("SetEnvIf X-A . A\nRequire env nothing a", "GET", True),
    ("SetEnv A 1\nRequire env A", "GET", False),
    ("Require expr req('X-A') == 'yes'", "GET", True),
    ("Require expr req('X-A') == 'no'", "GET", False),
    ("<Limit POST>\nRequire all denied\n</Limit>", "GET", True),
    ("<Limit POST>\nRequire all denied\n</Limit>", "POST", False),
    ("<LimitExcept GET>\nRequire all denied\n</LimitExcept>", "HEAD", True),
    ("<LimitExcept GET>\nRequire all denied\n</LimitExcept>", "PURGE", False),
    # De Morgan: inside of <RequireAll> what is limited to other methods is granted.
    (
        "<RequireAll>\nRequire method GET POST\n<RequireNone>\n<Limit POST>\nRequire all granted\n"
        "</Limit>\n</RequireNone>\n</RequireAll>",
        "GET",
        True,
    ),
    (
        "<RequireAll>\nRequire all granted\n<RequireNone>\nRequire method PUT\n"
        "Require ip 192.0.2.1\n</RequireNone>\n</RequireAll>",
        "GET",
        False,
    ),
)


class RouterTests(TestCase):
    """What becomes of requests."""

    def ask(self, text: str, target: str = "/x", method: str = "GET") -> tuple[str, int, str]:
        request = makeRequest(target, (b"X-A", b"yes"), method=method.encode())
        route = Router(read(text)).route(request)
        return route.kind, route.status, route.reason

    def test_requirements(self) -> None:
        """Each provider lets in whom it names; all others get a 403."""
        for lines, method, granted in SECTIONS:
            text = f'ProxyPass "/" "fcgi://127.0.0.1:9000/"\n<Location "/">\n{lines}\n</Location>'
            kind, status, reason = self.ask(text, method=method)
            self.assertEqual(
                (RouteKind.FASTCGI, 0) if granted else (RouteKind.REFUSE, 403),
                (kind, status),
                (lines, method),
            )
            self.assertEqual(not granted, "client denied by server configuration" in reason)

    def test_nobodyIsAuthenticated(self) -> None:
        """What only a user could fulfil is a 500, as in httpd without an AuthType."""
        lines = "Require expr %{REMOTE_USER} == 'me'"
        self.assertEqual(500, self.ask(f'<Location "/">\n{lines}\n</Location>')[1])

    def test_failure(self) -> None:
        """A condition that can't be evaluated is a 500, not an open door."""
        lines = "Require expr file('/nonexistent') != 'x'"
        self.assertEqual(500, self.ask(f'<Location "/">\n{lines}\n</Location>')[1])

    def test_merging(self) -> None:
        """AuthMerging says what becomes of the requirements of the section around."""
        outer = '<Location "/">\nRequire method POST\n</Location>\n'
        for merging, inner, method, status in (
            ("", "Require all granted", "GET", 0),
            ("AuthMerging Off", "", "GET", 0),
            ("AuthMerging And", "", "GET", 403),
            ("AuthzSendForbiddenOnFailure On", "", "GET", 403),
            ("AuthMerging And", "Require ip 192.0.2.1", "GET", 403),
            ("AuthMerging And", "Require ip 192.0.2.1", "POST", 0),
            ("AuthMerging And", "Require ip 192.0.2.8", "POST", 403),
            ("AuthMerging Or", "Require ip 192.0.2.1", "GET", 0),
            ("AuthMerging Or", "Require ip 192.0.2.8", "POST", 0),
            ("AuthMerging Or", "Require ip 192.0.2.8", "GET", 403),
        ):
            text = (
                f'ProxyPass "/" "fcgi://127.0.0.1:9000/"\n{outer}'
                f'<Location "/x">\n{merging}\n{inner}\n</Location>'
            )
            self.assertEqual(status, self.ask(text, method=method)[1], (merging, inner, method))

    def test_remembered(self) -> None:
        """A decision in which only Require all granted took part is remembered; no other is."""
        for line, same in (("Require all granted", True), ("Require method GET", False)):
            router = Router(
                read(f'ProxyPass "/" "fcgi://127.0.0.1:9000/"\n<Location "/">\n{line}\n</Location>')
            )
            request = makeRequest("/x")
            self.assertEqual(same, router.route(request) is router.route(request), line)

    def test_errorDocument(self) -> None:
        """The page about a refusal is served where the same <Directory> denies it, and no more."""
        root = makeTree(self)
        denied = f'DocumentRoot "{root}"\n<{{0}}>\nRequire all denied\n</{{1}}>\n'
        for section, page, kind in (
            (f'Directory "{root}"', b"/index.html", RouteKind.STATIC),
            (f'Directory "{root}"', b"/php/app.php", RouteKind.REFUSE),
            ('Location "/"', b"/index.html", RouteKind.REFUSE),
            ('Location "/"', b"/plain.txt", RouteKind.STATIC),
            ('FilesMatch "."', b"/index.html", RouteKind.REFUSE),
            ('If "true"', b"/index.html", RouteKind.REFUSE),
        ):
            router = Router(read(denied.format(section, section.split()[0])))
            request = makeRequest("/plain.txt")
            route = router.route(request)
            self.assertEqual(403, route.status)
            found = router.redirected(request, route, 403, page, {})
            self.assertEqual(kind, found.kind, (section, page))

    def test_handler(self) -> None:
        """Who serves a request is not known when access is looked at, as in httpd."""
        lines = 'SetHandler none-such\nRequire expr "-z %{HANDLER}"\n'
        self.assertEqual(500, self.ask(f'<Location "/">\n{lines}</Location>\n')[1])

    def test_trace(self) -> None:
        """TRACE of what is not an application's is answered before access is looked at."""
        denied = '<Location "/">\nRequire all denied\n</Location>\n'
        self.assertEqual(RouteKind.ANSWER, self.ask(denied, method="TRACE")[0])
        proxied = denied + 'ProxyPass "/" "fcgi://127.0.0.1:9000/"'
        self.assertEqual(403, self.ask(proxied, method="TRACE")[1])

    def test_index(self) -> None:
        """An index that may not be had is a 403."""
        root = makeTree(self)
        text = f'DocumentRoot "{root}"\n<Files "index.html">\nRequire all denied\n</Files>'
        self.assertEqual(403, routeOf(text, "/").status)
        self.assertEqual(RouteKind.STATIC, routeOf(text, "/plain.txt").kind)
