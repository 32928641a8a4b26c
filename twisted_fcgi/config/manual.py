"""
The reference of directives, from their rows.

``doc/`` includes what :func:`reference` returns; nothing about a directive is
written twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from twisted_fcgi.config.directives import REGISTRY
from twisted_fcgi.config.foreign import foreignDirectives
from twisted_fcgi.config.parameters import BALANCER, MEMBER, Parameter
from twisted_fcgi.config.registry import Directive, Registry

__all__ = ["reference"]


def reference(registry: Registry = REGISTRY) -> str:
    """All directives as reStructuredText: an entry each, by module, in the order of their names."""
    rows = sorted(registry, key=lambda row: (_rank(row.origin), row.origin, _title(row).lower()))
    parts = [_heading("Directives", "=")]
    for origin, group in groupby((row for row in rows if not row.ignored), lambda row: row.origin):
        parts.append(_heading(_module(origin), "-"))
        parts += map(_entry, group)
    parts.append(_heading("Parameters of a member", "-"))
    parts.append("Of ProxyPass, BalancerMember, ProxySet and ``<Proxy>``.\n")
    parts.append(_parameters(MEMBER))
    parts.append(_heading("Parameters of a balancer", "-"))
    parts.append("Of ProxySet and ``<Proxy>``, and of a ProxyPass to a balancer.\n")
    parts.append(_parameters(BALANCER))
    parts.append(_heading("Ignored", "-"))
    parts.append("Understood and without a meaning here; one notice names those that were met.\n")
    parts.append(_lists((row.ignored, row.name) for row in rows if row.ignored))
    parts.append(_heading("Not supported", "-"))
    parts.append("Refused, with the reason.\n")
    parts.append(
        _lists(
            (entry.reason, entry.name)
            for entry in foreignDirectives()
            if registry.get(entry.name) is None
        )
    )
    return "\n".join(parts)


def _rank(origin: str) -> int:
    """The modules that matter most come first."""
    order = ("core", "mod_proxy", "mod_proxy_fcgi")
    return order.index(origin) if origin in order else len(order)


def _module(origin: str) -> str:
    return {"core": "Core", "extension": "Extensions"}.get(origin, origin)


def _title(row: Directive) -> str:
    return f"{row.name[1:]}>" if row.section else row.name


def _heading(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def _entry(row: Directive) -> str:
    """One directive."""
    name = f"{row.name}>" if row.section else row.name
    anchor = ("section-" if row.section else "directive-") + row.name.strip("<").lower()
    syntax = f"{row.name} {row.syntax}".rstrip() + (">" if row.section else "")
    lines = [
        f".. _{anchor}:",
        "",
        _heading(name, "~"),
        f":Syntax: ``{syntax}``",
        *([f":Default: {row.default}"] if row.default else []),
        f":Context: {row.contexts.describe()}",
        *([f":Override: {row.override.describe()}"] if row.override is not None else []),
        "",
        row.doc,
        "",
        *(["::", "", *("    " + line for line in row.example.split("\n")), ""]),
    ]
    return "\n".join(lines)


def _parameters(table: Mapping[str, Parameter]) -> str:
    """A table of parameters."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    rows = [("Key", "Value", "Default", "Meaning")]
    rows += [(f"``{p.key}``", p.values, p.default, p.doc) for _, p in sorted(table.items())]
    for cells in rows:
        for index, cell in enumerate(cells):
            lines.append(f"   {'*' if index == 0 else ' '} - {cell}".rstrip())
    return "\n".join(lines) + "\n"


def _lists(entries: Iterable[tuple[str, str]]) -> str:
    """Names, under what they have in common."""
    names: dict[str, list[str]] = {}
    for reason, name in entries:
        names.setdefault(reason, []).append(f"``{name}{'>' if name.startswith('<') else ''}``")
    return "\n".join(
        f"{reason}:\n    {', '.join(sorted(some))}\n" for reason, some in names.items()
    )
