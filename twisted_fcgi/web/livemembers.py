"""
The live members of a gateway, by their settings.

Those of the configuration are there for ever.  Those that DNS names come and go: one that
has gone ends when the requests that it has are over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint

from twisted_fcgi.interfaces import IMember
from twisted_fcgi.settings import MemberSettings

__all__ = ["LiveMembers"]


class LiveMembers:
    """
    Makes each member when it is first asked for.

    :param make: makes a live member of its settings.
    """

    def __init__(self, make: Callable[[MemberSettings], IMember]) -> None:
        self._make = make
        # By the identity of their settings, which the configuration keeps alive; so
        # this table does not grow with requests.  Equal settings share a member.
        self._members: dict[int, IMember] = {}
        # By their places, so that those with equal settings are found among thousands.
        self._there: dict[tuple[str, str | None], list[IMember]] = {}
        # The settings that DNS made, which nobody else may keep alive.
        self._found: dict[int, MemberSettings] = {}
        self._leaving: dict[IMember, Deferred[None]] = {}

    def of(self, settings: MemberSettings) -> IMember:
        """The live member of some settings."""
        member = self._members.get(id(settings))
        if member is None:
            member = self._like(settings)
            if member is None:
                member = self._make(settings)
                self._there.setdefault(_place(settings), []).append(member)
            self._members[id(settings)] = member
            if settings.origin:
                self._found[id(settings)] = settings
        return member

    def endpoint(self, settings: MemberSettings) -> IStreamClientEndpoint:
        """What connects to a member."""
        endpoint: IStreamClientEndpoint = self.of(settings).endpoint
        return endpoint

    def leave(self, there: Iterable[MemberSettings]) -> None:
        """
        Let members end that DNS named, and names no more.

        :param there: all that are.
        """
        known = {id(settings): settings for settings in there if settings.origin}
        for key, settings in known.items():
            if key not in self._members and self._like(settings) is not None:
                self.of(settings)  # its share has changed, and nothing else
        for key in self._found.keys() - known.keys():
            del self._found[key]
            gone = self._members.pop(key)
            if gone not in self._members.values():
                others = self._there[_place(gone.settings)]
                others.remove(gone)
                if not others:
                    del self._there[_place(gone.settings)]
                self._leaving[gone] = gone.stop()
                self._leaving[gone].addBoth(self._left, gone)

    def __iter__(self) -> Iterator[IMember]:
        """Every member that was asked so far, and is there."""
        return iter(dict.fromkeys(self._members.values()))

    def stop(self) -> Deferred[Any]:
        """Let all end; fires when every connection is closed."""
        return DeferredList([*self._leaving.values(), *(member.stop() for member in self)])

    def _left(self, _: object, gone: IMember) -> None:
        self._leaving.pop(gone, None)

    def _like(self, settings: MemberSettings) -> IMember | None:
        """A member with equal settings; of those that DNS named, the share may differ."""
        for member in self._there.get(_place(settings), ()):
            known = member.settings
            if known == settings:
                return member
            if settings.origin:
                share = {"loadFactor": settings.loadFactor, "lbset": settings.lbset}
                if replace(known, **share) == settings:
                    return member
        return None


def _place(settings: MemberSettings) -> tuple[str, str | None]:
    """What those with equal settings have in common at least."""
    return settings.url, settings.socket
