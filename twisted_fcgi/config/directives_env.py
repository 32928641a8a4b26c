"""Directives of mod_env and mod_setenvif: the application's environment."""

from __future__ import annotations

import re
from itertools import takewhile

from twisted_fcgi.config.expressions import condition
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.settings import VariableChange, VariableCondition, VariableExpression

__all__ = ["rows", "setenvif"]

rows = Rows("mod_env")
setenvif = Rows("mod_setenvif")

#: A header field's name; an attribute with other characters is an expression for names.
_FIELD_NAME = re.compile(r"[-A-Za-z0-9_]+")

#: Text without an expression's signs, but for those that a backslash makes plain.
_PLAIN = re.compile(r"(?:[^\\^.$|()\[\]*+?{}]|\\[\\^.$|()\[\]*+?{}])*")


@rows.directive(
    "SetEnv",
    Shape.TAKE12,
    Context.ANYWHERE,
    syntax="name [value]",
    example="SetEnv APP_ENV production",
    override=Override.FILE_INFO,
)
def setEnv(scope: Scope, name: Word, value: Word | None) -> None:
    """Sets a variable."""
    if "=" in name:
        scope.warn(name, f"{str(name)!r} is taken for a name; a space belongs before the value")
    scope.section.append("environment", VariableChange(encode(name), encode(value or "")))


@rows.directive(
    "UnsetEnv",
    Shape.ITERATE,
    Context.ANYWHERE,
    syntax="name ...",
    example="UnsetEnv APP_ENV",
    override=Override.FILE_INFO,
)
def unsetEnv(scope: Scope, name: Word) -> None:
    """Takes variables of SetEnv and PassEnv away."""
    scope.section.append("environment", VariableChange(encode(name), None))


@rows.directive(
    "PassEnv",
    Shape.ITERATE,
    Context.ANYWHERE,
    syntax="name ...",
    example="PassEnv PATH LANG",
    override=Override.FILE_INFO,
)
def passEnv(scope: Scope, name: Word) -> None:
    """Passes variables of the server's own environment on."""
    value = scope.draft.environment.get(name)
    if value is None:
        scope.warn(name, f"{name} is not in the server's environment")
    else:
        scope.section.append("environment", VariableChange(encode(name), encode(value)))


def addCondition(scope: Scope, attribute: Word | str, words: list[Word], ignoreCase: bool) -> None:
    """One SetEnvIf, from its expression on."""
    title = scope.node.title
    if not words or not words[0]:
        raise scope.error(f"{title} needs an expression")
    changes = list(takewhile(len, words[1:]))
    if not changes:
        raise scope.error(f"{title} needs a variable")
    names = None
    if isinstance(attribute, Word) and not _FIELD_NAME.fullmatch(attribute):
        names = pattern(attribute, ignoreCase)
    scope.section.append(
        "conditions",
        VariableCondition(
            encode(attribute),
            names,
            pattern(words[0], ignoreCase),
            _PLAIN.fullmatch(words[0]) is not None,
            tuple(change(word) for word in changes),
        ),
    )


def change(word: Word) -> VariableChange:
    """``name``, ``name=value`` or ``!name``; ``name=`` is ``name=1``, as in httpd."""
    name, _, value = word.partition("=")
    if value:
        made = None if value.startswith("!") else encode(value)
        return VariableChange(encode(name), made, word.place)
    if name.startswith("!"):
        return VariableChange(encode(name[1:]), None, word.place)
    return VariableChange(encode(name), b"1", word.place)


def conditional(name: str, ignoreCase: bool, browser: bool, doc: str) -> None:
    """A row of the SetEnvIf family."""

    def apply(scope: Scope, words: list[Word]) -> None:
        if browser:
            addCondition(scope, "User-Agent", words, ignoreCase)
        elif not words or not words[0]:
            raise scope.error(f"{name} needs an attribute")
        else:
            addCondition(scope, words[0], words[1:], ignoreCase)

    attribute = "" if browser else "attribute "
    setenvif.directive(
        name,
        Shape.WORDS,
        Context.ANYWHERE,
        syntax=attribute + "expression [!]variable[=value] ...",
        example=f'{name} "curl" TOOL=curl' if browser else rf'{name} Request_URI "\.gif$" IMAGE',
        doc=doc,
        override=Override.FILE_INFO,
    )(apply)


conditional(
    "SetEnvIf",
    False,
    False,
    "Sets variables when a header field matches.\n\n"
    "Instead of a field: Remote_Addr, Remote_Host, Server_Addr, Request_Method,\n"
    "Request_Protocol, Request_URI, or a variable.",
)
conditional("SetEnvIfNoCase", True, False, "As SetEnvIf, whatever the case.")


@setenvif.directive(
    "SetEnvIfExpr",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="condition [!]variable[=value] ...",
    example="SetEnvIfExpr \"%{QUERY_STRING} =~ /(?:^|&)lang=([a-z]+)/\" LANGUAGE=$1",
    override=Override.FILE_INFO,
)
def setEnvIfExpr(scope: Scope, words: list[Word]) -> None:
    """
    Sets variables when a condition is true.

    ``$0`` to ``$9`` are what the condition's last regular expression with groups matched.
    """
    if not words or not words[0]:
        raise scope.error("SetEnvIfExpr needs a condition")
    changes = list(takewhile(len, words[1:]))
    if not changes:
        raise scope.error("SetEnvIfExpr needs a variable")
    scope.section.append(
        "conditions",
        VariableExpression(
            str(words[0]), condition(words[0]), tuple(change(word) for word in changes)
        ),
    )


conditional("BrowserMatch", False, True, "As SetEnvIf with User-Agent.")
conditional("BrowserMatchNoCase", True, True, "As SetEnvIfNoCase with User-Agent.")
