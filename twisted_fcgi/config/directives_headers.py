"""Directives of mod_headers: fields of requests and responses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from twisted_fcgi.config.expressions import condition, format, text
from twisted_fcgi.config.registry import Context, Override, Rows, Shape
from twisted_fcgi.config.scope import Scope
from twisted_fcgi.config.source import encode
from twisted_fcgi.config.values import pattern
from twisted_fcgi.config.words import Word
from twisted_fcgi.expr import Condition, Operand
from twisted_fcgi.settings import FieldAction, FieldChange, FieldTable

__all__ = ["rows"]

rows = Rows("mod_headers")

_EDITS = (FieldAction.EDIT, FieldAction.EDIT_ALL)
_VALUELESS = (FieldAction.UNSET, FieldAction.ECHO)

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Fields that say how a message is framed, which is never left to a configuration.
_FRAMING = {
    FieldTable.REQUEST: ("content-length", "transfer-encoding"),
    FieldTable.ALWAYS: ("content-length", "transfer-encoding", "keep-alive"),
}
_FRAMING[FieldTable.ON_SUCCESS] = _FRAMING[FieldTable.ALWAYS]


@rows.directive(
    "Header",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="[always|onsuccess] set|append|merge|add|unset|echo|edit|edit*|note|setifempty name "
    "[value [replacement]] [early|env=[!]variable|expr=condition]",
    example="Header always set X-Frame-Options DENY\nHeader always unset X-Powered-By",
    override=Override.FILE_INFO,
)
def header(scope: Scope, words: list[Word]) -> None:
    """
    Changes the fields of responses.

    There are two tables of fields, and each line works on one of them.  In that of
    ``always`` are those of an application, but for Content-Type, Content-Range, ETag,
    Last-Modified and Location; these, and the fields of files, are in that of
    ``onsuccess``, for which lines without either word are.  On our own error pages and
    redirects only lines with ``always`` work, and only on what such lines have set.  So
    ``Header always unset X-Powered-By`` takes away an application's field, and ``Header set``
    of a name that it sends gives two.

    A value may hold ``%{VARIABLE}e``, ``%t``, ``%D``, ``%l``, ``%i``, ``%b`` and ``%{NAME}s``,
    or be an expression: ``"expr=%{REQUEST_URI}"``.  ``early`` is for tests: it comes before
    everything else, and only outside of sections.  Content-Length, Transfer-Encoding and
    Keep-Alive can't be changed; of Connection only ``close`` counts.
    """
    table = FieldTable.ON_SUCCESS
    if words and words[0].lower() in ("always", "onsuccess"):
        table = FieldTable(words.pop(0).lower())
    _change(scope, table, words)


@rows.directive(
    "RequestHeader",
    Shape.WORDS,
    Context.ANYWHERE,
    syntax="set|append|merge|add|unset|edit|edit*|setifempty name [value [replacement]] "
    "[early|env=[!]variable|expr=condition]",
    example="RequestHeader set X-Forwarded-Proto https\nRequestHeader unset X-Debug early",
    override=Override.FILE_INFO,
)
def requestHeader(scope: Scope, words: list[Word]) -> None:
    """
    Changes the fields of requests, for the application and for what comes later here.

    It is the last thing that happens before the application is asked; with ``early``, which
    has a meaning only outside of sections, the first.  Values are as of Header.
    Content-Length and Transfer-Encoding can't be changed.
    """
    _change(scope, FieldTable.REQUEST, words)


def _change(scope: Scope, table: FieldTable, words: list[Word]) -> None:
    """One line, from its action on."""
    title = scope.node.title
    if len(words) < 2:
        raise scope.error(f"{title} needs an action and a field's name")
    text = tuple(words)
    action = _action(words[0], table)
    name, rest = words[1], words[2:]
    expression: Word | None = None
    made: Word | None = None
    if action is FieldAction.ECHO:
        expression = name
    elif action in _EDITS:
        if len(rest) < 2:
            raise scope.error(f"{title} {action.value} needs an expression and a replacement")
        expression, made, *rest = rest
    elif action is not FieldAction.UNSET:
        if not rest:
            raise scope.error(f"{title} {action.value} needs a value")
        made, *rest = rest
    if len(rest) > 1:
        raise rest[1].error(f"{title} {action.value} takes no further arguments")
    early = bool(rest) and rest[0].lower() == "early"
    asked = _condition(rest[0]) if rest and not early else None
    compiled = None if expression is None else pattern(expression)
    value = None if made is None else _value(made)
    if action is not FieldAction.ECHO:
        name = name.partitioned(":")[0]
        if not _TOKEN.fullmatch(name):
            raise name.error(f"{str(name)!r} is no name of a header field")
        if name.lower() in _FRAMING[table]:
            scope.warn(name, f"{name} follows from the body and is left as it is")
            return
    if early and scope.inSection:
        scope.warn(rest[0], "early has no effect inside of a section, as in httpd")
        return
    change = FieldChange(
        text,
        table,
        action,
        encode(name),
        compiled,
        None if value is None else value.constant,
        None if value is None else value.evaluate,
        asked,
    )
    if early:
        scope.section.append("earlyFields", change)
    elif table is FieldTable.REQUEST:
        scope.section.append("requestFields", change)
    else:
        scope.section.append("responseFields", change)


def _action(word: Word, table: FieldTable) -> FieldAction:
    """
    :raises ConfigurationError: there is none of that name.
    """
    allowed = [
        action
        for action in FieldAction
        if table is not FieldTable.REQUEST or action not in (FieldAction.ECHO, FieldAction.NOTE)
    ]
    for action in allowed:
        if word.lower() == action.value:
            return action
    raise word.error(
        f"there is no action {str(word)!r}",
        "one of " + ", ".join(action.value for action in allowed),
    )


def _value(word: Word) -> Operand:
    """A value: an expression, or a text with formats."""
    if not word.startswith("expr="):
        return format(word)
    return Operand(text(word.part(5)))


def _condition(word: Word) -> Condition:
    """
    ``env=`` or ``expr=``.

    :raises ConfigurationError: it is neither.
    """
    lower = word.lower()
    if lower.startswith("expr="):
        return condition(word.part(5))
    if lower.startswith("env="):
        wanted = not word[4:].startswith("!")
        name = encode(word.part(4 if wanted else 5))
        if not name:
            raise word.error("the variable's name is missing", "env=NAME or env=!NAME")
        return _variable(name, wanted)
    raise word.error(f"{str(word)!r} is no condition", "early, env=NAME or expr=condition")


def _variable(name: bytes, wanted: bool) -> Callable[[Any], bool]:
    return lambda context: (context.environment(name) is not None) is wanted
