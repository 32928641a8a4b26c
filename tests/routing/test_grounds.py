"""Tests for :mod:`twisted_fcgi.routing.grounds`, and for routers that go by it."""

from __future__ import annotations

import gc
import os
from itertools import product
from stat import S_IFDIR, S_IFREG
from typing import Any
from unittest import TestCase
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from tests.routing.making import makeFiles, makePath, makeRequest, read
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Address, Request, RouteKind
from twisted_fcgi.routing import Router, environment
from twisted_fcgi.routing.environment import MAX_FOUND, MAX_VALUES, Names, prepared
from twisted_fcgi.routing.grounds import MAX_FILES, MAX_NAMES, Grounds
from twisted_fcgi.routing.sections import AccessSection
from twisted_fcgi.settings import AllowOverride, DirectorySettings, Section, SectionKind
from twisted_fcgi.web.accessfiles import CHECK_INTERVAL, AccessFileCache

__all__ = ["BasisTests", "GroundsTests", "MemoryTests"]

NONE: frozenset[str] = frozenset()


def holds(grounds: Grounds, request: Request | None = None) -> bool:
    """Whether what was found is found again."""
    basis = grounds.basis()
    assert basis is not None
    return basis.holds(request or makeRequest("/"))


class BasisTests(TestCase):
    """What is looked at again."""

    def test_nothing(self) -> None:
        """What rests on nothing holds for each request."""
        self.assertFalse(Grounds().basis())

    def test_files(self) -> None:
        """A file has to be what it was: none, a file or a directory."""
        root = makeFiles(self, {"a": ""}).encode()
        grounds = Grounds()
        self.assertEqual(S_IFREG, grounds.modeOf(root + b"/a"))
        self.assertLess(grounds.modeOf(root + b"/b"), 0)
        self.assertTrue(holds(grounds))
        os.mkdir(root + b"/b")
        self.assertFalse(holds(grounds))
        os.rmdir(root + b"/b")
        self.assertTrue(holds(grounds))
        os.remove(root + b"/a")
        self.assertFalse(holds(grounds))

    def test_deciding(self) -> None:
        """Of files that say the same, one is looked at."""
        root = makeFiles(self, {"a/b": ""}).encode()
        grounds = Grounds()
        for name in (b"/", b"/a", b"/a/", b"/a/b", b"/a/b/c", b"/no", b"/no/where"):
            grounds.modeOf(root + name)
        basis = grounds.basis()
        assert basis is not None
        self.assertEqual({root + b"/a/b", root + b"/no"}, {path for path, _ in basis._files})

    def test_noName(self) -> None:
        """That no file is without a name says nothing of those that have one."""
        root = makeFiles(self, {}).encode()
        grounds = Grounds()
        for path in (b"", root + b"/a"):
            self.assertLess(grounds.modeOf(path), 0)
        self.assertTrue(holds(grounds))
        os.mkdir(root + b"/a")
        self.assertFalse(holds(grounds))

    @given(
        st.lists(
            st.sampled_from(
                ["", "a", "a/", "a//", "a/b", "a/b/", "a//b", "a/b/c", "ab", "a/c", "d", "d/"]
            ),
            unique=True,
        ),
        st.lists(
            st.tuples(
                st.sampled_from(["a", "a/b", "a/b/c", "a/c", "ab", "d"]),
                st.sampled_from(["file", "directory", "nothing"]),
            )
        ),
    )
    def test_decidingIsEnough(self, names: list[str], changes: list[tuple[str, str]]) -> None:
        """What is looked at says as much as all of it."""
        root = makeFiles(self, {"a/b/c": ""})
        grounds = Grounds()
        paths = [os.path.join(root, name).encode() for name in names]
        before = [grounds.modeOf(path) for path in paths]
        for name, kind in changes:
            makePath(os.path.join(root, name), kind)
            now = Grounds()
            self.assertEqual(before == [now.modeOf(path) for path in paths], holds(grounds))

    def test_attributes(self) -> None:
        """An attribute of the request has to be the same."""
        grounds = Grounds()
        grounds.read(makeRequest("/", method=b"PUT"), "method")
        self.assertTrue(holds(grounds, makeRequest("/", method=b"PUT")))
        self.assertFalse(holds(grounds, makeRequest("/")))

    def test_conditions(self) -> None:
        """Lines of SetEnvIf have to find the same, in whatever is there."""
        settings = read(
            "BrowserMatch ^a A\nSetEnvIf X-A (.) B=$1\nSetEnvIf Request_Method P C\n"
            "SetEnvIf ^X-N a D\nSetEnvIfNoCase ^Authorization$ (.+) E=$1\n"
        )
        conditions = prepared(settings.main.conditions, Names())
        assert conditions is not None
        grounds = Grounds()
        grounds.meet(conditions, makeRequest("/", (b"User-Agent", b"ax"), (b"X-A", b"bc")))
        for fields, method, expected in (
            ({b"User-Agent": b"ay", b"X-A": b"bd"}, b"GET", True),
            ({b"User-Agent": b"by", b"X-A": b"bd"}, b"GET", False),
            ({b"User-Agent": b"ay", b"X-A": b"bd", b"X-N1": b"b"}, b"GET", True),
            ({b"User-Agent": b"ay", b"X-A": b"bd", b"X-N2": b"a"}, b"GET", False),
            ({b"User-Agent": b"ay", b"X-A": b"bd", b"authorization": b"a"}, b"GET", False),
            ({b"X-A": b"bd"}, b"GET", False),
            ({b"User-Agent": b"ay", b"X-A": b"cd"}, b"GET", False),
            ({b"User-Agent": b"ay", b"X-A": b"bd"}, b"POST", False),
        ):
            request = makeRequest("/", *fields.items(), method=method)
            self.assertIs(expected, holds(grounds, request), fields)

    def test_absent(self) -> None:
        """A field that was not there must not be there, however it is spelled."""
        grounds = Grounds()
        grounds.readField(b"X-A", None)
        self.assertTrue(holds(grounds, makeRequest("/", (b"X-B", b""))))
        self.assertFalse(holds(grounds, makeRequest("/", (b"x-a", b""))))

    def test_accessFiles(self) -> None:
        """The ``.htaccess`` of a directory has to be the same object, and be readable."""
        found: list[Any] = [
            AccessSection(Section(SectionKind.DIRECTORY, b"", None, DirectorySettings())),
            None,
        ]

        def find(*where: object) -> AccessSection | None:
            if isinstance(found[0], RequestError):
                raise found[0]
            section: AccessSection | None = found[0]
            return section

        for _ in range(2):
            grounds = Grounds()
            grounds.findAccessFile(find, b"/a", AllowOverride(), NONE)
            self.assertTrue(holds(grounds))
            found.reverse()
            self.assertFalse(holds(grounds))
        grounds = Grounds()
        grounds.findAccessFile(find, b"/a", AllowOverride(), NONE)
        found[0] = RequestError("broken", 500)
        self.assertFalse(holds(grounds))
        with self.assertRaises(RequestError):
            grounds.findAccessFile(find, b"/b", AllowOverride(), NONE)
        self.assertIsNone(grounds.basis())


class GroundsTests(TestCase):
    """What a decision can't rest on."""

    def test_field(self) -> None:
        """The value of a field is not remembered."""
        grounds = Grounds()
        grounds.readField(b"Authorization", b"secret")
        self.assertIsNone(grounds.basis())

    def test_conditions(self) -> None:
        """Lines of SetEnvIf are not remembered that look at secrets, or at too much."""
        for line, name, value in (
            ("SetEnvIf Cookie a A", b"Cookie", b"a"),
            ("SetEnvIf Cookie (.*) A=$1", b"Cookie", b""),
            ("SetEnvIf X-A a A", b"X-A", b"a" * (MAX_VALUES + 1)),
            ("SetEnvIf ^Cook a A", b"Cookie", b""),
            ("SetEnvIfExpr true A", b"X-A", b"a"),
        ):
            conditions = prepared(read(line).main.conditions, Names())
            assert conditions is not None
            grounds = Grounds()
            grounds.meet(conditions, makeRequest("/", (name, value)))
            self.assertIsNone(grounds.basis(), line)

    def test_manyValues(self) -> None:
        """However many values clients make up, only what is found in some is remembered."""
        conditions = prepared(read("BrowserMatch a A").main.conditions, Names())
        assert conditions is not None
        for number in range(MAX_FOUND + 10):
            conditions.found(makeRequest("/", (b"User-Agent", b"%d" % number)))
        self.assertLessEqual(len(environment._found), MAX_FOUND)

    def test_manyLines(self) -> None:
        """What many lines find together is not remembered, nor are lines that are gone."""
        for lines in (50 * "SetEnvIf X-A (a+) A=$1\n", 2000 * "SetEnvIf X-A b A\n"):
            conditions = prepared(read(lines).main.conditions, Names())
            assert conditions is not None
            self.assertIsNone(conditions.found(makeRequest("/", (b"X-A", 100 * b"a"))))
        conditions = prepared(read("SetEnvIf X-A b A").main.conditions, Names())
        assert conditions is not None
        self.assertIsNotNone(conditions.found(makeRequest("/")))
        known = ref(conditions)
        del conditions
        gc.collect()
        self.assertIsNone(known())

    def test_manyFiles(self) -> None:
        """Only so many files are remembered, and each is looked at all the same."""
        grounds = Grounds()
        for number in range(MAX_FILES):
            grounds.modeOf(b"/none/%d" % number)
        self.assertEqual(S_IFDIR, grounds.modeOf(b"/"))
        self.assertEqual(MAX_FILES, len(grounds.files))
        self.assertIsNone(grounds.basis())

    def test_longNames(self) -> None:
        """Names of files that are too long together are not remembered."""
        grounds = Grounds()
        grounds.modeOf(b"/" + b"a" * MAX_NAMES)
        self.assertIsNone(grounds.basis())

    def test_sameInARequest(self) -> None:
        """While a request is looked at, a file stays what it was when it was looked at first."""
        root = makeFiles(self, {"a": ""}).encode()
        grounds = Grounds()
        grounds.modeOf(root + b"/a")
        os.remove(root + b"/a")
        self.assertEqual(S_IFREG, grounds.modeOf(root + b"/a"))


#: What conditions look at, and how.
TEXTS = (
    *("%{REQUEST_FILENAME}", "%{REQUEST_URI}", "%{QUERY_STRING}", "%{HTTP_HOST}", "%{PATH_INFO}"),
    *("%{HTTP_COOKIE}", "%{HTTP:X-A}", "%{REQUEST_METHOD}", "%{THE_REQUEST}", "%{REMOTE_ADDR}"),
    *("%{SERVER_PROTOCOL}", "%{ENV:A}", "%{ENV:REDIRECT_STATUS}", "%{DOCUMENT_ROOT}/x/$0"),
    *("%{LA-U:REQUEST_FILENAME}", "%{LA-F:ENV:A}", "%{IS_SUBREQ}", "${up:%{HTTP:X-A}}", "%{TIME}"),
    *("%{HTTP:Host}", "%{SERVER_PORT}", "%{IPV6}", "%{CONTEXT_PREFIX}", "%{SCRIPT_FILENAME}"),
)
TESTS = (
    *(
        "-f",
        "!-f",
        "-d",
        "!-d",
        "-s",
        "-l",
        "-x",
        "-U",
        "!-F",
        "=",
        "=GET",
        "^x",
        "!^$",
        "/x/",
        ".",
    ),
    *("!-s", "x [OR]", "-f [OR]", "!-d [OR]", "!^2 [NV]", ">b", "-eq80"),
)

CONDITIONS = st.one_of(
    st.builds("RewriteCond {} {}".format, st.sampled_from(TEXTS), st.sampled_from(TESTS)),
    st.sampled_from(
        ["RewriteCond expr \"%{HTTP:X-A} == 'b'\"", "RewriteCond expr \"-f '%{REQUEST_FILENAME}'\""]
    ),
)

#: Lines that look at requests.
SET = st.lists(
    st.sampled_from(
        (
            *("SetEnvIf X-A b A=1", "SetEnvIf X-A (.*) A=x$1", "SetEnvIf A 1 B=1 !A"),
            *("SetEnvIf Request_Method POST P=1", "SetEnvIf Remote_Addr ^2001 C=1"),
            *("SetEnvIf B 1 X-A", "SetEnvIf ^X-[A-F] (b+) R=$1", "SetEnvIf P . nokeepalive"),
            *("SetEnvIf ^Z y Z", 'SetEnvIfNoCase ^Authorization$ "(.+)" HTTP_AUTHORIZATION=$1'),
            *("SetEnvIf Cookie ^$ !P D=1", 'SetEnvIf Authorization "(.*)" HTTP_AUTHORIZATION=$1'),
            *("SetEnvIf X-A b no-proxy", "SetEnvIf Request_URI x proxy-fcgi-pathinfo=full"),
            *("SetEnvIf Host (w+) H=$1", "SetEnvIf REDIRECT_A (.) RA=$1", "BrowserMatch b U"),
            *("SetEnvIf Request_Protocol 0 Q", "SetEnvIfExpr \"-n req('X-A')\" E=1"),
        )
    ),
    max_size=2,
).map("\n".join)

RULES = st.sampled_from(
    (
        *("^ - [E=A:%{HTTP:X-A}]", "^ - [E=A:%{REMOTE_ADDR}]", "^ - [E=A:%{REQUEST_METHOD}]"),
        *("^index\\.php$ - [L]", ". /index.php [L]", "^(.*)$ index.php?q=$1 [QSA,L]", "^x - [F]"),
        *("^/?x/(.*)$ /y/$1", "^/?y/(.*)$ /x.php/$1 [DPI]", "^ - [S=1]", "^ - [NS,L]", "^ - [END]"),
        *("^ - [E=proxy-fcgi-pathinfo:full]", "!^/?(x|index.php) /index.php?%{TIME_YEAR} [END]"),
        *("^/?y - [H=proxy:fcgi://h:9000]", "^ - [CO=a:b:c]", "^/?x/y$ /z [R]", "^ - [C]"),
        *("^/?(.*\\.php)$ fcgi://h:9000%{DOCUMENT_ROOT}/$1 [P]", "^/?z(.*) /$1 [PT]"),
        *("^/?y/(.*)$ %{DOCUMENT_ROOT}/x/$1", "^/?index /x/%{HTTP:X-A} [N=3]"),
    )
).map("RewriteRule {}".format)  # fmt: skip

LINES = st.lists(
    st.one_of(
        *(3 * [RULES]),
        *(2 * [st.builds("{}\n{}".format, CONDITIONS, RULES)]),
        st.builds("{}\n{}\n{}".format, CONDITIONS, CONDITIONS, RULES),
    ),
    max_size=4,
).map("\n".join)

TARGETS = ("/", "/x", "/x/", "/x/y", "/x/y/z", "/index.php", "/index.php/x?q", "/x.php/y", "/y/x?a")

#: What becomes of a file, and perhaps of the directory's ``.htaccess``.
CHANGES = st.tuples(
    st.sampled_from(["x", "x/y", "x/index.php", "index.php", "x.php", "y"]),
    st.sampled_from(["file", "directory", "nothing"]),
    st.none() | st.none() | st.none() | LINES | SET,
)

#: Who asks.
CLIENTS = st.fixed_dictionaries(
    {
        "method": st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"HEAD"]),
        "protocol": st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]),
        "fields": st.sampled_from(
            [
                *((), (), ((b"X-A", b"b"),), ((b"X-A", b"bb"),), ((b"Cookie", b"x=y"),)),
                *(((b"Authorization", b"x"),), ((b"User-Agent", b"b"), (b"X-A", b""))),
            ]
        ),
        "address": st.sampled_from([b"192.0.2.1", b"192.0.2.1", b"2001:db8::1"]),
    }
)


PLAIN = {"method": b"GET", "protocol": b"HTTP/1.1", "fields": (), "address": b"192.0.2.1"}


def asked(target: str, client: dict[str, Any]) -> Request:
    """The request of a client."""
    fields, method, protocol = client["fields"], client["method"], client["protocol"]
    request = makeRequest(target, *fields, method=method, protocol=protocol)
    request.client = Address(client["address"], 4321)
    return request


#: WordPress's rules, for a post, which becomes a directory.
WORDPRESS = (
    "RewriteRule .* - [E=HTTP_AUTHORIZATION:%{HTTP:Authorization}]\nRewriteBase /\n"
    "RewriteRule ^index\\.php$ - [L]\nRewriteCond %{REQUEST_FILENAME} !-f\n"
    "RewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]"
)


class MemoryTests(TestCase):
    """A router that remembers."""

    TEXT = (
        "DocumentRoot {root}\nDirectoryIndex index.php\nRewriteEngine On\n"
        'RewriteMap up int:toupper\n{server}\n<FilesMatch "\\.php$">\nSetHandler "proxy:fcgi://h:9000"\n</FilesMatch>\n'
        '<Proxy "fcgi://h:9000">\nProxySet enablereuse=on\n</Proxy>\nProxyPass /y/z fcgi://h:9000\n'
        "<Directory {root}>\nAllowOverride All\nRewriteEngine On\n{directory}\n</Directory>\n"
    )

    def test_wordPress(self) -> None:
        """WordPress's posts share a route, until there is a file or somebody who logged in."""
        root = makeFiles(self, {"index.php": "", ".htaccess": "RewriteEngine On\n" + WORDPRESS})
        text = self.TEXT.format(root=root, server="", directory="")
        clock = Clock()
        router = Router(read(text), AccessFileCache(clock.seconds))
        for target in ("/2024/05/post/?a=b", "/post", "/", "/index.php"):
            first = router.route(makeRequest(target))
            self.assertEqual(RouteKind.FASTCGI, first.kind, target)
            self.assertTrue(first.filename.endswith(b"/index.php"), first.filename)
            self.assertIs(first, router.route(makeRequest(target, (b"X-A", b"b"), method=b"POST")))
        post = router.route(makeRequest("/post"))
        told = router.route(makeRequest("/post", (b"Authorization", b"x"))).environment
        self.assertEqual(b"x", told[b"REDIRECT_HTTP_AUTHORIZATION"])
        self.assertIs(post, router.route(makeRequest("/post")))
        makePath(os.path.join(root, ".htaccess"), "nothing")
        clock.advance(CHECK_INTERVAL)
        self.assertEqual(404, router.route(makeRequest("/post")).status)
        router.route(makeRequest("/"))
        self.assertEqual([b"/"], list(router._decisions))

    def test_fallback(self) -> None:
        """What an expression says of a path counts, also where a fallback takes its place."""
        router = Router(
            read(
                "ProxyPass /app fcgi://h:9000\n<Location /x>\nFallbackResource /app/i\n"
                'SetHandler "%{HTTP_USER_AGENT}"\n</Location>\n'
            )
        )
        for agent, kind in ((b"none", RouteKind.FASTCGI), (b"other", RouteKind.REFUSE)):
            route = router.route(makeRequest("/x/y", (b"User-Agent", agent)))
            self.assertEqual(kind, route.kind)

    @given(
        st.builds("{}\n{}".format, SET, LINES),
        st.builds("{}\n{}".format, SET, LINES),
        st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2),
        st.lists(CLIENTS, min_size=1, max_size=2),
        st.lists(CHANGES, max_size=8),
    )
    def test_makesNoDifference(
        self,
        server: str,
        directory: str,
        targets: list[str],
        clients: list[dict[str, Any]],
        changes: list[tuple[str, str, str | None]],
    ) -> None:
        """Whatever rules look at and becomes of files, a route is that of who knows nothing."""
        root = makeFiles(self, {"index.php": "", "x.php": "", "x/y": ""})
        settings = read(self.TEXT.format(root=root, server=server, directory=directory))
        clock = Clock()
        router, forgetful = (Router(settings, AccessFileCache(clock.seconds)) for _ in range(2))
        for number, (name, kind, accessFile) in enumerate([("", "", None), *changes]):
            if name:
                makePath(os.path.join(root, name), kind)
            if accessFile is not None:
                with open(os.path.join(root, ".htaccess"), "w") as file:
                    # Of another size: within a tick of the clock, nothing else may tell.
                    file.write(f"RewriteEngine On\n{accessFile}\n" + "#" * 300 * number)
            clock.advance(CHECK_INTERVAL)
            for client, target in product([PLAIN, *clients], targets):
                ours, other = asked(target, client), asked(target, client)
                forgetful._decisions.clear()
                route, fresh = router.route(ours), forgetful.route(other)
                self.assertEqual(list(other.vary), list(ours.vary))
                self.assertIs(fresh.request is other, route.request is ours)
                fresh.request = route.request
                fresh.authority = route.authority
                self.assertEqual(fresh, route)
