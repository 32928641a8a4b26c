"""Directives of mod_env and mod_setenvif: the application's environment."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted_fcgi.config.directives_sections import checkedPattern
from twisted_fcgi.config.drafts import Scope
from twisted_fcgi.config.registry import Context, Rows, Shape
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import VariableChange, VariableCondition

__all__ = ["rows", "setenvif"]

rows = Rows("mod_env")
setenvif = Rows("mod_setenvif")

#: A name without these is a header field's name, else an expression for names.
_FIELD_NAME = re.compile(r"[-A-Za-z0-9_]+")

#: Signs that make a pattern an expression, unless a backslash takes the meaning away.
_PLAIN = re.compile(r"(?:[^\\^.$|()\[\]*+?{}]|\\[\\^.$|()\[\]*+?{}])*")


@rows.directive("SetEnv", Shape.TAKE12, Context.ANYWHERE, syntax="name [value]",
                example="SetEnv APP_ENV production")  # fmt: skip
def setEnv(scope: Scope, name: Word, value: Word | None) -> None:
    """Sets a variable."""
    if "=" in name:
        scope.warn(
            name, f"the name {str(name)!r} has a '='; a space between name and value is meant"
        )
    scope.section.environment.append(VariableChange(encode(name), encode(value or "")))


@rows.directive("UnsetEnv", Shape.ITERATE, Context.ANYWHERE, syntax="name ...",
                example="UnsetEnv APP_ENV")  # fmt: skip
def unsetEnv(scope: Scope, name: Word) -> None:
    """Takes variables of SetEnv and PassEnv away."""
    scope.section.environment.append(VariableChange(encode(name), None))


@rows.directive("PassEnv", Shape.ITERATE, Context.ANYWHERE, syntax="name ...",
                example="PassEnv PATH LANG")  # fmt: skip
def passEnv(scope: Scope, name: Word) -> None:
    """Passes variables of the server's own environment on."""
    value = scope.draft.environment.get(name)
    if value is None:
        scope.warn(name, f"PassEnv: {name} is not in the environment")
    else:
        scope.section.environment.append(VariableChange(encode(name), encode(value)))


def _condition(
    scope: Scope, title: str, attribute: Word | str, words: list[Word], ignoreCase: bool
) -> None:
    """One SetEnvIf."""
    if not words or not words[0]:
        raise scope.error(f"{title}: the expression is missing")
    pattern, changes = words[0], words[1:]
    if not changes or not changes[0]:
        raise scope.error(f"{title}: the variable is missing")
    plain = _PLAIN.fullmatch(pattern) is not None
    names = None
    if isinstance(attribute, Word) and not _FIELD_NAME.fullmatch(attribute):
        names = checkedPattern(attribute, ignoreCase)
    scope.section.conditions.append(
        VariableCondition(
            encode(attribute),
            names,
            checkedPattern(pattern, ignoreCase),
            plain,
            tuple(_change(word) for word in changes if word),
        )
    )


def _change(word: Word) -> VariableChange:
    """``name``, ``name=value`` or ``!name``; ``name=`` is ``name=1``, as in httpd."""
    name, _, value = word.partition("=")
    if value:
        return VariableChange(encode(name), None if value.startswith("!") else encode(value))
    if name.startswith("!"):
        return VariableChange(encode(name[1:]), None)
    return VariableChange(encode(name), b"1")


def _setEnvIf(name: str, ignoreCase: bool, doc: str) -> None:
    @setenvif.directive(name, Shape.WORDS, Context.ANYWHERE,
                        syntax="attribute expression [!]variable[=value] ...", doc=doc,
                        example=f'{name} Request_URI "\\.gif$" image=gif')  # fmt: skip
    def setEnvIf(scope: Scope, words: list[Word]) -> None:
        if not words or not words[0]:
            raise scope.error(f"{name}: the attribute is missing")
        _condition(scope, name, words[0], words[1:], ignoreCase)


def _browserMatch(name: str, ignoreCase: bool, doc: str) -> None:
    @setenvif.directive(name, Shape.WORDS, Context.ANYWHERE,
                        syntax="expression [!]variable[=value] ...", doc=doc,
                        example=f'{name} "curl" plain=1')  # fmt: skip
    def browserMatch(scope: Scope, words: list[Word]) -> None:
        _condition(scope, name, "User-Agent", words, ignoreCase)


_Add = Callable[[str, bool, str], None]
_setEnvIf("SetEnvIf", False,
          "Sets variables when a header field, or Remote_Addr, Remote_Host, Server_Addr,\n"
          "Request_Method, Request_Protocol or Request_URI, matches.")  # fmt: skip
_setEnvIf("SetEnvIfNoCase", True, "As SetEnvIf, whatever the case.")
_browserMatch("BrowserMatch", False, "As SetEnvIf with User-Agent.")
_browserMatch("BrowserMatchNoCase", True, "As SetEnvIfNoCase with User-Agent.")
