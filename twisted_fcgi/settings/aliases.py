"""Other places for paths: Alias and Redirect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted_fcgi.pcre import Pattern

__all__ = ["Alias", "Redirect"]


@dataclass(frozen=True)
class Alias:
    """
    One Alias or AliasMatch.

    :ivar path: the prefix of the decoded path; that of the ``<Location>`` around it.
    :ivar pattern: the expression (AliasMatch), or ``None``.
    :ivar target: the file or directory, as written but for ``.`` and ``..``.
    :ivar base: where relative ones begin: ServerRoot.
    :ivar made: the same, compiled, inside a ``<Location>`` (:data:`twisted_fcgi.expr.Word`).
    :ivar place: the line's file and number.
    """

    path: bytes | None
    pattern: Pattern | None
    target: bytes
    base: bytes = b""
    made: Callable[[Any], bytes] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Redirect:
    """
    One Redirect or RedirectMatch.

    :ivar status: of the answer.
    :ivar path: the prefix of the decoded path, or ``None``.
    :ivar pattern: the expression (RedirectMatch), or ``None``.
    :ivar url: where to, as written; ``None`` for a status that has no such place.
    :ivar made: the same, compiled, for what a section holds for as a whole
        (:data:`twisted_fcgi.expr.Word`).
    :ivar place: the line's file and number.
    """

    status: int
    path: bytes | None = None
    pattern: Pattern | None = None
    url: bytes | None = None
    made: Callable[[Any], bytes] | None = field(default=None, compare=False)
    place: str = field(default="", compare=False)
