"""Tests for Alias and Redirect; what is expected is what httpd 2.4 answered."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, makeTree, read
from twisted_fcgi.cgi.params import variables
from twisted_fcgi.message import RouteKind
from twisted_fcgi.routing import Router

__all__ = ["AliasTests", "RedirectInSectionsTests", "RedirectTests"]

PHP = '<FilesMatch "\\.php$">\nSetHandler "proxy:fcgi://h:9000"\n</FilesMatch>\n'

H = "http://h.example"


class Redirecting(SynchronousTestCase):
    """What a configuration redirects to."""

    config = ""

    def setUp(self) -> None:
        self.root = makeTree(self)
        self.router = Router(read(f"DocumentRoot {self.root}\n{self.config}"))

    def assertRedirected(
        self, target: str, status: int, location: str = "", **options: str
    ) -> None:
        """This is where a client is sent."""
        fields = [(name.encode(), value.encode()) for name, value in options.items()]
        route = self.router.route(makeRequest(target, *fields))
        found = route.status, route.location.decode("latin-1")
        if location.startswith("/"):
            location = "http://www.test" + location
        self.assertEqual(found, (status, location), target)

    def assertServed(self, target: str, kind: str = RouteKind.REFUSE) -> None:
        """This is not redirected."""
        route = self.router.route(makeRequest(target))
        self.assertEqual((route.kind, route.location), (kind, b""), target)


class RedirectTests(Redirecting):
    """Redirect and its like outside of sections."""

    config = f"""
        Redirect "/r1" "{H}/x"
        Redirect permanent "/r2/" "{H}/x/"
        Redirect gone "/r3"
        Redirect 404 "/r4"
        Redirect 307 "/r5" "/local"
        Redirect seeother "/r6" "https://h.example"
        RedirectMatch "^/r7/(.*)$" "{H}/$1"
        RedirectMatch 301 "^/r8/(.*)$" "/loc/$1?x=1"
        RedirectMatch 403 "^/r9"
        RedirectTemp "/ra" "{H}/a?q"
        RedirectPermanent "/rb" "{H}/b#frag"
        RedirectMatch "^/rc/(.*)$" "http://u:p@h.example:80/%20$1 x?a b#f g"
        RedirectMatch "^/re/(.*)$" "$1"
        Redirect 204 "/rf"
        RedirectMatch "^/rh/(.*)$" "https://h:443/$1?"
    """

    def test_prefix(self) -> None:
        """What follows the path is encoded and put behind the URL; the query is kept."""
        self.assertRedirected("/r1", 302, f"{H}/x")
        self.assertRedirected("/r1/a%20b%3Fc?q=1&x", 302, f"{H}/x/a%20b%3fc?q=1&x")
        self.assertRedirected("/r2/z", 301, f"{H}/x/z")
        self.assertRedirected("/r6/foo", 303, "https://h.example/foo")
        self.assertRedirected("/r1?", 302, f"{H}/x?")

    def test_wholeSegments(self) -> None:
        """A path matches whole segments only."""
        self.assertServed("/r1x")
        self.assertServed("/r2")

    def test_statusesWithoutUrl(self) -> None:
        """From 400 on there is a status and no address."""
        self.assertRedirected("/r3/x?y", 410)
        self.assertRedirected("/r4", 404)
        self.assertRedirected("/r9", 403)
        self.assertRedirected("/rf", 204)

    def test_ownQuery(self) -> None:
        """A query in the URL takes the place of the request's."""
        self.assertRedirected("/ra?z", 302, f"{H}/a?q")
        self.assertRedirected("/r8/a?y", 301, "/loc/a?x=1")
        self.assertRedirected("/rh/y?z", 302, "https://h/y?")

    def test_fragment(self) -> None:
        """A query comes behind all of the URL."""
        self.assertRedirected("/rb/x?z", 301, f"{H}/b#frag/x?z")

    def test_local(self) -> None:
        """A path gets scheme and host before it."""
        self.assertRedirected("/r5/z?k", 307, "/local/z?k")

    def test_expression(self) -> None:
        """Of what an expression makes, all before the query is encoded, passwords are hidden."""
        self.assertRedirected("/r7/caf%C3%A9", 302, f"{H}/caf%c3%a9")
        self.assertRedirected("/r7/a%3Fb%23c/d%25?q", 302, f"{H}/a?b#c/d%")
        location = "http://u:XXXXXXXX@h.example/%2520~q%20x?a b#f g"
        self.assertRedirected("/rc/%7Eq?y", 302, location)

    def test_noUrl(self) -> None:
        """What is neither a URL nor a path is an error."""
        self.assertRedirected("/re/foo", 500)
        self.assertRedirected("/re/http://x/", 302, "http:/x/")


class OrderTests(Redirecting):
    """The order of lines."""

    config = """
        Redirect "/a/b" "http://1/"
        RedirectMatch "^/a" "http://2/"
        Redirect "/a" "http://3/"
        Alias "/a" "/srv"
        ProxyPass "/a/p" "fcgi://h:9000/"
        Redirect "/main" "http://m/"
        Redirect "/both" "http://m/"
        <VirtualHost *>
            Redirect "/both" "http://v/"
        </VirtualHost>
    """

    def test_first(self) -> None:
        """The first line that matches decides, whatever its kind, and before any Alias."""
        self.assertRedirected("/a/b/c", 302, "http://1//c")
        self.assertRedirected("/ab", 302, "http://2/")

    def test_proxyPass(self) -> None:
        """A ProxyPass comes before all of them."""
        self.assertServed("/a/p/x", RouteKind.FASTCGI)

    def test_virtualHost(self) -> None:
        """A virtual host's own lines come before the main server's."""
        self.assertRedirected("/both", 302, "http://v/")
        self.assertRedirected("/main/x", 302, "http://m//x")


class RedirectInSectionsTests(Redirecting):
    """Redirect inside of sections."""

    def setUp(self) -> None:
        self.config = f"""
            <Location "/a">
                Redirect 301 "{H}/%{{REQUEST_URI}}/%{{QUERY_STRING}}"
            </Location>
            <Location "/b">
                Redirect "/b/c" "{H}/bc"
                RedirectMatch "d(.*)" "/dd$1"
                Redirect gone "/b/g"
            </Location>
            <Location "/b/c2">
                Redirect "/b" "{H}/inner"
            </Location>
            <Location "/g">
                Redirect gone
            </Location>
            <Location "/h">
                Redirect "%{{req:X-To}}"
            </Location>
            <Location "/php">
                Redirect "/php/moved" "{H}/m"
                RedirectRelative On
                RedirectMatch "/rel(.*)" "/rl$1"
            </Location>
            ProxyPass "/p/" "fcgi://h:9000/"
            <Location "/p/r">
                Redirect "{H}/p"
            </Location>
            <Location "/p/s">
                Redirect "/p/s/t" "{H}/p"
            </Location>
        """
        super().setUp()

    def test_whole(self) -> None:
        """Without a path all of the section is redirected, and the URL may hold variables."""
        self.assertRedirected("/a/x?y", 301, f"{H}//a/x/y?y")
        self.assertRedirected("/g/x", 410)

    def test_variableOfTheRequest(self) -> None:
        """What a variable makes is encoded; if it is no URL that is an error."""
        to = {"X-To": "http://z/a b?c d"}
        self.assertRedirected("/h", 302, "http://z/a%20b?c d", **to)
        self.assertRedirected("/h", 500, **{"X-To": "zz"})

    def test_paths(self) -> None:
        """With a path it is as outside; an inner section's lines come first."""
        self.assertRedirected("/b/c/d?e", 302, f"{H}/bc/d?e")
        self.assertRedirected("/b/xd/z", 302, "/dd/z")
        self.assertRedirected("/b/g/a", 410)
        self.assertRedirected("/b/c2/zz", 302, f"{H}/inner/c2/zz")

    def test_relative(self) -> None:
        """With RedirectRelative a path is sent as it is."""
        route = self.router.route(makeRequest("/php/rel/x"))
        self.assertEqual(route.location, b"/rl/x")
        self.assertRedirected("/php/moved/x", 302, f"{H}/m/x")

    def test_proxied(self) -> None:
        """It holds for what a ProxyPass claims as well."""
        self.assertRedirected("/p/r/x", 302, f"{H}/p")
        self.assertRedirected("/p/s/t/u", 302, f"{H}/p/u")
        self.assertServed("/p/s/x", RouteKind.FASTCGI)


class AliasTests(SynchronousTestCase):
    """Tests for Alias and AliasMatch."""

    def setUp(self) -> None:
        self.root = makeTree(self)

    def found(self, text: str, target: str) -> tuple[bytes, bytes | None]:
        """The script that serves a target, without what comes before the tree, and PATH_INFO."""
        text = text.replace("@", self.root)
        route = Router(read(f"DocumentRoot {self.root}\n{PHP}{text}")).route(makeRequest(target))
        if route.kind == RouteKind.REFUSE:
            return b"%d" % route.status, None
        return route.filename.partition(os.fsencode(self.root))[2], route.pathInfo

    def test_prefix(self) -> None:
        """The directory takes the place of the path; slashes at the ends are as written."""
        text = "Alias /al @/php\nAlias /al2/ @/php/\n"
        self.assertEqual(self.found(text, "/al/app.php/i?q"), (b"/php/app.php", b"/i"))
        self.assertEqual(self.found(text, "/al//app.php"), (b"/php/app.php", None))
        self.assertEqual(self.found(text, "/al2/app.php/x"), (b"/php/app.php", b"/x"))
        self.assertEqual(self.found(text, "/alapp.php"), (b"/alapp.php", None))
        self.assertEqual(self.found(text, "/al2app.php"), (b"/al2app.php", None))
        self.assertEqual(self.found(text, "/al2"), (b"404", None))

    def test_missing(self) -> None:
        """What is missing is a script all the same, with what follows it as PATH_INFO."""
        found = self.found("Alias /al @/php\n", "/al/none.php/x/y")
        self.assertEqual(found, (b"/php/none.php", b"/x/y"))

    def test_expression(self) -> None:
        """AliasMatch makes a path of what its expression found."""
        found = self.found('AliasMatch "^/am/(.*)$" "@/php/$1"\n', "/am/app.php/z")
        self.assertEqual(found, (b"/php/app.php", b"/z"))

    def test_order(self) -> None:
        """The first line that matches decides; a ProxyPass comes before all."""
        text = "Alias /o/a @/php\nAlias /o @\n"
        self.assertEqual(self.found(text, "/o/a/app.php"), (b"/php/app.php", None))
        self.assertEqual(self.found(text, "/o/app.php"), (b"/app.php", None))
        text = f"Alias /al {self.root}\nProxyPass /al/x fcgi://h:9000{self.root}/proxied\n"
        self.assertEqual(self.found(text, "/al/x/y"), (b"/proxied/y", None))

    def test_location(self) -> None:
        """In a <Location> the whole of it is one file, or with AliasPreservePath a directory."""
        text = '<Location "/lo">\nAlias "@/php/app.php"\n</Location>\n'
        self.assertEqual(self.found(text, "/lo/x"), (b"/php/app.php", None))
        text = '<Location "/lo">\nAlias "@/php"\nAliasPreservePath On\n</Location>\n'
        self.assertEqual(self.found(text, "/lo/app.php/i"), (b"/php/app.php", b"/i"))
        text = '<LocationMatch "^/lm/(?<n>.*)">\nAlias "@/php/%{env:MATCH_N}"\n</LocationMatch>\n'
        self.assertEqual(self.found(text, "/lm/app.php"), (b"/php/app.php", None))

    def test_directory(self) -> None:
        """Sections of the alias's directory hold, and clients are sent to its slash."""
        router = Router(
            read(
                f"Alias /al {self.root}/php\n"
                f'<Directory {self.root}/php>\nSetHandler "proxy:fcgi://h:1"\n</Directory>'
            )
        )
        self.assertEqual(router.route(makeRequest("/al")).location, b"http://www.test/al/")
        self.assertEqual(router.route(makeRequest("/al/x")).kind, RouteKind.FASTCGI)

    def test_context(self) -> None:
        """The application is told of the path and the directory, but not of an expression's."""
        text = f'Alias /al {self.root}/php\nAliasMatch "^/am/(.*)" "{self.root}/php/$1"\n{PHP}'
        text += "FallbackResource /app.php\n"
        router = Router(read(f"DocumentRoot {self.root}\n{text}"))
        for target, prefix, directory in (
            ("/al/app.php", b"/al", f"{self.root}/php"),
            ("/al/none", b"/al", f"{self.root}/php"),
            ("/am/app.php", b"", self.root),
            ("/app.php", b"", self.root),
        ):
            request = makeRequest(target)
            route = router.route(request)
            told = dict(variables(request, route, route.members[0]))
            self.assertEqual(told[b"CONTEXT_PREFIX"], prefix)
            self.assertEqual(told[b"CONTEXT_DOCUMENT_ROOT"], directory.encode())
            self.assertEqual(told[b"DOCUMENT_ROOT"], self.root.encode())
