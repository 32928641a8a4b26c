"""Tests for :mod:`twisted_fcgi.routing.explain`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, makeTree, read
from tests.test_uri import PATHS
from twisted_fcgi.message import Address, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.explain import Explanation, HostReason, explain

#: Its lines begin at 3; ROOT is a tree.
TEXT = """\
DocumentRoot ROOT
DirectoryIndex index.php
SetEnvIf X-Kind (.*) KIND=$1
ProxyPass /app/static !
ProxyPass /app fcgi://h:9000/app
<Location /app>
    SetEnv PLACE location
</Location>
<Directory ROOT/php>
    FallbackResource /php/index.php
</Directory>
<FilesMatch "\\.(?<kind>php)$">
    SetHandler "proxy:fcgi://127.0.0.1:9000"
    SetEnv PLACE files
</FilesMatch>
<Location /private>
    Require all denied
</Location>
<If "req('X-Kind') == 'a'">
    ErrorDocument 404 "if"
</If>
RewriteEngine On
RewriteRule ^/old/(.*) /app/$1 [PT,E=OLD:$1]
Redirect /moved /app/
Alias /other ROOT/static
"""


class ExplainTests(SynchronousTestCase):
    """What is said of a request, and by which line."""

    def setUp(self) -> None:
        self.root = makeTree(self)
        self.router = Router(read(TEXT.replace("ROOT", self.root)))

    def explained(self, target: str, *fields: tuple[bytes, bytes]) -> Explanation:
        return explain(self.router, makeRequest(target, *fields))

    def linesOf(self, target: str, *fields: tuple[bytes, bytes]) -> list[str]:
        return [section.place for section in self.explained(target, *fields).sections]

    def test_mapping(self) -> None:
        """The ProxyPass that claims a path is told, also one that takes it out."""
        found = [self.explained(path).mapping for path in ("/app/x", "/app/static/x", "/x")]
        places = [None if line is None else (line.place, line.target) for line in found]
        self.assertEqual([("<text>:7", b"fcgi://h:9000/app"), ("<text>:6", None), None], places)

    def test_sections(self) -> None:
        """Sections are told in the order of their merging, for what an index leads to as well."""
        self.assertEqual(["<text>:8"], self.linesOf("/app/x"))
        self.assertEqual(["<text>:11", "<text>:14"], self.linesOf("/php/app.php"))
        self.assertEqual(["<text>:11", "<text>:14"], self.linesOf("/php/"))

    def test_handler(self) -> None:
        """So is the line of the handler, and the file that was found."""
        found = self.explained("/php/app.php")
        self.assertEqual("<text>:15", found.handled)
        self.assertEqual((f"{self.root}/php/app.php".encode(), "file"), found.file)

    def test_steps(self) -> None:
        """Each line that led to another path is told with what it made."""
        for target, steps in (
            ("/php/", [("<text>:4", "/php/ -> /php/index.php")]),
            ("/php/lost", [("<text>:12", "/php/lost -> /php/index.php")]),
            ("/php", [("", "/php -> /php/")]),
            ("/old/x", [("<text>:25", "/old/x -> /app/x")]),
            ("/moved", [("<text>:26", "/moved -> http://www.test/app/")]),
            ("/other/file.txt", [("<text>:27", f"/other/file.txt -> {self.root}/static/file.txt")]),
        ):
            found = self.explained(target)
            self.assertEqual(steps, [(step.place, step.done) for step in found.steps])

    def test_rewritten(self) -> None:
        """What a section's rule leads elsewhere is told as it was asked for, with its PATH_INFO."""
        text = f"""\
DocumentRoot {self.root}
<Directory {self.root}/php>
    RewriteEngine On
    RewriteRule ^app\\.php/out http://www.test/ [R=302]
    RewriteRule ^app\\.php/ index.php
</Directory>
"""
        router = Router(read(text))
        for target, done, sent in (
            ("/php/app.php/in?x=1", "/php/app.php/in -> /php/index.php?x=1", ""),
            ("/php/app.php/out", "/php/app.php/out -> http://www.test/", "<text>:6"),
        ):
            found = explain(router, makeRequest(target))
            self.assertEqual((done, sent), (found.steps[0].done, found.sent))

    def test_decided(self) -> None:
        """The lines of a Redirect, of an Alias, and of an AddHandler without a member are told."""
        self.assertEqual("<text>:26", self.explained("/moved").sent)
        self.assertEqual("<text>:27", self.explained("/other/file.txt").aliased)
        self.assertEqual("<text>:27", self.explained("/other/none").aliased)
        self.assertEqual("", self.explained("/plain.txt").aliased)
        text = f"DocumentRoot {self.root}\nAddHandler php-script .php .phtml\n"
        for more, place in (("", 4), ("SetHandler x\n", 5), ("SetHandler %{REQUEST_URI}\n", 5)):
            found = explain(Router(read(text + more)), makeRequest("/app.php"))
            self.assertEqual(f"<text>:{place}", found.handled)

    def test_variables(self) -> None:
        """Variables have the line that set what they are in the end."""
        found = self.explained("/php/app.php", (b"X-Kind", b"a"))
        self.assertEqual(
            {b"KIND": "<text>:5", b"PLACE": "<text>:16", b"MATCH_KIND": "<text>:14"},
            {name: found.places[name] for name in (b"KIND", b"PLACE", b"MATCH_KIND")},
        )
        self.assertEqual("<text>:25", self.explained("/old/x").places[b"OLD"])

    def test_refused(self) -> None:
        """The line that refuses is told."""
        found = self.explained("/private/x")
        self.assertEqual((403, "<text>:19"), (found.route.status, found.refused))

    def test_requirements(self) -> None:
        """Of several requirements, those are told because of which it is refused."""
        text = """\
SetEnvIf X-Bad . BAD
<Location />
    <RequireAll>
        Require all granted
        <RequireAny>
            Require ip 198.51.100.0/24
            Require method POST
        </RequireAny>
        Require not ip 192.0.2.9
        <RequireNone>
            Require env BAD
        </RequireNone>
    </RequireAll>
</Location>
"""
        router = Router(read(text))
        for method, fields, lines in (
            (b"GET", [], [8, 9]),
            (b"POST", [], []),
            (b"POST", [(b"X-Bad", b"1")], [13]),
        ):
            found = explain(router, makeRequest("/x", *fields, method=method))
            self.assertEqual(
                [f"<text>:{line}" for line in lines], [step.place for step in found.steps]
            )
            self.assertEqual(f"<text>:{lines[0]}" if lines else "", found.refused)

    def test_branches(self) -> None:
        """An <If> is told whether it holds or not; its ErrorDocument is the one that counts."""
        for kind, holds in ((b"a", True), (b"b", False)):
            found = self.explained("/lost", (b"X-Kind", kind))
            self.assertEqual(
                [("<text>:21", holds)], [(branch.place, said) for branch, said in found.branches]
            )
            place = None if found.document is None else found.document.place
            self.assertEqual("<text>:22" if holds else None, place)

    def test_refusedBefore(self) -> None:
        """A request that is for nobody is explained as well."""
        found = explain(self.router, makeRequest("/", host=None))
        self.assertEqual((400, None), (found.route.status, found.host))

    def test_memory(self) -> None:
        """What was decided before is no reason to say less."""
        request = makeRequest("/app/x")
        self.router.route(request)
        self.assertEqual(["<text>:8"], [s.place for s in explain(self.router, request).sections])

    @given(
        st.sampled_from(("/app", "/php", "/php/", "/old/", "/other/", "/private", "/moved", "")),
        PATHS,
        st.sampled_from((b"GET", b"POST", b"OPTIONS", b"TRACE")),
    )
    def test_same(self, start: str, path: bytes, method: bytes) -> None:
        """The route is that which a request is given, whatever is asked for."""
        request = makeRequest(start.encode() + path, method=method)
        found = explain(self.router, request)
        self.assertEqual(self.router.route(request), found.route)


class HostTests(SynchronousTestCase):
    """How the virtual host was chosen."""

    TEXT = """\
<VirtualHost *:80>
    ServerName first.test
</VirtualHost>
<VirtualHost *:80>
    ServerName second.test
    ServerAlias *.second.test
</VirtualHost>
<VirtualHost *:81>
    ServerName third.test
</VirtualHost>
"""

    def reason(self, text: str, host: bytes, port: int) -> tuple[str, str, str]:
        request = makeRequest("/", host=host, server=Address(b"127.0.0.1", port))
        found = explain(Router(read(text)), request)
        assert found.host is not None
        return found.reason, found.name, found.host.place

    def test_reasons(self) -> None:
        """By its name, as the first where none fits, as the only one, or as the main server."""
        for host, port, expected in (
            (b"second.test", 80, (HostReason.NAME, "second.test", "<text>:6")),
            (b"a.second.test", 80, (HostReason.NAME, "*.second.test", "<text>:6")),
            (b"other.test", 80, (HostReason.DEFAULT, "", "<text>:3")),
            (b"other.test", 81, (HostReason.ADDRESS, "", "<text>:10")),
            (b"other.test", 82, (HostReason.MAIN, "", "")),
        ):
            self.assertEqual(expected, self.reason(self.TEXT, host, port))

    def test_kinds(self) -> None:
        """What is explained is served all the same."""
        request = makeRequest("/", server=Address(b"127.0.0.1", 80))
        self.assertEqual(RouteKind.REFUSE, explain(Router(read(self.TEXT)), request).route.kind)
