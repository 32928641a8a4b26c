"""Tests for ProxyPass and ProxyPassMatch."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.making import read
from twisted_fcgi.errors import ConfigurationErrors, RequestError
from twisted_fcgi.routing.environment import Environment, Names
from twisted_fcgi.routing.mapping import Mapped, Mappings, matchPrefix


class MappingsTests(SynchronousTestCase):
    """Tests for :class:`Mappings`."""

    def find(self, text: str, uri: bytes, sent: bytes | None = None) -> Mapped | None:
        """What the lines of a configuration make of a path."""
        return Mappings(read(text).main.mappings).find(uri, uri if sent is None else sent)

    def urls(self, text: str, *paths: bytes) -> list[bytes | None]:
        """The URLs that they make of paths, as the configuration's and the path's text."""
        found = [self.find(text, path) for path in paths]
        return [None if mapped is None else mapped.url for mapped in found]

    def test_prefix(self) -> None:
        """What follows the prefix follows the target; a prefix ends where a segment ends."""
        self.assertEqual(
            [b"fcgi://h/srv/", b"fcgi://h/srv/x/y", None, None, None],
            self.urls("ProxyPass /a/ fcgi://h/srv/", b"/a/", b"/a/x/y", b"/a", b"/ax", b"/"),
        )
        self.assertEqual(
            [b"fcgi://h/srv", b"fcgi://h/srv/x", None],
            self.urls("ProxyPass /a fcgi://h/srv", b"/a", b"/a/x", b"/ax"),
        )

    def test_doubledSlashes(self) -> None:
        """Slashes in the prefix stand for any number in the path, and the reverse."""
        self.assertEqual([b"fcgi://h/x"], self.urls("ProxyPass /a//b/ fcgi://h/", b"/a/b/x"))
        self.assertEqual([b"fcgi://h/x"], self.urls("ProxyPass /a/b/ fcgi://h/", b"/a//b///x"))

    def test_firstLineDecides(self) -> None:
        """The first line that fits decides, a prefix or an expression, however long."""
        text = (
            "ProxyPass /a/b/ fcgi://one/\n"
            'ProxyPassMatch "^/a/.*\\.php$" fcgi://two\n'
            "ProxyPass /a/ fcgi://three/\n"
            'ProxyPassMatch "^/a/" fcgi://four\n'
            "ProxyPass /a/c/ fcgi://five/\n"
        )
        self.assertEqual(
            [b"fcgi://one/x.php", b"fcgi://two/a/x.php", b"fcgi://three/c/x"],
            self.urls(text, b"/a/b/x.php", b"/a/x.php", b"/a/c/x"),
        )

    def test_exclusion(self) -> None:
        """``!`` ends the search where it stands."""
        text = (
            "ProxyPass /a/static/ !\n"
            'ProxyPassMatch "\\.txt$" !\n'
            "ProxyPass /a/ fcgi://h/\n"
            "ProxyPass /a/late/ !\n"
        )
        self.assertEqual(
            [None, None, b"fcgi://h/x", b"fcgi://h/late/x"],
            self.urls(text, b"/a/static/x", b"/a/x.txt", b"/a/x", b"/a/late/x"),
        )

    def test_groups(self) -> None:
        """Groups are put where they are named, empty ones leave nothing."""
        self.assertEqual(
            [b"fcgi://h/[y][][/a/y]/$1"],
            self.urls('ProxyPassMatch "^/a/(.*?)(z)?$" "fcgi://h/[$1][$2][$0]/\\\\$1"', b"/a/y"),
        )

    def test_nothingSubstituted(self) -> None:
        """Where no group changed the target, the whole path follows it."""
        text = 'ProxyPassMatch "\\.php$" fcgi://h/srv'
        self.assertEqual([b"fcgi://h/srv/a/x.php"], self.urls(text, b"/a/x.php"))

    def test_groupAsPath(self) -> None:
        """A group may begin right behind the port, when it begins with a slash."""
        text = 'ProxyPassMatch "^(.*)$" fcgi://h:9000$1'
        self.assertEqual([b"fcgi://h:9000/x"], self.urls(text, b"/x"))

    def test_neverAnotherServer(self) -> None:
        """A path that would change the server's name or port is refused (CVE-2021-40438)."""
        for text, path in [
            ("ProxyPass /a/ fcgi://h:9000", b"/a/1"),
            ("ProxyPass /a/ fcgi://h", b"/a/.evil.test/x"),
            ("ProxyPass /a/ fcgi://h", b"/a/@evil.test/x"),
            ('ProxyPassMatch "^/a/(.*)$" fcgi://h:9000$1', b"/a/1"),
            ('ProxyPassMatch "^/a/(.*)$" fcgi://$1/', b"/a/evil.test"),
            ('ProxyPassMatch "^/a/(.*)$" fcgi://x.$1/', b"/a/evil.test"),
        ]:
            with self.assertRaises(RequestError, msg=text) as caught:
                self.find(text, path)
            self.assertEqual(500, caught.exception.status)

    def test_nocanon(self) -> None:
        """With nocanon the path goes on as it was sent, query included."""
        mapped = self.find("ProxyPass /a/ fcgi://h/ nocanon", b"/a/b c", b"/a/b%20c?q")
        assert mapped is not None
        self.assertEqual((b"/b%20c?q", True), (mapped.path, mapped.raw))

    def test_nocanonOfAReducedPath(self) -> None:
        """A path that fits only once it is decoded is not passed as it was sent."""
        for sent in [b"/x/../a/b%20c", b"/%61/b%20c", b"//a/b%20c", b"http://h/a/b%20c"]:
            mapped = self.find("ProxyPass /a/ fcgi://h/ nocanon", b"/a/b c", sent)
            assert mapped is not None
            self.assertEqual((b"/b c", False), (mapped.path, mapped.raw), sent)
        text = 'ProxyPassMatch "^/a/(.*)$" fcgi://h/$1 nocanon'
        mapped = self.find(text, b"/a/b c", b"/%61/b%20c")
        assert mapped is not None
        self.assertEqual((b"/b c", False), (mapped.path, mapped.raw))

    def test_authority(self) -> None:
        """An application's server is spelled in lower case, without the default port 8000."""
        for target, expected in [
            ("FCGI://Host:9000/Srv", b"fcgi://host:9000"),
            ("fcgi://host:8000/", b"fcgi://host"),
            ("fcgi://host", b"fcgi://host"),
            ("fcgi://[::1]:8000/", b"fcgi://[::1]"),
            ("FCGIS://host:8000/", b"fcgis://host"),
        ]:
            mapped = self.find(f"ProxyPass / {target}", b"/")
            assert mapped is not None
            self.assertEqual(expected, mapped.destination.authority)

    def test_inLocation(self) -> None:
        """The ProxyPass of a Location goes before all lines, and its ``!`` too."""
        settings = read(
            "ProxyPass /a/ fcgi://list/\n<Location /a/b/>\nProxyPass fcgi://inside/\n</Location>\n"
            "<Location /a/c/>\nProxyPass !\n</Location>"
        ).main
        table = Mappings(settings.mappings)
        first, second = (section.settings.mapping for section in settings.sections)
        mapped = table.find(b"/a/b/x", b"/a/b/x", first)
        assert mapped is not None
        self.assertEqual(b"fcgi://inside/x", mapped.url)
        self.assertIsNone(table.find(b"/a/c/x", b"/a/c/x", second))
        mapped = table.find(b"/a/x", b"/a/x", second)
        assert mapped is not None
        self.assertEqual(b"fcgi://list/x", mapped.url)

    def test_manyLines(self) -> None:
        """Among many lines the first that fits is found like among few."""
        lines = [f"ProxyPass /app{i}/ fcgi://h/{i}/" for i in range(100)]
        text = "\n".join([*lines, "ProxyPass /app7/x/ fcgi://h/late/", "ProxyPass / fcgi://h/all/"])
        self.assertEqual(
            [b"fcgi://h/7/x/y", b"fcgi://h/99/", b"fcgi://h/all/app100/"],
            self.urls(text, b"/app7/x/y", b"/app99/", b"/app100/"),
        )


class InterpolationTests(SynchronousTestCase):
    """Variables in a ProxyPass."""

    def find(
        self, text: str, path: bytes, environment: Environment | None
    ) -> tuple[bytes, bytes] | None:
        """The application's server and path."""
        names = Names()
        for name in environment or ():
            names(name)
        mapped = Mappings(read(text).main.mappings, names).find(path, path, None, environment)
        return mapped and (mapped.destination.authority, mapped.path)

    def test_path(self) -> None:
        """A variable's value takes its place, whatever the case of the name; none is empty."""
        text = 'ProxyPass "/a/" "fcgi://h/${SITE}/${NONE}x${site}${" interpolate'
        self.assertEqual((b"fcgi://h", b"/s/xs${y"), self.find(text, b"/a/y", {b"SITE": b"s"}))

    def test_off(self) -> None:
        """Without the word, or where ProxyPassInterpolateEnv is off, the text stays."""
        text = 'ProxyPass "/a/" "fcgi://h/${SITE}/"'
        expected = (b"fcgi://h", b"/${SITE}/y")
        self.assertEqual(expected, self.find(text, b"/a/y", {b"SITE": b"s"}))
        self.assertEqual(expected, self.find(text + " interpolate", b"/a/y", None))

    def test_prefix(self) -> None:
        """The prefix may have one; an empty one, or one that leaves nothing, is for no path."""
        text = 'ProxyPass "/a${V}" "fcgi://h/s" interpolate\nProxyPass "${V}" fcgi://i/ interpolate'
        for path, value, expected in [
            (b"/a/x", b"/", (b"fcgi://h", b"/sx")),
            (b"/a/b/x", b"//b", (b"fcgi://h", b"/s/x")),
            (b"/ab/x", b"b", (b"fcgi://h", b"/s/x")),
            (b"/ac", b"b", None),
            (b"/b", b"", None),
        ]:
            self.assertEqual(expected, self.find(text, path, {b"V": value}), path)

    def test_expression(self) -> None:
        """Groups are put in after variables; where there are none, the path follows."""
        text = (
            'ProxyPassMatch "^/a/(.*)" "fcgi://h/${V}/$1" interpolate\n'
            'ProxyPassMatch "^/b/" "fcgi://h/${V}" interpolate'
        )
        for path, value, expected in [
            (b"/a/x", b"v", b"/v/x"),
            (b"/a/x", b"$1", b"/x/x"),
            (b"/b/x", b"v", b"/v/b/x"),
        ]:
            self.assertEqual((b"fcgi://h", expected), self.find(text, path, {b"V": value}))

    def test_neverTheAddress(self) -> None:
        """No variable and no group makes, or adds to, the application's address."""
        for target, value in [
            ("fcgi://${V}/srv/", b"evil.example:9000"),
            ("fcgi://${V}/srv/", b"/evil.example"),
            ("fcgi://h${V}/srv/", b".evil.example"),
            ("fcgi://h${V}/srv/", b":22"),
            ("fcgi://h${V}/srv/", b"@evil.example"),
            ("fcgi://h:9000${V}", b"0"),
        ]:
            for directive in ("ProxyPass", "ProxyPassMatch"):
                try:
                    lines = read(f'{directive} "/" "{target}" interpolate').main.mappings
                except ConfigurationErrors:
                    continue  # httpd refuses a port with a variable, too
                with self.assertRaises(RequestError) as caught:
                    Mappings(lines, Names()).find(b"/x", b"/x", None, {b"V": value})
                self.assertEqual(500, caught.exception.status)


class EncodedTests(SynchronousTestCase):
    """Lines that see a path before it is decoded."""

    def test_apart(self) -> None:
        """They are a table of their own, in which only they and their exclusions count."""
        lines = read(
            "ProxyPass /e/x/ ! mapping=encoded\nProxyPass /e/y/ !\n"
            "ProxyPass /e/ fcgi://h/ mapping=encoded\nProxyPass / fcgi://rest/"
        ).main.mappings
        encoded, others = Mappings(lines, encoded=True), Mappings(lines)
        for path, first, second in [
            (b"/e/x/z", None, b"fcgi://rest/e/x/z"),
            (b"/e/y/z", b"fcgi://h/y/z", None),
            (b"/e/%20", b"fcgi://h/%20", b"fcgi://rest/e/%20"),
        ]:
            for table, url in [(encoded, first), (others, second)]:
                mapped = table.find(path, path)
                self.assertEqual(url, mapped and mapped.url)

    def test_raw(self) -> None:
        """Their paths are passed as they are; servlet's are for all others what it made of them."""
        lines = read("ProxyPass /a/ fcgi://h/ mapping=servlet").main.mappings
        mapped = Mappings(lines, encoded=True).find(b"/a;b/c%20;d", b"/a;b/c%20;d")
        assert mapped is not None
        self.assertEqual((b"/c%20;d", True, b"/a/c%20"), (mapped.path, mapped.raw, mapped.uri))


class DestinationTests(SynchronousTestCase):
    """Tests for :class:`Destination`."""

    def served(self, text: str, path: bytes) -> tuple[str, bool]:
        """The member for a path, and whether it was defined for its URL."""
        mapped = Mappings(read(text).main.mappings).find(path, path)
        assert mapped is not None
        member, defined = mapped.destination.memberFor(mapped.destination.authority + mapped.path)
        assert member is not None
        return member.url, defined

    def test_ownMember(self) -> None:
        """A line's own member serves what the line maps."""
        text = "ProxyPass /a/ fcgi://h/srv/"
        self.assertEqual(("fcgi://h/srv/", True), self.served(text, b"/a/x"))

    def test_groupBehindTheServer(self) -> None:
        """A group may follow the server at once; a shorter URL is that of another member."""
        text = (
            'ProxyPassMatch "^/a(/.*)" "fcgi://h$1"\nProxyPassMatch "^/b(/.*)" "fcgi://h:9000$1"\n'
            'ProxyPassMatch "^/c/(.*)" "fcgi://h:9000/" max=1'
        )
        self.assertEqual((), read(text).notices)
        self.assertEqual(("fcgi://h$1", True), self.served(text, b"/a/x"))
        self.assertEqual(("fcgi://h:9000$1", True), self.served(text, b"/b/xy"))
        self.assertEqual(("fcgi://h:9000/", True), self.served(text, b"/b/"))

    def test_longerMember(self) -> None:
        """A member that was declared for a longer URL serves it, whoever mapped it."""
        text = "ProxyPass /b/ fcgi://h/srv/deep/ max=1\nProxyPass /a/ fcgi://h/srv/"
        self.assertEqual(("fcgi://h/srv/deep/", True), self.served(text, b"/a/deep/x"))
        self.assertEqual(("fcgi://h/srv/", True), self.served(text, b"/a/x"))

    def test_notDefined(self) -> None:
        """A URL of another form than the line's text is served, but no member was made for it."""
        text = 'ProxyPass /a/ "fcgi://h/my%dir/"'
        mapped = Mappings(read(text).main.mappings).find(b"/a/x", b"/a/x")
        assert mapped is not None
        member, defined = mapped.destination.memberFor(b"fcgi://h/my%25dir/x")
        self.assertIsNotNone(member)
        self.assertFalse(defined)


class MatchPrefixTests(SynchronousTestCase):
    """Tests for :func:`matchPrefix`."""

    @given(st.lists(st.sampled_from([b"/", b"//", b"a", b"b"]), max_size=6).map(b"".join))
    def test_slashesDoNotMatter(self, path: bytes) -> None:
        """How many slashes a path has where one would do does not change what fits."""
        path = b"/" + path
        single = re.sub(rb"/+", b"/", path)
        for prefix in [b"/", b"/a", b"/a/", b"/a/b", b"/a/b/"]:
            size = matchPrefix(path, prefix)
            self.assertEqual(bool(size), bool(matchPrefix(single, prefix)))
            self.assertEqual(
                single[matchPrefix(single, prefix) :].lstrip(b"/"),
                re.sub(rb"/+", b"/", path[size:]).lstrip(b"/"),
            )
