"""
Who may have what: Require, its blocks, ``<Limit>``, and how sections go together.

The tree is httpd's: each node may be negated, and may hold for some methods only.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

__all__ = ["AccessSettings", "Merging", "Methods", "Requirement", "Requirements"]


@dataclass(frozen=True)
class Methods:
    """
    A set of methods: some, or all but some.

    HEAD is GET here, as in httpd's tables of methods.
    """

    names: frozenset[bytes] = frozenset()
    inverted: bool = True

    def __contains__(self, method: bytes) -> bool:
        return ((b"GET" if method == b"HEAD" else method) in self.names) is not self.inverted

    def __and__(self, other: Methods) -> Methods:
        if self.inverted and other.inverted:
            return Methods(self.names | other.names)
        if self.inverted or other.inverted:
            some, but = (other, self) if self.inverted else (self, other)
            return Methods(some.names - but.names, False)
        return Methods(self.names & other.names, False)

    def __or__(self, other: Methods) -> Methods:
        return ~(~self & ~other)

    def __invert__(self) -> Methods:
        return Methods(self.names, not self.inverted)

    def __bool__(self) -> bool:
        return self.inverted or bool(self.names)

    def __str__(self) -> str:
        names = b" ".join(sorted(self.names)).decode("utf-8", "backslashreplace")
        return names if not self.inverted else f"all but {names}" if names else "all"

    @classmethod
    def of(cls, *names: bytes) -> Methods:
        """These methods."""
        return cls(frozenset(b"GET" if name == b"HEAD" else name for name in names), False)


class Merging(enum.Enum):
    """``AuthMerging``: what becomes of the requirements of a more general section."""

    OFF = "Off"
    AND = "And"
    OR = "Or"


@dataclass(frozen=True)
class Requirement:
    """
    A Require line.

    :ivar text: what is required, as written.
    :ivar holds: a function of a :class:`twisted_fcgi.expr.RequestContext`, or the answer
        where it is always the same (``all``).
    :ivar negated: ``not``.
    :ivar methods: of ``<Limit>`` and ``<LimitExcept>`` around it.
    :ivar asksUser: whether it may hold for a user who says who that is.
    :ivar place: the line's file and number.
    """

    text: str
    holds: bool | Callable[[Any], bool] = field(compare=False)
    negated: bool = False
    methods: Methods = Methods()
    asksUser: bool = False
    place: str = field(default="", compare=False)


@dataclass(frozen=True)
class Requirements:
    """
    A block: of a section, or ``<RequireAll>``, ``<RequireAny>``, ``<RequireNone>``.

    :ivar all: whether all of them have to hold, not one.
    :ivar negated: ``<RequireNone>``.
    :ivar methods: all of those of its members.
    """

    members: tuple[Requirement | Requirements, ...]
    all: bool = False
    negated: bool = False
    methods: Methods = Methods()


@dataclass(frozen=True)
class AccessSettings:
    """
    What a section says of access.

    :ivar requirements: its Require lines, or ``None``.
    :ivar merging: AuthMerging, or ``None``: as ``Off``.
    :ivar forbids: AuthzSendForbiddenOnFailure: without users a failure is a 403 anyway.
    """

    requirements: Requirements | None = None
    merging: Merging | None = None
    forbids: bool | None = None

    def merged(self, over: AccessSettings) -> AccessSettings:
        """These with a more specific section's over them (``merge_authz_core_dir_config``)."""
        outer, inner = self.requirements, over.requirements
        forbids = self.forbids if over.forbids is None else over.forbids
        if over.merging is None and inner is None and outer is not None:
            return replace(self, forbids=forbids)
        if over.merging in (None, Merging.OFF) or outer is None:
            return replace(over, forbids=forbids)
        if inner is None:
            return AccessSettings(outer, over.merging, forbids)
        both = Requirements(
            (outer, inner),
            all=over.merging is Merging.AND,
            methods=outer.methods | inner.methods,
        )
        return AccessSettings(both, over.merging, forbids)
