"""Tests for :mod:`twisted_fcgi.routing.serving`, by what a router decides."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, makeTree, routeOf
from twisted_fcgi.message import Route, RouteKind

FASTCGI = RouteKind.FASTCGI
STATIC = RouteKind.STATIC
REFUSE = RouteKind.REFUSE
ANSWER = RouteKind.ANSWER


class MethodsTests(SynchronousTestCase):
    """Tests for methods and Max-Forwards."""

    def setUp(self) -> None:
        self.text = f"DocumentRoot {makeTree(self)}\nProxyPass /a/ fcgi://h/\n"

    def route(
        self,
        method: bytes,
        target: str,
        *fields: tuple[bytes, bytes],
        text: str = "",
        contentLength: int = 0,
    ) -> Route:
        """The route of a request with a method."""
        request = makeRequest(target, *fields, method=method, contentLength=contentLength)
        return routeOf(self.text + text, request)

    def test_application(self) -> None:
        """An application gets every method but CONNECT."""
        for method in [b"GET", b"PUT", b"OPTIONS", b"TRACE", b"FOO", b"get"]:
            self.assertEqual(FASTCGI, self.route(method, "/a/x").kind)
        for target, status in [("h:443", 405), ("/a/x", 400)]:
            self.assertEqual(status, self.route(b"CONNECT", target).status)

    def test_file(self) -> None:
        """A file has GET, HEAD and POST; other methods are named in Allow, whether it is there."""
        for method in [b"GET", b"HEAD", b"POST"]:
            self.assertEqual(STATIC, self.route(method, "/plain.txt").kind)
        for method, status in [(b"PUT", 405), (b"FOO", 501)]:
            for target in ["/plain.txt", "/none"]:
                route = self.route(method, target)
                self.assertEqual((REFUSE, status), (route.kind, route.status))
                self.assertEqual(((b"Allow", b"GET, HEAD, OPTIONS, POST, TRACE"),), route.fields)

    def test_options(self) -> None:
        """OPTIONS is answered for files, and without methods for ``*``."""
        route = self.route(b"OPTIONS", "/plain.txt", text="TraceEnable off")
        self.assertEqual((ANSWER, 200), (route.kind, route.status))
        self.assertEqual(((b"Allow", b"GET, HEAD, OPTIONS, POST"),), route.fields)
        route = self.route(b"OPTIONS", "*")
        self.assertEqual((ANSWER, 200, ()), (route.kind, route.status, route.fields))

    def test_trace(self) -> None:
        """TRACE of a file is an echo without credentials, if TraceEnable lets it."""
        secret = (b"Authorization", b"Basic x"), (b"cookie", b"a=b")
        route = self.route(b"TRACE", "/plain.txt", *secret)
        self.assertEqual((ANSWER, 200), (route.kind, route.status))
        self.assertEqual(((b"Content-Type", b"message/http"),), route.fields)
        self.assertEqual(b"TRACE /plain.txt HTTP/1.1\r\nHost: www.test\r\n\r\n", route.body)
        self.assertEqual(413, self.route(b"TRACE", "/plain.txt", contentLength=1).status)
        for target in ["/plain.txt", "/a/x"]:
            self.assertEqual(405, self.route(b"TRACE", target, text="TraceEnable off").status)

    def test_traceAsUnderstood(self) -> None:
        """The echo has the target's host, and one line for each field's name, as in httpd."""
        twice = (b"X-A", b"1"), (b"X-B", b"2"), (b"x-a", b"3")
        route = self.route(b"TRACE", "http://other.test:99/x", *twice)
        self.assertIn(b"\r\nHost: other.test:99\r\nX-A: 1, 3\r\nX-B: 2\r\n\r\n", route.body)

    def test_traceOfDirectory(self) -> None:
        """TRACE is answered before files are looked at, and their sections."""
        lines = '<Directory "/">\nRedirect /php http://b/\n</Directory>\n'
        self.assertEqual(ANSWER, self.route(b"TRACE", "/php", text=lines).kind)
        lines = "Redirect /php http://b/\n"
        self.assertEqual(302, self.route(b"TRACE", "/php", text=lines).status)

    def test_maxForwards(self) -> None:
        """Max-Forwards ends a request that would go on to an application at zero."""
        for method, hops, kind, status in [
            (b"GET", b"1", FASTCGI, 0),
            (b"GET", b"0", REFUSE, 400),
            (b"GET", b"x", REFUSE, 400),
            (b"GET", b"-1", REFUSE, 400),
            (b"GET", b"9" * 19, REFUSE, 400),
            (b"OPTIONS", b"0", ANSWER, 200),
            (b"TRACE", b"0", ANSWER, 200),
        ]:
            route = self.route(method, "/a/x", (b"Max-Forwards", hops))
            self.assertEqual((kind, status), (route.kind, route.status), (method, hops))


class ReasonsTests(SynchronousTestCase):
    """Tests for what is said of a request that nobody serves."""

    def test_words(self) -> None:
        """What the configuration names is quoted as it stands there."""
        root = makeTree(self)
        for handler, reason in [
            ("php-script", "there is no handler 'php-script'"),
            ("sch\u00f6n", "there is no handler 'sch\u00f6n'"),
            (
                "proxy:unix:/x.sock",
                "'unix:/x.sock' is not spoken here, only fcgi:// and fcgis:// are",
            ),
            (
                "proxy:http://h:1",
                "'http://h:1' is not spoken here, only fcgi:// and fcgis:// are",
            ),
        ]:
            text = f"DocumentRoot {root}\nSetHandler {handler}\n"
            route = routeOf(text, makeRequest("/plain.txt"))
            self.assertEqual((REFUSE, 500, reason), (route.kind, route.status, route.reason))
