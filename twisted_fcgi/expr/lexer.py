"""
Text of an expression to tokens.

httpd's language changes its alphabet within one line: outside of quotes there are
words and operators, inside of quotes and of ``%{function:`` there is text with
``%{...}``, ``$1`` and escapes in it, and after ``/`` or ``m#`` a regular
expression.  So the lexer keeps a stack of modes, and a mode is the method that
reads the next token.

Where two words could begin at the same place the longer one wins, as in httpd:
``match`` is a name although ``m,`` begins a regular expression.

Limits: :data:`MAX_LENGTH` bytes, and :data:`MAX_DEPTH` for what nests, here as in the
parser, so that neither it nor evaluation can run out of stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "ExpressionError", "Token", "tokens"]

#: httpd's line limit (MAX_STRING_LEN).
MAX_LENGTH = 8192

#: httpd stops at run time, at 20 (AP_EXPR_MAX_RECURSION); ours is met when it is parsed.
MAX_DEPTH = 64


class ExpressionError(Exception):
    """
    An expression that can't be understood.

    :ivar message: what is wrong, and what would have been right.
    :ivar column: where, from 1.
    """

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column})")
        self.message = message
        self.column = column


class Token(NamedTuple):
    """
    One token.

    :ivar kind: one of the kinds below, or a punctuation character itself.
    :ivar text: what it says; of a regular expression, the expression.
    :ivar column: where it begins, from 1.
    :ivar flags: of a regular expression.
    """

    kind: str
    text: bytes
    column: int
    flags: bytes = b""


# Words that are operators, and the kind of token that they make.  They are
# compared with their case, as httpd does.
_OPERATORS = {
    b"and": "and", b"&&": "and", b"or": "or", b"||": "or", b"not": "not", b"!": "not",
    b".": "concat", b"in": "in", b"-in": "in", b"true": "true", b"false": "false",
    b"=~": "match", b"!~": "match",
}  # fmt: skip
_COMPARISONS = {
    **{sign: sign for sign in (b"==", b"!=", b"<", b"<=", b">", b">=")},
    b"=": b"==",
    **{dash + word: word for word in (b"eq", b"ne", b"lt", b"le", b"gt", b"ge")
       for dash in (b"", b"-")},
}  # fmt: skip

_SPACE = re.compile(rb"[ \t\n]*")
_WORD = re.compile(rb"[a-zA-Z][a-zA-Z0-9_]*")
_DASHED = re.compile(rb"-[a-zA-Z_][a-zA-Z0-9_]*")
_DIGITS = re.compile(rb"-?[0-9]+")
_SIGN = re.compile(rb"&&|\|\||==|=~|!=|!~|<=|>=|[=<>!.]")
_MATCH = re.compile(rb"m([/#$%^,;:_?|\-!.'\"])")
_BACKREF = re.compile(rb"\$[0-9]")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


class _Lexer:
    """Reads one expression; ``mode`` is the method for the next token."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0
        self._modes: list[Callable[[], Token | None]] = []
        self._quotes: list[bytes] = []

    def run(self, mode: Callable[[_Lexer], Token | None]) -> Iterator[Token]:
        self._modes.append(mode.__get__(self))
        while True:
            token = self._modes[-1]()
            if token is not None:
                yield token
                if token.kind == "end":
                    return

    def _fail(self, message: str, at: int | None = None) -> ExpressionError:
        return ExpressionError(message, (self._at if at is None else at) + 1)

    def _take(self, kind: str, size: int, text: bytes | None = None) -> Token:
        """A token of so many bytes."""
        at = self._at
        self._at = at + size
        return Token(kind, self._text[at : self._at] if text is None else text, at + 1)

    def _push(self, mode: Callable[[], Token | None]) -> None:
        if len(self._modes) >= MAX_DEPTH:
            raise self._fail(f"nested more than {MAX_DEPTH} deep")
        self._modes.append(mode)

    def words(self) -> Token | None:
        """Outside of quotes: words, operators, and the beginnings of all else."""
        text = self._text
        space = _SPACE.match(text, self._at)
        assert space is not None
        at = self._at = space.end()
        rest = text[at : at + 2]
        if not rest:
            return self._take("end", 0)
        if word := _WORD.match(text, at):
            if (start := _MATCH.match(text, at)) and word.end() <= start.end():
                return self._regex(start.group(1), 2)
            return self._named(word.group())
        if dashed := _DASHED.match(text, at):
            return self._named(dashed.group())
        if digits := _DIGITS.match(text, at):
            return self._take("digits", len(digits.group()))
        if sign := _SIGN.match(text, at):
            return self._named(sign.group())
        if rest[:1] in b"'\"":
            self._quotes.append(rest[:1])
            self._push(self.quoted)
            return self._take("quote", 1)
        if rest == b"%{":
            self._push(self.variable)
            return self._take("%{", 2)
        if _BACKREF.match(text, at):
            return self._take("backref", 2)
        if rest[:1] == b"/":
            return self._regex(b"/", 1)
        if rest[:1] in b"(){},":
            return self._take(rest[:1].decode(), 1)
        raise self._fail(f"unexpected {rest[:1].decode('latin-1')!r}")

    def _named(self, word: bytes) -> Token:
        if word in _OPERATORS:
            return self._take(_OPERATORS[word], len(word))
        if word in _COMPARISONS:
            return self._take("compare", len(word), _COMPARISONS[word])
        if word.startswith(b"-"):
            return self._take("unary" if len(word) == 2 else "binary", len(word))
        return self._take("name", len(word))

    def _regex(self, stop: bytes, size: int) -> Token:
        begin = self._at + size
        end = self._text.find(stop, begin)
        if end < 0:
            raise self._fail(f"the regular expression has no closing {stop.decode()!r}")
        flags = b"i" if self._text[end + 1 : end + 2] == b"i" else b""
        token = Token("regex", self._text[begin:end], self._at + 1, flags)
        self._at = end + 1 + len(flags)
        return token

    def quoted(self) -> Token | None:
        """Inside of quotes; they nest by way of ``%{...}`` only."""
        token = self._part(self._quotes[-1])
        if token is not None:
            return token
        if self._at == len(self._text):
            raise self._fail("the string has no closing quote")
        self._modes.pop()
        self._quotes.pop()
        return self._take("unquote", 1)

    def text(self) -> Token | None:
        """A whole expression that is a string: to the end."""
        return self._part(b"") or self._take("end", 0)

    def argument(self) -> Token | None:
        """Behind ``%{function:``, to the closing brace."""
        token = self._part(b"}")
        if token is not None:
            return token
        if self._at == len(self._text):
            raise self._fail("the variable has no closing '}'")
        self._modes.pop()
        return self._take("}", 1)

    def _part(self, stop: bytes) -> Token | None:
        """The next part of a text with variables in it; ``None`` at ``stop`` or the end."""
        text, begin = self._text, self._at
        parts: list[bytes] = []
        while (at := self._at) < len(text):
            char = text[at : at + 1]
            special = char == stop or text[at : at + 2] == b"%{" or _BACKREF.match(text, at)
            if special:
                break
            if char == b"\n":
                raise self._fail("a line ends inside of a string or variable")
            escape = _ESCAPE.match(text, at)
            if escape is None and char == b"\\":
                raise self._fail("a backslash at the end")
            parts.append(char if escape is None else self._unescaped(escape))
            self._at = at + 1 if escape is None else escape.end()
        if parts:
            return Token("text", b"".join(parts), begin + 1)
        if at == len(text) or char == stop:
            return None
        if char == b"%":
            self._push(self.variable)
            return self._take("%{", 2)
        return self._take("backref", 2)

    def _unescaped(self, escape: re.Match[bytes]) -> bytes:
        octal, char = escape.groups()
        if octal is None:
            if char in b"89":
                raise self._fail("a character escape has octal digits only")
            return _ESCAPED.get(char, char)
        value = int(octal, 8)
        if not 0 < value < 256:
            raise self._fail("a character escape is \\1 to \\377")
        return bytes((value,))

    def variable(self) -> Token | None:
        """Behind ``%{``: a name, then ``}``, or ``:`` and an argument."""
        if name := _WORD.match(self._text, self._at):
            return self._take("name", len(name.group()))
        char = self._text[self._at : self._at + 1]
        if char == b":":
            if self._text[self._at + 1 : self._at + 2] == b"}":
                raise self._fail("the function has no argument", self._at + 1)
            self._modes[-1] = self.argument
        elif char == b"}":
            self._modes.pop()
        elif not char:
            raise self._fail("the variable has no closing '}'")
        else:
            raise self._fail(f"unexpected {char.decode('latin-1')!r} in the name of a variable")
        return self._take(char.decode(), 1)


def tokens(text: bytes, *, string: bool = False) -> Iterator[Token]:
    """
    The tokens of an expression; the last one is of the kind ``end``.

    :param string: whether it is a text with variables in it, rather than a condition.
    :raises ExpressionError: while it is iterated.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"longer than {MAX_LENGTH} bytes", MAX_LENGTH + 1)
    return _Lexer(text).run(_Lexer.text if string else _Lexer.words)
