"""What names of files say: types, languages, encodings, handlers (mod_mime)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from twisted_fcgi.settings.members import BalancerSettings, MemberSettings

__all__ = ["Action", "ExtensionSettings", "Extensions"]

#: What goes with a handler: they are replaced and removed together.
_WITH_HANDLER = ("member", "candidates", "balancer", "place")


@dataclass(frozen=True)
class ExtensionSettings:
    """
    What one extension means; ``None`` is "not said".

    :ivar type: AddType's, in lower case; empty for RemoveType: also not TypesConfig's.
    :ivar encoding: AddEncoding's.
    :ivar language: AddLanguage's.
    :ivar charset: AddCharset's.
    :ivar handler: AddHandler's, in lower case.
    :ivar member: who serves ``handler``, when it names a FastCGI server.
    :ivar candidates: as of :class:`DirectorySettings`.
    :ivar balancer: who serves ``handler``, when it names a balancer.
    :ivar place: the file and number of AddHandler's line.
    """

    type: bytes | None = None
    encoding: bytes | None = None
    language: bytes | None = None
    charset: bytes | None = None
    handler: bytes | None = None
    member: MemberSettings | None = None
    candidates: tuple[MemberSettings, ...] = ()
    balancer: BalancerSettings | None = None
    place: str = field(default="", compare=False)

    def merged(self, over: ExtensionSettings) -> ExtensionSettings:
        """These with those of a more specific section laid over them."""
        names = [row.name for row in fields(self) if row.name not in _WITH_HANDLER]
        changes = {name: getattr(over, name) for name in names if getattr(over, name) is not None}
        if "handler" in changes:
            changes.update((name, getattr(over, name)) for name in _WITH_HANDLER)
        return replace(self, **changes)

    def without(self, name: str) -> ExtensionSettings:
        """These without one of them."""
        if name == "handler":
            return replace(self, handler=None, member=None, candidates=(), balancer=None, place="")
        changes: dict[str, Any] = {name: None}
        return replace(self, **changes)


@dataclass(frozen=True)
class Extensions:
    """
    The extensions that a section knows.

    :ivar rows: by extension, in lower case and without its dot.
    :ivar removed: what the section takes away: an extension and a field's name.
    """

    rows: Mapping[bytes, ExtensionSettings] = field(default_factory=dict)
    removed: frozenset[tuple[bytes, str]] = frozenset()

    def settled(self) -> Extensions:
        """The same with what is removed already gone."""
        return replace(Extensions().merged(self), removed=self.removed)

    def merged(self, over: Extensions) -> Extensions:
        """
        These with those of a more specific section laid over them.

        What is removed goes last, also what the same section adds (httpd:
        ``merge_mime_dir_configs``).
        """
        rows = dict(self.rows)
        for extension, row in over.rows.items():
            rows[extension] = rows[extension].merged(row) if extension in rows else row
        for extension, name in over.removed:
            if extension in rows:
                rows[extension] = rows[extension].without(name)
        return Extensions(rows)


@dataclass(frozen=True)
class Action:
    """
    Action: what runs files of a type, or with a handler.

    :ivar url: the local URL of the script, as written.
    :ivar virtual: whether there need be no file.
    :ivar place: the line's file and number.
    """

    url: bytes
    virtual: bool = False
    place: str = field(default="", compare=False)
