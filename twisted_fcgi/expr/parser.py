"""
Tokens to closures.

Recursive descent; the order of the methods is the precedence, loosest first, as
in httpd's grammar: ``||``, ``&&``, ``!``, comparison, concatenation, word; so
``!`` takes in the whole comparison behind it.

What comes out is a function of a :class:`~twisted_fcgi.expr.context.Context`:
a :data:`~twisted_fcgi.expr.context.Condition` or a
:data:`~twisted_fcgi.expr.context.Word`.  An expression is compiled once, when
the configuration is read; constant parts cost nothing later.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from twisted_fcgi.errors import nearest
from twisted_fcgi.expr.context import Condition, Context, MatchGivenUp, Operand, Word
from twisted_fcgi.expr.functions import FUNCTIONS
from twisted_fcgi.expr.lexer import MAX_DEPTH, ExpressionError, Token, tokens
from twisted_fcgi.expr.operators import BINARY, UNARY
from twisted_fcgi.expr.variables import VARIABLES
from twisted_fcgi.pcre import Match, Pattern, PatternError, compilePattern, searchFailures

__all__ = ["compileCondition", "compileString"]

T = TypeVar("T")

_ORDERS: dict[bytes, Callable[[Any, Any], bool]] = {
    b"eq": operator.eq, b"ne": operator.ne, b"lt": operator.lt,
    b"le": operator.le, b"gt": operator.gt, b"ge": operator.ge,
    b"==": operator.eq, b"!=": operator.ne, b"<": operator.lt,
    b"<=": operator.le, b">": operator.gt, b">=": operator.ge,
}  # fmt: skip

_INTEGER = re.compile(rb"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_LARGEST = 2**63 - 1

_NAMES = {"end": "the end", "regex": "an empty regular expression"}


def integer(text: bytes) -> int:
    """
    A word as a number, as C's ``strtoll`` reads it: leading digits, else 0.
    """
    match = _INTEGER.match(text)
    return 0 if match is None else max(-_LARGEST - 1, min(_LARGEST, int(match.group(1))))


class _Parser:
    """
    Reads one expression; ``current`` is the token that is looked at.

    :param restricted: whether functions that read files are refused, and what expressions
        cost is bounded.
    """

    def __init__(self, stream: Iterator[Token], restricted: bool) -> None:
        self._stream = stream
        self._restricted = restricted
        self._depth = 0
        self.current = next(stream)

    def take(self, kind: str) -> Token | None:
        """The current token if it is of this kind, and go on to the next."""
        token = self.current
        if token.kind != kind:
            return None
        if kind != "end":
            self.current = next(self._stream)
        return token

    def expect(self, kind: str, what: str) -> Token:
        """The current token, which has to be of this kind."""
        token = self.take(kind)
        if token is None:
            raise self.unexpected(what)
        return token

    def unexpected(self, what: str) -> ExpressionError:
        token = self.current
        found = token.text.decode("latin-1")
        found = repr(found) if found else _NAMES.get(token.kind, token.kind)
        return ExpressionError(f"expected {what}, got {found}", token.column)

    def inside(self, read: Callable[[], T]) -> T:
        """Read what stands one deeper."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"nested more than {MAX_DEPTH} deep", self.current.column)
        result = read()
        self._depth -= 1
        return result

    # Conditions, loosest first.

    def condition(self) -> Condition:
        terms = [self.conjunction()]
        while self.take("or"):
            terms.append(self.conjunction())
        if len(terms) == 1:
            return terms[0]
        return lambda context: any(term(context) for term in terms)

    def conjunction(self) -> Condition:
        terms = [self.negation()]
        while self.take("and"):
            terms.append(self.negation())
        if len(terms) == 1:
            return terms[0]
        return lambda context: all(term(context) for term in terms)

    def negation(self) -> Condition:
        if not self.take("not"):
            return self.primary()
        inner = self.inside(self.negation)
        return lambda context: not inner(context)

    def primary(self) -> Condition:
        if self.take("true"):
            return lambda context: True
        if self.take("false"):
            return lambda context: False
        if self.take("("):
            inner = self.inside(self.condition)
            self.expect(")", "')'")
            return inner
        if token := self.take("unary"):
            return self.unary(token)
        return self.comparison()

    def unary(self, token: Token) -> Condition:
        row = UNARY.get(token.text)
        if row is None:
            raise _unknown("unary operator", token, UNARY)
        column = self.current.column
        return _prepared(row.prepare, self.word(), column)

    def comparison(self) -> Condition:
        left = self.word()
        token = self.current
        if self.take("compare"):
            return self.ordering(token, left.evaluate, self.word().evaluate)
        if self.take("in"):
            return self.membership(left.evaluate)
        if self.take("match"):
            return self.matching(left.evaluate, token.text == b"=~")
        if self.take("binary"):
            row = BINARY.get(token.text.lower())
            if row is None:
                raise _unknown("binary operator", token, BINARY)
            column = self.current.column
            return _prepared(row.prepare, self.word(), column, left.evaluate)
        raise self.unexpected("a comparison behind the word")

    def ordering(self, token: Token, left: Word, right: Word) -> Condition:
        order = _ORDERS[token.text.lstrip(b"-")]
        isNumeric = token.text.strip(b"-").isalpha()

        def isOrdered(context: Context) -> bool:
            # httpd's compilers begin with the right side, and Vary shows it.
            upper, lower = right(context), left(context)
            if isNumeric:
                return bool(order(integer(lower), integer(upper)))
            return bool(order(lower, upper))

        return isOrdered

    def membership(self, left: Word) -> Condition:
        if self.current.kind == "name":
            raise ExpressionError("there is no function that makes a list", self.current.column)
        self.expect("{", "'{' and a list of words")
        words = [self.word().evaluate]
        while self.take(","):
            words.append(self.word().evaluate)
        self.expect("}", "',' or '}'")
        words.reverse()  # httpd begins with the last, and Vary shows it

        def isIn(context: Context) -> bool:
            needle = left(context)
            return any(needle == word(context) for word in words)

        return isIn

    def matching(self, left: Word, wanted: bool) -> Condition:
        token = self.expect("regex", "a regular expression, as /.../ or m#...#")
        try:
            pattern = compilePattern(
                token.text, ignoreCase=bool(token.flags), restricted=self._restricted
            )
        except PatternError as error:
            raise ExpressionError(f"bad regular expression: {error}", token.column) from None
        search = _bounded(pattern)
        if not pattern.groups:
            # httpd keeps $0 to $9 as they are when the expression has no groups.
            return lambda context: (search(left(context)) is not None) is wanted

        def matches(context: Context) -> bool:
            context.match = search(left(context))
            return (context.match is not None) is wanted

        return matches

    # Words.

    def word(self) -> Operand:
        parts = [self.atom()]
        while self.take("concat"):
            parts.append(self.atom())
        return _joined(parts)

    def atom(self) -> Operand:
        token = self.current
        if self.take("digits"):
            return Operand.ofConstant(token.text)
        if self.take("%{"):
            return self.variable()
        if self.take("backref"):
            return _backref(token)
        if self.take("quote"):
            text = self.string()
            self.expect("unquote", "a closing quote")
            return text
        if self.take("name"):
            self.expect("(", "'(' behind a function's name")
            argument = self.inside(self.word)
            self.expect(")", "')'")
            return self.call(token, argument)
        raise self.unexpected("a word: a string in quotes, a number, %{...} or a function")

    def string(self) -> Operand:
        """Text with variables in it, up to what is none of these."""
        parts = []
        while True:
            token = self.current
            if self.take("text"):
                parts.append(Operand.ofConstant(token.text))
            elif self.take("%{"):
                parts.append(self.variable())
            elif self.take("backref"):
                parts.append(_backref(token))
            else:
                return _joined(parts)

    def variable(self) -> Operand:
        name = self.expect("name", "the name of a variable or function")
        if self.take(":"):
            argument = self.string()
            self.expect("}", "'}'")
            return self.call(name, argument)
        self.expect("}", "'}' or ':'")
        row = VARIABLES.get(name.text.upper())
        if row is None:
            raise _unknown("variable", name, VARIABLES)
        return Operand(row.evaluate)

    def call(self, name: Token, argument: Operand) -> Operand:
        row = FUNCTIONS.get(name.text.lower())
        if row is None:
            raise _unknown("function", name, FUNCTIONS)
        if row.restricted and self._restricted:
            message = f"{row.name.decode()}() is not for whom is not trusted with all files"
            raise ExpressionError(message, name.column)
        call, word = row.call, argument.evaluate
        return Operand(lambda context: call(context, word(context)))


def _joined(parts: list[Operand]) -> Operand:
    """Words one behind the other."""
    if all(part.constant is not None for part in parts):
        return Operand.ofConstant(b"".join(part.constant or b"" for part in parts))
    if len(parts) == 1:
        return parts[0]
    words = [part.evaluate for part in parts]
    return Operand(lambda context: b"".join([word(context) for word in words]))


def _backref(token: Token) -> Operand:
    number = int(token.text[1:])

    def group(context: Context) -> bytes:
        match = context.match
        if match is None or number > match.re.groups:
            return b""
        return match.group(number) or b""

    return Operand(group)


def _prepared(
    prepare: Callable[..., Condition], operand: Operand, column: int, *left: Word
) -> Condition:
    try:
        return prepare(operand, *left)
    except ValueError as error:
        raise ExpressionError(str(error), column) from None


def _unknown(what: str, token: Token, known: Iterable[bytes]) -> ExpressionError:
    name = token.text.decode("latin-1")
    near = nearest(name.lower(), (row.decode().lower() for row in known))
    hint = f"; did you mean {near!r}?" if near else ""
    return ExpressionError(f"there is no {what} {name!r}{hint}", token.column)


def compileCondition(text: bytes, restricted: bool = False) -> Condition:
    """
    Compile a condition.

    :param restricted: whether functions that read files are refused.
    :raises ExpressionError: with the column.
    """
    parser = _Parser(tokens(text), restricted)
    condition = parser.condition()
    parser.expect("end", "'&&', '||' or the end")
    return condition


def compileString(text: bytes, restricted: bool = False) -> Operand:
    """
    Compile a text with variables in it.

    :param restricted: as of :func:`compileCondition`.
    :raises ExpressionError: with the column.
    """
    parser = _Parser(tokens(text, string=True), restricted)
    return parser.string()


def _bounded(pattern: Pattern) -> Callable[[bytes], Match | None]:
    """A pattern's search, which fails the evaluation when it costs too much."""
    search = pattern.search

    def searched(text: bytes) -> Match | None:
        try:
            found: Match | None = search(text)
        except searchFailures() as error:
            raise MatchGivenUp(f"a regular expression: {error}") from None
        return found

    return searched
