"""Tests for the whole way from a request to its route."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, makeTree, read, routeOf
from tests.test_uri import PATHS
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Address, Request, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing import rewrites as rewritesModule
from twisted_fcgi.routing import router as routerModule
from twisted_fcgi.routing import site as siteModule
from twisted_fcgi.routing.router import MAX_DESTINATIONS
from twisted_fcgi.settings import MemberSettings

FASTCGI, STATIC, REDIRECT, REFUSE, ANSWER = (
    RouteKind.FASTCGI,
    RouteKind.STATIC,
    RouteKind.REDIRECT,
    RouteKind.REFUSE,
    RouteKind.ANSWER,
)

PHP = '<FilesMatch "\\.php$">\nSetHandler "proxy:fcgi://h:9000"\n</FilesMatch>\n'


class ProxyPassTests(SynchronousTestCase):
    """Tests for what is asked of an application."""

    def filenames(self, text: str, *targets: str) -> list[bytes | int]:
        """What applications are asked for, or the status with which it is refused."""
        router = Router(read(text))
        routes = [router.route(makeRequest(target)) for target in targets]
        return [route.filename if route.kind == FASTCGI else route.status for route in routes]

    def test_encodedAnew(self) -> None:
        """A path is decoded once and encoded anew for the application."""
        self.assertEqual(
            [
                b"proxy:fcgi://h:9000/srv/a.php",
                b"proxy:fcgi://h:9000/srv/a%20b%3Fc%25+.php",
                b"proxy:fcgi://h:9000/srv/abc%252F",
                b"proxy:fcgi://h:9000/srv/",
                b"proxy:fcgi://h:9000/srv/caf%C3%A9",
                404,
                400,
                400,
                404,
            ],
            self.filenames(
                "ProxyPass /a/ fcgi://h:9000/srv/",
                "/a/a.php?q",
                "/a/a%20b%3Fc%25%2B.php",
                "/a/%61bc%252F",
                "//a//./x/..",
                "/a/caf\xc3\xa9",
                "/a/x%2Fy",
                "/a/%0a",
                "/a/../../x",
                "/b",
            ),
        )

    def test_raw(self) -> None:
        """With nocanon it is sent as it came, but for PHP-FPM not with a query."""
        text = "ProxyPass /a/ fcgi://h/srv/ nocanon\n"
        self.assertEqual(
            [b"proxy:fcgi://h/srv/%41%20b", 403, b"proxy:fcgi://h/srv/a%3Fb"],
            self.filenames(text, "/a/%41%20b", "/a/b?q", "/a/a%3Fb"),
        )
        self.assertEqual(
            [b"proxy:fcgi://h/srv/b?q"],
            self.filenames(text + "ProxyFCGIBackendType GENERIC", "/a/b?q"),
        )

    def test_slashAlone(self) -> None:
        """An application's URL has at least one slash behind its server."""
        self.assertEqual(
            [b"proxy:fcgi://h/", b"proxy:fcgi://h/x"],
            self.filenames("ProxyPass /a fcgi://h:8000", "/a", "/a/x"),
        )

    def test_encodedSlashesKept(self) -> None:
        """With AllowEncodedSlashes NoDecode an encoded slash reaches the application."""
        text = "AllowEncodedSlashes NoDecode\nProxyPass /a/ fcgi://h/"
        self.assertEqual([b"proxy:fcgi://h/x%2Fy%20z"], self.filenames(text, "/a/x%2Fy%20z"))

    def test_notProxied(self) -> None:
        """The variable no-proxy keeps a path from all mappings."""
        text = 'SetEnvIf Request_URI "^/a/local" no-proxy\nProxyPass /a/ fcgi://h/'
        self.assertEqual([404, b"proxy:fcgi://h/x"], self.filenames(text, "/a/local", "/a/x"))

    def test_member(self) -> None:
        """The route names who is asked, and whether somebody was defined for that URL."""
        route = routeOf("ProxyPass /a/ unix:/run/x.sock|fcgi://pool/srv/", "/a/x")
        self.assertEqual(["/run/x.sock"], [member.socket for member in route.members])
        self.assertNotIn(b"proxy-nokeepalive", route.environment)
        route = routeOf("<Location /v>\nSetHandler proxy:fcgi://h:9\n</Location>", "/v")
        self.assertEqual([("h", 9)], [(member.host, member.port) for member in route.members])
        self.assertEqual(b"1", route.environment[b"proxy-nokeepalive"])

    def test_otherSchemes(self) -> None:
        """A URL of a protocol that nobody here speaks is an error of the configuration."""
        self.assertEqual([500], self.filenames("ProxyPass /a/ http://h/", "/a/x"))

    def test_locationSettings(self) -> None:
        """Sections by path apply to proxied requests, behind sections by URL."""
        route = routeOf(
            "ProxyPass /a/ fcgi://h/\n<Location /a/>\nSetEnv A location\n</Location>\n"
            "<Proxy fcgi://h/>\nSetEnv A proxy\nSetEnv B proxy\n</Proxy>\n"
            "<Files *>\nSetEnv C files\n</Files>",
            "/a/x",
        )
        self.assertEqual({b"A": b"location", b"B": b"proxy"}, route.environment)

    def test_setEnvIsLate(self) -> None:
        """SetEnvIf is seen where a path is mapped, SetEnv is not, and wins afterwards."""
        text = "ProxyPass /a/ fcgi://h/\n"
        name = "proxy-fcgi-pathinfo"
        early = routeOf(f"{text}SetEnvIf Request_URI . {name}=first-dot", "/a/x.php/y")
        late = routeOf(f"{text}SetEnv {name} first-dot", "/a/x.php/y")
        both = routeOf(f"{text}SetEnvIf Request_URI . A=early\nSetEnv A late", "/a/x")
        self.assertEqual((b"/y", None), (early.pathInfo, late.pathInfo))
        self.assertEqual(b"late", both.environment[b"A"])

    def test_conditionsSeeThePathAsSent(self) -> None:
        """Outside of sections Request_URI is the path as sent, inside it is decoded."""
        text = (
            'ProxyPass /a/ fcgi://h/\nSetEnvIf Request_URI "(.*)" SENT=$1\n'
            '<Location /a/>\nSetEnvIf Request_URI "(.*)" DECODED=$1\n</Location>'
        )
        self.assertEqual(
            {b"SENT": b"/a/./b%20c", b"DECODED": b"/a/b c"},
            routeOf(text, "/a/./b%20c").environment,
        )


class EncodedMappingTests(SynchronousTestCase):
    """``mapping=encoded`` and ``servlet``."""

    def route(self, text: str, target: str) -> Route:
        """What is decided for a request."""
        return routeOf(text, target)

    def test_notDecoded(self) -> None:
        """The path stays as it was sent for the application and for sections."""
        text = (
            "ProxyPass /e/ fcgi://h/app/ mapping=encoded\n"
            '<Location "/e/a%20b">\nSetEnv ENCODED 1\n</Location>\n'
            '<Location "/e/a b">\nSetEnv DECODED 1\n</Location>\n'
        )
        route = self.route(text, "/e/a%20b/%2F%61?q")
        self.assertEqual(b"proxy:fcgi://h/app/a%20b/%2Fa", route.filename)
        self.assertEqual(b"/e/a%20b/%2Fa", route.uri)
        self.assertEqual({b"ENCODED": b"1"}, route.environment)

    def test_decodedElsewhere(self) -> None:
        """What no such line claims is decoded as ever."""
        text = "ProxyPass /e/ fcgi://h/app/ mapping=encoded\nProxyPass / fcgi://i/"
        self.assertEqual(404, self.route(text, "/f%2Fx").status)
        self.assertEqual(b"/f x", self.route(text, "/f%20x").uri)

    def test_inLocation(self) -> None:
        """A Location may have one, which is the same for all paths of the Location."""
        text = "<Location /q/>\nProxyPass fcgi://h/qq/ mapping=servlet\n</Location>"
        self.assertEqual(b"proxy:fcgi://h/qq/a;b/c", self.route(text, "/q/a;b/c").filename)
        self.assertEqual(404, self.route(text, "/q;s/a").status)

    def test_servlet(self) -> None:
        """Sections and SCRIPT_NAME see the path without parameters."""
        text = (
            "ProxyPass /a/ fcgi://h/s/ mapping=servlet\n<Location /a/x>\nSetEnv IN 1\n</Location>"
        )
        route = self.route(text, "/a;b/x;c/y")
        self.assertEqual((b"/a/x/y", {b"IN": b"1"}), (route.uri, route.environment))
        self.assertEqual(b"proxy:fcgi://h/s/x;c/y", route.filename)

    def test_rewriting(self) -> None:
        """A RewriteRule comes too late for what such a line claims."""
        text = (
            "RewriteEngine On\nRewriteRule ^/e/ /f/\n"
            "ProxyPass /e/ fcgi://h/ mapping=encoded\nProxyPass /f/ fcgi://i/"
        )
        route = self.route(text, "/e/a%20b")
        self.assertEqual(b"proxy:fcgi://h/a%20b", route.filename)
        self.assertEqual(b"/e/a%20b", route.environment[b"SCRIPT_URL"])

    def test_noProxy(self) -> None:
        """no-proxy keeps a path from such a line, too."""
        text = "SetEnvIf Request_URI x no-proxy\nProxyPass /e/ fcgi://h/ mapping=encoded"
        self.assertEqual(404, self.route(text, "/e/x").status)


class ProxyTests(SynchronousTestCase):
    """mod_proxy's other directives."""

    def test_interpolated(self) -> None:
        """What SetEnvIf found is put into a path, and no decision about it is kept."""
        text = (
            "ProxyPassInterpolateEnv On\n"
            'SetEnvIf X-Site "(.*)" SITE=$1\n'
            'ProxyPass /a/ "fcgi://h/srv/${SITE}/" interpolate\n'
            "<Location /a/off/>\nProxyPassInterpolateEnv Off\n</Location>"
        )
        router = Router(read(text))
        for site, target, expected in [
            (b"one", "/a/x", b"/srv/one/x"),
            (b"t w?", "/a/x", b"/srv/t%20w%3F/x"),
            (b"one", "/a/off/x", b"/srv/$%7BSITE%7D/off/x"),
        ]:
            request = makeRequest(target, (b"X-Site", site))
            self.assertEqual(b"proxy:fcgi://h" + expected, router.route(request).filename)

    def test_blocked(self) -> None:
        """ProxyBlock is a 403 for a member whose host has the text in it."""
        text = "ProxyBlock {}\nProxyPass / fcgi://app.example/"
        for words, status in [("other app", 403), ("*", 403), ("other", 0)]:
            self.assertEqual(status, routeOf(text.format(words), "/x").status, words)

    def test_disabled(self) -> None:
        """A member that is not in a balancer can be disabled or stopped; that is a 503."""
        text = "ProxyPass / fcgi://h/ status="
        for letters, status in [("+D", 503), ("S", 503), ("+D-D", 0), ("+N", 0), ("+E", 0)]:
            self.assertEqual(status, routeOf(text + letters, "/x").status, letters)

    def test_maxForwards(self) -> None:
        """ProxyMaxForwards is told where the client said nothing."""
        settings = read("ProxyMaxForwards 5\nProxyPass / fcgi://h/")
        router = Router(settings)
        requests = makeRequest("/"), makeRequest("/", (b"Max-Forwards", b"3"))
        told = [router.route(request).environment for request in requests]
        self.assertEqual([{b"HTTP_MAX_FORWARDS": b"5"}, {}], told)


class BalancerTests(SynchronousTestCase):
    """Tests for :meth:`Router.elected`."""

    TEXT = (
        "ProxyPass /a/ balancer://pool/\n<Proxy balancer://pool>\n"
        "BalancerMember fcgi://one:1/srv\nBalancerMember fcgi://two:2\n</Proxy>\n"
    )

    def elected(self, text: str, target: str) -> list[Route]:
        """A balancer's route, for each of its members."""
        router, request = Router(read(text)), makeRequest(target)
        route = router.route(request)
        self.assertEqual((FASTCGI, "balancer://pool"), (route.kind, route.balancer))
        return [router.elected(request, route, member) for member in route.members]

    def test_ownPath(self) -> None:
        """A member's own path comes before the request's, which is encoded then."""
        self.assertEqual(
            [b"proxy:fcgi://one:1/srv/b%20c", b"proxy:fcgi://two:2/b%20c"],
            [route.filename for route in self.elected(self.TEXT, "/a/b%20c")],
        )

    def test_pathInfo(self) -> None:
        """PATH_INFO is taken from the URL that the member is asked for."""
        text = self.TEXT + "SetEnvIf Request_URI . proxy-fcgi-pathinfo=1\nDocumentRoot /\n"
        self.assertEqual(
            [(b"/srv/x", b"/srv/x"), (b"/x", b"/x")],
            [(route.pathInfo, route.pathTranslated) for route in self.elected(text, "/a/x")],
        )

    def test_found(self) -> None:
        """A member that DNS named has its own URL, and is blocked by its host's name."""
        for blocked, status in (("app.example", 403), ("192.0.2.1", 0)):
            router = Router(read(f"ProxyBlock {blocked}\n{self.TEXT}"))
            request = makeRequest("/a/x")
            route = router.route(request)
            member = MemberSettings("fcgi://192.0.2.1/srv", "192.0.2.1", origin="app.example")
            if status:
                self.assertRaises(RequestError, router.elected, request, route, member)
            else:
                elected = router.elected(request, route, member)
                self.assertEqual(b"proxy:fcgi://192.0.2.1/srv/x", elected.filename)

    def test_service(self) -> None:
        """Where nobody has asked DNS, as in what is explained, a service is like a member."""
        text = "ProxyPass /a/ srv+fcgi://_php._tcp.h/srv/"
        router, request = Router(read(text)), makeRequest("/a/x")
        route = router.route(request)
        (member,) = route.members
        self.assertEqual("_php._tcp.h", member.address)
        elected = router.elected(request, route, member)
        self.assertEqual(b"proxy:fcgi://_php._tcp.h/srv/x", elected.filename)

    def test_manyFound(self) -> None:
        """However many members DNS names one after the other, few are remembered."""
        router, request = Router(read(self.TEXT)), makeRequest("/a/x")
        route = router.route(request)
        for number in range(MAX_DESTINATIONS + 10):
            member = MemberSettings(f"fcgi://h:{number}", "h", number, origin="h")
            elected = router.elected(request, route, member)
            self.assertEqual(b"proxy:fcgi://h:%d/x" % number, elected.filename)
        self.assertLessEqual(len(router._destinations), MAX_DESTINATIONS)

    def test_handler(self) -> None:
        """A handler's file is passed as it is named."""
        text = self.TEXT.replace("ProxyPass /a/ balancer://pool/", "") + (
            "<Location /v>\nSetHandler proxy:balancer://pool\n</Location>"
        )
        self.assertEqual(
            [b"proxy:fcgi://one:1/srv/v b", b"proxy:fcgi://two:2/v b"],
            [r.filename for r in self.elected(text.replace("/v>", '"/v b">'), "/v%20b")],
        )

    def test_raw(self) -> None:
        """What may not be passed raw is refused for each member."""
        text = self.TEXT.replace("pool/\n", "pool/ nocanon\n", 1)
        with self.assertRaises(RequestError) as caught:
            self.elected(text, "/a/x?q")
        self.assertEqual(403, caught.exception.status)

    def test_empty(self) -> None:
        """A balancer without members is no service."""
        route = routeOf("ProxyPass /a/ balancer://pool/", "/a/x")
        self.assertEqual((REFUSE, 503), (route.kind, route.status))


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


class FilesTests(SynchronousTestCase):
    """Tests for what DocumentRoot holds."""

    def setUp(self) -> None:
        self.root = makeTree(self)

    def route(self, request: Request | str, text: str = PHP) -> Route:
        """The route of a request where PHP scripts have a handler."""
        return routeOf(f"DocumentRoot {self.root}\n{text}", request)

    def below(self, name: str) -> bytes:
        """A file of the tree."""
        return os.fsencode(os.path.join(self.root, name))

    def test_static(self) -> None:
        """A file that nobody claims is served."""
        for name in ["plain.txt", "static/file.txt", "link.txt", ".well-known/security.txt"]:
            route = self.route(f"/{name}?q")
            self.assertEqual((STATIC, self.below(name)), (route.kind, route.filename))

    def test_notServed(self) -> None:
        """What is missing, concealed, behind a file or no file is not served."""
        for target, status in [
            ("/none", 404),
            ("/plain.txt/x", 404),
            ("/php/", 404),
            ("/.env", 404),
            ("/.git", 404),
            ("/.git/", 404),
            ("/.git/config", 404),
            ("/.htpasswd", 403),
            ("/loop", 403),
            ("/" + "n" * 300, 403),
            ("/" + "n/" * 2100, 403),
        ]:
            route = self.route(target)
            self.assertEqual((REFUSE, status), (route.kind, route.status), target)
            self.assertTrue(route.reason)

    def test_script(self) -> None:
        """A script is asked for by its file, as it is named, with PATH_INFO decoded."""
        for target, name, pathInfo in [
            ("/app.php", "app.php", None),
            ("/app.php/i%20j?q", "app.php", b"/i j"),
            ("/a%20b.php", "a b.php", None),
            ("/100%25.php/", "100%.php", b"/"),
            ("/none.php/x", "none.php", b"/x"),
        ]:
            route = self.route(target)
            filename = b"proxy:fcgi://h:9000" + self.below(name)
            self.assertEqual(
                (FASTCGI, filename, pathInfo), (route.kind, route.filename, route.pathInfo)
            )

    def test_neverGuessed(self) -> None:
        """A file that is no script is never run because of what follows it in the URL."""
        self.assertEqual(404, self.route("/photo.jpg/x.php").status)
        self.assertEqual(404, self.route("/app.php%3Fx").status)
        self.assertEqual(404, self.route("/none/app.php").status)

    def test_handlerForms(self) -> None:
        """A handler's URL goes before the file's path: with a path, a slash, a socket."""
        for handler, expected in [
            ("proxy:fcgi://h:8000", b"proxy:fcgi://h"),
            ("proxy:FCGI://H:9000/", b"proxy:fcgi://h:9000/"),
            ("proxy:fcgi://h/base", b"proxy:fcgi://h/base"),
            ("proxy:unix:/run/x|fcgi://pool/", b"proxy:fcgi://pool/"),
            ("proxy:unix:/run/x|fcgi:", b"proxy:fcgi://localhost"),
            ("proxy:unix:/run/x|fcgi://", b"proxy:fcgi://localhost"),
        ]:
            text = f'<Files app.php>\nSetHandler "{handler}"\n</Files>'
            route = self.route("/app.php", text)
            self.assertEqual(expected + self.below("app.php"), route.filename, handler)

    def test_handlerTakenBack(self) -> None:
        """SetHandler None in a more specific section serves the file itself."""
        text = PHP + "<Location /php>\nSetHandler None\n</Location>"
        self.assertEqual(STATIC, self.route("/php/app.php", text).kind)

    def test_unknownHandler(self) -> None:
        """A file of a handler that is not known here is never shown as it is."""
        text = "<Files app.php>\nSetHandler application/x-httpd-php\n</Files>"
        self.assertEqual(500, self.route("/app.php", text).status)

    def test_unsafeFileName(self) -> None:
        """A handler is not asked for a file whose name PHP-FPM would misread."""
        with open(os.path.join(self.root, "a?b.php"), "w"):
            pass
        self.assertEqual(403, self.route("/a%3Fb.php").status)

    def test_slashRedirect(self) -> None:
        """A directory without its slash is redirected to it, by the name that was asked."""
        for request, location in [
            (makeRequest("/php"), b"http://www.test/php/"),
            (makeRequest("/php?a=%20b"), b"http://www.test/php/?a=%20b"),
            (makeRequest("/php", host=b"A.test:81"), b"http://a.test:81/php/"),
            (makeRequest("/php", host=b"[::1]"), b"http://[::1]/php/"),
            (makeRequest("/php", host=b"a.test:443", secure=True), b"https://a.test/php/"),
            (makeRequest("/php", method=b"PUT"), b"http://www.test/php/"),
        ]:
            route = self.route(request)
            self.assertEqual((REDIRECT, 301, location), (route.kind, route.status, route.location))

    def test_index(self) -> None:
        """The first name of DirectoryIndex that is a file takes the directory's place."""
        text = PHP + "DirectoryIndex none.php index.html index.php"
        route = self.route("/php/?q=1", text)
        filename = b"proxy:fcgi://h:9000" + self.below("php/index.php")
        self.assertEqual(
            (FASTCGI, b"/php/index.php", b"q=1", filename),
            (route.kind, route.uri, route.query, route.filename),
        )
        route = self.route("/php/v1.0/", text)
        self.assertEqual((STATIC, b"/php/v1.0/index.html"), (route.kind, route.uri))
        self.assertEqual(404, self.route("/static/", text).status)

    def test_indexElsewhere(self) -> None:
        """A name of DirectoryIndex may be a path, with a query, proxied, or a directory."""
        route = self.route("/static/", PHP + "DirectoryIndex /app.php/info?x=1")
        self.assertEqual(
            (FASTCGI, b"/app.php/info", b"x=1", b"/info"),
            (route.kind, route.uri, route.query, route.pathInfo),
        )
        route = self.route("/static/", "DirectoryIndex /p/x\nProxyPass /p/ fcgi://h/srv/")
        self.assertEqual(b"proxy:fcgi://h/srv/x", route.filename)
        route = self.route("/php/", "DirectoryIndex v1.0")
        self.assertEqual(b"http://www.test/php/v1.0/", route.location)

    def test_indexDisabled(self) -> None:
        """Without an index a directory is what its handler makes of it, else missing."""
        text = "DirectoryIndex disabled\n"
        self.assertEqual(404, self.route("/", text).status)
        text += "<Location /php/>\nSetHandler proxy:fcgi://h\n</Location>"
        self.assertEqual(b"proxy:fcgi://h" + self.below("php/"), self.route("/php/", text).filename)

    def test_indexThatIsRefused(self) -> None:
        """An index that is forbidden is told, one that is concealed counts as missing."""
        handler = "<Location /php/>\nSetHandler proxy:fcgi://h\n</Location>\n"
        self.assertEqual(403, self.route("/php/", handler + "DirectoryIndex /loop none").status)
        self.assertEqual(FASTCGI, self.route("/php/", handler + "DirectoryIndex /.git/").kind)

    def test_concealedFromFilesOnly(self) -> None:
        """A handler for a location gets what is below it, whatever the names are."""
        text = "<Location />\nSetHandler proxy:fcgi://h\n</Location>\n"
        for target in ["/.git/", "/.git/config", "/.env"]:
            self.assertEqual(FASTCGI, self.route(target, text).kind)

    def test_concealedByOtherNames(self) -> None:
        """A file that is concealed is it also where a rule or an Alias leads to it."""
        rule = "RewriteEngine On\nRewriteRule ^/x-(.*)$ /$1"
        for text in (rule, f"AliasMatch ^/x-(.*)$ {self.root}/$1"):
            for name, status in ((".htpasswd", 403), (".env", 404), ("plain.txt", 0)):
                self.assertEqual(status, self.route(f"/x-{name}", text).status)

    def test_oneSpelling(self) -> None:
        """However a rule or an Alias spells a directory, its section holds for what is in it."""
        denied = f"<Directory {self.root}/static>\nRequire all denied\n</Directory>\n"
        rule = "RewriteEngine On\nRewriteRule ^/x-(.*)$ /$1"
        for text in (rule, f"AliasMatch ^/x-(.*)$ {self.root}/$1"):
            for path in ("static/file.txt", "./static/file.txt", "/static/file.txt"):
                self.assertEqual(403, self.route(f"/x-{path}", denied + text).status, path)

    def test_rulesAreBounded(self) -> None:
        """However many sets of sections apply, only so many are remembered."""
        self.patch(siteModule, "MAX_RULES", 3)
        sections = "".join(f"<Location /{i}>\nSetEnv A {i}\n</Location>\n" for i in range(9))
        router = Router(read(sections + "ProxyPass / fcgi://h/"))
        for i in range(9):
            route = router.route(makeRequest(f"/{i}"))
            self.assertEqual(b"%d" % i, route.environment[b"A"])
            self.assertLessEqual(len(router._sites[id(route.host)]._rules), 3)

    def test_linesAreBounded(self) -> None:
        """However many lines the sets of sections have, only so many are remembered."""
        self.patch(siteModule, "MAX_LINES", 50)
        self.patch(rewritesModule, "MAX_LINES", 50)
        sections = "".join(
            f"<FilesMatch {name}>\nSetEnv {name} 1\n</FilesMatch>\n" for name in "abc"
        )
        rules = "RewriteRule ^none -\n" * 20
        router = Router(
            read(
                f"DocumentRoot {self.root}\n<Directory {self.root}>\nRewriteEngine On\n{rules}"
                f"</Directory>\n{sections}<Directory {self.root}/php>\nRewriteEngine On\n"
                f"{rules}</Directory>"
            )
        )
        site = router._sites[id(router._main)]
        for name in ("/abc", "/ab", "/bc", "/ac", "/php/a", "/php/b", "/php/c", "/a", "/b"):
            for _ in range(2):
                route = router.route(makeRequest(name))
                self.assertEqual(
                    sorted(name[name.rindex("/") + 1 :].encode()),
                    sorted(b"".join(route.environment)),
                )
            lines = [rules.lines for rules in site._rules.values()]
            self.assertLessEqual(sum(lines), 50)
            self.assertIn(site._lines, (sum(lines), sum(lines) + site.rules.lines))
            prepared = site.rewrites._prepared.values()
            self.assertLessEqual(sum(len(rewriting.rules) for rewriting, _ in prepared), 50)

    def test_variablesOfAnIndex(self) -> None:
        """Where directory and index set the same variable, the directory's value stays."""
        text = (
            f"{PHP}DirectoryIndex index.php\n<Directory {self.root}/php>\nSetEnv A directory\n"
            "</Directory>\n<Files index.php>\nSetEnv A index\nSetEnv B index\n"
            "SetEnvIf Request_URI . C=index\n</Files>"
        )
        environment = self.route("/php/", text).environment
        self.assertEqual((b"directory", b"index"), (environment[b"A"], environment[b"B"]))
        # Conditions are the request's own, not a look-up's.
        self.assertNotIn(b"C", environment)

    def test_fallback(self) -> None:
        """FallbackResource takes what is missing and has no handler, with the query."""
        text = PHP + "FallbackResource /app.php\n"
        route = self.route("/nice/url?x=1", text)
        self.assertEqual(
            (FASTCGI, b"/app.php", b"x=1", b"proxy:fcgi://h:9000" + self.below("app.php")),
            (route.kind, route.uri, route.query, route.filename),
        )
        self.assertEqual(STATIC, self.route("/plain.txt", text).kind)
        self.assertEqual(self.below("none.php"), self.route("/none.php", text).filename[19:])
        self.assertEqual(404, self.route("/.env", text).status)

    def test_fallbackLeadsToItself(self) -> None:
        """A fallback that is missing itself is an error of the configuration, not endless."""
        self.assertEqual(500, self.route("/x", "FallbackResource /nowhere").status)

    def test_noDocumentRoot(self) -> None:
        """Without DocumentRoot there are no files, but handlers of locations work."""
        self.assertEqual(404, routeOf("", "/plain.txt").status)
        text = "<Location /v>\nSetHandler proxy:fcgi://h/srv\n</Location>"
        self.assertEqual(b"proxy:fcgi://h/srv/v/x", routeOf(text, "/v/x").filename)

    @given(PATHS)
    def test_neverOutside(self, path: bytes) -> None:
        """Whatever a path looks like, the file that is served is below DocumentRoot."""
        route = self.route(makeRequest(path))
        if route.kind == STATIC:
            real = os.path.realpath(route.filename)
            self.assertTrue(real.startswith(os.fsencode(os.path.realpath(self.root)) + b"/"))


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


class AuthorityTests(SynchronousTestCase):
    """Tests for the host that a request names."""

    def refusal(self, request: Request) -> int:
        """The status of a refusal, 0 for none."""
        return routeOf("ProxyPass / fcgi://h/", request).status

    def test_hostIsNeeded(self) -> None:
        """From HTTP/1.1 on a request names a host, and HTTP/1.1 in a Host field."""
        for target, host, protocol, status in [
            ("/", None, b"HTTP/1.1", 400),
            ("/", b"", b"HTTP/1.1", 400),
            ("/", None, b"HTTP/2.0", 400),
            ("/", None, b"HTTP/1.0", 0),
            ("/", b"", b"HTTP/1.0", 0),
            ("/", b"bad host", b"HTTP/1.0", 400),
            ("http://a/", None, b"HTTP/1.1", 400),
            ("http://a/", None, b"HTTP/1.0", 0),
            ("http://a/", None, b"HTTP/1.2", 0),
            ("http://a/", b"bad host", b"HTTP/1.1", 0),
            ("http://u@a/", b"a", b"HTTP/1.1", 400),
            ("http:///x", b"a", b"HTTP/1.1", 400),
        ]:
            request = makeRequest(target, host=host, protocol=protocol)
            self.assertEqual(status, self.refusal(request), (target, host, protocol))

    def test_twoHosts(self) -> None:
        """Two Host fields are a bad request."""
        self.assertEqual(400, self.refusal(makeRequest("/", (b"Host", b"b.test"))))

    def test_nameAndPort(self) -> None:
        """The name and the port that an application is told come from the client or ServerName."""
        for text, target, host, canonical, expected in [
            ("", "/", b"a.test", False, (b"a.test", 80)),
            ("", "/", b"A.test.:81", False, (b"a.test", 81)),
            ("", "/", b"[::1]:81", False, (b"[::1]", 81)),
            ("", "http://b.test:82/", b"a.test:81", False, (b"b.test", 82)),
            ("", "http://b.test:/", b"a.test:81", False, (b"b.test", 80)),
            ("", "https://b.test:82/", b"a.test:81", False, (b"a.test", 81)),
            ("ServerName c.test:83\n", "/", b"a.test", False, (b"a.test", 83)),
            ("ServerName c.test:83\n", "/", b"a.test:81", True, (b"c.test", 83)),
            ("ServerName https://c.test\n", "/", b"a.test", False, (b"a.test", 443)),
        ]:
            request = makeRequest(target, host=host)
            authority = routeOf(text + "ProxyPass / fcgi://h/", request).authority
            assert authority is not None
            self.assertEqual(
                expected, (authority.name(canonical), authority.portNumber(canonical)), target
            )

    def test_hostField(self) -> None:
        """An absolute target's host takes the place of the Host field, where there is one."""
        for target, host, protocol, expected in [
            ("/", b"A.test:81", b"HTTP/1.1", b"A.test:81"),
            ("http://B.test:82/", b"a.test", b"HTTP/1.1", b"b.test:82"),
            ("http://[::1]/", b"a.test", b"HTTP/1.1", b"[::1]"),
            ("http://b.test/", None, b"HTTP/1.0", None),
        ]:
            request = makeRequest(target, host=host, protocol=protocol)
            authority = routeOf("ProxyPass / fcgi://h/", request).authority
            assert authority is not None
            self.assertEqual(expected, authority.field)

    def test_virtualHost(self) -> None:
        """The virtual host of the name that counts decides about everything."""
        text = "".join(
            f"<VirtualHost *:8080>\nServerName {name}.test\nProxyPass /{name}/ fcgi://h/\n"
            "</VirtualHost>\n"
            for name in ("one", "two")
        )
        router = Router(read(text))
        for target, kind in [
            ("/two/x", FASTCGI),
            ("http://two.test/two/x", FASTCGI),
            ("http://one.test/two/x", REFUSE),
        ]:
            route = router.route(makeRequest(target, host=b"two.test"))
            self.assertEqual(kind, route.kind, target)
        main = router.route(makeRequest("/two/x", server=Address(b"127.0.0.1", 81)))
        self.assertEqual("www.test", main.host.name)

    def test_namesAreBounded(self) -> None:
        """However many names clients make up, only so many are remembered."""
        router = Router(read("ProxyPass / fcgi://h/"))
        for number in range(routerModule.MAX_AUTHORITIES + 10):
            router.route(makeRequest("/", host=b"h%d.test" % number))
        router.route(makeRequest("/", host=b"h" * (routerModule.MAX_AUTHORITY + 1)))
        self.assertLessEqual(len(router._authorities), routerModule.MAX_AUTHORITIES)
        longest = max(len(key[0]) for key in router._authorities)  # type: ignore[arg-type]
        self.assertLessEqual(longest, routerModule.MAX_AUTHORITY)

    @given(st.binary(max_size=20), PATHS)
    def test_neverFails(self, host: bytes, path: bytes) -> None:
        """Any bytes as target and host end in a route; refusals have a status and a reason."""
        route = routeOf("ProxyPass /a fcgi://h", makeRequest(path, host=host))
        if route.kind == REFUSE:
            self.assertTrue(400 <= route.status < 600)
            self.assertTrue(route.reason)


class MemoryTests(SynchronousTestCase):
    """What was decided once is not decided again."""

    def test_shared(self) -> None:
        """Requests with the same target to the same name share a route."""
        router = Router(read("ProxyPass / fcgi://h/"))
        first = router.route(makeRequest("/a?b"))
        self.assertIs(first, router.route(makeRequest("/a?b", method=b"POST")))
        for other in (
            makeRequest("/a?c"),
            makeRequest("/a?b", host=b"other.test"),
            makeRequest("/a?b", server=Address(b"127.0.0.1", 81)),
            makeRequest("/a?b", secure=True),
        ):
            self.assertIsNot(first, router.route(other))

    def test_conditions(self) -> None:
        """Where SetEnvIf looks at requests each is decided by itself."""
        line = "SetEnvIf X-A (.+) A=$1\n"
        for text in (line, f"<Location /a>\n{line}</Location>\n"):
            router = Router(read(text + "ProxyPass / fcgi://h/"))
            told = [
                router.route(makeRequest("/a", (b"X-A", value))).environment
                for value in (b"1", b"2")
            ]
            self.assertEqual([{b"A": b"1"}, {b"A": b"2"}], told, text)

    def test_files(self) -> None:
        """Files are looked at each time."""
        root = makeTree(self)
        router = Router(read(f"DocumentRoot {root}"))
        self.assertEqual(STATIC, router.route(makeRequest("/plain.txt")).kind)
        os.remove(os.path.join(root, "plain.txt"))
        self.assertEqual(REFUSE, router.route(makeRequest("/plain.txt")).kind)

    def test_index(self) -> None:
        """An index that an application serves is decided each time, with its directory's rules."""
        root = makeTree(self)
        router = Router(
            read(
                f"DocumentRoot {root}\nDirectoryIndex index.php\n"
                'ProxyPassMatch "^/(.*\\.php)$" fcgi://h/$1\n'
                f"<Directory {root}/php>\nSetEnvIf X-User (.+) WHO=$1\n</Directory>\n"
            )
        )
        first = router.route(makeRequest("/php/", (b"X-User", b"alice")))
        second = router.route(makeRequest("/php/"))
        self.assertEqual((FASTCGI, b"alice"), (first.kind, first.environment.get(b"WHO")))
        self.assertEqual((FASTCGI, None), (second.kind, second.environment.get(b"WHO")))

    def test_fallback(self) -> None:
        """A fallback that an application serves is left as soon as the file is there."""
        root = makeTree(self)
        router = Router(
            read(
                f"DocumentRoot {root}\nFallbackResource /app.php\n"
                'ProxyPassMatch "^/(.*\\.php)$" fcgi://h/$1\n'
            )
        )
        self.assertEqual(FASTCGI, router.route(makeRequest("/new.html")).kind)
        with open(os.path.join(root, "new.html"), "w"):
            self.assertEqual(STATIC, router.route(makeRequest("/new.html")).kind)

    def test_bounded(self) -> None:
        """However many targets clients make up, only so many are remembered, and no long ones."""
        router = Router(read("ProxyPass / fcgi://h/"))
        for number in range(routerModule.MAX_ROUTES + 10):
            router.route(makeRequest(f"/{number}"))
        self.assertLessEqual(len(router._routes), routerModule.MAX_ROUTES)
        router._routes.clear()
        router.route(makeRequest("/" + "a" * routerModule.MAX_ROUTE))
        self.assertEqual({}, router._routes)

    TEXT = (
        "ProxyPass /b balancer://pool/\n<Proxy balancer://pool>\n"
        "BalancerMember fcgi://one:1/srv\nBalancerMember fcgi://two:2\n</Proxy>\n"
        "<LocationMatch ^/a/(?<what>[a-z]+)>\nSetEnv OWN 1\n</LocationMatch>\n"
        "ProxyPass /a/no !\nProxyPass /a fcgi://h/a\nProxyPass /n fcgi://h nocanon\n"
        "TraceEnable On\nDocumentRoot /\n"
    )

    @given(
        st.sampled_from(
            ["/a/b", "/a/b?c", "/a/%62", "/a/no", "/b/x", "/n/%41", "/", "/a/%zz", "*", "?", "//a",
             "http://www.test/a/b"]
        ),
        st.lists(
            st.fixed_dictionaries(
                {
                    "method": st.sampled_from([b"GET", b"POST", b"TRACE", b"OPTIONS", b"CONNECT"]),
                    "host": st.sampled_from([b"www.test", b"one.test:81", b"", b"a b", None]),
                    "protocol": st.sampled_from([b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0"]),
                    "secure": st.booleans(),
                    "hops": st.sampled_from([None, None, b"0", b"1"]),
                }
            ),
            max_size=12,
        ),
    )  # fmt: skip
    def test_makesNoDifference(self, target: str, asked: list[dict[str, Any]]) -> None:
        """Whatever was asked before, a route is that of a router that knows nothing yet."""
        settings = read(self.TEXT)
        router = Router(settings)
        for how in asked:
            hops = how.pop("hops")
            fields = [] if hops is None else [(b"Max-Forwards", hops)]
            request = makeRequest(target, *fields, **how)
            route, fresh = router.route(request), Router(settings).route(request)
            self.assertEqual(
                fresh.authority and fresh.authority.field,
                route.authority and route.authority.field,
            )
            # Two routers have two objects for who was asked.
            fresh.authority = route.authority
            self.assertEqual(fresh, route)
            if route.balancer is not None:
                for member in route.members:
                    self.assertEqual(
                        router.elected(request, fresh, member),
                        router.elected(request, route, member),
                    )
