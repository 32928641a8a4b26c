"""Tests for :mod:`twisted_fcgi.routing.canon`, by what a router decides."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeTree, routeOf
from twisted_fcgi.message import Route


class PathInfoTests(SynchronousTestCase):
    """Tests for proxy-fcgi-pathinfo."""

    def route(self, mode: str, target: str, prefix: str = "/a/", to: str = "fcgi://h/") -> Route:
        """A proxied route with the variable set."""
        return routeOf(
            f"ProxyPass {prefix} {to}\nSetEnvIf Request_URI . proxy-fcgi-pathinfo={mode}\n", target
        )

    def test_modes(self) -> None:
        """Each mode splits the URL as httpd does; SCRIPT_FILENAME is never shortened."""
        for mode, target, pathInfo in [
            ("first-dot", "/a/app.php/i%20j/k.l", b"/i j/k.l"),
            ("first-dot", "/a/v1.0/app.php/i", b"/app.php/i"),
            ("first-dot", "/a/app.php", None),
            ("first-dot", "/a/plain/i", None),
            ("FIRST-DOT", "/a/app.php/", b"/"),
            ("last-dot", "/a/v1.0/app.php/i", b"/i"),
            ("last-dot", "/a/app.php/k.l", None),
            ("unescape", "/a/app.php/i%20j", b"/app.php/i j"),
            ("1", "/a/app.php/i%20j", b"/app.php/i%20j"),
        ]:
            route = self.route(mode, target)
            self.assertEqual(pathInfo, route.pathInfo, (mode, target))
            encoded = target.removeprefix("/a/").encode()
            self.assertEqual(b"proxy:fcgi://h/" + encoded, route.filename)

    def test_full(self) -> None:
        """With ``full`` the file system says where the script ends, as a path or below the root."""
        root = makeTree(self)
        script = os.fsencode(root) + b"/php/app.php"
        settings = f"DocumentRoot {root}\nSetEnvIf Request_URI . proxy-fcgi-pathinfo=full\n"
        for line in [f"ProxyPass /a/ fcgi://h{root}/", "ProxyPass /a/ fcgi://h/"]:
            route = routeOf(settings + line, "/a/php/app.php/i%20j")
            self.assertEqual((script, b"/i j"), (route.script, route.pathInfo))
            for target in ["/a/php/none.php/i", "/a/php/", "/a/php/app.phpx"]:
                missing = routeOf(settings + line, target)
                self.assertEqual((None, None), (missing.script, missing.pathInfo))

    def test_fullOfHandler(self) -> None:
        """With ``full`` what stands behind a file that SetHandler is for is lost, as in httpd."""
        root = makeTree(self)
        route = routeOf(
            f"DocumentRoot {root}\nSetEnvIf Request_URI . proxy-fcgi-pathinfo=full\n"
            "<Files app.php>\nSetHandler proxy:fcgi://h\n</Files>",
            "/php/app.php/i",
        )
        self.assertEqual(os.fsencode(root) + b"/php/app.php", route.script)
        self.assertEqual((None, None), (route.pathInfo, route.pathTranslated))

    def test_translated(self) -> None:
        """PATH_TRANSLATED is what PATH_INFO would be as a path, an index or a URL included."""
        root = makeTree(self)
        text = (
            f"DocumentRoot {root}\nSetEnvIf Request_URI . proxy-fcgi-pathinfo=first-dot\n"
            "ProxyPass /a/ fcgi://h/\nProxyPass /claimed/ fcgi://h/srv/\n"
        )
        for target, expected in [
            ("/a/x.php/none/a", os.fsencode(root) + b"/none/a"),
            ("/a/x.php/", os.fsencode(root) + b"/index.html"),
            ("/a/x.php/php/v1.0/", os.fsencode(root) + b"/php/v1.0/index.html"),
            ("/a/x.php/app.php/i", os.fsencode(root) + b"/app.php/i"),
            ("/a/x.php/claimed/a%20b", b"proxy:fcgi://h/srv/a%20b"),
            ("/a/x.php/loop", os.fsencode(root) + b"/loop"),
        ]:
            self.assertEqual(expected, routeOf(text, target).pathTranslated, target)
