"""
mod_headers' formats: ``%t %D %l %i %b %{NAME}e %{NAME}s %%`` in a text.

A server of one process has no slots of which some are busy, so ``%i`` is always 100 and
``%b`` 0.  What is not set is ``(null)``, as in httpd.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from twisted_fcgi.expr.context import Operand
from twisted_fcgi.expr.lexer import ExpressionError
from twisted_fcgi.expr.request import RequestContext

__all__ = ["compileFormat"]

_PIECE = re.compile(rb"%(?:\{([^}]*)\}?)?(.?)|([^%]+)", re.DOTALL)
_ESCAPE = re.compile(rb"\\([\\rnt])")
_ESCAPED = {b"\\": b"\\", b"r": b"\r", b"n": b"\n", b"t": b"\t"}

Format = Callable[[RequestContext], bytes]


def _received(context: RequestContext) -> bytes:
    return b"t=%d" % (context.request.receivedAt * 1e6)


def _duration(context: RequestContext) -> bytes:
    return b"D=%d" % (max(context.now - context.request.receivedAt, 0) * 1e6)


def _load(context: RequestContext) -> bytes:
    return b"l=%.2f/%.2f/%.2f" % os.getloadavg()


def _variable(name: bytes) -> Format:
    def format(context: RequestContext) -> bytes:
        value = context.environment(name)
        return b"(null)" if value is None else value

    return format


def _tls(name: bytes) -> Format:
    isFlag = name.upper() == b"HTTPS"
    return lambda context: b"on" if isFlag and context.request.secure else b"(null)"


_PLAIN: dict[bytes, Format] = {
    b"t": _received,
    b"D": _duration,
    b"l": _load,
    b"i": lambda context: b"i=100",
    b"b": lambda context: b"b=0",
}
_NAMED = {b"e": _variable, b"s": _tls}


def compileFormat(text: bytes) -> Operand:
    r"""
    Compile a text with formats; ``\n``, ``\r``, ``\t`` and ``\\`` are what they are in C.

    :returns: a word, of a :class:`~twisted_fcgi.expr.RequestContext`.
    :raises ExpressionError: there is no such format.
    """
    parts: list[bytes | Format] = []
    for piece in _PIECE.finditer(text):
        name, letter, plain = piece.groups()
        if plain is not None:
            parts.append(_ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], plain))
        elif name is None and letter in (b"", b"%"):
            parts.append(b"%")
        elif letter in _NAMED:
            parts.append(_NAMED[letter](name or b""))
        elif letter in _PLAIN:
            parts.append(_PLAIN[letter])
        else:
            raise ExpressionError(
                f"there is no format %{letter.decode('latin-1')}", piece.start() + 1
            )
    constants = [part for part in parts if isinstance(part, bytes)]
    if len(constants) == len(parts):
        return Operand.ofConstant(b"".join(constants))

    def joined(context: RequestContext) -> bytes:
        return b"".join([part if isinstance(part, bytes) else part(context) for part in parts])

    return Operand(joined)  # type: ignore[arg-type]
