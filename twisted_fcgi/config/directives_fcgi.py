"""Directives of mod_proxy_fcgi: what an application is told."""

from __future__ import annotations

from twisted_fcgi.config import expressions
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import BackendType, VariableOverride

__all__ = ["rows"]

rows = Rows("mod_proxy_fcgi")


@rows.directive(
    "ProxyFCGIBackendType",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="FPM|GENERIC",
    default="FPM",
    example="ProxyFCGIBackendType GENERIC",
    override=Override.FILE_INFO,
)
def proxyFcgiBackendType(scope: Scope, word: Word) -> None:
    """How SCRIPT_FILENAME is spelled: for PHP-FPM, or for anything else."""
    choice = word.upper()
    if choice not in ("FPM", "GENERIC"):
        raise word.error("ProxyFCGIBackendType must be FPM or GENERIC")
    scope.section.values["backendType"] = BackendType(choice)


@rows.directive(
    "ProxyFCGISetEnvIf",
    Shape.TAKE23,
    Context.ANYWHERE,
    syntax="condition [!]name [value]",
    example='ProxyFCGISetEnvIf "true" PATH_INFO "%{reqenv:SCRIPT_NAME}"',
    override=Override.FILE_INFO,
)
def proxyFcgiSetEnvIf(scope: Scope, condition: Word, name: Word, value: Word | None) -> None:
    """Sets or removes a variable when a condition holds, after all others are known."""
    test = expressions.condition(condition)
    made = None
    if not name.startswith("!"):
        made = expressions.text(name.part(0, 0) if value is None else value)
    elif value is not None:
        raise value.error("a variable that is removed has no value", f"{name} and no more")
    elif name == "!":
        raise name.error("'!' is no name of a variable", "!NAME")
    scope.section.append(
        "overrides",
        VariableOverride(
            (condition, name) if value is None else (condition, name, value),
            test,
            encode(name.removeprefix("!")),
            made,
            scope.place,
        ),
    )
