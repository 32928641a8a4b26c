"""Tests for :mod:`twisted_fcgi.config.walk`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import load, loads
from twisted_fcgi.config.drafts import ConfigurationDraft
from twisted_fcgi.config.registry import Context, Registry, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.tree import TreeReader
from twisted_fcgi.config.walk import Walk
from twisted_fcgi.config.words import Word
from twisted_fcgi.errors import ConfigurationErrors

__all__ = ["ArgumentTests", "ContextTests", "ErrorTests", "LoadTests", "WorkTests"]


class LoadTests(SynchronousTestCase):
    """Tests for :func:`load` and :func:`loads`."""

    def setUp(self) -> None:
        directory = TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = os.path.realpath(directory.name)

    def write(self, name: str, text: bytes) -> str:
        """Write a file."""
        path = Path(self.root, name)
        path.write_bytes(text)
        return str(path)

    def test_relativePaths(self) -> None:
        """Relative paths begin at the directory of the file."""
        self.write("other.conf", b"DocumentRoot .\n")
        settings = load(self.write("site.conf", b"Include other.conf\n"))
        self.assertEqual(self.root, settings.main.documentRoot)

    def test_bytes(self) -> None:
        """A file that is no UTF-8 can be read; its bytes come out as they are."""
        settings = load(self.write("site.conf", b"# caf\xe9\nSetEnv A caf\xe9\r\n"))
        assert settings.main.directory.environment is not None
        self.assertEqual(b"caf\xe9", settings.main.directory.environment[0].value)

    def test_defines(self) -> None:
        """Names and NAME=value are defined in advance."""
        text = b"<IfDefine A>\nServerName ${B}\n</IfDefine>\n"
        self.assertEqual("b", load(self.write("f", text), ["A", "B=b"]).main.name)

    def test_missing(self) -> None:
        """A file that can't be read is a mistake in the configuration."""
        path = os.path.join(self.root, "no.conf")
        errors = self.assertRaises(ConfigurationErrors, load, path)
        self.assertEqual(f"{path}: No such file or directory", str(errors))

    def test_empty(self) -> None:
        """An empty configuration is one: all is as by default."""
        settings = loads("")
        self.assertEqual(((), ()), (settings.listeners, settings.notices))
        self.assertEqual("localhost", settings.main.name)

    def test_environment(self) -> None:
        """Without another one, the environment is the process's."""
        self.patch(os, "environ", {"WHO": "me"})
        self.assertEqual("me", loads("ServerName ${WHO}").main.name)


class ErrorTests(SynchronousTestCase):
    """What is said about mistakes."""

    def places(self, text: str) -> list[tuple[int, int]]:
        """Lines and columns of all mistakes."""
        errors = self.assertRaises(ConfigurationErrors, loads, text)
        return [(error.line, error.column) for error in errors.errors]

    def test_all(self) -> None:
        """All mistakes are told at once, of reading and of meaning, in the order of the lines."""
        text = "Nonsense\nProxyTimeout x\n<Location /a>\nDefine\n  Listen 80\n</Location>\n</Files>"
        self.assertEqual([(1, 1), (2, 14), (4, 7), (5, 3), (7, 1)], self.places(text))

    def test_insideAWrongSection(self) -> None:
        """The content of a section that is wrong itself is looked through too."""
        text = "<Location>\nNonsense\n</Location>\n<Nonsense x>\nNonsense\n</Nonsense>"
        self.assertEqual([(1, 1), (2, 1), (4, 1)], self.places(text))

    def test_nothingComesOut(self) -> None:
        """With one mistake there are no settings at all."""
        self.assertRaises(ConfigurationErrors, loads, "Listen 80\nNonsense")


class WalkTestCase(SynchronousTestCase):
    """What the tests of the walk share: directives of their own."""

    def setUp(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.draft = ConfigurationDraft("/", {})

    def walk(self, text: str, rows: Rows) -> list[str]:
        """Execute a text; returns the mistakes."""
        registry = Registry(rows)
        reader = TreeReader(registry, "/", {}, lambda path: "")
        reader.read("f", text)
        self.draft.errors = reader.errors
        Walk(registry, self.draft).walk(reader.nodes)
        return [error.message for error in self.draft.errors]

    def rows(self, shape: Shape, contexts: Context = Context.ANYWHERE) -> Rows:
        """A directive, D, of a shape."""
        rows = Rows("test")

        @rows.directive("D", shape, contexts)
        def apply(scope: Scope, *arguments: object) -> None:
            self.calls.append(arguments)

        return rows


class ArgumentTests(WalkTestCase):
    """How directives take their arguments: as httpd's ``invoke_cmd``."""

    def check(self, shape: Shape, *cases: tuple[str, list[tuple[object, ...]] | None]) -> None:
        """Each text makes these calls, or is a mistake."""
        for text, calls in cases:
            self.calls = []
            mistakes = self.walk(f"D {text}", self.rows(shape))
            self.assertEqual([] if calls is None else calls, self.calls, text)
            self.assertEqual([f"D {shape.value}"] if calls is None else [], mistakes, text)

    def test_fixed(self) -> None:
        """One, two, three: neither fewer nor more, and none of them empty."""
        self.check(Shape.TAKE1, ("", None), ("a", [("a",)]), ("a b", None), ('""', None))
        self.check(Shape.TAKE2, ("a", None), ("a b", [("a", "b")]), ("a b c", None), ('a ""', None))
        self.check(Shape.TAKE3, ("a b", None), ("a b c", [("a", "b", "c")]), ("a b c d", None))

    def test_optional(self) -> None:
        """An optional one that is missing or empty is none."""
        self.check(
            Shape.TAKE12,
            ("", None),
            ("a", [("a", None)]),
            ('a ""', [("a", None)]),
            ("a b", [("a", "b")]),
            ("a b c", None),
            ('"" b', None),
        )
        self.check(Shape.TAKE23, ("a", None), ("a b", [("a", "b", None)]), ("a b c d", None))
        self.check(Shape.TAKE123, ("", None), ("a", [("a", None, None)]), ("a b c d", None))

    def test_iterate(self) -> None:
        """One call for each, up to the first empty one."""
        self.check(
            Shape.ITERATE,
            ("", None),
            ("a b", [("a",), ("b",)]),
            ('"" a', None),
            ('a "" b', [("a",)]),
        )
        self.check(Shape.ITERATE2, ("a", None), ("a b c", [("a", "b"), ("a", "c")]), ('a ""', None))

    def test_flag(self) -> None:
        """On or Off, whatever the case; what follows is not looked at."""
        self.check(
            Shape.FLAG,
            ("", None),
            ("on", [(True,)]),
            ("OFF", [(False,)]),
            ("1", None),
            ("on off", [(True,)]),
        )

    def test_neverInSilence(self) -> None:
        """What is not looked at is worth a notice."""
        self.walk("D on off", self.rows(Shape.FLAG))
        self.walk('D a "" b', self.rows(Shape.ITERATE))
        expected = "this and what follows it is not looked at"
        self.assertEqual([f"f:1:6: {expected}", f"f:1:6: {expected}"], self.draft.notices)

    def test_words(self) -> None:
        """A directive that reads its words itself gets all of them, empty ones too."""
        self.check(Shape.WORDS, ("", [([],)]), ('a "" b', [(["a", "", "b"],)]))

    def test_places(self) -> None:
        """Arguments know where they stand."""
        self.walk("D a\\\n b", self.rows(Shape.TAKE2))
        places = [word.line.place(word.start) for word in self.calls[0] if isinstance(word, Word)]
        self.assertEqual([(1, 3), (2, 2)], places)


class ContextTests(WalkTestCase):
    """Where directives may stand."""

    TEXTS = {
        Context.MAIN: "D",
        Context.VIRTUAL_HOST: "<VirtualHost *>\nD\n</VirtualHost>",
        Context.DIRECTORY: "<Directory /a>\nD\n</Directory>",
        Context.LOCATION: "<Location /a>\nD\n</Location>",
        Context.FILES: "<Files a>\nD\n</Files>",
        Context.PROXY: "<Proxy fcgi://a>\nD\n</Proxy>",
        Context.DIRECTORY | Context.FILES: "<Directory /a>\n<Files a>\nD\n</Files>\n</Directory>",
    }

    def allowed(self, contexts: Context, text: str) -> bool:
        """Whether a directive with these contexts may stand there."""
        from twisted_fcgi.config import directives_proxy, directives_sections

        rows = self.rows(Shape.WORDS, contexts)
        rows._rows += [*directives_sections.rows, *directives_proxy.rows]
        return not self.walk(text, rows)

    def test_each(self) -> None:
        """A directive stands where its row allows it, and nowhere else."""
        for context, text in self.TEXTS.items():
            self.assertTrue(self.allowed(context, text), text)
            self.assertFalse(self.allowed(Context.ANYWHERE & ~context, text), text)

    def test_around(self) -> None:
        """Each section around it has to be allowed."""
        text = self.TEXTS[Context.DIRECTORY | Context.FILES]
        self.assertFalse(self.allowed(Context.FILES, text))
        self.assertFalse(self.allowed(Context.DIRECTORY, text))

    def test_sectionOfAHost(self) -> None:
        """In a section, what is around the section does not count."""
        text = "<VirtualHost *>\n<Location /a>\nD\n</Location>\n</VirtualHost>"
        self.assertTrue(self.allowed(Context.LOCATION, text))


class WorkTests(SynchronousTestCase):
    """The work that a large configuration makes."""

    def work(self, size: int) -> int:
        """How many functions are called for a configuration of about ``size`` lines."""
        lines = [
            f'ProxyPass "/app{n}/" "fcgi://127.0.0.1:9000/app{n}/" timeout=30'
            for n in range(size // 10)
        ]
        for n in range(size // 10):
            lines += [f"<Location /l{n}>", f"SetEnv N{n} {n}", "</Location>"]
        for n in range(size // 10):
            lines += ["<VirtualHost *>", f"ServerName h{n}", f"ProxyPass /{n} fcgi://h{n}/"]
            lines += [
                '<Files "*.php">',
                f"SetHandler proxy:fcgi://h{n}",
                "</Files>",
                "</VirtualHost>",
            ]
        text = "\n".join(lines)
        calls = 0

        def count(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"

        sys.setprofile(count)
        try:
            loads(text)
        finally:
            sys.setprofile(None)
        return calls

    def test_linear(self) -> None:
        """Twice the lines make little more than twice the work."""
        self.work(100)  # what is only done once
        self.assertLess(self.work(800), 2.5 * self.work(400))
