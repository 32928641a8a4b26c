"""Tests for :mod:`twisted_fcgi.config.values`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.config.test_words import lineOf
from twisted_fcgi.config.values import (
    AddressPort,
    addressPort,
    isEndpoint,
    keyValues,
    looseDuration,
    looseInteger,
    pattern,
    strictDuration,
)
from twisted_fcgi.config.words import Word, splitWords
from twisted_fcgi.errors import ConfigurationError

__all__ = ["AddressTests", "NumberTests", "PatternTests"]


class NumberTests(SynchronousTestCase):
    """Tests for numbers and durations."""

    def setUp(self) -> None:
        self.notices: list[str] = []

    def warn(self, word: Word, message: str) -> None:
        """Keep a notice."""
        self.notices.append(message)

    def word(self, text: str) -> Word:
        """A word in quotes."""
        return splitWords(lineOf(f'"{text}"'))[0]

    def test_integers(self) -> None:
        """A number is read as C's atoi reads it."""
        for text, number in (("5", 5), ("-5", -5), ("+5", 5), (" 5", 5), ("007", 7)):
            self.assertEqual(number, looseInteger(self.word(text), self.warn), text)
        self.assertEqual([], self.notices)

    def test_looseIntegers(self) -> None:
        """What atoi does not look at is worth a notice."""
        for text, number in (("5x", 5), ("x", 0), ("", 0), ("1.5", 1), ("\u0665", 0)):
            self.notices = []
            self.assertEqual(number, looseInteger(self.word(text), self.warn), text)
            self.assertEqual([f"{text!r} is read as {number}"], self.notices)

    def test_strictDurations(self) -> None:
        """A duration is read as ap_timeout_parameter_parse reads it."""
        for text, unit, seconds in (
            ("5", "s", 5),
            ("5", "ms", 0.005),
            ("5s", "ms", 5),
            ("5MS", "s", 0.005),
            ("5mi", "s", 300),
            ("5min", "s", 300),
            ("2hours", "s", 7200),
            ("5sx", "s", 5),
            ("s", "s", 0),
            ("", "s", 0),
            ("5m", "s", None),
            ("5x", "s", None),
            ("-1", "s", None),
            ("1.5", "s", None),
            ("99999999999999999999", "s", None),
        ):
            self.assertEqual(seconds, strictDuration(text, unit), text)

    def test_looseDurations(self) -> None:
        """Where httpd reads seconds with atoi, a unit counts."""
        for text, unit, seconds in (
            ("5", "s", 5),
            ("600ms", "s", 0.6),
            ("2min", "s", 120),
            ("20", "ms", 0.02),
            ("1s", "ms", 1),
        ):
            self.assertEqual(seconds, looseDuration(self.word(text), unit, self.warn), text)
        self.assertEqual([], self.notices)
        self.assertEqual(5, looseDuration(self.word("5x"), "s", self.warn))
        self.assertEqual(0, looseDuration(self.word("x"), "s", self.warn))
        self.assertEqual(["'5x' is read as 5", "'x' is read as 0"], self.notices)

    def test_keyValues(self) -> None:
        """A parameter is split at its first equals sign; without one it is a mistake."""
        words = splitWords(lineOf('a=1 "b=two words" c==d e='))
        expected = [("a", "1"), ("b", "two words"), ("c", "=d"), ("e", "")]
        self.assertEqual(expected, keyValues(words))
        self.assertRaises(ConfigurationError, keyValues, splitWords(lineOf("a=1 b")))


class AddressTests(SynchronousTestCase):
    """Tests for addresses."""

    def test_addresses(self) -> None:
        """The forms of apr_parse_addr_port are told apart."""
        for text, expected in (
            ("80", AddressPort(None, 80)),
            ("*:80", AddressPort("*", 80)),
            ("1.2.3.4", AddressPort("1.2.3.4", None)),
            ("1.2.3.4:80", AddressPort("1.2.3.4", 80)),
            ("[::1]:80", AddressPort("::1", 80)),
            ("[::1]", AddressPort("::1", None)),
            ("example.org:80", AddressPort("example.org", 80)),
        ):
            self.assertEqual(expected, addressPort(text), text)

    def test_noAddresses(self) -> None:
        """What is no address is none."""
        for text in (
            *("", "0", "65536", "1.2.3.4:0", "1.2.3.4:65536", "1.2.3:80", "1.2.3.400"),
            *("[::1", "[1.2.3.4]:80", "[::g]", "::1", ":80", "a b", "a:b", "a:80:90", "\u0661"),
        ):
            self.assertIsNone(addressPort(text), text)

    def test_endpoints(self) -> None:
        """A Twisted endpoint description is none of httpd's addresses."""
        for text in ("tcp:80", "tcp6:80", "ssl:443:privateKey=x", "unix:/x", "systemd:domain=INET"):
            self.assertTrue(isEndpoint(text), text)
        for text in ("80", "localhost:80", "1.2.3.4:80", "[::1]:80", "*:80", "/x"):
            self.assertFalse(isEndpoint(text), text)


class PatternTests(SynchronousTestCase):
    """Tests for :func:`pattern`."""

    def test_place(self) -> None:
        """A mistake stands at its character, behind characters of several bytes too."""
        word = splitWords(lineOf('x "caf\u00e9 (a"'))[1]
        error = self.assertRaises(ConfigurationError, pattern, word)
        self.assertEqual(11, error.column)
        self.assertIn("missing closing parenthesis", error.message)

    def test_bytes(self) -> None:
        """An expression is one of bytes, those of the file."""
        compiled = pattern(splitWords(lineOf("^\u00e9.$"))[0])
        self.assertIsNotNone(compiled.search(b"\xc3\xa9\n"))
