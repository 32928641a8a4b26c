"""Tests for :mod:`twisted_fcgi.config.words`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twisted_fcgi.config.source import Line, Mark, SourceFile
from twisted_fcgi.config.words import Word, getWord, splitWords

__all__ = ["GetWordTests", "WordTests"]

#: Lines and their words, as httpd's ap_getword_conf takes them.
CASES = (
    ("", []),
    ("a", ["a"]),
    ("a b", ["a", "b"]),
    ("a\t\v\f b  ", ["a", "b"]),
    ('"a b" c', ["a b", "c"]),
    ("'a b' c", ["a b", "c"]),
    ('""', [""]),
    ('"" a', ["", "a"]),
    ('a ""', ["a", ""]),
    ('"a"b', ["a", "b"]),
    ('"a""b"', ["a", "b"]),
    ('a"b c"', ['a"b', 'c"']),
    ('"it\'s"', ["it's"]),
    (r'"a\"b"', ['a"b']),
    (r"'a\'b'", ["a'b"]),
    (r"'a\"b'", [r"a\"b"]),
    (r'"a\\"', ["a\\"]),
    (r'"a\\\"b"', ['a\\"b']),
    (r'"\n\t\x"', [r"\n\t\x"]),
    (r"a\ b", ["a\\", "b"]),
    (r"a\\b", ["a\\b"]),
    (r"a\\\\b", [r"a\\b"]),
    (r"a\"b", [r"a\"b"]),
    ("a\\", ["a\\"]),
    ('"never closed', ["never closed"]),
    (r'"never closed\"', ['never closed"']),
    ('"never closed\\', ["never closed\\"]),
    ("#a b", ["#a", "b"]),
    ("a\u00a0b\u2003c", ["a\u00a0b\u2003c"]),
    ('"caf\u00e9"', ["caf\u00e9"]),
)


def lineOf(text: str) -> Line:
    """A line that stands alone in its file."""
    return Line(SourceFile.fromText("f", text), text, (Mark(0, 1, 1),))


class GetWordTests(SynchronousTestCase):
    """Tests for :func:`getWord` and :func:`splitWords`."""

    def test_words(self) -> None:
        """Quotes, backslashes and white space mean what they mean to httpd."""
        for text, words in CASES:
            self.assertEqual(words, [str(word) for word in splitWords(lineOf(text))], text)

    def test_end(self) -> None:
        """Nothing behind a given end is read, not even the quote that closes a word."""
        line = lineOf('"a b" c')
        self.assertEqual(["a "], splitWords(line, 0, 3))

    def test_none(self) -> None:
        """At the end of a line there is an empty word."""
        line = lineOf("a  ")
        word, at = getWord(line)
        self.assertEqual(("a", 3), (word, at))
        self.assertEqual(("", 3), getWord(line, at))

    @given(st.lists(st.text(st.characters(blacklist_characters="\0\n"), min_size=1)))
    def test_quotedRoundTrip(self, words: list[str]) -> None:
        """What is quoted with its backslashes and quotes escaped comes back, whatever it is."""
        quoted = ['"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words]
        line = lineOf(" ".join(quoted))
        self.assertEqual(words, [str(word) for word in splitWords(line)])

    @given(st.text(st.sampled_from("ab\\\"' \t")))
    def test_places(self, text: str) -> None:
        """The place of each character of a word is that in the line, of its backslash if any."""
        for word in splitWords(lineOf(text)):
            for index, character in enumerate(word):
                offset = word.offset(index)
                escaped = text[offset] == "\\" and text[offset + 1 : offset + 2] == character
                self.assertTrue(escaped or text[offset] == character)


class WordTests(SynchronousTestCase):
    """Tests for :class:`Word`."""

    def word(self, text: str) -> Word:
        """The first word of a line."""
        return getWord(lineOf(text))[0]

    def test_error(self) -> None:
        """A mistake stands at the character of the file that is wrong, behind escapes too."""
        error = self.word(r'"a\\b\"c"').error("wrong", index=4)
        self.assertEqual(("wrong", 1, 8), (error.message, error.line, error.column))

    def test_part(self) -> None:
        """A piece of a word knows its own place."""
        part = self.word(r'"a\"key=value"').part(2, 5)
        self.assertEqual("key", part)
        self.assertEqual(5, part.error("").column)

    def test_partitioned(self) -> None:
        """The first separator splits; without one there is no second part."""
        self.assertEqual(("a", "b=c"), self.word("a=b=c").partitioned("="))
        self.assertEqual(("a", ""), self.word("a=").partitioned("="))
        self.assertEqual(("a", None), self.word("a").partitioned("="))
