"""
What an expression sees, and what it becomes.

An expression is compiled to a function of a :class:`Context`: a :data:`Condition` or
a :data:`Word`.  Evaluation of a bad value never fails: it gives an empty word or a
false condition, as httpd has it, except for :class:`EvaluationError`, which fails the
request.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted_fcgi.pcre import Match

__all__ = [
    "Condition",
    "Context",
    "EvaluationError",
    "MatchGivenUp",
    "Operand",
    "Word",
    "fileStatus",
]


class EvaluationError(Exception):
    """An expression failed while a request was served; the request fails with it."""


class MatchGivenUp(EvaluationError):
    """A regular expression would have cost too much."""


class Context(Protocol):
    """
    What an expression sees of a request.

    :ivar match: the last match of a regular expression with groups.
    :ivar now: seconds since the epoch.
    """

    match: Match | None
    now: float

    def variable(self, name: bytes) -> bytes | None:
        """The value of one of the request's variables in :data:`VARIABLES`."""

    def header(self, name: bytes, vary: bool = True) -> bytes | None:
        """A request header; ``vary``: the response depends on it from now on."""

    def responseHeader(self, name: bytes) -> bytes | None:
        """A response header."""

    def environment(self, name: bytes) -> bytes | None:
        """A variable set for this request."""

    def note(self, name: bytes) -> bytes | None:
        """A note of this request."""

    def reachable(self, target: bytes, isFile: bool) -> bool:
        """Whether a request for this local URL or file would be served."""

    def checkedBody(self) -> bytes:
        """The body that answered a health check; empty anywhere else."""


Condition = Callable[[Context], bool]
Word = Callable[[Context], bytes]


@dataclass(frozen=True)
class Operand:
    """
    A compiled word.

    :ivar constant: its value, when it does not depend on a request.
    """

    evaluate: Word
    constant: bytes | None = None

    @classmethod
    def ofConstant(cls, value: bytes) -> Operand:
        """A word that is always the same."""
        return cls(lambda context: value, value)


def fileStatus(path: bytes, follow: bool = True) -> os.stat_result | None:
    """What a file is; ``None`` without one."""
    try:
        return os.stat(path, follow_symlinks=follow)
    except (OSError, ValueError):
        return None
