"""Tests for :mod:`twisted_fcgi.web.accessfiles`, with real files."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from unittest import mock

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import makeRequest, read
from twisted_fcgi.errors import RequestError
from twisted_fcgi.message import Route, RouteKind
from twisted_fcgi.routing import Router
from twisted_fcgi.routing.sections import AccessSection
from twisted_fcgi.settings import AllowOverride, Override
from twisted_fcgi.web import accessfiles
from twisted_fcgi.web.accessfiles import CHECK_INTERVAL, AccessFileCache

__all__ = ["AccessFileCacheTests", "BoundsTests", "NamesTests", "RoutingTests"]

ALL = AllowOverride(Override.ANY)
NONE: frozenset[str] = frozenset()


class Files(SynchronousTestCase):
    """A tree of directories, and a cache of what is in it."""

    names = ""

    def setUp(self) -> None:
        self.root = Path(tempfile.mkdtemp())
        self.addCleanup(rmtree, self.root)
        self.clock = Clock()
        self.cache = AccessFileCache(self.clock.seconds)
        self.host = read(f'{self.names}<Directory "/">\nAllowOverride All\n</Directory>\n').main
        self.events: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict[str, object]) -> None:
        """Keep what is worth a line in the log."""
        level = event["log_level"]
        if level in (LogLevel.warn, LogLevel.error):
            self.events.append(str(event.get("reason") or event.get("notice")))

    def write(self, text: str, name: str = ".htaccess") -> Path:
        """Make or change a file."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
        return path

    def find(self, directory: str = "") -> AccessSection | None:
        """The file of a directory."""
        path = os.fsencode(self.root / directory)
        return self.cache.find(self.host, path, ALL, NONE)

    def value(self, directory: str = "") -> bytes | None:
        """What the file of a directory sets a variable to."""
        found = self.find(directory)
        changes = found.section.settings.environment if found is not None else None
        return changes[-1].value if changes else None

    def refused(self, directory: str = "") -> tuple[int, str]:
        """The status and the reason of a directory whose file is broken."""
        error = self.assertRaises(RequestError, self.find, directory)
        return error.status, error.reason.replace(str(self.root), "@")

    def later(self) -> None:
        """Let so much time pass that directories are looked at again."""
        self.clock.advance(CHECK_INTERVAL)

    def settle(self) -> None:
        """Let so much time pass that what was read is taken for settled."""
        for _ in range(2):
            self.later()
            self.find()


class AccessFileCacheTests(Files):
    """Tests for :class:`AccessFileCache`."""

    def test_changed(self) -> None:
        """A change, a new file and a removed one are noticed within the interval."""
        self.assertIsNone(self.find())
        path = self.write("SetEnv A 1\n")
        self.assertIsNone(self.find())
        self.later()
        self.assertEqual(b"1", self.value())
        path.write_text("SetEnv A 2\n")
        self.assertEqual(b"1", self.value())
        self.later()
        self.assertEqual(b"2", self.value())
        path.unlink()
        self.assertEqual(b"2", self.value())
        self.later()
        self.assertIsNone(self.find())

    def test_clockGoesBack(self) -> None:
        """A clock that was set back does not keep what was found."""
        self.clock.advance(1000)
        self.assertIsNone(self.find())
        self.write("SetEnv A 1\n")
        self.clock.rightNow -= 500
        self.assertEqual(b"1", self.value())

    def test_untouched(self) -> None:
        """Between two looks the file system is not asked, then one stat is enough."""
        self.write("SetEnv A 1\n")
        self.find()
        with mock.patch("os.stat") as status, mock.patch("os.open") as opened:
            for _ in range(10):
                self.assertEqual(b"1", self.value())
        status.assert_not_called()
        opened.assert_not_called()
        self.settle()
        self.later()
        with mock.patch("os.stat", wraps=os.stat) as status, mock.patch("os.open") as opened:
            for _ in range(10):
                self.assertEqual(b"1", self.value())
        status.assert_called_once()
        opened.assert_not_called()

    def test_same(self) -> None:
        """As long as the file says the same, it is the same object, also when it was touched."""
        path = self.write("SetEnv A 1\n")
        first = self.find()
        generation = self.cache.generation
        self.settle()
        os.utime(path, (1, 1))
        self.settle()
        self.assertIs(first, self.find())
        self.assertEqual(generation, self.cache.generation)
        path.write_text("SetEnv A 1\n\n")
        self.later()
        self.assertIsNot(first, self.find())
        self.assertNotEqual(generation, self.cache.generation)

    def test_changedWithinATick(self) -> None:
        """A change that leaves size, dates and inode as they were, right after another one."""
        path = self.write("SetEnv A 1\n")
        with mock.patch("os.stat", return_value=os.stat(path)):
            self.assertEqual(b"1", self.value())
            path.write_text("SetEnv A 2\n")
            self.later()
            self.assertEqual(b"2", self.value())

    def test_broken(self) -> None:
        """A mistake is a 500 until it is mended; the log has all of them, once."""
        path = self.write("Bogus\nSetEnv\n")
        for _ in range(3):
            self.assertEqual((500, "@/.htaccess:1:1: Bogus is no directive"), self.refused())
            self.later()
        (event,) = self.events
        self.assertIn(f"{path}:1:1: Bogus is no directive", event)
        self.assertIn(f"{path}:2:7: SetEnv takes", event)
        path.write_text("SetEnv A 1\n")
        self.later()
        self.assertEqual(b"1", self.value())

    def test_manyMistakes(self) -> None:
        """Of many mistakes the log has some, and their number."""
        self.write("Bogus\n" * 100)
        self.refused()
        self.assertEqual(10, self.events[0].count("Bogus is no directive"))
        self.assertIn("there are 100 mistakes", self.events[0])

    def test_notices(self) -> None:
        """Notices are in the log, once."""
        path = self.write("SetEnv A ${NOBODY_HAS_THIS}\n")
        self.find()
        self.settle()
        self.assertEqual([f"{path}:1:10: ${{NOBODY_HAS_THIS}} is not defined"], self.events)

    def test_noFile(self) -> None:
        """What is there but no file, or can't be reached, is a 403; the log says so once."""
        (self.root / ".htaccess").mkdir()
        os.mkfifo(self.write("", "pipe/other").parent / ".htaccess")
        self.write("", "loop/other")
        os.symlink(".htaccess", self.root / "loop" / ".htaccess")
        for directory, reason in [
            ("", "@/.htaccess can't be read: it is no regular file"),
            ("pipe", "@/pipe/.htaccess can't be read: it is no regular file"),
            ("loop", "@/loop/.htaccess can't be read: Too many levels of symbolic links"),
        ]:
            self.events.clear()
            for _ in range(3):
                self.assertEqual((403, reason), self.refused(directory))
                self.later()
            self.assertEqual(1, len(self.events))
        os.rmdir(self.root / ".htaccess")
        self.assertIsNone(self.find())

    def test_becomesAPipe(self) -> None:
        """A pipe in the place of the file that was looked at is not waited for."""
        status = os.stat(self.write("SetEnv A 1\n"))
        (self.root / ".htaccess").unlink()
        os.mkfifo(self.root / ".htaccess")
        with mock.patch("os.stat", return_value=status):
            self.assertEqual(403, self.refused()[0])

    def test_belowAFile(self) -> None:
        """Below what is no directory there is no file."""
        self.write("", "file")
        self.assertIsNone(self.find("file"))

    def test_failure(self) -> None:
        """A fault of ours is a 500, and is in the log."""
        self.write("SetEnv A 1\n")
        broken = mock.Mock(side_effect=ZeroDivisionError)
        self.host = replace(self.host, readAccessFile=broken)
        self.assertEqual((500, "@/.htaccess: see above"), self.refused())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))


class NamesTests(Files):
    """AccessFileName."""

    names = "AccessFileName .first .second\n"

    def test_order(self) -> None:
        """The first name that is there counts, whichever comes and goes."""
        self.write("SetEnv A second\n", ".second")
        self.assertEqual(b"second", self.value())
        first = self.write("SetEnv A first\n", ".first")
        self.later()
        self.assertEqual(b"first", self.value())
        first.unlink()
        self.later()
        self.assertEqual(b"second", self.value())


class BoundsTests(Files):
    """What is remembered is bounded."""

    def test_size(self) -> None:
        """A file that is too big is a 500, and is not read again and again."""
        self.patch(accessfiles, "MAX_SIZE", 10)
        self.write("#" * 10)
        self.assertIsNotNone(self.find())
        self.write("#" * 11)
        self.later()
        self.assertEqual((500, "@/.htaccess: there are more than 10 bytes"), self.refused())
        for _ in range(3):
            self.later()
            self.refused()
        self.assertEqual(1, len(self.events))

    def test_directories(self) -> None:
        """Of too many directories, the one that was asked for longest ago is forgotten."""
        self.patch(accessfiles, "MAX_DIRECTORIES", 2)
        for name in ("a", "b", "c"):
            self.write("", f"{name}/.htaccess")
        first, second = self.find("a"), self.find("b")
        self.assertIs(first, self.find("a"))
        generation = self.cache.generation
        self.find("c")
        self.assertNotEqual(generation, self.cache.generation)
        self.assertIs(first, self.find("a"))
        self.assertIsNot(second, self.find("b"))

    def test_totalSize(self) -> None:
        """So it is when files are too big together; one that went counts no more."""
        self.patch(accessfiles, "MAX_TOTAL_SIZE", 100)
        for name in ("a", "b", "c"):
            self.write("#" * 40, f"{name}/.htaccess")
        first = self.find("a")
        self.find("b")
        self.find("c")
        self.assertIsNot(first, self.find("a"))
        os.unlink(self.root / "a" / ".htaccess")
        self.later()
        third = self.find("c")
        self.assertIsNone(self.find("a"))
        self.find("b")
        self.assertIs(third, self.find("c"))


class RoutingTests(Files):
    """What becomes of requests."""

    def setUp(self) -> None:
        super().setUp()
        for name in ("x.txt", "a/x.txt", "a/b/x.txt"):
            self.write("", name)

    def configured(self, text: str) -> None:
        """Read a configuration whose DocumentRoot is the tree."""
        text = text.replace("@", str(self.root))
        self.router = Router(read(f'DocumentRoot "{self.root}"\n{text}'), self.cache)

    def route(self, target: str) -> Route:
        """What is decided for a request."""
        return self.router.route(makeRequest(target))

    def variable(self, target: str) -> bytes | None:
        """What a variable W is for a request that is served."""
        route = self.route(target)
        self.assertEqual(RouteKind.STATIC, route.kind, route.reason)
        return route.environment.get(b"W")

    def test_mergeOrder(self) -> None:
        """A file comes after the sections of its directory, before those of the next one."""
        self.configured(
            '<Location "/a/b/">\nSetEnv L location\n</Location>\n'
            '<DirectoryMatch "/b$">\nSetEnv M match\n</DirectoryMatch>\n'
            '<Directory "@">\nAllowOverride All\nSetEnv W section\n</Directory>\n'
            '<Directory "@/a">\nSetEnv W inner\n</Directory>\n'
            '<Files "x.txt">\nSetEnv F main\n</Files>\n'
        )
        self.write("SetEnv W outer\nSetEnv L file\nSetEnv M file\nSetEnv F file\n")
        self.assertEqual(b"outer", self.variable("/x.txt"))
        self.assertEqual(b"inner", self.variable("/a/x.txt"))
        self.write('SetEnv W deep\n<Files "x.txt">\nSetEnv F deep\n</Files>\n', "a/b/.htaccess")
        environment = self.route("/a/b/x.txt").environment
        self.assertEqual(
            {b"W": b"deep", b"L": b"location", b"M": b"file", b"F": b"deep"},
            {name: environment[name] for name in (b"W", b"L", b"M", b"F")},
        )
        self.assertEqual(b"main", self.route("/a/x.txt").environment[b"F"])

    def test_allowedBelow(self) -> None:
        """An inner AllowOverride counts for its directory and what is below."""
        self.configured(
            '<Directory "@">\nAllowOverride None\n</Directory>\n'
            '<Directory "@/a">\nAllowOverride FileInfo\n</Directory>\n'
            '<Directory "@/a/b">\nAllowOverride None\nAllowOverrideList SetEnv\n</Directory>\n'
        )
        self.write("Bogus\n")
        self.write("SetEnv W a\n", "a/.htaccess")
        self.write("SetEnv W b\n", "a/b/.htaccess")
        self.assertEqual(
            [None, b"a", b"b"],
            [self.variable(target) for target in ("/x.txt", "/a/x.txt", "/a/b/x.txt")],
        )

    def test_broken(self) -> None:
        """A broken file refuses what is below its directory, and nothing else."""
        self.configured('<Directory "@">\nAllowOverride All\n</Directory>\n')
        path = self.write("Bogus\n", "a/.htaccess")
        self.assertIsNone(self.variable("/x.txt"))
        for target in ("/a/x.txt", "/a/b/x.txt", "/a/", "/a", "/a/none", "/a/x.txt/more"):
            route = self.route(target)
            self.assertEqual(
                (RouteKind.REFUSE, 500, f"{path}:1:1: Bogus is no directive"),
                (route.kind, route.status, route.reason),
            )

    def test_noticed(self) -> None:
        """What a request gets changes with the file, whatever was remembered."""
        self.configured('<Directory "@">\nAllowOverride All\n</Directory>\n')
        for text, expected in [
            ("SetEnv W 1\n", b"1"),
            ("SetEnv W 2\nSetEnv V 1\n", b"2"),
            ("", None),
        ]:
            self.write(text, "a/.htaccess")
            self.later()
            for _ in range(2):
                self.assertEqual(expected, self.variable("/a/b/x.txt"))

    def test_index(self) -> None:
        """DirectoryIndex and FallbackResource work from there."""
        self.configured('<Directory "@">\nAllowOverride All\n</Directory>\n')
        self.write("DirectoryIndex b/x.txt\n", "a/.htaccess")
        self.write("SetEnv W b\nFallbackResource /x.txt\n", "a/b/.htaccess")
        self.assertEqual(b"b", self.variable("/a/"))
        self.assertEqual(os.fsencode(self.root / "x.txt"), self.route("/a/b/none").filename)

    def test_concealed(self) -> None:
        """The file itself is never shown."""
        self.configured('<Directory "@">\nAllowOverride All\n</Directory>\n')
        self.write("SetEnv W b\n")
        self.assertEqual(403, self.route("/.htaccess").status)

    def test_proxied(self) -> None:
        """For what a ProxyPass claims no file is looked for."""
        self.configured(
            '<Directory "/">\nAllowOverride All\n</Directory>\nProxyPass /a fcgi://127.0.0.1:9000/\n'
        )
        self.write("Bogus\n", "a/.htaccess")
        self.assertEqual(RouteKind.FASTCGI, self.route("/a/x.txt").kind)

    def test_off(self) -> None:
        """Where AllowOverride is None, or nowhere said, nothing is looked for."""
        self.write("Bogus\n")
        self.write("Bogus\n", "a/.htaccess")
        for text in ("", '<Directory "/">\nAllowOverride None\n</Directory>\n'):
            self.configured(text)
            with mock.patch.object(self.cache, "find") as find:
                self.assertIsNone(self.variable("/a/x.txt"))
            find.assert_not_called()
