"""
Shell wildcards, as APR's ``apr_fnmatch`` matches them.

``*`` and ``?``, brackets with ranges, ``!`` or ``^`` for all but; a backslash takes
the meaning away.  A bracket that is never closed matches nothing, as there.
"""

from __future__ import annotations

import re

from twisted_fcgi.pcre.characters import writeClass

__all__ = ["compileWildcards", "hasWildcards"]

_CLASS = re.compile(rb"\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]", re.DOTALL)
_MEMBER = re.compile(rb"\\?(.)(?:-\\?([^\]]))?", re.DOTALL)


def hasWildcards(text: str) -> bool:
    """Whether a text is a pattern at all (``apr_fnmatch_test``)."""
    plain = re.sub(r"\\.", "", text, flags=re.DOTALL)
    return "*" in plain or "?" in plain or "]" in plain.partition("[")[2]


def compileWildcards(
    text: bytes, *, slashes: bool = True, hidden: bool = True, ignoreCase: bool = False
) -> re.Pattern[bytes]:
    """
    Compile a pattern.

    :param slashes: whether a wildcard matches a slash (without APR_FNM_PATHNAME).
    :param hidden: whether one matches a period at the beginning (without APR_FNM_PERIOD).
    :returns: an expression that matches whole texts only.
    """
    anything = b"." if slashes else b"[^/]"
    parts = []
    at = 0
    while at < len(text):
        character = text[at : at + 1]
        if character == b"[":
            match = _CLASS.match(text, at)
            if match is None:
                parts.append(b"(?!)")
                break
            parts.append(_class(match, slashes))
            at = match.end()
            continue
        if character == b"\\" and at + 1 < len(text):
            at += 1
            parts.append(re.escape(text[at : at + 1]))
        elif character in b"*?":
            parts.append(anything + (b"*" if character == b"*" else b""))
        else:
            parts.append(re.escape(character))
        at += 1
    start = rb"\A" if hidden or text[:1] not in (b"*", b"?", b"[") else rb"\A(?!\.)"
    flags = re.DOTALL | (re.IGNORECASE if ignoreCase else 0)
    return re.compile(start + b"".join(parts) + rb"\Z", flags)


def _class(match: re.Match[bytes], slashes: bool) -> bytes:
    """A bracket expression."""
    codes: set[int] = set()
    for member in _MEMBER.finditer(match[2]):
        low, high = member[1][0], (member[2] or member[1])[0]
        codes.update(range(low, high + 1))
    written = writeClass(frozenset(codes), bool(match[1])).encode("latin-1")
    return written if slashes else b"(?!/)" + written
