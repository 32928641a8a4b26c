"""Directives of mod_proxy_fcgi: what an application is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import decode, encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.expr import ExpressionError, compileCondition, compileString
from twisted_fcgi.settings import BackendType, VariableOverride

__all__ = ["rows"]

rows = Rows("mod_proxy_fcgi")

Compiled = TypeVar("Compiled")


@rows.directive(
    "ProxyFCGIBackendType",
    Shape.TAKE1,
    Context.ANYWHERE,
    syntax="FPM|GENERIC",
    default="FPM",
    example="ProxyFCGIBackendType GENERIC",
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
)
def proxyFcgiSetEnvIf(scope: Scope, condition: Word, name: Word, value: Word | None) -> None:
    """Sets or removes a variable when a condition holds, after all others are known."""
    test = _compiled(compileCondition, condition)
    made = None
    if not name.startswith("!"):
        made = _compiled(compileString, name.part(0, 0) if value is None else value).evaluate
    elif value is not None:
        raise value.error("a variable that is removed has no value", f"{name} and no more")
    elif name == "!":
        raise name.error("'!' is no name of a variable", "!NAME")
    where = condition.error("")
    scope.section.overrides.append(
        VariableOverride(
            (condition, name) if value is None else (condition, name, value),
            test,
            encode(name.removeprefix("!")),
            made,
            f"{where.file}:{where.line}",
        )
    )


def _compiled(compile: Callable[[bytes], Compiled], word: Word) -> Compiled:
    text = encode(word)
    try:
        return compile(text)
    except ExpressionError as error:
        at = len(decode(text[: error.column - 1]))
        raise word.error(f"in the expression: {error.message}", index=at) from None
