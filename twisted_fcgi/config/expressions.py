"""
Expressions in a directive's arguments, compiled once, when they are read.

Those of a ``.htaccess`` read no files by ``file()`` and ``filesize()``, as in httpd since
2.4.68 (CVE-2026-44119).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted_fcgi.config.source import decode, encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.expr import Condition, Operand
from twisted_fcgi.expr import Word as Text

__all__ = ["condition", "format", "text"]

Compiled = TypeVar("Compiled")


def condition(word: Word) -> Condition:
    """
    A condition.

    :raises ConfigurationError: at the place of the mistake.
    """
    from twisted_fcgi.expr.parser import compileCondition

    restricted = word.line.file.restricted
    return _compiled(lambda written: compileCondition(written, restricted), word)


def text(word: Word) -> Text:
    """
    A text with variables.

    :raises ConfigurationError: at the place of the mistake.
    """
    from twisted_fcgi.expr.parser import compileString

    restricted = word.line.file.restricted
    return _compiled(lambda written: compileString(written, restricted), word).evaluate


def format(word: Word) -> Operand:
    """
    A text with mod_headers' formats.

    :raises ConfigurationError: at the place of the mistake.
    """
    from twisted_fcgi.expr.formats import compileFormat

    return _compiled(compileFormat, word)


def _compiled(compile: Callable[[bytes], Compiled], word: Word) -> Compiled:
    from twisted_fcgi.expr.lexer import ExpressionError

    written = encode(word)
    try:
        return compile(written)
    except ExpressionError as error:
        at = len(decode(written[: error.column - 1]))
        raise word.error(f"in the expression: {error.message}", index=at) from None
