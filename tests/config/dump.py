"""Settings as lines that people can read: what differs from the defaults."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from types import FunctionType
from typing import Any

import pcre2

from twisted_fcgi.pcre import BOUND
from twisted_fcgi.settings import MemberSettings, Settings, TLSSettings

__all__ = ["dump"]


def dump(settings: Settings) -> str:
    """
    All that differs from the defaults.

    Members are shown where they were described; elsewhere only what they are called,
    or all of them when nobody described them.
    """
    lines: list[str] = []
    known = set(settings.members)
    for item in fields(settings):
        value = getattr(settings, item.name)
        if item.name == "members":
            known = set()
        if value != _default(item):
            lines += _field(item.name, value, known)
        known = set(settings.members)
    return "\n".join(lines) + "\n" if lines else "(all defaults)\n"


def _default(item: Field[Any]) -> object:
    if item.default is not MISSING:
        return item.default
    return item.default_factory() if item.default_factory is not MISSING else MISSING


def _field(name: str, value: object, known: set[MemberSettings]) -> Iterator[str]:
    """One field: on one line when it is simple, else with what is in it below."""
    if isinstance(value, MemberSettings) and value in known:
        yield f"{name}: {_called(value)}"
    elif is_dataclass(value):
        lines = list(_below(value, known))
        if lines:
            yield f"{name}:"
            yield from lines
        elif isinstance(value, TLSSettings):
            yield f"{name}: (all defaults)"  # that there is TLS at all is what counts
    elif isinstance(value, tuple) and any(is_dataclass(item) for item in value):
        yield f"{name}:"
        for item in value:
            if isinstance(item, MemberSettings) and item in known:
                yield f"  - {_called(item)}"
                continue
            lines = list(_below(item, known))
            yield "  -" + lines[0][1:] if lines else "  - (all defaults)"
            yield from ("  " + line for line in lines[1:])
    elif isinstance(value, dict):
        yield f"{name}:"
        for key, item in value.items():
            for line in _field(_simple(key), item, known):
                yield "  " + line
    elif name == "notices" and isinstance(value, tuple):
        yield f"{name}:"
        yield from (f"  - {notice}" for notice in value)
    else:
        yield f"{name}: {_simple(value)}"


def _below(value: Any, known: set[MemberSettings]) -> Iterator[str]:
    for item in fields(value):
        inner = getattr(value, item.name)
        if item.name in ("place", "places", "readAccessFile"):
            continue  # many a line more, and the same as the order of the files
        if inner != _default(item) and inner is not None:
            for line in _field(item.name, inner, known):
                yield "  " + line


def _called(member: MemberSettings) -> str:
    return member.url if member.socket is None else f"{member.url} at {member.socket}"


def _simple(value: object) -> str:
    if isinstance(value, (re.Pattern, pcre2.Pattern)):
        ignoreCase = re.IGNORECASE if isinstance(value, re.Pattern) else pcre2.IGNORECASE
        flag = "i" if value.flags & ignoreCase else ""
        pattern = value.pattern.removeprefix(BOUND)
        return f"/{pattern.decode('utf-8', 'backslashreplace')}/{flag}"
    if isinstance(value, FunctionType):
        return "(compiled)"
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace") or "(empty)"
    if isinstance(value, enum.Flag):
        single = (member for member in type(value) if member.value.bit_count() == 1)
        return "|".join(str(member.name) for member in single if member in value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, frozenset):
        return " ".join(sorted(map(_simple, value)))
    if isinstance(value, tuple) and value and all(isinstance(item, tuple) for item in value):
        return " ".join("=".join(item) for item in value)
    if isinstance(value, tuple):
        return ", ".join(map(_simple, value)) if value else "(none)"
    return str(value) or "(empty)"
