"""Tests for the whole way from a request to its route."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeFiles, makePath, makeRequest, makeTree, read, routeOf
from tests.test_uri import PATHS
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Address, Request, Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing import router as routerModule
from twisted_fcgi.routing.decisions import MAX_ROUTE, MAX_ROUTES
from twisted_fcgi.routing.router import MAX_DESTINATIONS
from twisted_fcgi.settings import MemberSettings

FASTCGI = RouteKind.FASTCGI
STATIC = RouteKind.STATIC
REFUSE = RouteKind.REFUSE

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


class HostTests(SynchronousTestCase):
    """A target with a host of its own."""

    def test_expressions(self) -> None:
        """Expressions, rules and RequestHeader see the target's host in place of the field."""
        text = (
            'ProxyPass / fcgi://h/\nSetEnvIfExpr "%{HTTP_HOST} =~ /(.*)/" A=$1\nRewriteEngine On\n'
            "RewriteRule ^ - [E=B:%{HTTP_HOST}|%{HTTP:Host}]\n"
            'RequestHeader set X-C "expr=%{req:Host}"\n'
        )
        request = makeRequest("http://target.test:99/x", host=b"field.test")
        route = routeOf(text, request)
        assert route.request is not None
        host = b"target.test:99"
        self.assertEqual(
            (host, host + b"|" + host), tuple(map(route.environment.get, (b"A", b"B")))
        )
        self.assertEqual(host, route.request.headers.get(b"x-c"))


class RawTests(SynchronousTestCase):
    """nocanon where the target is a whole URL."""

    def test_encoded(self) -> None:
        """A line with mapping=encoded passes over nocanon then, like any other (httpd)."""
        for more in ("", " mapping=encoded"):
            text = f"ProxyPass /a/ fcgi://h/ nocanon{more}\n"
            self.assertEqual(403, routeOf(text, "/a/x?q").status)
            self.assertEqual(FASTCGI, routeOf(text, "http://www.test/a/x?q").kind)


class DirectoryMatchTests(SynchronousTestCase):
    """<DirectoryMatch> of files."""

    def test_index(self) -> None:
        """It is held against the directory for its index, and against a file for that file."""
        root = makeTree(self)
        text = (
            f'DocumentRoot "{root}"\n<DirectoryMatch "^{root}/(?<D>[^/]+)">\n'
            "Redirect 302 http://b.test/\n</DirectoryMatch>\n"
        )
        self.assertEqual(STATIC, routeOf(text, "/").kind)
        for target in ("/index.html", "/php/"):
            self.assertEqual(302, routeOf(text, target).status)


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
        """Requests in which SetEnvIf finds something else are decided by themselves."""
        line = "SetEnvIf X-A (.+) A=$1\n"
        for text in (line, f"<Location /a>\n{line}</Location>\n"):
            router = Router(read(text + "ProxyPass / fcgi://h/"))
            told = [
                router.route(makeRequest("/a", (b"X-A", value))).environment
                for value in (b"1", b"2")
            ]
            self.assertEqual([{b"A": b"1"}, {b"A": b"2"}], told, text)

    def test_files(self) -> None:
        """What is a file and what is none is looked at each time."""
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

    def test_sharedFile(self) -> None:
        """So do requests for a file of an application's, by its name or as an index."""
        router = Router(read(f"DocumentRoot {makeTree(self)}\nDirectoryIndex index.php\n{PHP}"))
        for target in ("/app.php", "/app.php/a/b?c", "/php/", "/none.php"):
            first = router.route(makeRequest(target))
            self.assertEqual(FASTCGI, first.kind, target)
            self.assertIs(first, router.route(makeRequest(target, method=b"POST")), target)

    def test_notShared(self) -> None:
        """Where anything but files and their names has a part in it, each is decided by itself."""
        root = makeTree(self)
        for lines in (
            "Require method GET",
            "SetEnvIfExpr true A=1",
            "AllowMethods GET",
            '<If "true">\nSetEnv A 1\n</If>',
            "RewriteEngine On\nRewriteCond %{REMOTE_ADDR} !^192\nRewriteRule ^ - [F]",
            "RewriteEngine On\nRewriteCond %{TIME_YEAR} ^1\nRewriteRule ^ - [F]",
            "RewriteEngine On\nRewriteCond %{HTTP_HOST} -F\nRewriteRule ^ - [F]",
            "RewriteEngine On\nRewriteRule ^ - [CO=a:b:c]",
            "RequestHeader set X-A b",
            "Options -FollowSymLinks",
            "Script PUT /app.php",
            "Action some/type /app.php",
            '<Files "*.php">\nSetHandler "proxy:fcgi://h:%{SERVER_PORT}"\n</Files>',
        ):
            router = Router(
                read(
                    "ProxyPass /elsewhere fcgi://h:80\n"
                    f"DocumentRoot {root}\n{PHP}<Directory {root}>\n{lines}\n</Directory>\n"
                ),
            )
            first, second = (router.route(makeRequest("/app.php")) for _ in range(2))
            self.assertEqual(FASTCGI, first.kind, lines)
            self.assertIsNot(first, second, lines)

    def test_locationsAlias(self) -> None:
        """Where the Alias of a Location asks the request for a file, each has its own."""
        root = makeTree(self)
        text = f'<Location /x>\nAlias "{root}/%{{req:X-A}}.php"\n</Location>\n{PHP}'
        router = Router(read(text))
        routes = [router.route(makeRequest("/x", (b"X-A", a))) for a in (b"app", b"php/app")]
        self.assertEqual([FASTCGI] * 2, [route.kind for route in routes])
        self.assertNotEqual(routes[0].filename, routes[1].filename)

    def test_refusedIndex(self) -> None:
        """An index that could not be looked at is served as soon as it can."""
        root = makeTree(self)
        router = Router(read(f"DocumentRoot {root}\nDirectoryIndex loop app.php\n{PHP}"))
        self.assertEqual(FASTCGI, router.route(makeRequest("/")).kind)
        os.remove(os.path.join(root, "loop"))
        with open(os.path.join(root, "loop"), "w"):
            self.assertEqual(STATIC, router.route(makeRequest("/")).kind)

    def test_directory(self) -> None:
        """A directory that is asked for without an index is decided by each method for itself."""
        router = Router(
            read(
                f"DocumentRoot {makeTree(self)}\nSetHandler proxy:fcgi://h\n"
                "SetEnv redirect-carefully\nDirectoryIndex none\n"
            )
        )
        kinds = [router.route(makeRequest("/php", method=m)).kind for m in (b"POST", b"GET")]
        self.assertEqual([FASTCGI, RouteKind.REDIRECT], kinds)

    def test_directoryOfRules(self) -> None:
        """So is one that rules lead away from, unless its slash comes before."""
        router = Router(
            read(
                f"DocumentRoot {makeTree(self)}\n{PHP}SetEnv redirect-carefully\n"
                "<Directory />\nRewriteEngine On\nRewriteRule /php$ /app.php\n</Directory>\n"
            )
        )
        kinds = [router.route(makeRequest("/php", method=m)).kind for m in (b"POST", b"GET")]
        self.assertEqual([FASTCGI, RouteKind.REDIRECT], kinds)

    FILES_TEXT = (
        "DirectoryIndex index.html index.php /b.php\nAlias /alias {root}/a\n"
        "<Directory {root}/a>\nSetEnv IN a\nFallbackResource /b.php\n</Directory>\n"
        '<Files "*.php">\nSetHandler "proxy:fcgi://h:9000"\n</Files>\n'
        'ProxyPassMatch "^/(c/.*\\.php)$" fcgi://h/$1\nDocumentRoot {root}\n'
    )

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "a/index.html", "a/index.php", "a/x", "b.php", "c"]),
                st.sampled_from(["file", "directory", "nothing"]),
                st.sampled_from(["/", "/a/", "/a", "/a/x", "/a/x/y.php", "/b.php/x", "/alias/",
                                 "/a/index.php/p?q", "/c/", "/alias/x"]),
                st.sampled_from([b"GET", b"POST"]),
            ),
            max_size=20,
        )
    )  # fmt: skip
    def test_filesMakeADifference(self, steps: list[tuple[str, str, str, bytes]]) -> None:
        """Whatever becomes of files, a route is that of a router that knows nothing yet."""
        root = makeFiles(self, {"a/index.php": "", "b.php": "", "c/index.php": ""})
        settings = read(self.FILES_TEXT.format(root=root))
        router = Router(settings)
        for name, kind, target, method in steps:
            makePath(os.path.join(root, name), kind)
            request = makeRequest(target, method=method)
            for _ in range(2):
                route, fresh = router.route(request), Router(settings).route(request)
                fresh.authority = route.authority
                self.assertEqual(fresh, route)

    def test_bounded(self) -> None:
        """However many targets clients make up, only so many are remembered, and no long ones."""
        router = Router(read("ProxyPass / fcgi://h/"))
        for number in range(MAX_ROUTES + 10):
            router.route(makeRequest(f"/{number}"))
        self.assertLessEqual(len(router._decisions), MAX_ROUTES)
        router._decisions.clear()
        router.route(makeRequest("/" + "a" * MAX_ROUTE))
        self.assertEqual([], list(router._decisions))

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
