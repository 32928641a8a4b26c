"""
Wildcards, as APR's ``apr_fnmatch`` matches them, on ``re``.

``*`` and ``?`` do not match a slash in paths, brackets are classes with ranges and
``!`` or ``^`` for all but, a backslash takes the meaning away.  A bracket that is never
closed makes a pattern that matches nothing, as there.
"""

from __future__ import annotations

import re

__all__ = ["globPattern", "hasWildcards"]


def hasWildcards(text: str) -> bool:
    """Whether a text is a pattern at all (``apr_fnmatch_test``)."""
    opened = False
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in "?*" or (character == "]" and opened):
            return True
        elif character == "[":
            opened = True
    return False


def globPattern(
    text: bytes, *, slashes: bool = True, period: bool = False, ignoreCase: bool = False
) -> re.Pattern[bytes]:
    """
    The expression of a wildcard pattern, for ``fullmatch``.

    :param slashes: whether ``*`` and ``?`` stop at slashes (APR_FNM_PATHNAME).
    :param period: whether they do not match a leading period (APR_FNM_PERIOD).
    """
    anything = b"[^/]" if slashes else b"."
    result = []
    at = 0
    while at < len(text):
        character = text[at : at + 1]
        at += 1
        if character == b"*":
            result.append(anything + b"*")
        elif character == b"?":
            result.append(anything)
        elif character == b"\\" and at < len(text):
            result.append(re.escape(text[at : at + 1]))
            at += 1
        elif character == b"[":
            found = _CLASS.match(text, at)
            if found is None:
                result.append(b"(?!)")
                break
            at = found.end()
            result.append(_class(found, slashes))
        else:
            result.append(re.escape(character))
    start = rb"(?!\.)" if period and text[:1] in b"*?[" else b""
    flags = re.DOTALL | (re.IGNORECASE if ignoreCase else 0)
    return re.compile(start + b"".join(result) + rb"\Z", flags)


_CLASS = re.compile(rb"([!^]?)(\]?(?:\\.|[^\]\\])*)\]", re.DOTALL)


def _class(found: re.Match[bytes], slashes: bool) -> bytes:
    """A bracket expression as ``re`` writes it."""
    members = []
    for item in re.finditer(rb"(\\?.)(?:-(\\?[^\]]))?", found[2], re.DOTALL):
        low, high = (None if end is None else end[-1] for end in item.groups())
        assert low is not None
        if high is None:
            members.append(b"\\x%02x" % low)
        elif low <= high:
            members.append(b"\\x%02x-\\x%02x" % (low, high))
    inside = b"".join(members)
    if found[1]:
        return b"[^" + inside + (b"/" if slashes else b"") + b"]"
    if not inside:
        return b"(?!)"
    return (b"(?!/)" if slashes else b"") + b"[" + inside + b"]"
