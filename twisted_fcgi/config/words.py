"""
A line's words, by the rules of httpd's ``ap_getword_conf``.

- A word may stand in ``"`` or ``'``; inside, a backslash escapes the quote and
  itself; before anything else it stays.
- Outside quotes only a doubled backslash is special, and quotes mean nothing
  in the middle of a word.
- A quote that is never closed reaches to the line's end; what follows a
  closing quote is the next word, with or without a space.
"""

from __future__ import annotations

import re
from typing import TypeVar

from twisted_fcgi.config.source import SPACE, Line
from twisted_fcgi.errors import ConfigurationError

__all__ = ["Word", "getWord", "splitWords"]

_WORD = re.compile(
    rf"""[{SPACE}]*(?:
          "(?P<double>(?:[^"\\]|\\["\\]|\\)*)"?
        | '(?P<single>(?:[^'\\]|\\['\\]|\\)*)'?
        | (?P<plain>[^{SPACE}]+)
    )?[{SPACE}]*""",
    re.VERBOSE,
)
_ESCAPED = {
    "double": re.compile(r'\\(["\\])'),
    "single": re.compile(r"\\(['\\])"),
    "plain": re.compile(r"\\(\\)"),
    "raw": re.compile(r"(?!)"),
}

_W = TypeVar("_W", bound="Word")


class Word(str):
    """
    A word of a configuration line that remembers its place.

    :ivar line: the line that it stands in.
    :ivar start: the offset of its first character there, behind the quote.
    :ivar end: the offset behind its last character, before the quote.
    :ivar kind: how it is quoted: ``double``, ``single``, ``plain``, or ``raw``, where a
        backslash is nothing special.
    """

    __slots__ = ("end", "kind", "line", "start")

    line: Line
    start: int
    end: int
    kind: str

    @classmethod
    def make(cls: type[_W], text: str, line: Line, start: int, end: int, kind: str = "plain") -> _W:
        """Make a word with its place."""
        word = cls(text)
        word.line = line
        word.start = start
        word.end = end
        word.kind = kind
        return word

    def offset(self, index: int) -> int:
        """Where the character at ``index`` stands in the line, escapes counted."""
        offset = self.start
        raw = self.line.text[self.start : self.end]
        for escape in _ESCAPED[self.kind].finditer(raw):
            if escape.start() + self.start >= offset + index:
                break
            offset += 1
        return min(offset + index, self.end)

    def part(self, start: int, end: int | None = None) -> Word:
        """A piece of this word, with its place."""
        end = len(self) if end is None else end
        text = str(self)[start:end]
        return Word.make(text, self.line, self.offset(start), self.offset(end), self.kind)

    def partitioned(self, separator: str) -> tuple[Word, Word | None]:
        """Split at the first ``separator``; the second is ``None`` when there is none."""
        at = self.find(separator)
        if at < 0:
            return self, None
        return self.part(0, at), self.part(at + len(separator))

    @property
    def place(self) -> str:
        """Its file and number, for people."""
        return f"{self.line.file.name}:{self.line.place(self.start)[0]}"

    def error(self, message: str, hint: str = "", index: int = 0) -> ConfigurationError:
        """A mistake in this word, at one of its characters."""
        return self.line.error(message, self.offset(index), hint)


def getWord(line: Line, at: int = 0, end: int | None = None) -> tuple[Word, int]:
    """
    The next word of a line.

    :param at: where to look.
    :param end: where the line ends for this purpose.
    :returns: the word, empty when there is none (or it is ``""``), and the
        offset of what follows it and its white space.
    """
    text = line.text
    end = len(text) if end is None else end
    match = _WORD.match(text, at, end)
    assert match is not None  # it matches the empty text
    kind = match.lastgroup
    if kind is None:
        return Word.make("", line, match.end(), match.end()), match.end()
    word = match[kind]
    if "\\" in word:
        word = _ESCAPED[kind].sub(r"\1", word)
    return Word.make(word, line, match.start(kind), match.end(kind), kind), match.end()


def splitWords(line: Line, at: int = 0, end: int | None = None) -> list[Word]:
    """All words from ``at`` on, empty ones in quotes included."""
    words = []
    end = len(line.text) if end is None else end
    while at < end:
        word, at = getWord(line, at, end)
        words.append(word)
    return words
