"""
mod_rewrite: configurations with what httpd 2.4 was seen to make of requests, one file each.

A file in ``rewriting`` holds what stands in a ``<VirtualHost>``, a rule, and requests: each
with its header fields, then behind ``=`` the status and perhaps a Location, the file that was
sent, or the variables that the application got, but for those that follow from the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import TestCase, mock

from tests.routing.making import makeFiles, makeRequest, read, routeOf
from twisted_fcgi.cgi.params import variables
from twisted_fcgi.errors import ConfigurationErrors
from twisted_fcgi.headers import Headers
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.routing import Router, lookups

__all__ = ["ApplicationTests", "BoundTests", "HttpdTests", "InheritanceTests"]

CASES = Path(__file__).parent / "rewriting"
RULE = "----------\n"

#: The files below DocumentRoot.
FILES = (
    *("index.php", "index.html", "plain.txt", "app.php", "a b.php", "style.css"),
    *("blog/index.php", "blog/wp-login.php", "blog/wp-content/style.css"),
    *("public/index.php", "public/css/app.css", "public/storage/file.txt"),
    *("drupal/index.php", "drupal/core/x.txt", "wiki/index.php", "wiki/w/load.php"),
    *("cloud/index.php", "cloud/remote.php", "cloud/ocs/v1.php", "cloud/core/js/a.js"),
    *("dir/page.html", "dir/sub/index.php", "maint/maintenance.html"),
)

#: The file of the RewriteMap.
MAP = "# names\none /index.php?n=1\ntwo  second rest\nlist a|b\n"

#: Variables that follow from the request or the server.
_USUAL = re.compile(
    "(?:SERVER_.*|PATH|REMOTE_.*|GATEWAY_INTERFACE|REQUEST_(?:SCHEME|URI|METHOD)|HTTP_(?:HOST|X_.*"
    "|USER_AGENT|ACCEPT|COOKIE)|CONTEXT_.*|DOCUMENT_ROOT|proxy-nokeepalive|(?:REDIRECT_)?SCRIPT_URI)"
)

APPLICATION = "127.0.0.1:9000"


def requests(text: str) -> Iterator[tuple[Request, list[str]]]:
    """The requests of a file, each with the lines that say what becomes of it."""
    for block in re.split("^GET ", text, flags=re.MULTILINE)[1:]:
        target, *lines = block.removesuffix("\n").split("\n")
        fields = [line.strip().partition(": ") for line in lines if line.startswith("    ")]
        pairs = [(name.encode(), value.encode()) for name, _, value in fields]
        expected = [line.strip() for line in lines if not line.startswith("    ")]
        yield makeRequest(target, *pairs, host=b"site.test"), expected


def outcome(router: Router, request: Request, root: str) -> list[str]:
    """What becomes of a request, as the files have it."""
    route = router.route(request)
    asked = route.request or request
    lines = [f"= {route.status or 200} {route.location.decode('latin-1')}".rstrip()]
    if route.kind in (RouteKind.FASTCGI, RouteKind.STATIC) and asked.vary:
        lines.append("vary: " + b",".join(asked.vary).decode())
    for name, value in route.early.always if route.early is not None else ():
        shown = re.sub("expires=[^;]*", "expires=@", value.decode())
        lines.append(f"{name.decode().lower()}: {shown}")
    if route.kind == RouteKind.STATIC:
        lines.append("file " + str(Path(route.filename.decode()).relative_to(root)))
    elif route.kind == RouteKind.FASTCGI:
        member = route.members[0]
        one = route if route.balancer is None else router.elected(asked, route, member)
        told = sorted(variables(asked, one, member))
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in told]
        lines += [f"{name}={value}" for name, value in pairs if not _USUAL.fullmatch(name)]
    # A file's path that is looked up as a URL leads below DocumentRoot, to nothing.
    first = re.compile(f"@ROOT@/{re.escape(Path(root).parts[1])}\\b")
    for place, sign in ((root, "@ROOT@"), (APPLICATION, "@APP@"), ("site.test", "@HOST@")):
        lines = [line.replace(place, sign).strip() for line in lines]
    return [first.sub("@ROOT@/@FIRST@", line) for line in lines]


class HttpdTests(TestCase):
    """Each file is a test."""

    root: ClassVar[str]

    def setUp(self) -> None:
        self.root = makeFiles(self, {**{name: name for name in FILES}, "map.txt": MAP})

    def hold(self, path: Path) -> None:
        """Compare what becomes of the requests of a file."""
        configuration, _, asked = path.read_text("latin-1").partition(RULE)
        text = configuration.replace("@ROOT@", self.root).replace("@APP@", APPLICATION)
        router = Router(read(text))
        # Also when it is asked again.
        for request, expected in (*requests(asked), *requests(asked)):
            with self.subTest(request.target):
                self.assertEqual(
                    "\n".join(expected), "\n".join(outcome(router, request, self.root))
                )


def _test(path: Path) -> Any:
    def test(self: HttpdTests) -> None:
        self.hold(path)

    test.__doc__ = f"{path.stem}: requests are answered as httpd does it."
    return test


for _path in sorted(CASES.glob("*.txt")):
    setattr(HttpdTests, "test_" + _path.stem.replace("-", "_"), _test(_path))


def rewritten(rules: str, target: str = "/x", *fields: tuple[bytes, bytes]) -> Route:
    """What becomes of a request under rules of the server."""
    return routeOf("RewriteEngine On\n" + rules, makeRequest(target, *fields))


class BoundTests(TestCase):
    """What rules may cost."""

    def test_rounds(self) -> None:
        """A rule with N begins anew no more often than its limit says."""
        route = rewritten("RewriteRule ^/x(.*)$ /x [N=7]")
        self.assertEqual((500, "more than 7 rounds"), (route.status, route.reason))

    def test_roundsByDefault(self) -> None:
        """Without a limit there is one."""
        route = rewritten("RewriteRule ^ - [N]")
        self.assertEqual((500, "more than 32000 rounds"), (route.status, route.reason))

    def test_path(self) -> None:
        """A path can't grow without end."""
        route = rewritten("RewriteRule ^(.*)$ $1$1 [N]")
        self.assertEqual(500, route.status)
        self.assertIn("too long a path", route.reason)

    def test_braces(self) -> None:
        """A text is read in one pass, however many braces it has: else it would be hours."""
        for text in ("${" * 50000, "%{" * 50000, "${" * 30000 + "}" * 30000):
            self.assertIn("too long a path", rewritten(f"RewriteRule ^ /{text}").reason)

    def test_variable(self) -> None:
        """Nor can a variable that is made of itself."""
        route = rewritten("RewriteRule ^ - [N,E=A:x%{ENV:A}%{ENV:A}]")
        self.assertEqual(500, route.status)
        self.assertIn("too long a text", route.reason)

    def test_time(self) -> None:
        """All rules of a request together may take only so long; a few are never too many."""
        for line in ("RewriteRule ^ -\n", "RewriteCond a b [OR]\n"):
            for lines, status in ((30, 404), (31, 500)):
                with mock.patch.object(lookups, "MAX_SECONDS", -1):
                    route = rewritten(line * lines + "RewriteRule ^ -")
                self.assertEqual(status, route.status, route.reason)

    def test_timeOfAll(self) -> None:
        """It is that of a request's internal redirects, too, which begin no account anew."""
        root = makeFiles(self, {"a.txt": ""})
        text = (
            f"DocumentRoot {root}\n<Directory {root}>\nRewriteEngine On\n"
            "RewriteRule ^(x{0,3})a$ $1xa\nRewriteRule ^ -\n%s</Directory>"
        )
        for rules, status in ((6, 404), (7, 500)):
            with mock.patch.object(lookups, "MAX_SECONDS", -1):
                route = routeOf(text % ("RewriteRule ^ -\n" * (rules - 2)), makeRequest("/a"))
            self.assertEqual(status, route.status, route.reason)

    def test_redirects(self) -> None:
        """A rule of a directory that leads to itself ends."""
        root = makeFiles(self, {"a.txt": ""})
        route = routeOf(
            f"DocumentRoot {root}\n<Directory {root}>\nRewriteEngine On\n"
            "RewriteRule ^(.*)$ /x$1\n</Directory>",
            makeRequest("/a"),
        )
        self.assertEqual(500, route.status)
        self.assertIn("internal redirects", route.reason)

    def test_redirectsOfAnIndex(self) -> None:
        """So does one that leads to a directory, whose index it is applied to again."""
        root = makeFiles(self, {"index.php": ""})
        route = routeOf(
            f"DocumentRoot {root}\nDirectoryIndex index.php\n<Directory {root}>\n"
            "RewriteEngine On\nRewriteRule ^ %{DOCUMENT_ROOT}/\n</Directory>",
            makeRequest("/a"),
        )
        self.assertEqual(500, route.status)
        self.assertIn("internal redirects", route.reason)

    def test_lookAheads(self) -> None:
        """Look-aheads that make further look-aheads end."""
        conditions = "RewriteCond %{LA-U:REQUEST_URI} .\n" * 3
        route = rewritten(f"RewriteRule ^/(.*)$ /a$1\n{conditions}RewriteRule ^ - [L]")
        self.assertEqual(404, route.status)


class ApplicationTests(TestCase):
    """Which applications rules may ask."""

    def test_literal(self) -> None:
        """A server that the configuration spells out is asked."""
        route = rewritten("RewriteRule ^/(.*)$ fcgi://127.0.0.1:9000/srv/$1 [P]", "/a%20b.php")
        self.assertEqual(RouteKind.FASTCGI, route.kind)
        self.assertEqual(["127.0.0.1:9000"], [member.address for member in route.members])
        self.assertEqual(b"proxy:fcgi://127.0.0.1:9000/srv/a%20b.php", route.filename)

    def test_socket(self) -> None:
        """So is one at a UNIX socket."""
        route = rewritten("RewriteRule ^/(.*)$ unix:/run/App.sock|fcgi://localhost/srv/$1 [P]")
        self.assertEqual(["/run/App.sock"], [member.address for member in route.members])
        self.assertEqual(b"proxy:fcgi://localhost/srv/x", route.filename)

    def test_socketOfHandler(self) -> None:
        """H asks one with the socket's name as it is written."""
        root = makeFiles(self, {"x.php": ""})
        route = rewritten(
            f"DocumentRoot {root}\n"
            "RewriteRule \\.php$ - [H=proxy:unix:/run/App.sock|fcgi://localhost]",
            "/x.php",
        )
        self.assertEqual(["/run/App.sock"], [member.address for member in route.members])
        self.assertEqual(f"proxy:fcgi://localhost{root}/x.php".encode(), route.filename)

    def test_member(self) -> None:
        """Where a member was defined for the URL, it is that member, with its parameters."""
        route = rewritten(
            "<Proxy fcgi://127.0.0.1:9000/srv enablereuse=on max=3>\n</Proxy>\n"
            "RewriteRule ^/(.*)$ fcgi://127.0.0.1:9000/srv/$1 [P]"
        )
        self.assertEqual([3], [member.max for member in route.members])

    def test_longestMember(self) -> None:
        """Of several members the one with the longest URL that fits."""
        text = (
            "<Proxy fcgi://127.0.0.1:9000/a max=4>\n</Proxy>\n"
            "<Proxy fcgi://127.0.0.1:9000/ max=3>\n</Proxy>\n"
            "RewriteRule ^/(.*)$ fcgi://127.0.0.1:9000/$1 [P]"
        )
        self.assertEqual([4], [member.max for member in rewritten(text, "/a/x").members])
        self.assertEqual([3], [member.max for member in rewritten(text, "/b/x").members])

    def test_hostOfRequest(self) -> None:
        """A host that comes from the request is refused."""
        rule = "RewriteCond %{HTTP:X-To} (.+)\nRewriteRule ^/(.*)$ fcgi://%1/$1 [P]"
        for host in (b"127.0.0.1:9000", b"evil.test", b"a@evil.test", b"[::1]:9000", b""):
            with self.subTest(host):
                route = rewritten(rule, "/x", (b"X-To", host))
                self.assertNotEqual(RouteKind.FASTCGI, route.kind)
                self.assertEqual(403 if host else 404, route.status)

    def test_hostOfMember(self) -> None:
        """A host that comes from the request is asked when a member has it, and only that one."""
        rule = (
            "<Proxy fcgi://127.0.0.1:9000/ max=3>\n</Proxy>\n"
            "RewriteCond %{HTTP:X-To} (.+)\nRewriteRule ^/(.*)$ fcgi://%1/$1 [P]"
        )
        route = rewritten(rule, "/x", (b"X-To", b"127.0.0.1:9000"))
        self.assertEqual(["127.0.0.1:9000"], [member.address for member in route.members])
        for host in (b"127.0.0.1:9001", b"127.0.0.1", b"127.0.0.1:90000", b"127.0.0.1:9000.evil"):
            with self.subTest(host):
                self.assertEqual(403, rewritten(rule, "/x", (b"X-To", host)).status)

    def test_socketOfRequest(self) -> None:
        """A socket that comes from the request has to be a member's."""
        rule = (
            "<Proxy unix:/run/a.sock|fcgi://localhost/ max=3>\n</Proxy>\n"
            "RewriteCond %{HTTP:X-To} (.+)\nRewriteRule ^/(.*)$ unix:%1|fcgi://localhost/$1 [P]"
        )
        route = rewritten(rule, "/x", (b"X-To", b"/run/a.sock"))
        self.assertEqual(["/run/a.sock"], [member.address for member in route.members])
        self.assertEqual(403, rewritten(rule, "/x", (b"X-To", b"/run/b.sock")).status)

    def test_hostGoesOn(self) -> None:
        """What follows a host and port that are written can't change them (CVE-2021-40438)."""
        rule = "RewriteRule ^/(.*)$ fcgi://127.0.0.1:9000$1 [P]"
        for target in ("/0/x", "/@evil.test/", "/.evil.test/", "/x"):
            with self.subTest(target):
                self.assertEqual((RouteKind.REFUSE, 500), _answer(rewritten(rule, target)))

    def test_otherProtocol(self) -> None:
        """A server that speaks another protocol is none that can be asked."""
        rule = "RewriteRule ^/(.*)$ http://127.0.0.1:8080/$1 [P]"
        self.assertEqual((RouteKind.REFUSE, 500), _answer(rewritten(rule)))

    def test_field(self) -> None:
        """A decision of rules holds for those requests only that lack the field that they read."""
        router = Router(
            read(
                "RewriteEngine On\nRewriteCond %{HTTP:X-A} b\nRewriteRule ^ - [F]\n"
                "ProxyPass / fcgi://127.0.0.1:9000/"
            )
        )
        first = router.route(makeRequest("/x"))
        self.assertEqual(RouteKind.FASTCGI, first.kind)
        self.assertEqual(403, router.route(makeRequest("/x", (b"X-A", b"b"))).status)
        self.assertIs(first, router.route(makeRequest("/x")))

    def test_unsafeQuery(self) -> None:
        """An encoded ``?`` of the request begins no query (CVE-2024-38474)."""
        rule = "RewriteRule ^/(.*)$ fcgi://127.0.0.1:9000/$1.php [P]"
        self.assertEqual(403, rewritten(rule, "/x.txt%3F").status)

    def test_controlCharacters(self) -> None:
        """None gets from a path into a field of the response."""
        for rule, status in (
            ("RewriteRule ^/x(.*)$ http://o.test/$1 [NE,R]", 500),
            ("RewriteRule ^/x(.*)$ http://o.test/$1 [R]", 302),
            ("RewriteRule ^/x(.*)$ http://o.test/ [R,CO=a:$1:o.test]", 302),
        ):
            with self.subTest(rule):
                route = routeOf(f"RewriteEngine On\n{rule}", "/x%01%09%7f")
                self.assertEqual(status, route.status)
                self.assertIsNone(route.early)
                self.assertNotRegex(route.location or b"", rb"[\x00-\x1f\x7f]")

    def test_headersShared(self) -> None:
        """The request's header fields stay what they are."""
        request = makeRequest("/x", (b"X-A", b"b"))
        before = Headers(request.headers.pairs)
        routeOf("RewriteEngine On\nRewriteRule ^ - [E=HTTP_X_A:c]", request)
        self.assertEqual(before, request.headers)


def _answer(route: Route) -> tuple[str, int]:
    return route.kind, route.status


class InheritanceTests(TestCase):
    """Which rules a virtual host has."""

    def ask(self, main: str, host: str) -> int:
        """The status of a request to a virtual host."""
        text = f"{main}\n<VirtualHost *>\nServerName www.test\n{host}\n</VirtualHost>"
        return Router(read(text)).route(makeRequest("/x")).status

    def test_none(self) -> None:
        """Rules of the main server are not a virtual host's."""
        rule = "RewriteEngine On\nRewriteRule ^ - [G]"
        self.assertEqual(404, self.ask(rule, ""))
        self.assertEqual(404, self.ask(rule, "RewriteEngine On"))

    def test_inherit(self) -> None:
        """Inherit takes them over, behind its own; InheritBefore before them."""
        rule = "RewriteEngine On\nRewriteRule ^ - [G]"
        own = "RewriteRule ^ - [F]"
        self.assertEqual(410, self.ask(rule, "RewriteOptions Inherit"))
        self.assertEqual(403, self.ask(rule, f"RewriteOptions Inherit\n{own}"))
        self.assertEqual(410, self.ask(rule, f"RewriteOptions InheritBefore\n{own}"))

    def test_inheritDown(self) -> None:
        """InheritDown hands them on to hosts that say something of rewriting themselves."""
        rule = "RewriteEngine On\nRewriteOptions InheritDown\nRewriteRule ^ - [G]"
        self.assertEqual(404, self.ask(rule, ""))
        self.assertEqual(410, self.ask(rule, "RewriteEngine On"))
        self.assertEqual(404, self.ask(rule, "RewriteOptions IgnoreInherit"))
        self.assertEqual(404, self.ask(rule, "RewriteEngine Off"))

    def test_sections(self) -> None:
        """Options outside of sections have no part in what sections inherit from each other."""
        root = makeFiles(self, {"a/b/c": ""})
        text = (
            f"DocumentRoot {root}\nRewriteEngine On\nRewriteOptions %s\n"
            f"<Directory {root}/a>\n%s\nRewriteRule . - [G]\n</Directory>\n"
            f"<Directory {root}/a/b>\nRewriteRule ^nothing - [F]\n</Directory>"
        )
        for outside, inside, status in (
            ("InheritDown", "", 0),
            ("MergeBase", "RewriteOptions InheritDown", 410),
            ("MergeBase", "RewriteOptions InheritDownBefore", 410),
        ):
            with self.subTest(outside + inside):
                self.assertEqual(status, routeOf(text % (outside, inside), "/a/b/c").status)

    def test_ownUrl(self) -> None:
        """A URL of the host itself is a path of it, with its ServerName's port alone."""
        rule = "RewriteEngine On\nRewriteRule ^/x$ http://%s/gone\nRewriteRule ^/gone$ - [G]"
        for name, status in (
            ("www.test:8080", 410),
            ("WWW.test:8080", 410),
            ("a.example.test:8080", 410),
            ("192.0.2.7", 410),
            ("192.0.2.7:8081", 302),
            ("www.test", 302),
            ("other.test:8080", 302),
        ):
            with self.subTest(name):
                text = (
                    "<VirtualHost 192.0.2.7:80 127.0.0.1>\nServerName www.test:8080\n"
                    f"ServerAlias *.example.test\n{rule % name}\n</VirtualHost>"
                )
                self.assertEqual(status, Router(read(text)).route(makeRequest("/x")).status)

    def test_mapRefused(self) -> None:
        """A map that another program would be asked for is refused with the reason."""
        with self.assertRaisesRegex(ConfigurationErrors, "prg: is not supported, because"):
            read("RewriteMap a prg:/bin/cat")
