"""Tests for :mod:`twisted_fcgi.mediatypes`; what is expected is what httpd 2.4 answered."""

from __future__ import annotations

import mimetypes
from tempfile import NamedTemporaryFile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.mediatypes import Described, _usualTypes, describe, parseTypes
from twisted_fcgi.settings import DirectorySettings, Extensions, ExtensionSettings

__all__ = ["DescribeTests", "ExtensionsTests", "ParseTypesTests"]

NOTHING = DirectorySettings()
TYPES = {b"html": b"text/html", b"txt": b"text/plain", b"json": b"application/json"}


def extensions(**rows: ExtensionSettings) -> DirectorySettings:
    """Settings with some extensions."""
    return DirectorySettings(extensions=Extensions({k.encode(): v for k, v in rows.items()}))


SOME = extensions(
    de=ExtensionSettings(language=b"de"),
    fr=ExtensionSettings(language=b"fr"),
    gz=ExtensionSettings(encoding=b"x-gzip"),
    utf8=ExtensionSettings(charset=b"utf-8"),
    unk=ExtensionSettings(type=b"text/x-foo"),
    latin=ExtensionSettings(type=b"text/html; charset=iso-8859-2; level=1"),
    gone=ExtensionSettings(type=b""),
    php=ExtensionSettings(handler=b"x"),
)


class DescribeTests(SynchronousTestCase):
    """Tests for :func:`describe`."""

    def test_usual(self) -> None:
        """Without TypesConfig the usual types are known; the last extension counts, in any case."""
        for path, kind in (
            (b"/a/b.txt", b"text/plain"),
            (b"b.HTML", b"text/html"),
            (b"/a.html/b.tar.gz", b"application/gzip"),
            (b"/site/app.js", b"text/javascript"),
            (b"/font.woff2", b"font/woff2"),
        ):
            self.assertEqual(describe(path, None, NOTHING, None), Described(kind))

    def test_noProgram(self) -> None:
        """No usual type names a program, whatever this Python's table says of PHP's files."""
        with mock.patch.dict(mimetypes.types_map, {".php": "application/x-httpd-php"}):
            _usualTypes.cache_clear()
            self.addCleanup(_usualTypes.cache_clear)
            self.assertEqual(describe(b"/index.php", None, NOTHING, None), Described())

    def test_system(self) -> None:
        """The system's tables say more than Python's, in any case; what is none is left out."""
        with NamedTemporaryFile() as table:
            table.write(b"# of ours\ntext/x-ours\tours OTHERS\nimage/x-php php\ntext/\xff\n")
            table.flush()
            with mock.patch.object(mimetypes, "knownfiles", ["/nonexistent", table.name]):
                _usualTypes.cache_clear()
                self.addCleanup(_usualTypes.cache_clear)
                for path, kind in (
                    (b"a.ours", b"text/x-ours"),
                    (b"a.others", b"text/x-ours"),
                    (b"a.php", b"image/x-php"),
                    (b"a.txt", b"text/plain"),
                ):
                    self.assertEqual(describe(path, None, NOTHING, None), Described(kind))

    def test_unknown(self) -> None:
        """Without an extension, or with an unknown one, nothing is said."""
        for path in (
            b"",
            b"/a.html/",
            b"/a.html/b",
            b"/html",
            b"/x.unheard-of",
            b"/x.",
            b"/\xff.\xff",
        ):
            self.assertEqual(describe(path, None, NOTHING, None), Described())

    def test_hidden(self) -> None:
        """Dots at the beginning of a name begin no extension."""
        self.assertIsNone(describe(b"/.html", None, NOTHING, TYPES).type)

    def test_all(self) -> None:
        """Each extension adds what it has to say, in any order."""
        for name, kind, encoding, languages in (
            (b"a.html.de", b"text/html", None, (b"de",)),
            (b"a.de.html.gz", b"text/html", b"x-gzip", (b"de",)),
            (b"x.txt.php", b"text/plain", None, ()),
            (b"a..html", b"text/html", None, ()),
            (b"q.html.x.de.fr", b"text/html", None, (b"de", b"fr")),
            (b"x.gz.gz", None, b"x-gzip, x-gzip", ()),
            (b"z.unk", b"text/x-foo", None, ()),
            (b"z.html.gone", b"text/html", None, ()),
        ):
            found = describe(b"/m/" + name, None, SOME, TYPES)
            self.assertEqual(found[:3], (kind, encoding, languages), name)

    def test_charset(self) -> None:
        """A charset takes the place of the type's own, or is added to it."""
        for name, kind in (
            (b"u.html.utf8", b"text/html; charset=utf-8"),
            (b"u.utf8.html", b"text/html; charset=utf-8"),
            (b"u.latin.utf8", b"text/html; charset=utf-8; level=1"),
            (b"u.latin", b"text/html; charset=iso-8859-2; level=1"),
            (b"u.utf8", None),
        ):
            self.assertEqual(describe(name, None, SOME, TYPES).type, kind, name)

    def test_handler(self) -> None:
        """An extension names a handler wherever it stands, but not as the whole name."""
        for name in (b"a.php", b"x.php.txt", b"x.PHP", b"x.foo.php.bar"):
            found = describe(name, None, SOME, TYPES).extension
            assert found is not None
            self.assertEqual(found.handler, b"x")
        for name in (b"php", b".php", b"a.phpx"):
            self.assertIsNone(describe(name, None, SOME, TYPES).extension)

    def test_pathInfo(self) -> None:
        """PATH_INFO counts with ModMimeUsePathInfo only."""
        self.assertIsNone(describe(b"/m/php", b"/a.html", NOTHING, TYPES).type)
        with_ = DirectorySettings(pathInfoHasType=True)
        self.assertEqual(describe(b"/m/php", b"/a.html", with_, TYPES).type, b"text/html")

    def test_defaultLanguage(self) -> None:
        """DefaultLanguage is for names without a language."""
        settings = SOME.merged(DirectorySettings(defaultLanguage=b"es"))
        self.assertEqual(describe(b"a.html", None, settings, TYPES).languages, (b"es",))
        self.assertEqual(describe(b"a.fr", None, settings, TYPES).languages, (b"fr",))


class ExtensionsTests(SynchronousTestCase):
    """Tests for :class:`Extensions`, which sections lay over each other."""

    def test_fieldByField(self) -> None:
        """An inner section's row replaces what it says, and keeps the rest."""
        outer = Extensions({b"x": ExtensionSettings(type=b"a/b", handler=b"h")})
        inner = Extensions({b"x": ExtensionSettings(language=b"de", type=b"c/d")})
        row = outer.merged(inner).rows[b"x"]
        self.assertEqual(row, ExtensionSettings(type=b"c/d", handler=b"h", language=b"de"))

    def test_removed(self) -> None:
        """What a section removes is gone, also what it adds itself, but not what is added below."""
        row = ExtensionSettings(handler=b"h")
        inner = Extensions({b"x": row}, frozenset({(b"x", "handler")})).settled()
        merged = Extensions({b"x": row}).merged(inner)
        self.assertIsNone(merged.rows[b"x"].handler)
        self.assertEqual(merged.merged(Extensions({b"x": row})).rows[b"x"], row)


class ParseTypesTests(SynchronousTestCase):
    """Tests for :func:`parseTypes`."""

    def test_lines(self) -> None:
        """A type with its extensions in a line; comments, and types without any, say nothing."""
        text = b"# a comment\ntext/html\thtml HTM\n\napplication/x-none\ntext/x html\n"
        self.assertEqual(parseTypes(text), {b"html": b"text/x", b"htm": b"text/html"})
