"""
Perl-compatible expressions and shell wildcards, as httpd has them.

Expressions are compiled by PCRE2, the library that httpd uses, so that they mean the
same here, whatever is in them.  It also bounds what a match may cost, which Python's
``re`` does not: with one thread for all clients, an expression that backtracks without
end would be everybody's outage.  The bound is :data:`BOUND`; where it is met a request
fails (httpd takes it for no match).  A ``.htaccess`` may have thousands of them, so those that
come from one are bounded together as well: :data:`effort`.

Wildcards become expressions that do not backtrack.  Everything works on bytes.

PCRE2 is imported by who compiles an expression: it takes 0.4 MB, and many sites have none.
"""

from __future__ import annotations

import math
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Protocol

__all__ = [
    "BOUND",
    "MAX_COPIED",
    "MAX_SECONDS",
    "Match",
    "Pattern",
    "PatternError",
    "compilePattern",
    "compileWildcards",
    "effort",
    "hasWildcards",
    "searchFailures",
]

# As ap_pregcomp has them: "." is any byte, "$" is the very end.  The name of the second
# is not among those that the binding has; the number is PCRE2's.
_DOLLAR_ENDONLY = 0x10

#: What stands before each expression: PCRE2's match limit, some milliseconds here; its
#: default is ten times that.
BOUND = b"(*LIMIT_MATCH=1000000)"

#: Seconds of computing that the expressions of ``.htaccess`` files may take for a request, and
#: for the head of a response.
MAX_SECONDS = 0.25

#: Bytes that repeated groups may add to an expression of a ``.htaccess``: it is compiled to a
#: copy for each time, and there may be thousands of them.
MAX_COPIED = 1024

#: PCRE2_ERROR_MATCHLIMIT.
_MATCH_LIMIT = -47


class Match(Protocol):
    """What was found; like :class:`re.Match`."""

    @property
    def re(self) -> Pattern: ...

    def __getitem__(self, group: int | str, /) -> Any: ...

    def group(self, number: int = 0, /) -> Any: ...

    def groups(self) -> Sequence[Any]: ...

    def span(self, group: int = 0, /) -> tuple[int, int]: ...


class Pattern(Protocol):
    """A compiled expression; like :class:`re.Pattern`."""

    @property
    def groups(self) -> int: ...

    @property
    def groupindex(self) -> Mapping[str, int]: ...

    @property
    def flags(self) -> int: ...

    @property
    def pattern(self) -> Any: ...

    def search(self, text: bytes, /) -> Any: ...

    def match(self, text: bytes, /) -> Any: ...


def searchFailures() -> tuple[type[Exception], ...]:
    """What to ``except``: a search was given up, since it cost too much (the match limit)."""
    library = sys.modules.get("pcre2")
    return () if library is None else (library.LibraryError,)


class Effort:
    """The time that is left for expressions of those who are not trusted with everybody's."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another request is looked at, or answered."""
        self._left = MAX_SECONDS

    def spend(self, find: Callable[[bytes], Any], text: bytes) -> Any:
        """
        Match.

        :raises pcre2.LibraryError: there is no time left.
        """
        if self._left < 0:
            import pcre2

            raise pcre2.LibraryError(_MATCH_LIMIT, "all of .htaccess together")
        begun = time.thread_time()
        try:
            return find(text)
        finally:
            self._left -= time.thread_time() - begun


#: Of the process, which has one thread that matches.
effort = Effort()


class _Watched:
    """A pattern of which :data:`effort` knows how long it takes."""

    __slots__ = ("flags", "groupindex", "groups", "match", "pattern", "search")

    def __init__(self, pattern: Pattern) -> None:
        self.groups = pattern.groups
        self.groupindex = pattern.groupindex
        self.flags = pattern.flags
        self.pattern = pattern.pattern
        self.search = partial(effort.spend, pattern.search)
        self.match = partial(effort.spend, pattern.match)


class PatternError(ValueError):
    """
    An expression that is wrong.

    :ivar at: the offset in the expression.
    """

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


@lru_cache(maxsize=4096)
def compilePattern(text: bytes, *, ignoreCase: bool = False, restricted: bool = False) -> Pattern:
    """
    Compile an expression as httpd's ``ap_pregcomp`` does; equal ones are the same object.

    :param restricted: whether :data:`effort` and :data:`MAX_COPIED` bound it.
    :raises PatternError: when it is wrong.
    """
    import pcre2

    options = pcre2.DOTALL | _DOLLAR_ENDONLY
    if ignoreCase:
        options |= pcre2.IGNORECASE
    copies = _copies(text) if restricted else 1
    if len(text) * copies > 4 * len(text) + MAX_COPIED:
        raise PatternError("what it repeats is too much for a .htaccess", 0)
    try:
        compiled: Pattern = pcre2.compile(BOUND + text, options, jit=copies == 1)
    except pcre2.PatternError as error:
        # "compilation failed at position 3; missing closing parenthesis"
        at = max(error.pos - len(BOUND), 0)
        raise PatternError(error.msg.rpartition("; ")[2], at) from None
    return _Watched(compiled) if restricted else compiled


_REPEATED = re.compile(rb"\)\{([0-9]+)(?:,([0-9]*))?\}")


def _copies(text: bytes) -> int:
    """How often the inner ones of repeated groups are compiled at most."""
    counts = [max(int(least), int(most or 0)) for least, most in _REPEATED.findall(text)]
    return math.prod(count or 1 for count in counts)


_SET = re.compile(rb"\[([!^]?)(\]?(?:\\.|[^\]\\])*)\]", re.DOTALL)
_MEMBER = re.compile(rb"\\?(.)(?:-\\?([^\]]))?", re.DOTALL)


def hasWildcards(text: str) -> bool:
    """Whether a text is a pattern at all (``apr_fnmatch_test``)."""
    plain = re.sub(r"\\.", "", text, flags=re.DOTALL)
    return "*" in plain or "?" in plain or "]" in plain.partition("[")[2]


def compileWildcards(
    text: bytes, *, slashes: bool = True, hidden: bool = True, ignoreCase: bool = False
) -> Pattern:
    """
    Compile shell wildcards as APR's ``apr_fnmatch`` matches them.

    ``*`` and ``?``, brackets with ranges, ``!`` or ``^`` for all but; a backslash takes
    the meaning away.  A bracket that is never closed matches nothing, as there.

    :param slashes: whether a wildcard matches a slash (without APR_FNM_PATHNAME).
    :param hidden: whether one matches a period at the beginning (without APR_FNM_PERIOD).
    :returns: an expression that matches whole texts only.
    """
    import pcre2

    anything = b"." if slashes else b"[^/]"
    # What follows each asterisk, up to the next one.
    pieces: list[list[bytes]] = [[]]
    at = 0
    while at < len(text):
        character = text[at : at + 1]
        if character == b"[":
            chars = _SET.match(text, at)
            if chars is None:
                pieces[-1].append(b"(?!)")
                break
            pieces[-1].append(_class(chars, slashes))
            at = chars.end()
            continue
        if character == b"\\" and at + 1 < len(text):
            at += 1
            pieces[-1].append(re.escape(text[at : at + 1]))
        elif character == b"*":
            pieces.append([])
        else:
            pieces[-1].append(anything if character == b"?" else re.escape(character))
        at += 1
    first, *between = map(b"".join, pieces)
    start = rb"\A" if hidden or text[:1] not in (b"*", b"?", b"[") else rb"\A(?!\.)"
    written = [start, first]
    if between:
        last = between.pop()
        # The first place where a piece fits is as good as any: there is no way back to it.
        written += [b"(?>%b*?%b)" % (anything, piece) for piece in between if piece]
        written += [anything, b"*", last]
    options = pcre2.DOTALL | pcre2.IGNORECASE if ignoreCase else pcre2.DOTALL
    try:
        compiled: Pattern = pcre2.compile(b"".join((*written, rb"\z")), options)
    except pcre2.PatternError:  # too large, with some thousands of wildcards
        compiled = pcre2.compile(b"(?!)")
    return compiled


def _class(chars: re.Match[bytes], slashes: bool) -> bytes:
    """A bracket expression."""
    members = []
    for member in _MEMBER.finditer(chars[2]):
        low, high = member[1][0], (member[2] or member[1])[0]
        if low <= high:
            members.append(b"\\x%02x-\\x%02x" % (low, high))
    if members:
        written = b"[%b%b]" % (b"^" if chars[1] else b"", b"".join(members))
    else:
        written = b"." if chars[1] else b"(?!)"
    return written if slashes else b"(?!/)" + written
