"""Tests for :mod:`twisted_fcgi.routing.site`: what paths lead to."""

from __future__ import annotations

import os

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, makeTree, read, routeOf
from tests.test_uri import PATHS
from twisted_fcgi.message import Request, Route, RouteKind
from twisted_fcgi.routing import Router, rewriting
from twisted_fcgi.routing import site as siteModule

FASTCGI = RouteKind.FASTCGI
STATIC = RouteKind.STATIC
REDIRECT = RouteKind.REDIRECT
REFUSE = RouteKind.REFUSE

PHP = '<FilesMatch "\\.php$">\nSetHandler "proxy:fcgi://h:9000"\n</FilesMatch>\n'


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
        self.patch(rewriting, "MAX_LINES", 50)
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
