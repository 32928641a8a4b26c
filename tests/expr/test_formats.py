"""Tests for :mod:`twisted_fcgi.expr.formats`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.expr import RequestContext
from twisted_fcgi.expr.formats import compileFormat
from twisted_fcgi.expr.lexer import ExpressionError
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.settings import DirectorySettings, VirtualHost


class FormatTests(SynchronousTestCase):
    """Tests for :func:`compileFormat`."""

    def made(self, text: bytes, secure: bool = False) -> bytes:
        request = Request(b"GET", b"/", Headers(), secure=secure, receivedAt=1000.5)
        route = Route(RouteKind.FASTCGI, VirtualHost(), DirectorySettings())
        route.environment = {b"NAME": b"value"}
        context = RequestContext(request, route)
        context.now = 1000.75
        return compileFormat(text).evaluate(context)

    def test_formats(self) -> None:
        """Each format becomes what httpd makes of it."""
        for text, expected in (
            (b"", b""),
            (b"plain", b"plain"),
            (b"100%%", b"100%"),
            (b"100%", b"100%"),
            (b"%t", b"t=1000500000"),
            (b"%D", b"D=250000"),
            (b"a%De", b"aD=250000e"),
            (b"%b %i", b"b=0 i=100"),
            (b"<%{NAME}e>", b"<value>"),
            (b"<%{name}e>", b"<value>"),
            (b"%{OTHER}e", b"(null)"),
            (b"%{}e", b"(null)"),
            (b"%e", b"(null)"),
            (b"%{ignored}t", b"t=1000500000"),
            (b"%{SSL_PROTOCOL}s %{HTTPS}s", b"(null) (null)"),
            (rb"a\tb\\c\xd\\", b"a\tb\\c\\xd\\"),
            (rb"a\nb\rc", b"a\nb\rc"),
        ):
            self.assertEqual(expected, self.made(text), text)

    def test_secure(self) -> None:
        """Over TLS HTTPS is on."""
        self.assertEqual(b"on", self.made(b"%{https}s", secure=True))

    def test_load(self) -> None:
        """The system's load is three numbers."""
        self.assertRegex(self.made(b"%l"), rb"l=\d+\.\d\d/\d+\.\d\d/\d+\.\d\d")

    def test_constant(self) -> None:
        """A text without formats is known to be always the same."""
        self.assertEqual(b"50% a", compileFormat(b"50%% a").constant)
        self.assertIsNone(compileFormat(b"%t").constant)

    def test_unknown(self) -> None:
        """A format that there is not is an error at its place."""
        for text, column in ((b"a%q", 2), (b"%%%{A}x", 3), (b"%{A", 1), (b"%{A}", 1)):
            with self.assertRaises(ExpressionError) as caught:
                compileFormat(text)
            self.assertEqual(column, caught.exception.column, text)
