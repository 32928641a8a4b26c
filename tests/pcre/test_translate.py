"""
Tests for :mod:`twisted_fcgi.pcre.translate`.

The tables were made with PCRE2 10.42 and httpd's options: what it finds in a text, and
what it finds for the groups.
"""

from __future__ import annotations

import re
import sys
import warnings

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.pcre import PatternError, compilePattern

__all__ = ["AtomicTests", "MatchTests", "RefusalTests"]

#: Expression, text, and the whole match with its groups; ``None`` when there is none.
MATCHES: tuple[tuple[bytes, bytes, tuple[bytes | None, ...] | None], ...] = (
    # anchors: $ is the very end, . takes a newline
    (rb"\.php$", b"a.php", (b".php",)),
    (rb"\.php$", b"a.php\n", None),
    (rb"^a.b$", b"a\nb", (b"a\nb",)),
    (rb"a\Z", b"a\n", (b"a",)),
    (rb"a\z", b"a\n", None),
    (rb"\Aa", b"ba", None),
    (rb"(?m)^b$", b"a\nb\nc", (b"b",)),
    (rb"(?m)\n^", b"a\n", None),
    (rb"(?-s)a.b", b"a\nb", None),
    (rb"a\Nb", b"a\nb", None),
    (rb"\B", b"", (b"",)),
    (rb"\bb", b"a b", (b"b",)),
    # characters
    (rb"\x41\x{42}\103\o{104}", b"ABCD", (b"ABCD",)),
    (rb"\x4", b"\x04", (b"\x04",)),
    (rb"\x", b"\0", (b"\0",)),
    (rb"\0\01\cA\e\a\f\t", b"\0\1\1\x1b\7\f\t", (b"\0\1\1\x1b\7\f\t",)),
    (rb"\Qa.b\E.", b"a.bc", (b"a.bc",)),
    (rb"\Qa.b", b"a.b", (b"a.b",)),
    (rb"a\Eb", b"ab", (b"ab",)),
    ("é".encode(), "café".encode(), ("é".encode(),)),
    (rb"\xe9", "é".encode("latin-1"), (b"\xe9",)),
    (rb"\w\W\d\D\s\S", b"_-1a b", (b"_-1a b",)),
    (rb"^\w$", b"\xe9", None),
    (rb"\h\H\v\V", b"\xa0a\x0bb", (b"\xa0a\x0bb",)),
    (rb"a\C", b"a\n", (b"a\n",)),
    (rb"a{b{,}", b"a{b{,}", (b"a{b{,}",)),
    (rb"a]}", b"a]}", (b"a]}",)),
    # brackets
    (rb"[a-c]+", b"xabcd", (b"abc",)),
    (rb"[]a]+", b"]a", (b"]a",)),
    (rb"[^]a]", b"]ab", (b"b",)),
    (rb"[a-]+", b"-a", (b"-a",)),
    (rb"[-a]+", b"-a", (b"-a",)),
    (rb"[\w-]+", b"a-b!", (b"a-b",)),
    (rb"[\b]", b"\x08", (b"\x08",)),
    (rb"[\Qa-c\E]+", b"a-cb", (b"a-c",)),
    (rb"[[:alpha:]_]+", b"1a_b", (b"a_b",)),
    (rb"[[:^digit:]]+", b"1ab2", (b"ab",)),
    (rb"[[:punct:]]+", b"a[^!]", (b"[^!]",)),
    (rb"[[a]+", b"[a", (b"[a",)),
    (rb"[a[:]+", b":[a", (b":[a",)),
    (rb"[&&]+", b"&&", (b"&&",)),
    (rb"[a||b]+", b"a||b", (b"a||b",)),
    (rb"[\x00-\x1f]", b"\x05", (b"\x05",)),
    (rb"[^\x00-\xff]", b"a", None),
    (rb"[\H\h]", b"a", (b"a",)),
    (rb"[^\H\h]", b"a", None),
    (rb"[\Q\Ea]", b"a", (b"a",)),
    # groups and names
    (rb"^/(?<a>[^/]+)/(?P<b>\d+)(?'c'x)?$", b"/n/12", (b"/n/12", b"n", b"12", None)),
    (rb"(?:a|b)(c)", b"bc", (b"bc", b"c")),
    (rb"(?#comment)a", b"a", (b"a",)),
    (rb"(a)|(b)", b"b", (b"b", None, b"b")),
    (rb"(?n)(a)(?<n>b)", b"ab", (b"ab", b"b")),
    (rb"(?=(a))a", b"a", (b"a", b"a")),
    (rb"a(?!b).", b"abac", (b"ac",)),
    (rb"(?<=a|bc)d", b"bcd", (b"d",)),
    (rb"(?<!a|bc)d", b"bcdxd", (b"d",)),
    (rb"(a)?(?(1)b|c)", b"ab", (b"ab", b"a")),
    (rb"(?<n>a)?(?(n)b|c)", b"c", (b"c", None)),
    (rb"(?<n>a)?(?(<n>)b)c", b"c", (b"c", None)),
    # references
    (rb"(a)(b)\2\1", b"abba", (b"abba", b"a", b"b")),
    (rb"(?<n>a)\k<n>\k{n}\k'n'\g{n}(?P=n)", b"aaaaaa", (b"aaaaaa", b"a")),
    (rb"(a)(b)\g{-1}\g-2\g1\g{2}", b"abbaab", (b"abbaab", b"a", b"b")),
    (rb"(a)\1{2}", b"aaa", (b"aaa", b"a")),
    (rb"(a)\12", b"a\n", (b"a\n", b"a")),
    (rb"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10", b"abcdefghijj",
     (b"abcdefghijj", *(bytes([code]) for code in b"abcdefghij"))),
    (rb"(a)|\1b", b"b", None),
    # flags
    (rb"(?i)AB", b"ab", (b"ab",)),
    (rb"a(?i)b|c", b"aB", (b"aB",)),
    (rb"a(?i)b|c", b"C", (b"C",)),
    (rb"a(?i)b|c", b"Ab", None),
    (rb"(a(?i)b)c", b"aBc", (b"aBc", b"aB")),
    (rb"(a(?i)b)c", b"aBC", None),
    (rb"(?i:a)b", b"Ab", (b"Ab",)),
    (rb"(?i:a)b", b"AB", None),
    (rb"(?i)a(?-i)b", b"AB", None),
    (rb"(?i)[^a]", b"A", None),
    (rb"(?i)[[:^upper:]]", b"a", None),
    (b"(?x) a b # comment\n c", b"abc", (b"abc",)),
    (rb"(?x)a\ b[ ]c", b"a b c", (b"a b c",)),
    (rb"(?U)a+(b+?)", b"aabb", (b"aabb", b"bb")),
    (rb"(?i)a(?^)b", b"Ab", (b"Ab",)),
    # repeats
    (rb"a{2}b{1,}c{0,1}", b"aabb", (b"aabb",)),
    (rb"a+?b*?c??", b"aabc", (b"a",)),
    (rb"(?:a{2}){2}", b"aaaa", (b"aaaa",)),
)  # fmt: skip

#: What PCRE refuses too, and at which character.
WRONG = (
    (rb"a(b", 1),
    (rb"a)b", 1),
    (rb"a[b", 1),
    (rb"[", 0),
    (rb"[]", 0),
    (rb"*a", 0),
    (rb"a|*", 2),
    (rb"a**", 2),
    (rb"^*", 1),
    (rb"a{3,2}", 1),
    (rb"a{70000}", 1),
    (rb"[z-a]", 0),
    (rb"[a-\d]", 0),
    (rb"[\w-a]", 3),
    (rb"[[:nothing:]]", 1),
    (rb"[[.a.]]", 1),
    (b"a\\", 1),
    (rb"a\y", 1),
    (rb"\u0041", 0),
    (rb"\x{100}", 0),
    (rb"\1", 0),
    (rb"(a)\2", 3),
    (rb"\k<n>", 0),
    (rb"\k", 0),
    (rb"\k1", 0),
    (rb"\c", 0),
    (b"\\c\xe9", 0),
    (rb"(?<n>a", 0),
    (rb"\g{1}", 0),
    (rb"(?<n)", 3),
    (rb"(?<1>a)", 3),
    (rb"(?z)", 0),
    (rb"(?a)", 0),
    (rb"(?#a", 0),
    (rb"(a)(?(1)b|c|d)", 11),
    (rb"\N{U+41}", 0),
    (rb"(?<=a+)b", 0),
)

#: What PCRE has and we refuse, and a word of the reason.
NOT_HERE = (
    (rb"(?R)", "recursion"),
    (rb"(a)(?1)", "recursion"),
    (rb"(?<n>a)(?&n)", "recursion"),
    (rb"(?<n>a)(?P>n)", "recursion"),
    (rb"(?<n>a)\g<n>", "recursion"),
    (rb"(?|(a)|(b))", "branch reset"),
    (rb"(*UTF8)a", "verb"),
    (rb"a(*SKIP)b", "verb"),
    (rb"(?C)a", "callout"),
    (rb"a\Kb", r"\K"),
    (rb"\Ra", r"\R"),
    (rb"\Xa", r"\X"),
    (rb"\p{L}", r"\p"),
    (rb"\Ga", r"\G"),
    (rb"\1(a)", "not complete"),
    (rb"(a\1)", "not complete"),
    (rb"(?<n>a)(?<n>b)", "second group"),
    (rb"(?(?=a)b|c)", "assertion"),
    (rb"(?(1)a|b)(c)", "no complete group"),
    (rb"(?(R)a|b)", "no complete group"),
    (rb"a{,3}", "versions differ"),
    (rb"a{ 1,2 }", "versions differ"),
)


class MatchTests(SynchronousTestCase):
    """What expressions match."""

    def test_matches(self) -> None:
        """Each expression finds what PCRE finds, for each group."""
        for text, subject, expected in MATCHES:
            match = compilePattern(text).search(subject)
            found = None if match is None else (match[0], *match.groups())
            self.assertEqual(expected, found, text)

    def test_ignoreCase(self) -> None:
        """AP_REG_ICASE holds for the whole, until the expression says otherwise."""
        pattern = compilePattern(rb"a[^b]\x43(?-i)d", ignoreCase=True)
        self.assertTrue(pattern.search(b"Axcd"))
        self.assertFalse(pattern.search(b"ABcd"))
        self.assertFalse(pattern.search(b"axcD"))

    def test_asciiCase(self) -> None:
        """Only ASCII letters have a case, as in the C locale."""
        self.assertFalse(compilePattern(rb"\xe9", ignoreCase=True).search(b"\xc9"))

    @given(st.binary())
    def test_quoted(self, text: bytes) -> None:
        """Any text between \\Q and \\E matches itself."""
        if b"\\E" not in text:
            self.assertEqual(text, compilePattern(rb"\Q" + text + rb"\E").fullmatch(text)[0])  # type: ignore[index]

    @given(st.binary(max_size=12))
    def test_anything(self, text: bytes) -> None:
        """Any bytes are an expression or a PatternError, and nothing is doubtful about it."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                compilePattern(text)
            except PatternError as error:
                self.assertLessEqual(0, error.at)
                self.assertLessEqual(error.at, len(text))


class RefusalTests(SynchronousTestCase):
    """What is refused."""

    def test_wrong(self) -> None:
        """A mistake is one, at the character that is wrong."""
        for text, at in WRONG:
            error = self.assertRaises(PatternError, compilePattern, text)
            self.assertEqual(at, error.at, text)

    def test_notHere(self) -> None:
        """What can't be done the same way is refused, with the reason."""
        for text, reason in NOT_HERE:
            error = self.assertRaises(PatternError, compilePattern, text)
            self.assertIn(reason, str(error), text)


class AtomicTests(SynchronousTestCase):
    """Atomic groups and possessive repeats, which Python has from 3.11 on."""

    TEXTS = (rb"(?>a+)b", rb"a++b", rb"a*+b", rb"a?+b", rb"a{1,2}+b")

    def test_versions(self) -> None:
        """They work where Python has them, and are refused elsewhere."""
        for text in self.TEXTS:
            if sys.version_info >= (3, 11):
                self.assertIsInstance(compilePattern(text), re.Pattern)
                self.assertTrue(compilePattern(text).search(b"ab"))
            else:
                self.assertRaises(PatternError, compilePattern, text)

    def test_nothingGivenBack(self) -> None:
        """A possessive repeat gives nothing back."""
        if sys.version_info >= (3, 11):
            self.assertIsNone(compilePattern(rb"^a++a").search(b"aaa"))
        else:
            self.assertRaises(PatternError, compilePattern, rb"^a++a")
