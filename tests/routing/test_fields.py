"""Tests for :mod:`twisted_fcgi.routing.fields`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import (
    makeFiles,
    makeHeaders,
    makeRequest,
    makeRoute,
    read,
    routeOf,
    settingsOf,
)
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Request, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.fields import Early, changedEarly, changedRequest


class RequestTests(SynchronousTestCase):
    """Tests for :func:`changedRequest`."""

    def changed(self, text: str, *fields: tuple[str, str]) -> Request:
        request = Request(b"GET", b"/", makeHeaders(*fields))
        changes = settingsOf(text).requestFields or ()
        return changedRequest(changes, request, makeRoute(TOLD="1"))

    def test_actions(self) -> None:
        """Each action does what it says, and other fields stay."""
        for line, expected in (
            ("set X-A v", "v"),
            ("append X-A v", "a, b, v"),
            ("merge X-A v", "a, b, v"),
            ("merge X-A b", "a, b"),
            ("unset X-A", None),
            ("setifempty X-A v", "a, b"),
            ("edit X-A . -", "-, b"),
            ('edit* X-A "[ab]" "<$0>"', "<a>, <b>"),
            ("add X-A v", "a, b, v"),
            ("set X-A v env=TOLD", "v"),
            ("set X-A v env=!TOLD", "a, b"),
            ('set X-A "%{TOLD}e %{NOT}e"', "1 (null)"),
            ('set X-A "expr=%{HTTP:X-B}"', "kept"),
        ):
            request = self.changed(
                "RequestHeader " + line, ("X-A", "a"), ("X-B", "kept"), ("x-a", "b")
            )
            found = request.headers.get(b"x-a")
            self.assertEqual(expected, None if found is None else found.decode(), line)
            self.assertEqual(b"kept", request.headers.get(b"x-b"))

    def test_sees(self) -> None:
        """An expression sees what the lines before it did."""
        request = self.changed(
            "RequestHeader set X-A 1\nRequestHeader set X-B 2 \"expr=%{HTTP:X-A} == '1'\""
        )
        self.assertEqual(b"2", request.headers.get(b"x-b"))
        self.assertEqual((b"X-A",), tuple(request.vary))

    def test_shared(self) -> None:
        """The request that came is not changed: others share its fields."""
        headers = makeHeaders(("X-A", "a"))
        changes = settingsOf("RequestHeader set X-A v").requestFields or ()
        changedRequest(changes, Request(b"GET", b"/", headers), makeRoute())
        self.assertEqual(makeHeaders(("X-A", "a")), headers)

    def test_tooLong(self) -> None:
        """A value or an edit that makes too long a field fails the request."""
        value = "expr=" + "%{reqenv:A}" * 70
        text = f"SetEnvIf Request_URI .* A={'x' * 1000}\nRequestHeader set X {value}\n"
        self.assertEqual(500, routeOf(f"ProxyPass / fcgi://h/\n{text}", makeRequest("/")).status)
        with self.assertRaises(RequestError) as caught:
            self.changed("RequestHeader edit* X-A . $0$0$0$0$0$0$0$0", ("X-A", "a" * 9000))
        self.assertEqual(500, caught.exception.status)

    def test_early(self) -> None:
        """Lines with early change the request, and give the response its first fields."""
        text = """
            RequestHeader set X-A v early
            Header always set X-B "expr=%{HTTP:X-A}" early
            Header add X-C 1 early
            Header set X-D late
        """
        changes = settingsOf(text).earlyFields or ()
        request = Request(b"GET", b"/", makeHeaders(("X-A", "a")))
        changed, early = changedEarly(changes, request, makeRoute(), Early(((b"X-B", b"0"),)))
        self.assertEqual(b"v", changed.headers.get(b"x-a"))
        self.assertEqual(((b"X-B", b"v"),), early.always)
        self.assertEqual(((b"X-C", b"1"),), early.success)


class RouterTests(SynchronousTestCase):
    """When the router changes a request."""

    PROXY = 'ProxyPass "/a/" "fcgi://127.0.0.1:9000/"\n'

    def test_order(self) -> None:
        """Lines come in the order in which sections are merged, after the index was found."""
        root = makeFiles(self, {"app/index.php": ""})
        text = f"""
            DocumentRoot {root}
            DirectoryIndex index.php
            <FilesMatch "[.]php$">
                SetHandler "proxy:fcgi://127.0.0.1:9000"
                RequestHeader append X-R files
            </FilesMatch>
            <Location "/app">
                RequestHeader append X-R location
            </Location>
            <Directory "{root}/app">
                RequestHeader append X-R directory
            </Directory>
            RequestHeader append X-R server
            RequestHeader append X-R early early
        """
        route = routeOf(text, "/app/")
        assert route.request is not None
        self.assertEqual(
            b"early, server, directory, files, location", route.request.headers.get(b"x-r")
        )

    def test_remembered(self) -> None:
        """A route with RequestHeader is made for each request; Header alone changes none."""
        router = Router(read(self.PROXY + 'RequestHeader set X-A "%{HTTP_X_B}e"\n'))
        request = makeRequest("/a/b")
        self.assertIsNot(router.route(request), router.route(request))
        router = Router(read(self.PROXY + "Header always set X-A b\n"))
        self.assertIs(router.route(request), router.route(request))
        self.assertIsNone(router.route(request).request)

    def test_host(self) -> None:
        """Host is changed for the application; the virtual host and its name stay."""
        route = routeOf(self.PROXY + "RequestHeader set Host other.test\n", "/a/b")
        assert route.authority is not None
        self.assertEqual(b"other.test", route.authority.field)
        self.assertEqual(b"www.test", route.authority.hostname)

    def test_setEnvIf(self) -> None:
        """SetEnvIf sees what was set early, and not what is set late."""
        route = routeOf(
            self.PROXY + "RequestHeader set X-A yes early\nRequestHeader set X-B yes\n"
            "SetEnvIf X-A yes EARLY\nSetEnvIf X-B yes LATE\n",
            "/a/b",
        )
        self.assertEqual({b"EARLY": b"1"}, route.environment)

    def test_errorPage(self) -> None:
        """For a page about an error, lines are done once more: its request is the changed one."""
        router = Router(
            read(self.PROXY + "RequestHeader append X-A 1\nHeader always add X-B 1 early\n")
        )
        request = makeRequest("/nowhere")
        route = router.route(request)
        page = router.redirected(route.request or request, route, 404, b"/a/page", {})
        assert page.request is not None
        self.assertEqual(b"1, 1", page.request.headers.get(b"x-a"))
        self.assertEqual(((b"X-B", b"1"), (b"X-B", b"1")), page.early.always)

    def test_errorStatus(self) -> None:
        """Of the request for a page about an error, the status is the error's."""
        router = Router(
            read(
                self.PROXY + 'RequestHeader set X-A "expr=%{REQUEST_STATUS}" env=REDIRECT_STATUS\n'
            )
        )
        request = makeRequest("/nowhere")
        page = router.redirected(request, router.route(request), 404, b"/a/page", {})
        assert page.request is not None
        self.assertEqual(b"404", page.request.headers.get(b"x-a"))

    def test_whole(self) -> None:
        """OPTIONS of the whole server and TRACE have only what was set early."""
        text = self.PROXY + "Header always set X-A 1\nHeader set X-B 1 early\n"
        for method, target in ((b"OPTIONS", "*"), (b"TRACE", "/")):
            route = routeOf(text, makeRequest(target, method=method))
            self.assertEqual(RouteKind.ANSWER, route.kind)
            self.assertIsNone(route.directory.responseFields)
            self.assertEqual(((b"X-B", b"1"),), route.early.success)
