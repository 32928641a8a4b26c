"""Tests for :mod:`twisted_fcgi.config.source`."""

from __future__ import annotations

from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config import source
from twisted_fcgi.config.source import Line, SourceFile, decode, encode, logicalLines
from twisted_fcgi.errors import ConfigurationError

__all__ = ["EncodingTests", "LogicalLinesTests"]


def linesOf(text: str) -> list[Line]:
    """The logical lines of a text."""
    return list(logicalLines(SourceFile.fromText("f", text)))


class LogicalLinesTests(SynchronousTestCase):
    """Tests for :func:`logicalLines`."""

    def texts(self, text: str) -> list[str]:
        """The lines' texts."""
        return [line.text for line in linesOf(text)]

    def test_trimmed(self) -> None:
        """White space around a line is dropped; empty lines and comments are left out."""
        self.assertEqual(["a  b", "c"], self.texts("\n  a  b \t\n \t \n  # no\n#no\n\fc\v\r\n"))

    def test_unicodeSpaceStays(self) -> None:
        """Only what C takes for white space is dropped."""
        self.assertEqual(["\u00a0a\u2028b\x85"], self.texts("\u00a0a\u2028b\x85"))

    def test_continuation(self) -> None:
        """A backslash right before the line's end joins it with the next one."""
        self.assertEqual(["ab", "c"], self.texts("a\\\nb\nc"))
        self.assertEqual(["a   b"], self.texts("a \\\n  b"))
        self.assertEqual(["abc"], self.texts("a\\\r\nb\\\nc\r\n"))

    def test_noContinuation(self) -> None:
        """A backslash anywhere else, or at the end of the file, joins nothing."""
        self.assertEqual(["a\\", "b"], self.texts("a\\ \nb"))
        self.assertEqual(["a\\"], self.texts("a\\"))

    def test_doubledBackslash(self) -> None:
        """As in httpd, a second backslash before it makes no difference."""
        self.assertEqual(["a\\b"], self.texts("a\\\\\nb"))

    def test_continuedComment(self) -> None:
        """A comment goes on as any other line does."""
        self.assertEqual(["b"], self.texts("# a \\\n still\nb"))

    def test_commentInTheMiddle(self) -> None:
        """Only a line that begins with # is a comment."""
        self.assertEqual(["a # b"], self.texts("a # b"))
        self.assertEqual(["a # b"], self.texts("a \\\n# b"))

    def test_places(self) -> None:
        """Each character of a line knows where it came from."""
        text = "  one \\\n   two\\\n\\\nthree\n four"
        physical = text.split("\n")
        for line in linesOf(text):
            for offset, character in enumerate(line.text):
                number, column = line.place(offset)
                self.assertEqual(character, physical[number - 1][column - 1])

    @given(st.text(st.sampled_from("ab #\\\n\r\t"), max_size=60))
    def test_placesOfAnything(self, text: str) -> None:
        """They do, however a file is written."""
        physical = text.split("\n")
        for line in linesOf(text):
            for offset, character in enumerate(line.text):
                number, column = line.place(offset)
                self.assertEqual(character, physical[number - 1][column - 1])

    def test_nul(self) -> None:
        """A NUL, at which httpd would stop reading the line, is a mistake."""
        error = self.assertRaises(ConfigurationError, linesOf, "a\nb\0c")
        self.assertEqual(2, error.line)

    def test_tooLong(self) -> None:
        """A line beyond the limit is a mistake, joined ones too."""
        with mock.patch.object(source, "MAX_LINE", 10):
            self.assertEqual(["a" * 10], self.texts("a" * 10))
            self.assertRaises(ConfigurationError, linesOf, "a" * 11)
            self.assertRaises(ConfigurationError, linesOf, "aaaa\\\n" * 3)


class EncodingTests(SynchronousTestCase):
    """Tests for :func:`decode` and :func:`encode`."""

    @given(st.binary())
    def test_roundTrip(self, data: bytes) -> None:
        """Any file can be read, and its bytes come back."""
        self.assertEqual(data, encode(decode(data)))
