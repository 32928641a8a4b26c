"""Tests for the sections that apply to a request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import read
from twisted_fcgi.routing.files import DIRECTORY, FILE, MISSING
from twisted_fcgi.routing.sections import FEW, Prefixes, Sections

SEGMENTS = st.lists(st.sampled_from([b"a", b"b", b"ab", b"c"]), max_size=4)


class PrefixesTests(SynchronousTestCase):
    """Tests for :class:`Prefixes`."""

    def find(self, prefixes: list[bytes], path: bytes) -> list[int]:
        """The places of those prefixes that fit, in order."""
        table = Prefixes()
        for place, prefix in enumerate(prefixes):
            table.add(prefix, place)
        return sorted(table.find(path))

    def test_endAtASlash(self) -> None:
        """A prefix stands for itself and what is below, with a slash only for the latter."""
        prefixes = [b"/", b"/a", b"/a/", b"/a/b", b"/a"]
        for path, expected in [
            (b"/", [0]),
            (b"/a", [0, 1, 4]),
            (b"/a/", [0, 1, 2, 4]),
            (b"/a/b", [0, 1, 2, 3, 4]),
            (b"/a/b/c", [0, 1, 2, 3, 4]),
            (b"/ab", [0]),
            (b"/a/bc/d", [0, 1, 2, 4]),
            (b"/b/a", [0]),
        ]:
            self.assertEqual(expected, self.find(prefixes, path), path)

    @given(st.lists(st.tuples(SEGMENTS, st.booleans())), SEGMENTS, st.booleans())
    def test_manyAreFoundLikeFew(
        self, rows: list[tuple[list[bytes], bool]], path: list[bytes], slash: bool
    ) -> None:
        """How many prefixes there are does not change which fit."""
        prefixes = [b"/" + b"/".join(s) + (b"/" if closed and s else b"") for s, closed in rows]
        asked = b"/" + b"/".join(path) + (b"/" if slash and path else b"")
        others = [b"/other/%d" % i for i in range(FEW + 1)]
        self.assertEqual(
            [place for place, prefix in enumerate(prefixes) if self.find([prefix], asked)],
            self.find([*prefixes, *others], asked),
        )


class SectionsTests(SynchronousTestCase):
    """Tests for :class:`Sections`: which apply, shown by the variables that they set."""

    def sections(self, text: str) -> Sections:
        """The sections of a configuration; each sets a variable W."""
        main = read(text).main
        return Sections(main.directory, main.sections)

    def said(self, sections: Sections, places: tuple[int, ...]) -> str:
        """The values of W in the order in which they were merged."""
        changes = sections.merged(places).environment or ()
        return " ".join((change.value or b"").decode() for change in changes)

    def test_locations(self) -> None:
        """Locations apply in the order of the file, by prefix, wildcard and expression."""
        sections = self.sections(
            "SetEnv W base\n"
            '<LocationMatch "/c$">\nSetEnv W first\n</LocationMatch>\n'
            "<Location /a/b>\nSetEnv W inner\n</Location>\n"
            "<Location /a/>\nSetEnv W outer\n</Location>\n"
            '<LocationMatch "c$">\nSetEnv W match\n</LocationMatch>\n'
            "<Location /*/b>\nSetEnv W wild\n</Location>\n"
            '<Location ~ "^/x">\nSetEnv W tilde\n</Location>\n'
        )
        for uri, expected in [
            (b"/", "base"),
            (b"/a", "base"),
            (b"/a/b", "base inner outer wild"),
            (b"/a/b/c", "base first inner outer match"),
            (b"/a/bc", "base outer match"),
            (b"/xc", "base match tilde"),
            (b"//a//b//x", "base inner outer"),
        ]:
            self.assertEqual(expected, self.said(sections, sections.locations(uri, {})), uri)

    def test_directories(self) -> None:
        """Directories apply from the root downwards, expressions behind them, files last."""
        sections = self.sections(
            "<Files a.php>\nSetEnv W files\n</Files>\n"
            '<DirectoryMatch "/c">\nSetEnv W match\n</DirectoryMatch>\n'
            "<Directory /*/c/>\nSetEnv W wild\n</Directory>\n"
            "<Directory /srv/c>\nSetEnv W c\n"
            '<FilesMatch "p$">\nSetEnv W infiles\n</FilesMatch>\n</Directory>\n'
            "<Directory /srv/c/d>\nSetEnv W d\n</Directory>\n"
            "<Directory />\nSetEnv W root\n</Directory>\n"
            "<Directory /srv>\nSetEnv W srv\n</Directory>\n"
        )
        for filename, kind, expected in [
            (b"/srv/a.php", FILE, "root srv files"),
            (b"/srv/c/a.php", FILE, "root srv wild c match files infiles"),
            (b"/srv/c/d/b.php", FILE, "root srv wild c d match infiles"),
            (b"/srv/c", DIRECTORY, "root srv wild c match"),
            (b"/srv/c", MISSING, "root srv match"),
            (b"/srv/c/", DIRECTORY, "root srv wild c match"),
            (b"/x", FILE, "root"),
            (b"/a/c", FILE, "root wild match"),
            (b"/a/c", MISSING, "root match"),
            (b"/", DIRECTORY, "root"),
        ]:
            found = sections.directories(filename, kind, {})
            self.assertEqual(expected, self.said(sections, found), filename)

    def test_proxies(self) -> None:
        """Proxy sections apply by the text that the URL begins with, or an expression."""
        sections = self.sections(
            "<Proxy *>\nSetEnv W all\n</Proxy>\n"
            "<Proxy fcgi://h/srv/>\nSetEnv W prefix\n</Proxy>\n"
            '<ProxyMatch "/b$">\nSetEnv W match\n</ProxyMatch>\n'
        )
        for url, expected in [
            (b"fcgi://h/srv/b", "all prefix match"),
            (b"fcgi://h/other", "all"),
        ]:
            self.assertEqual(expected, self.said(sections, sections.proxies(url, {})), url)

    def test_namedGroups(self) -> None:
        """A named group that took part in a match becomes a variable MATCH_NAME."""
        sections = self.sections(
            '<LocationMatch "^/(?<tenant>[a-z]+)(?:/(?<rest>.+))?">\nSetEnv W x\n</LocationMatch>'
        )
        environment: dict[bytes, bytes] = {}
        sections.locations(b"/acme", environment)
        self.assertEqual({b"MATCH_TENANT": b"acme"}, environment)
