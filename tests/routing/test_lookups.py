"""-U and -F: whether another request would be served."""

from __future__ import annotations

from unittest import TestCase

from tests.routing.making import makeFiles, makeRequest, read
from twisted_fcgi.expr import RequestContext
from twisted_fcgi.expr.parser import compileCondition
from twisted_fcgi.message import Route
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.lookups import MAX_LOOKUPS

__all__ = ["LookupTests"]

CONFIGURATION = """
DocumentRoot "{root}"
ProxyPass "/app/" "fcgi://127.0.0.1:9000/"
<Location "/denied">
    Require all denied
</Location>
<Files "secret.txt">
    Require all denied
</Files>
<Location "/posted">
    Require method POST
</Location>
"""


class LookupTests(TestCase):
    """Conditions after a request was routed, and while it is."""

    def setUp(self) -> None:
        self.root = makeFiles(
            self, {"a.txt": "", "secret.txt": "", "sub/b.txt": "", "denied/c.txt": ""}
        )

    def holds(self, condition: str, target: str = "/sub/b.txt", method: bytes = b"GET") -> bool:
        request = makeRequest(target, method=method)
        route = Router(read(CONFIGURATION.format(root=self.root))).route(request)
        return compileCondition(condition.encode())(RequestContext(request, route))

    def test_url(self) -> None:
        """A URL may be had unless it is refused; that there is a file does not matter."""
        for url, expected in (
            ("/a.txt", True),
            ("/nothing", True),
            ("/app/x.php?q", True),
            ("/sub", True),
            ("/denied/c.txt", False),
            ("/secret.txt", False),
            ("b.txt", True),
            ("../denied/c.txt", False),
            ("%%32", False),
            ("/a%00", False),
            ("", True),
        ):
            for operator in ("-U", "-A"):
                self.assertEqual(expected, self.holds(f"{operator} '{url}'"), (operator, url))

    def test_method(self) -> None:
        """It is looked up as a GET, whatever the request is."""
        self.assertFalse(self.holds("-U '/posted'", method=b"POST"))

    def test_file(self) -> None:
        """A file may be had when it is there, and its sections do not refuse it."""
        for path, expected in (
            (f"{self.root}/a.txt", True),
            (f"{self.root}/nothing", False),
            (f"{self.root}/secret.txt", False),
            (f"{self.root}/a.txt/x", True),
            (f"{self.root}/secret.txt/x", False),
            (f"{self.root}/sub", False),
            (f"{self.root}/sub/", False),
            ("b.txt", True),
            ("../a.txt", True),
            ("", False),
            ("/dev/null", False),
        ):
            self.assertEqual(expected, self.holds(f"-F '{path}'"), path)

    def routeOf(self, text: str, target: str = "/a.txt") -> Route:
        return Router(read(f'DocumentRoot "{self.root}"\n{text}')).route(makeRequest(target))

    def test_itself(self) -> None:
        """A condition that asks about the path that it is for is false there, and ends."""
        text = '<If "! -U %{REQUEST_URI}">\nRequire all denied\n</If>'
        self.assertEqual(403, self.routeOf(text).status)

    def test_bound(self) -> None:
        """Conditions that ask for each other end, and the log hears of it."""
        asks = " && ".join(f"-U '/{name}'" for name in "abcdefghij")
        route = self.routeOf(f'<If "! ({asks})">\nSetEnv A 1\n</If>')
        self.assertEqual(0, route.status)
        text = f'<If "{asks.replace("&&", "||")}">\nRequire all denied\n</If>'
        (complaint,) = self.routeOf(text).complaints
        self.assertIn(str(MAX_LOOKUPS), complaint)

    def test_boundOfRules(self) -> None:
        """So do conditions of rules, also where each look-up asks by an expression again."""
        asks = " || ".join(f"-U '/{name}'" for name in "abcdefghij")
        text = f'RewriteEngine On\nRewriteCond expr "{asks}"\nRewriteRule ^ - [F]'
        self.assertIn(str(MAX_LOOKUPS), "".join(self.routeOf(text).complaints))
