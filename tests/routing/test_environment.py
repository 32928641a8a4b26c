"""Tests for the variables that the configuration sets."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, read, routeOf
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Authority, Request, Route
from twisted_fcgi.routing.environment import (
    MAX_SUBSTITUTED,
    Environment,
    Names,
    changed,
    substitute,
)
from twisted_fcgi.routing.site import Site


class ConditionsTests(SynchronousTestCase):
    """Tests for :class:`~twisted_fcgi.routing.environment.Conditions`, as a site applies them."""

    def applied(
        self, text: str, request: Request | None = None, environment: Environment | None = None
    ) -> Environment:
        """The variables after some SetEnvIf lines."""
        request = makeRequest("/a/b.php?q") if request is None else request
        main = read(text).main
        authority = Authority(main, b"www.test", None, b"www.test", request.server, False)
        variables = {} if environment is None else environment
        Site(main).start(request, authority, b"/a/b.php", variables)
        return variables

    def test_attributes(self) -> None:
        """Attributes of the request are found whatever the case of their names."""
        for attribute, value in [
            ("Request_URI", b"/a/b.php"),
            ("REQUEST_METHOD", b"GET"),
            ("Request_Protocol", b"HTTP/1.1"),
            ("remote_addr", b"192.0.2.1"),
            ("Remote_Host", b"192.0.2.1"),
            ("Server_Addr", b"127.0.0.1"),
            ("Host", b"www.test"),
            ("Query_String", b""),
        ]:
            self.assertEqual({b"A": value}, self.applied(f'SetEnvIf {attribute} "(.*)" A=$1'))

    def test_values(self) -> None:
        """A name alone is set to 1, ``!`` removes, groups are filled in."""
        self.assertEqual(
            {b"A": b"1", b"B": b"b", b"C": b"", b"D": b"$1"},
            self.applied(
                'SetEnvIf Request_URI "/(b)" A B=$1 C=$2 D=\\$1 GONE\nSetEnvIf GONE 1 !GONE'
            ),
        )

    def test_plainText(self) -> None:
        """Where the pattern is plain text, a dollar sign means nothing."""
        self.assertEqual({b"A": b"$1"}, self.applied("SetEnvIf Request_URI php A=$1"))

    def test_header(self) -> None:
        """A field is looked up by any case; several are joined; an absent one is empty."""
        request = makeRequest("/", (b"X-Tenant", b"acme"), (b"x-tenant", b"corp"))
        text = 'SetEnvIf X-TENANT "(.+)" T=$1'
        self.assertEqual({b"T": b"acme, corp"}, self.applied(text, request))
        self.assertEqual({b"NONE": b"1"}, self.applied('SetEnvIf X-Tenant "^$" NONE'))

    def test_fieldNamesByExpression(self) -> None:
        """An expression for names takes the last field whose name fits."""
        request = makeRequest("/", (b"X-A", b"1"), (b"X-B", b"2"), (b"Y", b"3"))
        self.assertEqual({b"GOT": b"2"}, self.applied('SetEnvIf "^X-" "(.*)" GOT=$1', request))

    def test_variables(self) -> None:
        """A name that is no field is looked up among the variables, whatever its case."""
        text = 'SetEnvIf Request_URI a Step=one\nSetEnvIf STEP "^one$" NEXT=two !sTEP'
        self.assertEqual({b"NEXT": b"two"}, self.applied(text))

    def test_ignoredCase(self) -> None:
        """SetEnvIfNoCase and BrowserMatchNoCase match text in any case."""
        request = makeRequest("/", (b"User-Agent", b"ROBOT"))
        text = "SetEnvIfNoCase User-Agent robot A\nBrowserMatchNoCase robot B\nBrowserMatch robot C"
        self.assertEqual({b"A": b"1", b"B": b"1"}, self.applied(text, request))


class ChangedTests(SynchronousTestCase):
    """Tests for :func:`changed` and :class:`Names`."""

    def left(self, text: str) -> Environment:
        """The variables that SetEnv lines leave."""
        return changed(read(text).main.directory.environment or (), Names())

    def test_order(self) -> None:
        """A later line wins, and UnsetEnv removes what was set before it."""
        self.assertEqual(
            {b"A": b"2", b"C": b""},
            self.left("SetEnv A 1\nSetEnv B 1\nSetEnv A 2\nUnsetEnv B\nSetEnv C"),
        )

    def test_spelling(self) -> None:
        """A name that differs in case is the same variable, in capitals if it is a server's."""
        self.assertEqual(
            {b"Mine": b"2", b"PATH_INFO": b"x", b"HTTP_X": b"y", b"proxy-fcgi-pathinfo": b"full"},
            self.left(
                "SetEnv Mine 1\nSetEnv MINE 2\nSetEnv Path_Info x\nSetEnv http_x y\n"
                "SetEnv Proxy-FCGI-PathInfo full"
            ),
        )


class SubstituteTests(SynchronousTestCase):
    """Tests for :func:`substitute`."""

    def substituted(self, text: bytes, pattern: bytes, value: bytes) -> bytes:
        """A text with a match's groups in it."""
        match = re.search(pattern, value, re.S)
        assert match is not None
        return substitute(text, match)

    def test_pieces(self) -> None:
        """Digits name groups, a backslash takes the next character as it is."""
        for text, expected in [
            (b"plain", b"plain"),
            (b"$1-$0-$2", b"b-abc-"),
            (b"$1$1", b"bb"),
            (b"$11", b"b1"),
            (b"\\$1", b"$1"),
            (b"\\\\$1", b"\\b"),
            (b"$x$", b"$x$"),
            (b"$9&", b"&"),
            (b"a\\", b"a\\"),
        ]:
            self.assertEqual(expected, self.substituted(text, rb"a(b)(z)?c", b"abc"), text)

    def test_bounded(self) -> None:
        """A text that grows past httpd's bound is an error of ours."""
        with self.assertRaises(RequestError) as caught:
            self.substituted(b"$0" * 9, rb".*", b"x" * (MAX_SUBSTITUTED // 8))
        self.assertEqual(500, caught.exception.status)


class SizeTests(SynchronousTestCase):
    """Tests for how large all variables may become."""

    def test_bounded(self) -> None:
        """A request whose variables are too large is refused, and keeps none of them."""
        line = f"SetEnvIf Request_URI .* %s={'x' * 20000}\n"
        for many, status in ((50, 0), (60, 500)):
            lines = "".join(line % f"A{number}" for number in range(many))
            few = "".join(f"SetEnvIf Request_URI .* B{number}=1\n" for number in range(20))
            route = routeOf(f"ProxyPass /a fcgi://h/\n{lines}{few}", makeRequest("/a"))
            self.assertEqual(status, route.status)
            self.assertEqual(bool(status), not route.environment)


class ExpressionTests(SynchronousTestCase):
    """SetEnvIfExpr."""

    route: Route

    def environment(self, text: str, target: str = "/x?a=b") -> dict[bytes, bytes]:
        self.route = routeOf(f'ProxyPass "/" "fcgi://127.0.0.1:9000/"\n{text}', target)
        return self.route.environment

    def test_groups(self) -> None:
        """$0 to $9 are what the last expression with groups matched; what it has not is empty."""
        found = self.environment('SetEnvIfExpr "%{QUERY_STRING} =~ /(.)=(.)/" A=[$2$1$0$3] B')
        self.assertEqual({b"A": b"[baa=b]", b"B": b"1"}, found)

    def test_noMatch(self) -> None:
        """Where nothing was matched the value is text."""
        found = self.environment(
            'SetEnvIfExpr true A=$1\nSetEnvIfExpr "! %{QUERY_STRING} =~ /(z)/" B=$1'
        )
        self.assertEqual({b"A": b"$1", b"B": b"$1"}, found)

    def test_order(self) -> None:
        """It runs among the SetEnvIf lines: each sees what those before it did."""
        found = self.environment(
            "SetEnvIf Request_URI . A=1\nSetEnvIfExpr \"reqenv('A') == '1'\" B !A\n"
            "SetEnvIf B 1 C\nSetEnvIfExpr \"reqenv('A') == '1'\" D"
        )
        self.assertEqual({b"B": b"1", b"C": b"1"}, found)

    def test_sees(self) -> None:
        """Outside of sections it sees no file yet; inside it does."""
        found = self.environment(
            'SetEnvIfExpr "-z %{REQUEST_FILENAME}" A\n<Location />\n'
            'SetEnvIfExpr "%{REQUEST_FILENAME} =~ m#/(x)$#" B=$1\n</Location>'
        )
        self.assertEqual({b"A": b"1", b"B": b"x"}, found)

    def test_failure(self) -> None:
        """One that can't be evaluated does nothing, and the log hears of it."""
        self.assertEqual({}, self.environment("SetEnvIfExpr \"file('/nonexistent') == ''\" A"))
        self.assertEqual(1, len(self.route.complaints))
