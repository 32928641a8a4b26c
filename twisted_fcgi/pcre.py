"""
Perl-compatible expressions, as httpd compiles them, on Python's ``re``.
"""

from __future__ import annotations

import re

__all__ = ["PatternError", "compilePattern", "compileWildcards"]


class PatternError(ValueError):
    """
    An expression that is wrong, or that ``re`` can't do the same way.

    :ivar at: the offset in the expression.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


def compilePattern(text: bytes, *, ignoreCase: bool = False) -> re.Pattern[bytes]:
    """
    Compile an expression as ``ap_pregcomp`` does: DOTALL and DOLLAR_ENDONLY.

    :raises PatternError: when it can't be done.
    """
    flags = re.DOTALL | (re.IGNORECASE if ignoreCase else 0)
    try:
        return re.compile(re.sub(rb"\(\?<(?=[A-Za-z_])", b"(?P<", text), flags)
    except re.error as error:
        raise PatternError(error.msg, error.pos or 0) from None


_SET = re.compile(rb"\[([!^]?)(\]?(?:[^\]\\]|\\.)*)\]", re.DOTALL)


def compileWildcards(
    text: bytes, *, slashes: bool = True, ignoreCase: bool = False
) -> re.Pattern[bytes]:
    """
    Compile shell wildcards as ``apr_fnmatch`` does: ``*``, ``?``, ``[a-z]``, ``[!a-z]``.

    :param slashes: whether a wildcard matches a slash too.
    :returns: an expression that matches whole texts only.
    """
    anything = b"." if slashes else b"[^/]"
    parts = []
    at = 0
    while at < len(text):
        char = text[at : at + 1]
        chars = _SET.match(text, at)
        if char == b"*":
            parts.append(anything + b"*")
        elif char == b"?":
            parts.append(anything)
        elif chars is not None:
            negated, inside = chars.groups()
            # In a set a backslash quotes here as it does in an expression; the rest
            # of what an expression would read something into is quoted.
            inside = re.sub(rb"(?<!\\)([\[&~|\^])", rb"\\\1", inside)
            if inside.startswith(b"]"):
                inside = b"\\" + inside
            guard = b"" if slashes else b"(?!/)"
            parts.append(guard + b"[" + (b"^" if negated else b"") + inside + b"]")
            at = chars.end()
            continue
        elif char == b"\\" and at + 1 < len(text):
            at += 1
            parts.append(re.escape(text[at : at + 1]))
        else:
            parts.append(re.escape(char))
        at += 1
    flags = re.DOTALL | (re.IGNORECASE if ignoreCase else 0)
    try:
        return re.compile(rb"\A" + b"".join(parts) + rb"\Z", flags)
    except re.error as error:
        raise PatternError(error.msg, 0) from None
