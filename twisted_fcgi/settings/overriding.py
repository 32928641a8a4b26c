"""AllowOverride: what a ``.htaccess`` may say."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["AllowOverride", "Override"]


class Override(enum.Flag):
    """The kinds of directives that AllowOverride names (httpd: ``OR_...``)."""

    AUTH_CONFIG = enum.auto()
    FILE_INFO = enum.auto()
    INDEXES = enum.auto()
    LIMIT = enum.auto()
    OPTIONS = enum.auto()
    ANY = AUTH_CONFIG | FILE_INFO | INDEXES | LIMIT | OPTIONS

    def describe(self) -> str:
        """The kinds in the words of AllowOverride."""
        if self is Override.ANY:
            return "any"
        names = {
            Override.AUTH_CONFIG: "AuthConfig",
            Override.FILE_INFO: "FileInfo",
            Override.INDEXES: "Indexes",
            Override.LIMIT: "Limit",
            Override.OPTIONS: "Options",
        }
        return ", ".join(text for kind, text in names.items() if kind & self)


@dataclass(frozen=True)
class AllowOverride:
    """
    One AllowOverride line; false when no ``.htaccess`` has to be looked for.

    :ivar kinds: of the directives that are allowed.
    :ivar options: the names of those of ``Options`` that may be set, in lower case;
        ``None`` for all.
    :ivar skipsForbidden: a directive that is not allowed is passed over
        (``Nonfatal=Override``).
    :ivar skipsUnknown: so is one that does not exist (``Nonfatal=Unknown``).
    """

    kinds: Override = Override(0)
    options: frozenset[str] | None = None
    skipsForbidden: bool = False
    skipsUnknown: bool = False

    def __bool__(self) -> bool:
        return bool(self.kinds) or self.skipsForbidden or self.skipsUnknown
