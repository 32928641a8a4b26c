"""
Single characters and sets of them: escapes, bracket expressions, POSIX classes.

A set is worked out to its bytes and written anew as plain ranges, so that nothing
of what ``re`` and PCRE read differently in brackets is left.  PCRE's tables are
those of the C locale, as in httpd.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

__all__ = ["SETS", "CharacterReader", "PatternError", "literal", "writeClass"]


class PatternError(ValueError):
    """
    An expression that is wrong, or that ``re`` can't do the same way.

    :ivar at: the offset in the expression.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


_ALL = frozenset(range(256))


def _ranges(text: str) -> frozenset[int]:
    """The characters of pairs of a first and a last one."""
    return frozenset(
        code for low, high in zip(text[::2], text[1::2]) for code in range(ord(low), ord(high) + 1)
    )


_DIGIT = _ranges("09")
_ALPHA = _ranges("azAZ")
_SPACE = frozenset(b" \t\n\v\f\r")

_POSIX = {
    "alnum": _DIGIT | _ALPHA,
    "alpha": _ALPHA,
    "ascii": frozenset(range(128)),
    "blank": frozenset(b" \t"),
    "cntrl": frozenset(range(32)) | {127},
    "digit": _DIGIT,
    "graph": _ranges("!~"),
    "lower": _ranges("az"),
    "print": _ranges(" ~"),
    "punct": _ranges("!~") - _DIGIT - _ALPHA,
    "space": _SPACE,
    "upper": _ranges("AZ"),
    "word": _DIGIT | _ALPHA | {ord("_")},
    "xdigit": _ranges("09afAF"),
}

#: Escapes that stand for a set, in brackets and outside.
SETS = {
    "d": _DIGIT,
    "w": _POSIX["word"],
    "s": _SPACE,
    "h": frozenset(b" \t\xa0"),
    "v": frozenset(b"\n\v\f\r\x85"),
}
SETS.update({letter.upper(): _ALL - codes for letter, codes in list(SETS.items())})

#: Escapes that stand for one character.
_NAMED = {"a": 7, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9}

#: Escapes that hold a character's code: the expression, the base.
_CODES = (
    (re.compile(r"\\x\{([0-9A-Fa-f]+)\}"), 16),
    (re.compile(r"\\x(?!\{)([0-9A-Fa-f]{0,2})"), 16),
    (re.compile(r"\\o\{([0-7]+)\}"), 8),
    (re.compile(r"\\([0-7]{1,3})"), 8),
)

_POSIX_CLASS = re.compile(r"\[([:.=])(\^?)([^\]\\]*?)\1\]")


class CharacterReader:
    """
    A place in an expression, and how to read characters from there.

    :ivar at: the offset of what is read next.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, reason: str, at: int | None = None) -> NoReturn:
        """Give up on a mistake."""
        raise PatternError(reason, self.at if at is None else at)

    def cannot(self, what: str, at: int) -> NoReturn:
        """Give up on something that PCRE has and ``re`` has not."""
        self.fail(f"{what} is not supported", at)

    def character(self) -> int:
        """One character behind a backslash: by its code, a control, or itself."""
        start = self.at
        letter = self.text[start + 1 : start + 2]
        self.at += 2
        if not letter:
            self.fail("there is a backslash at the end", start)
        if not letter.isascii() or not letter.isalnum():
            return ord(letter)
        if letter in _NAMED:
            return _NAMED[letter]
        if letter == "c":
            following = self.text[self.at : self.at + 1]
            if not following or not " " <= following <= "~":
                self.fail("a character is expected behind \\c", start)
            self.at += 1
            return ord(following.upper()) ^ 64
        for pattern, base in _CODES:
            match = pattern.match(self.text, start)
            if match is not None:
                self.at = match.end()
                code = int(match[1] or "0", base)
                if code > 255:
                    self.fail("a character beyond one byte", start)
                return code
        if letter in "GKPRXp":
            self.cannot(f"\\{letter}", start)
        raise PatternError(f"\\{letter} has no meaning", start)

    def quoted(self, take: Callable[[int], object]) -> None:
        """What follows ``\\Q``, up to ``\\E``."""
        end = self.text.find("\\E", self.at)
        stop = len(self.text) if end < 0 else end
        for character in self.text[self.at : stop]:
            take(ord(character))
        self.at = stop if end < 0 else stop + 2

    def bracket(self, ignoreCase: bool) -> str:
        """``[...]`` as ``re`` writes it."""
        text, start = self.text, self.at
        self.at += 1
        negated = text.startswith("^", self.at)
        self.at += negated
        codes: set[int] = set()
        low: int | None = None  # what a range may begin with
        first = self.at
        while self.at == first or not text.startswith("]", self.at):
            if low is not None and text.startswith("-", self.at) and text[self.at + 1 :][:1] != "]":
                self.at += 1
                high = self._member(start, ignoreCase)
                if not isinstance(high, int):
                    self.fail("a range can't end with a set", start)
                if high < low:
                    self.fail("a range is out of order", start)
                codes.update(range(low, high + 1))
                low = None
                continue
            item = self._member(start, ignoreCase)
            if isinstance(item, int):
                codes.add(item)
                low = item
            elif item is not None:
                codes |= item
                low = None
                if text.startswith("-", self.at) and not text.startswith("-]", self.at):
                    self.fail("a range can't begin with a set")
        self.at += 1
        return writeClass(frozenset(codes), negated)

    def _member(self, start: int, ignoreCase: bool) -> int | frozenset[int] | None:
        """One character or one set in brackets; ``None`` for nothing at all."""
        text, at = self.text, self.at
        if at >= len(text):
            self.fail("a bracket is not closed", start)
        if text[at] == "[" and (match := _POSIX_CLASS.match(text, at)) is not None:
            return self._posix(match, ignoreCase)
        if text[at] != "\\":
            self.at += 1
            return ord(text[at])
        letter = text[at + 1 : at + 2]
        if letter in SETS:
            self.at += 2
            return SETS[letter]
        if letter == "Q":
            self.at += 2
            quoted: set[int] = set()
            self.quoted(quoted.add)
            return frozenset(quoted) or None
        if letter and letter in "bE89":
            self.at += 2
            return {"b": 8, "E": None}.get(letter, ord(letter))
        return self.character()

    def _posix(self, match: re.Match[str], ignoreCase: bool) -> frozenset[int]:
        """``[:name:]`` in brackets."""
        kind, negated, name = match.groups()
        if kind != ":" or name not in _POSIX:
            self.fail(f"{match[0]} is no class of characters")
        if ignoreCase and name in ("lower", "upper"):
            name = "alpha"
        self.at = match.end()
        return _ALL - _POSIX[name] if negated else _POSIX[name]


def literal(code: int) -> str:
    """One character outside brackets."""
    character = chr(code)
    if character.isascii() and (character.isalnum() or character in "_-/ :,;=%&~@!<>'\""):
        return character
    return f"\\{character}" if 32 < code < 127 else f"\\x{code:02x}"


def writeClass(codes: frozenset[int], negated: bool = False) -> str:
    """A bracket expression of ranges."""
    if not codes:
        return r"[\x00-\xff]" if negated else "(?!)"
    pieces: list[str] = []
    run: list[int] = []
    for code in [*sorted(codes), -1]:
        if run and code == run[-1] + 1:
            run.append(code)
            continue
        if len(run) > 2:
            pieces.append(f"{_inClass(run[0])}-{_inClass(run[-1])}")
        else:
            pieces += map(_inClass, run)
        run = [code]
    return ("[^" if negated else "[") + "".join(pieces) + "]"


def _inClass(code: int) -> str:
    character = chr(code)
    if character.isascii() and (character.isalnum() or character in "_/ :,;=%@!<>'\"."):
        return character
    return f"\\x{code:02x}"
