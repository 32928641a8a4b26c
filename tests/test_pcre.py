"""Tests for :mod:`twisted_fcgi.pcre`."""

from __future__ import annotations

import re
from unittest import mock

import pcre2
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi import pcre
from twisted_fcgi.pcre import (
    PatternError,
    compilePattern,
    compileWildcards,
    effort,
    hasWildcards,
)

__all__ = ["EffortTests", "PatternTests", "WildcardTests"]

#: Expression, text, and the whole match with its groups; ``None`` when there is none.
MATCHES: tuple[tuple[bytes, bytes, tuple[bytes | None, ...] | None], ...] = (
    # httpd's options: $ is the very end, . takes a newline
    (rb"\.php$", b"a.php", (b".php",)),
    (rb"\.php$", b"a.php\n", None),
    (rb"^a.b$", b"a\nb", (b"a\nb",)),
    (rb"(?-s)a.b", b"a\nb", None),
    # the C locale: a letter is ASCII
    (rb"^\w$", b"\xe9", None),
    (rb"\xe9", b"caf\xe9", (b"\xe9",)),
    (rb"(?i)\xe9", b"\xc9", None),
    # what re has not, or has otherwise
    (rb"[[:alpha:]_]+", b"1a_b", (b"a_b",)),
    (rb"[[a]+", b"[a", (b"[a",)),
    (rb"^/(?<a>[^/]+)/(?P<b>\d+)(?'c'x)?$", b"/n/12", (b"/n/12", b"n", b"12", None)),
    (rb"a(?i)b|c", b"C", (b"C",)),
    (rb"^a++a", b"aaa", None),
    (rb"(?>a+)b", b"aab", (b"aab",)),
    (rb"(?<=a|bc)d", b"bcd", (b"d",)),
    (rb"a\Kb", b"ab", (b"b",)),
    (rb"\((?:[^()]|(?R))*\)", b"x(a(b)c)", (b"(a(b)c)",)),
    (rb"(?|(a)|(b))", b"b", (b"b", b"b")),
    (rb"\Qa.b\E.", b"a.bc", (b"a.bc",)),
    (rb"(a)|(b)", b"b", (b"b", None, b"b")),
)  # fmt: skip

WRONG = (rb"a(b", rb"a)b", rb"a[b", rb"*a", rb"[z-a]", rb"(a)\2", rb"(?<n>a", b"a\\", rb"a{3,2}")

#: Pattern, texts that match as paths, texts that do not: apr_fnmatch with APR_FNM_PATHNAME.
PATHS = (
    (b"*.php", (b"a.php", b".php"), (b"a/b.php", b"a.php\n", b"a.phpx")),
    (b"/a/*/x", (b"/a/b/x", b"/a//x"), (b"/a/b/c/x", b"/a/x")),
    (b"a?c", (b"abc", b"a\nc"), (b"a/c", b"ac")),
    (b"[a-c]x", (b"ax", b"cx"), (b"dx", b"x")),
    (b"[!a-c]x", (b"dx",), (b"ax", b"/x")),
    (b"[^a]x", (b"bx",), (b"ax", b"/x")),
    (b"[]a]", (b"]", b"a"), (b"b",)),
    (rb"[\]]", (b"]",), (b"\\",)),
    (rb"a\*b", (b"a*b",), (b"axb",)),
    (b"a.b", (b"a.b",), (b"axb",)),
    (b"a\\", (b"a\\",), (b"a",)),
    (b"[a", (), (b"[a", b"a")),
    (b"[c-a]", (), (b"a", b"b", b"c")),
    (b"", (b"",), (b"a",)),
)


class PatternTests(SynchronousTestCase):
    """Tests for :func:`compilePattern`."""

    def test_matches(self) -> None:
        """Each expression finds what httpd's finds, for each group."""
        for text, subject, expected in MATCHES:
            match = compilePattern(text).search(subject)
            found = None if match is None else (match.group(0), *match.groups())
            self.assertEqual(expected, found, text)

    def test_ignoreCase(self) -> None:
        """AP_REG_ICASE holds for the whole, until the expression says otherwise."""
        pattern = compilePattern(rb"a[^b]\x43(?-i)d", ignoreCase=True)
        self.assertTrue(pattern.search(b"Axcd"))
        self.assertFalse(pattern.search(b"ABcd"))
        self.assertFalse(pattern.search(b"axcD"))

    def test_groups(self) -> None:
        """How many groups there are is known before a match."""
        self.assertEqual(compilePattern(rb"(a)(?:b)(?<n>c)").groups, 2)

    def test_wrong(self) -> None:
        """A mistake is one, with its reason and place."""
        for text in WRONG:
            error = self.assertRaises(PatternError, compilePattern, text)
            self.assertTrue(str(error), text)
            self.assertLessEqual(0, error.at)
            self.assertLessEqual(error.at, len(text))

    def test_bounded(self) -> None:
        """A match that backtracks without end is given up, with an exception."""
        pattern = compilePattern(rb"^(a+)+$")
        self.assertRaises(pcre2.LibraryError, pattern.search, b"a" * 60 + b"!")

    @given(st.binary(max_size=12))
    def test_anything(self, text: bytes) -> None:
        """Any bytes are an expression or a PatternError."""
        try:
            compilePattern(text)
        except PatternError as error:
            self.assertLessEqual(error.at, len(text))


class WildcardTests(SynchronousTestCase):
    """Tests for :func:`compileWildcards`."""

    def test_paths(self) -> None:
        """As a path, a pattern's wildcards do not match a slash."""
        for text, matching, others in PATHS:
            pattern = compileWildcards(text, slashes=False)
            for subject in matching:
                self.assertTrue(pattern.search(subject), (text, subject))
            for subject in others:
                self.assertFalse(pattern.search(subject), (text, subject))

    def test_slashes(self) -> None:
        """Otherwise they do."""
        self.assertTrue(compileWildcards(b"/a/*").search(b"/a/b/c"))
        self.assertTrue(compileWildcards(b"[!a]").search(b"/"))

    def test_hidden(self) -> None:
        """With APR_FNM_PERIOD, a period at the beginning is not matched by a wildcard."""
        for text in (b"*", b"?a", b"[.]a"):
            self.assertTrue(compileWildcards(text).search(b".a"))
            self.assertFalse(compileWildcards(text, hidden=False).search(b".a"))
        self.assertTrue(compileWildcards(b".*", hidden=False).search(b".a"))

    def test_ignoreCase(self) -> None:
        """APR_FNM_CASE_BLIND."""
        self.assertTrue(compileWildcards(b"A[B-C]", ignoreCase=True).search(b"ac"))

    @given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=10), st.booleans())
    def test_meaning(self, text: str, subject: str, slashes: bool) -> None:
        """An asterisk stands for any bytes, wherever they end."""
        anything = "." if slashes else "[^/]"
        meant = "".join({"*": anything + "*", "?": anything}.get(c, c) for c in text)
        self.assertEqual(
            re.fullmatch(meant, subject) is not None,
            compileWildcards(text.encode(), slashes=slashes).search(subject.encode()) is not None,
        )

    def test_cost(self) -> None:
        """Many asterisks cost no more than a few."""
        pattern = compileWildcards(b"*a" * 20 + b"*b")
        self.assertIsNone(pattern.search(b"a" * 250))

    def test_tooLarge(self) -> None:
        """A pattern that is too large to be compiled matches nothing."""
        self.assertIsNone(compileWildcards(b"*a" * 50000).search(b"a" * 50000))

    @given(st.binary())
    def test_escaped(self, text: bytes) -> None:
        """A text with a backslash before each byte matches itself alone."""
        pattern = compileWildcards(re.sub(rb"(.)", rb"\\\1", text, flags=re.DOTALL))
        self.assertTrue(pattern.search(text))
        self.assertFalse(pattern.search(text + b"x"))

    def test_hasWildcards(self) -> None:
        """A text is a pattern with an unescaped wildcard in it."""
        for text in ("*", "a?", "[a]"):
            self.assertTrue(hasWildcards(text), text)
        for text in ("", "a.b", r"\*", "[a", "a]"):
            self.assertFalse(hasWildcards(text), text)


class EffortTests(SynchronousTestCase):
    """Tests for what the expressions of those who are not trusted may cost together."""

    def setUp(self) -> None:
        self.addCleanup(effort.begin)

    def test_same(self) -> None:
        """While there is time they are as others are, and equal ones are the same object."""
        bounded = compilePattern(b"(?<n>a)", restricted=True)
        free = compilePattern(b"(?<n>a)")
        self.assertIs(bounded, compilePattern(b"(?<n>a)", restricted=True))
        self.assertEqual(bounded.search(b"ba")["n"], b"a")
        self.assertIsNone(bounded.match(b"ba"))
        for name in ("pattern", "flags", "groups", "groupindex"):
            self.assertEqual(getattr(bounded, name), getattr(free, name))

    def test_copies(self) -> None:
        """Groups that are repeated often, or one in another, are refused."""
        for text in (
            rb"^(\d{1,3}\.){3}\d{1,3}$",
            rb"^([0-9a-f]{4}:){7}",
            rb"a{1,200}(b){0}(c){2,}",
        ):
            self.assertTrue(compilePattern(text, restricted=True))
        for text in (rb"(a{1,200}){1,200}", rb"(a(b){0,20}){20}", rb"(a){9999}"):
            self.assertRaises(PatternError, compilePattern, text, restricted=True)

    def test_over(self) -> None:
        """Once the time is over they fail, until something new begins; others do not."""
        with mock.patch.object(pcre, "MAX_SECONDS", 0.0):
            effort.begin()
        pattern = compilePattern(b"^a", restricted=True)
        self.assertTrue(pattern.search(b"a"))
        self.assertRaises(pcre2.LibraryError, pattern.search, b"a")
        self.assertTrue(compilePattern(b"^a").search(b"a"))
        effort.begin()
        self.assertTrue(pattern.search(b"a"))
