"""Tests for :mod:`twisted_fcgi.pcre.wildcards`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.pcre import compileWildcards, hasWildcards

__all__ = ["WildcardTests"]

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
    (b"", (b"",), (b"a",)),
)


class WildcardTests(SynchronousTestCase):
    """Tests for :func:`compileWildcards` and :func:`hasWildcards`."""

    def test_paths(self) -> None:
        """A pattern matches whole texts; a wildcard stops at a slash."""
        for text, good, bad in PATHS:
            pattern = compileWildcards(text, slashes=False)
            for method in (pattern.search, pattern.match, pattern.fullmatch):
                for subject in good:
                    self.assertTrue(method(subject), (text, subject))
                for subject in bad:
                    self.assertFalse(method(subject), (text, subject))

    def test_slashes(self) -> None:
        """Elsewhere a wildcard matches slashes too."""
        self.assertTrue(compileWildcards(b"a*b").search(b"a/x/b"))
        self.assertTrue(compileWildcards(b"a[!b]b").search(b"a/b"))

    def test_hidden(self) -> None:
        """A leading period can be left to patterns that name it."""
        for text, found in ((b"*", False), (b"?a", False), (b"[.]a", False), (b".*", True)):
            pattern = compileWildcards(text, hidden=False)
            self.assertEqual(found, pattern.search(b".a") is not None, text)

    def test_ignoreCase(self) -> None:
        """Case can be ignored, in brackets too."""
        pattern = compileWildcards(b"A[b]*", ignoreCase=True)
        self.assertTrue(pattern.search(b"aBc"))

    def test_hasWildcards(self) -> None:
        """Only a text with a wildcard that has its meaning is a pattern."""
        for text in ("*", "a?", "[a]", "[]", "a[b]c", "\\\\*"):
            self.assertTrue(hasWildcards(text), text)
        for text in ("", "a", "[a", "a]", "]a[", "\\*", "\\?", "\\[a]", "a\\"):
            self.assertFalse(hasWildcards(text), text)

    @given(st.binary(), st.booleans(), st.booleans())
    def test_anything(self, text: bytes, slashes: bool, hidden: bool) -> None:
        """Any bytes are a pattern."""
        pattern = compileWildcards(text, slashes=slashes, hidden=hidden)
        self.assertIsInstance(pattern, re.Pattern)
