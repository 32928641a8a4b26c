"""Tests for :mod:`twisted_fcgi.cgi.overrides`; what is expected was seen of httpd 2.4.71."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.cgi.overrides import VariablesContext, override
from twisted_fcgi.config import loads
from twisted_fcgi.errors import RequestError
from twisted_fcgi.expr.variables import VARIABLES
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Address, Authority, Request, Route, RouteKind

FIELDS = [(b"Host", b"www.example.test"), (b"X-Text", b"Hello World"), (b"X-Num", b"42")]


class OverrideTests(SynchronousTestCase):
    """Tests for :func:`override`."""

    def run_(self, lines: str) -> tuple[dict[bytes, bytes], list[bytes]]:
        """The variables after some lines, and the request headers that were read."""
        host = loads(lines).main
        address = Address(b"192.0.2.1", 80)
        route = Route(
            RouteKind.FASTCGI,
            host,
            host.directory,
            uri=b"/a b.php",
            query=b"q=1",
            filename=b"proxy:fcgi://127.0.0.1:9000/a%20b.php",
            authority=Authority(host, b"www.example.test", None, b"", address, False),
        )
        request = Request(b"GET", b"/a%20b.php?q=1", Headers(FIELDS))
        table = {b"SCRIPT_NAME": b"/a.php", b"SERVER_NAME": b"www.example.test", b"GONE": b"1"}
        overrides = host.directory.overrides or ()
        return table, override(table, overrides, request, route)

    def test_set(self) -> None:
        """A variable is set when the condition holds, and only then."""
        table, _ = self.run_(
            'ProxyFCGISetEnvIf true A "%{REQUEST_METHOD}-%{req:X-Num}"\n'
            "ProxyFCGISetEnvIf false B 1\n"
            "ProxyFCGISetEnvIf true C\n"
        )
        self.assertEqual((table[b"A"], table[b"C"]), (b"GET-42", b""))
        self.assertNotIn(b"B", table)

    def test_remove(self) -> None:
        """A name with an exclamation mark is removed; one that is not there is no mistake."""
        table, _ = self.run_("ProxyFCGISetEnvIf true !GONE\nProxyFCGISetEnvIf true !NONE\n")
        self.assertNotIn(b"GONE", table)

    def test_caseOfNames(self) -> None:
        """Names are compared without case, and keep the spelling that they have."""
        table, _ = self.run_("ProxyFCGISetEnvIf true server_name other\n")
        self.assertEqual(table[b"SERVER_NAME"], b"other")
        self.assertNotIn(b"server_name", table)

    def test_order(self) -> None:
        """A later line sees what an earlier one did."""
        table, _ = self.run_(
            "ProxyFCGISetEnvIf true A 1\n"
            "ProxyFCGISetEnvIf \"reqenv('A') == '1'\" B %{reqenv:a}2\n"
            "ProxyFCGISetEnvIf true A %{reqenv:B}3\n"
        )
        self.assertEqual((table[b"A"], table[b"B"]), (b"123", b"12"))

    def test_captures(self) -> None:
        """A value has the groups of its own condition, not of one before."""
        table, _ = self.run_(
            "ProxyFCGISetEnvIf \"reqenv('SCRIPT_NAME') =~ m#/(.)#\" A $1\n"
            "ProxyFCGISetEnvIf true B [$1]\n"
        )
        self.assertEqual((table[b"A"], table[b"B"]), (b"a", b"[]"))

    def test_vary(self) -> None:
        """Request headers that conditions read are told, once each; Host is not."""
        _, vary = self.run_(
            "ProxyFCGISetEnvIf \"req('X-Text') == 'x' || -n req('Host')\" A 1\n"
            "ProxyFCGISetEnvIf \"-n req('X-Text')\" A %{req:X-Num}\n"
        )
        self.assertEqual(vary, [b"X-Text"])

    def test_runTimeError(self) -> None:
        """A condition that can't be evaluated fails the request with a 503 that names the line."""
        error = self.assertRaises(
            RequestError, self.run_, "ProxyFCGISetEnvIf \"file('/none/such') == 'x'\" A 1\n"
        )
        self.assertEqual(error.status, 503)
        self.assertIn("<text>:1", error.reason)

    def test_variables(self) -> None:
        """Variables are those of the request."""
        for name, expected in (
            ("REQUEST_URI", b"/a b.php"),
            ("THE_REQUEST", b"GET /a%20b.php?q=1 HTTP/1.1"),
            ("REQUEST_FILENAME", b"proxy:fcgi://127.0.0.1:9000/a%20b.php"),
            ("HANDLER", b"proxy-server"),
            ("REMOTE_HOST", b"127.0.0.1"),
            ("SERVER_NAME", b"www.example.test"),
            ("HTTPS", b"off"),
            ("IS_SUBREQ", b"false"),
            ("PATH_INFO", b""),
        ):
            table, _ = self.run_(f"ProxyFCGISetEnvIf true A %{{{name}}}\n")
            self.assertEqual(table[b"A"], expected, name)

    def test_everyVariable(self) -> None:
        """Each variable of the language can be asked for."""
        for name in VARIABLES:
            table, _ = self.run_(f"ProxyFCGISetEnvIf true A %{{{name.decode()}}}\n")
            self.assertIn(b"A", table)

    def test_context(self) -> None:
        """There are no notes, response headers or sub-requests before the application answered."""
        host = loads("").main
        route = Route(RouteKind.FASTCGI, host, host.directory)
        context = VariablesContext(Request(b"GET", b"/", Headers()), route, {})
        self.assertIsNone(context.note(b"a"))
        self.assertIsNone(context.responseHeader(b"a"))
        self.assertFalse(context.reachable(b"/", False))
